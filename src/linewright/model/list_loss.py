"""How wrong one list of items was, computed without numpy: `status` tells of canaries too."""

from collections.abc import Collection, Sequence
from math import log2

CUT = 10
"""Ranks that metrics of lists look at."""


def loss_of_list(listed: Sequence[str], taken: Collection[str]) -> float:
    """Return 1 less the normalised discounted cumulative gain of a list, in [0, 1].

    Examples
    --------
    >>> round(loss_of_list(["a", "b"], ["b", "c"]), 4)
    0.6131
    """
    right = set(taken)
    gain = sum(1 / log2(rank + 2) for rank, item in enumerate(listed[:CUT]) if item in right)
    best = sum(1 / log2(rank + 2) for rank in range(min(len(right), CUT)))
    return 1 - gain / best if right else 1.0
