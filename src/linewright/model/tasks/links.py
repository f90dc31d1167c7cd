"""What all families share: types, the links from margins to scores, and the scale of a target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]
Valid = tuple[Matrix, npt.NDArray[Any], Floats]
"""Matrix, target and weight of the rows that early stopping watches."""

_SMALLEST = 1e-300


@dataclass(frozen=True, kw_only=True)
class Link:
    """How what a model adds up becomes scores: the one thing that families, graphs and explanations know of a task."""

    name: str
    unit: str
    """What margins are in."""
    native: str
    """The task that stands for it in models whose task is not the line's."""
    is_class: bool
    """Whether scores are probabilities of classes; else they are numbers."""

    def outputs(self, classes: int) -> int:
        """Return how many margins a row has."""
        del classes
        return 1

    def to_scores(self, margins: Floats) -> Floats:
        """Turn what a model adds up into scores.

        Examples
        --------
        >>> LOGISTIC.to_scores(np.array([0.0, 100.0])).tolist()
        [[0.5, 0.5], [3.720075976020836e-44, 1.0]]
        """
        return _only(margins)

    def to_margins(self, scores: Floats) -> Floats:
        """Return what a model added up, from the scores that it made of it: the inverse of `to_scores`.

        Examples
        --------
        >>> LOGISTIC.to_margins(LOGISTIC.to_scores(np.array([0.5, -40.0]))).round(12).tolist()
        [0.5, -40.0]
        """
        return scores


class _Logistic(Link):
    def to_scores(self, margins: Floats) -> Floats:
        margins = _only(margins)
        return _softmax(np.column_stack([np.zeros_like(margins), margins]))

    def to_margins(self, scores: Floats) -> Floats:
        logs = _logs(scores)
        return logs[:, 1] - logs[:, 0]


class _Softmax(Link):
    def outputs(self, classes: int) -> int:
        return classes

    def to_scores(self, margins: Floats) -> Floats:
        return _softmax(margins)

    def to_margins(self, scores: Floats) -> Floats:
        return _logs(scores)


LOGISTIC = _Logistic(name="logistic", unit="log-odds", native="binary", is_class=True)
"""Two classes, by one margin."""


class _Hazard(Link):
    def outputs(self, classes: int) -> int:
        return classes

    def to_scores(self, margins: Floats) -> Floats:
        """Return products of 1 - hazard: they never rise."""
        return np.exp(-np.cumsum(np.logaddexp(0.0, margins), axis=1))

    def to_margins(self, scores: Floats) -> Floats:
        before = np.concatenate([np.ones_like(scores[:, :1]), scores[:, :-1]], axis=1)
        return _logs(before - scores) - _logs(scores)


class _Oddity(Link):
    def to_scores(self, margins: Floats) -> Floats:
        odd = _only(margins)
        return np.column_stack([1 - odd, odd])

    def to_margins(self, scores: Floats) -> Floats:
        return scores[:, 1]


ODDITY = _Oddity(name="oddity", unit="share of good rows", native="binary", is_class=True)
"""Good and faulty, by the share of good rows that are less odd."""
SOFTMAX = _Softmax(name="softmax", unit="log-weight", native="multiclass", is_class=True)
"""Classes, by a margin each."""
HAZARD = _Hazard(name="hazard", unit="log-odds of the hazard", native="binary", is_class=False)
"""Shares that are still there at the end of each interval of time, by a margin each: the log-odds of going in it."""
IDENTITY = Link(name="identity", unit="value", native="regression", is_class=False)
"""Numbers, as they are."""


def _only(margins: Floats) -> Floats:
    return margins[:, 0] if margins.ndim == 2 else margins


def _softmax(margins: Floats) -> Floats:
    weights = np.exp(margins - margins.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def _logs(scores: Floats) -> Floats:
    return np.log(np.maximum(scores, _SMALLEST))


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
