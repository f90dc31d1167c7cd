"""What misleads in the rows of a table: repeats in both parts, sorted rows, rare classes, groups that nobody named.

Each finding has its figures, and the very line that would mend it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from linewright.data.facts import TEST, TRAIN
from linewright.data.roles import (
    AGAIN,
    COUNTED,
    ENOUGH_GROUPS,
    TIME_WORDS,
    is_named_id,
    is_named_thing,
    is_numbering,
)
from linewright.data.seen import Seen, percent
from linewright.data.types import NUMBERS

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
VerdictKind = Literal[
    "id",
    "constant",
    "near constant",
    "empty",
    "leak",
    "twin",
    "weight",
    "text",
    "later",
    "strong",
    "sentinel",
    "unusable",
    "few groups",
    "doubtful time",
    "bad cells",
    "outlier",
    "name",
    "order",
]
TrapKind = Literal[VerdictKind, "unlabelled", "repeats", "sorted", "few rows", "group", "time"]

MOST_ROWS = 200_000
"""Rows that are compared with each other; of more, those whose content has a hash that is divisible."""
_LEAST_REPEATS = 5
_REPEATED = 0.01
_TRIED = 6
_SAME = 0.8
_CHANCE = 3.0
_RARE = 20
_LEAST_ROWS = 100
_STRAY = 0.01
_STRAY_ROWS = 2
_MOST_STRAYS = 5
_REGULAR = 0.95
_MOST_OF_ONE = 20
_BALANCED = 0.9
_VERY_MANY = 0.2
_LARGEST = 0.05
_ALIKE_IN = 2
_SELDOM = 0.7
_LEAST_PAIRS, _MOST_PAIRS = 20, 5_000
_MOST_TRIED = 40
_TELLING = 0.3


class Trap(msgspec.Struct, frozen=True, kw_only=True):
    """Something in the data that makes a model look better than it is, or that it cannot learn from."""

    trap: TrapKind
    columns: tuple[str, ...]
    evidence: str
    """A sentence with figures."""
    under: str
    """Section of the line file that `line` belongs to; empty where no line mends it."""
    line: str
    """What to write there; two lines where it takes two."""
    rows: int | None = None
    """How many rows it is about, where it is about rows."""
    share: float | None = None
    """The share that they are."""

    @property
    def on_one_line(self) -> str:
        """What is to be written, where a comment or a sentence has room for one line."""
        return self.line.replace("\n", " and ")

    def to_text(self) -> str:
        """Say it in one line."""
        who = f"{', '.join(self.columns)}: " if self.columns else ""
        answer = "if not, " if self.trap in {"strong", "name"} and "?" in self.evidence else ""
        todo = f"; {answer}under {self.under}: {self.on_one_line}" if self.line else ""
        return f"{who}{self.trap}: {self.evidence}{todo}"


def near_constant_evidence(column: Seen) -> str:
    """Say what stands in nearly every row of a column, or nothing where enough rows differ to learn from.

    Examples
    --------
    >>> from linewright.data.seen import see
    >>> near_constant_evidence(see(pl.Series("street", ["Pave"] * 990 + ["Grvl"] * 10)))
    "only 10 of 1,000 rows have another value than 'Pave', which is too few to learn from"
    >>> near_constant_evidence(see(pl.Series("street", ["Pave"] * 960 + ["Grvl"] * 40)))
    ''
    """
    rows = len(column.values)
    if rows < 10 * _RARE or not column.present or column.distinct > _RARE:
        return ""
    if column.present < _RARE:
        return f"only {column.present:,} of {rows:,} rows have a value, which is too few to learn from"
    counts = column.values.alias("value").value_counts(name="rows").sort("rows", descending=True)
    usual, often = counts.row(0)
    if rows - often >= _RARE or column.distinct + (column.present < rows) < 2:
        return ""
    says = "no value" if usual is None else repr(str(usual)[:40])
    return f"only {rows - often:,} of {rows:,} rows have another value than {says}, which is too few to learn from"


class Repeats(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of the test part whose features are those of a training row."""

    rows: int
    share: float
    """Of the test part."""
    same_label: float
    """Share of them whose label is that of such a training row."""
    is_copy: bool
    """Whether they are equal to such a row in all else too, the key left aside."""


def content_sample(columns: Sequence[pl.Series]) -> npt.NDArray[np.intp]:
    """Return the rows that are compared: all, or a share of those that keeps equal rows together."""
    hashed = hash_content(columns)
    parts = -(-len(hashed) // MOST_ROWS)
    return np.flatnonzero(hashed % np.uint64(parts) == 0) if parts > 1 else np.arange(len(hashed))


def hash_content(columns: Sequence[pl.Series]) -> Hashes:
    """Return a number for each row that is equal where all values are."""
    total = np.zeros(len(columns[0]), dtype=np.uint64)
    for number, column in enumerate(columns):
        total += column.hash(seed=number).to_numpy()
    return total


def find_repeats(
    features: Sequence[pl.Series],
    label: pl.Series,
    others: Sequence[pl.Series],
    parts: npt.NDArray[np.uint8],
    *,
    is_class: bool,
) -> Repeats | None:
    """Return how many test rows are known from training, unless the features are so coarse that rows meet by chance.

    Nothing either where classes agree no more often than they do by chance: then there is nothing to remember.

    Parameters
    ----------
    features
        What a model sees, n rows each.
    label
        What it predicts.
    others
        All other columns but the key.
    parts : uint8 array, shape (n,)
        Part of each row, as in a split.
    is_class
        Whether the label is a class.
    """
    hashed = hash_content(features)
    train = np.unique(hashed[parts == TRAIN])
    is_hit = (parts == TEST) & np.isin(hashed, train)
    rows, tested = int(is_hit.sum()), int((parts == TEST).sum())
    if rows < _LEAST_REPEATS or rows < _REPEATED * tested or _is_coarse(features, hashed):
        return None
    by_chance = _evenness(label.filter(pl.Series(parts == TEST))) if is_class else 0.0

    def shared(columns: Sequence[pl.Series]) -> float:
        whole = hash_content(columns)
        return float(np.isin(whole[is_hit], whole[parts == TRAIN]).mean())

    same_label = shared([*features, label])
    if is_class and same_label < by_chance + _TELLING * (1 - by_chance):
        return None
    return Repeats(
        rows=rows,
        share=rows / tested,
        same_label=same_label,
        is_copy=shared([*features, label, *others]) >= _BALANCED,
    )


def _is_coarse(features: Sequence[pl.Series], hashed: Hashes) -> bool:
    """Return whether rows meet by chance.

    Rows that are copies agree in a column once they agree in all others. Rows that meet by chance agree in it about as
    often as any two different rows do.
    """
    pairs = _pairs(hashed)
    evenness = [_evenness(column) for column in features]
    tried = sorted(range(len(features)), key=evenness.__getitem__)
    for number in {*tried[:_TRIED], *tried[-_TRIED:]}:
        agree_else = _pairs(hashed - features[number].hash(seed=number).to_numpy())
        share = pairs / agree_else
        if share < _SAME and share < _CHANCE * evenness[number]:
            return True
    return False


def _evenness(column: pl.Series) -> float:
    """Return how likely two rows have the same value."""
    rows = column.alias("value").value_counts(name="rows")["rows"].to_numpy()
    return float(((rows / len(column)) ** 2).sum())


def _pairs(hashed: Hashes) -> float:
    _, counts = np.unique(hashed, return_counts=True)
    return float((counts * (counts - 1.0)).sum() / 2)


def sorted_evidence(label: pl.Series, *, is_class: bool) -> str:
    """Say that the rows are sorted by the label, or nothing where they are not.

    Examples
    --------
    >>> sorted_evidence(pl.Series("y", ["a"] * 80 + ["b"] * 40), is_class=True)
    "the rows are sorted by the label: the last fifth of them holds 'b' only, the first fifth 'a' only"
    >>> sorted_evidence(pl.Series("y", ["a", "b"] * 60), is_class=True)
    ''
    """
    known = label.drop_nulls()
    if len(known) < _LEAST_ROWS:
        return ""
    if is_class:
        changes = int((known != known.shift(1)).fill_null(value=False).sum())
        if changes >= 2 * known.n_unique():
            return ""
        fifth = len(known) // 5
        ends = (known.tail(fifth), known.head(fifth))
        return f"the rows are sorted by the label: the last fifth of them holds {_classes(ends[0])}, the first fifth {_classes(ends[1])}"
    if known.n_unique() > _RARE and (known.is_sorted() or known.is_sorted(descending=True)):
        return f"the rows are sorted by the label, from {known[0]} to {known[-1]}"
    return ""


def _classes(values: pl.Series) -> str:
    names = values.unique(maintain_order=True).cast(pl.String).to_list()
    return f"{names[0]!r} only" if len(names) == 1 else f"{len(names)} classes"


def rare_classes(label: pl.Series, folds: int) -> list[tuple[str, int]]:
    """Return the classes with fewer rows than folds and a test part want, the rarest first."""
    counts = (
        label.drop_nulls().cast(pl.String).alias("value").value_counts(name="rows").sort(["rows", "value"])
    )
    return [(str(name), int(rows)) for name, rows in counts.iter_rows() if rows < 2 * folds]


def stray_classes(label: pl.Series) -> tuple[list[str], list[str]] | None:
    """Return the two classes that nearly all rows have, and the few others of a row or two; nothing of another label.

    Examples
    --------
    >>> stray_classes(pl.Series("y", ["no", "yes"] * 200 + ["abc"]))
    (['no', 'yes'], ['abc'])
    >>> stray_classes(pl.Series("y", ["no", "yes", "abc"] * 200)) is None
    True
    """
    counts = label.drop_nulls().cast(pl.String).alias("value").value_counts(name="rows")
    counts = counts.sort(["rows", "value"], descending=[True, False])
    names, rows = counts["value"].to_list(), counts["rows"].to_list()
    strays = rows[2:]
    if not strays or len(strays) > _MOST_STRAYS or strays[0] > _STRAY_ROWS or rows[1] < _RARE:
        return None
    return (sorted(names[:2]), names[2:]) if sum(strays) <= _STRAY * sum(rows) else None


def find_group(seen: Mapping[str, Seen], taken: Sequence[str]) -> tuple[str, str] | None:
    """Return a column that numbers what several rows belong to, with the evidence, though its name does not say so.

    Its values repeat equally often, or run in blocks; in blocks that are sorted, something else has to stay the same
    within them, since any sorted column runs in blocks. Or they are very many that repeat now and then, and number
    things or have rows that are alike in several other columns. Or they have the name of a shop, say, or of a number of one (`shopid`),
    and something else stays the same within each, in whatever order the rows lie.

    Parameters
    ----------
    seen
        All columns by name.
    taken
        Columns that have a part already, the label among them.
    """
    tried = [column for column in seen.values() if column.name not in taken and _may_number(column)]
    found = [
        (is_certain, column.distinct, column.name, says)
        for column in tried
        for is_certain, says in _belongings(column, seen, taken)
    ]
    # To compare rows of one value costs a look at other columns; of thousands of numbers the first are ids, if any is.
    found += [
        (True, column.distinct, column.name, says)
        for column in [one for one in tried if _is_very_many(one)][:_MOST_TRIED]
        if column.name not in {name for _, _, name, _ in found}
        if (says := _now_and_then(column, seen, taken))
    ]
    found += [
        (True, column.distinct, column.name, says)
        for column in tried
        if (is_named_thing(column) or is_named_id(column))
        and column.name not in {name for _, _, name, _ in found}
        if (says := _by_name(column, seen, taken))
    ]
    if not found:
        return None
    _, _, name, says = max(found, key=lambda one: one[:2])
    return name, says


def _may_number(column: Seen) -> bool:
    if column.type not in {"integer", "number", "category", "text"} or (COUNTED | TIME_WORDS) & set(
        column.words
    ):
        return False
    if not ENOUGH_GROUPS <= column.distinct <= column.present * (1 - AGAIN):
        return False
    return column.type != "number" or bool((column.values.drop_nulls() % 1 == 0).all())


def _belongings(column: Seen, seen: Mapping[str, Seen], taken: Sequence[str]) -> Iterator[tuple[bool, str]]:
    values = column.values.drop_nulls()
    counts = values.alias("value").value_counts(name="rows")["rows"]
    often = int(counts.mode().sort().to_numpy()[0])
    regular = float((counts.to_numpy() == often).mean())
    is_regular = regular >= _REGULAR and 2 <= often <= _MOST_OF_ONE and _is_numbering(values, column)
    runs = 1 + int((values != values.shift(1)).fill_null(value=False).sum())
    in_blocks = runs == column.distinct
    if column.distinct > column.present / 2 or not (is_regular or in_blocks):
        return
    how = f"each of its {column.distinct:,} values stands " + (
        f"in {often} rows" + ("" if regular == 1 else f" ({percent(regular)} of them)")
        if is_regular
        else f"in {len(values) / column.distinct:.1f} rows on average"
    )
    how += ", in one block" if in_blocks else ""
    same = _same_within(column, seen, taken)
    is_sorted = values.is_sorted() or values.is_sorted(descending=True)
    if same:
        how += f", and {', '.join(same[:3])} {'is' if len(same) == 1 else 'are'} the same within each"
    if is_regular or same or not is_sorted:
        yield bool(same) or (is_regular and in_blocks), f"{how}: its rows seem to belong together"


def _by_name(column: Seen, seen: Mapping[str, Seen], taken: Sequence[str]) -> str:
    """Say that values which by their name name things stand in several rows each, of one attribute, or nothing where they do not."""
    if column.distinct > column.present / 2 or not (same := _same_within(column, seen, taken)):
        return ""
    return (
        f"{column.distinct:,} values in {column.present:,} rows ({column.present / column.distinct:.1f} each on average), and "
        f"{', '.join(same[:3])} {'is' if len(same) == 1 else 'are'} the same within each: by its name, rows of one belong together"
    )


def _is_very_many(column: Seen) -> bool:
    if column.type == "text":  # what is written again now and then is a phrase
        return False
    return column.distinct >= _VERY_MANY * column.present and column.missing <= column.present


def _now_and_then(column: Seen, seen: Mapping[str, Seen], taken: Sequence[str]) -> str:
    """Say that very many values which repeat now and then name what rows belong to, or nothing where they do not seem to."""
    most = int(column.counts["rows"].to_numpy().max())
    if most > max(_MOST_OF_ONE, _LARGEST * column.present):
        return ""
    alike = _alike_within(column, seen, taken)
    if len(alike) < _ALIKE_IN and not is_numbering(column):
        return ""
    same = f", and rows of one are alike in {', '.join(alike[:3])}" if alike else ""
    return (
        f"{column.distinct:,} values in {column.present:,} rows, up to {most:,} rows each{same}: "
        "they seem to name what rows belong to"
    )


def _alike_within(column: Seen, seen: Mapping[str, Seen], taken: Sequence[str]) -> list[str]:
    """Return the other columns in which nearly all neighbours within a group agree, though any two rows seldom do."""
    rows = column.values.is_not_null().arg_true()
    order = rows.gather(column.values.gather(rows).arg_sort())
    values = column.values.gather(order)
    pairs = (values == values.shift(1)).fill_null(value=False).arg_true()
    if len(pairs) < _LEAST_PAIRS:
        return []
    pairs = pairs.gather_every(-(-len(pairs) // _MOST_PAIRS)).cast(pl.Int64)
    rows, before = order.gather(pairs), order.gather(pairs - 1)
    others = [
        one
        for one in seen.values()
        if one.name not in {column.name, *taken}
        and one.type in {"integer", "category", "boolean"}
        and 2 <= one.distinct <= column.distinct / 2
        and one.missing <= one.present
    ]
    found: list[str] = []
    for one in others[:_MOST_TRIED]:
        agree = one.values.gather(rows).eq_missing(one.values.gather(before)).to_numpy()
        if agree.mean() >= _REGULAR and _evenness(one.values) <= _SELDOM:
            found.append(one.name)
    return found


def _is_numbering(values: pl.Series, column: Seen) -> bool:
    """Return whether numbers name rather than measure: whole ones with hardly a gap. Texts always may."""
    if column.type not in NUMBERS:
        return True
    low, high = values.min(), values.max()
    return (
        isinstance(low, (int, float)) and isinstance(high, (int, float)) and high - low < 2 * column.distinct
    )


def _same_within(column: Seen, seen: Mapping[str, Seen], taken: Sequence[str]) -> list[str]:
    """Return the other columns that have one value in each group and several among the groups."""
    others = [
        one
        for one in seen.values()
        if one.name != column.name
        and one.name not in taken
        and not one.missing
        and 1 < one.distinct < column.distinct
        and _evenness(one.values) < _BALANCED
    ]
    if not others:
        return []
    frame = pl.DataFrame(
        [column.values.alias("g"), *(one.values.alias(f"c{i}") for i, one in enumerate(others))]
    )
    counted = frame.drop_nulls("g").group_by("g").agg(pl.all().n_unique()).drop("g").max().row(0)
    return [one.name for one, most in zip(others, counted, strict=True) if most == 1]
