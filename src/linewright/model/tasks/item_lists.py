"""The form of what a recommender says of rows: a matrix whose columns are ranks, so that it is cut by rows like any other scores."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.model.list_loss import CUT

Floats = NDArray[np.float64]
MORE = 3
"""Columns behind those of the ranks."""
NOTHING, UNKNOWN = 0.0, -1.0
"""In a target: no more items; an item that the model does not know, which counts as missed."""


_GAINS = 1 / np.log2(np.arange(2, CUT + 2))
_IDEAL = np.concatenate([[1.0], np.cumsum(_GAINS)])


@dataclass(frozen=True, eq=False)
class ItemLists:
    """Ranked lists of n rows, read from scores of shape (n, 3 ranks + 3).

    Items are codes from 1; 0 behind the end of a list.
    """

    scores: NDArray[Any]

    @property
    def ranks(self) -> int:
        """How many ranks there are."""
        return (self.scores.shape[1] - MORE) // 3

    @property
    def items(self) -> NDArray[Any]:
        """Codes by rank, shape (n, ranks)."""
        return self.scores[:, : self.ranks]

    @property
    def values(self) -> NDArray[Any]:
        """What the items were ranked by, shape (n, ranks); 0 behind the end of a list."""
        return self.scores[:, self.ranks : 2 * self.ranks]

    @property
    def shares(self) -> NDArray[Any]:
        """The share of training users who took the item, shape (n, ranks)."""
        return self.scores[:, 2 * self.ranks : 3 * self.ranks]

    @property
    def used(self) -> NDArray[Any]:
        """How many items of the history were known and read, shape (n,); of none, items are ranked by popularity."""
        return self.scores[:, -3]

    @property
    def catalog(self) -> NDArray[Any]:
        """How many items the model knows, shape (n,): the same in each row."""
        return self.scores[:, -2]

    @property
    def shown(self) -> NDArray[Any]:
        """How many items an answer lists, shape (n,): the same in each row."""
        return self.scores[:, -1]


def hits(target: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which of the first `CUT` items of each list are right, shape (n, at most `CUT`).

    Examples
    --------
    >>> scores = np.array([[2, 5, 0, 0.9, 0.3, 0, 0.1, 0.1, 0, 1, 9, 3]])
    >>> hits(np.array([[5.0, -1.0]]), scores).tolist()
    [[False, True, False]]
    """
    items = ItemLists(scores).items[:, :CUT]
    found = np.zeros(items.shape, dtype=np.bool_)
    for rank in range(items.shape[1]):
        found[:, rank] = (items[:, rank, np.newaxis] == target).any(axis=1) & (items[:, rank] > NOTHING)
    return found


def ndcg_of_rows(target: NDArray[Any], scores: NDArray[Any]) -> Floats:
    """Return the normalised discounted cumulative gain of each list, in [0, 1].

    Examples
    --------
    >>> scores = np.array([[2, 5, 0, 0.9, 0.3, 0, 0.1, 0.1, 0, 1, 9, 3]])
    >>> ndcg_of_rows(np.array([[5.0]]), scores).round(4).tolist()
    [0.6309]
    """
    found = hits(target, scores)
    wanted = np.minimum((target != NOTHING).sum(axis=1), CUT)
    return (found * _GAINS[: found.shape[1]]).sum(axis=1) / _IDEAL[wanted]


def lists_of(answers: Sequence[Mapping[str, Any]], items: Sequence[str]) -> Floats:
    """Return answers as the scores that they were made of, as far as they say; shares are 0.

    Examples
    --------
    >>> lists_of([{"prediction": ["b"], "scores": [0.5], "history_used": 2}], ["a", "b"]).tolist()
    [[2.0, 0.5, 0.0, 2.0, 2.0, 1.0]]
    """
    code = {item: place for place, item in enumerate(items, start=1)}
    ranks = max((len(one["prediction"]) for one in answers), default=0) or 1
    scores = np.zeros((len(answers), 3 * ranks + MORE))
    for row, one in enumerate(answers):
        listed = [code.get(item, 0) for item in one["prediction"]]
        scores[row, : len(listed)] = listed
        scores[row, ranks : ranks + len(listed)] = one["scores"]
        scores[row, -3:] = one["history_used"], len(items), ranks
    return scores


def recoded(scores: Floats, items: Sequence[str], others: Sequence[str]) -> Floats:
    """Return lists with the codes that items have among others, which hold all of them.

    Examples
    --------
    >>> recoded(np.array([[1, 0.5, 0.1, 2, 1, 1]]), ["b"], ["a", "b"]).tolist()
    [[2.0, 0.5, 0.1, 2.0, 1.0, 1.0]]
    """
    code = {item: place for place, item in enumerate(others, start=1)}
    table = np.array([NOTHING, *(code[item] for item in items)])
    lists = ItemLists(scores)
    return np.hstack([table[lists.items.astype(np.int64)], scores[:, lists.ranks :]])


def with_only(scores: Floats, codes: Collection[int]) -> Floats:
    """Return lists without the items that have other codes; what stands behind one moves up.

    Examples
    --------
    >>> with_only(np.array([[2, 5, 0.9, 0.3, 0.1, 0.2, 1, 9, 2]]), {5}).tolist()
    [[5.0, 0.0, 0.3, 0.0, 0.2, 0.0, 1.0, 9.0, 2.0]]
    """
    return _kept(scores, np.isin(ItemLists(scores).items, [*codes]))


def with_at_most(scores: Floats, categories: Sequence[str], most: int) -> Floats:
    """Return lists with at most so many items of one category; what stands behind one that is left out moves up.

    Examples
    --------
    >>> lists = np.array([[1, 2, 3, 0.9, 0.5, 0.3, 0.1, 0.2, 0.1, 1, 9, 3]])
    >>> with_at_most(lists, ["red", "red", "blue"], 1)[:, :3].tolist()
    [[1.0, 3.0, 0.0]]
    """
    number = {name: place for place, name in enumerate(sorted({*categories} - {""}), start=1)}
    table = np.array([0, *(number.get(name, 0) for name in categories)])
    of = table[ItemLists(scores).items.astype(np.int64)]
    is_kept = np.ones(of.shape, dtype=bool)
    for rank in range(1, of.shape[1]):
        before = (of[:, :rank] == of[:, [rank]]).sum(axis=1)
        is_kept[:, rank] = (of[:, rank] == 0) | (before < most)
    return _kept(scores, is_kept)


def _kept(scores: Floats, is_kept: NDArray[np.bool_]) -> Floats:
    lists = ItemLists(scores)
    order = np.argsort(~is_kept, axis=1, kind="stable")
    parts = (
        np.take_along_axis(np.where(is_kept, part, 0.0), order, axis=1)
        for part in (lists.items, lists.values, lists.shares)
    )
    return np.hstack([*parts, scores[:, 3 * lists.ranks :]])
