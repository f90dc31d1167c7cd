"""Parts of a table that have no label: rows of a kind, or of a time, whose truth no model has seen."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from linewright.data.profile.column import Seen
from linewright.data.spec import TIMES

Mask = npt.NDArray[np.bool_]

_NEARLY_ALL = 0.95
_LEAST_ROWS = 20
_LEAST_OF_TIME = 0.02
_FEW_ELSEWHERE = 0.5
_CHANCE = 1e-6
_MOST_LEVELS = 50
_MOST_PARTS = 5


class Unlabelled(NamedTuple):
    """A part of a table that has no label, or hardly any."""

    column: str
    levels: tuple[Any, ...]
    """The values whose rows have none, `None` for no value; empty for a range."""
    low: Any
    high: Any
    """First and last time of a range."""
    is_last: bool
    """Whether the range lasts to the end of the table."""
    rows: int
    labelled: int
    elsewhere: float
    """Share of the other rows without a label; those of other such parts are not counted."""
    added: int
    """Rows that are of no larger part."""


def find_unlabelled(
    label: pl.Series, columns: Mapping[str, Seen], time: str | None
) -> tuple[Unlabelled, ...]:
    """Return the parts of a table without a label, the largest first; each is sought outside of those before it.

    Parameters
    ----------
    label
        The label of n rows.
    columns
        Where to look: by name, n rows each.
    time
        The one of them by which rows follow each other, though it may hold numbers.

    Examples
    --------
    >>> from linewright.data.profile.column import see
    >>> kind = see(pl.Series("kind", ["a", "b", "c"] * 30))
    >>> parts = find_unlabelled(pl.Series(["x", "y", None] * 30), {"kind": kind}, None)
    >>> parts[0].column, parts[0].levels, parts[0].rows
    ('kind', ('c',), 30)
    """
    bare = label.is_null().to_numpy()
    left = np.ones(len(bare), dtype=np.bool_)
    found: list[Unlabelled] = []
    while len(found) < _MOST_PARTS and (bare & left).sum() >= _LEAST_ROWS:
        parts = [
            part
            for column in columns.values()
            for part in (
                _range(column, bare, left)
                if column.type in TIMES or column.name == time
                else _levels(column, bare, left)
            )
        ]
        if not parts:
            break
        best, rows = max(parts, key=lambda part: part[0].added)
        found.append(best)
        left &= ~rows
    return tuple(found)


def _levels(column: Seen, bare: Mask, left: Mask) -> Iterator[tuple[Unlabelled, Mask]]:
    if column.type == "text" or not 1 <= column.distinct <= _MOST_LEVELS:
        return
    rows = pl.DataFrame({"level": column.values, "bare": bare}).filter(left)
    counts = rows.group_by("level").agg(pl.len().alias("rows"), pl.col("bare").sum()).sort("level")
    is_bare = (pl.col("rows") >= _LEAST_ROWS) & (pl.col("bare") >= _NEARLY_ALL * pl.col("rows"))
    some, rest = counts.filter(is_bare), counts.filter(~is_bare)
    if some.is_empty() or rest.is_empty():
        return
    elsewhere = int(rest["bare"].sum()) / int(rest["rows"].sum())
    some = some.filter(
        pl.Series(
            [_is_no_chance(n, b, elsewhere) for n, b in some.select("rows", "bare").rows()], dtype=pl.Boolean
        )
    )
    if not some.is_empty():
        levels = some["level"].to_list()
        covered = column.values.is_in(levels, nulls_equal=True).to_numpy()
        yield _part(column, bare, left, covered, elsewhere, levels=levels), covered


def _range(column: Seen, bare: Mask, left: Mask) -> Iterator[tuple[Unlabelled, Mask]]:
    """Find the range of time in which nearly all rows are bare: that of the largest sum, where a label costs 19 bare rows."""
    rows = pl.DataFrame({"time": column.values, "bare": bare}).filter(left).drop_nulls("time")
    if rows.is_empty():
        return
    counts = rows.group_by("time").agg(pl.len().alias("rows"), pl.col("bare").sum()).sort("time")
    n, b = counts["rows"].to_numpy(), counts["bare"].to_numpy().astype(np.int64)
    price = _NEARLY_ALL / (1 - _NEARLY_ALL)
    total = np.concatenate([[0.0], np.cumsum(b - price * (n - b))])
    end = int(np.argmax(total - np.minimum.accumulate(total)))
    start = int(np.argmin(total[: end + 1]))
    inside, its_bare = int(n[start:end].sum()), int(b[start:end].sum())
    outside = int(n.sum()) - inside
    if inside < max(_LEAST_ROWS, _LEAST_OF_TIME * len(bare)) or not outside:
        return
    elsewhere = float((b.sum() - its_bare) / outside)
    if not _is_no_chance(inside, its_bare, elsewhere):
        return
    low, high = counts["time"][start], counts["time"][end - 1]
    covered = column.values.is_between(low, high).fill_null(value=False).to_numpy()
    is_last = high == column.values.max()
    yield _part(column, bare, left, covered, elsewhere, low=low, high=high, is_last=is_last), covered


def _part(
    column: Seen,
    bare: Mask,
    left: Mask,
    covered: Mask,
    elsewhere: float,
    *,
    levels: Sequence[Any] = (),
    low: Any = None,
    high: Any = None,
    is_last: bool = False,
) -> Unlabelled:
    return Unlabelled(
        column=column.name,
        levels=tuple(levels),
        low=low,
        high=high,
        is_last=is_last,
        rows=int(covered.sum()),
        labelled=int((covered & ~bare).sum()),
        elsewhere=elsewhere,
        added=int((covered & left).sum()),
    )


def _is_no_chance(rows: int, bare: int, elsewhere: float) -> bool:
    """Return whether rows would not be as bare if labels were missing as often as elsewhere."""
    if bare < rows:
        return elsewhere <= _FEW_ELSEWHERE
    return elsewhere == 0 or rows * math.log(elsewhere) < math.log(_CHANCE)
