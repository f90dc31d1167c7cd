"""Whether curves can be taken at their word: the share that they say is left by some time, and the share that was."""

from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from linewright.model.facts import LeftAt
from linewright.model.tasks.censoring import brier_at_times, expected_left, grid_read, kaplan_meier_with_error
from linewright.text.numbers import figure

Floats = npt.NDArray[np.float64]
TIMES = 3
"""Times at which thirds of the rows are looked at."""
FEWEST = 10
"""Rows of a third, at least."""
_SURE = NormalDist().inv_cdf(0.975)


def measure_left(
    places: npt.NDArray[Any], left: Floats, baseline: Floats, weight: Floats, classes: Sequence[str]
) -> tuple[LeftAt, ...]:
    """Return what is left at each time of all rows, and at a few times of the thirds by how long they are said to take.

    Examples
    --------
    >>> places = np.array([0.5, 1.5, -2.0, -2.0] * 10)
    >>> found = measure_left(places, np.tile([0.8, 0.5], (40, 1)), np.tile([0.7, 0.5], (40, 1)), np.ones(40), ("10", "20"))
    >>> [(one.time, one.said, one.seen) for one in found if one.third == 0]
    [(10.0, 0.8, 0.75), (20.0, 0.5, 0.5)]
    """
    return tuple(_all(places, left, baseline, weight, classes)) + tuple(
        _thirds(places, left, weight, classes)
    )


def _all(
    places: Floats, left: Floats, baseline: Floats, weight: Floats, classes: Sequence[str]
) -> Iterator[LeftAt]:
    grid = grid_read(classes)
    own, other = (weight @ brier_at_times(places, said) / weight.sum() for said in (left, baseline))
    seen, low, high = seen_left(places, weight, len(grid))
    said = expected_left(places, left, weight)
    for k, time in enumerate(grid.tolist()):
        yield LeftAt(
            time=time,
            third=0,
            rows=len(places),
            said=figure(float(said[k])),
            seen=figure(float(seen[k])),
            low=figure(float(low[k])),
            high=figure(float(high[k])),
            brier=figure(float(own[k])),
            baseline=figure(float(other[k])),
        )


def _thirds(places: Floats, left: Floats, weight: Floats, classes: Sequence[str]) -> Iterator[LeftAt]:
    grid = grid_read(classes)
    if len(places) < 3 * FEWEST:
        return
    order = np.argsort(left.sum(axis=1), kind="stable")
    at = np.unique(np.round(np.linspace(0, len(grid), TIMES + 2)[1:-1]).astype(np.int64).clip(1) - 1)
    for third, rows in enumerate(np.array_split(order, 3), start=1):
        seen, low, high = seen_left(places[rows], weight[rows], len(grid))
        said = (
            expected_left(places[rows], left[rows], weight[rows])
            if weight[rows].any()
            else np.zeros(len(grid))
        )
        for k in at.tolist():
            yield LeftAt(
                time=float(grid[k]),
                third=third,
                rows=len(rows),
                said=figure(float(said[k])),
                seen=figure(float(seen[k])),
                low=figure(float(low[k])),
                high=figure(float(high[k])),
            )


def seen_left(places: Floats, weight: Floats, k: int) -> tuple[Floats, Floats, Floats]:
    """Return the share that is left at each of `k` times by Kaplan and Meier, and the ends of its 95 % interval, each of shape (k,)."""
    left, error = kaplan_meier_with_error(places, weight, k)
    inside = np.clip(left, 1e-12, 1 - 1e-12)
    half = _SURE * error / np.abs(np.log(inside))
    low, high = inside ** np.exp(half), inside ** np.exp(-half)
    is_certain = (left <= 0) | (left >= 1)
    return left, np.where(is_certain, left, low), np.where(is_certain, left, high)
