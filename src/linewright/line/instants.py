"""Instants that lie a duration before or after another."""

from datetime import datetime, timedelta

from linewright.store.clock import text_of
from linewright.text.durations import duration_micros


def earlier(at: str, duration: str) -> str:
    """Return the instant that lies a duration before another.

    Examples
    --------
    >>> earlier("2026-11-25T00:00:00.000000Z", "1d")
    '2026-11-24T00:00:00.000000Z'
    """
    return text_of(datetime.fromisoformat(at) - timedelta(microseconds=duration_micros(duration)))


def later(at: str, duration: str) -> str:
    """Return the instant that lies a duration after another.

    Examples
    --------
    >>> later("2026-11-25T00:00:00.000000Z", "10m")
    '2026-11-25T00:10:00.000000Z'
    """
    return text_of(datetime.fromisoformat(at) + timedelta(microseconds=duration_micros(duration)))
