"""The form of what a forecast says of rows: a matrix whose columns are steps ahead, so that it is cut by rows like any other scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.text.steps import from_time_parts

Floats = NDArray[np.float64]
MORE = 5
"""Columns behind those of the steps."""
PARTS = 4
"""Columns that each step has."""
COVERED = 0.9
"""Share of the values that intervals are made to hold."""


@dataclass(frozen=True, eq=False)
class Horizons:
    """Forecasts of n rows, read from scores of shape (n, 4 horizon + 5)."""

    scores: NDArray[Any]

    @property
    def horizon(self) -> int:
        """How many steps are said."""
        return (self.scores.shape[1] - MORE) // PARTS

    def _part(self, number: int) -> NDArray[Any]:
        return self.scores[:, number * self.horizon : (number + 1) * self.horizon]

    @property
    def forecast(self) -> NDArray[Any]:
        """Shape (n, horizon)."""
        return self._part(0)

    @property
    def low(self) -> NDArray[Any]:
        """Lower ends of the intervals, shape (n, horizon)."""
        return self._part(1)

    @property
    def high(self) -> NDArray[Any]:
        """Upper ends, shape (n, horizon)."""
        return self._part(2)

    @property
    def naive(self) -> NDArray[Any]:
        """The newest value with its season, what the OWA is held against, shape (n, horizon)."""
        return self._part(3)

    @property
    def scale(self) -> NDArray[Any]:
        """Mean error of the seasonal naive forecast among the recent values, shape (n, 1); above 0."""
        return self.scores[:, -5:-4]

    @property
    def used(self) -> NDArray[Any]:
        """How many recent values were read, shape (n,)."""
        return self.scores[:, -4]

    @property
    def newest(self) -> NDArray[np.int64]:
        """Time of the newest value, shape (n,): microseconds since 1970, or a number."""
        return from_time_parts(self.scores[:, -3:])


def _mean(values: Floats) -> Floats:
    """Return the mean of each row over its steps that are known; 0 where none is."""
    there = ~np.isnan(values)
    return np.where(there, values, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)


def _as_wide(target: NDArray[Any], horizon: int) -> Floats:
    """Return truths of so many steps: what nobody asked for is left out, what is not there is not known."""
    wide = np.full((len(target), horizon), np.nan)
    steps = min(horizon, target.shape[1])
    wide[:, :steps] = target[:, :steps]
    return wide


def scaled_errors(target: NDArray[Any], scores: NDArray[Any]) -> Floats:
    """Return the mean absolute scaled error of each row.

    Examples
    --------
    >>> scores = np.array([[3.0, 4.0, 0, 0, 9, 9, 1, 1, 2.0, 12, 0, 0, 0]])
    >>> scaled_errors(np.array([[4.0, np.nan]]), scores).tolist()
    [0.5]
    """
    said = Horizons(scores)
    return _mean(np.abs(_as_wide(target, said.horizon) - said.forecast) / said.scale)


def naive_scaled_errors(target: NDArray[Any], scores: NDArray[Any]) -> Floats:
    """Return the mean absolute scaled error of what the OWA is held against."""
    said = Horizons(scores)
    return _mean(np.abs(_as_wide(target, said.horizon) - said.naive) / said.scale)


def _symmetric(came: Floats, said: NDArray[Any]) -> Floats:
    total = np.abs(came) + np.abs(said)
    return _mean(np.where(total > 0, 200 * np.abs(came - said) / np.where(total > 0, total, 1.0), total))


def symmetric_errors(target: NDArray[Any], scores: NDArray[Any]) -> Floats:
    """Return the symmetric mean absolute percentage error of each row, from 0 to 200; 0 where both are 0."""
    said = Horizons(scores)
    return _symmetric(_as_wide(target, said.horizon), said.forecast)


def naive_symmetric_errors(target: NDArray[Any], scores: NDArray[Any]) -> Floats:
    """Return the same of what the OWA is held against."""
    said = Horizons(scores)
    return _symmetric(_as_wide(target, said.horizon), said.naive)


def pinball_losses(target: NDArray[Any], scores: NDArray[Any]) -> Floats:
    """Return the pinball loss of each row at both ends of the interval and at the forecast, scaled: the mean of the three."""
    said = Horizons(scores)
    came = _as_wide(target, said.horizon)
    alpha = (1 - COVERED) / 2
    total = np.zeros_like(came)
    for share, quantile in ((alpha, said.low), (0.5, said.forecast), (1 - alpha, said.high)):
        below = came - quantile
        total += np.maximum(share * below, (share - 1) * below)
    return _mean(total / 3 / said.scale)


def shares_covered(target: NDArray[Any], scores: NDArray[Any]) -> Floats:
    """Return the share of the steps of each row whose value is in its interval."""
    said = Horizons(scores)
    came = _as_wide(target, said.horizon)
    inside = ((said.low <= came) & (came <= said.high)).astype(np.float64)
    return _mean(np.where(np.isnan(came), np.nan, inside))


def width_of_sum(widths: Floats, shared: float) -> Floats:
    """Return the half-widths of a sum, shape (horizon,), of those of its series, shape (n, horizon).

    It is the root of ``(1 - shared) * sum(w ** 2) + shared * sum(w) ** 2``: at 0 that of errors that have nothing to do with each other, at 1 their sum.

    Examples
    --------
    >>> width_of_sum(np.array([[3.0], [4.0]]), 0.0).tolist(), width_of_sum(np.array([[3.0], [4.0]]), 1.0).tolist()
    ([5.0], [7.0])
    """
    return np.sqrt((1 - shared) * (widths**2).sum(axis=0) + shared * widths.sum(axis=0) ** 2)


def horizons_of(answers: Sequence[Mapping[str, Any]]) -> Floats:
    """Return the scores that answers tell.

    Examples
    --------
    >>> answer = {"prediction": [3.0], "low": [1.0], "high": [9.0], "naive": [2.0], "scale": 2.0, "recent_used": 12}
    >>> horizons_of([answer]).tolist()
    [[3.0, 1.0, 9.0, 2.0, 2.0, 12.0, 0.0, 0.0, 0.0]]
    """
    return np.array(
        [
            [
                *one["prediction"],
                *one["low"],
                *one["high"],
                *one["naive"],
                one["scale"],
                one["recent_used"],
                0.0,
                0.0,
                0.0,
            ]
            for one in answers
        ],
        dtype=np.float64,
    )
