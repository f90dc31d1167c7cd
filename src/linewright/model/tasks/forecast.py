"""The values of the next steps of a series, each with an interval, from its recent values."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from linewright.data.facts import LabelForm
from linewright.errors import SpecError
from linewright.model.facts import Band
from linewright.model.task_facts import TASK_FACTS
from linewright.model.tasks.horizons import (
    COVERED,
    MORE,
    PARTS,
    Horizons,
    horizons_of,
    scaled_errors,
)
from linewright.model.tasks.links import IDENTITY, Link
from linewright.model.tasks.rules import TaskRules, repeat
from linewright.text.lists import read_numbers
from linewright.text.steps import every_in, times_ahead

Floats = NDArray[np.float64]


class Forecast(TaskRules):
    """Rules of the forecast task: labels are lists of the values ahead, scores are as `model.tasks.horizons` has them.

    Targets: float64 (n, steps), NaN for a value that is missing. Here `classes` are the names of the steps (`text.steps.step_names`); no package has
    them as its classes, for they are in its encoder.

    Examples
    --------
    >>> FORECAST.target(["[1.0,null]"], ("1d+1", "1d+2")).tolist()
    [[1.0, nan]]
    >>> scores = np.array([[3.0, 1.0, 9.0, 2.0, 2.0, 12, 0, 0, 7]])
    >>> FORECAST.answers(scores, classes=("1+1",), threshold=None, band=None)[0]["times"]
    [8]
    """

    name = "forecast"
    metrics = TASK_FACTS["forecast"].metrics
    headline_because = (
        "errors in units of those that last season's values would make; below 1 is better than these"
    )
    measures = "linewright.model.metrics.forecast:OF_FORECAST"
    objective = "mase"
    loss_name = TASK_FACTS["forecast"].loss_name
    baseline_name = TASK_FACTS["forecast"].baseline_name
    label: ClassVar[LabelForm] = TASK_FACTS["forecast"].label
    link: ClassVar[Link] = IDENTITY
    class_limits: ClassVar[tuple[float, float]] = (0, 0)

    def classes(self, labels: Sequence[str], positive: str | None) -> tuple[str, ...]:
        """Return no classes."""
        if positive is not None:
            raise SpecError(
                "values have no positive one",
                where="label.positive",
                found=positive,
                hint="remove `positive`",
            )
        if not len(labels):
            raise SpecError("no row has values ahead", where="label.column", hint="bring longer series")
        return ()

    def target(self, labels: Sequence[str] | NDArray[Any], classes: tuple[str, ...]) -> Floats:
        """Return the values of each label; of another length than `classes` has they are cut, or not known."""
        lists = [_read(label, row) for row, label in enumerate(labels)]
        steps = len(classes) or max(map(len, lists), default=1)
        target = np.full((len(lists), steps), np.nan)
        for row, values in enumerate(lists):
            target[row, : len(values)] = values[:steps]
        return target

    def baseline(
        self,
        target: NDArray[Any],
        weight: Floats,
        classes: tuple[str, ...],
        *,
        metric: str | None = None,
    ) -> tuple[float, ...]:
        """Return the mean of each step over all rows."""
        del classes, metric
        there = ~np.isnan(target)
        shares = there * weight[:, np.newaxis]
        return tuple(
            (np.where(there, target, 0.0) * shares).sum(axis=0) / np.maximum(shares.sum(axis=0), 1e-300)
        )

    def baseline_scores(self, baseline: tuple[float, ...], n: int) -> Floats:
        """Return these means once a row, in units of themselves."""
        size = max(float(np.abs(baseline).mean()), 1e-12)
        return repeat((*(baseline * PARTS), size, *[0.0] * (MORE - 1)), n)

    def row_loss(self, target: NDArray[Any], scores: Floats) -> Floats:
        """Return the mean absolute scaled error of each row."""
        return scaled_errors(target, scores)

    def decide(self, scores: Floats, threshold: float | None) -> Floats:
        """Return the forecasts as they are."""
        del threshold
        return scores

    def answers(
        self,
        scores: Floats,
        *,
        classes: tuple[str, ...],
        threshold: float | None,
        band: Band | None,
    ) -> list[dict[str, Any]]:
        """Return the values of the steps, when they are, their intervals, and what errors are measured by.

        ``low`` and ``high`` hold 90 % of the values; ``naive`` is the newest value with its season, ``scale`` what errors are divided by.
        """
        del threshold, band
        said, every = Horizons(scores), every_in(classes)
        steps = (said.forecast, said.low, said.high, said.naive)
        rows = zip(*(part.tolist() for part in steps), said.scale[:, 0].tolist(), strict=True)
        return [
            {
                "prediction": forecast,
                "times": times_ahead(newest, every, len(forecast)),
                "low": low,
                "high": high,
                "level": COVERED,
                "naive": naive,
                "scale": scale,
                "recent_used": int(used),
            }
            for (forecast, low, high, naive, scale), newest, used in zip(
                rows, said.newest.tolist(), said.used.tolist(), strict=True
            )
        ]

    def said(self, answers: Sequence[Mapping[str, Any]], classes: tuple[str, ...]) -> Floats:
        """Return the scores that answers tell, without the time of the newest value."""
        del classes
        return horizons_of(answers)

    def watched(self, answers: Sequence[Mapping[str, Any]], classes: tuple[str, ...]) -> NDArray[Any]:
        """Return the mean of each forecast."""
        del classes
        return np.array([float(np.mean(one["prediction"])) for one in answers], dtype=np.float64)

    def purpose(self, label: str, classes: tuple[str, ...]) -> str:
        """Say that it answers the values of the next steps."""
        del classes
        return f"What {label} is in the next steps, each with a 90 % interval, from its recent values."


def _read(label: Any, row: int) -> list[float]:
    try:
        return read_numbers(str(label))
    except ValueError as error:
        raise SpecError(
            "a label is a list of numbers",
            where=f"label.column, row {row}",
            found=str(label)[:100],
            allowed="a JSON list, e.g. [1, 2.5, null]",
        ) from error


FORECAST = Forecast()
