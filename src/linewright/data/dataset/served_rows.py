"""Rows that came from the prediction log: which they are, when they were answered, how many of them can judge a model."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ENOUGH = 100
"""Rows of the rarer class in the test part of a retraining: a difference of 0.1 in a rate of one half is then seen at
95 % confidence in about two of three cases, and larger ones nearly always."""
ENOUGH_NUMBERS = 1_000
"""Rows in the test part of a retraining where there are not two classes."""
DECIDABLE = 20
"""Rows of the rarer class that were answered since a shift and judge a retraining whose rows no column puts in time: a truth
that has turned round is seen in so few."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Logged:
    """Which rows of a retraining came from the log."""

    identities: np.ndarray
    """As `identities` has them, shape (n,)."""
    at: np.ndarray
    """When they were answered, microseconds, shape (n,)."""
    since: str | None = None
    """When the shift began that the retraining answers, RFC 3339; `None` where there is none."""

    def moments_of(self, those: np.ndarray) -> np.ndarray:
        """Return when rows with these identities were last answered; the smallest int64 for those that never were.

        Examples
        --------
        >>> twice = Logged(identities=np.array([7, 9, 7], dtype=np.uint64), at=np.array([30, 20, 10]))
        >>> twice.moments_of(np.array([9, 7], dtype=np.uint64)).tolist()
        [20, 30]
        """
        result = np.full(len(those), np.iinfo(np.int64).min)
        order = np.lexsort((self.at, self.identities))
        known = self.identities[order]
        place = np.searchsorted(known, those, side="right") - 1
        is_known = np.isin(those, known)
        result[is_known] = self.at[order][place[is_known]]
        return result


def latest_with(codes: np.ndarray, wanted: int, *, is_class: bool) -> int | None:
    """Return how many rows the shortest latest part has that holds enough of them.

    Examples
    --------
    >>> latest_with(np.array([0, 0, 1, 0, 1, 0]), 2, is_class=True)
    5
    >>> latest_with(np.array([0, 0, 0]), 1, is_class=True) is None
    True
    """
    kinds = np.unique(codes)
    if is_class and len(kinds) < 2:
        return None
    seen = np.arange(1, len(codes) + 1)
    if is_class and len(kinds) == 2:
        seen = np.min([np.cumsum(codes == kind) for kind in kinds], axis=0)
    return int(np.searchsorted(seen, wanted)) + 1 if len(seen) and seen[-1] >= wanted else None


def can_judge(labels: Sequence[object], times: int = 1) -> bool:
    """Return whether rows with such labels, all from after a shift, can judge a model that learned what is new.

    Examples
    --------
    >>> can_judge(["yes"] * 20 + ["no"] * 19), can_judge(["yes"] * 20 + ["no"] * 20), can_judge(["a", "b", "c"] * 66)
    (False, True, False)
    """
    counts = Counter(labels)
    wanted = times * DECIDABLE
    return min(counts.values()) >= wanted if len(counts) == 2 else len(labels) >= 10 * wanted
