"""What a line file may say about monitors and retraining."""

from typing import Annotated, Literal

from pydantic import Field

from linewright.data.spec import AtTrigger, Duration, EveryTrigger
from linewright.spec import Spec


class DriftSpec(Spec):
    """When a change of the data is worth naming."""

    psi: Annotated[float, Field(gt=0)] = 0.2
    """Smallest population stability index worth naming."""
    windows: Annotated[int, Field(ge=1)] = 3
    """Windows in a row that must show it."""


class PerformanceSpec(Spec):
    """When realised performance is too low: below a bar, or surely worse than the model's certificate promised."""

    as_certified: bool = True
    """Whether it must be what the certificate promised: not surely worse than the worse end of its 95 % interval."""

    excess: Annotated[float, Field(ge=1)] | None = 1.3
    """For two classes: smallest ratio of confirmed to expected positives that is worth naming; null looks away."""
    at_least: float | None = None
    """Smallest acceptable value of the line's metric."""
    at_most: float | None = None
    """Largest acceptable value, for metrics where less is better."""


class WatchSpec(Spec):
    """What is watched while the model serves."""

    every: Duration = "1h"
    """Length of a window."""
    drift: DriftSpec = DriftSpec()
    """Drift of columns and predictions."""
    performance: PerformanceSpec | None = PerformanceSpec()
    """Realised performance, as labels arrive."""
    sensors: tuple[str, ...] | None = None
    """Columns of numbers that are looked at for faults of sensors, group by group (`table.group`, `table.time`). Null looks at all of them
    if the line predicts times (`survival`, `rul`) and no `table.subject` says that rows are about people; an empty list at none."""
    alert_budget: Annotated[str, Field(pattern=r"^\d+ per \d+(\.\d+)?(h|d|w)$")] = "1 per 90d"
    """False alarms that are acceptable; it sets how sure a monitor must be."""


class LabelsTrigger(Spec):
    """Retrain after so many new labels."""

    labels: Annotated[int, Field(ge=1)]
    """New labels since the last training."""


class RetrainSpec(Spec):
    """When the line trains again."""

    when: tuple[Literal["drift", "performance"] | LabelsTrigger | EveryTrigger | AtTrigger, ...] = ()
    """What starts a training; any one is enough."""
    cooldown: Duration = "1d"
    """Shortest time between two trainings; those of `at` do not wait for it."""
