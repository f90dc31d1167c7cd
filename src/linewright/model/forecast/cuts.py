"""From rows of recent values to whole series again, and from these to cuts: what was known at one time, and what came."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class SeriesRows:
    """Rows of a table of series: what was known at a step, and what came."""

    series: NDArray[np.int64]
    """Number of the series of each row, shape (n,)."""
    at: NDArray[np.int64]
    """Number of the step of the newest value, shape (n,)."""
    values: Floats
    """Shape (n, length), the newest last, NaN before the first."""
    target: Floats
    """Shape (n, horizon), NaN for a value that is missing."""
    known: Floats
    """Shape (n, columns known ahead, horizon)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Whole:
    """One series, as far as rows tell of it."""

    values: Floats
    known: Floats
    """Shape (columns known ahead, steps)."""
    start: int = 0
    """Number of the step of the first value."""


def whole_series(rows: SeriesRows) -> list[Whole]:
    """Return each series once, in the order of their numbers."""
    length, horizon = rows.values.shape[1], rows.target.shape[1]
    order = np.lexsort((rows.at, rows.series))
    found: list[Whole] = []
    starts = np.flatnonzero(np.diff(rows.series[order], prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        mine = order[start:end]
        base = int(rows.at[mine[0]]) - length + 1
        size = int(rows.at[mine[-1]]) + horizon - base + 1
        values = np.full(size, np.nan)
        known = np.full((rows.known.shape[1], size), np.nan)
        for row in mine:
            place = int(rows.at[row]) - base + 1
            values[place - length : place] = rows.values[row]
            values[place : place + horizon] = rows.target[row]
            known[:, place : place + horizon] = rows.known[row]
        there = np.flatnonzero(~np.isnan(values))
        part = slice(int(there[0]), int(there[-1]) + 1) if len(there) else slice(0, 0)
        found.append(Whole(values=values[part], known=known[:, part], start=base + part.start))
    return found


def cuts_of(
    wholes: Sequence[Whole], chosen: Sequence[NDArray[np.int64]], *, length: int, horizon: int
) -> SeriesRows:
    """Return rows at some cuts of each series: a cut of ``k`` knows the first ``k`` values."""
    series = np.repeat(np.arange(len(wholes)), [len(one) for one in chosen])
    n = len(series)
    values, target = np.full((n, length), np.nan), np.full((n, horizon), np.nan)
    columns = wholes[0].known.shape[0] if wholes else 0
    known = np.full((n, columns, horizon), np.nan)
    row = 0
    for one, cuts in zip(wholes, chosen, strict=True):
        for cut in cuts.tolist():
            recent = one.values[max(0, cut - length) : cut]
            values[row, length - len(recent) :] = recent
            came = one.values[cut : cut + horizon]
            target[row, : len(came)] = came
            if columns:
                ahead = one.known[:, cut : cut + horizon]
                known[row, :, : ahead.shape[1]] = ahead
            row += 1
    at = np.concatenate([*chosen, np.empty(0)]).astype(np.int64)
    return SeriesRows(series=series, at=at, values=values, target=target, known=known)
