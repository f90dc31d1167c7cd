"""Metrics by their scikit-learn names, each computed for many weightings of the same rows at once.

A metric first *prepares* truth and scores (sorting happens here, once) and becomes a `Statistic`: from a matrix with
one weighting of the rows a line to one value a line. One weighting gives the metric; a thousand give its bootstrap.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, partial
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from linewright.errors import SpecError
from linewright.model.facts import ROWS_OF_VALUE, VALUE, Task
from linewright.model.task_facts import METRIC_FACTS, MetricFacts
from linewright.model.task_names import load
from linewright.model.tasks import task as rules_of

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[Any]
Statistic = Callable[[Floats], Floats]
"""From weights, shape (b, n), to values, shape (b,); NaN where those weights leave the value undefined."""

SMALLEST_PROBABILITY = 1e-15
_FEW = 500
"""Rows below which counting all draws at once is quicker than one after the other; both add in one order."""


@dataclass(frozen=True, kw_only=True)
class MetricRule(MetricFacts):
    """What there is to know about one metric.

    Examples
    --------
    >>> truth = np.array([0, 0, 1, 1])
    >>> scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.65, 0.35], [0.2, 0.8]])
    >>> metric("roc_auc", "binary").function(truth, scores, np.ones(4))
    0.75
    """

    uses: Literal["scores", "decision", "worth"]
    """Whether `prepare` takes the model's scores or what was decided from them: class codes, int64, shape (n,); or, of a guess, the share in which
    a row is said to be of each class, float64, shape (n, classes). Or what these decisions are worth: of a negative row and of a positive one,
    float64, shape (n, 2)."""
    prepare: Callable[[Truth, npt.NDArray[Any]], Statistic]
    """From truth and scores to the statistic; sorts once, so that a weighting costs O(n)."""
    is_signed: bool = False
    """Whether values may lie on either side of 0."""
    guess: Literal["likelier", "positive", "rate"] = "likelier"
    """What is best decided without features: of each row the likeliest class, or the positive one; or, where no answer to all rows is what a model
    without knowledge gives at its best, each class as often as the model beside it does, at random."""
    by_class: bool = False
    """Whether each class counts alike however rare it is."""
    of_class: int | None = None
    """The class of the rows that it is about; `None` for all."""
    drawn: Callable[[Truth, npt.NDArray[Any], Floats], Statistic] | None = None
    """As `prepare`, of rows with such weights that are drawn again and again, where a draw may lose what the metric is made of."""
    parts: Callable[[Truth, npt.NDArray[Any], Floats], Floats] | None = None
    """Where the metric is the mean of a share for each class: these shares, shape (classes,); NaN of classes without rows of weight."""
    losses: Callable[[Truth, npt.NDArray[Any]], Floats] | None = None
    """From truth and scores to a number for each row, where the metric is the mean of such numbers (or its root)."""
    is_root: bool = False
    """Whether the metric is the square root of the mean of `losses`."""
    is_ranking: bool = False
    """Whether only the order counts in which the scores of the positive class put the rows."""

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.greater_is_better else -1

    def function(self, truth: Truth, scores: npt.NDArray[Any], weight: Floats) -> float:
        """Return the metric of `scores`, or of decided codes where the metric `uses` decisions."""
        return float(self.prepare(truth, scores)(np.asarray(weight, dtype=np.float64)[np.newaxis])[0])


@cache
def metrics_of(task: Task) -> Mapping[str, MetricRule]:
    """Return the metrics of a task by their names: those of the table that fit it or that it reports, and its own.

    Examples
    --------
    >>> sorted(metrics_of("regression"))
    ['mae', 'mape', 'mse', 'r2', 'rmse']
    """
    rules = rules_of(task)
    fitting = (rule for rule in METRICS.values() if task in rule.tasks or rule.name in rules.metrics)
    own: Sequence[MetricRule] = load(rules.measures) if rules.measures else ()
    return MappingProxyType({rule.name: rule for rule in (*fitting, *own)})


def find_metric(name: str, tasks: Iterable[Task]) -> MetricRule | None:
    """Return the metric with that name in one of these tasks; `None` where none has it."""
    return next((known[name] for known in map(metrics_of, tasks) if name in known), None)


def metric(name: str, task: Task) -> MetricRule:
    """Return the metric with that scikit-learn name.

    Examples
    --------
    >>> metric("auc", "binary")
    Traceback (most recent call last):
        ...
    linewright.errors.SpecError: no such metric for a binary task: found 'auc', allowed: accuracy, \
average_precision, balanced_accuracy, brier_score, f1, \
f1_macro, log_loss, precision, recall, roc_auc, value. Next: write 'roc_auc'
    """
    known = metrics_of(task)
    if name in known:
        return known[name]
    allowed = sorted(known)
    nearest = get_close_matches(name, allowed, n=1, cutoff=0.4)
    raise SpecError(
        f"no such metric for a {task} task",
        found=name,
        allowed=", ".join(allowed),
        hint=f"write {nearest[0]!r}" if nearest else "",
    )


def divide(above: Floats, below: Floats, *, otherwise: float = np.nan) -> Floats:
    """Divide, and give `otherwise` where `below` is not positive."""
    return np.divide(above, below, out=np.full(np.shape(below), otherwise), where=below > 0)


def _mean(values: Floats) -> Statistic:
    return lambda weights: divide(weights @ values, weights.sum(axis=1))


def _ranked(scores: Floats) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the order of rows, highest score first, and where in it each run of equal scores ends: they count at once."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    return order, np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)


def _curve(truth: Truth, scores: Floats) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Prepare the weights of true and false positives at and above each distinct score, highest first."""
    order, ends = _ranked(scores)
    positive = (truth[order] == 1).astype(np.float64)

    def curve(weights: Floats) -> tuple[Floats, Floats]:
        sorted_weights = weights[:, order]
        hits = np.cumsum(sorted_weights * positive, axis=1)
        alarms = np.cumsum(sorted_weights, axis=1)
        if len(ends) < len(order):
            hits, alarms = hits[:, ends], alarms[:, ends]
        return hits, alarms - hits

    return curve


def _roc_auc(truth: Truth, scores: Floats) -> Statistic:
    curve = _curve(truth, scores[:, 1])

    def area(weights: Floats) -> Floats:
        hits, false = curve(weights)
        steps = np.diff(false, axis=1, prepend=0.0)
        # Trapezoids: a tie between a positive and a negative row counts half.
        under = (steps * hits).sum(axis=1) - 0.5 * (steps * np.diff(hits, axis=1, prepend=0.0)).sum(axis=1)
        return divide(under, hits[:, -1] * false[:, -1])

    return area


def _average_precision(truth: Truth, scores: Floats) -> Statistic:
    order, ends = _ranked(scores[:, 1])
    places = np.flatnonzero(truth[order] == 1)
    runs = np.searchsorted(ends, places)
    # Precision counts only where a positive is gained: the ends of runs that hold one, few where positives are rare.
    last = np.flatnonzero(np.append(runs[1:] != runs[:-1], True))[: len(runs)]
    positives, at = order[places], ends[runs[last]]

    def mean_precision(weights: Floats) -> Floats:
        hits = np.cumsum(weights[:, positives], axis=1)[:, last]
        alarms = np.cumsum(weights[:, order], axis=1)[:, at]
        gained = np.diff(hits, axis=1, prepend=0.0)
        precise = (gained * divide(hits, alarms, otherwise=0.0)).sum(axis=1)
        return divide(precise, gained.sum(axis=1), otherwise=0.0)

    return mean_precision


def _log_losses(truth: Truth, scores: Floats) -> Floats:
    chosen = scores[np.arange(len(truth)), truth]
    return -np.log(np.clip(chosen, SMALLEST_PROBABILITY, 1.0))


def _brier_losses(truth: Truth, scores: Floats) -> Floats:
    return (scores[:, 1] - truth) ** 2


def _worths(truth: Truth, worth: Floats) -> Floats:
    return ROWS_OF_VALUE * worth[np.arange(len(truth)), truth]


def _accuracy(truth: Truth, decided: Truth) -> Statistic:
    return _mean((truth == decided).astype(np.float64))


def _sums(codes: Truth, classes: int) -> Callable[[Floats], Floats]:
    """Prepare the weight of each code in 0…classes-1, shape (b, classes); a code of -1 counts nowhere."""
    places, slots = codes + 1, classes + 1

    def sums(weights: Floats) -> Floats:
        if len(places) < _FEW:
            at = places + slots * np.arange(len(weights))[:, np.newaxis]
            flat = np.bincount(at.ravel(), weights=weights.ravel(), minlength=slots * len(weights))
            return flat.reshape(len(weights), slots)[:, 1:].astype(np.float64, copy=False)
        each = [np.bincount(places, weights=row, minlength=slots)[1:] for row in weights]
        return np.stack(each).astype(np.float64, copy=False)

    return sums


Counts = Callable[[Floats], tuple[Floats, Floats, Floats]]


def _counts(truth: Truth, decided: Truth) -> Counts:
    """Prepare, by class, the weights of right answers, of truth and of answers, each shape (b, classes)."""
    if decided.ndim == 2:
        return _shared_counts(truth, decided)
    classes = int(max(truth.max(initial=0), decided.max(initial=0), 1)) + 1
    right = _sums(np.where(truth == decided, truth, -1), classes)
    true, answered = _sums(truth, classes), _sums(decided, classes)
    return lambda weights: (right(weights), true(weights), answered(weights))


def _shared_counts(truth: Truth, shares: Floats) -> Counts:
    """Prepare the same of rows that are said to be of each class in part."""
    of_class = (truth[:, np.newaxis] == np.arange(shares.shape[1])).astype(np.float64)
    right = of_class * shares

    def counts(weights: Floats) -> tuple[Floats, Floats, Floats]:
        return weights @ right, weights @ of_class, weights @ shares

    return counts


def _balanced_accuracy(truth: Truth, decided: Truth) -> Statistic:
    counts = _counts(truth, decided)

    def mean_recall(weights: Floats) -> Floats:
        right, true, _ = counts(weights)
        present = (true > 0).sum(axis=1).astype(np.float64)
        return divide(divide(right, true, otherwise=0.0).sum(axis=1), present)

    return mean_recall


def _recalls(truth: Truth, decided: Truth, weight: Floats) -> Floats:
    right, true, _ = _counts(truth, decided)(weight[np.newaxis])
    return divide(right, true)[0]


def _balanced_accuracy_drawn(truth: Truth, decided: Truth, weight: Floats) -> Statistic:
    """Prepare the mean recall over the classes that there are; a draw that loses a rare one would be of another mean."""
    counts, known = _counts(truth, decided), _recalls(truth, decided, weight)
    there = np.flatnonzero(np.isfinite(known))

    def mean_recall(weights: Floats) -> Floats:
        right, true, _ = counts(weights)
        recalls = np.where(true > 0, divide(right, true), known)
        return recalls[:, there].mean(axis=1) if len(there) else np.full(len(weights), np.nan)

    return mean_recall


def _f_scores(counts: Counts, weights: Floats) -> Floats:
    right, true, answered = counts(weights)
    return divide(2 * right, true + answered, otherwise=0.0)


def _f1(truth: Truth, decided: Truth) -> Statistic:
    counts = _counts(truth, decided)
    return lambda weights: _f_scores(counts, weights)[:, 1]


def _f1_macro(truth: Truth, decided: Truth) -> Statistic:
    counts = _counts(truth, decided)
    answered = decided if decided.ndim == 1 else np.flatnonzero(decided.any(axis=0))
    present = np.union1d(truth, answered)
    return lambda weights: _f_scores(counts, weights)[:, present].mean(axis=1)


def _precision(truth: Truth, decided: Truth) -> Statistic:
    rows = np.flatnonzero(_said_positive(decided) > 0)
    return share(rows, (truth[rows] == 1).astype(np.float64))


def _recall(truth: Truth, decided: Truth) -> Statistic:
    rows = np.flatnonzero(truth == 1)
    return share(rows, _said_positive(decided)[rows])


def _said_positive(decided: Truth) -> Floats:
    return decided[:, 1] if decided.ndim == 2 else (decided == 1).astype(np.float64)


def share(rows: Truth, values: Floats) -> Statistic:
    """Prepare the mean of `values`, one for each of the rows with these indices; 0 where they have no weight."""
    return lambda weights: divide(weights[:, rows] @ values, weights[:, rows].sum(axis=1), otherwise=0.0)


def _squares(truth: Truth, scores: Floats) -> Floats:
    return (truth - scores) ** 2


def _root_mean_square(truth: Truth, scores: Floats) -> Statistic:
    mean = _mean(_squares(truth, scores))
    return lambda weights: np.sqrt(mean(weights))


def _absolutes(truth: Truth, scores: Floats) -> Floats:
    return np.abs(truth - scores)


def _absolute_shares(truth: Truth, scores: Floats) -> Floats:
    return np.abs(truth - scores) / np.maximum(np.abs(truth), np.finfo(np.float64).eps)


def _r2(truth: Truth, scores: Floats) -> Statistic:
    # R2 does not change with the origin; near the middle of the data, squares lose the fewest digits.
    centred = truth - np.median(truth) if len(truth) else truth
    errors = (truth - scores) ** 2

    def explained(weights: Floats) -> Floats:
        missed = weights @ errors
        total = weights @ centred**2 - divide((weights @ centred) ** 2, weights.sum(axis=1))
        constant = np.where(missed > 0, 0.0, 1.0)  # as scikit-learn has it for a constant truth
        return np.where(total > 0, 1 - divide(missed, total), constant)

    return explained


def _mean_of(losses: Callable[[Truth, npt.NDArray[Any]], Floats]) -> dict[str, Any]:
    """Return what a rule says of a metric that is the mean of `losses`."""

    def prepare(truth: Truth, scores: npt.NDArray[Any]) -> Statistic:
        return _mean(losses(truth, scores))

    return {"prepare": prepare, "losses": losses}


def _rule(name: str, **more: Any) -> MetricRule:
    """Return how a metric that is built in is computed, with what is known of it."""
    return MetricRule(**vars(METRIC_FACTS[name]), **more)


_scored = partial(_rule, uses="scores")
_decided = partial(_rule, uses="decision")

METRICS: Mapping[str, MetricRule] = MappingProxyType(
    {
        rule.name: rule
        for rule in (
            _scored("average_precision", prepare=_average_precision, is_ranking=True),
            _scored("roc_auc", prepare=_roc_auc, is_ranking=True),
            _scored("log_loss", **_mean_of(_log_losses)),
            _scored("brier_score", **_mean_of(_brier_losses)),
            _decided("accuracy", prepare=_accuracy),
            _decided(
                "balanced_accuracy",
                by_class=True,
                prepare=_balanced_accuracy,
                drawn=_balanced_accuracy_drawn,
                parts=_recalls,
            ),
            _decided("f1", guess="positive", prepare=_f1),
            _decided("precision", guess="rate", prepare=_precision),
            _decided("recall", guess="rate", prepare=_recall),
            _decided("f1_macro", by_class=True, guess="rate", prepare=_f1_macro),
            _rule(VALUE, uses="worth", is_signed=True, **_mean_of(_worths)),
            _scored("rmse", prepare=_root_mean_square, losses=_squares, is_root=True),
            _scored("mse", **_mean_of(_squares)),
            _scored("mae", **_mean_of(_absolutes)),
            _scored("mape", **_mean_of(_absolute_shares)),
            _scored("r2", prepare=_r2),
        )
    }
)
"""Every metric by its name."""
