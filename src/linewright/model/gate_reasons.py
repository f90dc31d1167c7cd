"""What gates asked and found, as values: `model.gates.text` says it in sentences."""

from typing import Literal

import msgspec

Unit = Literal["row", "different-row", "group", "block"]
"""What the bootstrap draws: rows, rows that are not equal, groups of rows, or blocks of rows in time."""
Same = Literal["scores", "decisions", "views"]
"""In what two models are the same by making: in scores, where a threshold alone was chosen anew; or in decisions too, where amounts alone
were declared anew."""
Alike = Literal["answers", "scores", "decisions", "order"]
"""In what two models are the same on the rows at hand."""
Rate = Literal["selection rate", "true positive rate", "false positive rate"]


class AnotherQuestion(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="another-question"):
    """The champion has another task, label or classes."""


class LostColumns(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="lost-columns"):
    """The champion needs columns that the table no longer has."""

    columns: tuple[str, ...]


Incomparable = AnotherQuestion | LostColumns
"""Why a champion cannot be compared with."""


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """A value with its one-sided bounds."""

    value: float
    low: float
    high: float


class TooFew(msgspec.Struct, frozen=True, kw_only=True):
    """Units that are too few to decide by."""

    units: int
    needed: int
    of: Unit
    rarest: str | None
    """The class that they are of; `None` where there are not two classes."""


class MetricFound(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="metric"):
    """A metric was held against a bar."""

    metric: str
    currency: str
    """Of the metric ``value``; empty for others."""
    rises: bool
    """Whether the value passes above the bar, else below."""
    confidence: float
    few: TooFew | None = None


class BeatsFound(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="beats"):
    """A metric was compared with that of another model; values are differences, above 0 where the candidate is better."""

    beats: Literal["champion", "baseline"]
    metric: str
    currency: str
    confidence: float
    against: Literal["champion", "baseline"]
    """Whom it was compared with: the baseline stands in where there is no champion to compare with."""
    stands_in: Incomparable | None = None
    """Why, where there is a champion."""
    same: Same | None = None
    """Where both are one model: nothing was compared."""
    alike: Alike | None = None
    alike_rows: int = 0
    """Rows on which they are."""
    below_baseline: Bound | None = None
    """By how much the baseline is surely better than the candidate, where that is why it fails though it beats the champion."""
    few: TooFew | None = None


class Small(msgspec.Struct, frozen=True, kw_only=True):
    """A group with fewer rows than the gate asks of each."""

    group: str
    rows: int


class Thin(msgspec.Struct, frozen=True, kw_only=True):
    """A rate of a group that rests on too few units."""

    rate: Rate
    group: str
    units: int


class Widest(msgspec.Struct, frozen=True, kw_only=True):
    """The largest difference of a rate between two groups."""

    rate: Rate
    highest: str
    """The group where it is highest."""
    lowest: str
    high: float
    low: float
    """The rate in both."""


class FairnessFound(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="fairness"):
    """Rates of groups were compared."""

    column: str
    measure: Literal["equalized_odds_difference", "demographic_parity_difference"]
    confidence: float
    min_group: int
    large: int
    """Groups with at least as many rows."""
    widest: Widest | None
    """`None` where nothing could be compared."""
    small: tuple[Small, ...] = ()
    thin: tuple[Thin, ...] = ()
    min_units: int
    """Fewest units of a rate that is measured."""
    of: Unit


Found = MetricFound | BeatsFound | FairnessFound

Advice = Literal[
    "gather",
    "doubt",
    "nothing-known",
    "known-gather",
    "known-enough",
    "no-better",
    "change",
    "nothing-faulty",
]
"""What to do: wait for more rows; look at columns and labels first; look at them, since waiting is in vain; look at what is compared, or
wait; look at what is compared; expect that it may be worse; change columns or settings; label faulty rows, or
approve it."""
