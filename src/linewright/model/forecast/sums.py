"""Sums of the forecasts of series: how wide their intervals have to be, and how good they are."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from linewright.model.facts import SumQuality
from linewright.model.tasks.horizons import COVERED, Horizons, width_of_sum
from linewright.text.numbers import figure

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_COMPLETE = 0.8
"""Share of the series of a sum that have to be there at a time."""


def shared_errors(errors: Floats, widths: Floats, at: Ints, level: Ints, series: Ints) -> float:
    """Return how far the errors of series go together, such that 90 % of their sums lie in the intervals that follow.

    The half-width of a sum is that of `width_of_sum`: that of
    errors that have nothing to do with each other at 0, and their sum, which no correlation exceeds, at 1. Each sum of a backtest would
    have needed some ``shared``; the answer is the quantile of these (split conformal). Sums whose steps overlap in time count as one.

    Examples
    --------
    >>> chance = np.random.default_rng(1)
    >>> def found(common: float) -> float:
    ...     shock = common * np.repeat(chance.normal(size=(100, 1)), 20, axis=0)
    ...     errors = shock + np.sqrt(1 - common**2) * chance.normal(size=(2000, 1))
    ...     at, series = np.repeat(np.arange(100), 20), np.tile(np.arange(20), 100)
    ...     return shared_errors(errors, np.full((2000, 1), 1.645), at, np.zeros(20, dtype=np.int64), series)
    >>> found(0.0) < 0.1, 0.3 < found(0.8) < 0.9
    (True, True)
    """
    scores: list[Floats] = []
    times: set[tuple[int, int]] = set()
    for sum_, time, rows in _sums(at, level, series):
        e, w = errors[rows], widths[rows]
        there = ~np.isnan(e)
        enough = there.sum(axis=0) >= max(2, _COMPLETE * len(rows))
        total = np.where(there, e, 0.0).sum(axis=0)
        w = np.where(there, w, 0.0)
        squares, largest = (w**2).sum(axis=0), w.sum(axis=0) ** 2
        room = largest - squares
        needed = np.where(room > 0, (total**2 - squares) / np.where(room > 0, room, 1.0), total**2 > squares)
        scores.append(np.clip(needed[enough], 0.0, 1.0))
        if enough.any():
            times.add((sum_, time // errors.shape[1]))
    found = np.sort(np.concatenate([*scores, np.empty(0)]))
    share = np.ceil(COVERED * (len(times) + 1)) / max(len(times), 1)
    if share > 1 or not len(found):
        return 1.0
    return float(found[min(int(np.ceil(share * len(found))), len(found)) - 1])


def quality_of_sums(
    target: Floats,
    scores: Floats,
    at: Ints,
    level: Ints,
    series: Ints,
    *,
    keys: tuple[str, ...],
    shared: float,
) -> SumQuality:
    """Measure sums of forecasts.

    Examples
    --------
    >>> scores = np.array([[3.0, 1.0, 5.0, 2.0, 1.0, 9, 0, 0, 0], [4.0, 2.0, 6.0, 2.0, 1.0, 9, 0, 0, 0]])
    >>> none = np.zeros(2, dtype=np.int64)
    >>> quality_of_sums(np.array([[4.0], [5.0]]), scores, none, none, np.arange(2), keys=(), shared=0.0).error
    0.4
    """
    said = Horizons(scores)
    errors, naive, covered = list[Floats](), list[Floats](), list[Floats]()
    sums, times = set[int](), set[int]()
    for sum_, time, rows in _sums(at, level, series):
        came, whole = target[rows].sum(axis=0), ~np.isnan(target[rows]).any(axis=0)
        if not whole.any():
            continue
        forecast = said.forecast[rows].sum(axis=0)
        width = width_of_sum((said.high - said.forecast)[rows], shared)
        off = np.abs(came - forecast)[whole]
        errors.append(off)
        naive.append(np.abs(came - said.naive[rows].sum(axis=0))[whole])
        covered.append((off <= width[whole]).astype(np.float64))
        sums.add(sum_)
        times.add(time)
    if not errors:
        return SumQuality(keys=keys, sums=0, times=0, error=None, coverage=None, shared=shared)
    plain = float(np.concatenate(naive).mean())
    return SumQuality(
        keys=keys,
        sums=len(sums),
        times=len(times),
        error=figure(float(np.concatenate(errors).mean()) / plain) if plain > 0 else None,
        coverage=figure(float(np.concatenate(covered).mean())),
        shared=shared,
    )


def _sums(at: Ints, level: Ints, series: Ints) -> Iterator[tuple[int, int, Ints]]:
    """Give each sum at each time at which most of its series are there, with their rows."""
    own = level[series]
    sizes = np.bincount(level)
    order = np.lexsort((at, own))
    edges = np.flatnonzero((np.diff(own[order]) != 0) | (np.diff(at[order]) != 0)) + 1
    for rows in np.split(order, edges) if len(order) else ():
        sum_ = int(own[rows[0]])
        if len(rows) >= max(2, _COMPLETE * sizes[sum_]):
            yield sum_, int(at[rows[0]]), rows
