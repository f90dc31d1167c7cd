"""Numbers far outside of all others: a slip of the pen, or a number that means "no value"."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from linewright.data.profile.column import Seen
from linewright.data.spec import NUMBERS

Floats = npt.NDArray[np.float64]

REPEATED = 5
"""Rows from which on a far value is no slip, but may mean "no value"."""
_FAR = 3.0
_VERY_FAR = 30.0
_ENOUGH_ROWS = 300
_LONGEST_TAIL = 6.0
_LEAST_DIFFERENT = 4
_LEAST_ROWS = 20
_MOST_SHARE = 0.3


class Outliers(NamedTuple):
    """The values of a column that lie far outside of all others, and the range of those."""

    values: tuple[float, ...]
    rows: tuple[int, ...]
    """In how many rows each stands."""
    low: int | float
    high: int | float


def find_outliers(column: Seen) -> Outliers | None:
    """Return the one or two values at either end that lie far outside, where the others say that this is no honest tail.

    Far is more than three times the range of the others away from them; thirty times where these are fewer than 300 rows.
    Amounts and incomes have tails of their own: the range of the others must not reach more than six times as far from their
    median as nine tenths of their rows do.

    Examples
    --------
    >>> from linewright.data.profile.column import see
    >>> find_outliers(see(pl.Series("mark", [str(1 + i % 6) for i in range(300)] + ["-999", "99", "99"])))
    Outliers(values=(-999, 99), rows=(1, 2), low=1, high=6)
    >>> find_outliers(see(pl.Series("amount", [str((900 // (i + 1)) ** 2) for i in range(900)]))) is None
    True
    """
    if column.type not in NUMBERS or column.distinct <= _LEAST_DIFFERENT:
        return None
    counts = column.counts
    values, rows = counts["value"].cast(pl.Float64).to_numpy(), counts["rows"].to_numpy()
    cuts = [(low, high) for low in range(3) for high in range(3) if low + high]
    for low, high in sorted(cuts, key=sum, reverse=True):
        rest = slice(low, len(values) - high)
        if not _are_far(values, rows, rest):
            continue
        out = [*range(low), *range(len(values) - high, len(values))]
        found = counts["value"].gather(out).to_list(), [int(rows[place]) for place in out]
        return Outliers(
            tuple(found[0]),
            tuple(found[1]),
            counts["value"][low],
            counts["value"][len(values) - high - 1],
        )
    return None


def _are_far(values: Floats, rows: npt.NDArray[np.uint32], rest: slice) -> bool:
    inner, weight = values[rest], rows[rest]
    total = int(weight.sum())
    if len(inner) < _LEAST_DIFFERENT or total < _LEAST_ROWS or rows.sum() - total > _MOST_SHARE * rows.sum():
        return False
    far = (_FAR if total >= _ENOUGH_ROWS else _VERY_FAR) * (inner[-1] - inner[0])
    below, above = rest.start, len(values) - rest.stop
    is_far = (not below or inner[0] - values[below - 1] > far) and (
        not above or values[rest.stop] - inner[-1] > far
    )
    return bool(is_far) and not _has_tail(inner, weight, is_low=below > 0, is_high=above > 0)


def _has_tail(values: Floats, rows: npt.NDArray[np.uint32], *, is_low: bool, is_high: bool) -> bool:
    """Return whether a few of the rows reach far more from the median than most do, on the sides that are asked about."""
    share = np.cumsum(rows) / rows.sum()
    tenth, middle, most = values[np.searchsorted(share, [0.1, 0.5, 0.9])]
    return bool(
        (is_high and values[-1] - middle > _LONGEST_TAIL * (most - middle))
        or (is_low and middle - values[0] > _LONGEST_TAIL * (middle - tenth))
    )
