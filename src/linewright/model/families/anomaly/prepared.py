"""Encoded rows as numbers that distances can be measured between: scaled, without gaps, a number for each level."""

import msgspec
import numpy as np

from linewright.model.tasks.links import Floats, Matrix

FAR = 20.0
"""Numbers so many scales from the middle count as that far."""
LEVEL = 0.5**0.5
"""What a level counts: two different ones are 1 apart."""
MOST_LEVELS = 32
"""Codes of a column that get a number each; of columns with more only those that say rare and missing."""
_NORMAL = 1.349
"""Quartiles of a normal distribution are so many standard deviations apart."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """How encoded rows become numbers, learned from good rows."""

    numbers: tuple[int, ...]
    """Columns of the matrix that hold numbers: each becomes two, how far it is from the middle, and whether it is missing."""
    centre: tuple[float, ...]
    factor: tuple[float, ...]
    levels: tuple[tuple[int, int], ...]
    """Column and code of each number that stands for a level."""

    @property
    def width(self) -> int:
        """How many numbers a row becomes."""
        return 2 * len(self.numbers) + len(self.levels)

    def apply(self, x: Matrix) -> Matrix:
        """Return the numbers of rows, float32, shape (n, width)."""
        rows = x[:, list(self.numbers)].astype(np.float64)
        absent = np.isnan(rows)
        scaled = np.clip((rows - np.array(self.centre)) * np.array(self.factor), -FAR, FAR)
        codes = x[:, [column for column, _ in self.levels]]
        same = codes == np.array([code for _, code in self.levels], dtype=np.float32)
        return np.concatenate([np.where(absent, 0.0, scaled), absent, same * LEVEL], axis=1).astype(
            np.float32
        )


def prepare(x: Matrix, categorical: tuple[int, ...]) -> Prepared:
    """Learn how rows become numbers.

    Examples
    --------
    >>> made = prepare(np.array([[1, 2], [3, 2], [5, 3]], dtype=np.float32), (1,))
    >>> made.apply(np.array([[3, 2], [np.nan, 0]], dtype=np.float32)).astype(float).round(2).tolist()
    [[0.0, 0.0, 0.0, 0.0, 0.71, 0.0], [0.0, 1.0, 0.71, 0.0, 0.0, 0.0]]
    """
    numbers = [column for column in range(x.shape[1]) if column not in categorical]
    middles = [_middle(x[:, column]) for column in numbers]
    levels: list[tuple[int, int]] = []
    for column in categorical:
        most = int(x[:, column].max())
        levels += [(column, code) for code in range(most + 1 if most < MOST_LEVELS else 2)]
    return Prepared(
        numbers=tuple(numbers),
        centre=tuple(centre for centre, _ in middles),
        factor=tuple(factor for _, factor in middles),
        levels=tuple(levels),
    )


def typical_row(x: Matrix, categorical: tuple[int, ...]) -> tuple[float, ...]:
    """Return the median of each column of numbers, and the code that occurs most of the others; NaN is said as missing.

    Examples
    --------
    >>> typical_row(np.array([[1, 2], [3, 2], [5, 3]], dtype=np.float32), (1,))
    (3.0, 2.0)
    """
    return tuple(
        float(np.bincount(x[:, column].astype(np.int64)).argmax())
        if column in categorical
        else _middle(x[:, column])[0]
        for column in range(x.shape[1])
    )


def _middle(column: Floats | Matrix) -> tuple[float, float]:
    """Return the median of the numbers that there are, and 1 over how far they spread."""
    known = column[~np.isnan(column)].astype(np.float64)
    if not len(known):
        return 0.0, 1.0
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75], method="inverted_cdf")
    spread = float(high - low) / _NORMAL or float(known.std())
    return float(middle), 1 / spread if spread > np.finfo(np.float32).tiny else 1.0
