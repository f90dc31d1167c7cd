"""Who took what, as a sparse matrix: what recommenders learn from."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from linewright.text.lists import read_list, read_spelled

_EXPECTED = 3.0
MOST_ITEMS = 50_000
"""Items that a model knows, those that most rows took; the others are never listed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Taken:
    """Which users took which items."""

    items: tuple[str, ...]
    """Ascending."""
    users: int
    matrix: sparse.csr_matrix
    """float32, shape (users, items): above 0 if the user took the item, the largest weight of these events."""
    lasts: NDArray[np.bool_]
    """Which items are hardly taken by who had them, shape (items,); none where rows do not tell."""

    @property
    def shares(self) -> NDArray[np.float32]:
        """The share of the users who took each item, shape (items,)."""
        counts = np.bincount(self.matrix.indices, minlength=len(self.items))
        return (counts / max(self.users, 1)).astype(np.float32)


def taken_by(
    users: Sequence[object],
    lists: Sequence[Sequence[str | None]],
    weights: Sequence[Sequence[str | None]] = (),
) -> Taken:
    """Return what users took, in all their rows.

    Examples
    --------
    >>> taken = taken_by(["u", "u", None], [['["ale"]', '["ale","bread"]', None], ['["bread"]', '["ale"]', '["ale"]']])
    >>> taken.items, taken.matrix.toarray().tolist(), taken.shares.tolist()
    (('ale', 'bread'), [[1.0, 1.0], [1.0, 0.0]], [1.0, 0.5])
    """
    of_user: dict[object, dict[str, float]] = {}
    for row, user in enumerate(users):
        own = of_user.setdefault(("alone", row) if user is None else ("user", user), {})
        for number, column in enumerate(lists):
            for item, weight in _weighted(column[row] or "[]", weights[number][row] if weights else None):
                if weight > own.get(item, 0.0):
                    own[item] = weight
    counts = Counter(item for taken in of_user.values() for item in taken)
    kept = sorted(counts, key=lambda item: (-counts[item], item))[:MOST_ITEMS]
    items = tuple(sorted(kept))
    place = {item: number for number, item in enumerate(items)}
    rows = [sorted(place[item] for item in taken if item in place) for taken in of_user.values()]
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    places = np.array([one for row in rows for one in row], dtype=np.int64)
    values = [taken[items[one]] for taken, row in zip(of_user.values(), rows, strict=True) for one in row]
    last = lasting(lists[0], lists[-1], place) if len(lists) > 1 else np.zeros(len(items), dtype=np.bool_)
    matrix = sparse.csr_matrix(
        (np.array(values, dtype=np.float32), places, starts), shape=(len(rows), len(items))
    )
    return Taken(items=items, users=len(rows), matrix=matrix, lasts=last)


def lasting(
    histories: Sequence[str | None], labels: Sequence[str | None], place: Mapping[str, int]
) -> NDArray[np.bool_]:
    """Return which items are taken by who had them less than half as often as by others, shape (items,).

    Notes
    -----
    Only items are counted that by the rate of the others were to be expected `_EXPECTED` times.
    """
    had, again, took = (np.zeros(len(place)) for _ in range(3))
    for history, label in zip(histories, labels, strict=True):
        before = {place[item] for item in read_list(history or "[]") if item in place}
        taken = {place[item] for item in read_list(label or "[]") if item in place}
        had[list(before)] += 1
        again[list(before & taken)] += 1
        took[list(taken)] += 1
    expected = had * (took - again) / np.maximum(len(labels) - had, 1)
    return (expected >= _EXPECTED) & (again < expected / 2)


def _weighted(items: str, weights: str | None) -> Iterator[tuple[str, float]]:
    if weights is None:
        yield from ((item, 1.0) for item in read_list(items))
        return
    for item, weight in zip(read_spelled(items), read_spelled(weights), strict=True):
        if text := item.strip():
            yield text, float(weight)
