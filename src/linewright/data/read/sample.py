"""Rows from all over a source, as many as can be looked at in memory."""

from typing import NamedTuple, cast

import polars as pl

from linewright.data.read.batches import size_of
from linewright.data.read.source import Source

MOST_BYTES = 1 << 28
"""How large the rows may be in memory; of 20 columns of numbers and short words these are half a million."""
_RUN = 1024


class Sample(NamedTuple):
    """All rows of a source, or runs of neighbours at equal distances where those are too many."""

    frame: pl.DataFrame
    of: int
    """How many rows the source has, but for those whose number of fields is not that of the header."""


def sample(source: Source, most: int = MOST_BYTES) -> Sample:
    r"""Read a source, and keep no more of its rows than may be in memory, in their order.

    Neighbours stay together, so that groups, repeats and what the rows are sorted by can still be seen.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from linewright.data.read.source import open_source
    >>> from linewright.data.spec import FileSource
    >>> file = Path(tempfile.mkdtemp(), "a.csv")
    >>> _ = file.write_text("x\n" + "".join(f"{i}\n" for i in range(10_000)))
    >>> source = open_source("a", FileSource(file=str(file)), Path())
    >>> sample(source).frame.height, sample(source, most=100_000).frame.height, sample(source, most=100_000).of
    (10000, 3072, 10000)
    """
    runs: list[pl.DataFrame] = []
    rows = size = 0
    every, number = 1, 0
    for batch in source.batches():
        rows += batch.frame.height
        for run in batch.frame.iter_slices(_RUN):
            if number % every == 0:
                runs.append(_copied(run))
                size += size_of(runs[-1])
            number += 1
            while size > most and len(runs) > 1:
                every, runs = 2 * every, runs[::2]
                size = sum(map(size_of, runs))
    frame = (
        pl.concat(runs, rechunk=True)
        if runs
        else pl.DataFrame(schema=dict.fromkeys(source.columns, pl.String))
    )
    return Sample(frame, rows)


def _copied(rows: pl.DataFrame) -> pl.DataFrame:
    # A slice would keep the whole batch in memory.
    return cast("pl.DataFrame", pl.from_arrow(rows.to_arrow(compat_level=pl.CompatLevel.oldest())))
