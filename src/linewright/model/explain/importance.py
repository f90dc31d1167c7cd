"""How much a model needs each column: by how much its loss rises when the column's values are shuffled among the rows.

The method
----------
A column whose values come from other rows says nothing any more, though it looks as before; what the loss rises by is
what the model owes to it [1]_. The loss of each row is compared with its own loss before, averaged over several shuffles,
so that what the rows share cancels; the interval is a bootstrap of rows (groups or blocks of time, where the split is by
them) of that difference, as those that get a value and as those that give it.

A model that has two columns saying the same needs neither, if one is shuffled alone: the other stands in. Columns that say
nearly the same (`alike`) are therefore also shuffled together, as rows of the same shuffle.

References
----------
.. [1] A. Fisher, C. Rudin and F. Dominici, All Models are Wrong, but Many are Useful: Learning a Variable's Importance by
   Studying an Entire Class of Prediction Models Simultaneously, Journal of Machine Learning Research 20 (2019), 1-81;
   after L. Breiman, Random Forests, Machine Learning 45 (2001), 5-32.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.model.explain.inputs import Floats, Input, swapped
from linewright.model.facts import Shuffled, Task
from linewright.model.metrics.bootstrap import Spread, bootstrap, units_of
from linewright.model.metrics.definitions import Statistic, divide
from linewright.model.tasks import task as rules_of
from linewright.text.numbers import figure

Answer = Callable[[NDArray[Any]], Floats]
"""From encoded rows to scores."""

REPEATS = 3
ALIKE = 0.9
"""Association, in [0, 1], from which on columns are taken to say nearly the same."""
_ROWS_A_LEVEL = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """Test rows, what the model answers to them, and how each answer is judged."""

    x: NDArray[Any]
    """Encoded rows."""
    truth: NDArray[Any]
    weight: Floats
    clusters: NDArray[Any] | None
    scores: Floats
    loss: Floats
    """Of each row: log-loss, or squared error."""
    answer: Answer
    row_loss: Callable[[NDArray[Any], Floats], Floats]
    task: Task
    seed: int

    def at(self, rows: NDArray[np.intp]) -> "Judged":
        """Return some of the rows."""
        return Judged(
            x=self.x[rows],
            truth=self.truth[rows],
            weight=self.weight[rows],
            clusters=None if self.clusters is None else self.clusters[rows],
            scores=self.scores[rows],
            loss=self.loss[rows],
            answer=self.answer,
            row_loss=self.row_loss,
            task=self.task,
            seed=self.seed,
        )

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.truth)

    @property
    def units(self) -> int:
        """How many independent units they are."""
        return units_of(self.task, self.truth, self.weight, self.clusters, by_class=False)

    def mean(self, loss: Floats, within: NDArray[np.bool_] | None = None) -> Statistic:
        """Return the loss as people read it, of all rows or of some: mean log-loss, or the root of the mean squared error."""
        counted = np.ones(self.n) if within is None else within.astype(np.float64)
        kept, is_squared = loss * counted, rules_of(self.task).is_squared

        def of(weights: Floats) -> Floats:
            mean = divide(weights @ kept, weights @ counted)
            return np.sqrt(np.maximum(mean, 0)) if is_squared else mean

        return of


def importance(
    judged: Judged, columns: Sequence[Sequence[Input]], *, repeats: int = REPEATS
) -> tuple[Shuffled, ...]:
    """Return by how much the loss rises when columns are shuffled.

    Examples
    --------
    >>> chance = np.random.default_rng(1)
    >>> x = chance.normal(size=(500, 2)).astype(np.float32)
    >>> truth = x[:, 0].astype(np.float64)
    >>> judged = Judged(x=x, truth=truth, weight=np.ones(500), clusters=None, scores=truth, loss=np.zeros(500),
    ...     answer=lambda rows: rows[:, 0].astype(np.float64), row_loss=lambda t, s: (t - s) ** 2, task="regression",
    ...     seed=1)
    >>> used, idle = (Input(name=n, places=(j,), kind="number", values=x[:, j].astype(float)) for j, n in enumerate("ab"))
    >>> [1.2 < one.low < one.rise < one.high < 1.6 for one in importance(judged, [[used]])], importance(judged, [[idle]])[0].rise
    ([True], 0.0)
    """
    chance = np.random.default_rng(judged.seed)
    orders = [chance.permutation(judged.n) for _ in range(repeats)]
    before = judged.mean(judged.loss)
    losses = [_shuffled_loss(judged, each, orders) for each in columns]
    after = [judged.mean(loss) for loss in losses]
    statistics: list[Statistic] = [lambda weights, one=one: one(weights) - before(weights) for one in after]
    made = bootstrap(statistics, weight=judged.weight, clusters=judged.clusters, seed=judged.seed)
    units = max(judged.units, 2)
    return tuple(
        _shuffled(each, Spread(value=float(value), drawn=drawn, units=units))
        for each, value, drawn in zip(columns, made.values, made.drawn, strict=True)
    )


def _shuffled(columns: Sequence[Input], spread: Spread) -> Shuffled:
    low, high = spread.interval()
    return Shuffled(
        columns=tuple(one.name for one in columns),
        rise=figure(spread.value, 6),
        low=figure(low, 6),
        high=figure(high, 6),
    )


def _shuffled_loss(judged: Judged, columns: Sequence[Input], orders: Sequence[NDArray[np.intp]]) -> Floats:
    """Return a loss of each row whose mean is that after the shuffles, and whose spread is that of the mean.

    A rise is a mean over pairs of rows, one that gets a value and one that gives it, and both were drawn by chance. So each
    row has its own rise as the one that gets, and that which it causes as the one that gives, less the mean: the first-order
    part of a U-statistic (W. Hoeffding, Annals of Mathematical Statistics 19 (1948), 293-325). Rows as getters alone would
    make intervals too narrow.
    """
    places = tuple(place for column in columns for place in column.places)
    rows, weight = np.arange(judged.n), judged.weight
    gets, gives, given = np.zeros(judged.n), np.zeros(judged.n), np.zeros(judged.n)
    for order in orders:
        loss = judged.row_loss(judged.truth, judged.answer(swapped(judged.x, rows, places, order)))
        gets += (loss - judged.loss) / len(orders)
        gives[order] += weight * (loss - judged.loss)
        given[order] += weight
    rise = float(weight @ gets / weight.sum())
    caused = divide(gives, given, otherwise=rise)
    return judged.loss + gets + caused - float(weight @ caused / weight.sum())


def alike(columns: Sequence[Input]) -> list[list[Input]]:
    """Return groups of columns that say nearly the same, each of at least two, in the order of their first columns.

    Examples
    --------
    >>> values = np.random.default_rng(1).normal(size=(3, 200))
    >>> columns = [Input(name=n, places=(0,), kind="number", values=v) for n, v in zip("abc", values)]
    >>> twin = Input(name="twin", places=(1,), kind="number", values=np.exp(values[1]))
    >>> [[one.name for one in group] for group in alike([*columns, twin])]
    [['b', 'twin']]
    """
    read = [_ranked(one) for one in columns]
    apart = [1 - _association(first, second) for first, second in combinations(read, 2)]
    if min(apart, default=1.0) > 1 - ALIKE:
        return []
    from scipy.cluster.hierarchy import fcluster, linkage  # noqa: PLC0415 -- it takes a while to import

    cluster = fcluster(linkage(apart, method="average"), t=1 - ALIKE, criterion="distance")
    groups = [
        [columns[i] for i in np.flatnonzero(cluster == code).tolist()]
        for code in dict.fromkeys(cluster.tolist())
    ]
    return [group for group in groups if len(group) > 1]


_Read = tuple[bool, NDArray[Any]]
"""Whether a column holds categories, and its codes; else its ranks, centred."""


def _ranked(column: Input) -> _Read:
    missing = np.isnan(column.values)
    if column.kind == "category":
        return True, np.unique(np.where(missing, -1, column.values), return_inverse=True)[1]
    ranks = ranked(np.where(missing, -np.inf, column.values))
    # No value is a middling rank: else columns that lack one in the same rows would look alike for that alone.
    ranks = np.where(missing, ranks[~missing].mean() if (~missing).any() else 0.0, ranks)
    return False, ranks - ranks.mean()


def ranked(values: Floats) -> Floats:
    """Return the rank of each value, equal values alike.

    Examples
    --------
    >>> ranked(np.array([3.0, 1.0, 3.0])).tolist()
    [1.5, 0.0, 1.5]
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    first = np.cumsum(counts) - counts
    return (first + (counts - 1) / 2)[place]


def _association(first: _Read, second: _Read) -> float:
    match first, second:
        case (False, a), (False, b):
            return abs(correlation(a, b))
        case (True, a), (True, b):
            return _cramer(a, b)
        case (True, codes), (_, ranks):
            return _correlation_ratio(codes, ranks)
        case (_, ranks), (_, codes):
            return _correlation_ratio(codes, ranks)


def correlation(a: Floats, b: Floats) -> float:
    """Return the correlation of two centred columns; 0 where one is constant."""
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


def _correlation_ratio(codes: NDArray[Any], ranks: Floats) -> float:
    counts = np.bincount(codes)
    total = float(ranks @ ranks)
    if len(counts) * _ROWS_A_LEVEL > len(codes) or total <= 0:
        return 0.0
    return float(np.sqrt((np.bincount(codes, weights=ranks) ** 2 / np.maximum(counts, 1)).sum() / total))


def _cramer(a: NDArray[Any], b: NDArray[Any]) -> float:
    levels = int(a.max()) + 1, int(b.max()) + 1
    if min(levels) < 2 or max(levels) * _ROWS_A_LEVEL > len(a):
        return 0.0
    table = np.bincount(a * levels[1] + b, minlength=levels[0] * levels[1]).reshape(levels)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / len(a)
    squares = ((table - expected) ** 2 / expected).sum()
    return float(np.sqrt(squares / (len(a) * (min(levels) - 1))))
