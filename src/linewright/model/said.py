"""What a model says of rows, and what is said of them without looking at any."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from linewright.model.facts import Task
from linewright.model.metrics import Floats, MetricRule
from linewright.model.tasks import task as rules_of

Answers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Said:
    """What one model says of the test rows."""

    scores: Floats
    decided: Answers

    def used_by(self, rule: MetricRule) -> Answers:
        """Return what a metric is computed from."""
        return self.decided if rule.uses == "decision" else self.scores

    def at(self, rows: npt.NDArray[np.bool_]) -> "Said":
        """Return what it says of some of the rows."""
        return replace(self, scores=self.scores[rows], decided=self.decided[rows])


@dataclass(frozen=True, kw_only=True, eq=False)
class Guess(Said):
    """What the prediction that uses no features says, for each metric the best of its kind.

    Decided at the threshold of a model it would say one class of all rows, by the side of the threshold on which the share of positives
    lies, and that may be the worse one: an f1 of 0 is beaten by who knows nothing.
    """

    rates: tuple[float, ...]
    """Share of the rows that the model beside it says to be of each class; empty for numbers."""

    def used_by(self, rule: MetricRule) -> Answers:
        """Return what a metric is computed from: scores, class codes, or for each row the share in which it is said to be of each class."""
        if rule.uses == "scores" or rule.guess == "likelier":
            return super().used_by(rule)
        if rule.guess == "positive":
            return np.ones(len(self.decided), dtype=np.int64)
        return np.tile(self.rates, (len(self.decided), 1))


def guess(task: Task, scores: Floats, *, beside: Answers, weight: Floats) -> Guess:
    """Return what is said without features.

    Parameters
    ----------
    task
        What is predicted.
    scores : float64 array, shape (n, classes) or (n,)
        Of the baseline, the same for each row.
    beside : array, shape (n,)
        What the model decides that is held against it.
    weight : float64 array, shape (n,)

    Examples
    --------
    >>> from linewright.model.metrics import metric
    >>> said = guess("binary", np.tile([0.8, 0.2], (4, 1)), beside=np.array([1, 0, 0, 0]), weight=np.ones(4))
    >>> [said.used_by(metric(name, "binary")).tolist() for name in ("accuracy", "f1", "recall")]
    [[0, 0, 0, 0], [1, 1, 1, 1], [[0.75, 0.25], [0.75, 0.25], [0.75, 0.25], [0.75, 0.25]]]
    """
    rates: tuple[float, ...] = ()
    if scores.ndim == 2:
        counts = np.bincount(beside, weights=weight, minlength=scores.shape[1])
        rates = tuple((counts / max(counts.sum(), np.finfo(np.float64).tiny)).tolist())
    return Guess(scores=scores, decided=rules_of(task).decide(scores, None), rates=rates)
