"""Times among numbers."""

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
