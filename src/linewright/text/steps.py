"""Steps of time, such as hours, days or months: which step a time is in, and when another is."""

import re
from calendar import monthrange
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

HOUR, DAY = 3_600_000_000, 86_400_000_000
_MICROS = {"s": 10**6, "m": 60 * 10**6, "h": HOUR, "d": DAY, "w": 7 * DAY}
MONTHS = {"month": 1, "quarter": 3, "year": 12}
"""Steps that are not always as long, in months."""
_NUMBER = "1"
"""The step of times that are plain numbers."""
_SEASONS = {"month": 12, "quarter": 4, "year": 1, "7d": 52, "1w": 52, "1d": 7, _NUMBER: 1}
_PART = 2**24
"""Whole numbers up to this one are exact in float32."""
_EXACT = 2**53
"""Whole numbers up to this one are exact in float64, and in JSON."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def step_of(typical: float, *, is_number: bool = False) -> str:
    """Return the step that a typical distance between times is.

    Examples
    --------
    >>> step_of(30.4 * DAY), step_of(DAY), step_of(HOUR / 4), step_of(91 * DAY), step_of(365 * DAY)
    ('month', '1d', '15m', 'quarter', 'year')
    """
    if is_number:
        return _NUMBER
    for name, months in MONTHS.items():
        if 28 * DAY * months <= typical <= (31 * DAY + HOUR) * months and months * 28 * DAY <= 366 * DAY:
            return name
    whole = max(round(typical / 10**6), 1) * 10**6
    unit = next(name for name in ("d", "h", "m", "s") if whole % _MICROS[name] == 0)
    return f"{whole // _MICROS[unit]}{unit}"


def micros_of_step(every: str) -> int:
    """Return how long a step is, in microseconds; of months about."""
    if every == _NUMBER:
        return 1
    if every in MONTHS:
        return round(MONTHS[every] * 365.25 / 12 * DAY)
    found = re.fullmatch(r"(\d+)([smhdw])", every)
    if found is None:
        raise ValueError(every)
    return int(found[1]) * _MICROS[found[2]]


def season_of(every: str) -> int:
    """Return after how many steps it is usual that a season comes again; 1 for none.

    Examples
    --------
    >>> season_of("month"), season_of("1d"), season_of("15m"), season_of("3d")
    (12, 7, 96, 1)
    """
    if every in _SEASONS:
        return _SEASONS[every]
    length = micros_of_step(every)
    return DAY // length if length < DAY and DAY % length == 0 and DAY // length <= 288 else 1


def step_numbers(micros: NDArray[np.int64], every: str) -> NDArray[np.int64]:
    """Return in which step times are, as numbers that rise by 1 from step to step.

    Examples
    --------
    >>> step_numbers(np.array([0, 31 * DAY, 59 * DAY]), "month").tolist(), step_numbers(np.array([0, DAY]), "1h").tolist()
    ([0, 1, 2], [0, 24])
    """
    if every in MONTHS:
        months = micros.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
        return months // MONTHS[every]
    return np.floor_divide(micros, micros_of_step(every))


def step_names(every: str, horizon: int) -> tuple[str, ...]:
    """Return the names of the steps ahead.

    Examples
    --------
    >>> step_names("1d", 2)
    ('1d+1', '1d+2')
    """
    return tuple(f"{every}+{step}" for step in range(1, horizon + 1))


def every_in(names: Sequence[str]) -> str:
    """Return the step that `step_names` were made of."""
    return names[0].rpartition("+")[0]


def time_parts(at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return times as three numbers each, shape (n, 3), that float32 holds exactly; `from_time_parts` puts them together.

    Examples
    --------
    >>> parts = time_parts(np.array([1_767_299_696_123_001, -1]))
    >>> parts.tolist(), from_time_parts(parts.astype(np.float32)).tolist()
    ([[6, 4675974, 10050681], [-1, 16777215, 16777215]], [1767299696123001, -1])
    """
    high, rest = np.divmod(at, _PART**2)
    return np.stack([high, *np.divmod(rest, _PART)], axis=1)


def from_time_parts(parts: NDArray[Any]) -> NDArray[np.int64]:
    """Return the times of which these are the parts."""
    high, middle, low = np.rint(parts).astype(np.int64).T
    return (high * _PART + middle) * _PART + low


def times_ahead(newest: int, every: str, count: int) -> list[str | int]:
    """Return the times of the next steps, as ISO 8601 text: dates if a step is at least a day and the newest time is a midnight.

    Examples
    --------
    >>> times_ahead(30 * DAY, "month", 2), times_ahead(0, "12h", 1), times_ahead(7, "1", 2)
    (['1970-02-28', '1970-03-31'], ['1970-01-01T12:00:00Z'], [8, 9])
    """
    if every == _NUMBER:
        return [newest + step for step in range(1, count + 1)]
    start = _EPOCH + timedelta(microseconds=newest)
    if every in MONTHS:
        found = [_months_on(start, MONTHS[every] * step) for step in range(1, count + 1)]
    else:
        length = timedelta(microseconds=micros_of_step(every))
        found = [start + length * step for step in range(1, count + 1)]
    is_date = newest % DAY == 0 and (every in MONTHS or micros_of_step(every) % DAY == 0)
    return _texts(found, is_date=is_date)


def are_sayable(newest: NDArray[np.int64], every: str, count: int) -> NDArray[np.bool_]:
    """Return which times have so many steps behind them that `times_ahead` can say: in the years 1 to 9999, or up to 2^53 for plain numbers.

    Examples
    --------
    >>> times = np.array(["9999-11-30", "9999-12-01"], dtype="datetime64[us]").astype(np.int64)
    >>> are_sayable(times, "month", 1).tolist(), are_sayable(times, "1d", 30).tolist()
    ([True, False], [True, True])
    """
    if every == _NUMBER:
        return np.abs(newest) <= _EXACT - count
    first, end = (np.datetime64(day, "us").astype(np.int64) for day in ("0001-01-01", "10000-01-01"))
    if every in MONTHS:
        months = newest.astype("datetime64[us]").astype("datetime64[M]")
        return (newest >= first) & (months + count * MONTHS[every] < np.datetime64("10000-01", "M"))
    return (newest >= first) & (newest < end - count * micros_of_step(every))


def _texts(times: Sequence[datetime], *, is_date: bool) -> list[str | int]:
    if is_date:
        return [one.date().isoformat() for one in times]
    return [one.isoformat().replace("+00:00", "Z") for one in times]


def _months_on(start: datetime, months: int) -> datetime:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    last = monthrange(year, month + 1)[1]
    return start.replace(year=year, month=month + 1, day=min(start.day, last))
