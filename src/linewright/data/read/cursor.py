"""The rows of a source that came since it was read before."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from linewright.data.read.batches import BATCH
from linewright.data.read.reader import Cursor, reader_of
from linewright.data.spec import SourceSpec
from linewright.errors import RequestError
from linewright.text.suggest import listed, nearest


def rows_since(
    name: str, spec: SourceSpec, root: Path, cursor: Cursor, *, size: int = BATCH
) -> Iterator[pl.DataFrame]:
    r"""Give the rows of a source at or after a cursor, in batches of about `size` bytes, in the source's order.

    Rows **at** the cursor are given again: another writer may have added one with the same value since. Who reads knows them
    by their key. What is wrong with a row is not said here; ragged rows of a CSV file are left out.

    Examples
    --------
    >>> import tempfile
    >>> from linewright.data.spec import FileSource
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.csv").write_text("id,at\n8,2024-05-01\n9,2024-05-02\n10,2024-05-02\n")
    >>> source = "a", FileSource(file="a.csv"), folder
    >>> [rows["id"].to_list() for rows in rows_since(*source, Cursor(column="at", value="2024-05-02"))]
    [['9', '10']]
    >>> [rows["id"].to_list() for rows in rows_since(*source, Cursor(column="id", value=9))]
    [['9', '10']]
    """
    source = reader_of(spec).open(name, spec, root, size=size, since=cursor)
    if cursor.column not in source.columns:
        close = nearest(cursor.column, source.columns)
        raise RequestError(
            "the source has no such column",
            where=f"sources.{name}",
            found=cursor.column,
            allowed=listed(source.columns),
            hint=f"did you mean {close!r}?" if close else "",
        )
    for batch in source.batches():
        values = _comparable(batch.frame[cursor.column], cursor, f"sources.{name}")
        rows = batch.frame.filter(values >= cursor.value)
        if rows.height:
            yield rows


def _comparable(values: pl.Series, cursor: Cursor, where: str) -> pl.Series:
    """Return the values in the cursor's kind."""
    compared = values.dt.to_string("iso") if values.dtype.is_temporal() else values
    if compared.dtype == pl.String:
        kind = {int: pl.Int64, float: pl.Float64, str: pl.String}[type(cursor.value)]
        compared = compared.cast(kind, strict=False)
    elif isinstance(cursor.value, str):
        compared = pl.Series([None] * len(values), dtype=pl.String)
    if compared.null_count():
        raise RequestError(
            "a row has no value that the cursor can be compared with, and would never be read",
            where=f"{where}, column {cursor.column}",
            found=repr(values.filter(compared.is_null())[0]),
            allowed="text" if isinstance(cursor.value, str) else "numbers",
            hint="read by a column that has such a value in each row",
        )
    return compared
