"""What the release room says."""

from typing import Literal

import msgspec

from linewright.model.facts import Limit
from linewright.store.values import Event, Result

WhenLogFails = Literal["refuse", "serve-unlogged"]
"""What an endpoint does while the prediction log cannot be written: answer 503, or answer all the same."""


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


class Configured(Event, frozen=True, kw_only=True, tag="configured"):
    """The line file says something else than before about how its endpoints serve."""

    when_log_fails: WhenLogFails


class Refused(Event, frozen=True, kw_only=True, tag="refused"):
    """A candidate was not promoted."""

    model: int
    package: str
    verdict: str
    certificate: str
    run: str


class Deployed(Event, frozen=True, kw_only=True, tag="deployed"):
    """A certified candidate answers a share of the rows beside the champion: a canary begins, or takes its next step."""

    model: int
    package: str
    champion: int
    """The model that answers the other rows."""
    generation: int
    certificate: str
    """Digest of the passing certificate."""
    step: int
    """Which of `steps` it is, from 0."""
    share: float
    """Share of the units whose rows it answers, above 0 and below 1."""
    salt: str
    """Decides, with a unit's value, which units those are; the same in all steps of a canary."""
    unit: str | None
    """Column whose rows always get the same model; `None` is the key."""
    run: str
    evidence: str | None = None
    """Digest of the `Trial` that the step before ended with; `None` for the first."""


class Withdrawn(Event, frozen=True, kw_only=True, tag="withdrawn"):
    """A canary ended, and the champion alone answers again."""

    model: int
    package: str
    generation: int
    certificate: str
    trigger: Literal["quality", "trouble", "person", "newer"]
    """What ended it: worse answers, an endpoint's trouble with it, a person, or a newer candidate."""
    evidence: str | None = None
    """Digest of the `Trial` that showed it; `None` where no answers did."""

    @property
    def is_condemned(self) -> bool:
        """Whether the model itself ended it, and no person or newer candidate did."""
        return self.trigger in {"quality", "trouble"}


class ArmQuality(msgspec.Struct, frozen=True, kw_only=True):
    """How wrong the answers of one model were, as far as labels tell."""

    rows: int
    """Answers logged while the canary runs."""
    labelled: int
    """Those that count: the first of each unit whose label has come."""
    loss: float | None
    """Mean loss, from 0 to 1; `None` where nothing is labelled."""
    low: float
    high: float
    """Time-uniform interval of the mean loss, see `release.sequential`."""


class Trial(Result, frozen=True, kw_only=True, tag="trial"):
    """What the answers of a canary and of its champion showed in one step, by an instant."""

    line: str
    package: str
    """Digest of the canary."""
    rival: str
    """Digest of the champion."""
    since: str
    until: str
    loss: str
    """Name of the loss."""
    confidence: float
    """Of the intervals, and so of `is_worse`."""
    canary: ArmQuality
    champion: ArmQuality

    @property
    def is_worse(self) -> bool:
        """Whether the canary is surely worse. It may be asked as often as one likes."""
        return self.canary.low > self.champion.high


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
    unit: str | None = None
    """Column whose rows always get the same model while a canary runs; `None` is the key."""
    known: tuple[str, ...] = ()
    """Columns that a request row may have, whichever model answers: those of the newest models of the line. What a model does
    not read is kept with the row, so that clients need not change at the moment at which a model does."""
    halt: bool = False
    when_log_fails: WhenLogFails = "refuse"
    version: int = 1
