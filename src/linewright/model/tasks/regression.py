"""A number."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.errors import SpecError
from linewright.model.facts import LEVEL, Band, Task
from linewright.model.tasks import rules
from linewright.model.tasks.prediction_interval import ends


@dataclass(frozen=True)
class Regression:
    """Rules of the regression task: there are no classes, scores are the predictions, shape (n,)."""

    name: Task = "regression"
    metrics: tuple[str, ...] = ("rmse", "mae", "r2")
    objective: str = "mse"

    def classes(self, labels: Sequence[str], positive: str | None) -> tuple[str, ...]:
        """Return no classes, after a look whether the labels are numbers of which two differ."""
        if positive is not None:
            raise SpecError(
                "a number has no positive value",
                where="label.positive",
                found=positive,
                hint="remove `positive`, or write `task: binary`",
            )
        self.target(labels, ())
        rules.count_labels(labels)
        return ()

    def target(
        self,
        labels: Sequence[str] | NDArray[Any],
        classes: tuple[str, ...],  # noqa: ARG002 -- the protocol's; numbers have none
    ) -> NDArray[np.float64]:
        """Return the labels as numbers.

        Examples
        --------
        >>> REGRESSION.target(["1.5", "-2"], ()).tolist()
        [1.5, -2.0]
        """
        try:
            numbers = np.asarray(labels).astype(np.float64)
        except (TypeError, ValueError) as error:
            raise _not_a_number(labels) from error
        if not np.isfinite(numbers).all():
            raise _not_a_number(labels)
        return numbers

    def baseline(
        self,
        target: NDArray[Any],
        weight: NDArray[np.float64],
        classes: tuple[str, ...],  # noqa: ARG002 -- the protocol's; numbers have none
        *,
        metric: str | None = None,
    ) -> tuple[float, ...]:
        """Return the constant that `metric` is best by: the weighted median for ``mae``, else the weighted mean.

        Examples
        --------
        >>> REGRESSION.baseline(np.array([1.0, 2.0, 9.0]), np.ones(3), (), metric="rmse")
        (4.0,)
        >>> REGRESSION.baseline(np.array([1.0, 2.0, 9.0]), np.ones(3), (), metric="mae")
        (2.0,)
        """
        total = rules.total_weight(weight)
        if metric == "mae":
            return (_median(target, weight),)
        return (float((target * weight).sum()) / total,)

    def baseline_scores(self, baseline: tuple[float, ...], n: int) -> NDArray[np.float64]:
        """Return the constant once a row, shape (n,)."""
        return rules.repeat(baseline, n)[:, 0]

    def row_loss(self, target: NDArray[Any], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the squared error of each row, in squared units of the label."""
        return (target - scores) ** 2

    def decide(
        self,
        scores: NDArray[np.float64],
        threshold: float | None,  # noqa: ARG002 -- the protocol's; a number is its own decision
    ) -> NDArray[np.float64]:
        """Return the predictions as they are."""
        return scores

    def answers(
        self,
        scores: NDArray[np.float64],
        *,
        classes: tuple[str, ...],  # noqa: ARG002 -- the protocol's; numbers have none
        threshold: float | None,  # noqa: ARG002
        band: Band | None,
    ) -> list[dict[str, Any]]:
        """Return the number, with its 90 % interval where it is known how wide that is.

        Examples
        --------
        >>> band = Band(at=(0.0,), half_widths=(2.5,), least=None)
        >>> REGRESSION.answers(np.array([10.0]), classes=(), threshold=None, band=band)
        [{'prediction': 10.0, 'interval': [7.5, 12.5, 0.9]}]
        """
        if band is None:
            return [{"prediction": x} for x in scores.tolist()]
        low, high = ends(band, scores)
        return [
            {"prediction": x, "interval": [start, end, LEVEL]}
            for x, start, end in zip(scores.tolist(), low.tolist(), high.tolist(), strict=True)
        ]


def _median(target: NDArray[Any], weight: NDArray[np.float64]) -> float:
    """Return the number with half of the weight at or below it and half at or above; midway where two have."""
    order = np.argsort(target, kind="stable")
    order = order[weight[order] > 0]
    below = np.cumsum(weight[order])
    half = below[-1] / 2
    low, high = (np.searchsorted(below, half, side=side) for side in ("left", "right"))
    return float(target[order[low]] + target[order[min(high, len(order) - 1)]]) / 2


def _not_a_number(labels: Iterable[Any]) -> SpecError:
    row, label = next((row, label) for row, label in enumerate(labels) if not _is_number(label))
    return SpecError(
        "a regression label is a finite number",
        where=f"label.column, row {row}",
        found=str(label),
        hint="write `task: multiclass` if these are classes, or correct the value",
    )


def _is_number(label: Any) -> bool:
    try:
        return math.isfinite(float(label))
    except (TypeError, ValueError):
        return False


REGRESSION = Regression()
