"""Rows that are alike because they are near in time: how long the blocks must be that a bootstrap draws whole.

The method
----------
Half an hour of a market is much like the next one. Drawn row by row, such rows pass for more evidence than they are,
intervals are too narrow and a candidate may be promoted by chance. Blocks of consecutive rows keep what is alike
together [1]_. Their length is chosen from the data [2]_: the errors of the models are followed in time; lags count up
to where five autocorrelations in a row are no larger than chance makes them; and the length that estimates a variance
best is

    (G / g)^(2/3) n^(1/3),  G = sum of lambda |k| R(k),  g = sum of lambda R(k)

with the autocovariance R and a flat-top weight lambda: the formula for blocks that do not overlap, whose variance is 2 g^2
times length over n [3]_. Errors that do not hang together give blocks of one row, so nothing is lost where rows are
independent.

References
----------
.. [1] E. Carlstein, The Use of Subseries Values for Estimating the Variance of a General Statistic from a Stationary
   Sequence, Annals of Statistics 14 (1986), 1171-1179.
.. [2] D. N. Politis and H. White, Automatic Block-Length Selection for the Dependent Bootstrap, Econometric Reviews 23
   (2004), 53-70; correction by A. Patton, D. Politis and H. White, 28 (2009), 372-375.
.. [3] S. N. Lahiri, Theoretical Comparisons of Block Bootstrap Methods, Annals of Statistics 27 (1999), 386-404.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from linewright.model.metrics.definitions import Floats
from linewright.model.tasks.censoring import brier_at_times

_QUIET = 5
"""Autocorrelations in a row that must be no larger than chance makes them."""


def blocks_in_time(truth: npt.NDArray[Any], scores: Iterable[Floats]) -> npt.NDArray[np.intp] | None:
    """Return which block each row is in, by the errors of the models that are measured.

    Examples
    --------
    >>> moods = np.repeat(np.random.default_rng(1).normal(size=100), 10)
    >>> blocks = blocks_in_time(moods, [np.zeros(1000)])
    >>> bool(5 <= np.bincount(blocks)[0] <= 31)
    True
    >>> blocks_in_time(np.random.default_rng(1).permutation(moods), [np.zeros(1000)]) is None
    True
    """
    length = max((block_length(_errors(truth, one)) for one in scores), default=1)
    return None if length == 1 else np.arange(len(truth)) // length


def _errors(truth: npt.NDArray[Any], scores: Floats) -> Floats:
    if scores.ndim == 1:
        return np.abs(truth - scores)
    if truth.dtype.kind in "fc":  # places of times, and curves
        return brier_at_times(truth, scores).mean(axis=1)
    return 1 - scores[np.arange(len(truth)), truth]


def block_length(series: Floats) -> int:
    """Return how many consecutive values a block should hold.

    Examples
    --------
    >>> block_length(np.random.default_rng(1).normal(size=1000))
    1
    """
    n, longest = len(series), math.isqrt(len(series))
    centred = series - series.mean() if n else series
    if longest < 2 or np.ptp(centred) <= 1e-12 * max(1.0, float(np.abs(series).max())):
        return 1
    correlations = _autocorrelations(centred, longest + _QUIET)
    is_loud = np.abs(correlations[1:]) >= 2 * math.sqrt(math.log10(n) / n)
    last = _last_that_counts(is_loud)
    if last == 0:
        return 1
    lags = np.arange(1, min(2 * last, longest + _QUIET) + 1)
    weights = np.clip(2 * (1 - lags / (2 * last)), 0, 1) * correlations[lags]
    spread = 1 + 2 * float(weights.sum())
    if spread <= 0:
        return 1
    best = (2 * abs(float(lags @ weights)) / spread) ** (2 / 3) * n ** (1 / 3)
    return min(max(round(best), 1), longest)


def _autocorrelations(centred: Floats, lags: int) -> Floats:
    """Return those of lags 0 to `lags`, shape (lags + 1,)."""
    power = np.abs(np.fft.rfft(centred, 2 * len(centred))) ** 2
    sums = np.fft.irfft(power)[: lags + 1]
    return sums / sums[0]


def _last_that_counts(is_loud: npt.NDArray[np.bool_]) -> int:
    """Return the last lag before `_QUIET` in a row that chance alone explains; the largest where there are none."""
    quiet = 0
    for lag, loud in enumerate(is_loud.tolist(), start=1):
        quiet = 0 if loud else quiet + 1
        if quiet == _QUIET:
            return lag - _QUIET
    return len(is_loud)
