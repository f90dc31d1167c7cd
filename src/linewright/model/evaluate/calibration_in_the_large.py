"""Whether the probability of a class can be taken at its word as a whole: whether as many rows are of it as its probabilities sum up to.

How many rows true probabilities would show is a sum of coins of unequal chances; the binomial of the same mean and variance is near it [1]_.

References
----------
.. [1] W. Ehm, Binomial Approximation to the Poisson Binomial Distribution, Statistics & Probability Letters 11 (1991), 7-16.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from linewright.model.evaluate.per_class import SURE
from linewright.model.facts import Expected
from linewright.model.metrics.definitions import Floats
from linewright.text.numbers import figure


def measure_expected(
    truth: npt.NDArray[Any], scores: Floats, *, weight: Floats, clusters: npt.NDArray[Any] | None
) -> tuple[Expected, ...]:
    """Hold the rows that the probabilities of each class promise against those that there are.

    Examples
    --------
    Of 1,000 rows, 100 are promised to be of the last class, and 40 are.

    >>> from linewright.model.evaluate.per_class import is_surely_apart
    >>> scores = np.tile([0.5, 0.4, 0.1], (1000, 1))
    >>> truth = np.repeat([0, 1, 2], [530, 430, 40])
    >>> found = measure_expected(truth, scores, weight=np.ones(1000), clusters=None)
    >>> found[2].said, found[2].true, found[2].low, found[2].high, [is_surely_apart(one) for one in found]
    (100.0, 40.0, 78.0, 123.0, [False, False, True])
    """
    classes = scores.shape[1]
    if classes <= 2 or not weight.sum() > 0:
        return ()
    scaled = weight * (len(truth) / weight.sum())
    # A unit counts as many rows as its weight; the sum of n such units spreads as that of fewer and larger ones.
    each = (1 - SURE) / classes / 2
    found: list[Expected] = []
    for code in range(classes):
        is_it, said = (truth == code).astype(np.float64), scores[:, code]
        mean = float(scaled @ said)
        variance = float(scaled**2 @ (said * (1 - said)))
        unit = float(scaled**2 @ said) / mean if mean > 0 else 1.0
        unit *= _alike(scaled * (is_it - said), clusters)
        variance *= _alike(scaled * (is_it - said), clusters)
        low, high = (unit * end for end in _range_of_sum(mean / unit, variance / unit**2, each))
        found.append(
            Expected(
                code=code,
                said=figure(mean),
                true=figure(float(scaled @ is_it)),
                low=figure(low),
                high=figure(high),
            )
        )
    return tuple(found)


def _alike(residuals: Floats, clusters: npt.NDArray[Any] | None) -> float:
    """Return by what factor the variance of a sum is larger since rows of a cluster are alike; at least 1."""
    centred = residuals - residuals.mean()
    squares = float(centred @ centred)
    if clusters is None or not squares:
        return 1.0
    sums = np.bincount(np.unique(clusters, return_inverse=True)[1], weights=centred)
    return max(1.0, float(sums @ sums) / squares)


def _range_of_sum(mean: float, variance: float, each: float) -> tuple[float, float]:
    """Return the ends beyond which, on either side, a sum of coins lies in less than a share `each` of cases."""
    from scipy.special import betainc, ndtri  # noqa: PLC0415 -- commands that look import this module and compute nothing

    if not mean > 0 or not variance > 0:
        return mean, mean
    chance = min(max(1 - variance / mean, 1e-12), 1 - 1e-12)
    coins = mean / chance

    def below(rows: Floats) -> Floats:
        """How likely so many rows or fewer are."""
        return np.where(rows >= coins, 1.0, betainc(np.maximum(coins - rows, 1e-9), rows + 1, 1 - chance))

    reach = 2 * (abs(float(ndtri(each))) + 1) * math.sqrt(variance) + 10
    rows = np.arange(max(0, math.floor(mean - reach)), math.ceil(mean + reach) + 1, dtype=np.float64)
    likely = below(rows)
    low, high = np.searchsorted(likely, [each, 1 - each])
    return float(rows[low]), float(rows[min(high, len(rows) - 1)])
