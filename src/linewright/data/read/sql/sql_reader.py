"""Sources that are queries on databases."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
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
from linewright.data.read.spill import RowParts, Spool, scratch_of
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
_MOST_BYTES = 1 << 22
"""Bytes of a batch: its rows have types already, so that small batches cost no more."""
DATABASES: Mapping[str, _Kind] = {
    "postgresql": _Kind("linewright.plugins.postgresql:PostgreSql", "postgresql"),
    "postgresql+adbc": _Kind("linewright.plugins.postgresql_adbc:PostgreSqlAdbc", "adbc"),
    "mysql": _Kind("linewright.plugins.mysql:MySql", "mysql"),
    "mssql": _Kind("linewright.plugins.sqlserver:SqlServer", "mssql"),
    "duckdb": _Kind("linewright.data.read.sql.duckdb_file:DuckDbFile"),
    "sqlite": _Kind("linewright.data.read.sql.sqlite_file:SqliteFile"),
}
"""The kinds of databases, by the scheme of their URLs, and what reads them otherwise, by scheme and driver."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of a query, read once: in memory while they are few, else in files that are mapped."""

    rows: RowParts
    schema: pl.Schema
    """Names as the query gives them, and types."""
    where: str
    size: int
    """How many bytes a batch has, about."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names as the query gives them."""
        return tuple(self.schema)

    def batches(self) -> Iterator[Batch]:
        """Give the rows, some at a time."""
        is_given = False
        for part in self.rows.parts():
            width = max(1, size_of(part) // max(part.height, 1))
            some = max(1, min(self.size, _MOST_BYTES) // width)
            for start in range(0, part.height, some):
                yield self._batch(part.slice(start, some))
                is_given = True
        if not is_given:
            yield self._batch(pl.DataFrame(schema=self.schema))

    def _batch(self, frame: pl.DataFrame) -> Batch:
        return Batch(frame=frame.with_columns(frame[name].cast(to) for name, to in self._whole_numbers))

    @cached_property
    def _whole_numbers(self) -> list[tuple[str, pl.DataType]]:
        """What columns of long whole numbers become: integers if all of them fit, else texts, since digits of that length are codes."""
        names = [
            name
            for name, dtype in self.schema.items()
            if dtype == pl.UInt64 or (isinstance(dtype, pl.Decimal) and dtype.scale == 0)
        ]
        fit = dict.fromkeys(names, True)
        for part in self.rows.parts() if names else ():
            fit = {name: fit[name] and _fits(part[name]) for name in names}
        return [(name, pl.Int64() if fit[name] else pl.String()) for name in names]

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
        database, query = query_of(spec, root, where, has_many=True)
        if since is not None:
            query = _since(database, query, since)
        with result_of(database, query) as answer:
            refuse_patterns(tuple(answer.types), f"{where}.sql")
            return _source(name, spec, rows_of(answer, root, where=where, size=size))

    def read(self, name: str, spec: SqlSource, root: Path) -> tuple[Source, str]:
        """Run the query once, and return its rows with their fingerprint."""
        where, digest = f"sources.{name}", RowsDigest()
        database, query = query_of(spec, root, where, has_many=True)
        with result_of(database, query) as answer:
            refuse_patterns(tuple(answer.types), f"{where}.sql")
            source = _source(name, spec, rows_of(answer, root, where=where, heard=digest.add))
        return source, digest.value()

    def fingerprint(self, spec: SqlSource, root: Path, where: str) -> str:
        """Return a digest of the rows of the query.

        It costs one pass over all of them: as much as reading does, about 3 seconds of processor time for a million rows of ten columns of
        PostgreSQL, and 7 of MariaDB.
        """
        database, query = query_of(spec, root, where, has_many=True)
        with result_of(database, query) as answer:
            return digest_of_parts(chain([answer.empty], answer.frames))

    def columns(self, name: str, spec: SqlSource, root: Path) -> tuple[str, ...]:
        """Return the names of the columns; the database says them before the first row."""
        database, query = query_of(spec, root, f"sources.{name}")
        with result_of(database, query) as answer:
            return tuple(answer.types)


def _fits(values: pl.Series) -> bool:
    least, most = cast("Any", values.min()), cast("Any", values.max())
    return least is None or (least >= -(2**63) and most < 2**63)


def database_of(scheme: str, where: str) -> Database:
    """Return what asks databases of a kind."""
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


def query_of(
    spec: SqlSource, root: Path, where: str, *, has_many: bool = False
) -> tuple[Database, DatabaseQuery]:
    """Return the database of a source, and the query for it; see `DatabaseQuery.has_many`."""
    url = url_of(spec, root, where)
    other = f"{url.scheme}+{url.driver}"
    database = database_of(other if other in DATABASES else url.scheme, f"{where}.at")
    if database.port:
        port = url.port or database.port
        addresses = addresses_of(url.host, root, port=port, where=f"{where}.at")
    else:
        addresses = (str(root / url.database),)
    return database, DatabaseQuery(
        url=url, addresses=addresses, sql=spec.sql, limits=spec.limits, where=where, has_many=has_many
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


def rows_of(
    answer: QueryResult,
    root: Path,
    *,
    where: str,
    size: int = BATCH,
    heard: Callable[[pl.DataFrame], object] = lambda _: None,
) -> Rows:
    """Return the rows of an answer; `heard` gets them as they come."""
    spool = Spool(scratch_of(root))
    for frame in chain([answer.empty], answer.frames):
        heard(frame)
        spool.add(frame)
    return Rows(rows=spool, schema=answer.empty.schema, where=where, size=size)


def _source(name: str, spec: SqlSource, rows: Rows) -> Source:
    return Source(name=name, columns=rows.columns, is_text=False, parts=(rows,), missing=spec.missing_texts)


def digest_of_parts(frames: Iterable[pl.DataFrame]) -> str:
    """Return the fingerprint of a source with these rows."""
    digest = RowsDigest()
    for frame in frames:
        for some in frame.iter_slices(MOST_ROWS) if frame.height else [frame]:
            digest.add(some)
    return digest.value()


class RowsDigest:
    """A digest of rows that does not depend on how many come at a time, nor on how memory holds them."""

    def __init__(self) -> None:
        self._columns: list[_HashedColumn] = []

    def add(self, frame: pl.DataFrame) -> None:
        """Take some more rows, or none of the first time."""
        self._columns = self._columns or [_HashedColumn(column) for column in frame.iter_columns()]
        for hashed, column in zip(self._columns, frame.iter_columns(), strict=True):
            hashed.add(column)

    def value(self) -> str:
        """Return the digest."""
        return digest_of({"columns": [one.digest() for one in self._columns]})


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
