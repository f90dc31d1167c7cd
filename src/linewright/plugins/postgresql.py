"""Queries on PostgreSQL, through a cursor of the server."""

import os
import re
import socket
import struct
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import polars as pl
import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.types.string import TextLoader

from linewright.data.read.query_timeout import QueryTimeout
from linewright.data.read.sql.column_types import INTEGER, NUMBER, TEXT, ColumnType, decimal
from linewright.data.read.sql.database import (
    CONNECT_S,
    DIGEST_MASK,
    GRACE_S,
    PIECE,
    Database,
    DatabaseQuery,
    OpenTransactions,
    QueryResult,
    frames_of,
    refuse_other_options,
    refuse_twins,
)
from linewright.data.write.table import AT_ONCE, RUN, Columns, TableWrite, theirs, to_kinds
from linewright.errors import LinewrightError
from linewright.text.database_url import POSTGRESQL_OPTIONS
from linewright.text.quoting import double_quoted

_CURSOR = "linewright_rows"
_BYTES_RECEIVED = struct.Struct("=128xQ")
"""The place of `tcpi_bytes_received` in Linux's `tcp_info`."""
_NUMERIC = 1700
_VARHDRSZ = 4
"""What PostgreSQL adds to precision and scale of a numeric."""
_TYPES = {
    **dict.fromkeys((20, 21, 23, 26), INTEGER),
    **dict.fromkeys((700, 701), NUMBER),
    # bool, date, timestamp, timestamptz, time
    16: ColumnType(kind="boolean"),
    1082: ColumnType(kind="date"),
    1114: ColumnType(kind="datetime"),
    1184: ColumnType(kind="instant"),
    1083: ColumnType(kind="time"),
    # "char", name, text, json, xml, cidr, macaddr8, unknown, macaddr, inet, char, varchar, bit, varbit, uuid, jsonb
    **dict.fromkeys(
        (18, 19, 25, 114, 142, 650, 774, 705, 829, 869, 1042, 1043, 1560, 1562, 2950, 3802), TEXT
    ),
}
"""Types that a table can hold, by the number that PostgreSQL gives them."""
_WRITTEN: Mapping[str, str] = {
    "integer": "bigint",
    "number": "double precision",
    "boolean": "boolean",
    "date": "date",
    "datetime": "timestamp",
    "instant": "timestamptz",
    "text": "text",
}
"""Types of columns of tables that are created, by their kind."""
_TEXTS = frozenset({"citext", "ltree"})
"""Types of extensions that are texts."""
_INSTEAD = {
    "money": "cast({0} as numeric) as {0}",
    "interval": "extract(epoch from {0}) as {0}",
    "bytea": "encode({0}, 'hex') as {0}",
    "array": "to_json({0}) as {0}",
    "range": "lower({0}) as {1}_from, upper({0}) as {1}_to",
}
_TRANSIENT = ("08", "40", "53", "55", "57", "58", "72", "XX")
"""First letters of SQLSTATE of what may be otherwise the next time: connection, conflict, resources, locks, operator, system."""
_IN_THE_OPEN = "cleartext password"
"""What libpq says of a server that wants what `DatabaseUrl.guard` forbids."""
_NOT_NOW = (
    "starting up",
    "shutting down",
    "recovery",
    "too many",
    "remaining connection slots",
    "not yet accepting",
)
SESSION = (
    "begin isolation level repeatable read, read only",
    "set local timezone = 'UTC'",
    "set local datestyle = 'ISO, YMD'",
    "set local extra_float_digits = 1",
    # The same rows come in the same order.
    "set local synchronize_seqscans = off",
    "set local max_parallel_workers_per_gather = 0",
    # All rows are fetched: a plan for the first ones takes longer, and gives another order.
    "set local cursor_tuple_fraction = 1",
)
_TABLES = """
    select case when table_schema = any(current_schemas(false)) then table_name else table_schema || '.' || table_name end
    from information_schema.tables where table_schema not in ('pg_catalog', 'information_schema') order by 1 limit 100
"""
_CLOCK = "select cast(extract(epoch from now()) * 1000000 as int8), pg_is_in_recovery()"
_OPEN = """
    select 'session ' || l.virtualxid, cast(extract(epoch from a.xact_start) * 1000000 as int8)
    from pg_catalog.pg_locks as l left join pg_catalog.pg_stat_activity as a on a.pid = l.pid
    where l.locktype = 'virtualxid' and l.granted and l.mode = 'ExclusiveLock' and l.pid <> pg_backend_pid()
        and (a.datname is null or a.datname = current_database()) and a.backend_type is distinct from 'autovacuum worker'
    union all
    select 'prepared ' || gid, null from pg_catalog.pg_prepared_xacts where database = current_database()
"""
"""Every transaction holds a lock on its own number, also one that has read only so far; all users may see who holds it."""
_KINDS = """
    select t.oid::int8, t.typname, t.typtype, t.typcategory
    from pg_catalog.pg_type t where t.oid::int8 = any(string_to_array('{}', ',')::int8[])
"""


class PostgreSql(Database):
    """Asks PostgreSQL."""

    port = 5432
    tables = _TABLES
    plain = r"[a-z_][a-z0-9_]*"

    @contextmanager
    def ask(self, query: DatabaseQuery) -> Generator[QueryResult]:
        """Open a cursor in a read-only transaction that sees one state of the database."""
        with opened(query) as (cursor, types, timeout), cursor.connection.cursor() as rows:
            fetch = partial(_fetch, rows)
            yield QueryResult(types=types, frames=frames_of(fetch, types, query, timeout, text="text"))

    def text_since(self, name: str, least: str) -> str:
        """Compare bytes, whatever the collation of the column is."""
        return (
            f"cast({name} as text) collate \"C\" >= {self.literal(least)} or cast({name} as text) !~ '^[!-~]'"
        )

    def open_transactions(self, query: DatabaseQuery) -> OpenTransactions | None:
        """Ask the catalogue, which any user may: who may not see when others began sees at least that they did.

        A stand-by server does not know who writes.
        """
        connection = _connected(query)
        try:
            with (
                _timeout(connection, query) as timeout,
                _explained(query, connection, timeout),
            ):
                # The clock first: who is not listed afterwards begins after it.
                ((at, is_standby),) = connection.execute(_CLOCK.encode())
                rows = connection.execute(_OPEN.encode()).fetchall()
        finally:
            connection.close()
        if is_standby == "t":
            return None
        return OpenTransactions(
            at=int(at), since={str(name): None if began is None else int(began) for name, began in rows}
        )

    def add_rows(self, write: TableWrite, frames: Iterator[pl.DataFrame], *, is_again: bool) -> None:
        """Copy the rows in one transaction; see `data.write.table.TableWriter`."""
        connection = _connected(write, writes=True)
        table = self.quoted(write.table)
        names = ", ".join(map(double_quoted, write.columns))
        try:
            with (
                QueryTimeout(_cut(connection), write.limits.seconds) as timeout,
                _explained(write, connection, timeout),
                connection.transaction(),
            ):
                connection.execute(b"set local timezone = 'UTC'")
                ((found,),) = connection.execute("select to_regclass(%s)", (table,))
                if found is None:
                    columns = ", ".join(
                        f"{double_quoted(name)} {_WRITTEN[kind]}" for name, kind in write.columns.items()
                    )
                    connection.execute(f"create table {table} ({columns})".encode())
                    connection.execute(f"create index on {table} ({double_quoted(RUN)})".encode())
                of_table = f"from {table}"
                said = connection.execute(f"select * {of_table} limit 0".encode()).description or []
                write.refuse_lacking([column.name for column in said])
                if (
                    is_again
                    and connection.execute(
                        f"select 1 {of_table} where {double_quoted(RUN)} = %s limit 1".encode(),
                        (write.run,),
                    ).fetchone()
                ):
                    return
                with (
                    connection.cursor() as cursor,
                    cursor.copy(f"copy {table} ({names}) from stdin".encode()) as copy,
                ):
                    for frame in frames:
                        for row in to_kinds(frame, write.columns).iter_rows():
                            copy.write_row(row)
                        timeout.restart()
        finally:
            connection.close()

    def remove_rows(
        self, write: TableWrite, are_theirs: Callable[[Columns], Sequence[bool]], *, dry_run: bool
    ) -> int | None:
        """Read by a cursor and delete in one transaction; see `data.write.table.TableWriter`."""
        connection = _connected(write, writes=True)
        table = self.quoted(write.table)
        of_table = f"from {table}"
        try:
            with (
                QueryTimeout(_cut(connection), write.limits.seconds) as timeout,
                _explained(write, connection, timeout),
                connection.transaction(),
            ):
                ((found,),) = connection.execute("select to_regclass(%s)", (table,))
                if found is None:
                    return None
                said = connection.execute(f"select * {of_table} limit 0".encode()).description or []
                names = write.looked_at([column.name for column in said])
                those = list[object]()
                with connection.cursor(_CURSOR) as rows:
                    rows.itersize = AT_ONCE
                    rows.execute(f"select {', '.join(map(double_quoted, names))} {of_table}".encode())
                    while some := rows.fetchmany(AT_ONCE):
                        those += theirs(names, some, are_theirs)
                        timeout.restart()
                one = f"delete {of_table} where {double_quoted(names[0])} = any(%s)".encode()
                for start in range(0, 0 if dry_run else len(those), AT_ONCE):
                    connection.execute(one, (those[start : start + AT_ONCE],))
                    timeout.restart()
                return len(those)
        finally:
            connection.close()

    def row_digest(self, types: Mapping[str, ColumnType]) -> str:
        """Return the server's own hash of the row: that of its texts is of their letters, whatever equals what in their types."""
        values = ", ".join(
            f'cast({double_quoted(name)} as text) collate "C"' if of == TEXT else double_quoted(name)
            for name, of in types.items()
        )
        return f"pg_catalog.hash_record_extended(row({values}), 0) & {DIGEST_MASK}"

    def day(self, column: str) -> str:
        """Return the days from 1970; sessions are in UTC."""
        return f"cast(cast({double_quoted(column)} as date) - date '1970-01-01' as int8)"

    def span(self, column: str, first: int, width: int) -> str:
        """Return it by the division of whole numbers."""
        return f"(cast({double_quoted(column)} as int8) - {first}) / {width}"


class OpenCursor(NamedTuple):
    """A query that has begun."""

    cursor: psycopg.ServerCursor[Any]
    types: dict[str, ColumnType]
    timeout: QueryTimeout


@contextmanager
def opened(query: DatabaseQuery) -> Generator[OpenCursor]:
    """Open a cursor of a query, and learn the types of its columns."""
    connection = _connected(query)
    try:
        with (
            _timeout(connection, query) as timeout,
            _explained(query, connection, timeout),
        ):
            millis = max(1, round(query.limits.seconds * 1000))
            for statement in (*SESSION, f"set local statement_timeout = {millis}"):
                connection.execute(statement.encode())
            with psycopg.ServerCursor(connection, _CURSOR) as cursor:
                # The protocol takes one statement, and a cursor is of a SELECT that writes nothing.
                cursor.execute(query.sql.strip().rstrip(";").encode())
                yield OpenCursor(cursor, _types(connection, cursor, query), timeout)
    finally:
        connection.close()


def _fetch(cursor: psycopg.Cursor[Any], rows: int) -> Iterator[Sequence[Sequence[str | None]]]:
    """Give rows of the server's cursor: they come together, and become Python's objects piece by piece."""
    cursor.execute(f"fetch forward {rows} from {_CURSOR}".encode())
    while piece := cursor.fetchmany(PIECE):
        yield piece


def connection_parameters(query: DatabaseQuery) -> dict[str, Any]:
    """Return the place of a database and its user as libpq takes them."""
    url = query.url
    said: dict[str, Any] = {**url.options, **url.guard}
    if not url.host.startswith("/"):
        said["hostaddr"] = ",".join(query.addresses)
    return {
        "host": ",".join([url.host] * len(query.addresses)),
        "port": url.port or PostgreSql.port,
        "dbname": url.database,
        "user": url.user or None,
        "password": url.password or None,
        "connect_timeout": CONNECT_S,
        "application_name": "linewright",
        "client_encoding": "UTF8",
        **said,
    }


def _connected(query: DatabaseQuery, *, writes: bool = False) -> psycopg.Connection[Any]:
    refuse_other_options(query, POSTGRESQL_OPTIONS)
    adapters = AdaptersMap()
    adapters.register_loader(0, TextLoader)
    context = None if writes else adapters
    try:
        return psycopg.connect(**connection_parameters(query), autocommit=True, context=context)
    except (psycopg.Error, UnicodeError, OSError) as error:
        says = str(error)
        if _IN_THE_OPEN in says:
            raise query.login_error(
                "it asks for the password itself, which is only sent by socket or to a server with a certificate: "
                "add sslmode=verify-full to the URL, and sslrootcert"
            ) from None
        is_refused = "FATAL" in says and not any(part in says for part in _NOT_NOW)
        # From none: the error of the driver names what it was called with.
        raise (
            query.login_error(error) if is_refused or "password" in says else query.unavailable_error(error)
        ) from None


def _cut(connection: psycopg.Connection[Any]) -> Any:
    """Return what ends a connection from another thread."""

    def cut() -> None:
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as one:
            one.shutdown(socket.SHUT_RDWR)

    return cut


def _timeout(connection: psycopg.Connection[Any], query: DatabaseQuery) -> QueryTimeout:
    """Return what cuts a connection: libpq itself takes whatever a server sends, as one value or as rows that nobody asked for."""
    return QueryTimeout(
        _cut(connection), query.limits.seconds + GRACE_S, received=partial(_received, connection)
    )


def _received(connection: psycopg.Connection[Any]) -> int:
    """Return how many bytes came by a connection over the network, as the kernel counts them; 0 where it does not."""
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as one:
            said = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED.size)
        (count,) = _BYTES_RECEIVED.unpack(said)
    except (AttributeError, OSError, psycopg.Error, struct.error):
        return 0
    return count


@contextmanager
def _explained(
    query: DatabaseQuery, connection: psycopg.Connection[Any], timeout: QueryTimeout
) -> Generator[None]:
    """Say what a failed query means for who reads."""
    try:
        yield
    except psycopg.Error as error:
        raise _error(error, query, connection, timeout) from None
    except UnicodeError as error:
        raise query.query_error(error) from None


def _error(
    error: psycopg.Error, query: DatabaseQuery, connection: psycopg.Connection[Any], timeout: QueryTimeout
) -> LinewrightError:
    state = error.sqlstate or ""
    if timeout.is_flooded:
        return query.flood_error()
    if timeout.has_ended or state == "57014":
        return query.timeout_error()
    if state.startswith(_TRANSIENT) or not state or connection.broken:
        return query.unavailable_error(error)
    tables: list[str] = []
    with suppress(psycopg.Error):
        connection.execute(b"rollback")
        tables = [str(name) for (name,) in connection.execute(_TABLES.encode())]
    return query.query_error(error.diag.message_primary or error, tables)


def _types(
    connection: psycopg.Connection[Any], cursor: psycopg.ServerCursor[Any], query: DatabaseQuery
) -> dict[str, ColumnType]:
    columns = cursor.description or []
    refuse_twins([column.name for column in columns], query.where)
    others = {column.type_code for column in columns} - _TYPES.keys() - {_NUMERIC}
    kinds: dict[int, tuple[str, str, str]] = {}
    if others:
        said = connection.execute(_KINDS.format(",".join(map(str, others))).encode())
        kinds = {int(oid): (name, kind, category) for oid, name, kind, category in said}
    found: dict[str, ColumnType] = {}
    for number, column in enumerate(columns):
        if column.type_code == _NUMERIC:
            found[column.name] = _numeric(cursor.pgresult.fmod(number) if cursor.pgresult else -1)
        else:
            found[column.name] = _TYPES.get(column.type_code) or _other(
                column.name, kinds.get(column.type_code), query
            )
    return found


def _numeric(modifier: int) -> ColumnType:
    """Return the type of numeric(precision, scale) by what the server says of it: -1 if it says nothing, as of sums."""
    if modifier < _VARHDRSZ:
        return NUMBER
    precision, scale = (modifier - _VARHDRSZ) >> 16, (modifier - _VARHDRSZ) & 0x7FF
    return decimal(precision, scale - 0x800 if scale & 0x400 else scale)


def _other(column: str, kind: tuple[str, str, str] | None, query: DatabaseQuery) -> ColumnType:
    name, form, category = kind or ("of an unknown type", "", "")
    if form == "e" or name in _TEXTS:
        return TEXT
    key = "array" if category == "A" else "range" if form in {"r", "m"} else name
    instead = _INSTEAD.get(key, "cast({0} as text) as {0}").format(
        double_quoted(column), re.sub(r"\W", "_", column)
    )
    raise query.type_error(column, name, instead)
