"""CSV files: every field as text, and the line of the file that each row came from."""

import codecs
import csv
import gzip
import io
import threading
import zlib
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import polars as pl
import pyarrow as pa
import pyarrow.csv

from linewright.data.batch import BATCH, Batch, Ragged
from linewright.data.spec import FileSource
from linewright.errors import LinewrightError, RequestError, SpecError

GZIP = b"\x1f\x8b"
_FOREIGN = {
    b"PK\x03\x04": "a ZIP or Excel file; save the sheet as CSV",
    b"SQLite format 3": "a SQLite database; write {sqlite: FILE, query: SELECT …}",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Excel file; save the sheet as CSV",
    GZIP: "gzip inside gzip",
}


@contextmanager
def open_unpacked(path: Path) -> Generator[BinaryIO, None, None]:
    """Open a file for reading bytes; gzip is recognised by content, whatever the ending."""
    with path.open("rb") as file:
        head = file.read(2)
        file.seek(0)
        if head != GZIP:
            yield file
            return
        with gzip.open(file) as unpacked:
            yield cast("BinaryIO", unpacked)


@dataclass(frozen=True, kw_only=True)
class CsvFile:
    """A CSV file that is text and whose header names each column once."""

    path: Path
    spec: FileSource
    where: str
    """Place in the line file, for messages."""
    header: tuple[str, ...]
    """Names as they stand in the file."""
    size: int
    """How many bytes a batch is made of, about."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names without the blanks around them."""
        return tuple(name.strip() for name in self.header)

    def batches(self) -> Iterator[Batch]:
        """Give the rows with every field as text; nothing is guessed.

        Quoted fields may hold separators and line ends, lines end as they like (LF, CRLF, CR), and blank lines are
        skipped.

        Raises
        ------
        RequestError
            For a file that is damaged, not in its encoding, or has a quote that is never closed.
        """
        with _explained(self.path, self.spec, self.where, self.size):
            yield from self._parsed()

    def starts(self) -> Iterator[tuple[int, bool]]:
        """Give the line at which each row starts, and whether it is ragged."""
        for line, fields in islice(_records(self.path, self.spec), 1, None):
            yield line, len(fields) != len(self.header)

    def _parsed(self) -> Iterator[Batch]:
        aside = _SetAside()
        last: tuple[str, ...] | None = None
        with (
            open_unpacked(self.path) as file,
            closing(_Paced(file, _encoding(self.spec, self.where))) as paced,
            self._reader(paced, aside) as reader,
            closing(paced),  # before the reader, which waits for its last read
        ):
            for rows in reader:
                paced.take()
                frame = cast("pl.DataFrame", pl.from_arrow(pa.Table.from_batches([rows])))
                ragged = aside.due(frame.height)
                if not frame.height and not ragged:
                    continue
                yield Batch(frame=self._named(frame, has_header=last is None), ragged=ragged)
                last = frame.row(-1) if frame.height else last
        if last is None:
            raise self._unreadable_header()
        if ragged := aside.due(None):
            empty = pl.DataFrame(schema=dict.fromkeys(self.columns, pl.String))
            yield Batch(frame=empty, ragged=ragged)
        _refuse_open_quote(last, self.path, self.spec, self.where)

    def _reader(self, file: "_Paced", aside: "_SetAside") -> pyarrow.csv.CSVStreamingReader:
        # The header is read as a row like any other: names are ours, so that all columns can be declared as text.
        names = [f"c{i}" for i in range(len(self.header))]
        return pyarrow.csv.open_csv(
            file,
            read_options=pyarrow.csv.ReadOptions(use_threads=False, column_names=names, block_size=self.size),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self.spec.separator, newlines_in_values=True, invalid_row_handler=aside
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, strings_can_be_null=False
            ),
        )

    def _named(self, frame: pl.DataFrame, *, has_header: bool) -> pl.DataFrame:
        if has_header and (not frame.height or frame.row(0) != self.header):
            raise self._unreadable_header()
        named = frame.slice(1) if has_header else frame.clone()
        named.columns = list(self.columns)
        return named

    def _unreadable_header(self) -> RequestError:
        return RequestError("the header cannot be read", where=self.where, found=",".join(self.header)[:200])


class _Paced:
    """A file for Arrow, which would read 32 blocks ahead of what is taken from it: UTF-8, and a few blocks ahead.

    One read is one block, of which Arrow makes one batch.
    """

    _AHEAD = 3
    _PATIENCE = 10.0  # seconds after which a block is read all the same: rather more memory than a standstill

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._decoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)()
        self._rest = b""
        self._ahead = 0
        self._turn = threading.Condition()
        self.closed = False

    def read(self, size: int) -> bytes:
        """Return so many bytes of UTF-8, fewer at the end of the file."""
        with self._turn:
            self._turn.wait_for(lambda: self.closed or self._ahead < self._AHEAD, timeout=self._PATIENCE)
            self._ahead += 1
        if self.closed:
            return b""
        parts, missing = [self._rest], size - len(self._rest)
        while missing > 0 and (more := self._more(missing)):
            parts.append(more)
            missing -= len(more)
        whole = b"".join(parts)
        self._rest = whole[size:]
        return whole[:size]

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
        """Let a read that waits return."""
        with self._turn:
            self.closed = True
            self._turn.notify()


class _SetAside:
    """Takes the rows that Arrow refuses, and gives them back with the batch that they stand in.

    Arrow reads ahead; so each is known by how many good rows stand before it, and batches are the same every time.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Ragged]] = deque()
        self._refused = 0
        self._good = 0

    def __call__(self, row: Any) -> str:
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
    """Open a CSV file by its header; a byte order mark is not part of the first name.

    Parameters
    ----------
    path
        A file of text, packed with gzip or not.
    spec
        Separator and encoding; `missing` is not applied here.
    where
        Place in the line file, for messages.
    size
        How many bytes a batch is made of, about; a row may be as long.

    Raises
    ------
    SpecError
        For an encoding or separator that does not exist, and for names that are empty or occur twice.
    RequestError
        For a file that is empty, not text, damaged, or not in that encoding.
    """
    encoding = _encoding(spec, where)
    with _explained(path, spec, where, size):
        _refuse_what_is_not_text(path, encoding, where)
        header = _header(path, spec, encoding, where)
    _refuse_bad_names([name.strip() for name in header], where)
    return CsvFile(path=path, spec=spec, where=where, header=tuple(header), size=size)


@contextmanager
def _explained(path: Path, spec: FileSource, where: str, size: int) -> Generator[None, None, None]:
    try:
        yield
    except (UnicodeDecodeError, pa.ArrowInvalid, csv.Error) as error:
        raise _explain(error, path, spec, where, size) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RequestError(
            f"the gzip file is damaged: {error}", where=where, found=spec.file, hint="copy it again"
        ) from error


def _records(path: Path, spec: FileSource, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not blank, with the line at which it starts; the header is the first."""
    csv.field_size_limit(BATCH)
    with (
        open_unpacked(path) as file,
        io.TextIOWrapper(file, encoding=_for_python(spec.encoding), newline="") as text,
    ):
        reader = csv.reader(text, delimiter=spec.separator, strict=strict)
        line = 1
        for fields in reader:
            if fields:
                yield line, fields
            line = reader.line_num + 1


def _for_python(encoding: str) -> str:
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def _encoding(spec: FileSource, where: str) -> str:
    """Return the encoding by its usual name."""
    try:
        name = codecs.lookup(spec.encoding).name
    except LookupError as error:
        raise SpecError(
            "there is no such encoding",
            where=f"{where}.encoding",
            found=spec.encoding,
            allowed="names that Python knows, e.g. utf-8, cp1252, latin-1, utf-16",
        ) from error
    if spec.separator in '"\r\n' or not spec.separator.isascii():
        raise SpecError(
            "this character cannot separate fields",
            where=f"{where}.separator",
            found=spec.separator,
            allowed="one ASCII character that is neither a quote nor a line end",
        )
    return "utf-8" if name == "utf-8-sig" else name


def _refuse_what_is_not_text(path: Path, encoding: str, where: str) -> None:
    with open_unpacked(path) as file:
        head = file.read(1 << 16)
    if not head.strip():
        raise RequestError("the file is empty", where=where, found=path.name, allowed="a header and rows")
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise RequestError(f"the file is {what}", where=where, found=path.name, allowed="CSV or Parquet")
    if b"\0" in head and not encoding.startswith(("utf-16", "utf-32")):
        raise RequestError(
            "the file is not text: it has zero bytes",
            where=where,
            found=path.name,
            allowed="CSV, CSV.gz or Parquet",
            hint="if it is UTF-16 (some spreadsheets write it), say encoding: utf-16",
        )


def _header(path: Path, spec: FileSource, encoding: str, where: str) -> list[str]:
    header = next((fields for _, fields in _records(path, spec)), None)
    if header is None:
        raise RequestError("the file has no header", where=where, found=path.name, hint=f"read as {encoding}")
    return header


def _refuse_bad_names(names: list[str], where: str) -> None:
    empty = [i for i, name in enumerate(names, 1) if not name]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if empty:
        raise SpecError(
            f"column {', '.join(map(str, empty))} of the header has no name",
            where=where,
            found=",".join(names)[:200],
            hint="name every column in the file's first line",
        )
    if twice:
        raise SpecError(
            f"the header has the same name twice: {', '.join(map(repr, twice))}",
            where=where,
            found=",".join(names)[:200],
            hint="give each column its own name",
        )


def _refuse_open_quote(last: Sequence[str], path: Path, spec: FileSource, where: str) -> None:
    # A quote that is never closed swallows the rest of the file into the last field.
    if not any("\n" in value for value in last):
        return
    line = 0
    try:
        for start, _ in _records(path, spec, strict=True):
            line = start
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise RequestError(
                "a quote is never closed", where=f"{where}: {path.name}, after line {line}", hint="close it"
            ) from error


def _explain(error: Exception, path: Path, spec: FileSource, where: str, size: int) -> LinewrightError:
    line = _undecodable_line(path, spec.encoding)
    if line is not None or isinstance(error, UnicodeDecodeError):
        return RequestError(
            f"the file is not {spec.encoding}" + (f": line {line} cannot be decoded" if line else ""),
            where=where,
            found=path.name,
            hint="name the file's encoding, e.g. encoding: cp1252",
        )
    if "straddl" in str(error) or isinstance(error, csv.Error):
        return RequestError(
            f"a row is longer than {_bytes(size)}",
            where=where,
            found=path.name,
            hint="look for a quote that is never closed, or another separator",
        )
    return RequestError(f"the file cannot be read as CSV: {error}", where=where, found=path.name)


def _bytes(size: int) -> str:
    return f"{size >> 20} MiB" if size >> 20 else f"{size} bytes"


def _undecodable_line(path: Path, encoding: str) -> int | None:
    """Find the first line that is not in the encoding; `None` where lines cannot be told apart before decoding."""
    if codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
        return None
    with open_unpacked(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                return number
    return None
