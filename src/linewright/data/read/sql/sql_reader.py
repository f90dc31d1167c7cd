"""Sources that are queries on databases."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import polars as pl

from linewright.data.read.batches import BATCH, Batch, refuse_patterns, size_of
from linewright.data.read.hosts import addresses_of
from linewright.data.read.reader import Cursor
from linewright.data.read.source import Source
from linewright.data.read.spill import Spool, scratch_of
from linewright.data.read.sql.address import url_of
from linewright.data.read.sql.database import MOST_ROWS, Database, DatabaseQuery, QueryResult
from linewright.data.spec import SqlSource
from linewright.errors import RequestError, Terminal
from linewright.store.values import digest_of


class _Kind(NamedTuple):
    database: str
    """``module:class`` of its `Database`."""
    extra: str = ""
    """What brings its driver, where Linewright itself does not."""


MOST_TABLES = 100
"""Names of tables that `tables_of` gives."""
DATABASES: Mapping[str, _Kind] = {
    "postgresql": _Kind("linewright.plugins.postgresql:PostgreSql", "postgresql"),
    "mysql": _Kind("linewright.plugins.mysql:MySql", "mysql"),
    "duckdb": _Kind("linewright.data.read.sql.duckdb_file:DuckDbFile"),
    "sqlite": _Kind("linewright.data.read.sql.sqlite_file:SqliteFile"),
}
"""The kinds of databases, by the scheme of their URLs."""
HELD = 1 << 25
"""Bytes of rows that are held in memory before they go to a file."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of a query, read once: in memory while they are few, else in files that are mapped."""

    frame: pl.DataFrame
    where: str
    size: int
    """How many bytes a batch has, about."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names as the query gives them."""
        return tuple(self.frame.columns)

    def batches(self) -> Iterator[Batch]:
        """Give the rows, some at a time."""
        width = max(1, size_of(self.frame) // max(self.frame.height, 1))
        rows = max(1, self.size // width)
        for start in range(0, max(self.frame.height, 1), rows):
            frame = self.frame.slice(start, rows)
            yield Batch(frame=frame.with_columns(frame[name].cast(to) for name, to in self._whole_numbers))

    @cached_property
    def _whole_numbers(self) -> list[tuple[str, pl.DataType]]:
        """What columns of long whole numbers become: integers if all of them fit, else texts, since digits of that length are codes."""
        names = [
            name
            for name, dtype in self.frame.schema.items()
            if dtype == pl.UInt64 or (isinstance(dtype, pl.Decimal) and dtype.scale == 0)
        ]
        return [(name, pl.Int64() if _fits(self.frame[name]) else pl.String()) for name in names]

    def starts(self) -> Iterator[tuple[int, int, bool]]:
        """Give nothing: a database has no lines."""
        return iter(())


class SqlReader:
    """Reads the result of a query on a database; see `data.read.reader.SourceReader`."""

    def open(
        self, name: str, spec: SqlSource, root: Path, *, size: int, since: Cursor | None = None
    ) -> Source:
        """Run the query once; what does not fit in little memory lies in files that go with the last use of the rows."""
        where = f"sources.{name}"
        database, query = query_of(spec, root, where)
        if since is not None:
            query = _since(database, query, since)
        spool = Spool(scratch_of(root), held=HELD)
        with result_of(database, query) as answer:
            refuse_patterns(tuple(answer.types), f"{where}.sql")
            spool.add(answer.empty)
            for frame in answer.frames:
                spool.add(frame)
        rows = Rows(frame=spool.frame(), where=where, size=size)
        return Source(
            name=name, columns=rows.columns, is_text=False, parts=(rows,), missing=spec.missing_texts
        )

    def read(self, name: str, spec: SqlSource, root: Path) -> tuple[Source, str]:
        """Run the query once, and return its rows with their fingerprint."""
        source = self.open(name, spec, root, size=BATCH)
        return source, frame_digest(cast("Rows", source.parts[0]).frame)

    def fingerprint(self, spec: SqlSource, root: Path, where: str) -> str:
        """Return a digest of the rows of the query.

        It costs one pass over all of them: as much as reading does, about 3 seconds of processor time for a million rows of ten columns of
        PostgreSQL, and 7 of MariaDB.
        """
        database, query = query_of(spec, root, where)
        with result_of(database, query) as answer:
            return _rows_digest(chain([answer.empty], answer.frames))

    def columns(self, name: str, spec: SqlSource, root: Path) -> tuple[str, ...]:
        """Return the names of the columns; the database says them before the first row."""
        database, query = query_of(spec, root, f"sources.{name}")
        with result_of(database, query) as answer:
            return tuple(answer.types)


def _fits(values: pl.Series) -> bool:
    least, most = cast("Any", values.min()), cast("Any", values.max())
    return least is None or (least >= -(2**63) and most < 2**63)


def database_of(scheme: str, where: str) -> Database:
    """Return what asks databases of a kind.

    Raises
    ------
    RequestError
        If its driver is not installed.
    """
    kind = DATABASES[scheme]
    module, _, name = kind.database.partition(":")
    try:
        return getattr(import_module(module), name)()
    except ModuleNotFoundError as error:
        raise RequestError(
            f"databases of {scheme} are not read here",
            where=where,
            found=f"no {error.name}",
            hint=f"pip install 'linewright[{kind.extra}]'",
        ) from error


def tables_of(spec: SqlSource, root: Path, where: str) -> list[str]:
    """Return the names of the tables and views of a database, sorted, at most `MOST_TABLES`; those of other schemas with them before a dot."""
    database, query = query_of(spec, root, where)
    with result_of(database, replace(query, sql=database.tables)) as answer:
        return pl.concat([answer.empty, *answer.frames]).to_series().to_list()


def quoted(spec: SqlSource, root: Path, name: str) -> str:
    """Return the name of a table, which may have a schema before a dot, or of a column as the SQL of a database has it."""
    return database_of(url_of(spec, root, "").scheme, "").quoted(name)


def query_of(spec: SqlSource, root: Path, where: str) -> tuple[Database, DatabaseQuery]:
    """Return the database of a source, and the query for it.

    Raises
    ------
    SpecError, RequestError, Transient
        If it cannot be found where the source says, may not be read from, or its driver is not installed.
    """
    url = url_of(spec, root, where)
    database = database_of(url.scheme, f"{where}.at")
    if database.port:
        port = url.port or database.port
        addresses = addresses_of(url.host, root, port=port, where=f"{where}.at")
    else:
        addresses = (str(root / url.database),)
    return database, DatabaseQuery(
        url=url, addresses=addresses, sql=spec.sql, limits=spec.limits, where=where
    )


@contextmanager
def result_of(database: Database, query: DatabaseQuery) -> Generator[QueryResult]:
    """Give the answer to a query; a disk that is full while it is read is said as that."""
    try:
        with database.ask(query) as answer:
            yield answer
    except OSError as error:  # of the files that rows are written to
        raise Terminal(
            f"the rows of source {query.name!r} cannot be kept for reading: {error.strerror}",
            where=query.where,
            found=error.filename,
            hint="make room on the disk, or ask for fewer rows",
        ) from error


def _since(database: Database, query: DatabaseQuery, since: Cursor) -> DatabaseQuery:
    with database.ask(query) as answer:
        of = answer.types.get(since.column)
    if of is None:
        return query  # `rows_since` says what there is
    sql = database.since(query.sql, since.column, of, since.value)
    return replace(query, sql=sql)


def frame_digest(rows: pl.DataFrame) -> str:
    """Return the fingerprint of a source with these rows."""
    starts = range(0, max(rows.height, 1), MOST_ROWS)
    return _rows_digest(rows.slice(start, MOST_ROWS) for start in starts)


def _rows_digest(frames: Iterator[pl.DataFrame]) -> str:
    """Return a digest of rows that does not depend on how many come at a time, nor on how memory holds them."""
    columns: list[_HashedColumn] = []
    for frame in frames:
        columns = columns or [_HashedColumn(column) for column in frame.iter_columns()]
        for hashed, column in zip(columns, frame.iter_columns(), strict=True):
            hashed.add(column)
    return digest_of({"columns": [one.digest() for one in columns]})


class _HashedColumn:
    """A digest of a column: name and type, values, lengths of texts, and which values are missing."""

    def __init__(self, column: pl.Series) -> None:
        kind = column.dtype
        said = (str(kind.base_type()), getattr(kind, "scale", None), getattr(kind, "time_zone", None))
        self._name = ascii((column.name, *said))
        self._values, self._lengths, self._gaps = sha256(), sha256(), sha256()

    def add(self, column: pl.Series) -> None:
        """Take some more values."""
        self._gaps.update(column.is_null().to_numpy().tobytes())
        if column.dtype.is_decimal():
            column = column.cast(pl.String)
        if column.dtype == pl.String:
            texts = column.fill_null("")
            self._lengths.update(texts.str.len_bytes().to_numpy().astype("<u4").tobytes())
            self._values.update("".join(texts).encode())
            return
        held = column.to_physical()
        nothing = False if held.dtype == pl.Boolean else 0
        self._values.update(np.ascontiguousarray(held.fill_null(nothing).to_numpy()).tobytes())

    def digest(self) -> tuple[str, ...]:
        """Return the digests."""
        return self._name, *(one.hexdigest() for one in (self._values, self._lengths, self._gaps))
