"""How sure a metric is: the bootstrap, with several models or metrics on the same draws.

The method
----------
A draw takes as many rows as there are, with replacement; a row that was taken twice counts twice, so a draw is only a
vector of weights, and a metric that was prepared once (`metrics.Statistic`) costs O(n) a draw. Where rows come in
groups (a patient, a machine), whole groups are drawn; where they come in order of time, blocks of it (`blocks`). Models that are compared see the same draws, so what they share
cancels (a paired bootstrap).

Rows are drawn without regard to class. Drawing each class apart would hold the class shares still, as if the next test
part were sure to have them; for metrics that depend on the shares, 95 % intervals then cover far less (in simulations
with 6 % positives, one-sided 95 % bounds of accuracy and log-loss were missed in 16 % to 21 % of repetitions instead of 5 %).

From draws to bounds
--------------------
Each bound is sought on a scale on which errors are about as likely up as down: log-odds for metrics from 0 to 1, logarithms for
losses, none for differences. There it is, with c the confidence and m the units (rows or groups; for two classes, those of the
rarer class),

- where each draw has a standard error of its own (means of losses): studentized [1]_, the value less a quantile of the draws'
  deviations in standard errors, times its own standard error. Rare large losses are missing from most samples that are too low, so
  percentiles of squared errors of 50 rows cover 85 to 90 % instead of 95; studentized, 92 to 95 %;
- else, for metrics from 0 to 1 and differences: the value, less its bias as the draws show it [1]_, and as many standard deviations of
  the draws as the quantile of Student's t says. Average precision of few positives is too high on average, and its draws, in which
  rows come twice, once more: percentiles count this twice instead of taking it away;
- else (and where a draw has no standard error): a percentile of the draws.

Levels are widened for small samples [2]_: the normal quantile is replaced by that of Student's t with m - 1 degrees of freedom,
times sqrt(m / (m - 1)). Where all draws agree (no row was wrong), they would claim certainty; what m rows never showed may still be
as frequent as ``1 - alpha ** (1 / m)`` (the rule of three [3]_), and the bound moves by that share of the metric's range. Of two models
that answer all rows alike the share is that of rows (of any class, or groups) which they answer otherwise; `measures.reach_of_unseen`
says how far apart that may put them. A mean over classes moves by what the classes may hide of which no row, or each, is right
(`unseen_mean`), also where draws differ by the other classes; a class that a draw leaves out keeps the share that all rows have of it.

No bound on a scale is further away than three times as many standard deviations: where a value is near the end of its scale, or one group has
most of the error, what the slope there says of places far from it is nothing.

`benchmarks/honesty.py` counts how often the bounds hold.

References
----------
.. [1] B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, Chapman & Hall, 1993: chapters 8 (groups), 10
   (bias), 12 (studentized, and on which scale), 13 (percentiles).
.. [2] T. C. Hesterberg, What Teachers Should Know About the Bootstrap, The American Statistician 69 (2015), 371-386:
   the expanded percentile interval.
.. [3] J. A. Hanley and A. Lippman-Hand, If Nothing Goes Wrong, Is Everything All Right?, JAMA 249 (1983), 1743-1745.
.. [4] C. A. Field and A. H. Welsh, Bootstrapping Clustered Data, Journal of the Royal Statistical Society B 69 (2007),
   369-390.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never

import numpy as np
import numpy.typing as npt

from linewright.model.facts import Task
from linewright.model.metrics.definitions import Floats, Statistic
from linewright.model.tasks import task as rules_of

DRAWS = 1_000
_FEWEST, _DRAWN = 400, 100_000_000
"""Fewest draws of very many rows, and rows that are drawn in all where that gives more."""
BLOCK = 200_000
"""Weights held at once (or one draw, if that is more): about as many as a processor's cache holds."""
UNBOUNDED = (-math.inf, math.inf)
Scale = Literal["unknown", "linear", "log", "logit"]
_FARTHEST = 3.0
"""Times the plain reach of standard deviations that a bound on a scale may be away: a slope is that of one place, and far from it says nothing.
Near 1, or of groups of which one has most of the error, scales alone gave 0.04 to 1."""
_LARGEST = 700.0
"""About the largest number whose exponential is a float."""


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Statistics of the rows, and of the rows as drawn again and again."""

    values: Floats
    """Shape (statistics,)."""
    drawn: Floats
    """Shape (statistics, draws); NaN where a draw left a statistic undefined."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A value and where it may really be.

    Examples
    --------
    >>> spread = Spread(value=0.5, drawn=np.linspace(0.4, 0.6, 1001), units=200)
    >>> round(spread.lower(0.95), 3), round(spread.upper(0.95), 3)
    (0.41, 0.59)
    """

    value: float
    drawn: Floats
    """The value in each draw, shape (draws,)."""
    units: int
    """Independent units behind it, of the rarest kind that it depends on."""
    bounds: tuple[float, float] = UNBOUNDED
    """Smallest and largest possible value."""
    scale: Scale = "unknown"
    """On which bounds are sought; where it is unknown, percentiles of the draws are bounds."""
    error: float | None = None
    """Standard error of the value, where the rows tell it."""
    errors: Floats | None = None
    """That of each draw, shape (draws,)."""
    unseen: Callable[[float, int], float] | None = None
    """What draws cannot show, given a confidence and a side (-1 or 1): how far from the value the truth may be at least. Of two models
    that answer all rows alike, how far apart these may be; of a mean over classes, what classes of which all rows, or none, are right may hide."""

    def lower(self, confidence: float) -> float:
        """Return the one-sided lower bound: the true value is above it with this confidence."""
        return self._bound(confidence, side=-1)

    def upper(self, confidence: float) -> float:
        """Return the one-sided upper bound; see `lower`."""
        return self._bound(confidence, side=1)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the two-sided interval: the bounds that are each missed half as often."""
        each = 1 - (1 - level) / 2
        return self.lower(each), self.upper(each)

    def _bound(self, confidence: float, *, side: int) -> float:
        drawn = self.drawn[np.isfinite(self.drawn)]
        if not math.isfinite(self.value) or self.units < 2 or 2 * len(drawn) < len(self.drawn):
            return math.nan
        smallest, largest = self.bounds
        if np.ptp(drawn) <= 1e-12 * max(1.0, abs(self.value)):
            return min(max(self._bound_where_draws_agree(confidence, side=side), smallest), largest)
        found = self._bound_by_error(confidence, side=side)
        if found is not None:
            deviation = float(np.nanstd(self.drawn)) if self.error is None else self.error
            farthest = self.value + side * _FARTHEST * expanded_quantile(self.units, confidence) * deviation
            found = min(found, farthest) if side > 0 else max(found, farthest)
        else:
            level = expanded_level(self.units, confidence)
            found = float(np.quantile(drawn, level if side > 0 else 1 - level))
        if self.unseen is not None:
            reached = self.value + side * self.unseen(confidence, side)
            found = max(found, reached) if side > 0 else min(found, reached)
        # Standard deviations of few rows may reach beyond what is possible at all.
        found = min(max(found, smallest), largest)
        # A statistic whose draws lie to one side of it is at least known to be possible itself.
        return max(found, self.value) if side > 0 else min(found, self.value)

    def _bound_by_error(self, confidence: float, *, side: int) -> float | None:
        """Return the bound on the scale of the metric; `None` where there is no standard error to seek it with."""
        value, slope = on_scale(np.array([self.value]), self.scale)
        if not np.isfinite(value + slope).all():
            return None
        if self.error is None or self.errors is None:
            if self.scale == "unknown":
                return None
            reach = expanded_quantile(self.units, confidence) * float(np.nanstd(self.drawn))
            # As far as draws lie above the rows on average, the rows lie above the truth.
            above = float(np.nanmean(self.drawn)) - self.value
            return off_scale(float(value[0] + (side * reach - above) * slope[0]), self.scale)
        level = expanded_level(self.units, confidence)
        moved, slopes = on_scale(self.drawn, self.scale)
        below = slopes * self.errors
        deviations = np.divide(moved - value, below, out=np.full(len(below), np.nan), where=below > 0)
        if not np.isfinite(deviations).all():
            return None
        far = float(np.quantile(deviations, 1 - level if side > 0 else level))
        return off_scale(float(value[0] - far * self.error * slope[0]), self.scale)

    def _bound_where_draws_agree(self, confidence: float, *, side: int) -> float:
        if self.unseen is not None:
            return self.value + side * self.unseen(confidence, side)
        smallest, largest = self.bounds
        if math.isinf(largest - smallest):
            return self.value
        return self.value + side * (largest - smallest) * unseen_share(self.units, confidence)


def on_scale(values: Floats, scale: Scale) -> tuple[Floats, Floats]:
    """Return values on a scale, and the slope of the scale at each; NaN where it has no place for them.

    Examples
    --------
    >>> [float(each[0]) for each in on_scale(np.array([0.5]), "logit")]
    [0.0, 4.0]
    """
    if scale in {"unknown", "linear"}:
        return values, np.ones_like(values)
    inside = (values > 0) & (values < 1) if scale == "logit" else values > 0
    kept = np.where(inside, values, np.nan)
    if scale == "log":
        return np.log(kept), 1 / kept
    return np.log(kept / (1 - kept)), 1 / (kept * (1 - kept))


def off_scale(value: float, scale: Scale) -> float:
    """Return the value that is at that place of a scale; `on_scale` undone."""
    match scale:
        case "unknown" | "linear":
            return value
        case "log":
            return math.exp(value) if value < _LARGEST else math.inf
        case "logit":
            return 1 / (1 + math.exp(-value)) if value > -_LARGEST else 0.0
        case _:
            assert_never(scale)


def expanded_quantile(units: int, confidence: float) -> float:
    """Return how many standard deviations a bound is away, given how many units (at least 2) the deviation rests on.

    Examples
    --------
    >>> round(expanded_quantile(10, 0.95), 3), round(expanded_quantile(10_000, 0.95), 3)
    (1.932, 1.645)
    """
    from scipy.special import stdtrit  # noqa: PLC0415 -- commands that look import this module and compute nothing

    return float(stdtrit(units - 1, confidence) * math.sqrt(units / (units - 1)))


def expanded_level(units: int, confidence: float) -> float:
    """Return which quantile of the draws is the upper bound, given how many units (at least 2) they rest on.

    Examples
    --------
    >>> round(expanded_level(10, 0.95), 3), round(expanded_level(10_000, 0.95), 3)
    (0.973, 0.95)
    """
    from scipy.special import ndtr  # noqa: PLC0415 -- commands that look import this module and compute nothing

    return float(ndtr(expanded_quantile(units, confidence)))


def unseen_share(units: int, confidence: float) -> float:
    """Return the largest share, with this confidence, of what none of `units` independent units showed.

    Examples
    --------
    >>> round(unseen_share(100, 0.95), 4)
    0.0295
    """
    return 1 - (1 - confidence) ** (1 / units) if units > 0 else 1.0


def unseen_mean(units: Sequence[int], confidence: float) -> float:
    """Return the largest mean of shares, with this confidence, of which none of so many independent units of each showed anything.

    The mean over the shares under which it was not too unlikely, ``(1 - p) ** m`` multiplied over all, to see nothing: where one is
    large, the others are small.

    Examples
    --------
    >>> round(unseen_mean([100], 0.95), 4), round(unseen_mean([100, 1000], 0.95), 4)
    (0.0295, 0.0148)
    >>> round(unseen_mean([100, 100], 0.95), 4), unseen_mean([], 0.95)
    (0.0149, 0.0)
    """
    rarest_first = np.sort(np.asarray(units, dtype=np.float64))
    if not len(rarest_first):
        return 0.0
    if rarest_first[0] <= 0:
        return 1.0
    # By Lagrange 1 - p is in proportion to m, of the rarest up to that one where p would fall below 0.
    best = 0.0
    for many in range(1, len(rarest_first) + 1):
        own = rarest_first[:many]
        factor = math.exp((math.log(1 - confidence) - float(own @ np.log(own))) / float(own.sum()))
        if factor * own[-1] > 1:
            break
        best = float((1 - factor * own).sum()) / len(rarest_first)
    return best


def bootstrap(
    statistics: Sequence[Statistic],
    *,
    weight: Floats,
    clusters: npt.NDArray[Any] | None,
    seed: int,
    draws: int = DRAWS,
) -> Draws:
    """Compute statistics of rows and of `draws` samples of them, all on the same draws.

    Examples
    --------
    >>> mean = lambda weights: weights @ np.arange(4.0) / weights.sum(axis=1)
    >>> made = bootstrap([mean], weight=np.ones(4), clusters=None, seed=1, draws=100)
    >>> float(made.values[0]), made.drawn.shape
    (1.5, (1, 100))
    """
    values = np.array([statistic(weight[np.newaxis])[0] for statistic in statistics])
    drawn = np.empty((len(statistics), draws))
    done = 0
    for times in _times_taken(len(weight), clusters, draws=draws, seed=seed):
        weights = times * weight
        for row, statistic in enumerate(statistics):
            drawn[row, done : done + len(times)] = statistic(weights)
        done += len(times)
    return Draws(values=values, drawn=drawn)


def draws_for(n: int) -> int:
    """Return how many draws give the bounds of what is measured on `n` rows: fewer where they are very many, else judging takes longer than training.

    Examples
    --------
    >>> draws_for(50_000), draws_for(200_000), draws_for(5_000_000)
    (1000, 500, 400)
    """
    return min(DRAWS, max(_FEWEST, _DRAWN // max(n, 1)))


def _times_taken(n: int, clusters: npt.NDArray[Any] | None, *, draws: int, seed: int) -> Iterator[Floats]:
    """Yield how often each row is taken, in blocks of shape (b, n)."""
    chance = np.random.default_rng(seed)
    codes = None if clusters is None else np.unique(clusters, return_inverse=True)[1]
    units = n if codes is None else int(codes.max(initial=-1)) + 1
    block = max(1, BLOCK // max(n, 1))
    for start in range(0, draws, block):
        size = min(block, draws - start)
        taken = chance.integers(0, units, size=(size, units)) + units * np.arange(size)[:, np.newaxis]
        times = np.bincount(taken.ravel(), minlength=size * units).reshape(size, units).astype(np.float64)
        yield times if codes is None else times[:, codes]


def units_of(
    task: Task,
    truth: npt.NDArray[Any],
    weight: Floats,
    clusters: npt.NDArray[Any] | None,
    *,
    by_class: bool,
    of_class: int | None = None,
) -> int:
    """Count the independent units that a metric rests on."""
    rules = rules_of(task)
    counts = class_units(truth, weight, clusters, classes=2 if rules.has_positive else 0)
    if of_class is not None:
        return counts[of_class]
    if rules.has_positive:
        return min(counts)
    if rules.is_class and by_class:
        return min((count for count in counts if count), default=0)
    return count_units(np.flatnonzero(weight > 0), clusters)


def class_units(
    codes: npt.NDArray[Any], weight: Floats, clusters: npt.NDArray[Any] | None, *, classes: int
) -> list[int]:
    """Count the rows, or groups, of weight above 0 in each of at least `classes` classes; none for numbers."""
    if codes.dtype.kind in "fc":
        return []
    classes = max(classes, int(codes.max(initial=-1)) + 1)
    return [count_units(np.flatnonzero((codes == code) & (weight > 0)), clusters) for code in range(classes)]


def count_units(rows: npt.NDArray[np.intp], clusters: npt.NDArray[Any] | None) -> int:
    """Count rows with these indices, or the groups that they are in."""
    return len(rows) if clusters is None else len(np.unique(clusters[rows]))
