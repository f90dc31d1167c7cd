"""A window that is being closed: what those who look at it share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from linewright.line.factory import Factory
from linewright.line.spec import LineSpec
from linewright.model.package import Model
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
