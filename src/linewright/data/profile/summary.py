"""What the columns of a table hold, for people who look at it: counts, ranges, common values."""

import math
from collections.abc import Collection, Iterator
from typing import Any

import msgspec
import numpy as np
import polars as pl

MOST_COMMON = 8
"""Values of a column that are shown."""
FEWEST = 10
"""Rows that must have a value before it is shown: what fewer have may name somebody."""
BINS = 20


class CommonValue(msgspec.Struct, frozen=True, kw_only=True):
    """A value, and the rows that have it."""

    value: str
    rows: int


class ColumnSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What one column holds."""

    name: str
    type: str
    """One of `data.spec.ColumnType`."""
    missing: int
    """Rows without a value."""
    distinct: int
    """Different values."""
    least: str | float | None = None
    most: str | float | None = None
    """Smallest and largest number or time; `None` of other types, and if no row has a value."""
    mean: float | None = None
    """Of numbers."""
    middle: float | None = None
    """The median, of numbers."""
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    """Of numbers: rows in bins of equal width, ``edges[i] <= x < edges[i + 1]``; the last bin holds its upper edge too."""
    common: tuple[CommonValue, ...] = ()
    """The most frequent values, most rows first; none that fewer than 10 rows have."""


def summarise(
    frame: pl.DataFrame, types: dict[str, str], *, hidden: Collection[str] = ()
) -> Iterator[ColumnSummary]:
    """Give a summary of each column, in order.

    Examples
    --------
    >>> found = list(summarise(pl.DataFrame({"x": [1.0, 3.0, None]}), {"x": "number"}))
    >>> found[0].missing, found[0].least, found[0].most, found[0].mean, sum(found[0].counts)
    (1, 1.0, 3.0, 2.0, 2)
    """
    for column in frame.iter_columns():
        yield _summary(column, types[column.name], is_hidden=column.name in hidden)


def _summary(column: pl.Series, kind: str, *, is_hidden: bool) -> ColumnSummary:
    there = column.drop_nulls()
    details: dict[str, Any] = {}
    if not is_hidden and len(there):
        if column.dtype.is_numeric():
            details = _of_numbers(there)
        elif column.dtype.is_temporal():
            details = {"least": there.min().isoformat(), "most": there.max().isoformat()}  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue] -- there is a value
        if not column.dtype.is_temporal() and not column.dtype.is_float():
            details["common"] = tuple(_common(there))
    return ColumnSummary(
        name=column.name, type=kind, missing=column.null_count(), distinct=there.n_unique(), **details
    )


def _of_numbers(there: pl.Series) -> dict[str, Any]:
    values = there.cast(pl.Float64).to_numpy()
    values = values[np.isfinite(values)]
    if not len(values):
        return {}
    least, most = float(values.min()), float(values.max())
    details = {"least": least, "most": most, "mean": float(values.mean()), "middle": float(np.median(values))}
    if least < most and math.isfinite(most - least):
        counts, edges = np.histogram(values, bins=BINS)
        details |= {"edges": tuple(edges.tolist()), "counts": tuple(counts.tolist())}
    return details


def _common(there: pl.Series) -> Iterator[CommonValue]:
    counted = there.cast(pl.String).alias("value").value_counts(name="rows")
    counted = counted.filter(pl.col("rows") >= FEWEST).sort(["rows", "value"], descending=[True, False])
    for value, rows in counted.head(MOST_COMMON).iter_rows():
        yield CommonValue(value=value, rows=rows)
