"""What a step may touch besides its inputs."""

from collections.abc import Callable
from dataclasses import dataclass

from linewright.store.protocols import Artifacts, Metadata


@dataclass(frozen=True, kw_only=True)
class TrialScore:
    """A setting that was tried, as soon as it was evaluated."""

    name: str
    family: str
    loss: float
    """Less is better; it can be compared with that of trials on as many rows."""
    low: float
    high: float
    """95 % interval of the loss."""
    rows: int
    """Rows that it was evaluated on."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One step forward of long work, for a person who waits."""

    step: str
    says: str
    done: int = 0
    of: int = 0
    """Total steps; 0 where it is not known."""
    seconds_left: float | None = None
    """An estimate for the steps in `of`; `None` where there is none."""
    stages_left: int = 0
    """Stages that may follow these steps, of which neither steps nor seconds are counted yet: what they cost depends on what
    these steps find."""
    stays: bool = False
    """Whether it is news to keep (an address, a restart) rather than a step that the next one replaces."""
    trial: TrialScore | None = None
    """The trial that has just ended, if one has."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """Everything a step may touch besides its inputs."""

    now: Callable[[], str]
    """The time, UTC, RFC 3339 with microseconds."""
    seed: Callable[[str], int]
    """A seed in [0, 2**31) derived from a digest; no shared stream, so skipping a finished step changes nothing."""
    new_id: Callable[[], str]
    """A new UUIDv7."""
    actor: str
    metadata: Metadata
    artifacts: Artifacts
    report: Callable[[Progress], None]
    workers: int = 2
    """Fits that may go on at a time, each on one thread; what comes out does not depend on it."""
