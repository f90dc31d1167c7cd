"""The parts that a card is put together from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from linewright.charts import Chart
from linewright.data.facts import Dataset, Ingested, Split
from linewright.model.facts import (
    Certificate,
    Decision,
    Evaluation,
    Explanation,
    ListsValued,
    Package,
    Parity,
    Trained,
)
from linewright.model.task_facts import has_classes
from linewright.store.values import Event


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A test row as a client would send it, and its answer."""

    row: dict[str, Any]
    answer: dict[str, Any]


class CardFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a card says; results come with the digests that it shows as evidence."""

    line: str
    version: int
    about: str = ""
    owner: str | None = None
    digest: str
    """Of the package."""
    package: Package
    trained: Trained
    """Its digest is in the package; it holds those of the dataset and the split."""
    dataset: Dataset
    split: Split
    ingested: Ingested | None = None
    ingested_digest: str | None = None
    parity: Parity | None = None
    parity_digest: str | None = None
    decision: Decision | None = None
    decision_digest: str | None = None
    evaluation: Evaluation | None = None
    evaluation_digest: str | None = None
    misread: tuple[str, ...] = ()
    """Names of the pictures that `Evaluation.misread` tells of, for who may see rows; empty for others."""
    explanation: Explanation | None = None
    explanation_digest: str | None = None
    certificate: Certificate | None = None
    certificate_digest: str | None = None
    verdict: str = ""
    """What the certificate says, or that the model was held back in spite of it."""
    promoted_on: str | None = None
    """Digest of the certificate that it was promoted on, where that is not the newest one."""
    excluded: tuple[str, ...] = ()
    """Columns that the line file keeps from every model."""
    file: str = ""
    """Where the line file is, in the factory."""
    declared: str | None = None
    """Digest of the line file as it was before the model was trained."""
    gates_changed: bool = False
    """Whether the certificate is of other gates than that file's."""
    rival_adopted: bool = False
    """Whether the model that it was compared with was imported, so that what that one has seen is not known."""
    unequal: str = ""
    """Of a model that did not pass: which columns its rival reads that the line bars by now; empty where it reads none."""
    in_spite: str = ""
    """The command that lets it serve in spite of its gates; empty where its rival is an equal."""
    as_of: str | None = None
    """Of a retraining: the instant whose knowledge counts."""
    asked: str | None = None
    """Why monitoring or a schedule asked for the training; `None` where neither did."""
    proposal: str | None = None
    """Digest of the proposal that asked."""
    champion: int | None = None
    """The version that serves now."""
    halted: bool = False
    events: tuple[Event, ...] = ()
    """What happened in the line, oldest first; those about other models are passed over."""
    time_range: tuple[str, str] | None = None
    """First and last value of the time column."""
    lists: ListsValued | None = None
    """What was last found about the worth of its lists; `None` if nothing was."""
    example: Example | None = None
    """Of a forecast: its first test row."""
    dropped: str | None = None
    """When the rows of its dataset were dropped by retention; `None` where they are kept."""
    forgotten: str | None = None
    """When rows of its dataset were emptied, since somebody was forgotten; `None` where all are there."""

    @property
    def name(self) -> str:
        """The model as people call it."""
        return f"{self.line}@{self.version}"

    @property
    def positive(self) -> str:
        """The positive class, which is the last of two; empty where answers are not classes."""
        return self.package.classes[-1] if has_classes(self.package.task) else ""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """Something that is said: its kind, the values that it is said of, and the digests of the results that they come from."""

    kind: str
    """``"page.macro"``: the macro of `page.jinja`, below `templates/card/`, that has its words."""
    values: Mapping[str, object]
    evidence: tuple[str, ...] = ()


Text = str | Statement
"""A name or a figure as it is, or a statement that a template says."""


def say(kind: str, /, *evidence: str | None, **values: object) -> Statement:
    """Return a statement; evidence that there is none of is left out."""
    return Statement(kind=kind, values=values, evidence=tuple(one for one in evidence if one))


def that_hold(*cases: tuple[object, Statement]) -> tuple[Statement, ...]:
    """Return the statements whose condition is true, in order."""
    return tuple(statement for holds, statement in cases if holds)


def interval(low: float | None, high: float | None) -> Statement:
    """Return the ends of an interval; that it is not known, where one is `None`."""
    return say("figures.interval", low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text below their heads; one without rows is not shown."""

    head: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]
    marks: tuple[str, ...] = ()
    """One word a row by which it is coloured, e.g. ``"pass"``."""
    shades: tuple[tuple[float, ...], ...] = ()
    """How dark each cell after a row's first is, in [0, 1]."""
    bars: tuple[tuple[float, float, float], ...] = ()
    """Low end, value and high end of each row, for forms that draw them beside 0."""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A chart with its words."""

    title: Text
    note: Text = ""
    says: Text
    """What it shows: the title of the chart, for those who cannot see it."""
    chart: Chart


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of a card."""

    name: str
    """Of the template that has its title, unless `title` is another."""
    title: Text = ""
    statements: tuple[Statement, ...]
    lead: Table | None = None
    """A table that stands before the other."""
    table: Table | None = None
    key: Text = ""
    """How the plots are read."""
    plots: tuple[Plot, ...] = ()
    plain: Table | None = None
    """What the plots show, for forms that draw none."""

    @property
    def heading(self) -> Text:
        """Its title, or the one that the template of its name has."""
        return self.title or say(f"{self.name}.title")


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One of the few figures at the top."""

    title: str
    value: Text
    note: Text = ""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A whole card."""

    name: str
    about: str
    owner: str | None
    status: Text
    mark: str
    """``champion``, ``former`` or ``candidate``."""
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    evidence: tuple[tuple[str, str, str], ...]
    """Word, digest, and the digest's first twelve digits."""


def short(digest: str) -> str:
    """Return the first twelve digits of a digest: enough for `linewright why`.

    Examples
    --------
    >>> short("sha256:0123456789abcdef")
    '0123456789ab'
    """
    return digest.removeprefix("sha256:")[:12]
