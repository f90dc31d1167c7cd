"""The line file: one readable declaration from sources to monitors."""

from typing import Annotated

from pydantic import Field

from linewright.data.spec import DataSpec
from linewright.model.spec import BeatsGate, GateSpec, TrainSpec, ValueSpec
from linewright.people.spec import Notify
from linewright.release.spec import ReleaseSpec
from linewright.watch.spec import RetrainSpec, WatchSpec

LINE_NAME = r"^[a-z0-9-]{1,63}$"


class LineSpec(DataSpec):
    """One production line, as its file says."""

    line: Annotated[str, Field(pattern=LINE_NAME)]
    """The line's name, as in `lines/NAME.yaml`: small letters, digits and hyphens."""
    about: str = ""
    """One sentence for people."""
    goal: str | None = None
    """Name of the goal that the line serves."""
    owner: str | None = None
    """Who answers for the line."""
    tags: tuple[str, ...] = ()
    """Words to find the line by."""
    train: TrainSpec = TrainSpec()
    """How a model is made."""
    gates: tuple[GateSpec, ...] = (BeatsGate(beats="champion"),)
    """Bars that a candidate must clear before release."""
    release: ReleaseSpec = ReleaseSpec()
    """How a certified candidate reaches users."""
    watch: WatchSpec | None = None
    """What is watched while the model serves."""
    retrain: RetrainSpec | None = None
    """When the line trains again."""
    value: ValueSpec | None = None
    """What decisions are worth; sets the threshold."""
    notify: Notify | None = None
    """Who is told of what happens to this line, by a name of your own; those that `factory.yaml` names are told too."""
    keep: str | None = None
    """How long data and logs are kept."""
    sites: dict[str, dict[str, object]] | None = None
    """A template's sites; each becomes an ordinary line `LINE.SITE`."""
