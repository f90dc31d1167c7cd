"""Which predictions are worth a label: those that the model is unsure of, unlike each other, and some at random.

The answers that are known already say nothing of the others, so a part is drawn at random. Of the rest the surest are left out first,
then one is taken after the other: the one whose uncertainty times the distance to the nearest that was taken is largest. That is the
weighted form of the greedy k-centre selection of [1]_, with the filter of [2]_ before it.

References
----------
.. [1] O. Sener and S. Savarese, Active Learning for Convolutional Neural Networks: A Core-Set Approach, ICLR 2018.
.. [2] F. Zhdanov, Diverse mini-batch Active Learning, arXiv:1901.05954, 2019.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
RANDOM_SHARE = 0.2
"""Share of the questions that is drawn at random."""
STRATA = 5
_FILTER, _FEWEST = 10, 1_000
"""For each question so many of the most uncertain are compared, and at least these."""
_BUCKETS, _TEXT_BUCKETS = 16, 64
_LEAST = 1e-3
"""Uncertainty that the surest counts as, so that diversity decides between rows that are all sure."""


class Drawn(NamedTuple):
    """Predictions that were drawn, by their places in the pool."""

    places: tuple[int, ...]
    """In random order, so that the first of them are drawn as all of them are."""
    at_random: frozenset[int]
    """Those that were drawn at random."""


def uncertainty_of(answer: Mapping[str, Any]) -> float:
    """Return how unsure a model is of its answer, from 0.

    Of probabilities it is the entropy, over that of equal ones: in [0, 1]. Of a number it is the width of its interval, in the unit of
    the label; 0 if an answer has neither.

    Examples
    --------
    >>> uncertainty_of({"prediction": "a", "probabilities": {"a": 0.5, "b": 0.5}})
    1.0
    >>> uncertainty_of({"prediction": 2.0, "interval": [1.0, 3.5, 0.9]}), uncertainty_of({"prediction": 2.0})
    (2.5, 0.0)
    """
    if (
        "score" in answer and "threshold" in answer
    ):  # of an anomaly: the nearer to where alarms begin, the less sure
        return 1 - min(1.0, abs(float(answer["score"]) - float(answer["threshold"])))
    shares = answer.get("probabilities")
    if shares and len(shares) > 1:
        p = np.array(list(shares.values()), dtype=np.float64)
        p = p[p > 0]
        return max(0.0, float(-(p * np.log(p)).sum() / np.log(len(shares))))
    interval = answer.get("interval")
    return float(interval[1] - interval[0]) if interval else 0.0


def strata_of(uncertainty: Floats) -> npt.NDArray[np.int64]:
    """Return the fifth of the predictions that each belongs to by its uncertainty, 0 the surest; equal ones may be in two fifths.

    Examples
    --------
    >>> strata_of(np.array([0.9, 0.1, 0.5, 0.3, 0.7])).tolist()
    [4, 0, 2, 1, 3]
    """
    ranks = np.argsort(np.argsort(uncertainty, kind="stable"), kind="stable")
    return ranks * STRATA // max(1, len(uncertainty))


def features_of(rows: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> Floats:
    """Return rows as points: the distance between two is larger the more of their values differ.

    Numbers become ranks in [0, 1], texts the words that they have, other values equal or not. A column that all rows lack adds nothing.

    Examples
    --------
    >>> points = features_of([{"a": 1, "b": "x"}, {"a": 2, "b": "x"}, {"a": 9, "b": "y"}], {"a": "number", "b": "category"})
    >>> [round(float(np.linalg.norm(points[0] - one)), 2) for one in points]
    [0.0, 0.5, 1.41]
    """
    parts = [_column([row.get(name) for row in rows], kind) for name, kind in types.items()]
    return np.hstack([np.zeros((len(rows), 0)), *parts])


def _column(values: Sequence[Any], kind: str) -> Floats:
    if kind in {"integer", "number"}:
        numbers = np.array([_number(one) for one in values])
        known = np.isfinite(numbers)
        ranks = np.full(len(values), 0.5)
        _, places = np.unique(numbers[known], return_inverse=True)
        ranks[known] = places / max(1, places.max(initial=0))
        return ranks[:, np.newaxis]
    width = _TEXT_BUCKETS if kind == "text" else _BUCKETS
    found = np.zeros((len(values), width))
    for place, value in enumerate(values):
        words = str(value).lower().split() if kind == "text" and value is not None else [repr(value)]
        for word in words:
            found[place, zlib.crc32(word.encode(errors="replace")) % width] += 1
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.divide(found, lengths * np.sqrt(2), out=np.zeros_like(found), where=lengths > 0)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def draw(uncertainty: Floats, features: Floats, size: int, *, seed: int) -> Drawn:
    """Draw predictions out of a pool.

    Examples
    --------
    >>> found = draw(np.array([0.0, 0.1, 0.9, 0.8]), np.zeros((4, 0)), 2, seed=1)
    >>> sorted(found.places), found.at_random
    ([2, 3], frozenset())
    """
    chance, n = np.random.default_rng(seed), len(uncertainty)
    size = min(size, n)
    at_random = chance.choice(n, round(size * RANDOM_SHARE), replace=False)
    left = np.setdiff1d(np.arange(n), at_random)
    left = left[np.argsort(-uncertainty[left], kind="stable")][: max(_FEWEST, _FILTER * size)]
    chosen = left[_spread(uncertainty[left], features[left], features[at_random], size - len(at_random))]
    places = chance.permutation(np.concatenate([at_random, chosen]))
    return Drawn(tuple(places.tolist()), frozenset(at_random.tolist()))


def _spread(weights: Floats, points: Floats, taken: Floats, wanted: int) -> npt.NDArray[np.int64]:
    """Return places of points that are far from each other and from those that are taken, and have much weight."""
    far = np.full(len(points), np.inf)
    for one in taken:
        far = np.minimum(far, np.linalg.norm(points - one, axis=1))
    scale = float(weights.max(initial=0.0)) or 1.0
    weight = np.maximum(weights / scale, _LEAST)
    chosen: list[int] = []
    is_free = np.ones(len(points), dtype=bool)
    while len(chosen) < wanted:
        # Points on the same spot are distinguished by their weight alone.
        reach = np.where(np.isinf(far), 1.0, np.maximum(far, _LEAST))
        best = int(np.where(is_free, weight * reach, -1.0).argmax())
        chosen.append(best)
        is_free[best] = False
        far = np.minimum(far, np.linalg.norm(points - points[best], axis=1))
    return np.array(chosen, dtype=np.int64)
