"""What the watch room says.

A `Reference` is how rows were spread that the model had not been trained on; a `Window` is the same counts of the rows
that a line answered in a stretch of time. What monitors find in them becomes an alert, once; alerts and labels become a
`RetrainProposal`, which does nothing by itself.
"""

from typing import Literal

import msgspec

from linewright.data.facts import SensorFault
from linewright.store.values import Event, Result

Kind = Literal["number", "category"]
Monitor = Literal[
    "contract",
    "missing",
    "unseen",
    "drift",
    "prediction",
    "traffic",
    "performance",
    "calibration",
    "retraining",
    "log",
    "clock",
    "features",
    "records",
    "schedule",
    "sensor",
    "deleted",
]
Trigger = Literal["drift", "performance", "labels", "every"]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How the rows of one column fall into the cells of its `Summary`; each row is in exactly one."""

    name: str
    counts: tuple[int, ...]
    """Rows in each bin, or with each listed value."""
    missing: int = 0
    """Rows without a value."""
    other: int = 0
    """Rows with a category that is not listed, and that the model has seen."""
    unseen: int = 0
    """Rows with a category that the model has never seen."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """How one column, or the prediction, was spread in the reference."""

    name: str
    kind: Kind
    edges: tuple[float, ...] = ()
    """Of numbers: inner edges, ascending, at most 9. Bin i holds ``edges[i - 1] <= x < edges[i]``."""
    values: tuple[str, ...] = ()
    """Of categories: the most frequent seen values, at most 50, most frequent first, then by spelling."""
    counts: Counts


class Reference(Result, frozen=True, kw_only=True, tag="reference"):
    """How rows of the test part, which the model has not been trained on, and rows of its time without a label were spread."""

    package: str
    """Digest of the package."""
    n: int
    """Rows."""
    columns: tuple[Summary, ...]
    """Sorted by name."""
    prediction: Summary
    """Two classes: the probability of the positive one. More: the class. Regression: the number."""
    breaches: dict[str, int] = msgspec.field(default_factory=dict)
    """Rows out of the contract, by column."""


class Window(Result, frozen=True, kw_only=True, tag="window"):
    """How the rows that a line answered from `start` until before `end` were spread. Counts only: windows add up."""

    line: str
    package: str
    """Digest of the package that answered."""
    reference: str
    """Digest of the `Reference` whose cells these are."""
    start: str
    """UTC, RFC 3339 with microseconds, as are all instants here."""
    end: str
    """The first instant that is not in the window."""
    n: int
    """Rows."""
    columns: tuple[Counts, ...]
    """In the order of the reference."""
    prediction: Counts
    breaches: dict[str, int] = msgspec.field(default_factory=dict)
    """Rows out of the contract, by column."""


FEWEST_LABELS = 30
"""Labels below which performance is not judged."""


class Performance(Result, frozen=True, kw_only=True, tag="performance"):
    """How good the predictions of a stretch of time turned out to be, as far as their labels have come."""

    line: str
    package: str
    start: str
    """Start of the predictions that are judged; with `arrived`, of their labels' arrival."""
    end: str
    metric: str
    value: float | None
    """`None` where the labels leave the metric undefined (e.g. one class only)."""
    error: float | None
    """Standard error of the value."""
    low: float | None
    high: float | None
    """95 % interval."""
    labelled: int
    """Predictions whose label has come."""
    predictions: int
    """Predictions made in that time; with `arrived` only those whose label came."""
    certified: float | None = None
    """The metric when the model was certified."""
    promised: float | None = None
    """The worse end of its 95 % interval then: what the certificate promised at least."""
    greater_is_better: bool = True
    guess: float | None = None
    """The metric of the prediction that uses no features, on the same labels."""
    arrived: bool = False
    """Whether those are judged whose label came in that time, whenever they were made: the line names no delay."""
    made: str | None = None
    """With `arrived`: since when nine in ten of those were made."""

    @property
    def is_worse_than_guessing(self) -> bool:
        """Whether even the better end of the interval is worse than the prediction that uses no features."""
        best = self.high if self.greater_is_better else self.low
        if best is None or self.guess is None:
            return False
        return best < self.guess if self.greater_is_better else best > self.guess

    @property
    def matured(self) -> float | None:
        """Share of the predictions whose label has come; `None` where that is not known."""
        if self.arrived:
            return None
        return self.labelled / self.predictions if self.predictions else 0.0


class Confirmed(msgspec.Struct, frozen=True, kw_only=True):
    """The positives of one window, as the model expects them and as they are confirmed by now."""

    start: str
    end: str
    expected: float
    """Sum of the predicted probabilities."""
    positives: int
    """Labels of the positive class that have come."""
    early: int = 0
    """Those of them that were there before the window began."""


class Confirmations(Result, frozen=True, kw_only=True, tag="confirmations"):
    """How many positives are confirmed of the predictions of the last windows, and how many the model expects."""

    line: str
    package: str
    windows: tuple[Confirmed, ...]
    """Consecutive, oldest first."""


class Shifted(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="shifted"):
    """Rows are not spread as in the reference."""

    windows: int
    """Windows in a row that show it."""
    share: float | None = None
    """Share of the rows that the monitor counts, such as those with a missing value, in [0, 1]; `None` of drift, where it counts none."""
    before: float | None = None
    """The same of the reference."""


class Volume(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="volume"):
    """More or fewer rows came than usual."""

    every: str
    """Length of a window, as the line file has it."""


Bar = Literal["guess", "at_least", "at_most", "certificate"]
"""What a metric is held to: what guessing reaches, what the line file says, or what the certificate promised."""


class BeyondBar(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="beyond-bar"):
    """A metric is surely on the wrong side of a bar."""

    metric: str
    of: Bar
    labelled: int
    start: str | None = None
    """When the labels came, where it is not known when their predictions were made; else `None`."""
    end: str | None = None


class Surplus(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="surplus"):
    """More positives are confirmed than the model expects."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a monitor is sure of; `watch.finding_text` says it in a sentence."""

    monitor: Monitor
    column: str | None = None
    """`None` where it is about the predictions, the traffic or the performance."""
    group: str | None = None
    """Of a sensor, what it is a sensor of: a value of the column `table.group`."""
    value: float
    """The pooled PSI (debiased), the number of rows, the metric, or the readings of a sensor that show it."""
    bar: float
    """The PSI worth naming, the usual number of rows, the metric's bar, or the readings from which it is sure."""
    since: str
    """Start of the first window that shows it; of a sensor, time of the first reading."""
    made: str | None = None
    """As `Performance.made` has it."""
    found: Shifted | Volume | BeyondBar | Surplus | SensorFault
    """What its figures mean."""


class Watched(Event, frozen=True, kw_only=True, tag="watched"):
    """A window was closed."""

    window: str
    """Digest of the `Window`."""
    package: str
    performance: str | None = None
    """Digest of the `Performance`; `None` where no monitor judged one."""
    confirmations: str | None = None
    """Digest of the `Confirmations`, for two classes."""
    start: str
    end: str
    n: int
    findings: tuple[Finding, ...] = ()
    position: dict[str, int] = {}  # noqa: RUF012 -- msgspec copies it
    """Place of the prediction log, by segment, up to which every prediction has been counted."""


class Alerted(Event, frozen=True, kw_only=True, tag="alerted"):
    """People were told of a finding, once. `because` is the finding's sentence."""

    id: str
    """Digest of (line, package, monitor, column, since), and the group if there is one."""
    package: str
    monitor: Monitor
    column: str | None
    group: str | None = None
    """As `Finding.group` has it."""
    value: float
    bar: float
    evidence: str
    """Digest of the `Window` or `Performance` that showed it."""
    since: str
    """Start of the first window that showed it."""
    made: str | None = None
    """As `Performance.made` has it, of the judgement that showed it."""

    @property
    def rows_since(self) -> str:
        """Since when answered rows are of the world that it tells of: labels come after the rows that they are about."""
        return min(self.since, self.made) if self.made else self.since


class Cleared(Event, frozen=True, kw_only=True, tag="cleared"):
    """An alert is over."""

    alert: str
    """Id of the alert."""
    evidence: str
    """Digest of the `Window` or `Performance` that no longer shows it."""


class NewLabels(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="labels"):
    """Enough labels came since the last training."""

    labels: int
    at_least: int
    """What the line file asks for."""


class TimePassed(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="every"):
    """The last training is long ago."""

    every: str
    """The duration in the line file."""


class TimeCame(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="at"):
    """A time of the schedule came."""

    schedule: str
    """As in the line file."""
    at: str
    """The newest of its times."""


class OpenAlerts(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="alerts"):
    """Alerts are open that ask for a training."""

    alerts: tuple[str, ...]
    """Their ids: answers that got worse first, then columns that moved, each oldest first."""


class RetrainProposal(Result, frozen=True, kw_only=True, tag="retrain_proposal"):
    """What monitoring asks for; it does nothing by itself."""

    line: str
    reason: NewLabels | TimePassed | TimeCame | OpenAlerts
    """`watch.retrain_text` says it in a sentence."""
    evidence: tuple[str, ...] = ()
    """Digests of the windows and performances that led here, oldest first."""
    trigger: Trigger
    since: str
    """When its cause began."""
    trained: str | None = None
    """When the last training began; so a proposal after a further training is another one."""


class Proposed(Event, frozen=True, kw_only=True, tag="proposed"):
    """A training was proposed."""

    proposal: str
    """Digest of the `RetrainProposal`."""


class Waiting(Event, frozen=True, kw_only=True, tag="waiting"):
    """A training that something asks for has to wait; told once. `because` says what for."""

    reason: Literal["cooldown", "labels"]
    """The shortest time between two trainings, or labels."""
    proposal: str | None = None
    """Digest of the `RetrainProposal` that waits for labels."""
    until: str | None = None
    """When the cool-down is over, UTC."""
