"""Parquet files, some rows at a time.

What a file says of its size is after its encodings, which make next to nothing of equal values: three kilobytes can hold a
hundred thousand texts of a megabyte. So rows are counted by what they are in memory, measured as they are read, and never more
of them are read at once than memory holds if each has the longest text of the file. How long a list is nothing says before it
is decoded, so all values of lists are counted, as the pages have them, and their texts stay a dictionary until they are measured.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from linewright.data.read.batches import BATCH, Batch, sound
from linewright.data.read.file.parquet_pages import held_by
from linewright.data.read.limits import (
    FREE,
    most_held,
    swollen,
    too_large,
    too_many_columns,
    too_many_rows,
)
from linewright.data.spec import FileLimits
from linewright.errors import RequestError, SpecError

PARQUET = b"PAR1"
_MOST_ROWS = 1 << 18
_FIRST_ROWS = 1 << 10
"""Rows that are read to see how large rows are."""
_MOST_AT_ONCE = 1 << 27
"""Bytes that a batch may have if each of its texts is the longest of its column."""
_ANY_TEXT = 1 << 20
"""Bytes that a text is taken to have where nothing says how long it can be, so that 128 rows are read at a time."""
_BUFFER = 1 << 20
_WORD = 8
_WIDEST = 16  # bytes of a value that is no text
_LISTED = 32
"""Bytes that decoding a value of a list takes, with its levels."""


@dataclass(frozen=True, kw_only=True)
class ParquetFile:
    """A Parquet file whose columns have names of their own."""

    path: Path
    where: str
    """Place in the line file, for messages."""
    schema: pa.Schema
    size: int
    """How many bytes a batch is made of, about; no text may be longer."""
    limits: FileLimits
    rows: int
    """How many rows it says that it has."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names without the blanks around them."""
        return tuple(str(name).strip() for name in self.schema.names)

    def empty(self) -> pl.DataFrame:
        """Return the table without its rows."""
        return self._frame(self.schema.empty_table())

    def batches(self) -> Iterator[Batch]:
        """Give the rows in the types that the file says."""
        empty, unpacked = True, 0
        most = max(FREE, int(self.limits.ratio * self.path.stat().st_size))
        listed, kept = self._lists(most)
        with _opened(self.path, self.where, kept) as file:
            for rows in self._read(file, listed):
                empty = False
                unpacked += sum(map(_as_text, rows.columns))
                if unpacked > most:
                    raise swollen(self.where, self.path.name, self.limits.ratio)
                yield Batch(frame=self._frame(rows))
        if empty:
            yield Batch(frame=self.empty())

    def starts(self) -> Iterator[tuple[int, int, bool]]:
        """Give nothing: the file has no lines."""
        return iter(())

    def _lists(self, most: int) -> tuple[Sequence[int], Sequence[str]]:
        """Return how many bytes decoding the lists of each row group takes, and which texts of them stay a dictionary."""
        with _opened(self.path, self.where) as file, self.path.open("rb") as raw:
            leaves = [file.schema.column(number) for number in range(file.metadata.num_columns)]
            lists = [number for number, leaf in enumerate(leaves) if leaf.max_repetition_level]
            if not lists:
                return [0] * file.metadata.num_row_groups, ()
            try:
                held = held_by(raw, lists)
            except ValueError as error:
                raise _unreadable(self.where, self.path.name, error) from error
        kept, unpacked, listed = list[str](), 0, [0] * len(held)
        for place, number in enumerate(lists):
            leaf, chunks = leaves[number], [group[place] for group in held]
            is_kept = leaf.physical_type == "BYTE_ARRAY" and not any(chunk.is_delta for chunk in chunks)
            if is_kept:
                kept.append(leaf.path)
            for group, chunk in enumerate(chunks):
                text = chunk.text if leaf.physical_type == "BYTE_ARRAY" and not is_kept else 0
                unpacked += chunk.values * max(leaf.length, _WORD) + text
                listed[group] += chunk.values * max(leaf.length, _LISTED) + text
        if unpacked > most:
            raise swollen(self.where, self.path.name, self.limits.ratio)
        if max(listed) > most_held():
            raise too_large(self.where, most_held())
        return listed, kept

    def _read(self, file: pyarrow.parquet.ParquetFile, listed: Sequence[int]) -> Iterator[pa.Table]:
        measured = 0.0
        for groups, longest in self._spans(file, listed):
            about = [file.metadata.row_group(group) for group in groups]
            held = sum(one.num_rows for one in about)
            safe = max(1, _MOST_AT_ONCE // longest)
            if not measured:
                first = next(file.iter_batches(min(safe, _FIRST_ROWS), groups, use_threads=False), None)
                measured = first.nbytes / max(first.num_rows, 1) if first else 0.0
            said = sum(one.total_byte_size for one in about) // max(held, 1)
            width = max(_WORD * len(self.columns), said, int(measured), 1)
            wanted = min(_MOST_ROWS, max(1, self.size // width))
            some, count, size = list[pa.RecordBatch](), 0, 0
            for rows in file.iter_batches(min(wanted, safe), groups, use_threads=False):
                for part in self._without_dictionaries(rows) if any(listed) else (rows,):
                    some.append(part)
                    count, size = count + part.num_rows, size + part.nbytes
                    if count >= wanted or size >= self.size:
                        measured = size / max(count, 1)
                        yield pa.Table.from_batches(some)
                        some, count, size = [], 0, 0
            if some:
                yield pa.Table.from_batches(some)

    def _without_dictionaries(self, rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Give rows with the texts of their lists in place of a dictionary, in parts that memory holds."""
        found = sum(map(_text_within, rows.columns))
        if found <= _MOST_AT_ONCE:
            yield rows.cast(self.schema)
        elif rows.num_rows > 1:
            half = rows.num_rows // 2
            yield from self._without_dictionaries(rows.slice(0, half))
            yield from self._without_dictionaries(rows.slice(half))
        else:
            raise RequestError(
                f"the lists of a row have texts of {found:,} bytes",
                where=self.where,
                found=self.path.name,
                allowed=f"at most {_MOST_AT_ONCE:,} bytes",
                hint="shorten them, or write the file without their columns",
            )

    def _spans(
        self, file: pyarrow.parquet.ParquetFile, listed: Sequence[int]
    ) -> Iterator[tuple[list[int], int]]:
        """Give row groups that are read together, as they are small, and what the longest row can have."""
        columns = [file.schema.column(number) for number in range(file.metadata.num_columns)]
        paths = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
        widths = sum(max(column.length, _WIDEST) for column in columns)
        with pyarrow.parquet.ParquetFile(
            self.path,
            metadata=file.metadata,
            read_dictionary=paths,
            page_checksum_verification=True,
            buffer_size=_BUFFER,
            pre_buffer=False,
        ) as peeked:
            groups, longest, held = list[int](), 0, 0
            for group in range(file.metadata.num_row_groups):
                about = file.metadata.row_group(group)
                longest = max(longest, widths + self._longest(peeked, group, paths))
                groups.append(group)
                held += about.total_byte_size
                if held > self.size or listed[group]:  # a dictionary within a list is of one row group
                    yield groups, longest
                    groups, longest, held = [], 0, 0
            if groups:
                yield groups, longest

    def _longest(self, peeked: pyarrow.parquet.ParquetFile, group: int, paths: Sequence[str]) -> int:
        """Return how long the texts of a row can be: with the first row come the dictionaries of all."""
        if not paths:
            return 0
        try:
            first = next(peeked.iter_batches(1, [group], paths, use_threads=False), None)
        except (pa.ArrowException, OSError):
            # Not for DELTA_BYTE_ARRAY, where a text goes on from the one before it; and where the file is damaged, its reader says it.
            return _ANY_TEXT
        found = [_longest_of(column) for column in first.columns] if first else []
        if max(found, default=0) > self.size:
            raise RequestError(
                f"there is a text of {max(found):,} bytes",
                where=self.where,
                found=self.path.name,
                allowed=f"at most {self.size:,} bytes",
                hint="shorten it, or write the file without its column",
            )
        # Nothing is asked of the metadata of a column: pyarrow aborts the process where these are damaged.
        about = peeked.metadata.row_group(group)
        return sum(found) + about.total_byte_size // max(about.num_rows, 1)

    def _frame(self, table: pa.Table) -> pl.DataFrame:
        with sound(self.where, self.path.name):
            try:
                frame = cast("pl.DataFrame", pl.from_arrow(table))
            except pl.exceptions.PolarsError as error:
                raise SpecError(
                    f"a column has a type that tables cannot hold: {error}", where=self.where
                ) from error
        frame.columns = list(self.columns)
        return frame


def _as_text(column: pa.ChunkedArray) -> int:
    """Return how many bytes a column would have at least if it were written as text."""
    is_fixed = pa.types.is_primitive(column.type) or pa.types.is_null(column.type)
    return len(column) if is_fixed else column.nbytes


def _text_within(column: pa.Array) -> int:
    """Return how many bytes the texts of dictionaries within lists and structs have."""
    match column:
        case pa.DictionaryArray():
            lengths = pc.call_function("binary_length", [column.dictionary]).cast(pa.int64())
            return pc.call_function("sum", [lengths.take(column.indices)]).as_py() or 0
        case pa.ListArray() | pa.LargeListArray() | pa.FixedSizeListArray():
            return _text_within(column.flatten())
        case pa.StructArray():
            return sum(map(_text_within, column.flatten()))
        case _:
            return 0


def _longest_of(column: pa.Array) -> int:
    if isinstance(column, pa.DictionaryArray):
        lengths = pc.call_function("binary_length", [column.dictionary])
        return pc.call_function("max", [lengths]).as_py() or 0
    return column.nbytes


def open_parquet(
    path: Path, where: str, *, size: int = BATCH, limits: FileLimits | None = None
) -> ParquetFile:
    """Open a Parquet file by its schema; a batch is of about `size` bytes in memory."""
    limits = limits or FileLimits()
    with _opened(path, where) as file:
        schema, about = file.schema_arrow, file.metadata
        names = [str(name).strip() for name in schema.names]
    if about.num_columns > limits.columns:
        raise too_many_columns(where, path.name, limits.columns)
    if about.num_rows > limits.rows:
        raise too_many_rows(where, limits.rows)
    if len(set(names)) < len(names):
        raise SpecError("two columns have the same name", where=where, found=", ".join(names))
    return ParquetFile(path=path, where=where, schema=schema, size=size, limits=limits, rows=about.num_rows)


@contextmanager
def _opened(
    path: Path, where: str, dictionaries: Sequence[str] = ()
) -> Generator[pyarrow.parquet.ParquetFile, None, None]:
    try:
        # Not `read_table`, for which a folder named "year=2020" on the way is a column.
        with pyarrow.parquet.ParquetFile(
            path,
            read_dictionary=dictionaries,
            page_checksum_verification=True,
            buffer_size=_BUFFER,
            pre_buffer=False,
        ) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(where, path.name, error) from error


def _unreadable(where: str, name: str, error: Exception) -> RequestError:
    return RequestError(
        f"the Parquet file cannot be read: {error}", where=where, found=name, hint="write it again"
    )
