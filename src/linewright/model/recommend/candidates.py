"""What ranks items: popularity, item-kNN and EASE, each learned from who took what."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from linewright.errors import Terminal
from linewright.model.recommend.interactions import Taken
from linewright.model.spec import TrainSpec

MOST_DENSE = 8_000
"""Items up to which EASE is tried: it holds a number for each two of them."""
_BUDGETS = {"quick": 2, "normal": 4, "thorough": 8}
_LAMBDAS = (200.0, 50.0, 800.0, 100.0, 400.0, 1600.0, 20.0)
_REPEATS = (0.2, 0.05)
_LASTS = -1.0
"""What an item of the history that is hardly taken twice adds to itself: more than the others can make up for."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to rank items, with its settings.

    ``popularity``: by the share of users who took the item. ``knn``: by the cosine of items with those of the history, of each the `neighbours`
    nearest, small counts shrunk by `shrink`. ``ease``: EASE, a ridge regression of each item on all others with penalty `shrink`.
    `again` is what an item of the history itself adds if it may be listed; one that is hardly taken twice takes `_LASTS` away.
    """

    family: Literal["popularity", "knn", "ease"]
    shrink: float = 0.0
    neighbours: int = 0
    again: float = 0.0

    @property
    def name(self) -> str:
        """Short and readable, different for each."""
        parts = {"shrink": self.shrink, "again": self.again}
        return " ".join([self.family, *(f"{name}={value:g}" for name, value in parts.items() if value)])

    @property
    def settings(self) -> dict[str, Any]:
        """As a trial has them."""
        parts = {"shrink": self.shrink, "neighbours": self.neighbours, "again": self.again}
        return {name: value for name, value in parts.items() if value}


def candidates(spec: TrainSpec, *, items: int, again: bool) -> list[Candidate]:
    """Return what is tried, popularity first.

    Examples
    --------
    >>> [one.name for one in candidates(TrainSpec(budget="quick"), items=2_000, again=False)]
    ['popularity', 'ease shrink=200', 'knn shrink=10']
    >>> sorted({one.family for one in candidates(TrainSpec(), items=20_000, again=False)})
    ['knn', 'popularity']
    """
    repeats = _REPEATS if again else (0.0,)
    knn = [
        Candidate(family="knn", shrink=shrink, neighbours=100, again=more)
        for shrink in (10.0, 100.0)
        for more in repeats
    ]
    ease = [
        Candidate(family="ease", shrink=shrink, again=more)
        for shrink in _LAMBDAS
        for more in repeats
        if items <= MOST_DENSE
    ]
    ranked = [*ease[:1], knn[0], *ease[1:], *knn[1:]]
    budget = spec.budget
    most = _BUDGETS[budget] * len(repeats) if isinstance(budget, str) else budget.trials - 1
    return [Candidate(family="popularity"), *ranked[:most]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Weights:
    """What each item of a history adds to items; neither for popularity."""

    dense: NDArray[np.float32] | None = None
    """Shape (items, items): row i is what item i adds to each item."""
    neighbours: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None
    """Places and numbers, shape (items, neighbours): what item i adds to some items."""


def fit(candidate: Candidate, taken: Taken) -> Weights:
    """Learn what each item of a history adds; the same bytes from the same values."""
    match candidate.family:
        case "popularity":
            return Weights()
        case "knn":
            return Weights(neighbours=_nearest(candidate, taken))
        case "ease":
            return Weights(dense=_ease(candidate, taken))


def _itself(candidate: Candidate, taken: Taken) -> NDArray[np.float32]:
    """Return what each item of a history adds to itself."""
    if not candidate.again:
        return np.zeros(len(taken.items), dtype=np.float32)
    return np.where(taken.lasts, _LASTS, candidate.again).astype(np.float32)


def _ease(candidate: Candidate, taken: Taken) -> NDArray[np.float32]:
    matrix = taken.matrix
    gram = (matrix.T @ matrix).toarray().astype(np.float32)
    diagonal = np.diag_indices_from(gram)
    gram[diagonal] += np.float32(candidate.shrink)
    lapack: Any = linalg.lapack  # its functions are compiled, and have no types
    factor, failed = lapack.spotrf(gram, lower=1, overwrite_a=1)
    inverse, failed_too = lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed or failed_too:
        raise Terminal("EASE has no solution", where="train", found=candidate.name)
    inverse = np.tril(inverse)
    inverse += np.tril(inverse, -1).T
    weights = -inverse / inverse[diagonal]
    weights[diagonal] = _itself(candidate, taken)
    return np.ascontiguousarray(weights, dtype=np.float32)


def _nearest(candidate: Candidate, taken: Taken) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    together = sparse.csr_matrix(taken.matrix.T @ taken.matrix)
    itself = _itself(candidate, taken)
    norms = np.sqrt(together.diagonal())
    items, k = len(norms), candidate.neighbours
    places, numbers = np.zeros((items, k + 1), np.int64), np.zeros((items, k + 1), np.float32)
    for item in range(items):
        start, end = together.indptr[item], together.indptr[item + 1]
        others, counts = together.indices[start:end], together.data[start:end]
        others, counts = others[others != item], counts[others != item]
        alike = counts / (norms[item] * norms[others] + candidate.shrink)
        best = np.lexsort((others, -alike))[:k]
        places[item, : len(best)], numbers[item, : len(best)] = others[best], alike[best]
        places[item, k], numbers[item, k] = item, itself[item]
    return places, numbers
