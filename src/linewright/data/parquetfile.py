"""Parquet files, some rows at a time."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet

from linewright.data.batch import BATCH, Batch
from linewright.errors import RequestError, SpecError

PARQUET = b"PAR1"
_MOST_ROWS = 1 << 18
_BUFFER = 1 << 20
_WORD = 8


@dataclass(frozen=True, kw_only=True)
class ParquetFile:
    """A Parquet file whose columns have names of their own."""

    path: Path
    where: str
    """Place in the line file, for messages."""
    schema: pa.Schema
    batch_rows: int

    @property
    def columns(self) -> tuple[str, ...]:
        """Names without the blanks around them."""
        return tuple(str(name).strip() for name in self.schema.names)

    def empty(self) -> pl.DataFrame:
        """Return the table without its rows."""
        return self._frame(self.schema.empty_table())

    def batches(self) -> Iterator[Batch]:
        """Give the rows in the types that the file says."""
        empty = True
        with _opened(self.path, self.where) as file:
            for rows in file.iter_batches(self.batch_rows, use_threads=False):
                empty = False
                yield Batch(frame=self._frame(pa.Table.from_batches([rows])))
        if empty:
            yield Batch(frame=self.empty())

    def starts(self) -> Iterator[tuple[int, int, bool]]:
        """Give nothing: the file has no lines."""
        return iter(())

    def _frame(self, table: pa.Table) -> pl.DataFrame:
        try:
            frame = cast("pl.DataFrame", pl.from_arrow(table))
        except pl.exceptions.PolarsError as error:
            raise SpecError(
                f"a column has a type that tables cannot hold: {error}", where=self.where
            ) from error
        frame.columns = list(self.columns)
        return frame


def open_parquet(path: Path, where: str, *, size: int = BATCH) -> ParquetFile:
    """Open a Parquet file by its schema; a batch is of about `size` bytes.

    Raises
    ------
    SpecError, RequestError
        If two columns have the same name, or it cannot be read.
    """
    with _opened(path, where) as file:
        schema, about = file.schema_arrow, file.metadata
    names = [str(name).strip() for name in schema.names]
    if len(set(names)) < len(names):
        raise SpecError("two columns have the same name", where=where, found=", ".join(names))
    # What the file says of its size is after its encodings, which may make next to nothing of a word in memory.
    packed = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
    width = max(_WORD * len(names), packed // max(about.num_rows, 1), 1)
    rows = min(_MOST_ROWS, max(1, size // width))
    return ParquetFile(path=path, where=where, schema=schema, batch_rows=rows)


@contextmanager
def _opened(path: Path, where: str) -> Generator[pyarrow.parquet.ParquetFile, None, None]:
    try:
        # Not `read_table`, for which a folder named "year=2020" on the way is a column.
        with pyarrow.parquet.ParquetFile(
            path, page_checksum_verification=True, buffer_size=_BUFFER, pre_buffer=False
        ) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise RequestError(
            f"the Parquet file cannot be read: {error}", where=where, found=path.name, hint="write it again"
        ) from error
