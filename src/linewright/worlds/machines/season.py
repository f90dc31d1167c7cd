"""A season of the world `machines`: what happened at its sites day by day, and what maintenance cost."""

from typing import Literal

import msgspec


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened on a live day."""

    day: int
    kind: Literal["served", "sensor", "released", "tried", "halted"]
    site: str
    """Empty if it is about all of them."""
    says: str
    """One sentence for people."""


class SiteSeason(msgspec.Struct, frozen=True, kw_only=True):
    """What happened at one site."""

    site: str
    ring: int
    served_from: int | None
    """Live day from which on a model served; `None` if none did."""
    models: tuple[int, ...]
    """Versions that served there or were tried, in order."""
    faults: int
    """Faults of its sensors that began while a model served, and could be seen for as long as it takes."""
    named: int
    """Those of them that were named: the right kind, sensor and machine."""
    false: int
    """Faults that were named and are none."""


class Season(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a template in the world. Money is in whole cents; costs are negative."""

    seed: int
    currency: str
    days: tuple[int, ...]
    """What each live day cost."""
    interval: int
    """Days of the fixed interval that was best in hindsight."""
    fixed: tuple[int, ...]
    """The same, had every machine been maintained after it."""
    never: int
    """What it had cost to repair only what fails."""
    best: int
    """What it had cost to maintain by the true wear."""
    failures: int
    maintained: int
    sites: tuple[SiteSeason, ...]
    moments: tuple[Moment, ...]

    @property
    def saved(self) -> int:
        """Cents that it cost less than the best fixed interval."""
        return sum(self.days) - sum(self.fixed)
