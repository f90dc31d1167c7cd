"""Which of very many rows are learned from: drawn before anything is learned, with weights that make up for the draw.

Past some size more rows cost memory and time and say next to nothing new. Rows of common classes are drawn by chance alone, at one
rate; rare classes are kept whole, for each of their rows says something [1]_. What is drawn by chance weighs one over its
rate [2]_, so that shares of classes, baseline, calibration, threshold and interval are those of all rows. Groups go whole. Rows of all
times are drawn at one rate: where older rows mislead, `model.train.recency` finds out by asking, and no season is lost unasked.

References
----------
.. [1] W. Fithian and T. Hastie, Local case-control sampling: efficient subsampling in imbalanced data sets, Annals of
   Statistics 42 (2014), 1693-1724.
.. [2] D. G. Horvitz and D. J. Thompson, A generalization of sampling without replacement from a finite universe, JASA 47
   (1952), 663-685.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

MOST_CELLS = 120_000_000
"""Cells of the largest matrix that is learned from. As float32 numbers that is 480 MB, of which a fit takes a few copies."""
FEWEST = 2_000
"""Rows that are learned from however wide they are."""
_RARE = 50_000
"""A class of so many rows or fewer is kept whole, as long as all such classes together take at most half of what is drawn."""
_WIDTHS = {"category": 2, "date": 4, "datetime": 10, "text": 5 + 32, "file": 5 + 1_416}
_WORDS, _CELLS_OF_WORDS = 256, 32_000_000


class Drawn(NamedTuple):
    """Rows that are learned from."""

    rows: npt.NDArray[np.int64]
    """Their positions, ascending, shape (m,)."""
    stands_for: npt.NDArray[np.float64]
    """How many rows each of them stands for, at least 1, shape (m,); their sum is the number of all rows."""


def most_rows(kinds: Iterable[str], n: int, *, most_cells: int = MOST_CELLS) -> int:
    """Return how many of `n` rows may be learned from: as many as make a matrix of `most_cells`, counted and not measured.

    Examples
    --------
    >>> most_rows(["number"] * 30, 4_000_000), most_rows(["number"] * 50, 4_000_000)
    (4000000, 2400000)
    """
    width = 0
    for kind in kinds:
        width += _WIDTHS.get(kind, 1)
        if kind == "text":
            width += min(_WORDS, _CELLS_OF_WORDS // max(n, 1))
    return min(n, max(FEWEST, most_cells // max(width, 1)))


def draw(
    target: npt.NDArray[Any],
    *,
    most: int,
    seed: int,
    is_class: bool,
    groups: npt.NDArray[Any] | None = None,
) -> Drawn:
    """Draw rows to learn from.

    Examples
    --------
    >>> codes = np.repeat([0, 1, 2], [50_000, 49_998, 2])
    >>> drawn = draw(codes, most=10_000, seed=7, is_class=True)
    >>> len(drawn.rows), int((codes[drawn.rows] == 2).sum()), round(drawn.stands_for.sum())
    (10000, 2, 100000)
    """
    n = len(target)
    if n <= most:
        return Drawn(np.arange(n), np.ones(n))
    unit = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(unit)
    surely = np.zeros(len(sizes), dtype=bool)
    if is_class:
        surely = _with_rare(target, unit, sizes, most)
    chance = np.random.default_rng(seed).permutation(np.flatnonzero(~surely))
    room = most - int(sizes[surely].sum())
    taken = chance[: max(1, int(np.searchsorted(np.cumsum(sizes[chance]), room, side="right")))]
    share = sizes[taken].sum() / sizes[chance].sum()
    factor = np.where(surely, 1.0, 0.0)
    factor[taken] = 1 / share
    rows = np.flatnonzero(factor[unit] > 0)
    return Drawn(rows, factor[unit[rows]])


def _with_rare(
    codes: npt.NDArray[Any], unit: npt.NDArray[Any], sizes: npt.NDArray[Any], most: int
) -> npt.NDArray[np.bool_]:
    """Return which units have a row of a rare class; a class is rare below a size at which such units fill half of the room."""
    _, place, counts = np.unique(codes, return_inverse=True, return_counts=True)
    bound = min(_RARE, most // (2 * len(counts)))
    while bound:
        surely = np.zeros(len(sizes), dtype=bool)
        surely[unit[counts[place] <= bound]] = True
        if sizes[surely].sum() <= most // 2:
            return surely
        bound //= 2
    return np.zeros(len(sizes), dtype=bool)
