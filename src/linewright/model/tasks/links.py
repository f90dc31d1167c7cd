"""What all families share: types, the link from margins to probabilities, and the scale of a target."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from linewright.model.facts import Task

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]
Valid = tuple[Matrix, npt.NDArray[Any], Floats]
"""Matrix, target and weight of the rows that early stopping watches."""

_SMALLEST = 1e-300


def to_scores(margins: Floats, task: Task) -> Floats:
    """Turn what a model adds up into scores.

    Parameters
    ----------
    margins : float64 array, shape (n,) or (n, classes)
        Binary: log-odds of the positive class. Multiclass: log-weights of the classes. Regression: the numbers.
    task
        One of the tasks.

    Returns
    -------
    float64 array, shape (n, classes) or (n,)
        Probabilities that sum to 1 in each row, each exact to about 1e-16 of itself however small; or the numbers.

    Examples
    --------
    >>> to_scores(np.array([0.0, 100.0]), "binary").tolist()
    [[0.5, 0.5], [3.720075976020836e-44, 1.0]]
    """
    if task == "regression":
        return margins
    if task == "binary":
        margins = np.column_stack([np.zeros_like(margins), margins])
    weights = np.exp(margins - margins.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def to_margins(scores: Floats, task: Task) -> Floats:
    """Return what a model added up, from the scores that it made of it: the inverse of `to_scores`.

    Parameters
    ----------
    scores : float64 array, shape (n, classes) or (n,)
        Probabilities, or numbers.
    task
        One of the tasks.

    Returns
    -------
    float64 array, shape (n,) or (n, classes)
        Log-odds of the positive class; log-probabilities, which are the log-weights but for one number a row that
        `to_scores` takes out again; or the numbers. Probabilities below 1e-300 count as that.

    Examples
    --------
    >>> to_margins(to_scores(np.array([0.5, -40.0]), "binary"), "binary").round(12).tolist()
    [0.5, -40.0]
    """
    if task == "regression":
        return scores
    logs = np.log(np.maximum(scores, _SMALLEST))
    return logs[:, 1] - logs[:, 0] if task == "binary" else logs


def weighted(margins: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """Return the weighted sum of margins, added in their order.

    Examples
    --------
    >>> weighted([np.array([1.0, 2.0]), np.array([3.0, 6.0])], [0.75, 0.25]).tolist()
    [1.5, 3.0]
    """
    total = weights[0] * margins[0]
    for weight, one in zip(weights[1:], margins[1:], strict=True):
        total = total + weight * one
    return total


def centre_and_scale(target: npt.NDArray[Any], weight: Floats) -> tuple[float, float]:
    """Return the weighted mean and standard deviation of a regression target; 1 for a constant one.

    Fitting (target - mean) / deviation keeps digits that LightGBM, which holds targets as float32, would lose.
    """
    centre = float(np.average(target, weights=weight))
    deviation = float(np.sqrt(np.average((target - centre) ** 2, weights=weight)))
    return centre, deviation if deviation > 0 else 1.0
