"""From values of series to the rows of a line that forecasts: the newest values at a time, and what came."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl

from linewright.data.facts import Column
from linewright.data.spec import RECENT, UNTIL, DataSpec, ForecastSpec
from linewright.errors import SpecError
from linewright.text.lists import read_list, spelled, to_list_text, to_numbers_text
from linewright.text.newest_values import MOST_VALUES, NewestValues
from linewright.text.steps import season_of, step_numbers, step_of

MOST_ROWS = 20_000
"""Rows that are made of all series together, as far as each has at least one."""
_WANTED = 400
"""Rows that are made of few series, where their cuts need not overlap more."""
_FEWEST_RECENT = 120
_SEASONS_READ = 6
_MOST_EMPTY = 0.5
"""Share of the steps between the first value of a series and its last that may have none."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """How values follow each other, said in the line file or found."""

    every: str
    season: int
    recent: int


def steps_of(spec: ForecastSpec, typical: float, *, is_number: bool) -> Steps:
    """Return how values follow each other.

    Examples
    --------
    >>> steps_of(ForecastSpec(horizon=14), 86_400e6, is_number=False)
    Steps(every='1d', season=7, recent=120)
    """
    every = spec.every or step_of(typical, is_number=is_number)
    season = spec.season or season_of(every)
    return Steps(
        every=every, season=season, recent=spec.recent or max(_FEWEST_RECENT, _SEASONS_READ * season)
    )


def rows_of_series(
    frame: pl.DataFrame, columns: Sequence[Column], data: DataSpec
) -> tuple[pl.DataFrame, tuple[Column, ...]]:
    """Return one row for each cut: a time, the newest values at it, and those of the steps ahead."""
    spec, time = data.forecast, data.table.time
    if spec is None or time is None:
        raise SpecError(
            "a forecast needs to know when each value was",
            where="table.time",
            allowed="the column of the dates, times or whole numbers of the values",
        )
    group, label = data.table.group, data.label.column
    keys = [name for name in data.table.groups if name != group]
    names = [*keys, *([group] if group else []), time, RECENT, *spec.known_ahead, UNTIL, label]
    _refuse_names(names, frame)
    series = _series(frame, data)
    steps = steps_of(spec, _typical(series), is_number=not frame[time].dtype.is_temporal())
    ages = {"max_age": spec.max_age, "remember": spec.remember or None}
    used = next((name for name, value in ages.items() if value is not None), None)
    if used is not None and not frame[time].dtype.is_temporal():
        raise SpecError(
            "how old a value is follows from its date or time, and these times are plain numbers",
            where=f"forecast.{used}",
            found=ages[used],
            hint="remove it, or make a date of the number in table.sql",
        )
    grids = [_grid(one, steps) for one in series]
    cells = list(_cells(grids, spec, steps))
    if not cells:
        longest = max((len(one.values) for one in grids), default=0)
        if longest > spec.horizon:
            raise SpecError(
                "no value is followed by another within what is said ahead",
                where="forecast.horizon",
                found=spec.horizon,
                allowed=f"steps of {steps.every} in which another value comes",
                hint="say more steps ahead, or write a longer forecast.every and add up in table.sql",
            )
        raise SpecError(
            "no series is longer than what is said ahead",
            where="forecast.horizon",
            found=spec.horizon,
            allowed=f"less than the {longest:,} steps of the longest series",
            hint="bring longer series, or say fewer steps ahead",
        )
    made: dict[str, pl.Series] = {}
    if group:
        dtype = pl.String if keys else frame[group].dtype
        made[group] = pl.Series(group, [one.grid.name for one in cells], dtype=dtype)
    if keys:
        first = _with_series(frame, data).unique(group, keep="first", maintain_order=True)
        of_name = {row[0]: row[1:] for row in first.select(group, *keys).iter_rows()}
        for number, name in enumerate(keys):
            values = [of_name[one.grid.name][number] for one in cells]
            made[name] = pl.Series(name, values, dtype=frame[name].dtype)
    for name, place in ((time, "at"), (UNTIL, "until")):
        made[name] = _times(name, [getattr(one, place) for one in cells], frame[time].dtype)
    made[RECENT] = pl.Series(RECENT, [to_numbers_text(one.recent) for one in cells], dtype=pl.String)
    for number, name in enumerate(spec.known_ahead):
        made[name] = pl.Series(name, [to_numbers_text(one.known[number]) for one in cells], dtype=pl.String)
    made[label] = pl.Series(label, [to_numbers_text(one.label) for one in cells], dtype=pl.String)
    described = {column.name: column for column in columns}
    lists = {RECENT, *spec.known_ahead, label}
    found = pl.DataFrame([made[name] for name in names])
    order = [time, group] if group else [time]
    return found.sort(order, maintain_order=True), tuple(
        Column(name=name, type="numbers", nullable=False)
        if name in lists
        else Column(name=name, type="text", nullable=False)
        if name == group and keys
        else described[time if name == UNTIL else name]
        if name != UNTIL
        else Column(name=UNTIL, type=described[time].type, nullable=False, format=described[time].format)
        for name in names
    )


def newest_values(frame: pl.DataFrame, columns: Sequence[Column], data: DataSpec) -> NewestValues | None:
    """Return the newest values of each series, as many as are read of one; `None` if there are none, or more than an endpoint keeps."""
    spec, time = data.forecast, data.table.time
    if spec is None or time is None:
        return None
    series = _series(frame, data)
    steps = steps_of(spec, _typical(series), is_number=not frame[time].dtype.is_temporal())
    if not series or sum(min(len(one.values), steps.recent) for one in series) > MOST_VALUES:
        return None
    grids = [_grid(one, steps) for one in series]
    kept = [one.values[-steps.recent :] for one in grids]
    if sum(map(len, kept)) > MOST_VALUES:
        return None
    keys = data.table.groups
    names = [
        tuple(read_list(str(one.name)) if len(keys) > 1 else spelled([cast("str", one.name)])) if keys else ()
        for one in grids
    ]
    return NewestValues.of(
        keys=keys,
        time=time,
        type=next(column.type for column in columns if column.name == time),
        label=data.label.column,
        every=steps.every,
        max_age=spec.max_age,
        series=[
            (name, int(one.at[-1]), values) for name, one, values in zip(names, grids, kept, strict=True)
        ],
    )


def _times(name: str, values: Sequence[int], dtype: pl.DataType) -> pl.Series:
    plain = pl.Series(name, values, dtype=pl.Int64)
    return plain.cast(pl.Datetime("us")).cast(dtype) if dtype == pl.Date else plain.cast(dtype)


def _refuse_names(names: Sequence[str], frame: pl.DataFrame) -> None:
    for name in (RECENT, UNTIL):
        if names.count(name) > 1 or name in frame.columns:
            raise SpecError(
                f"the column {name!r} is made of the values, so none of the table may have its name",
                where="table",
                found=name,
                hint="rename it in table.sql",
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Series:
    name: object
    at: np.ndarray
    """Ascending: microseconds since 1970, or numbers."""
    values: np.ndarray
    known: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class _Grid:
    name: object
    at: np.ndarray
    """Time of each step; of one without a value that of the step before."""
    values: np.ndarray
    known: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class _Cell:
    grid: _Grid
    cut: int
    horizon: int
    length: int

    @property
    def at(self) -> int:
        return int(self.grid.at[self.cut - 1])

    @property
    def until(self) -> int:
        return int(self.grid.at[self.cut + self.horizon - 1])

    @property
    def recent(self) -> list[float]:
        return self.grid.values[max(0, self.cut - self.length) : self.cut].tolist()

    @property
    def label(self) -> list[float]:
        return self.grid.values[self.cut : self.cut + self.horizon].tolist()

    @property
    def known(self) -> list[list[float]]:
        return self.grid.known[:, self.cut : self.cut + self.horizon].tolist()


def _series(frame: pl.DataFrame, data: DataSpec) -> list[_Series]:
    spec, time, group, label = data.forecast, str(data.table.time), data.table.group, data.label.column
    assert spec is not None  # noqa: S101 -- asked by its only user
    wanted = [*([group] if group else []), time, label, *spec.known_ahead]
    there = (
        _with_series(frame, data)
        .select(wanted)
        .filter(pl.col(label).is_not_null() & pl.col(time).is_not_null())
    )
    if group:
        there = there.filter(pl.col(group).is_not_null())
    for name in (label, *spec.known_ahead):
        if not (there[name].dtype.is_numeric() or there[name].dtype == pl.Boolean):
            raise SpecError(
                "what is said ahead, and what is known ahead, are numbers",
                where="label.column" if name == label else "forecast.known_ahead",
                found=f"{name}: {there[name].dtype}",
                hint=f"correct {name!r}, or make a number of it in table.sql",
            )
    micros = there[time].cast(pl.Datetime("us")) if there[time].dtype == pl.Date else there[time]
    there = there.with_columns(micros.to_physical().cast(pl.Int64).alias(time))
    parts = (
        there.sort(time, maintain_order=True).partition_by(group, as_dict=False)
        if group
        else [there.sort(time)]
    )
    found = [
        _Series(
            name=part[group][0] if group else None,
            at=part[time].to_numpy(),
            values=part[label].cast(pl.Float64).to_numpy(),
            known=np.array([part[name].cast(pl.Float64).to_numpy() for name in spec.known_ahead]).reshape(
                len(spec.known_ahead), part.height
            ),
        )
        for part in parts
        if part.height
    ]
    return sorted(found, key=lambda one: str(one.name))


def _with_series(frame: pl.DataFrame, data: DataSpec) -> pl.DataFrame:
    """Return values with one column that names the series, where several do."""
    group, keys = data.table.group, data.table.groups
    if group is None or len(keys) < 2:
        return frame
    if group in frame.columns:
        raise SpecError(
            "a column has the name of what several columns make", where="table.group", found=group
        )
    rows = frame.select(keys).iter_rows()
    names = [None if None in row else to_list_text(spelled(row)) for row in rows]
    return frame.with_columns(pl.Series(group, names, dtype=pl.String))


def _typical(series: Sequence[_Series]) -> float:
    apart = np.concatenate([*(np.diff(one.at) for one in series), np.empty(0)])
    apart = apart[apart > 0]
    return typical_of(apart) if len(apart) else 1.0


def typical_of(apart: np.ndarray) -> float:
    """Return which of some distances is the usual one.

    Examples
    --------
    >>> typical_of(np.array([1, 1, 3])), typical_of(np.array([28, 30, 31, 31]))
    (1.0, 30.5)
    """
    values, counts = np.unique(apart, return_counts=True)
    # Months differ in length: of distances of which none is usual, the middle one.
    return float(values[counts.argmax()]) if counts.max() > 0.5 * len(apart) else float(np.median(apart))


def _grid(one: _Series, steps: Steps) -> _Grid:
    number = step_numbers(one.at, steps.every)
    called = f"of {one.name!r} " if one.name is not None else ""
    again = np.flatnonzero(np.diff(number) == 0)
    if len(again):
        raise SpecError(
            f"two values {called}are in one step of {steps.every}",
            where="table",
            found=_said(int(one.at[again[0] + 1]), is_number=steps.every == "1"),
            allowed="one value a step for each series",
            hint="name the series as table.group, add up or average in table.sql, or write a shorter forecast.every",
        )
    place = number - number[0]
    size = int(place[-1]) + 1
    if size > len(place) / (1 - _MOST_EMPTY) + 2:
        raise SpecError(
            f"the times {called}are irregular: {len(place):,} values in {size:,} steps of {steps.every}",
            where="forecast.every",
            found=steps.every,
            allowed=f"a value in at least {1 - _MOST_EMPTY:.0%} of the steps",
            hint="write a longer forecast.every and add up in table.sql, or leave the series out",
        )
    values, known = np.full(size, np.nan), np.full((len(one.known), size), np.nan)
    values[place], known[:, place] = one.values, one.known
    latest = np.zeros(size, dtype=np.int64)
    latest[place] = np.arange(len(place))
    return _Grid(name=one.name, at=one.at[np.maximum.accumulate(latest)], values=values, known=known)


def _said(at: int, *, is_number: bool) -> str:
    return str(at) if is_number else str(np.datetime64(at, "us"))


def _cells(grids: Sequence[_Grid], spec: ForecastSpec, steps: Steps) -> Iterator[_Cell]:
    h = spec.horizon
    possible = [_possible_cuts(one.values, h) for one in grids]
    many = sum(map(len, possible))
    stride = max(1, min(h, many // _WANTED), -(-many // MOST_ROWS))
    for one, cuts in zip(grids, possible, strict=True):
        for cut in cuts[::stride].tolist():
            yield _Cell(grid=one, cut=cut, horizon=h, length=steps.recent)


def _possible_cuts(values: np.ndarray, horizon: int) -> np.ndarray:
    """Return the cuts of a series, the latest first, that have their newest value and one ahead.

    The time of the newest value is the time of the row. Cuts without it go before any are passed over by count: if each seventh were taken, all of
    them could be of a Sunday.
    """
    known = ~np.isnan(values)
    cuts = np.arange(len(values) - horizon, 0, -1)
    before = np.concatenate([[0], known.cumsum()])
    return cuts[known[cuts - 1] & (before[cuts + horizon] > before[cuts])]
