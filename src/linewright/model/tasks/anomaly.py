"""Good or faulty, learned from good rows: how odd a row is."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from linewright.data.facts import LabelForm
from linewright.model.facts import Band, CalibrationMethod
from linewright.model.task_facts import TASK_FACTS
from linewright.model.tasks.links import ODDITY, Link
from linewright.model.tasks.rules import ClassRules
from linewright.text.good_and_faulty import good_and_faulty

DEFAULT_THRESHOLD = 0.99


class Anomaly(ClassRules):
    """Rules of the anomaly task: classes are (good, faulty), scores are (n, 2), of which the second says how odd a row is.

    That is the share of the good training rows that are less odd, from 0 to 1. It is not the probability of a fault: nothing but good rows is
    learned from. Beyond the oddest of them it still rises, so that rows of which each is odder than all of them have an order.

    Examples
    --------
    >>> ANOMALY.answers(np.array([[0.002, 0.998]]), classes=("good", "faulty"), threshold=0.99, band=None)
    [{'prediction': 'faulty', 'score': 0.998, 'threshold': 0.99}]
    """

    name = "anomaly"
    metrics = TASK_FACTS["anomaly"].metrics
    headline_because = "how well faulty rows are found, whatever the threshold"
    measures = "linewright.model.metrics.anomaly:OF_ANOMALY"
    objective = "squared_error"
    loss_name = TASK_FACTS["anomaly"].loss_name
    label: ClassVar[LabelForm] = "two"
    link: ClassVar[Link] = ODDITY
    class_limits: ClassVar[tuple[float, float]] = (2, 2)
    has_positive = True
    learns_good = True
    calibrations: ClassVar[tuple[CalibrationMethod, ...]] = ()

    def classes(self, labels: Sequence[str], positive: str | None) -> tuple[str, ...]:
        """Return (good, faulty); labels may all be good."""
        return good_and_faulty(set(labels), positive)

    def row_loss(self, target: NDArray[Any], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the squared distance of each score from 0 if the row is good, else from 1."""
        return (scores[:, 1] - (target == 1)) ** 2

    def decide(self, scores: NDArray[np.float64], threshold: float | None) -> NDArray[np.int64]:
        """Return 1 for scores of at least `threshold` (0.99 if `None`)."""
        return (scores[:, 1] >= (DEFAULT_THRESHOLD if threshold is None else threshold)).astype(np.int64)

    def answers(
        self,
        scores: NDArray[np.float64],
        *,
        classes: tuple[str, ...],
        threshold: float | None,
        band: Band | None,
    ) -> list[dict[str, Any]]:
        """Return the class, the score and the threshold that decided."""
        del band
        bar = DEFAULT_THRESHOLD if threshold is None else threshold
        good, faulty = classes
        return [
            {"prediction": faulty if score >= bar else good, "score": score, "threshold": bar}
            for score in scores[:, 1].tolist()
        ]

    def said(self, answers: Sequence[Mapping[str, Any]], classes: tuple[str, ...]) -> NDArray[np.float64]:
        """Return the scores that answers tell."""
        del classes
        odd = np.array([one["score"] for one in answers], dtype=np.float64)
        return np.column_stack([1 - odd, odd])

    def watched(self, answers: Sequence[Mapping[str, Any]], classes: tuple[str, ...]) -> NDArray[Any]:
        """Return the scores."""
        del classes
        return np.array([one["score"] for one in answers], dtype=np.float64)

    def purpose(self, label: str, classes: tuple[str, ...]) -> str:
        """Say that it answers how odd a row is."""
        return f"How odd a row is, compared with those that are {classes[0]!r}, and whether {label} is {classes[1]!r}, decided from it."


ANOMALY = Anomaly()
