"""Where values stand in the files of a source, for people who want to see them."""

from collections.abc import Callable, Collection

import polars as pl

from linewright.data.read.source import Source

Where = Callable[[str, Collection[str]], str]
"""Says where a column has one of some texts first, e.g. ``lines 3, 17 and 88``; empty where that is not known."""

_SHOWN = 3


def nowhere(_column: str, _texts: Collection[str]) -> str:
    """Say nothing, where there is no source to look into."""
    return ""


def place_of(source: Source, column: str, texts: Collection[str]) -> str:
    r"""Say where a column has one of these texts, at most three times; the files are read once more for it.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from linewright.data.read.source import open_source
    >>> from linewright.data.spec import FileSource
    >>> file = Path(tempfile.mkdtemp(), "a.csv")
    >>> _ = file.write_text("x\n1\noops\n3\noops\n")
    >>> place_of(open_source("a", FileSource(file=str(file)), Path()), "x", ["oops"])
    'lines 3 and 5'
    """
    rows = _rows(source, column, list(texts))
    lines, files = source.lines(rows), source.files(rows)
    if None in lines:
        return _listed("row", [f"{row + 1:,}" for row in rows])
    return _listed(
        "line", [f"{line:,}{f' of {file}' if file else ''}" for line, file in zip(lines, files, strict=True)]
    )


def _rows(source: Source, column: str, texts: list[str]) -> list[int]:
    rows: list[int] = []
    start = 0
    for batch in source.batches():
        is_one = batch.frame[column].cast(pl.String, strict=False).is_in(texts).fill_null(value=False)
        rows += (start + is_one.arg_true()).to_list()
        start += batch.frame.height
        if len(rows) >= _SHOWN:
            break
    return rows[:_SHOWN]


def _listed(noun: str, places: list[str]) -> str:
    if len(places) < 2:
        return f"{noun} {places[0]}" if places else ""
    return f"{noun}s {', '.join(places[:-1])} and {places[-1]}"
