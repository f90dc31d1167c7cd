"""Tables whose columns lie in many pieces, as those of rows that are mapped from files."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pyarrow as pa


def in_one_piece(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Return parts as one table, each column one piece; a column of the parts goes as it is joined, and `parts` is emptied.

    What readers of Arrow have allocated and freed is given back to the system: of 10 M rows that was a third of the peak.
    """
    held = {name: [part.get_column(name) for part in parts] for name in parts[0].columns}
    parts.clear()
    joined = pl.DataFrame([pl.concat(held.pop(name), rechunk=True) for name in list(held)])
    pa.default_memory_pool().release_unused()
    return joined


def rows_at(
    frame: pl.DataFrame, places: np.ndarray, release: Callable[[], None] = lambda: None
) -> pl.DataFrame:
    """Return rows in any order. Of a table of many pieces polars would make a copy in one piece first.

    Examples
    --------
    >>> pieces = pl.concat([pl.DataFrame({"x": [number]}) for number in range(10)], rechunk=False)
    >>> rows_at(pieces, np.array([7, 0, 7]))["x"].to_list()
    [7, 0, 7]
    """
    if max(frame.n_chunks("all"), default=1) == 1:
        return frame[places]
    order = np.argsort(places, kind="stable")
    ascending = places[order]
    found: list[pl.DataFrame] = []
    start = 0
    for rows in frame.to_series(0).chunk_lengths():
        first, last = np.searchsorted(ascending, [start, start + rows])
        if last > first:
            found.append(frame.slice(start, rows)[ascending[first:last] - start])
        start += rows
        release()
    taken = pl.concat(found, rechunk=True) if found else frame.clear()
    if (order[1:] > order[:-1]).all():
        return taken
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return taken[back]
