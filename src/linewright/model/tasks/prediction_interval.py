"""Prediction intervals of numbers: how far from the answer the truth is in 90 % of cases, for small answers and for large ones.

The half-width at an answer is first that of rows whose answers are near to it: training rows are sorted by their out-of-fold answers and
split into bins, finer ones towards the ends, each with its own conformal quantile of residuals (Mondrian conformal prediction [2]_), and between the middles
of bins it is interpolated, so that answers which are near to each other have like intervals. Then all half-widths are multiplied by one
factor, so that the intervals hold as much of all these rows as split conformal prediction asks for [1]_: residuals are measured in
half-widths (normalised conformal prediction [3]_).

References
----------
.. [1] J. Lei et al., Distribution-free predictive inference for regression, JASA 113 (2018), 1094-1111.
.. [2] H. Boström and U. Johansson, Mondrian conformal regressors, Proceedings of Machine Learning Research 128 (2020), 114-133.
.. [3] H. Papadopoulos, V. Vovk and A. Gammerman, Regression conformal prediction with nearest neighbours, JAIR 40 (2011), 815-840.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from linewright.model.facts import LEVEL, Band

MOST_BINS = 10
"""Bins of about as many rows, of which the outer ones are split further."""
BIN_ROWS = 50
"""Rows of a bin, at least: the quantile of fewer says little."""
PILE = 0.01
"""Share of the labels that the largest or smallest has at least, where they pile up at it."""
_NARROWEST = 1e-3
"""Half-width of a bin whose rows were all answered rightly, in half-widths of all rows: none is without any, unless all are."""

Floats = npt.NDArray[np.float64]


def half_width(residuals: Floats, weight: Floats) -> float:
    """Return the half-width of an interval that holds `LEVEL` of new rows, from rows like them [1]_.

    Examples
    --------
    >>> half_width(np.arange(1.0, 20.0), np.ones(19))
    18.0
    """
    order = np.argsort(residuals, kind="stable")
    reached = np.cumsum(weight[order])
    needed = LEVEL * (reached[-1] + weight.mean())
    place = int(np.searchsorted(reached, needed * (1 - 1e-12)))
    return float(residuals[order[min(place, len(order) - 1)]])


def fit_band(answers: Floats, truth: Floats, weight: Floats) -> Band:
    """Return how wide intervals are, by the answer.

    Examples
    --------
    >>> answers = np.repeat([10.0, 100.0], 200)
    >>> truth = answers * np.tile(np.linspace(0.5, 1.5, 200), 2)
    >>> band = fit_band(answers, truth, np.ones(400))
    >>> [low.tolist() for low in ends(band, np.array([10.0, 100.0, 1000.0]))[0].round()[:, None]]
    [[5.0], [55.0], [955.0]]
    >>> band.least
    0.0
    """
    counted = weight > 0
    answers, truth, weight = answers[counted], truth[counted], weight[counted]
    residuals = np.abs(truth - answers)
    overall = half_width(residuals, weight)
    order = np.argsort(answers, kind="stable")
    bins = [order[start:end] for start, end in pairwise(_edges(answers[order]))]
    at = np.array([answers[rows].mean() for rows in bins])
    widths = np.array([max(half_width(residuals[rows], weight[rows]), _NARROWEST * overall) for rows in bins])
    if overall > 0:
        widths *= half_width(residuals / np.interp(answers, at, widths), weight)
    _, most = ends_of_labels(truth)
    return Band(
        at=tuple(at.tolist()),
        half_widths=tuple(widths.tolist()),
        least=_least(truth),
        most=most,
    )


def _least(truth: Floats) -> float | None:
    piled, _ = ends_of_labels(truth)
    if piled is not None:
        return piled
    return 0.0 if truth.min() >= 0 else None


def ends_of_labels(truth: Floats) -> tuple[float | None, float | None]:
    """Return the smallest and the largest label where labels pile up at them, as at the 0 of counts or the 100 of a scale, else `None`.

    Examples
    --------
    >>> ends_of_labels(np.array([0.0, 0.0, 0.0, 1.0, 1.0, 2.0]))
    (0.0, None)
    """
    if not len(truth):
        return None, None
    least = _piled_at_end(-truth)
    return None if least is None else -least, _piled_at_end(truth)


def _piled_at_end(truth: Floats) -> float | None:
    """Return the largest label where labels pile up at it, as at the 100 of a scale up to 100.

    A hundredth of them are there, and more than at the next smaller one: counts and amounts grow rarer towards their largest, and the
    next row may be larger.

    Examples
    --------
    >>> _piled_at_end(np.array([97.0, 98.0, 98.0, 100.0, 100.0, 100.0]))
    100.0
    >>> _piled_at_end(np.array([0.0, 0.0, 0.0, 1.0, 1.0, 2.0]))
    """
    values, counts = np.unique(truth, return_counts=True)
    if len(values) < 2 or counts[-1] <= counts[-2] or counts[-1] < PILE * len(truth):
        return None
    return float(values[-1])


def _edges(answers: Floats) -> list[int]:
    """Return where bins of sorted answers begin and end; equal answers are in one bin.

    The outer bins are halved outwards as long as they hold enough rows: errors grow most where answers are largest, and of a label with a long
    tail the largest tenth spans more than all others.

    Examples
    --------
    >>> _edges(np.arange(1_000.0))
    [0, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 950, 1000]
    >>> _edges(np.repeat([1.0, 2.0], 100)), _edges(np.arange(60.0))
    ([0, 100, 200], [0, 60])
    """
    n = len(answers)
    wanted = max(1, min(MOST_BINS, n // BIN_ROWS))
    inner = [number * n // wanted for number in range(1, wanted)]
    halved = [n // wanted >> times for times in range(1, n.bit_length())]
    outer = [rows for rows in halved if rows >= BIN_ROWS]
    edges = [0]
    for place in sorted({*inner, *outer, *(n - rows for rows in outer)}):
        edge = int(np.searchsorted(answers, answers[place]))
        if min(edge - edges[-1], n - edge) >= BIN_ROWS:
            edges.append(edge)
    return [*edges, n]


def ends(band: Band, answers: Floats) -> tuple[Floats, Floats]:
    """Return the low and high ends of the intervals of answers, each of shape (n,).

    Examples
    --------
    >>> band = Band(at=(0.0, 10.0), half_widths=(2.0, 4.0), least=0.0)
    >>> [end.tolist() for end in ends(band, np.array([-1.0, 1.0, 5.0, 20.0]))]
    [[-1.0, 0.0, 2.0, 16.0], [1.0, 3.2, 8.0, 24.0]]
    """
    widths = np.interp(answers, band.at, band.half_widths)
    low = answers - widths
    high = answers + widths
    if band.least is not None:
        low = np.maximum(low, np.minimum(answers, band.least))
    if band.most is not None:
        high = np.minimum(high, np.maximum(answers, band.most))
    return low, high
