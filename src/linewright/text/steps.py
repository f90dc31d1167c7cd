"""Steps of time, such as hours, days or months: which step a time is in, and when another is."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

HOUR, DAY = 3_600_000_000, 86_400_000_000
_MICROS = {"s": 10**6, "m": 60 * 10**6, "h": HOUR, "d": DAY, "w": 7 * DAY}
MONTHS = {"month": 1, "quarter": 3, "year": 12}
"""Steps that are not always as long, in months."""
_NUMBER = "1"
"""The step of times that are plain numbers."""
_SEASONS = {"month": 12, "quarter": 4, "year": 1, "7d": 52, "1w": 52, "1d": 7, _NUMBER: 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def step_of(typical: float, *, is_number: bool = False) -> str:
    """Return the step that a typical distance between times is.

    Parameters
    ----------
    typical
        In microseconds.
    is_number
        Whether times are plain numbers, whose step is 1.

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


def times_ahead(newest: int, every: str, count: int) -> list[str | int]:
    """Return the times of the next steps, as ISO 8601 text: dates if a step is at least a day and the newest time is a midnight.

    Parameters
    ----------
    newest
        In microseconds since 1970, or a plain number where `every` is ``"1"``.

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


def _texts(times: Sequence[datetime], *, is_date: bool) -> list[str | int]:
    if is_date:
        return [one.date().isoformat() for one in times]
    return [one.isoformat().replace("+00:00", "Z") for one in times]


def _months_on(start: datetime, months: int) -> datetime:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    last = (following - timedelta(days=1)).day
    return start.replace(year=year, month=month + 1, day=min(start.day, last))
