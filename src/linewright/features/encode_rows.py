"""The cells of a matrix from values that came one by one: what `features.encode` makes of a column, for a request of few rows.

`encode` says what an encoding means; where the values of a row stand alone, calling it for each column would be most of the
work. A law under test holds the two together, to the bit.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from linewright.features.encode import FIRST_CODE, LARGEST, MISSING_CODE, RARE_CODE
from linewright.features.facts import Boolean, Category, Encoding, Frequency, Number

Cell = Callable[[object], float]
"""From a number or text, or `None` where it is missing, to a cell that `to_matrix` takes."""


def cell_of(encoding: Encoding) -> Cell | None:
    """Return what makes a cell of a value; `None` for an encoding that goes by column (dates, durations, raw columns).

    A number beyond the range of float32 becomes the largest one.

    Examples
    --------
    >>> cell = cell_of(Category(column="make", levels=("Ford", "Fiat")))
    >>> cell("Fiat"), cell("Opel"), cell(None)
    (3.0, 0.0, 1.0)
    """
    match encoding:
        case Number() | Boolean():
            return _number
        case Category():
            codes = {level: float(i + FIRST_CODE) for i, level in enumerate(encoding.levels)}
            return _looked_up({None: float(MISSING_CODE), **codes}, float(RARE_CODE))
        case Frequency():
            shares = dict(zip(encoding.levels, encoding.shares, strict=True))
            return _looked_up({None: encoding.missing, **shares}, 0.0)
        case _:
            return None


def known_cells(encoding: Encoding) -> dict[str, float]:
    """Return the cell of each text that an encoding knows; empty where it reads no texts."""
    cell = cell_of(encoding)
    if cell is None or not isinstance(encoding, Category | Frequency):
        return {}
    return {level: cell(level) for level in encoding.levels}


def _number(value: object) -> float:
    return float("nan") if value is None else min(max(value, -LARGEST), LARGEST)  # type: ignore[type-var]


def _looked_up(cells: dict[str | None, float], other: float) -> Cell:
    def look_up(value: object) -> float:
        return cells.get(value, other)  # type: ignore[arg-type]

    return look_up


def to_matrix(cells: list[list[float]]) -> NDArray[np.float32]:
    """Return rows of cells as the matrix that a model reads, shape (n, width)."""
    return np.array(cells, dtype=np.float32)
