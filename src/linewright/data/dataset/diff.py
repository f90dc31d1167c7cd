"""How two dataset versions differ: rows by key, columns, and what each column holds."""

from collections.abc import Iterator

import msgspec
import polars as pl


class ColumnShift(msgspec.Struct, frozen=True, kw_only=True):
    """What a column of both versions held before and holds now, where that differs."""

    column: str
    missing: tuple[float, float]
    """Share of rows without a value."""
    mean: tuple[float | None, float | None] | None = None
    """Of numbers; `None` where there is no value."""
    most: tuple[tuple[str, float], tuple[str, float]] | None = None
    """Of other types: the most common value with its share of the rows that have one."""


class RowChanges(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that came, went and changed, matched by key."""

    key: str
    added: int
    removed: int
    changed: int
    changed_columns: dict[str, int]
    """In how many of the changed rows each column differs, most first."""


def row_changes(old: pl.DataFrame, new: pl.DataFrame, key: str) -> RowChanges:
    """Return which rows of two tables differ, by a key that both have in the same type and that no row repeats.

    Examples
    --------
    >>> old = pl.DataFrame({"id": [1, 2, 3], "x": [5, 6, None]})
    >>> new = pl.DataFrame({"id": [2, 3, 4], "x": [6, 7, 8]})
    >>> row_changes(old, new, "id")
    RowChanges(key='id', added=1, removed=1, changed=1, changed_columns={'x': 1})
    """
    shared = [name for name in new.columns if name != key and old.schema.get(name) == new.schema[name]]
    # Columns are numbered: their own names may look like patterns.
    numbered = {name: f"c{number}" for number, name in enumerate(shared)}
    left, right = (
        pl.DataFrame([one[key].alias("key"), *(one[name].alias(number) for name, number in numbered.items())])
        for one in (old, new)
    )
    both = left.join(right, on="key", how="inner", suffix="_new")
    differs = both.select(
        pl.col(number).ne_missing(pl.col(f"{number}_new")).alias(number) for number in numbered.values()
    )
    counts = {name: int(differs[number].sum()) for name, number in numbered.items()}
    return RowChanges(
        key=key,
        added=new.height - both.height,
        removed=old.height - both.height,
        changed=int(differs.select(pl.any_horizontal(pl.all())).to_series().sum()) if shared else 0,
        changed_columns={name: n for name, n in sorted(counts.items(), key=lambda item: -item[1]) if n},
    )


def column_shifts(old: pl.DataFrame, new: pl.DataFrame) -> Iterator[ColumnShift]:
    """Give each column of both tables whose missing values, mean or most common value differ, largest change first."""
    shifts = [(-_size(shift, new[shift.column]), shift) for shift in _shifts(old, new)]
    yield from (shift for _, shift in sorted(shifts, key=lambda one: one[0]))


def _size(shift: ColumnShift, values: pl.Series) -> float:
    """Return how large a change is: of shares, and of a mean in the spread of its column."""
    parts = [abs(shift.missing[1] - shift.missing[0])]
    if shift.mean:
        spread = values.cast(pl.Float64).std()
        moved = abs((shift.mean[1] or 0.0) - (shift.mean[0] or 0.0))
        parts.append(moved / spread if isinstance(spread, float) and spread else float(moved > 0))
    if shift.most:
        (was, share), (now, share_now) = shift.most
        parts.append(1.0 if was != now else abs(share_now - share))
    return max(parts)


def _shifts(old: pl.DataFrame, new: pl.DataFrame) -> Iterator[ColumnShift]:
    for name, dtype in new.schema.items():
        if old.schema.get(name) != dtype:
            continue
        before, now = old[name], new[name]
        missing = (_missing(before), _missing(now))
        mean = (_mean(before), _mean(now)) if dtype.is_numeric() else None
        most = None if mean or dtype.is_temporal() else (_most(before), _most(now))
        if len({missing[0], missing[1]}) > 1 or any(pair and pair[0] != pair[1] for pair in (mean, most)):
            yield ColumnShift(column=name, missing=missing, mean=mean, most=most)


def _missing(values: pl.Series) -> float:
    return values.null_count() / len(values) if len(values) else 0.0


def _mean(values: pl.Series) -> float | None:
    mean = values.cast(pl.Float64).mean()
    return float(mean) if isinstance(mean, float) else None


def _most(values: pl.Series) -> tuple[str, float]:
    there = values.drop_nulls().cast(pl.String).rename("value")
    if there.is_empty():
        return "", 0.0
    # Of equally common values the first by name, so that the answer does not depend on their order.
    counted = there.value_counts().sort(["count", "value"], descending=[True, False])
    return str(counted["value"][0]), int(counted["count"][0]) / len(there)
