"""What every task answers for itself, and the arithmetic that several share."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from linewright.errors import SpecError
from linewright.model.facts import Band, Task

SMALLEST = 1e-15
"""Probabilities below it count as it in a log-loss, so that one mistake is dear but not infinite."""


class TaskRules(Protocol):
    """The rules of one task. Pure: nothing is learned here, nothing is kept.

    Targets: codes into `classes` (int64) for classification, numbers (float64) for regression. Scores: probabilities
    (n, k) in the order of `classes`, or predictions (n,). Both float64. Weights: float64 (n,), at least 0.
    """

    @property
    def name(self) -> Task:
        """The task, as in the line file."""
        ...

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that are reported, by their scikit-learn names; the default headline first."""
        ...

    @property
    def objective(self) -> str:
        """What trials are selected by: the mean of `row_loss`, ``"log_loss"`` or ``"mse"``."""
        ...

    def classes(self, labels: Sequence[str], positive: str | None) -> tuple[str, ...]:
        """Return the classes as spelled in `labels`, in the order of scores; empty for regression.

        Raises
        ------
        SpecError
            If the labels do not fit the task, or `positive` does not fit the labels.
        """
        ...

    def target(
        self, labels: Sequence[str] | NDArray[Any], classes: tuple[str, ...]
    ) -> NDArray[np.int64] | NDArray[np.float64]:
        """Return the target of each label, shape (n,).

        Raises
        ------
        SpecError
            If a label is not among `classes`, or is no finite number.
        """
        ...

    def baseline(
        self,
        target: NDArray[Any],
        weight: NDArray[np.float64],
        classes: tuple[str, ...],
        *,
        metric: str | None = None,
    ) -> tuple[float, ...]:
        """Return the prediction that uses no features: weighted class shares, or of numbers the weighted mean or median.

        `metric` is what is read first: held against a constant that another one is best by, a model looks better than it is.

        Raises
        ------
        SpecError
            If the weights are all 0.
        """
        ...

    def baseline_scores(self, baseline: tuple[float, ...], n: int) -> NDArray[np.float64]:
        """Return scores of `n` rows that all get the baseline."""
        ...

    def row_loss(self, target: NDArray[Any], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the loss of each row, shape (n,): log-loss in nats (at most 34.6), or squared error."""
        ...

    def decide(self, scores: NDArray[np.float64], threshold: float | None) -> NDArray[Any]:
        """Return the decision for each row, shape (n,): codes into the classes, or the numbers themselves."""
        ...

    def answers(
        self,
        scores: NDArray[np.float64],
        *,
        classes: tuple[str, ...],
        threshold: float | None,
        band: Band | None,
    ) -> list[dict[str, Any]]:
        """Return what the endpoint answers for each row, as JSON values; ``prediction`` is always there."""
        ...


def count_labels(labels: Sequence[str]) -> Counter[str]:
    """Return how often each label occurs; refuse labels of which there is only one.

    Raises
    ------
    SpecError
        If there are fewer than two different labels.
    """
    counts = Counter(labels)
    if len(counts) < 2:
        raise SpecError(
            "the label is the same in every row" if counts else "there are no labelled rows",
            where="label.column",
            found=next(iter(counts), None),
            allowed="at least two different values",
            hint="bring rows with another label",
        )
    return counts


def class_codes(labels: Sequence[str] | NDArray[Any], classes: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the place of each label in `classes`, shape (n,).

    Raises
    ------
    SpecError
        If a label is not among them; the message names the first such row, counted from 0.

    Examples
    --------
    >>> class_codes(["No", "Yes", "No"], ("No", "Yes")).tolist()
    [0, 1, 0]
    """
    code = {name: i for i, name in enumerate(classes)}
    values = labels.tolist() if isinstance(labels, np.ndarray) else labels
    try:
        return np.fromiter((code[label] for label in values), dtype=np.int64, count=len(values))
    except KeyError as error:
        row, label = next((row, label) for row, label in enumerate(values) if label not in code)
        raise SpecError(
            "a label that the model was not trained on",
            where=f"row {row}",
            found=label,
            allowed=", ".join(map(repr, classes)),
            hint="correct the label, or train again on rows that have it",
        ) from error


def weighted_shares(
    target: NDArray[np.int64], weight: NDArray[np.float64], classes: int
) -> tuple[float, ...]:
    """Return the share of the weight that each of `classes` classes has; they sum to 1.

    Raises
    ------
    SpecError
        If the weights are all 0.
    """
    total = total_weight(weight)
    sums = np.bincount(target, weights=weight, minlength=classes)
    return tuple((sums / total).tolist())


def total_weight(weight: NDArray[np.float64]) -> float:
    """Return the sum of the weights, which is more than 0.

    Raises
    ------
    SpecError
        If the weights are all 0.
    """
    total = float(weight.sum())
    if total <= 0:
        raise SpecError("no row has a weight", hint="correct `table.weight`: at least one must be above 0")
    return total


def log_loss_of_rows(target: NDArray[np.int64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return -log of the probability that each row gave to its true class, in nats, shape (n,).

    Examples
    --------
    >>> log_loss_of_rows(np.array([1, 0]), np.array([[0.5, 0.5], [1.0, 0.0]])).round(3).tolist()
    [0.693, 0.0]
    """
    truth = scores[np.arange(len(target)), target]
    return 0.0 - np.log(np.clip(truth, SMALLEST, 1.0))


def repeat(baseline: tuple[float, ...], n: int) -> NDArray[np.float64]:
    """Return the baseline once a row, shape (n, len(baseline))."""
    return np.tile(np.asarray(baseline, dtype=np.float64), (n, 1))


def by_class(scores: NDArray[np.float64], classes: tuple[str, ...]) -> list[dict[str, float]]:
    """Return the probabilities of each row by the name of the class."""
    return [dict(zip(classes, row, strict=True)) for row in scores.tolist()]
