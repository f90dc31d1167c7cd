"""Sources: files and queries become tables, exactly as they are, and a digest of what they hold."""

import difflib
import hashlib
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet

from linewright.data.csvfile import Ragged, locate, read_csv
from linewright.data.spec import FileSource, SourceSpec, SqliteSource
from linewright.errors import RequestError, SpecError
from linewright.store.values import digest_of

_PARQUET = b"PAR1"
_BLOCK = 1 << 20
_ROWS = 1 << 17
_READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)


class Batch(NamedTuple):
    """Some rows of a source, in order."""

    frame: pl.DataFrame
    ragged: tuple[Ragged, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Raw:
    """One source as it was found: nothing parsed, nothing dropped."""

    name: str
    frame: pl.DataFrame
    is_text: bool
    """Whether text may stand for other types: CSV and SQLite, which have no types of their own to trust."""
    ragged: tuple[Ragged, ...] = ()
    """Rows of a CSV file whose number of fields is not that of the header, in order."""
    file: tuple[Path, FileSource] | None = None
    """Where a CSV file is, to find line numbers in."""

    def batches(self) -> Iterator[Batch]:
        """Iterate over the rows; each time the same ones in the same order."""
        yield Batch(self.frame.head(_ROWS), self.ragged)
        for start in range(_ROWS, self.frame.height, _ROWS):
            yield Batch(self.frame.slice(start, _ROWS))

    @property
    def rows(self) -> int:
        """How many rows the source has, ragged ones too."""
        return self.frame.height + len(self.ragged)

    def lines(self, rows: Sequence[int]) -> list[int | None]:
        """Return the line of the file at which each of these rows (from 0) starts; `None` where there is no line."""
        return [int(self._located[0][row]) if self._located else None for row in rows]

    def ragged_lines(self) -> list[int | None]:
        """Return the line of the file at which each ragged row starts."""
        return [int(self._located[1][i]) if self._located else None for i in range(len(self.ragged))]

    @cached_property
    def _located(self) -> tuple[np.ndarray, np.ndarray] | None:
        if self.file is None:
            return None
        rows, ragged = locate(*self.file, self.frame.width)
        # Two readers have seen the file; where they do not agree on its rows, no number is better than a wrong one.
        agrees = len(rows) == self.frame.height and len(ragged) == len(self.ragged)
        return (rows, ragged) if agrees else None


def read_source(name: str, spec: SourceSpec, root: Path) -> Raw:
    r"""Read a source into memory.

    CSV fields are text; blanks around names and values are removed, and the spellings of `missing` become null, in
    Parquet's text too. Numbers that are not a number (NaN) are null. In SQLite text an empty value is null.

    Parameters
    ----------
    name
        The source's name in the line file.
    spec
        Where it is and how to read it.
    root
        Folder that relative paths start from.

    Returns
    -------
    Raw

    Raises
    ------
    SpecError, RequestError
        Saying what is wrong with the file or the query, and what to do.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.csv").write_text("id, colour\n1, red\n2,\n")
    >>> read_source("a", FileSource(file="a.csv"), folder).frame.rows()
    [('1', 'red'), ('2', None)]
    """
    where = f"sources.{name}"
    if isinstance(spec, SqliteSource):
        path = _existing(spec.sqlite, root, f"{where}.sqlite")
        return Raw(name=name, frame=clean(_read_sqlite(path, spec, where), ("",)), is_text=True)
    return _read_file(name, _existing(spec.file, root, f"{where}.file"), spec, where)


def read_file(spec: FileSource) -> Raw:
    """Read a file that is no source of a line, like `read_source`; messages name the file.

    Raises
    ------
    SpecError, RequestError
        Saying what is wrong with the file, and what to do.
    """
    path = Path(spec.file)
    if not path.is_file():
        raise RequestError(
            "this is not a file" if path.exists() else "there is no such file",
            where=spec.file,
            allowed="a CSV, CSV.gz or Parquet file",
            hint=_near(path),
        )
    return _read_file(path.name, path, spec, spec.file)


def _read_file(name: str, path: Path, spec: FileSource, where: str) -> Raw:
    if _is_parquet(path):
        return Raw(name=name, frame=clean(_read_parquet(path, where), spec.missing), is_text=False)
    frame, ragged = read_csv(path, spec, where)
    return Raw(name=name, frame=clean(frame, spec.missing), is_text=True, ragged=ragged, file=(path, spec))


def fingerprint(spec: SourceSpec, root: Path, where: str = "sources") -> str:
    """Return a digest of what a source holds and how it is read; where it lies does not matter.

    Files are hashed as they are, in blocks; of a database, the rows of the query.

    Raises
    ------
    SpecError, RequestError
        If it cannot be read.
    """
    hashed = hashlib.sha256()
    if isinstance(spec, SqliteSource):
        path = _existing(spec.sqlite, root, f"{where}.sqlite")
        with _query(path, spec, where) as cursor:
            hashed.update(ascii([column[0] for column in cursor.description]).encode())
            for row in cursor:
                hashed.update(ascii(row).encode())
        return digest_of({"rows": hashed.hexdigest()})
    with _existing(spec.file, root, f"{where}.file").open("rb") as file:
        while block := file.read(_BLOCK):
            hashed.update(block)
    return digest_of({"bytes": hashed.hexdigest(), **spec.model_dump(mode="json", exclude={"file"})})


def _existing(written: str, root: Path, where: str) -> Path:
    path = root / written
    if path.is_file():
        return path
    if path.exists():
        raise RequestError("this is not a file", where=where, found=written, allowed="a file")
    hint = _near(path) or f"paths start from {root}"
    raise RequestError("there is no such file", where=where, found=written, hint=hint)


def _near(path: Path) -> str:
    """Ask for a file of a similar name in the same folder; say nothing where there is none."""
    beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, 1)
    return f"did you mean {near[0]!r}?" if near else ""


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == _PARQUET


def _read_parquet(path: Path, where: str) -> pl.DataFrame:
    try:
        # Not `read_table`, for which a folder named "year=2020" on the way is a column.
        with pyarrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise RequestError(
            f"the Parquet file cannot be read: {error}", where=where, found=path.name, hint="write it again"
        ) from error
    names = [str(name) for name in table.column_names]
    if len(set(names)) < len(names):
        raise SpecError("two columns have the same name", where=where, found=", ".join(names))
    try:
        frame = cast("pl.DataFrame", pl.from_arrow(table))
    except pl.exceptions.PolarsError as error:
        raise SpecError(f"a column has a type that tables cannot hold: {error}", where=where) from error
    return frame.rename({name: name.strip() for name in names})


def clean(frame: pl.DataFrame, missing: tuple[str, ...]) -> pl.DataFrame:
    """Return a table whose texts have no blanks around them, and no value where one is spelled as missing."""
    # Category and Enum are spellings of text; NaN is how pandas writes a missing number.
    frame = frame.with_columns(
        pl.col(pl.Categorical, pl.Enum).cast(pl.String), pl.col(pl.Float32, pl.Float64).fill_nan(None)
    )
    text = pl.col(pl.String).str.strip_chars()
    return frame.with_columns(pl.when(~text.is_in(list(missing))).then(text)).rechunk()


def _read_sqlite(path: Path, spec: SqliteSource, where: str) -> pl.DataFrame:
    with _query(path, spec, where) as cursor:
        names = [str(column[0]) for column in cursor.description]
        rows = cursor.fetchall()
    if len(set(names)) < len(names):
        raise SpecError(
            "two columns have the same name",
            where=f"{where}.query",
            found=", ".join(names),
            hint="name them with AS",
        )
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return pl.DataFrame(
        [_from_sqlite(name, column, where) for name, column in zip(names, columns, strict=True)]
    )


def _from_sqlite(name: str, values: Sequence[Any], where: str) -> pl.Series:
    """SQLite types values, not columns: a column of one type keeps it, a mixed one becomes text."""
    kinds = {type(value) for value in values} - {type(None)}
    if bytes in kinds:
        raise SpecError(
            f"column {name!r} holds bytes", where=f"{where}.query", hint="leave it out, or use hex(…)"
        )
    if kinds == {int}:
        return pl.Series(name, values, dtype=pl.Int64)
    if kinds and kinds <= {int, float}:
        return pl.Series(name, values, dtype=pl.Float64, strict=False)
    return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)


@contextmanager
def _query(path: Path, spec: SqliteSource, where: str) -> Generator[sqlite3.Cursor, None, None]:
    """Run one SELECT; the database is opened read-only, and nothing but reading is allowed to the statement."""

    def only_reading(action: int, *_: object) -> int:
        return sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY

    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        connection.set_authorizer(only_reading)
        try:
            cursor = connection.execute(spec.query)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise _query_error(error, connection, where) from error
        # sqlite3 says by an empty description that the statement (a comment, say) returns no rows.
        if not cast("object", cursor.description):
            raise SpecError("the query returns no table", where=f"{where}.query", allowed="one SELECT")
        try:
            yield cursor
        except sqlite3.Error as error:
            raise _query_error(error, connection, where) from error


def _query_error(error: Exception, connection: sqlite3.Connection, where: str) -> RequestError:
    if "not a database" in str(error) or "malformed" in str(error):
        return RequestError(
            f"this is not a SQLite database, or it is damaged: {error}", where=f"{where}.sqlite"
        )
    connection.set_authorizer(None)
    tables = [
        row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
    ]
    return SpecError(
        f"the query fails: {error}",
        where=f"{where}.query",
        allowed="one SELECT, which changes nothing",
        hint=f"the database has {', '.join(map(repr, tables)) or 'no tables'}",
    )
