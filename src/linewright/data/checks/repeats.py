"""Test rows that repeat training rows: a model has seen them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from linewright.data.checks.check import in_table
from linewright.data.checks.rows import RowCheck, Rows
from linewright.data.dataset.split import foreseen
from linewright.data.facts import TEST, TRAIN, Edit, Finding
from linewright.errors import SpecError
from linewright.text.quoting import in_sql

Hashes = npt.NDArray[np.uint64]

MOST_ROWS = 200_000
"""Rows that are compared with each other; of more, those whose content has a hash that is divisible."""
_LEAST_REPEATS = 5
_REPEATED = 0.01
_TRIED = 6
_SAME = 0.8
_CHANCE = 3.0
_BALANCED = 0.9
_TELLING = 0.3
_MOST_IN_SQL = 12


class RepeatedRows(RowCheck):
    """Test rows with the features of training rows, label included often enough for a memory to help."""

    id = "repeats"
    severity = "warn"

    def run(self, rows: Rows) -> Iterator[Finding]:
        """Split the rows as a run does, and give how many test rows are known from training."""
        features, label = rows.features, rows.label.name
        if not features or rows.data.label.columns:
            return
        kept = content_sample([rows.seen[name].values for name in features])
        frame = rows.frame[kept]
        rest = set(frame.columns) - {*features, label, rows.data.table.key}
        try:
            parts = foreseen(frame, rows.split, rows.data)
        except SpecError:  # a run says why there are no parts
            return
        columns = ([frame[name] for name in features], frame[label], [frame[name] for name in sorted(rest)])
        found = find_repeats(*columns, parts, is_class=rows.is_class)
        if found is not None:
            form, remedy = _mended(rows, found)
            sample = {"sample": len(kept), "of_rows": rows.height} if rows.height > MOST_ROWS else {}
            group = rows.data.table.group
            yield self.finding((), remedy, form=form, **found._asdict(), group=group, **sample)


def _mended(rows: Rows, found: "Repeats") -> tuple[str, tuple[Edit, ...]]:
    """Return which kind of repeats it is, and what keeps equal rows out of the other part."""
    key, features = in_sql(rows.data.table.key or ""), rows.features
    if found.is_copy and rows.data.table.key:
        one_each = f"min({key}) as {key},"
        return "key", (rows.query("select", one_each, f"* exclude ({key})", after="group by all"),)
    if found.is_copy:
        return "copy", (rows.query("select distinct *"),)
    if rows.data.table.group is not None:
        return ("time" if rows.by == "time" else "group"), ()
    if rows.by != "random" or len(features) > _MOST_IN_SQL:
        return "other", ()
    names = ", ".join(f"coalesce({in_sql(name)}::text, '')" for name in features)
    made = rows.query("select *,", f"md5(concat_ws('|', {names})) as alike")
    return "alike", (made, in_table("group", "alike"))


class Repeats(NamedTuple):
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
    """
    hashed = hash_content(features)
    train = np.unique(hashed[parts == TRAIN])
    is_hit = (parts == TEST) & np.isin(hashed, train)
    rows, tested = int(is_hit.sum()), int((parts == TEST).sum())
    if rows < _LEAST_REPEATS or rows < _REPEATED * tested or _is_coarse(features, hashed):
        return None
    by_chance = evenness(label.filter(pl.Series(parts == TEST))) if is_class else 0.0

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
    even = [evenness(column) for column in features]
    tried = sorted(range(len(features)), key=even.__getitem__)
    for number in {*tried[:_TRIED], *tried[-_TRIED:]}:
        agree_else = _pairs(hashed - features[number].hash(seed=number).to_numpy())
        share = pairs / agree_else
        if share < _SAME and share < _CHANCE * even[number]:
            return True
    return False


def evenness(column: pl.Series) -> float:
    """Return how likely two rows have the same value."""
    rows = column.alias("value").value_counts(name="rows")["rows"].to_numpy()
    return float(((rows / len(column)) ** 2).sum())


def _pairs(hashed: Hashes) -> float:
    _, counts = np.unique(hashed, return_counts=True)
    return float((counts * (counts - 1.0)).sum() / 2)
