"""How well one column alone tells the label, on rows that were not used to fit.

A number is cut into at most 64 cells, a category has a cell a value. The label's mean in a cell, learned from one half of the rows, predicts the
other half, and the other way round; so a column of random names does not look good, however many names it has.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from linewright.data.facts import TruthForm

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MOST_CELLS = 64
_ROWS_A_CELL = 20
_PRIOR_ROWS = 5.0


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The label of the rows that are looked at."""

    form: TruthForm
    codes: Ints
    """Class of each row, shape (n,); for two classes 1 is positive. Zeros for numbers."""
    ranks: Floats
    """Of numbers: rank of the label, scaled to [0, 1], shape (n,); ranks, so that a few huge values do not rule."""
    classes: tuple[str, ...]

    @property
    def rows(self) -> int:
        """How many rows are looked at."""
        return len(self.codes)

    @property
    def halves(self) -> npt.NDArray[np.bool_]:
        """Which rows belong to the first half; the same for every column."""
        return np.random.default_rng(0).permutation(self.rows) % 2 == 0


def cells(values: pl.Series) -> Ints:
    """Cut a column into cells: numbers and times by quantiles, other values one cell each.

    Examples
    --------
    >>> cells(pl.Series([5, None, 7, 5])).tolist()
    [1, 0, 2, 1]
    """
    if values.dtype.is_numeric() or values.dtype.is_temporal():
        return _quantile_cells(values)
    text = values.cast(pl.String)
    levels = text.drop_nulls().unique().sort()
    return text.cast(pl.Enum(levels)).to_physical().cast(pl.Int64).fill_null(-1).to_numpy() + 1


def _quantile_cells(values: pl.Series) -> Ints:
    number = values.cast(pl.Int64) if values.dtype.is_temporal() else values
    x = number.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    known = x[~np.isnan(x)]
    if not len(known):
        return np.zeros(len(x), dtype=np.int64)
    many = min(MOST_CELLS, max(2, len(known) // _ROWS_A_CELL))
    edges = np.unique(known)
    if len(edges) > many:
        edges = np.unique(np.quantile(known, np.linspace(0, 1, many + 1)[:-1]))
    found = np.searchsorted(edges, x, side="right").astype(np.int64)
    return np.where(np.isnan(x), 0, np.maximum(found, 1))


def strength(cell: Ints, truth: Truth) -> float:
    """Return how well the cells tell the label of rows that were not used to fit."""
    if truth.form == "two":
        return roc_auc(truth.codes, _predict(cell, truth.codes.astype(np.float64), truth.halves))
    if truth.form == "number":
        guess = _predict(cell, truth.ranks, truth.halves)
        spread = float(((truth.ranks - truth.ranks.mean()) ** 2).sum())
        return 1 - float(((truth.ranks - guess) ** 2).sum()) / spread if spread else 0.0
    return _entropy_taken(cell, truth)


def _predict(cell: Ints, target: Floats, first: npt.NDArray[np.bool_]) -> Floats:
    """Predict each half from the cell means of the other; the overall mean counts as a few rows of each cell."""
    guess = np.empty(len(target))
    size = int(cell.max(initial=0)) + 1
    for fitted in (first, ~first):
        mean = float(target[fitted].mean()) if fitted.any() else 0.0
        rows = np.bincount(cell[fitted], minlength=size)
        total = np.bincount(cell[fitted], weights=target[fitted], minlength=size)
        guess[~fitted] = ((total + _PRIOR_ROWS * mean) / (rows + _PRIOR_ROWS))[cell[~fitted]]
    return guess


def _entropy_taken(cell: Ints, truth: Truth) -> float:
    shares = np.bincount(truth.codes, minlength=len(truth.classes)) / truth.rows
    entropy = -float((shares[shares > 0] * np.log(shares[shares > 0])).sum())
    guess = np.empty(truth.rows)
    for code in range(len(truth.classes)):
        of_class = truth.codes == code
        guess[of_class] = _predict(cell, of_class.astype(np.float64), truth.halves)[of_class]
    loss = -float(np.log(np.clip(guess, 1e-9, None)).mean())
    return 1 - loss / entropy if entropy else 0.0


def class_strengths(cell: Ints, truth: Truth, *, least: int) -> dict[int, float]:
    """Return how well the cells tell each class from all others, on rows that were not used to fit.

    Examples
    --------
    >>> codes = np.arange(300) % 3
    >>> truth = Truth(form="classes", codes=codes, ranks=np.zeros(300), classes=("a", "b", "c"))
    >>> found = class_strengths((codes == 2).astype(np.int64), truth, least=20)
    >>> {code: round(area, 1) for code, area in found.items()}
    {0: 0.7, 1: 0.7, 2: 1.0}
    """
    many, size, rows = len(truth.classes), int(cell.max(initial=0)) + 1, truth.rows
    # Rows are counted by half, cell and class once; all else is arithmetic with these few counts.
    place = (truth.halves * size + cell) * many + truth.codes
    counts = np.bincount(place, minlength=2 * size * many).reshape(2, size, many)
    total = counts.sum(axis=2)
    of_class = counts.sum(axis=(0, 1))
    found: dict[int, float] = {}
    for code in np.flatnonzero((of_class >= least) & (rows - of_class >= least)).tolist():
        ones = counts[:, :, code]
        mean = (ones.sum(axis=1) / np.maximum(total.sum(axis=1), 1))[:, None]
        guess = (ones + _PRIOR_ROWS * mean) / (total + _PRIOR_ROWS)
        # What one half has learned answers the other.
        scores = guess[::-1].ravel()
        found[code] = _area(scores, ones.ravel(), (total - ones).ravel())
    return found


def roc_auc(positive: Ints, scores: Floats) -> float:
    """Return the area under the ROC curve: the chance that a positive row scores above a negative one.

    Examples
    --------
    >>> roc_auc(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4]))
    0.75
    """
    return _area(scores, positive, 1 - positive)


def _area(scores: Floats, positive: Ints, negative: Ints) -> float:
    """Return the area under the ROC curve of rows that are counted by their score."""
    _, place = np.unique(scores, return_inverse=True)
    ones = np.bincount(place, weights=positive)
    zeros = np.bincount(place, weights=negative)
    if not ones.sum() or not zeros.sum():
        return 0.5
    below = np.cumsum(zeros) - zeros
    return float((ones * (below + zeros / 2)).sum() / (ones.sum() * zeros.sum()))
