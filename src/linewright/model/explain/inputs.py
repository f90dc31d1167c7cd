"""What a model reads of a row, as people know it: its columns, each with the places of the matrix that it fills."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class Input:
    """One column that a model reads, for the rows that are looked at."""

    name: str
    places: tuple[int, ...]
    """Matrix columns that are made of it; for raw rows, the numbers of their fields."""
    kind: Literal["number", "time", "category"]
    values: Floats
    """Numbers, microseconds since 1970, or codes into `levels`; NaN where there is no value. Shape (n,)."""
    levels: tuple[str, ...] = ()
    """Categories, by code."""

    def at(self, rows: Rows) -> "Input":
        """Return what it says of some of the rows."""
        return Input(
            name=self.name, places=self.places, kind=self.kind, values=self.values[rows], levels=self.levels
        )


def swapped(x: NDArray[Any], rows: Rows, places: tuple[int, ...], donors: Rows) -> NDArray[Any]:
    """Return rows, each with some of its columns taken from another row.

    Examples
    --------
    >>> swapped(np.array([[1, 2], [3, 4]], dtype=np.float32), np.array([0]), (1,), np.array([1])).tolist()
    [[1.0, 4.0]]
    """
    changed = x[rows]
    for place in places:
        if x.dtype.names:
            changed[f"x{place}"] = x[f"x{place}"][donors]
        else:
            changed[:, place] = x[donors, place]
    return changed
