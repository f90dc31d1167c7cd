"""Copies: test rows whose features and label are those of a training row, under another key or at another time.

A model that is asked about a copy is asked about what it was told. Where rows seldom repeat, equal rows are one thing that
happened once, so a copy is left out of the test part. Where few categories make a table, rows repeat by nature and differ
in what happened: there nothing is left out, for the test part would be of rare rows only.
"""

import numpy as np
import polars as pl

from linewright.data.dataset.row_id import content_text, hash_in_parts
from linewright.data.spec import DataSpec

SELDOM = 0.05
"""Share of the training rows that equal another one, below which a table counts as one whose rows do not repeat."""


def contents_of(frame: pl.DataFrame, data: DataSpec) -> np.ndarray:
    """Return a number for what each row says: its features and its label, but neither its key nor its times."""
    table, label = data.table, data.label
    parts = {table.key, table.time, table.known, table.group, table.subject, table.weight, label.known}
    features = sorted(set(frame.columns) - {*parts, label.column, *(label.columns or ()), *table.exclude})
    return hash_in_parts(frame, lambda part: content_text(part, [*features, label.column]), salt="")


def repeat_seldom(contents: np.ndarray) -> bool:
    """Return whether fewer than `SELDOM` of the rows equal another one.

    Examples
    --------
    >>> repeat_seldom(np.arange(100)), repeat_seldom(np.arange(100) // 2)
    (True, False)
    """
    return len(contents) > 0 and share_repeating(contents) < SELDOM


def share_repeating(contents: np.ndarray) -> float:
    """Return which share of the rows equals another one.

    Examples
    --------
    >>> share_repeating(np.array([7, 8, 7, 9]))
    0.5
    """
    _, place, counts = np.unique(contents, return_inverse=True, return_counts=True)
    return float((counts[place] > 1).mean())


def come_again(contents: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return which rows say what a row of an earlier time says.

    Examples
    --------
    >>> come_again(np.array([7, 8, 7, 8]), np.array([1, 3, 2, 3])).tolist()
    [False, False, True, False]
    >>> come_again(np.array([7, 8, 7]), np.array([1.25, 1.5, 1.75])).tolist()
    [False, False, True]
    """
    _, one, place = np.unique(contents, return_index=True, return_inverse=True)
    first = at[one]  # of the kind of `at`: times may be numbers with decimals
    np.minimum.at(first, place, at)
    return at > first[place]
