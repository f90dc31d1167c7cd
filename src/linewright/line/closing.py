"""A window that is being closed: what those who look at it share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from linewright.data.spec import duration_micros
from linewright.line.factory import Factory
from linewright.line.spec import LineSpec
from linewright.model.package import Model
from linewright.store.clock import text_of
from linewright.store.seams import Version
from linewright.watch.facts import Watched
from linewright.watch.spec import WatchSpec


@dataclass(frozen=True, kw_only=True)
class Closing:
    """A window that is being closed, and whose predictions it holds."""

    factory: Factory
    spec: LineSpec
    watch: WatchSpec
    champion: Version
    model: Model
    past: Sequence[Watched]
    """Windows that were closed before, oldest first."""
    position: Mapping[str, int]
    """Place of the prediction log, by segment, up to which any window has counted."""
    start: str
    end: str


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
