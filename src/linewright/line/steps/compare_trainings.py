"""Compare two trainings of the same rows by models that did not see them."""

from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_SMALLEST = 1e-15


class Comparison(NamedTuple):
    """How two trainings predicted the rows that both of them held out."""

    rows: int
    loss: float | None
    """Mean loss of the first by the weights of rows, log-loss or squared error of numbers; `None` without such rows."""
    other_loss: float | None
    gain: float
    """By how much less the other loses."""
    standard_error: float
    """Of `gain`; infinite for fewer than two units."""

    @property
    def is_other_better(self) -> bool:
        """Whether the other loses less by more than one standard error."""
        return self.gain > self.standard_error


def compare(
    scores: NDArray[np.float64],
    other: NDArray[np.float64],
    target: NDArray[Any],
    units: NDArray[Any] | None = None,
    *,
    weight: NDArray[np.float64] | None = None,
) -> Comparison:
    """Compare the scores of two trainings, row by row, or unit by unit.

    Examples
    --------
    >>> compare(np.zeros(4), np.full(4, 0.9), np.array([1.0, 1.0, 0.9, 1.1])).is_other_better
    True
    """
    return compare_losses(row_losses(scores, target), row_losses(other, target), units, weight=weight)


def compare_losses(
    losses: NDArray[np.float64],
    other: NDArray[np.float64],
    units: NDArray[Any] | None = None,
    *,
    weight: NDArray[np.float64] | None = None,
) -> Comparison:
    """Compare the losses of two trainings, each of shape (n,) with NaN for rows of no fold; see `compare`."""
    counted = np.ones(len(losses)) if weight is None else weight
    known = np.isfinite(losses) & np.isfinite(other) & (counted > 0)
    counted, difference = counted[known], losses[known] - other[known]
    total = float(counted.sum())
    gain = float((counted * difference).sum()) / total if total else 0.0
    of = np.arange(len(difference)) if units is None else np.unique(units[known], return_inverse=True)[1]
    sums = np.bincount(of, weights=counted * (difference - gain))
    many = len(sums)
    error = sqrt(float((sums**2).sum()) * many / (many - 1)) / total if many > 1 else float("inf")
    return Comparison(
        rows=len(difference),
        loss=mean_loss(losses[known], counted),
        other_loss=mean_loss(other[known], counted),
        gain=gain,
        standard_error=error,
    )


def mean_loss(losses: NDArray[np.float64], weight: NDArray[np.float64]) -> float | None:
    """Return the mean of losses by the weights of rows; `None` without rows that have a loss.

    Examples
    --------
    >>> mean_loss(np.array([1.0, 3.0, np.nan]), np.array([3.0, 1.0, 1.0]))
    1.5
    """
    counted = np.where(np.isfinite(losses), weight, 0.0)
    total = float(counted.sum())
    return float((counted * np.nan_to_num(losses)).sum()) / total if total else None


def row_losses(scores: NDArray[np.float64], target: NDArray[Any]) -> NDArray[np.float64]:
    """Return the log-loss of each row, or the squared error of numbers; NaN for rows of no fold."""
    if scores.ndim == 1:
        return (scores - target) ** 2
    return -np.log(np.maximum(scores[np.arange(len(target)), target.astype(np.int64)], _SMALLEST))
