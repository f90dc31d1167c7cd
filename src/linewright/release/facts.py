"""What the release room says."""

import msgspec

from linewright.model.facts import Limit
from linewright.store.values import Event


class Promoted(Event, frozen=True, kw_only=True, tag="promoted"):
    """A model became champion."""

    model: int
    package: str
    before: int | None
    generation: int
    certificate: str | None
    """Digest of the passing certificate; `None` only for a forced promotion."""
    forced: bool = False
    run: str | None = None
    declared: str | None = None
    """Digest of the line file as it was before the model was trained; `None` in older records."""


class RolledBack(Event, frozen=True, kw_only=True, tag="rolled_back"):
    """The previous champion serves again."""

    model: int
    package: str
    before: int
    generation: int


class Halted(Event, frozen=True, kw_only=True, tag="halted"):
    """A person stopped (or freed) the endpoint of a line."""

    halt: bool
    generation: int


class Refused(Event, frozen=True, kw_only=True, tag="refused"):
    """A candidate was not promoted."""

    model: int
    package: str
    verdict: str
    certificate: str
    run: str


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One model that answers."""

    model: int
    package: str
    share: float = 1.0
    """Share of traffic; 1 for the champion."""
    limits: tuple[Limit, ...] = ()
    """What the contract allowed when the model was made."""


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint of one line serves: the content of `.linewright/serving/LINE.json`, replaced by rename."""

    line: str
    generation: int
    champion: Arm | None
    canary: Arm | None = None
    shadow: Arm | None = None
    salt: str = ""
    halt: bool = False
    version: int = 1
