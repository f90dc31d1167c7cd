"""Times among numbers."""

from datetime import UTC, datetime

import numpy as np

_DAY = 86_400_000_000


def say_time(micros: float) -> str:
    """Return microseconds since 1970 as a date, with the time of day where it is not midnight.

    Examples
    --------
    >>> say_time(86_400_000_000.0), say_time(90_000_000_000.0)
    ('1970-01-02', '1970-01-02 01:00')
    """
    moment = np.datetime64(int(micros), "us")
    return str(np.datetime_as_string(moment, unit="D" if micros % _DAY == 0 else "m")).replace("T", " ")


def from_epoch(number: float) -> datetime | None:
    """Return the instant that a number is if it counts seconds, milli- or microseconds since 1970; `None` if that would not be of 1973 to 2099.

    Examples
    --------
    >>> from_epoch(964_982_703).isoformat(), from_epoch(964_982_703_000).isoformat(), from_epoch(17)
    ('2000-07-30T18:45:03+00:00', '2000-07-30T18:45:03+00:00', None)
    """
    for unit in (1, 1_000, 1_000_000):
        if _FIRST <= number / unit < _LAST:
            return datetime.fromtimestamp(number / unit, UTC)
    return None


_FIRST, _LAST = 1e8, 4.1e9
