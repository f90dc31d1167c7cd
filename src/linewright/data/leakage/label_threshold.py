"""Columns that part a label of numbers at a threshold: what is written only of winds above 64 knots was written once the wind was known."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from linewright.data.profile.column import percent

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_RIGHT = 0.995
"""Share of the rows of either side that lie on their side of the threshold. A share of all rows alone lets a fourth of a small side lie wrong."""
_LEAST_SHARE, _LEAST_ROWS = 0.02, 20
_LEAST_VALUES, _LEAST_OF_SIDE = 15, 5
"""Different labels in all, and on either side: where there are few, a class tells the label, and other findings say so."""
_FEW = 10
"""Values up to which a column has levels that are tried; of others the usual value is held against all others."""


def find_thresholds(label: pl.Series, values: Mapping[str, pl.Series]) -> dict[str, str]:
    """Return by column how it parts the label, where it does so almost without error.

    Parameters
    ----------
    label
        Numbers, n rows.
    values
        By column: its n values in their type.

    Examples
    --------
    >>> wind = pl.Series("wind", [float(at) for at in range(200)])
    >>> wide = pl.Series([max(0.0, at - 120.0) * (at % 7 + 1) for at in range(200)])
    >>> find_thresholds(wind, {"wide": wide, "day": pl.Series([at % 31 for at in range(200)])})
    {'wide': "it is above 0 in 79 of 200 rows, just where 'wind' is at least 121 (100 % of the rows agree)"}
    """
    if label.n_unique() < _LEAST_VALUES:
        return {}
    # Rows are put in the order of their labels once, so that each cut of each column is one sum.
    order = label.arg_sort()
    numbers = label.gather(order).cast(pl.Float64).to_numpy()
    found = {name: _best(label.name, numbers, column.gather(order)) for name, column in values.items()}
    return {name: says for name, says in found.items() if says}


def _best(name: str, label: Floats, column: pl.Series) -> str:
    best = (0.0, "")
    for says, side, known in _sides(column, label):
        told = _threshold(label[known], side[known])
        if told is None:
            continue
        share, threshold, is_above = told
        of = f"{known.sum():,} rows" + (" that have a value" if not known.all() else "")
        how = "is at least" if is_above else "is below"
        text = f"{says} in {(side & known).sum():,} of {of}, just where {name!r} {how} {threshold:g} ({percent(share)} of the rows agree)"
        best = max(best, (share, text), key=lambda one: one[0])
    return best[1]


def _sides(column: pl.Series, label: Floats) -> Iterator[tuple[str, Mask, Mask]]:
    """Give the ways to cut a column in two: in words, the rows on the one side, and the rows that are looked at."""
    known = column.is_not_null().to_numpy()
    if not known.any():
        return
    if not known.all():
        yield "it has a value", known, np.ones(len(known), dtype=np.bool_)
    kinds = column.n_unique() - (not known.all())
    if 2 <= kinds <= _FEW:
        yield from _levels(column, label, known)
    elif column.dtype.is_numeric():
        usual = column.drop_nulls().mode().sort().item(0)
        others = (column != usual).fill_null(value=False).to_numpy()
        way = "not"
        if column.min() == usual or column.max() == usual:
            way = "above" if column.min() == usual else "below"
        yield f"it is {way} {usual:g}", others, known


def _levels(column: pl.Series, label: Floats, known: Mask) -> Iterator[tuple[str, Mask, Mask]]:
    """Give the cuts between levels in the order of their labels; the levels above are named, or those below where they are fewer."""
    levels = column.drop_nulls().unique().sort()
    place = column.replace_strict(
        levels, pl.Series(range(len(levels))), default=len(levels), return_dtype=pl.Int64
    )
    codes = place.to_numpy()
    rows = np.bincount(codes, minlength=len(levels) + 1)[: len(levels)]
    means = np.bincount(codes, weights=label, minlength=len(levels) + 1)[: len(levels)] / rows
    ordered = np.argsort(means, kind="stable")
    for cut in range(1, len(ordered)):
        few = ordered[cut:] if len(ordered) - cut <= cut else ordered[:cut]
        is_one = np.zeros(len(levels) + 1, dtype=np.bool_)
        is_one[few] = True
        named = [levels[code] for code in few.tolist()]
        yield (
            f"it is {' or '.join(repr(one) if isinstance(one, str) else str(one) for one in named)}",
            is_one[codes],
            known,
        )


def _threshold(label: Floats, side: Mask) -> tuple[float, float, bool] | None:
    """Return the share of rows that a threshold of the label has on their side, it, and whether `side` lies above it; nothing where it parts them ill.

    The labels ascend.
    """
    few = min(int(side.sum()), int((~side).sum()))
    if few < max(_LEAST_ROWS, _LEAST_SHARE * len(side)):
        return None
    is_above = bool(label[side].mean() > label[~side].mean())
    up = side if is_above else ~side
    # Rows are parted before a label that is larger than the one before it.
    cuts = np.flatnonzero(np.diff(label)) + 1
    if not len(cuts):
        return None
    ups_below, many = np.cumsum(up)[cuts - 1], int(up.sum())
    right = (cuts - ups_below) + (many - ups_below)
    at = int(np.argmax(right))
    cut, wrong = int(cuts[at]), int(ups_below[at])
    downs = len(up) - many
    of_sides = (1 - wrong / many, 1 - (downs - (cut - wrong)) / downs)
    if min(of_sides) < _RIGHT or min(at + 1, len(cuts) - at) < _LEAST_OF_SIDE:
        return None
    return float(right[at]) / len(up), float(label[cut]), is_above
