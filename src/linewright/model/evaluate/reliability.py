"""Whether probabilities can be taken at their word: the expected calibration error of test rows, and what it is made of.

Rows are sorted by the probability that was answered and split into bins of equally many [2]_; in each, the mean probability is
held against the share that it came true of. The error is the mean distance of the two [1]_, so that it is 0 where probabilities are
true, and 0.1 where those of 70 % come true in 60 % of all cases, and so on. For two classes the probability is that of the positive
one; for several that of the class that is answered [3]_.

Shares of few rows are never exactly as likely as they were said to be, so that of true probabilities the error is not 0 either [4]_.
What they would show on the same rows, each on its own, is drawn and told beside it, and where they might show as much the interval of the error begins at
0. The same holds of the draws of the bootstrap, so that as much is taken from its bounds as draws lie above the rows (`intervals`).

References
----------
.. [1] M. P. Naeini, G. F. Cooper and M. Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015.
.. [2] K. Nguyen and B. O'Connor, Posterior calibration and exploratory analysis for natural language processing models, EMNLP 2015.
.. [3] C. Guo, G. Pleiss, Y. Sun and K. Weinberger, On calibration of modern neural networks, ICML 2017.
.. [4] J. Bröcker and L. A. Smith, Increasing the Reliability of Reliability Diagrams, Weather and Forecasting 22 (2007), 651-661.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.model.evaluate.reliability_text import SURE
from linewright.model.facts import Reliability, ReliabilityBin
from linewright.model.metrics.bootstrap import count_units
from linewright.model.metrics.definitions import Floats, Statistic
from linewright.model.metrics.estimate import Measure, spreads, to_metric
from linewright.text.numbers import figure

BINS = 10
"""Most bins."""
FEWEST = 20
"""Fewest rows that a bin is made of, on average."""

_DRAWN, _CELLS = 400, 20_000_000
"""How often true probabilities are drawn, and most rows that are drawn in all."""

Ints = npt.NDArray[np.int64]


def measure_reliability(
    truth: Ints,
    scores: Floats,
    raw: Floats | None,
    *,
    weight: Floats,
    clusters: npt.NDArray[Any] | None,
    seed: int,
) -> Reliability | None:
    """Measure how far probabilities are from the shares that came true.

    Examples
    --------
    Of 1,000 rows at 0.7 only half come true, as said of 1,000 others.

    >>> from linewright.model.evaluate.reliability_text import is_off
    >>> answered = np.repeat([0.5, 0.7], 1000)
    >>> truth = np.tile([0, 1], 1000)
    >>> found = measure_reliability(
    ...     truth, np.column_stack([1 - answered, answered]), None, weight=np.ones(2000), clusters=None, seed=1)
    >>> found.error.value, [(one.answered, one.true, one.rows) for one in found.bins]
    (0.1, [(0.5, 0.5, 1000), (0.7, 0.5, 1000)])
    >>> is_off(found), found.error.value > found.by_chance_most
    (True, True)
    """
    if not weight.sum() > 0:
        return None
    said, came_true = answered(scores, truth)
    bins = bins_of(said, weight)
    units = count_units(np.flatnonzero(weight > 0), clusters)
    [spread] = spreads(
        [Measure(value=_error(said, came_true, bins), scale="linear", bounds=(0.0, 1.0))],
        # With 2 units bounds are as far apart as the rows can say.
        units=[max(units, 2)],
        weight=weight,
        clusters=clusters,
        seed=seed,
    )
    error = to_metric("ece", spread, len(truth), is_known=units > 1, is_bounded=True)
    if error is None:
        return None
    by_chance = _by_chance(said, bins, weight, seed)
    most = figure(float(np.quantile(by_chance, SURE)))
    if error.low is not None:
        # Where chance explains the error there may be none.
        error = msgspec.structs.replace(error, low=max(error.low, 0.0) if error.value > most else 0.0)
    return Reliability(
        error=error,
        by_chance=figure(float(by_chance.mean())),
        by_chance_most=most,
        before=None if raw is None else figure(calibration_error(raw, truth, weight)),
        bins=tuple(
            ReliabilityBin(
                answered=figure(float(np.average(said[own], weights=weight[own]))),
                true=figure(float(np.average(came_true[own], weights=weight[own]))),
                rows=int(own.sum()),
            )
            for own in (bins == k for k in range(int(bins.max()) + 1))
            if weight[own].sum() > 0
        ),
    )


def calibration_error(scores: Floats, truth: Ints, weight: Floats) -> float:
    """Return the expected calibration error of probabilities, shape (n, classes), in [0, 1].

    Examples
    --------
    >>> scores = np.tile([0.2, 0.8], (100, 1))
    >>> round(calibration_error(scores, np.arange(100) % 2, np.ones(100)), 3)
    0.3
    """
    said, came_true = answered(scores, truth)
    return float(_error(said, came_true, bins_of(said, weight))(weight[np.newaxis])[0])


def answered(scores: Floats, truth: Ints) -> tuple[Floats, Floats]:
    """Return the probability that is taken at its word, and whether what it is of came true: both of shape (n,).

    Examples
    --------
    >>> answered(np.array([[0.2, 0.3, 0.5], [0.6, 0.2, 0.2]]), np.array([2, 1]))
    (array([0.5, 0.6]), array([1., 0.]))
    """
    if scores.shape[1] == 2:
        return scores[:, 1], (truth == 1).astype(np.float64)
    return scores.max(axis=1), (scores.argmax(axis=1) == truth).astype(np.float64)


def bins_of(said: Floats, weight: Floats) -> Ints:
    """Return the bin of each row, from 0: about equally much weight in each, and equal probabilities in one.

    Examples
    --------
    >>> bins_of(np.array([0.9, 0.1, 0.2, 0.8] * 10), np.ones(40))[:4].tolist()
    [1, 0, 0, 1]
    """
    many = max(1, min(BINS, int((weight > 0).sum()) // FEWEST))
    order = np.argsort(said, kind="stable")
    values, mass = said[order], weight[order]
    reached = (np.cumsum(mass) - mass) / mass.sum()
    firsts = np.searchsorted(values, values, side="left")
    found = np.empty(len(said), dtype=np.int64)
    found[order] = np.unique((reached[firsts] * many).astype(np.int64), return_inverse=True)[1]
    return found


def _error(said: Floats, came_true: Floats, bins: Ints) -> Statistic:
    """Prepare the error for rows that are weighted otherwise; they stay in their bins."""
    apart = np.zeros((len(said), int(bins.max(initial=0)) + 1))
    apart[np.arange(len(said)), bins] = came_true - said

    def error(weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        away = np.abs(weights @ apart).sum(axis=1)
        return np.divide(away, total, out=np.full(len(total), np.nan), where=total > 0)

    return error


def _by_chance(said: Floats, bins: Ints, weight: Floats, seed: int) -> Floats:
    """Return the error of rows that come true exactly as often as is said, drawn again and again."""
    chance = np.random.default_rng(seed)
    many, total = int(bins.max()) + 1, weight.sum()
    found = np.empty(max(40, min(_DRAWN, _CELLS // len(said))))
    for draw in range(len(found)):
        apart = weight * ((chance.random(len(said)) < said) - said)
        found[draw] = np.abs(np.bincount(bins, weights=apart, minlength=many)).sum() / total
    return found
