"""What every task answers for itself, and the arithmetic that several share."""

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from linewright.data.facts import LabelForm
from linewright.errors import SpecError
from linewright.model.facts import LEVEL, Band, CalibrationMethod, Maintenance, Task
from linewright.model.tasks.links import IDENTITY, SOFTMAX, Link
from linewright.model.tasks.prediction_interval import ends

SMALLEST = 1e-15
"""Probabilities below it count as it in a log-loss, so that one mistake is dear but not infinite."""


class TaskRules(ABC):
    """The rules of one task. Pure: nothing is learned here, nothing is kept.

    Targets: codes into `classes` (int64) for classification, numbers (float64) for regression. Scores: probabilities
    (n, k) in the order of `classes`, or predictions (n,). Both float64. Weights: float64 (n,), at least 0.
    `ClassRules` and `NumberRules` are where a new task begins, and `linewright.testing.tasks` has its contract.
    """

    name: ClassVar[Task]
    """The task, as in the line file."""
    metrics: ClassVar[tuple[str, ...]]
    """Metrics that are reported, by their scikit-learn names; the default headline first."""
    headline_because: ClassVar[str]
    """What that headline says, for the line file that `new` writes."""
    measures: ClassVar[str] = ""
    """``module:NAME`` of a tuple of `model.metrics.definitions.MetricRule` that only this task has; empty for none."""
    objective: ClassVar[str]
    """What trials are selected by: the mean of `row_loss`, ``"log_loss"``, ``"mse"`` or a word of the task's own."""
    loss_name: ClassVar[str]
    """What people call it, e.g. ``"log-loss"``."""
    is_squared: ClassVar[bool] = False
    """Whether it is a squared error, which people read as its root."""
    label: ClassVar[LabelForm]
    """What labels are, for the checks of the data."""
    link: ClassVar[Link]
    """How what a model adds up becomes scores."""
    class_limits: ClassVar[tuple[float, float]]
    """Fewest and most classes that a model may have."""
    has_positive: ClassVar[bool] = False
    """Whether one of two classes is looked for: then there is a threshold, and decisions may have a value."""
    learns_good: ClassVar[bool] = False
    """Whether only rows that are not positive are learned from; there may be none, and scores do not promise shares of them."""
    baseline_name: ClassVar[str] = "prediction without features"
    """What people call that which the first candidate is held against: as a rule, what `baseline` returns."""
    has_interval: ClassVar[bool] = False
    """Whether predictions are numbers with a prediction interval, whose coverage and bias are measured."""
    calibrations: ClassVar[tuple[CalibrationMethod, ...]] = ()
    """Ways in which scores may become answers; leaving them as they are is always one more."""

    @property
    def is_class(self) -> bool:
        """Whether classes are predicted, with the probability of each; else numbers."""
        return self.link.is_class

    @abstractmethod
    def classes(self, labels: Sequence[str], positive: str | None) -> tuple[str, ...]:
        """Return the classes as spelled in `labels`, in the order of scores; empty for regression.

        Raises
        ------
        SpecError
            If the labels do not fit the task, or `positive` does not fit the labels.
        """

    @abstractmethod
    def target(
        self, labels: Sequence[str] | NDArray[Any], classes: tuple[str, ...]
    ) -> NDArray[np.int64] | NDArray[np.float64]:
        """Return the target of each label, shape (n,).

        Raises
        ------
        SpecError
            If a label is not among `classes`, or is no finite number.
        """

    def refuses(self, number: float) -> str:
        """Return why a finite number sent as feedback cannot be a label; empty if it can. Not called for classes."""
        del number
        return ""

    def spelled(self, value: object) -> str:
        """Return a value sent as feedback as labels of `label` form ``time`` are spelled; empty if it is none. Not called for others."""
        del value
        return ""

    def are_comparable(self, classes: tuple[str, ...], others: tuple[str, ...]) -> bool:
        """Return whether models of these classes answer one question."""
        return classes == others

    def scores_on(
        self, scores: NDArray[np.float64], classes: tuple[str, ...], wanted: tuple[str, ...]
    ) -> NDArray[np.float64]:
        """Return scores of a model of `classes` as those of a comparable one of the `wanted` classes."""
        del classes, wanted
        return scores

    @abstractmethod
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

    @abstractmethod
    def baseline_scores(self, baseline: tuple[float, ...], n: int) -> NDArray[np.float64]:
        """Return scores of `n` rows that all get the baseline."""

    @abstractmethod
    def row_loss(self, target: NDArray[Any], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the loss of each row, shape (n,): log-loss in nats (at most 34.6), or squared error."""

    @abstractmethod
    def decide(self, scores: NDArray[np.float64], threshold: float | None) -> NDArray[Any]:
        """Return the decision for each row, shape (n,): codes into the classes, or the numbers themselves."""

    @abstractmethod
    def answers(
        self,
        scores: NDArray[np.float64],
        *,
        classes: tuple[str, ...],
        threshold: float | None,
        band: Band | None,
    ) -> list[dict[str, Any]]:
        """Return what the endpoint answers for each row, as JSON values; ``prediction`` is always there."""

    def said(self, answers: Sequence[Mapping[str, Any]], classes: tuple[str, ...]) -> NDArray[np.float64]:
        """Return the scores that answers tell: probabilities in the order of `classes`, or the numbers."""
        if not classes:
            return np.array([one["prediction"] for one in answers], dtype=np.float64)
        shares = [[one["probabilities"][name] for name in classes] for one in answers]
        return np.array(shares, dtype=np.float64).reshape(len(answers), len(classes))

    def act_by(
        self, scores: NDArray[np.float64], classes: tuple[str, ...], amounts: Maintenance
    ) -> list[float | None]:
        """Return by when to act on each row, by what a failure and coming before it cost; only asked where labels are times."""
        del classes, amounts
        return [None] * len(scores)

    def as_new(
        self,
        scores: NDArray[np.float64],
        classes: tuple[str, ...],
        amounts: Maintenance,
        weight: NDArray[np.float64] | None = None,
    ) -> Maintenance:
        """Return the amounts with what a unit of time costs of what is as good as new, by the scores of many rows, shape (n, k), n > 0."""
        del scores, classes, weight
        return amounts

    @abstractmethod
    def watched(self, answers: Sequence[Mapping[str, Any]], classes: tuple[str, ...]) -> NDArray[Any]:
        """Return what monitors compare of answers, shape (n,): numbers (float64), or classes (object)."""

    @abstractmethod
    def purpose(self, label: str, classes: tuple[str, ...]) -> str:
        """Say in a sentence what the model answers, for its card."""


class ClassRules(TaskRules):
    """Rules of tasks that give each of several classes a probability, with log-loss as their loss."""

    objective = "log_loss"
    loss_name = "log-loss"
    label: ClassVar[LabelForm] = "classes"
    link: ClassVar[Link] = SOFTMAX
    class_limits: ClassVar[tuple[float, float]] = (2, math.inf)
    calibrations: ClassVar[tuple[CalibrationMethod, ...]] = ("temperature",)

    def target(self, labels: Sequence[str] | NDArray[Any], classes: tuple[str, ...]) -> NDArray[np.int64]:
        """Return the place of each label in `classes`."""
        return class_codes(labels, classes)

    def baseline(
        self,
        target: NDArray[Any],
        weight: NDArray[np.float64],
        classes: tuple[str, ...],
        *,
        metric: str | None = None,
    ) -> tuple[float, ...]:
        """Return the share of each class, which is best by every loss of probabilities."""
        del metric
        return weighted_shares(target, weight, len(classes))

    def baseline_scores(self, baseline: tuple[float, ...], n: int) -> NDArray[np.float64]:
        """Return the shares once a row, shape (n, k)."""
        return repeat(baseline, n)

    def row_loss(self, target: NDArray[Any], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log-loss of each row."""
        return log_loss_of_rows(target, scores)

    def decide(self, scores: NDArray[np.float64], threshold: float | None) -> NDArray[np.int64]:
        """Return the likeliest class of each row; of equally likely ones the first."""
        del threshold
        return scores.argmax(axis=1).astype(np.int64)

    def answers(
        self,
        scores: NDArray[np.float64],
        *,
        classes: tuple[str, ...],
        threshold: float | None,
        band: Band | None,
    ) -> list[dict[str, Any]]:
        """Return the class that is decided and the probability of each."""
        del band
        decided = self.decide(scores, threshold).tolist()
        return [
            {"prediction": classes[code], "probabilities": dict(zip(classes, row, strict=True))}
            for code, row in zip(decided, scores.tolist(), strict=True)
        ]

    def watched(self, answers: Sequence[Mapping[str, Any]], classes: tuple[str, ...]) -> NDArray[Any]:
        """Return the classes."""
        del classes
        return np.array([one["prediction"] for one in answers], dtype=object)

    def purpose(self, label: str, classes: tuple[str, ...]) -> str:
        """Say that it answers classes and probabilities."""
        return f"Which of {len(classes)} classes {label} is, with the probability of each."


class NumberRules(TaskRules):
    """Rules of tasks that predict a number: there are no classes, and scores are the predictions, shape (n,)."""

    label: ClassVar[LabelForm] = "number"
    link: ClassVar[Link] = IDENTITY
    class_limits: ClassVar[tuple[float, float]] = (0, 0)
    has_interval: ClassVar[bool] = True
    calibrations: ClassVar[tuple[CalibrationMethod, ...]] = ("clip",)

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
        count_labels(labels)
        return ()

    def target(self, labels: Sequence[str] | NDArray[Any], classes: tuple[str, ...]) -> NDArray[np.float64]:
        """Return the labels as numbers."""
        del classes
        try:
            numbers = np.asarray(labels).astype(np.float64)
        except (TypeError, ValueError) as error:
            raise self.no_number(labels) from error
        if not np.isfinite(numbers).all():
            raise self.no_number(labels)
        return numbers

    def no_number(self, labels: Iterable[Any]) -> SpecError:
        """Return the error about the first label that is not a finite number."""
        row, label = next((row, label) for row, label in enumerate(labels) if not _is_number(label))
        return SpecError(
            f"a {self.name} label is a finite number",
            where=f"label.column, row {row}",
            found=str(label),
            hint="write `task: multiclass` if these are classes, or correct the value",
        )

    def baseline(
        self,
        target: NDArray[Any],
        weight: NDArray[np.float64],
        classes: tuple[str, ...],
        *,
        metric: str | None = None,
    ) -> tuple[float, ...]:
        """Return the constant that `metric` is best by: the weighted median for ``mae``, else the weighted mean."""
        del classes
        total = total_weight(weight)
        if metric == "mae":
            return (_median(target, weight),)
        return (float((target * weight).sum()) / total,)

    def baseline_scores(self, baseline: tuple[float, ...], n: int) -> NDArray[np.float64]:
        """Return the constant once a row, shape (n,)."""
        return repeat(baseline, n)[:, 0]

    def decide(self, scores: NDArray[np.float64], threshold: float | None) -> NDArray[np.float64]:
        """Return the predictions as they are."""
        del threshold
        return scores

    def answers(
        self,
        scores: NDArray[np.float64],
        *,
        classes: tuple[str, ...],
        threshold: float | None,
        band: Band | None,
    ) -> list[dict[str, Any]]:
        """Return the number, with its 90 % interval where it is known how wide that is."""
        del classes, threshold
        if band is None:
            return [{"prediction": x} for x in scores.tolist()]
        low, high = ends(band, scores)
        return [
            {"prediction": x, "interval": [start, end, LEVEL]}
            for x, start, end in zip(scores.tolist(), low.tolist(), high.tolist(), strict=True)
        ]

    def watched(self, answers: Sequence[Mapping[str, Any]], classes: tuple[str, ...]) -> NDArray[Any]:
        """Return the numbers."""
        del classes
        return np.array([one["prediction"] for one in answers], dtype=np.float64)

    def purpose(self, label: str, classes: tuple[str, ...]) -> str:
        """Say that it answers a number and its interval."""
        del classes
        return f"{label}, a number, with a 90 % prediction interval."


def _median(target: NDArray[Any], weight: NDArray[np.float64]) -> float:
    """Return the number with half of the weight at or below it and half at or above; midway where two have."""
    order = np.argsort(target, kind="stable")
    order = order[weight[order] > 0]
    below = np.cumsum(weight[order])
    half = below[-1] / 2
    low, high = (np.searchsorted(below, half, side=side) for side in ("left", "right"))
    return float(target[order[low]] + target[order[min(high, len(order) - 1)]]) / 2


def _is_number(label: Any) -> bool:
    try:
        return math.isfinite(float(label))
    except (TypeError, ValueError):
        return False


def count_labels(labels: Sequence[str]) -> Counter[str]:
    """Return how often each label occurs; refuse labels of which there is only one."""
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
    """Return the share of the weight that each of `classes` classes has; they sum to 1."""
    total = total_weight(weight)
    sums = np.bincount(target, weights=weight, minlength=classes)
    return tuple((sums / total).tolist())


def total_weight(weight: NDArray[np.float64]) -> float:
    """Return the sum of the weights, which is more than 0."""
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
