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
    """Mean loss of the first, log-loss or squared error of numbers; `None` without such rows."""
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
) -> Comparison:
    """Compare the scores of two trainings, row by row, or unit by unit.

    Parameters
    ----------
    scores, other : float64 array, shape (n, classes) or (n,)
        Out of fold; NaN for rows of no fold.
    target : array, shape (n,)
        Places of classes, or numbers.
    units : array, shape (n,), optional
        Of which unit each row is; rows of one unit are not independent.

    Examples
    --------
    >>> compare(np.zeros(4), np.full(4, 0.9), np.array([1.0, 1.0, 0.9, 1.1])).is_other_better
    True
    """
    return compare_losses(row_losses(scores, target), row_losses(other, target), units)


def compare_losses(
    losses: NDArray[np.float64], other: NDArray[np.float64], units: NDArray[Any] | None = None
) -> Comparison:
    """Compare the losses of two trainings, each of shape (n,) with NaN for rows of no fold; see `compare`."""
    known = np.isfinite(losses) & np.isfinite(other)
    first, second = losses[known], other[known]
    difference = first - second
    gain = float(difference.mean()) if len(difference) else 0.0
    of = np.arange(len(difference)) if units is None else np.unique(units[known], return_inverse=True)[1]
    sums = np.bincount(of, weights=difference - gain) if len(difference) else np.empty(0)
    many = len(sums)
    error = sqrt(float((sums**2).sum()) * many / (many - 1)) / len(difference) if many > 1 else float("inf")
    return Comparison(
        rows=len(difference),
        loss=float(first.mean()) if len(first) else None,
        other_loss=float(second.mean()) if len(second) else None,
        gain=gain,
        standard_error=error,
    )


def row_losses(scores: NDArray[np.float64], target: NDArray[Any]) -> NDArray[np.float64]:
    """Return the log-loss of each row, or the squared error of numbers; NaN for rows of no fold."""
    if scores.ndim == 1:
        return (scores - target) ** 2
    return -np.log(np.maximum(scores[np.arange(len(target)), target.astype(np.int64)], _SMALLEST))
