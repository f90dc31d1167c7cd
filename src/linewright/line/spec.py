"""The line file: one readable declaration from sources to monitors."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from linewright.data.spec import AnomalySpec, AnySource, DataSpec, LabelSpec, Schedule, SourceSpec
from linewright.model.spec import BeatsGate, GateSpec, MaintenanceSpec, TrainSpec, ValueSpec
from linewright.people.spec import ChangesSpec, Notify
from linewright.release.spec import ReleaseSpec
from linewright.spec import Secret, Spec
from linewright.store.files.names import LINE
from linewright.watch.spec import RetrainSpec, WatchSpec

LINE_NAME = rf"^{LINE}$"
Age = Annotated[str, Field(pattern=r"^\d{1,5}(\.\d{1,5})?(s|m|h|d|w|y)$")]
"""A number and a unit (s, m, h, d, w, y), e.g. ``90d``; a year is 365 days."""


class KeepSpec(Spec):
    """For how long is kept what a line has stored. What is not said is kept for ever."""

    log: Age | None = None
    """Age from which answers go, with their labels, e.g. ``90d``; a segment of the log goes as a whole, once its newest answer is so old.
    At least the delay of labels and a window of the monitors."""
    datasets: Annotated[int, Field(ge=1)] | None = None
    """How many dataset versions are kept, the newest; those of the champion, of the one before it and of a candidate always are. A model
    whose dataset is gone serves as before, and cannot be rebuilt."""
    runs: Age | None = None
    """Age from which go the plans and the rows in quarantine of runs that have ended, but for those of registered models."""


class FileDestination(Spec):
    """A file of answers, there as a whole or not at all."""

    file: str
    """Path, relative to the factory folder or absolute, or ``s3://BUCKET/PATH``, ``gs://`` or ``az://``; CSV or Parquet by its ending. ``{at}``
    in it stands for when the predictions began, such as ``20261130T013000Z``; without it, each file replaces the one before. ``{line}`` stands for the name
    of the line; files of sites need it."""
    at: Secret | None = None
    """Of a URL: `env:NAME` or `file:PATH` of what it is written with, as for a source with `file`."""


class TableDestination(Spec):
    """A table of a database, which answers are added to: all of one time or none. It is created if it is not there."""

    table: str
    """Name of the table, with its schema before a dot if it is in another one."""
    at: Secret
    """`env:NAME` or `file:PATH` of the URL of PostgreSQL, MariaDB, MySQL or SQL Server, as for a source with `sql`."""


class PredictSpec(Spec):
    """Predictions that are made again and again for the rows of a source, and their destination."""

    rows: str | AnySource
    """Name of one of the line's sources, or another source, written as those."""
    to: FileDestination | TableDestination
    """The destination of the answers. To the columns of ``linewright predict`` come ``model`` and ``run``."""
    when: Schedule = ()
    """When `up` makes them, e.g. ``[{at: 02:30 Europe/Berlin}]``; never if nothing is said. ``linewright predict-job`` makes them at once."""
    new: bool = False
    """Whether only those rows count that the source did not have the last time, or had with other values."""

    @property
    def source(self) -> SourceSpec | None:
        """The source, if it is written here; `None` if `rows` names one."""
        return None if isinstance(self.rows, str) else self.rows


UNNAMED = "label"
"""Label column of a line that looks for anomalies and names none; the table need not have it."""


class LineSpec(DataSpec):
    """One production line, as its file says."""

    @classmethod
    def implied(cls, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the label and the section of a line that looks for anomalies: it needs neither."""
        train = said.get("train")
        if not isinstance(train, TrainSpec) or train.task != "anomaly":
            return {}
        return {"label": LabelSpec(column=UNNAMED), "anomaly": AnomalySpec()}

    line: Annotated[str, Field(pattern=LINE_NAME)]
    """The line's name, as in `lines/NAME.yaml`: small letters, digits and hyphens. The line of a site is `LINE.SITE`."""
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
    predict: dict[str, PredictSpec] = Field(default_factory=dict)
    """Predictions on a schedule, by name."""
    value: ValueSpec | None = None
    """What decisions are worth; sets the threshold."""
    maintenance: MaintenanceSpec | None = None
    """Of labels that are times: what a failure and an inspection cost; answers then say by when to act."""
    notify: Notify | None = None
    """Who is told of what happens to this line, by a name of your own; those that `factory.yaml` names are told too."""
    changes: ChangesSpec = ChangesSpec()
    """Who may approve changes of this file; the one that is in force decides, not the one that is proposed."""
    keep: KeepSpec | None = None
    """For how long log, datasets and runs are kept; what it does not say, `factory.yaml` does."""
    sites: dict[str, dict[str, object]] | None = None
    """Sites, by name, each with the sections that differ there: each is an ordinary line `LINE.SITE`, and the file itself a template."""

    @property
    def reads_pictures(self) -> bool:
        """Whether the contract declares a column of pictures that a model may read."""
        return any(
            rule.type == "file" and name not in self.table.exclude
            for name, rule in self.contract.columns.items()
        )
