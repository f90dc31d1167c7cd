"""What a model says of rows, and what is said of them without looking at any."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from linewright.errors import SpecError
from linewright.model.facts import Task
from linewright.model.metrics.definitions import Floats, MetricRule
from linewright.model.tasks import task as rules_of
from linewright.model.tasks.value import Amounts

Answers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Said:
    """What one model says of the test rows."""

    scores: Floats
    decided: Answers
    worth: Floats | None = None
    """What its decisions are worth, shape (n, 2), see `value.Amounts.worth`; `None` where the line does not say."""

    def used_by(self, rule: MetricRule) -> Answers:
        """Return what a metric is computed from."""
        if rule.uses == "worth":
            return self._worth()
        return self.decided if rule.uses == "decision" else self.scores

    def _worth(self) -> Floats:
        if self.worth is None:
            raise SpecError(
                "the line does not say what decisions are worth, so they have no value",
                where="value",
                hint="add a section such as value: {currency: EUR, true_positive: 900, false_positive: -40, false_negative: -900}",
            )
        return self.worth

    def at(self, rows: npt.NDArray[np.bool_]) -> "Said":
        """Return what it says of some of the rows."""
        worth = None if self.worth is None else self.worth[rows]
        return replace(self, scores=self.scores[rows], decided=self.decided[rows], worth=worth)


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
        if rule.uses != "decision" or rule.guess == "likelier":
            return super().used_by(rule)
        if rule.guess == "positive":
            return np.ones(len(self.decided), dtype=np.int64)
        return np.tile(self.rates, (len(self.decided), 1))


def say(task: Task, scores: Floats, threshold: float | None, amounts: Amounts | None = None) -> Said:
    """Return what a model says whose positive class begins at a threshold, and what its decisions are worth where amounts are known."""
    decided = rules_of(task).decide(scores, threshold)
    return Said(scores=scores, decided=decided, worth=None if amounts is None else amounts.worth(decided))


def guess(
    task: Task, scores: Floats, *, beside: Answers, weight: Floats, amounts: Amounts | None = None
) -> Guess:
    """Return what is said without features.

    Examples
    --------
    >>> from linewright.model.metrics.definitions import metric
    >>> said = guess("binary", np.tile([0.8, 0.2], (4, 1)), beside=np.array([1, 0, 0, 0]), weight=np.ones(4))
    >>> [said.used_by(metric(name, "binary")).tolist() for name in ("accuracy", "f1", "recall")]
    [[0, 0, 0, 0], [1, 1, 1, 1], [[0.75, 0.25], [0.75, 0.25], [0.75, 0.25], [0.75, 0.25]]]
    """
    rates: tuple[float, ...] = ()
    if rules_of(task).is_class:
        counts = np.bincount(beside, weights=weight, minlength=scores.shape[1])
        rates = tuple((counts / max(counts.sum(), np.finfo(np.float64).tiny)).tolist())
    worth = None
    if amounts is not None and len(scores):
        worth = amounts.worth(amounts.best_constant(float(scores[0, 1]), weight))
    return Guess(scores=scores, decided=rules_of(task).decide(scores, None), rates=rates, worth=worth)
