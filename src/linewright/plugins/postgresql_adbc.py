"""Queries on PostgreSQL whose rows come by ADBC, in Arrow's form: the same rows for less of the processor's time."""

import os
import socket
import stat
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import cast

import adbc_driver_postgresql.dbapi as adbc
import polars as pl
import pyarrow as pa
from adbc_driver_manager import Error
from psycopg.conninfo import make_conninfo

from linewright.data.read.limits import too_many_rows
from linewright.data.read.query_timeout import QueryTimeout
from linewright.data.read.sql.column_types import ColumnType, typed
from linewright.data.read.sql.database import DatabaseQuery, QueryResult
from linewright.errors import LinewrightError
from linewright.plugins.postgresql import (
    SESSION,
    OpenCursor,
    PostgreSql,
    connection_parameters,
    opened,
)

_SAME_IN_BOTH = frozenset({16, 20, 21, 23, 25, 701, 1042, 1043, 1082, 1083, 1114, 1184})
"""bool, int8, int2, int4, text, float8, char, varchar, date, time, timestamp, timestamptz: the types that ADBC gives as psycopg does."""
_RANGES: Mapping[str, tuple[int, int]] = {
    "date": (-719_162, 2_932_896),
    "datetime": (-62_135_596_800_000_000, 253_402_300_799_999_999),
    "instant": (-62_135_596_800_000_000, 253_402_300_799_999_999),
    "time": (0, 86_399_999_999_999),
}
"""First and last date and times that a table holds, those of the years 1 to 9999, as Arrow counts them: days, microseconds, and nanoseconds."""
_BATCH = "adbc.postgresql.batch_size_hint_bytes"
_BYTES = 1 << 20
_CHECKS_CLIENTS = 140_000
"""The first version of a server that ends a query whose client has gone."""
_ERRORS = Error, OSError, pa.ArrowException
_MARKS = count()
_FIRST_MARK, _MANY_MARKS = 10_000, 20_000


class PostgreSqlAdbc(PostgreSql):
    """Asks PostgreSQL; where many rows are read, psycopg learns their types, and ADBC fetches them.

    What ADBC gives otherwise than psycopg comes as the text that the server makes of it. Through the socket of a folder, psycopg fetches
    the rows: a connection of ADBC is found, to be cut, by an option that such sockets do not have.
    """

    @contextmanager
    def ask(self, query: DatabaseQuery) -> Generator[QueryResult]:
        """Run one SELECT in a read-only transaction that sees one state of the database."""
        if not query.has_many or query.url.host.startswith("/") or not hasattr(socket, "TCP_KEEPIDLE"):
            with super().ask(query) as result:
                yield result
            return
        with opened(query) as begun, closing(self._frames(query, begun)) as frames:
            yield QueryResult(types=begun.types, frames=frames)

    def _frames(self, query: DatabaseQuery, begun: OpenCursor) -> Generator[pl.DataFrame]:
        given = 0
        with closing(_batches(query, begun, self._with_texts(query, begun))) as batches:
            try:
                for batch in batches:
                    given += batch.num_rows
                    if given > query.limits.rows:
                        raise too_many_rows(query.where, query.limits.rows)
                    yield _frame(batch, begun.types, query)
            except _AskPsycopgError as error:
                raise self._error_of_psycopg(query, error) from None

    def _with_texts(self, query: DatabaseQuery, begun: OpenCursor) -> str:
        """Return a query for the same rows, with texts where ADBC gives something else: those that psycopg gets, which a cast may not be."""
        said: list[str] = []
        for column in begun.cursor.description or ():
            name = self.column(column.name)
            if column.type_code not in _SAME_IN_BOTH:
                name = f"case when {name} is not null then pg_catalog.format('%s', {name}) end as {name}"
            said.append(name)
        return self.wrapped(query.sql, gives=", ".join(said))

    def _error_of_psycopg(self, query: DatabaseQuery, error: Exception) -> LinewrightError:
        """Return what to say of a query that fails, if psycopg itself does not fail and say it."""
        with super().ask(query) as result:
            deque(result.frames, maxlen=0)
        return query.unavailable_error(error)


class _AskPsycopgError(Exception):
    """A query that fails, or a value that no table holds: psycopg says how."""


def _batches(query: DatabaseQuery, begun: OpenCursor, sql: str) -> Generator[pa.RecordBatch]:
    """Give the rows as they come, and close the connection of psycopg once they are sure to be of the types that it learned."""
    mark = _FIRST_MARK + next(_MARKS) % _MANY_MARKS
    says = make_conninfo(**connection_parameters(query), keepalives_idle=mark)
    psycopg = begun.cursor.connection
    statements = [*SESSION, "set local statement_timeout = 0"]  # that is of all rows together
    if psycopg.info.server_version >= _CHECKS_CLIENTS:
        statements.append("set local client_connection_check_interval = 1000")
    with (
        _explained(query, mark) as timeout,
        closing(adbc.connect(says, autocommit=True)) as connection,
        connection.cursor() as cursor,
    ):
        try:
            for statement in statements:
                cursor.execute(statement)
            cursor.adbc_statement.set_options(**{_BATCH: _BYTES})
            cursor.execute(sql)
            rows = cast("Iterator[pa.RecordBatch]", cursor.fetch_record_batch())
            # The rows have begun, and their tables are locked by who gives them.
            begun.cursor.close()
            psycopg.close()
            for batch in rows:
                timeout.restart()
                yield batch
                timeout.restart()
        except _ERRORS as error:
            # A server that takes this has refused the query; else it broke off.
            cursor.execute("rollback")
            raise _AskPsycopgError(error) from None
        except GeneratorExit:
            _cut(mark)  # else all other rows were fetched before the connection is closed
            raise


def _frame(batch: pa.RecordBatch, types: Mapping[str, ColumnType], query: DatabaseQuery) -> pl.DataFrame:
    try:
        batch.validate(full=True)  # texts of servers that know no encoding
    except pa.ArrowInvalid as error:
        raise _AskPsycopgError(error) from error
    columns = zip(types.items(), batch.columns, strict=True)
    return pl.DataFrame([_series(name, values, of, query) for (name, of), values in columns])


def _series(name: str, values: pa.Array, of: ColumnType, query: DatabaseQuery) -> pl.Series:
    column = pl.Series(name, values)
    if column.dtype == pl.String:
        return typed(name, column, of, where=f"{query.where}.sql", text="text")
    if of.kind in _RANGES:
        first, last = _RANGES[of.kind]
        if not column.to_physical().is_between(first, last).all():
            raise _AskPsycopgError(f"column {name!r} has a value that no {of.kind} of a table can be")
    return column.cast(of.dtype)


@contextmanager
def _explained(query: DatabaseQuery, mark: int) -> Generator[QueryTimeout]:
    """Cut connections after a silence, and say what it means for who reads if one breaks off."""
    with QueryTimeout(lambda: _cut(mark), query.limits.seconds) as timeout:
        try:
            yield timeout
        except _ERRORS as error:
            raise (query.timeout_error() if timeout.has_ended else query.unavailable_error(error)) from None


def _cut(mark: int) -> None:
    """End the connections whose sockets have this mark: seconds of silence after which the system asks whether the other side is there."""
    for name in (int(path.name) for path in Path("/dev/fd").iterdir()):
        with suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(name).st_mode):
                continue
            with socket.fromfd(name, socket.AF_INET, socket.SOCK_STREAM) as one:
                if one.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == mark:
                    one.shutdown(socket.SHUT_RDWR)
