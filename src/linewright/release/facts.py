"""What the release room says."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from linewright.model.facts import Limit
from linewright.store.values import Event, Result

Rollout = Literal["canary", "shadow", "blue-green"]
"""How a candidate is tried beside its champion: it answers a share of the rows; it gets copies of them, and the champion answers;
or it answers all of them, and the champion gets the copies."""


TRIED: Mapping[Rollout, str] = {
    "canary": "as a canary",
    "shadow": "as a shadow",
    "blue-green": "in its trial",
}
"""How it was tried, in words."""

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
    """Digest of the line file as it was before the model was trained; `None` where no run of the line trained it."""
    evidence: str | None = None
    """Digest of the `Trial` that the model served its trial with; `None` where it was not tried, or did not have to end it."""
    proposal: str | None = None
    """The approved proposal that it applies; `None` if none."""


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
    stopped: str | None = None
    """When the endpoint was stopped, where that could be recorded only later; `None` where it was recorded then."""


class Configured(Event, frozen=True, kw_only=True, tag="configured"):
    """The line file says something else than before about how its endpoints serve."""

    when_log_fails: WhenLogFails
    explore: float = 0.0
    """Share of the lists that is drawn."""


class SeriesRead(Event, frozen=True, kw_only=True, tag="series_read"):
    """There are other values of the series of a line: from now on its endpoints answer from these if a request names a series alone."""

    values: str
    """Digest of the `SeriesValues`: those that a run has read, or newer ones of requests that go on with them."""
    base: str | None = None
    """Digest of the `SeriesValues` of the run that values of requests go on with; `None` if `values` are those of a run."""
    position: dict[str, int] = {}  # noqa: RUF012 -- msgspec copies it
    """Of values of requests: place of the prediction log, by segment, up to which it was read for them."""
    labels: str | None = None
    """Of values of requests: instant up to which labels of forecasts were read for them, UTC."""


class Refused(Event, frozen=True, kw_only=True, tag="refused"):
    """A candidate was not promoted."""

    model: int
    package: str
    verdict: str
    certificate: str
    run: str
    ring: int | None = None
    """Of the line of a site, the ring that it waits for; `None` if it does not wait."""


class Deployed(Event, frozen=True, kw_only=True, tag="deployed"):
    """A certified candidate is tried beside the champion: it begins, or takes the next step of a canary."""

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
    """Share of the units whose rows it answers: of a canary above 0 and below 1, of a shadow 0, of blue/green 1."""
    salt: str
    """Decides, with a unit's value, which units those are; the same in all steps of a canary."""
    unit: str | None
    """Column whose rows always get the same model; `None` is the key."""
    run: str
    evidence: str | None = None
    """Digest of the `Trial` that the step before ended with; `None` for the first."""
    rollout: Rollout = "canary"
    proposal: str | None = None
    """The approved proposal that it applies; `None` if none."""

    @property
    def part(self) -> str:
        """What part of the rows it answers, in words."""
        match self.rollout:
            case "canary":
                return f"answers {self.share:.0%} of the rows as a canary"
            case "shadow":
                return "gets copies of the rows as a shadow"
            case "blue-green":
                return "answers all rows for a trial"

    @property
    def has_mirror(self) -> bool:
        """Whether both models answer the same rows, one of them beside the path of the answer."""
        return self.rollout != "canary"


class Withdrawn(Event, frozen=True, kw_only=True, tag="withdrawn"):
    """A candidate that was tried goes, and the champion alone answers again."""

    model: int
    package: str
    generation: int
    certificate: str
    trigger: Literal["quality", "trouble", "person", "newer"]
    """What ended it: worse answers, an endpoint's trouble with it, a person, or a newer candidate."""
    evidence: str | None = None
    """Digest of the `Trial` that showed it; `None` where no answers did."""
    rollout: Rollout = "canary"
    """How it was tried."""

    @property
    def is_condemned(self) -> bool:
        """Whether the model itself ended it, and no person or newer candidate did."""
        return self.trigger in {"quality", "trouble"}


class ArmQuality(msgspec.Struct, frozen=True, kw_only=True):
    """How wrong the answers of one model were, as far as labels tell."""

    rows: int
    """Answers logged in the present step."""
    labelled: int
    """Those that count: the first of each unit whose label has come."""
    loss: float | None
    """Mean loss, from 0 to 1; `None` where nothing is labelled."""
    low: float
    high: float
    """Time-uniform interval of the mean loss, see `release.confidence_sequence`."""


class Pairs(msgspec.Struct, frozen=True, kw_only=True):
    """By how much a candidate's answers were worse than the champion's to the same rows."""

    labelled: int
    """Rows that count: the first of each unit whose label has come, where both have answered."""
    difference: float | None
    """Mean of the candidate's loss less the champion's, from -1 to 1; `None` where nothing is labelled."""
    low: float
    high: float
    """Time-uniform interval of the mean difference, see `release.confidence_sequence`."""
    confidence: float
    """Of the interval; that the mean lies below `low` has half of what is missing to 1."""


class Trial(Result, frozen=True, kw_only=True, tag="trial"):
    """What the answers of a candidate and of its champion showed in one step, by an instant."""

    line: str
    package: str
    """Digest of the candidate."""
    rival: str
    """Digest of the champion."""
    since: str
    until: str
    loss: str
    """Name of the loss."""
    confidence: float
    """Of the intervals of both models; where there are no pairs, of `is_worse`."""
    canary: ArmQuality
    """Of the candidate, whatever it is tried as."""
    champion: ArmQuality
    pairs: Pairs | None = None
    """`None` where each row is answered by one of them."""

    @property
    def is_worse(self) -> bool:
        """Whether the candidate is surely worse. It may be asked as often as one likes."""
        if self.pairs is not None:
            return self.pairs.low > 0
        return self.canary.low > self.champion.high

    @property
    def is_better(self) -> bool:
        """Whether the candidate is surely better, by the same intervals."""
        if self.pairs is not None:
            return self.pairs.high < 0
        return self.canary.high < self.champion.low


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
    """The candidate that answers its share of the rows, which is all of them where it is tried blue/green."""
    shadow: Arm | None = None
    """The model that gets copies of what another one answered: a candidate, or the champion while a candidate answers all."""
    salt: str = ""
    unit: str | None = None
    """Column whose rows always get the same model while a candidate is tried; `None` is the key."""
    known: tuple[str, ...] = ()
    """Columns that a request row may have, whichever model answers: those of the newest models of the line. What a model does
    not read is kept with the row, so that clients need not change at the moment at which a model does."""
    halt: bool = False
    go: bool = False
    """Whether the line answers only while `LINE.go` is beside this file, see `release.stop`; older files know of no such file."""
    when_log_fails: WhenLogFails = "refuse"
    explore: float = 0.0
    """Share of the lists that is drawn; 0 for lines of other tasks."""
    series: str | None = None
    """Digest of the bytes of the newest values of each series, as `text.newest_values` writes them; `None` if the line forecasts none."""
    version: int = 1
