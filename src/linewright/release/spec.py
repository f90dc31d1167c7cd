"""What a line file may say about release."""

from typing import Annotated, Literal

from pydantic import Field

from linewright.data.spec import Duration
from linewright.release.facts import WhenLogFails
from linewright.spec import Spec


class ReleaseSpec(Spec):
    """How a certified candidate reaches users."""

    rollout: Literal["immediate", "canary", "shadow", "blue-green"] = "immediate"
    """How traffic moves to the new champion: at once; as a canary in steps that end where it does worse; after it answered copies
    of the rows, as a shadow; or, blue/green, all of it for a trial, while the champion stands by and answers copies."""
    steps: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = None
    """Shares of traffic of a canary, one a step, ascending to 1.0; ``[1.0]`` is immediate, whatever `rollout` says."""
    bake: Duration | None = None
    """How long each step of a canary, or the trial of another rollout, lasts at least (default: 10m)."""
    unit: str | None = None
    """Column whose rows always get the same model while a canary runs; of its rows the first label counts (default: the key)."""
    rings: tuple[tuple[str, ...] | Literal["rest"], ...] | None = None
    """Of a template, its sites in the order in which they get what changes for them: the next ring begins once each site of the one before
    has passed its trial, or served for as long as `bake`, and is not worse. ``rest`` are all others. e.g. ``[[lyon], [turin, porto], rest]``."""
    approve: tuple[str, ...] = ()
    """Roles and names of members who may approve a promotion; while one is named, `run` holds. In a factory with members it makes a
    proposal (`linewright approve`); without, `promote` serves."""
    approvals: Annotated[int, Field(ge=1, le=20)] = 1
    """How many of them have to approve."""
    when_log_fails: WhenLogFails = "refuse"
    """What the endpoint does while the prediction log cannot be written: ``refuse`` answers 503; ``serve-unlogged`` answers, says
    that nothing kept the answer, and leaves it without monitoring, labels by id and replay."""

    @property
    def is_immediate(self) -> bool:
        """Whether a certified candidate serves at once."""
        return self.rollout == "immediate" or self.steps == (1.0,)
