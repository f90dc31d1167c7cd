"""How long a candidate is tried."""

from linewright.line.instants import later
from linewright.release.facts import Deployed
from linewright.release.spec import ReleaseSpec

_BAKE = "10m"
"""How long a step, or a whole trial that has none, lasts where the line does not say it."""


def step_end(release: ReleaseSpec, canary: Deployed) -> str:
    """Return the instant before which the present step, or a trial that has none, does not end."""
    return usual_end(release, canary.at)


def usual_end(release: ReleaseSpec, since: str) -> str:
    """Return when a step that began at an instant has lasted long enough."""
    return later(since, release.bake or _BAKE)
