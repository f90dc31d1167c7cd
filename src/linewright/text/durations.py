"""Durations as line files spell them: a number and a unit."""

import re

from linewright.errors import SpecError

_MICROS = {
    "us": 1,
    "ms": 10**3,
    "s": 10**6,
    "m": 60 * 10**6,
    "h": 3600 * 10**6,
    "d": 86_400 * 10**6,
    "w": 604_800 * 10**6,
    "y": 365 * 86_400 * 10**6,
}


def duration_micros(text: str) -> int:
    """Return a duration such as ``45d`` in microseconds.

    Examples
    --------
    >>> duration_micros("1.5h")
    5400000000
    """
    parts = re.fullmatch(r"([0-9.]+)([a-z]+)", text)
    if parts is None or parts[2] not in _MICROS:
        raise SpecError(
            "not a duration", found=text, allowed="a number and us, ms, s, m, h, d or w, e.g. 45d"
        )
    return round(float(parts[1]) * _MICROS[parts[2]])
