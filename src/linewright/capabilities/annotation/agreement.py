"""How far annotators agree beyond chance: Krippendorff's alpha, with an interval."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Level = Literal["nominal", "interval"]
"""What labels are: classes, or numbers whose differences mean something."""
DRAWS = 1_000
Floats = npt.NDArray[np.float64]


class Agreement(NamedTuple):
    """Krippendorff's alpha of some units."""

    alpha: float | None
    """1: they always agree; 0: as by chance; below 0: less often. `None` where all labels are alike, or no unit has two."""
    low: float | None
    high: float | None
    """95 % interval; `None` if there are fewer than 2 units, or draws have no alpha."""
    units: int
    """Units with at least two labels."""
    labels: int
    """Labels of these units."""


def krippendorff_alpha(units: Sequence[Sequence[str | float]], *, level: Level = "nominal") -> float | None:
    """Return Krippendorff's alpha [1]_.

    References
    ----------
    .. [1] K. Krippendorff, Computing Krippendorff's Alpha-Reliability, University of Pennsylvania, 2011,
       https://repository.upenn.edu/asc_papers/43.

    Examples
    --------
    >>> krippendorff_alpha([["a", "a"], ["b", "b"]]), krippendorff_alpha([["a", "a"]])
    (1.0, None)
    >>> round(krippendorff_alpha([[1.0, 1.5], [4.0, 4.5], [9.0, 8.0]], level="interval"), 3)
    0.977
    """
    pairs = _counted(units, level)
    return None if pairs is None else _alpha(pairs, np.ones((1, len(pairs.within))))[0]


def agreement_of(
    units: Sequence[Sequence[str | float]], *, level: Level = "nominal", seed: int, draws: int = DRAWS
) -> Agreement:
    """Return Krippendorff's alpha with its 95 % interval: percentiles of the bootstrap that draws whole units [1]_.

    References
    ----------
    .. [1] A. Zapf, S. Castell, L. Morawietz, A. Karch, Measuring inter-rater reliability for nominal data: which coefficients and
       confidence intervals are appropriate?, BMC Medical Research Methodology 16 (2016), 93.

    Examples
    --------
    >>> found = agreement_of([["a", "a"], ["b", "b"], ["a", "b"], ["b", "b"]] * 10, seed=1)
    >>> round(found.alpha, 2), found.low < found.alpha < found.high, found.units, found.labels
    (0.47, True, 40, 80)
    """
    counted = [unit for unit in units if len(unit) > 1]
    labels = sum(map(len, counted))
    pairs = _counted(units, level)
    if pairs is None:
        return Agreement(None, None, None, len(counted), labels)
    alpha = _alpha(pairs, np.ones((1, len(counted))))[0]
    low = high = None
    if len(counted) > 1:
        chance = np.random.default_rng(seed)
        weights = chance.multinomial(len(counted), np.full(len(counted), 1 / len(counted)), size=draws)
        drawn = [one for one in _alpha(pairs, weights.astype(np.float64)) if one is not None]
        # Of draws in which all labels are alike nothing is known: an interval of the others alone would be too narrow.
        if len(drawn) > draws // 2:
            low, high = (float(one) for one in np.percentile(drawn, [2.5, 97.5]))
    return Agreement(alpha, low, high, len(counted), labels)


class _Pairs(NamedTuple):
    """What alpha needs of each unit, so that units can be drawn again and again."""

    within: Floats
    """Sum of the disagreements of its ordered pairs of labels, over one less than its labels; shape (units,)."""
    counts: Floats
    """How often each value occurs in it, shape (units, values); for numbers: their count, sum and sum of squares, shape (units, 3)."""
    level: Level


def _counted(units: Sequence[Sequence[str | float]], level: Level) -> _Pairs | None:
    counted = [unit for unit in units if len(unit) > 1]
    if not counted:
        return None
    sizes = np.array([len(unit) for unit in counted], dtype=np.float64)
    if level == "nominal":
        values = {
            value: place for place, value in enumerate(dict.fromkeys(v for unit in counted for v in unit))
        }
        counts = np.zeros((len(counted), len(values)))
        for place, unit in enumerate(counted):
            for value in unit:
                counts[place, values[value]] += 1
        within = (sizes**2 - (counts**2).sum(axis=1)) / (sizes - 1)
        return _Pairs(within, counts, level)
    numbers = [np.array(unit, dtype=np.float64) for unit in counted]
    # Squares of small differences would vanish between large numbers; no scale and no origin changes alpha.
    every = np.concatenate(numbers)
    spread = float(np.ptp(every)) or 1.0
    scaled = [(unit - every.mean()) / spread for unit in numbers]
    moments = np.array([(len(unit), unit.sum(), (unit**2).sum()) for unit in scaled])
    within = np.array([2 * len(unit) * ((unit - unit.mean()) ** 2).sum() for unit in scaled]) / (sizes - 1)
    return _Pairs(within, moments, level)


def _alpha(pairs: _Pairs, weights: Floats) -> list[float | None]:
    """Return alpha for each row of weights of units, shape (draws, units)."""
    observed = weights @ pairs.within
    sums = weights @ pairs.counts
    if pairs.level == "nominal":
        n = sums.sum(axis=1)
        expected = n**2 - (sums**2).sum(axis=1)
    else:
        n, total, squares = sums.T
        expected = 2 * (n * squares - total**2)
        # Rounding leaves a trace of equal numbers.
        expected[expected <= 1e-12 * n * squares] = 0.0
    return [
        None if e <= 0 else float(1 - (many - 1) * o / e)
        for o, e, many in zip(observed, expected, n, strict=True)
    ]
