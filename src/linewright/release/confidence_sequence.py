"""Bounds of an average that hold at all times at once, so that a test on them may be looked at as often as one likes.

An empirical-Bernstein confidence sequence: Howard, Ramdas, McAuliffe and Sekhon (2021), "Time-uniform, nonparametric,
nonasymptotic confidence sequences", Annals of Statistics 49(2), theorem 4. Of its straight lines, of which each suits an
amount of variance, the lowest is taken at each time; together they err as seldom as one of them might.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_SLOPES = 0.75 * 0.5 ** np.arange(11)
"""Of the lines: each suits about four times the variance of the one before, from a few rows to many millions."""
_STAKES = 1.0 / (np.arange(11) + 2.0) ** 1.4
_SHARES = _STAKES / _STAKES.sum()
"""Of the error that the lines may make; most for those that suit some hundreds of rows."""


class Bounds(NamedTuple):
    """Bounds after each value, shape (n,)."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


def bounds(values: NDArray[np.float64], confidence: float) -> Bounds:
    """Return time-uniform bounds of the average of values that come one after the other.

    Examples
    --------
    >>> low, high = bounds(np.tile([0.2, 0.4], 1000), 0.95)
    >>> low[-1].round(3).item(), high[-1].round(3).item()
    (0.29, 0.31)
    """
    if not len(values):
        return Bounds(np.empty(0), np.empty(0))
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("the values are not all from 0 to 1")
    n = np.arange(1, len(values) + 1)
    total = np.cumsum(values)
    guess = np.concatenate(([0.5], (0.5 + total[:-1]) / n[1:]))
    variance = np.cumsum((values - guess) ** 2)
    half = np.full(len(values), np.inf)
    for slope, share in zip(_SLOPES, _SHARES, strict=True):
        price = math.log(2 / ((1 - confidence) * share))
        half = np.minimum(half, (price + (-math.log1p(-slope) - slope) * variance) / slope)
    return Bounds(np.clip((total - half) / n, 0, 1), np.clip((total + half) / n, 0, 1))
