"""CSV files: every field as text, and the line of the file that each row came from."""

import codecs
import csv
import io
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast
from weakref import finalize

import polars as pl
import pyarrow as pa
import pyarrow.csv

from linewright.data.read.batches import BATCH, Batch, Ragged
from linewright.data.read.file.compression import open_unpacked
from linewright.data.read.file.encoding import (
    explained,
    known_encoding,
    not_in_encoding,
    open_text,
    size_in_words,
    text_head,
    undecodable_line,
)
from linewright.data.read.limits import FREE, too_many_columns, too_many_rows
from linewright.data.spec import FileSource
from linewright.errors import RequestError, SpecError

_BLOCK = 1 << 20
_MOST_RAGGED = 500_000
"""Rows with another number of fields than the header, from which on the file is no table: they are all kept."""
_PATIENCE = 10.0
"""Seconds that one thread waits for another: then a block is read all the same, rather more memory than a standstill."""
_NO_MARK = bytes(set(range(256)) - set(b'"\r\n'))
"""All bytes but those that say, with the separator, where records start and end."""


@dataclass(frozen=True, kw_only=True)
class CsvFile:
    """A CSV file that is text and whose header names each column once."""

    path: Path
    spec: FileSource
    where: str
    """Place in the line file, for messages."""
    first: tuple[str, ...]
    """Fields of the first line: the header as it stands in the file, where there is one."""
    columns: tuple[str, ...]
    """Names of the columns, in order."""
    size: int
    """How many bytes a batch is made of, about."""

    def batches(self) -> Iterator[Batch]:
        """Give the rows with every field as text; nothing is guessed.

        Quoted fields may hold separators and line ends, lines end as they like (LF, CRLF, CR), and blank lines are
        skipped.
        """
        aside = _SetAside()
        with _explained(self.path, self.spec, self.where, self.size):
            try:
                yield from self._parsed(aside)
            except pa.ArrowInvalid as error:
                if aside.is_too_much:
                    raise self._no_table() from error
                raise

    def starts(self) -> Iterator[tuple[int, int, bool]]:
        """Give where rows start, see `batch.Part`."""
        header = int(self.spec.header)
        for line, records, fields in self._records():
            skipped = min(header, records)
            header -= skipped
            yield line + skipped, records - skipped, fields != len(self.first)

    def _records(self) -> Iterator[tuple[int, int, int]]:
        """Give a line, how many records start on it and on the lines after it, and the fields of each; none is blank."""
        separator, number = self.spec.separator, 1
        with open_text(self.path, self.spec) as text:
            while block := text.read(_BLOCK) + text.readline(self.size):
                if records := self._plain(block):
                    yield number, records, len(self.first)
                    number += records
                    continue
                lines = io.StringIO(block, newline="")
                for line in lines:
                    if '"' in line:
                        rest = _Lines(text, self.size)
                        reader = csv.reader(chain([line], lines, rest), delimiter=separator)
                        yield number, 1, len(next(reader))
                        number += reader.line_num
                    else:
                        if line.rstrip("\r\n"):
                            yield number, 1, line.count(separator) + 1
                        number += 1

    def _plain(self, block: str) -> int:
        """Return how many lines there are, where each is one record of as many fields as the header has; else 0."""
        separators = self.spec.separator.encode() * (len(self.first) - 1)
        marks = block.encode().translate(None, delete=_NO_MARK.replace(self.spec.separator.encode(), b""))
        lines = marks.count(b"\n")
        # A last line without an end and without a separator leaves no mark.
        is_plain = block.endswith("\n") and marks in {(separators + end) * lines for end in (b"\n", b"\r\n")}
        return lines if separators and is_plain else 0

    def _no_table(self) -> RequestError:
        return RequestError(
            "there are too many rows with another number of fields than the header",
            where=self.where,
            found=self.path.name,
            allowed=f"{_MOST_RAGGED:,} rows, {FREE >> 20} MiB of them",
            hint="is it another separator?",
        )

    def _parsed(self, aside: "_SetAside") -> Iterator[Batch]:
        limits, count = self.spec.limits, 0
        last: tuple[str, ...] | None = None
        with (
            open_unpacked(self.path, limits.ratio) as file,
            closing(_Paced(file, known_encoding(self.spec, self.where))) as paced,
            closing(self._arrow_batches(paced, aside)) as batches,
        ):
            for rows in batches:
                paced.take()
                frame = cast("pl.DataFrame", pl.from_arrow(pa.Table.from_batches([rows])))
                ragged = aside.due(frame.height)
                count += frame.height + len(ragged)
                if count > limits.rows + self.spec.header:
                    raise too_many_rows(self.where, limits.rows)
                if not frame.height and not ragged:
                    continue
                yield Batch(frame=self._named(frame, is_first=last is None), ragged=ragged)
                last = frame.row(-1) if frame.height else last
        if last is None:
            raise self._unreadable_header()
        rest = aside.due(None)
        if rest and rest[-1].fields < rest[-1].expected and paced.last not in b"\r\n":
            rest = (*rest[:-1], replace(rest[-1], is_cut=True))
        # A quote that is never closed swallows the rest of the file into the last row.
        if any(end in text for text in (*last, *(row.text for row in rest[-1:])) for end in "\r\n"):
            self._refuse_open_quote()
        if rest:
            empty = pl.DataFrame(schema=dict.fromkeys(self.columns, pl.String))
            yield Batch(frame=empty, ragged=rest)

    def _refuse_open_quote(self) -> None:
        line = _open_quote(self.path, self.spec, self.size)
        if line is not None:
            raise RequestError(
                "a quote opens in this row and is never closed",
                where=f"{self.where}: {self.path.name}, line {line}",
                hint='close it, or write "" for a quote within quotes',
            )

    def _arrow_batches(self, file: "_Paced", aside: "_SetAside") -> Generator[pa.RecordBatch]:
        """Give what Arrow reads; at the end, its threads hold nothing of Python's: one that lets go of it as Python ends aborts the process."""
        # The header is read as a row like any other: names are ours, so that all columns can be declared as text.
        names = [f"c{i}" for i in range(len(self.first))]
        handler, released = partial(aside), threading.Event()
        finalize(handler, released.set).atexit = False
        try:
            with (
                pyarrow.csv.open_csv(
                    file,
                    read_options=pyarrow.csv.ReadOptions(
                        use_threads=False, column_names=names, block_size=self.size
                    ),
                    parse_options=pyarrow.csv.ParseOptions(
                        delimiter=self.spec.separator, newlines_in_values=True, invalid_row_handler=handler
                    ),
                    convert_options=pyarrow.csv.ConvertOptions(
                        column_types={name: pa.large_string() for name in names}, strings_can_be_null=False
                    ),
                ) as reader,
                closing(file),  # before the reader, which waits for its last read
            ):
                yield from reader
        finally:
            handler = reader = None
            released.wait(_PATIENCE)

    def _named(self, frame: pl.DataFrame, *, is_first: bool) -> pl.DataFrame:
        if is_first and (not frame.height or frame.row(0) != self.first):
            raise self._unreadable_header()
        named = frame.slice(1) if is_first and self.spec.header else frame.clone()
        named.columns = list(self.columns)
        return named

    def _unreadable_header(self) -> RequestError:
        return RequestError("the header cannot be read", where=self.where, found=",".join(self.first)[:200])


class _Paced:
    """A file for Arrow, which would read 32 blocks ahead of what is taken from it: UTF-8, and a few blocks ahead.

    One read is one block, of which Arrow makes one batch.
    """

    _AHEAD = 3

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._decoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)()
        self._rest = b""
        self._ahead = 0
        self._is_read = False
        self._turn = threading.Condition()
        self.closed = False
        self.last = b""
        """The last byte that was read."""

    def read(self, size: int) -> bytes:
        """Return so many bytes of UTF-8, fewer at the end of the file."""
        with self._turn:
            self._turn.wait_for(lambda: self.closed or self._ahead < self._AHEAD, timeout=_PATIENCE)
            self._ahead += 1
            if self.closed:
                return b""
            self._is_read = True
        try:
            return self._block(size)
        finally:
            with self._turn:
                self._is_read = False
                self._turn.notify_all()

    def _block(self, size: int) -> bytes:
        parts, missing = [self._rest], size - len(self._rest)
        while missing > 0 and (more := self._more(missing)):
            parts.append(more)
            missing -= len(more)
        whole = b"".join(parts)
        # Arrow drops a line feed that begins a block after a carriage return, even one inside quotes.
        end = size - 1 if whole[size - 1 : size] == b"\r" else size
        self._rest = whole[end:]
        self.last = whole[-1:] or self.last
        return whole[:end]

    def _more(self, size: int) -> bytes:
        while block := self._file.read(size):
            if self._decoder is None:
                return block
            if text := self._decoder.decode(block):
                return text.encode()
        return b"" if self._decoder is None else self._decoder.decode(b"", final=True).encode()

    def take(self) -> None:
        """Say that a batch was taken, so that one more block may be read."""
        with self._turn:
            self._ahead -= 1
            self._turn.notify()

    def close(self) -> None:
        """Let a read that waits return, and wait for one that is at work: its thread is Arrow's, and must not outlive the interpreter."""
        with self._turn:
            self.closed = True
            self._turn.notify_all()
            self._turn.wait_for(lambda: not self._is_read, timeout=_PATIENCE)


class _SetAside:
    """Takes the rows that Arrow refuses, and gives them back with the batch that they stand in.

    Arrow reads ahead; so each is known by how many good rows stand before it, and batches are the same every time.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Ragged]] = deque()
        self._refused = 0
        self._good = 0
        self._letters = 0

    @property
    def is_too_much(self) -> bool:
        """Whether there are so many that the file is no table."""
        return self._refused > _MOST_RAGGED or self._letters > FREE

    def __call__(self, row: Any) -> str:
        if self.is_too_much:
            return "error"
        self._letters += len(row.text)
        ragged = Ragged(fields=row.actual_columns, expected=row.expected_columns, text=row.text)
        self._waiting.append((row.number - 1 - self._refused, ragged))
        self._refused += 1
        return "skip"

    def due(self, good: int | None) -> tuple[Ragged, ...]:
        """Return those that stand before the last of so many more good rows; all of them after the end."""
        self._good += good or 0
        due: list[Ragged] = []
        while self._waiting and (good is None or self._waiting[0][0] < self._good):
            due.append(self._waiting.popleft()[1])
        return tuple(due)


def open_csv(path: Path, spec: FileSource, where: str, *, size: int = BATCH) -> CsvFile:
    """Open a CSV file by its header, or by the names that the source says."""
    encoding = known_encoding(spec, where)
    _refuse_bad_separator(spec, where)
    with _explained(path, spec, where, size):
        text_head(path, spec, where)
        first = _first_record(path, spec, size)
    if first is None:
        raise RequestError("the file has no header", where=where, found=path.name, hint=f"read as {encoding}")
    if len(first) > spec.limits.columns:
        raise too_many_columns(where, path.name, spec.limits.columns)
    names = tuple(name.strip() for name in spec.names or first)
    if spec.names and len(names) != len(first):
        raise _wrong_count(names, first, spec, path, where)
    if not spec.header and not spec.names:
        raise SpecError(
            "a file without a header needs names",
            where=f"{where}.names",
            hint=names_hint(first, "header: false"),
        )
    _refuse_bad_names(names, spec, where)
    return CsvFile(path=path, spec=spec, where=where, first=tuple(first), columns=names, size=size)


def names_hint(fields: Sequence[str], also: str = "") -> str:
    """Return how names are written for a file of so many columns."""
    names = [f"c{number}" for number in range(1, len(fields) + 1)]
    return "write " + (f"{also}, " if also else "") + f"names: [{', '.join(names)}], with names of your own"


def _wrong_count(
    names: Sequence[str], first: Sequence[str], spec: FileSource, path: Path, where: str
) -> SpecError:
    line = "header" if spec.header else "first line"
    return SpecError(
        f"there are {len(names)} names, and the {line} of {path.name} has {len(first)} fields",
        where=f"{where}.names",
        found=", ".join(names)[:200],
        allowed=",".join(first)[:200],
        hint="name each column, in order; or is it another separator?",
    )


@contextmanager
def _explained(path: Path, spec: FileSource, where: str, size: int) -> Generator[None, None, None]:
    try:
        with explained(path, spec, where):
            yield
    except (pa.ArrowInvalid, csv.Error) as error:
        is_long = "straddl" in str(error) or isinstance(error, csv.Error)
        # What unpacks without end is not looked through once more for a reason why a row of it is long.
        line = undecodable_line(path, spec, most=2 * size if is_long else None)
        if line is not None:
            raise not_in_encoding(path, spec, where, line) from error
        if is_long:
            opens = _open_quote(path, spec, size)
            raise RequestError(
                f"a row is longer than {size_in_words(size)}",
                where=where if opens is None else f"{where}: {path.name}, line {opens}",
                found=path.name,
                hint="look for a quote that is never closed, or another separator",
            ) from error
        raise RequestError(
            f"the file cannot be read as CSV: {error}", where=where, found=path.name
        ) from error


def _refuse_bad_separator(spec: FileSource, where: str) -> None:
    if spec.separator in '"\r\n' or not spec.separator.isascii():
        raise SpecError(
            "this character cannot separate fields",
            where=f"{where}.separator",
            found=spec.separator,
            allowed="one ASCII character that is neither a quote nor a line end",
        )


def _refuse_bad_names(names: Sequence[str], spec: FileSource, where: str) -> None:
    of = "names" if spec.names else "the header"
    where = f"{where}.names" if spec.names else where
    empty = [i for i, name in enumerate(names, 1) if not name]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if not empty and not twice:
        return
    raise SpecError(
        f"column {', '.join(map(str, empty))} of {of} has no name"
        if empty
        else f"{of} {'have' if spec.names else 'has'} the same name twice: {', '.join(map(repr, twice))}",
        where=where,
        found=",".join(names)[:200],
        hint="give each column a name of its own"
        if spec.names
        else f"name each column in the file's first line, or {names_hint(names)}",
    )


class _Lines:
    """Lines of a text, as many as one row may have."""

    def __init__(self, text: TextIO, size: int) -> None:
        self._text, self._size = text, size
        self._left = size

    def begin(self) -> None:
        """Say that a row begins."""
        self._left = self._size

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise csv.Error("a row is too long")
        if not line:
            raise StopIteration
        return line


def _first_record(path: Path, spec: FileSource, size: int) -> list[str] | None:
    csv.field_size_limit(BATCH)
    with open_text(path, spec) as text:
        lines = _Lines(text, size)
        for fields in csv.reader(lines, delimiter=spec.separator):
            if fields:
                return fields
            lines.begin()
    return None


def _open_quote(path: Path, spec: FileSource, size: int) -> int | None:
    """Return the line of the row in which a quote opens that is never closed, or not within what a row may be long."""
    with open_text(path, spec) as text:
        lines = _Lines(text, size)
        reader = csv.reader(lines, delimiter=spec.separator, strict=True)
        line = 0
        while True:
            lines.begin()
            try:
                next(reader)
            except StopIteration:
                return None
            except csv.Error as error:
                if "expected after" not in str(error):  # such a row is read, with its quotes as they stand
                    return line + 1
            line = reader.line_num
