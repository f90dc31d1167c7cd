"""Who took what, as a sparse matrix: what recommenders learn from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from linewright.text.lists import read_list

MOST_ITEMS = 50_000
"""Items that a model knows, those that most rows took; the others are never listed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Taken:
    """Which users took which items."""

    items: tuple[str, ...]
    """Ascending."""
    users: int
    matrix: sparse.csr_matrix
    """float32, shape (users, items): 1 if the user took the item."""

    @property
    def shares(self) -> NDArray[np.float32]:
        """The share of the users who took each item, shape (items,)."""
        return (np.asarray(self.matrix.sum(axis=0)).ravel() / max(self.users, 1)).astype(np.float32)


def taken_by(users: Sequence[object], lists: Sequence[Sequence[str | None]]) -> Taken:
    """Return what users took, in all their rows.

    Parameters
    ----------
    users
        One a row; a row of `None` is another user.
    lists
        Some columns of lists (`text.lists`), one cell a row; what a user had before was taken too.

    Examples
    --------
    >>> taken = taken_by(["u", "u", None], [['["ale"]', '["ale","bread"]', None], ['["bread"]', '["ale"]', '["ale"]']])
    >>> taken.items, taken.matrix.toarray().tolist(), taken.shares.tolist()
    (('ale', 'bread'), [[1.0, 1.0], [1.0, 0.0]], [1.0, 0.5])
    """
    of_user: dict[object, set[str]] = {}
    for row, user in enumerate(users):
        own = of_user.setdefault(("alone", row) if user is None else ("user", user), set())
        for column in lists:
            own.update(read_list(column[row] or "[]"))
    counts = Counter(item for taken in of_user.values() for item in taken)
    kept = sorted(counts, key=lambda item: (-counts[item], item))[:MOST_ITEMS]
    items = tuple(sorted(kept))
    place = {item: number for number, item in enumerate(items)}
    rows = [sorted(place[item] for item in taken if item in place) for taken in of_user.values()]
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    places = np.array([one for row in rows for one in row], dtype=np.int64)
    ones = np.ones(len(places), dtype=np.float32)
    matrix = sparse.csr_matrix((ones, places, starts), shape=(len(rows), len(items)))
    return Taken(items=items, users=len(rows), matrix=matrix)
