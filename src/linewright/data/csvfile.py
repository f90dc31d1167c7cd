"""CSV files: every field as text, and the line of the file that each row came from."""

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv

from linewright.data.spec import FileSource
from linewright.errors import LinewrightError, RequestError, SpecError

GZIP = b"\x1f\x8b"
_BLOCK = 1 << 26  # bytes; a row may be as long as this, and 64 MiB is no table's row
_FOREIGN = {
    b"PK\x03\x04": "a ZIP or Excel file; save the sheet as CSV",
    b"SQLite format 3": "a SQLite database; write {sqlite: FILE, query: SELECT …}",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Excel file; save the sheet as CSV",
    GZIP: "gzip inside gzip",
}


@dataclass(frozen=True, kw_only=True)
class Ragged:
    """A row whose number of fields is not that of the header."""

    fields: int
    expected: int
    text: str
    """The row as it stands in the file."""


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


def read_csv(path: Path, spec: FileSource, where: str) -> tuple[pl.DataFrame, tuple[Ragged, ...]]:
    """Read a CSV file with every field as text; nothing is guessed.

    Quoted fields may hold separators and line ends, lines end as they like (LF, CRLF, CR), blank lines are skipped,
    and a byte order mark is not part of the first name.

    Parameters
    ----------
    path
        A file of text, packed with gzip or not.
    spec
        Separator and encoding; `missing` is not applied here.
    where
        Place in the line file, for messages.

    Returns
    -------
    (frame, ragged)
        The rows that have one field a column, in order, and those that do not, in order.

    Raises
    ------
    SpecError
        For an encoding or separator that does not exist, and for names that are empty or occur twice.
    RequestError
        For a file that is empty, not text, damaged, or not in that encoding.
    """
    encoding = _encoding(spec, where)
    try:
        _refuse_what_is_not_text(path, encoding, where)
        header = _header(path, spec, encoding, where)
        table, ragged = _parse(path, spec, encoding, header)
    except (UnicodeDecodeError, pa.ArrowInvalid, csv.Error) as error:
        raise _explain(error, path, spec, where) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RequestError(
            f"the gzip file is damaged: {error}", where=where, found=spec.file, hint="copy it again"
        ) from error
    names = [name.strip() for name in header]
    _refuse_bad_names(names, where)
    frame = cast("pl.DataFrame", pl.from_arrow(table)).rechunk()
    if _first_row(frame) != header:
        raise RequestError("the header cannot be read", where=where, found=",".join(header)[:200])
    frame.columns = names
    frame = frame.slice(1)
    _refuse_open_quote(frame, path, spec, where)
    return frame, ragged


def locate(path: Path, spec: FileSource, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the line of the file (from 1) at which each row starts.

    Parameters
    ----------
    width : int
        Number of columns in the header.

    Returns
    -------
    (rows, ragged) : int64 arrays
        Lines of the rows that have `width` fields, and of those that do not, each in the order of `read_csv`.
    """
    lines: tuple[list[int], list[int]] = ([], [])
    for line, fields in _records(path, spec):
        lines[len(fields) != width].append(line)
    return np.array(lines[0][1:], dtype=np.int64), np.array(lines[1], dtype=np.int64)


def _records(path: Path, spec: FileSource, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not blank, with the line at which it starts; the header is the first."""
    csv.field_size_limit(_BLOCK)
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
    """Name of the encoding as Arrow wants it: its own reader for UTF-8, Python's codec for the rest."""
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
    return "utf8" if name in {"utf-8", "utf-8-sig"} else name


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


def _parse(
    path: Path, spec: FileSource, encoding: str, header: list[str]
) -> tuple[pa.Table, tuple[Ragged, ...]]:
    ragged: list[Ragged] = []

    def set_aside(row: Any) -> str:
        ragged.append(Ragged(fields=row.actual_columns, expected=row.expected_columns, text=row.text))
        return "skip"

    # The header is read as a row like any other: names are ours, so that all columns can be declared as text.
    names = [f"c{i}" for i in range(len(header))]
    with open_unpacked(path) as file:
        table = pyarrow.csv.read_csv(
            file,
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, column_names=names, encoding=encoding, block_size=_BLOCK
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=spec.separator, newlines_in_values=True, invalid_row_handler=set_aside
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, strings_can_be_null=False
            ),
        )
    return table, tuple(ragged)


def _first_row(frame: pl.DataFrame) -> list[str]:
    return [str(value) for value in frame.row(0)] if frame.height else []


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


def _refuse_open_quote(frame: pl.DataFrame, path: Path, spec: FileSource, where: str) -> None:
    # A quote that is never closed swallows the rest of the file into the last field.
    if not frame.height or not any("\n" in value for value in frame.row(-1)):
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


def _explain(error: Exception, path: Path, spec: FileSource, where: str) -> LinewrightError:
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
            f"a row is longer than {_BLOCK >> 20} MiB",
            where=where,
            found=path.name,
            hint="look for a quote that is never closed, or another separator",
        )
    return RequestError(f"the file cannot be read as CSV: {error}", where=where, found=path.name)


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
