"""How far a distribution has moved, and how sure that is: one statistic for all monitors of data.

The statistic
-------------
The population stability index of shares p (reference, n rows) and q (window, m rows) over the same B cells is
``PSI = sum((p - q) * ln(p / q))``, the symmetric Kullback-Leibler divergence. A share of missing values, of unseen
categories or of breaches is the case of two cells. A cell that is empty on one side has 0.5 rows there; one that is empty
on both sides is no cell.

The test
--------
Without any shift, ``T = PSI / (1/n + 1/m)`` is approximately chi-square with B - 1 degrees of freedom [1]_. A line names
the smallest shift that is worth naming, so "has it moved at all" is the wrong question: with enough rows it always has.
The question is whether the true PSI exceeds that bar. For small shifts PSI is, to second order, Pearson's distance
``sum((p - q)**2 / p)``, so with a true shift psi0, T is approximately noncentral chi-square with noncentrality
``psi0 / (1/n + 1/m)`` [2]_; its upper tail at psi0 = bar is the p-value, the largest under all smaller shifts.

As an estimate, PSI is too large by about ``(B - 1) * (1/n + 1/m)``, what chance alone makes; `debiased` takes that off.

Power
-----
`findable` says which true PSI is found with probability 0.9: surely so from the pooled windows, and by estimate in each
of them. With the bar 0.2, a reference of 10,000 rows, 10 cells, 3 windows of 1 h, a budget of 1 alarm per 90 d and 62
monitors (20 columns), hence alpha = 7.5e-6:

=============  ====
rows a window  PSI
=============  ====
          100  0.61
          300  0.42
        1,000  0.32
       10,000  0.26
=============  ====

References
----------
.. [1] B. Yurdakul and J. Naranjo, Statistical properties of the population stability index, Journal of Risk Model
   Validation 14 (2020), 89-100.
.. [2] P. B. Patnaik, The non-central chi-square and F-distributions and their applications, Biometrika 36 (1949),
   202-232.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linewright.watch.distributions import noncentral_chi2_beyond, normal

EMPTY = 0.5
"""Rows that a cell is taken to have which is empty on one side."""
LARGE = 10_000.0
"""From this noncentrality or value on, the normal approximation of `sf` is used."""


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How far a window is from the reference.

    Examples
    --------
    >>> shift = measure([500, 500], [200, 800])
    >>> round(shift.psi, 3), shift.cells
    (0.416, 2)
    >>> shift.is_beyond(0.2, alpha=1e-4), shift.is_beyond(0.4, alpha=1e-4)
    (True, False)
    """

    psi: float
    """The index; at least 0."""
    cells: int
    """Cells that are not empty on both sides."""
    noise: float
    """1/n + 1/m; infinite where one side has no rows."""

    @property
    def debiased(self) -> float:
        """The index less what chance alone makes; at least 0, and 0 where one side has no rows."""
        if not math.isfinite(self.noise):
            return 0.0
        return max(0.0, self.psi - max(0, self.cells - 1) * self.noise)

    def p_value(self, bar: float) -> float:
        """Return the chance of so large an index, or larger, if the true one were `bar`; never NaN."""
        if self.cells < 2 or not math.isfinite(self.noise):
            return 1.0
        return sf(self.psi / self.noise, self.cells - 1, bar / self.noise)

    def is_beyond(self, bar: float, *, alpha: float) -> bool:
        """Whether the true index is surely above `bar`."""
        return self.p_value(bar) < alpha

    def would_be_found(self, index: float, bar: float, *, alpha: float) -> bool:
        """Whether so many rows as these, with `index` as their estimate, would be surely above `bar`."""
        cells = max(2, self.cells)
        return Shift(psi=index + (cells - 1) * self.noise, cells=cells, noise=self.noise).is_beyond(
            bar, alpha=alpha
        )


def measure(reference: Sequence[int], window: Sequence[int]) -> Shift:
    """Return how far the counts of a window are from those of the reference.

    Examples
    --------
    >>> measure([10, 20, 30], [100, 200, 300]).psi
    0.0
    >>> measure([10, 20, 30], [0, 0, 0]).p_value(0.2)
    1.0
    """
    p, q = np.asarray(reference, dtype=np.float64), np.asarray(window, dtype=np.float64)
    n, m = float(p.sum()), float(q.sum())
    if n <= 0 or m <= 0:
        return Shift(psi=0.0, cells=0, noise=math.inf)
    used = (p > 0) | (q > 0)
    index = _index(np.where(p > 0, p, EMPTY)[used] / n, np.where(q > 0, q, EMPTY)[used] / m)
    return Shift(psi=index, cells=int(used.sum()), noise=1 / n + 1 / m)


def _index(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> float:
    return float(np.sum((p - q) * np.log(p / q)))


def sf(value: float, freedom: float, noncentrality: float) -> float:
    """Return the upper tail of the noncentral chi-square distribution; never NaN.

    A large one is ``(Z + sqrt(noncentrality))**2`` plus a chi-square that is small beside it, so its square root is
    about normal with variance 1.

    Examples
    --------
    >>> round(sf(20.0, 9, 5.0), 4), sf(1e12, 9, 1e8), sf(0.0, 9, 1e8)
    (0.1591, 0.0, 1.0)
    """
    if value <= 0 or freedom <= 0:
        return 1.0
    if max(value, noncentrality) < LARGE:
        exact = noncentral_chi2_beyond(value, freedom, noncentrality)
        if math.isfinite(exact):
            return min(max(exact, 0.0), 1.0)
    return normal(math.sqrt(noncentrality + freedom - 1) - math.sqrt(value))


def findable(
    *, rows: int, reference: int, cells: int, bar: float, windows: int, alpha: float, power: float = 0.9
) -> float:
    """Return the smallest true index that is found with probability `power`.

    Found means: the pooled windows are sure at `alpha`, and the estimate of each is at least `bar`. The chance of all
    that is bounded by the sum of what may fail (Bonferroni).
    """
    pooled, each, freedom = 1 / reference + 1 / (rows * windows), 1 / reference + 1 / rows, cells - 1
    sure = _bound(freedom, bar / pooled, alpha)

    def is_found(index: float) -> bool:
        unsure = 1 - sf(sure, freedom, index / pooled)
        hidden = 1 - sf(bar / each + freedom, freedom, index / each)
        return unsure + windows * hidden <= 1 - power

    low, high = bar, 100.0
    while is_found(high) and high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if is_found(middle) else (middle, high)
    return high if is_found(high) else math.inf


def _bound(freedom: int, noncentrality: float, alpha: float) -> float:
    """Return the value whose upper tail is `alpha`."""
    low, high = 0.0, noncentrality + freedom + 1
    while sf(high, freedom, noncentrality) >= alpha:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if sf(middle, freedom, noncentrality) >= alpha else (low, middle)
    return high
