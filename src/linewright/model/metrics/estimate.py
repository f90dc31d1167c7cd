"""What is measured of rows: a metric of one model, or how much better one is than another, each with its uncertainty.

A metric that is the mean of a number for each row (log-loss, squared error), or the root of such a mean, has a standard
error of its own in every draw; bounds then rest on the studentized bootstrap, which sees how skewed the losses are.
Other metrics have draws only. `intervals.Spread` says what is made of either.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from linewright.model.facts import Metric
from linewright.model.metrics.bootstrap import (
    UNBOUNDED,
    Scale,
    Spread,
    bootstrap,
    class_units,
    count_units,
    draws_for,
    unseen_mean,
    unseen_share,
)
from linewright.model.metrics.definitions import Floats, MetricRule, Statistic, Truth
from linewright.text.numbers import figure

Answers = npt.NDArray[Any]
Clusters = npt.NDArray[Any] | None
_ROUNDING = 1e-12
"""Share of what was added and taken away that rounding may leave of nothing."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A statistic of rows, and what is known of it beforehand."""

    value: Statistic
    error: Statistic | None = None
    """Its standard error, where rows tell it."""
    scale: Scale = "unknown"
    """On which its errors are about as likely up as down."""
    bounds: tuple[float, float] = UNBOUNDED
    """Smallest and largest possible value."""
    unseen: Callable[[float, int], float] | None = None
    """As in `intervals.Spread`."""


def measure_of(
    rule: MetricRule, truth: Truth, said: Answers, *, weight: Floats, clusters: Clusters
) -> Measure:
    """Return a metric of one model as a measure.

    Examples
    --------
    >>> from linewright.model.metrics.definitions import metric
    >>> truth = np.array([1.0, 2.0, 3.0, 4.0])
    >>> rmse = measure_of(metric("rmse", "regression"), truth, truth + 0.5, weight=np.ones(4), clusters=None)
    >>> float(rmse.value(np.ones((1, 4)))[0]), rmse.scale
    (0.5, 'log')
    """
    error = None
    if rule.losses is not None:
        losses = rule.losses(truth, said)[:, np.newaxis]
        error = error_of_means(losses, _slopes(rule, 1), weight=weight, clusters=clusters)
    is_open = rule.losses is not None and not rule.is_bounded
    return Measure(
        value=rule.drawn(truth, said, weight) if rule.drawn else rule.prepare(truth, said),
        error=error,
        scale="logit" if rule.is_bounded else "linear" if rule.is_signed else "log" if is_open else "unknown",
        bounds=(0.0, 1.0) if rule.is_bounded else UNBOUNDED,
        unseen=_hidden(rule, truth, said, weight=weight, clusters=clusters),
    )


def _hidden(
    rule: MetricRule, truth: Truth, said: Answers, *, weight: Floats, clusters: Clusters
) -> Callable[[float, int], float] | None:
    """Return how far a mean over classes may be moved by those of which no row, or each, is right: their draws all agree."""
    if rule.parts is None:
        return None
    shares = rule.parts(truth, said, weight)
    units = class_units(truth, weight, clusters, classes=len(shares))
    counted = max(int(np.isfinite(shares).sum()), 1)

    def hidden(confidence: float, side: int) -> float:
        silent = [many for share, many in zip(shares, units, strict=True) if share == (side < 0)]
        return unseen_mean(silent, confidence) * len(silent) / counted

    return hidden


def difference_of(
    rule: MetricRule, truth: Truth, said: Answers, other: Answers, *, weight: Floats, clusters: Clusters
) -> Measure:
    """Return as a measure how much better one model is than another on the same rows: positive where it is better.

    Examples
    --------
    >>> from linewright.model.metrics.definitions import metric
    >>> truth = np.array([1.0, 2.0, 3.0, 4.0])
    >>> better = difference_of(
    ...     metric("mae", "regression"), truth, truth + 0.5, truth - 2.0, weight=np.ones(4), clusters=None)
    >>> float(better.value(np.ones((1, 4)))[0])
    1.5
    """
    own, others = rule.prepare(truth, said), rule.prepare(truth, other)
    error = None
    if rule.losses is not None:
        columns = np.column_stack([rule.losses(truth, said), rule.losses(truth, other)])
        error = error_of_means(columns, _slopes(rule, 2), weight=weight, clusters=clusters)
    return Measure(
        value=lambda weights: rule.sign * (own(weights) - others(weights)),
        error=error,
        scale="linear",
        bounds=(-1.0, 1.0) if rule.is_bounded else UNBOUNDED,
        unseen=(
            lambda confidence, _: reach_of_unseen(
                rule, truth, said, confidence, weight=weight, clusters=clusters
            )
        )
        if are_alike(rule, said, other, weight=weight)
        else _hidden_apart(rule, truth, said, other, weight=weight, clusters=clusters),
    )


def _hidden_apart(
    rule: MetricRule, truth: Truth, said: Answers, other: Answers, *, weight: Floats, clusters: Clusters
) -> Callable[[float, int], float] | None:
    """Return what no draw of the rows can show that two models decide otherwise, where one is right on each of them: that it is wrong on some.

    Of thirty such rows a tenth may be (`unseen_share`): draws agree that they are right, so that a difference of next to nothing was sure.
    """
    if rule.uses == "worth":
        return _hidden_worth(rule, truth, said, other, weight=weight, clusters=clusters)
    apart = (weight > 0) & (said != other) if rule.uses == "decision" and said.shape == other.shape else None
    if apart is None or not apart.any():
        return None
    units = count_units(np.flatnonzero(apart), clusters)
    loser = {side: codes for side, codes in ((-1, other), (1, said)) if not (truth == codes)[apart].any()}

    def better(truth: Truth, weights: Floats, times: int) -> float:
        own, others = (
            rule.prepare(truth, np.tile(codes, times))(weights[np.newaxis])[0] for codes in (said, other)
        )
        return rule.sign * float(own - others)

    found = better(truth, weight, 1)

    def reach(confidence: float, side: int) -> float:
        if side not in loser:
            return 0.0
        moved = np.where(apart, weight * unseen_share(units, confidence), 0.0)
        after = better(
            np.append(truth, np.where(apart, loser[side], truth)), np.append(weight - moved, moved), 2
        )
        return max(side * (after - found), 0.0)

    # Who is no better says nothing that could be too sure.
    return reach if loser and found else None


def _hidden_worth(
    rule: MetricRule, truth: Truth, said: Answers, other: Answers, *, weight: Floats, clusters: Clusters
) -> Callable[[float, int], float] | None:
    """Return the same of decisions in money: of thirty rows that one model rightly leaves alone a tenth may be positive, and dear."""
    apart = (weight > 0) & (said != other).any(axis=1)
    if not apart.any():
        return None
    places = np.arange(len(truth))
    # How much better one is by what the truth is; where it is better on each row, other truths of them were never seen.
    gained = said - other
    is_better = {-1: gained[places, truth] > 0, 1: gained[places, truth] < 0}
    unseen = [side for side, better in is_better.items() if better[apart].all()]
    units = count_units(np.flatnonzero(apart), clusters)
    turned = (
        weight[apart] @ (rule.losses(1 - truth, said - other) - rule.losses(truth, said - other))[apart]
        if rule.losses
        else 0.0
    )

    def reach(confidence: float, side: int) -> float:
        return unseen_share(units, confidence) * abs(turned) / weight.sum() if side in unseen else 0.0

    return reach if unseen else None


def are_alike(rule: MetricRule, said: Answers, other: Answers, *, weight: Floats) -> bool:
    """Tell whether two models say the same of every row that counts, as far as the metric looks at it.

    Examples
    --------
    >>> from linewright.model.metrics.definitions import metric
    >>> said = np.array([1.0, 2.0])
    >>> are_alike(metric("mae", "regression"), said, said + [0.0, 0.1], weight=np.ones(2))
    False
    """
    counts = weight > 0
    one, two = said[counts], other[counts]
    if not rule.is_ranking:
        return np.array_equal(one, two)
    ranks = (np.unique(each[:, 1], return_inverse=True)[1] for each in (one, two))
    return np.array_equal(next(ranks), next(ranks))


def reach_of_unseen(
    rule: MetricRule, truth: Truth, said: Answers, confidence: float, *, weight: Floats, clusters: Clusters
) -> float:
    """Return how far apart two models may be that say the same of all these rows.

    What n rows never showed may be as frequent as `unseen_share` of them. Decisions: the other model
    answers such a share of all rows, all of one class, always rightly or always wrongly, whichever moves the metric most. Scores: it scores
    such a share of the rows, of no class more than of another, as other rows are scored, taken at random; the worst that scores
    could do there would leave nothing known. The reach is at least that share of 1, or, of losses and what has no ends, of the metric.

    Examples
    --------
    >>> from linewright.model.metrics.definitions import metric
    >>> truth = np.arange(1000) % 2
    >>> accuracy = metric("accuracy", "binary")
    >>> round(reach_of_unseen(accuracy, truth, truth, 0.95, weight=np.ones(1000), clusters=None), 4)
    0.003
    """
    share = unseen_share(count_units(np.flatnonzero(weight > 0), clusters), confidence)
    before = float(rule.prepare(truth, said)(weight[np.newaxis])[0])
    moved = [
        float(rule.prepare(np.append(truth, truth, axis=0), np.append(said, other, axis=0))(weights)[0])
        for other, weights in _answered_otherwise(rule, truth, said, weight, share)
    ]
    is_of_shares = rule.is_bounded and rule.losses is None
    return max(share if is_of_shares else share * abs(before), *(abs(after - before) for after in moved))


def _answered_otherwise(
    rule: MetricRule, truth: Truth, said: Answers, weight: Floats, share: float
) -> Iterator[tuple[Answers, Floats]]:
    """Yield what else may be said, and the weights, shape (1, 2 n), of rows as they are and as it says it of a share of them."""
    if rule.uses != "decision":
        shuffled = np.random.default_rng(0).permutation(len(truth))
        yield said[shuffled], np.append((1 - share) * weight, share * weight)[np.newaxis]
        return
    codes = np.unique(truth[weight > 0])
    for code in codes:
        own = np.where(truth == code, weight, 0.0)
        moved = own * min(1.0, share * weight.sum() / own.sum())
        for answer in (code, *codes[codes != code][:1]):
            yield np.full_like(said, answer), np.append(weight - moved, moved)[np.newaxis]


def _slopes(rule: MetricRule, columns: int) -> Callable[[Floats], Floats]:
    """Return how the metric, or the difference of two, changes with the means that it is made of."""
    signs = np.array([1.0, -1.0])[:columns]

    def slopes(means: Floats) -> Floats:
        if not rule.is_root:
            return np.broadcast_to(signs, means.shape)
        return signs * np.divide(0.5, np.sqrt(means), out=np.full(means.shape, np.nan), where=means > 0)

    return slopes


def error_of_means(
    columns: Floats, slopes: Callable[[Floats], Floats], *, weight: Floats, clusters: Clusters
) -> Statistic:
    """Prepare the standard error of a function of weighted means of rows, where whole clusters are drawn [1]_.

    References
    ----------
    .. [1] K. M. Wolter, Introduction to Variance Estimation, 2nd ed., Springer, 2007: chapter 6.

    Examples
    --------
    >>> rows = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> error = error_of_means(rows, np.ones_like, weight=np.ones(4), clusters=None)
    >>> bool(np.isclose(error(np.ones((1, 4)))[0], rows.std() / 2))
    True
    """
    k = columns.shape[1]
    # Squares of small deviations would vanish beside those of a large mean.
    centre = np.average(columns, axis=0, weights=weight)
    moved = (columns - centre) * weight[:, np.newaxis]
    mass = weight
    if clusters is not None:
        codes = np.unique(clusters, return_inverse=True)[1]
        moved = np.column_stack([np.bincount(codes, weights=moved[:, i])[codes] for i in range(k)])
        mass = np.bincount(codes, weights=weight)[codes]
    # A cluster taken t times has weights that sum to t times its mass, so sums over rows are sums over clusters.
    each = np.divide(moved, mass[:, np.newaxis], out=np.zeros_like(moved), where=mass[:, np.newaxis] > 0)
    pairs = [(i, j) for i in range(k) for j in range(i, k)]
    moments = np.column_stack([*(moved[:, i] * each[:, j] for i, j in pairs), moved, each, mass])

    def error(weights: Floats) -> Floats:
        sums = weights @ moments
        squares, crossed, firsts = np.split(sums[:, :-1], [len(pairs), len(pairs) + k], axis=1)
        total = weights.sum(axis=1)
        means = np.divide(firsts.T, total, out=np.full((k, len(total)), np.nan), where=total > 0).T
        steps = slopes(means + centre)
        variance, summed = np.zeros(len(total)), np.zeros(len(total))
        for place, (i, j) in enumerate(pairs):
            terms = (
                squares[:, place],
                -means[:, i] * crossed[:, j],
                -means[:, j] * crossed[:, i],
                means[:, i] * means[:, j] * sums[:, -1],
            )
            factor = (1 if i == j else 2) * steps[:, i] * steps[:, j]
            variance += factor * sum(terms)
            summed += np.abs(factor) * sum(np.abs(term) for term in terms)
        # A draw of rows that are all alike has no error; what rounding leaves of it would pass for one, and the draw's
        # deviation in such errors be without bounds.
        variance[variance <= _ROUNDING * summed] = 0.0
        return np.divide(
            np.sqrt(np.maximum(variance, 0.0)), total, out=np.full(len(total), np.nan), where=total > 0
        )

    return error


def spreads(
    measures: Sequence[Measure],
    *,
    units: Sequence[int],
    weight: Floats,
    clusters: Clusters,
    seed: int,
    draws: int | None = None,
) -> list[Spread]:
    """Draw rows again and again, and return where each measure may really be; all on the same draws."""
    errors = [one.error for one in measures if one.error is not None]
    made = bootstrap(
        [*(one.value for one in measures), *errors],
        weight=weight,
        clusters=clusters,
        seed=seed,
        draws=draws or draws_for(len(weight)),
    )
    rows = iter(range(len(measures), len(measures) + len(errors)))
    found: list[Spread] = []
    for i, one in enumerate(measures):
        row = None if one.error is None else next(rows)
        found.append(
            Spread(
                value=float(made.values[i]),
                drawn=made.drawn[i],
                units=units[i],
                bounds=one.bounds,
                scale=one.scale,
                error=None if row is None else float(made.values[row]),
                errors=None if row is None else made.drawn[row],
                unseen=one.unseen,
            )
        )
    return found


def to_metric(
    name: str,
    spread: Spread,
    n: int,
    *,
    is_known: bool,
    is_bounded: bool,
    rounded: Callable[[float], float] = figure,
) -> Metric | None:
    """Return a measured value with its 95 % interval as a record holds it; `None` where the rows leave it undefined.

    Examples
    --------
    >>> spread = Spread(value=0.5, drawn=np.linspace(0.4, 0.6, 1001), units=200)
    >>> found = to_metric("accuracy", spread, 200, is_known=True, is_bounded=True)
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (0.5, 0.405, 0.595)
    """
    if not np.isfinite(spread.value):
        return None
    low, high = spread.interval()
    if not is_known or np.isnan(low):
        low, high = (0.0, 1.0) if is_bounded else (None, None)
    ends = (None if end is None else rounded(end) for end in (low, high))
    return Metric(name=name, value=rounded(spread.value), low=next(ends), high=next(ends), n=n)
