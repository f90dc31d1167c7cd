"""What a line file may say about release."""

from typing import Annotated, Literal

from pydantic import Field

from linewright.data.spec import Duration
from linewright.spec import Spec


class ReleaseSpec(Spec):
    """How a certified candidate reaches users."""

    rollout: Literal["immediate", "canary", "shadow", "blue-green"] = "immediate"
    """How traffic moves to the new champion."""
    steps: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (1.0,)
    """Shares of traffic, one a step; ``[1.0]`` is immediate."""
    bake: Duration | None = None
    """How long each step lasts at least."""
    unit: str | None = None
    """Column whose rows always get the same arm (default: the key)."""
    approve: tuple[str, ...] = ()
    """Roles that must approve before promotion; while one is named, `run` holds and `promote` serves."""
