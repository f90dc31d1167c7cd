"""Queries on MariaDB and MySQL, whose rows come as they are read."""

import re
import socket
import struct
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import pairwise
from typing import Any, NoReturn

import polars as pl
import pymysql
from pymysql.constants import FIELD_TYPE, FLAG
from pymysql.converters import encoders
from pymysql.cursors import SSCursor

from linewright.data.read.query_timeout import QueryTimeout
from linewright.data.read.sql.column_types import INTEGER, NUMBER, TEXT, ColumnType, decimal
from linewright.data.read.sql.database import (
    CONNECT_S,
    GRACE_S,
    PIECE,
    Database,
    DatabaseQuery,
    QueryResult,
    frames_of,
    refuse_other_options,
    refuse_twins,
)
from linewright.data.read.sql.stream import connect_stream, cut
from linewright.data.write.table import AT_ONCE, RUN, Columns, TableWrite, theirs, to_kinds
from linewright.errors import LinewrightError

_OPTIONS = frozenset({"ssl_ca"})
_BINARY = 63
"""The character set of bytes."""
_WHOLE = frozenset(
    {
        FIELD_TYPE.TINY,
        FIELD_TYPE.SHORT,
        FIELD_TYPE.LONG,
        FIELD_TYPE.LONGLONG,
        FIELD_TYPE.INT24,
        FIELD_TYPE.YEAR,
    }
)
_TEXTS = frozenset(
    {
        FIELD_TYPE.VARCHAR,
        FIELD_TYPE.VAR_STRING,
        FIELD_TYPE.STRING,
        FIELD_TYPE.BLOB,
        FIELD_TYPE.TINY_BLOB,
        FIELD_TYPE.MEDIUM_BLOB,
        FIELD_TYPE.LONG_BLOB,
    }
)
_OTHERS = {
    FIELD_TYPE.FLOAT: NUMBER,
    FIELD_TYPE.DOUBLE: NUMBER,
    FIELD_TYPE.DATE: ColumnType(kind="date"),
    FIELD_TYPE.NEWDATE: ColumnType(kind="date"),
    FIELD_TYPE.DATETIME: ColumnType(kind="datetime"),
    FIELD_TYPE.TIMESTAMP: ColumnType(kind="instant"),
    FIELD_TYPE.TIME: ColumnType(kind="time"),
    FIELD_TYPE.JSON: TEXT,
    FIELD_TYPE.ENUM: TEXT,
    FIELD_TYPE.SET: TEXT,
    FIELD_TYPE.NULL: TEXT,
}
_MODES = frozenset(
    {"NO_BACKSLASH_ESCAPES", "ANSI_QUOTES", "ANSI", "DB2", "MAXDB", "MSSQL", "ORACLE", "POSTGRESQL"}
)
"""Modes that change how the quotes of a query are read, and those that stand for others with one of these among them."""
_SESSION = (
    "set session time_zone = '+00:00'",
    "set session transaction isolation level repeatable read",
    "start transaction with consistent snapshot, read only",
)
_NO_WAY_IN = 2059
_BARE = ("mysql_clear_password", "dialog", "mysql_old_password")
"""Ways to log in that send the password, or what is as good."""
_LET_IN = frozenset({1044, 1045, 1049, 1130, 1251, 1698, _NO_WAY_IN})
"""Numbers of errors of user, password and database."""
_LOST = frozenset({1040, 1053, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1205, 1213, 1226, 1927})
"""Numbers of errors that may not come the next time."""
_CLIENT = 2000
"""From here on errors are the client's: it found no server, or lost it."""
_UNSOUND = (RuntimeError, ValueError, LookupError, AttributeError, AssertionError, TypeError, struct.error)
"""What the driver raises of packets that no server should send, such as one that asks for a file of this machine."""
_TIMED_OUT = frozenset({1317, 1969, 3024})
_SCANNED = re.compile(
    r"""(?P<skipped>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`|--(?=[\x01-\x20\x7f]|$)[^\n]*|\#[^\n]*|/\*(?![!M]).*?\*/|\s+)"""
    r"|(?P<number>[0-9]+(?:[eE][0-9]+)?)|(?P<word>\w+)|(?P<mark>/\*|.)",
    re.DOTALL | re.ASCII,
)
"""Parts of a query as this server reads them: a number ends before a letter, and after ``--`` comes a blank or a control character of ASCII."""


_WRITTEN: Mapping[str, str] = {
    "integer": "bigint",
    "number": "double",
    "boolean": "boolean",
    "date": "date",
    "datetime": "datetime(6)",
    "instant": "datetime(6)",
    "text": "longtext",
}
"""Types of columns of tables that are created, by their kind."""
_IS_THERE = "select 1 from information_schema.tables where table_name = %s and table_schema = coalesce(%s, database())"


class _Refused:
    """Ways in that would tell the password to who stands between: an impostor needs only to ask for one of them."""

    def __init__(self, connection: Any) -> None:
        del connection
        raise _asks_for_password()


class _TakesNoKey(pymysql.Connection):
    """A connection without TLS. It encrypts the password with no key that the server sends: an impostor would send its own."""

    @property
    def server_public_key(self) -> NoReturn:
        """The driver reads it before it sends the password by `sha256_password` or `caching_sha2_password`."""
        raise _asks_for_password()

    @server_public_key.setter
    def server_public_key(self, key: bytes | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride] -- no key is had
        del key


def _asks_for_password() -> pymysql.OperationalError:
    return pymysql.OperationalError(
        _NO_WAY_IN,
        "it asks for the password itself, which is only sent by TLS or socket: add ssl_ca to the URL",
    )


class MySql(Database):
    """Asks MariaDB or MySQL."""

    port = 3306
    tables = "select table_name from information_schema.tables where table_schema = database() order by 1 limit 100"
    keeps_order = False

    @contextmanager
    def ask(self, query: DatabaseQuery) -> Generator[QueryResult]:
        """Read one SELECT, unbuffered, in a read-only transaction that sees one state of the database."""
        _require_select(query)
        connection, twin = _connected(query)
        rows: Any = connection.cursor(SSCursor)
        try:
            with (
                twin,
                QueryTimeout(partial(cut, twin), query.limits.seconds) as timeout,
                _explained(query, connection, timeout),
            ):
                with _sound(query):
                    with connection.cursor() as cursor:
                        for statement in (_modes(cursor), *_SESSION):
                            cursor.execute(statement)
                    rows.execute(query.sql.strip().rstrip(";"))
                    types = _types(rows, query)
                fetch = partial(_fetch, rows, query)
                yield QueryResult(types=types, frames=frames_of(fetch, types, query, timeout, text="char"))
        finally:
            _leave(connection, rows)

    def column(self, name: str) -> str:
        """Return a name in quotes."""
        return _quoted(name)

    def literal(self, text: str) -> str:
        """Return a text in quotes, in which a backslash is one."""
        return super().literal(text.replace("\\", "\\\\"))

    def text_since(self, name: str, least: str) -> str:
        """Compare bytes of UTF-8."""
        return f"{_bytes_of(name)} >= {_bytes_of(self.literal(least))} or {name} not regexp '^[!-~]'"

    def add_rows(self, write: TableWrite, frames: Iterator[pl.DataFrame], *, is_again: bool) -> None:
        """Insert the rows in one transaction; see `data.write.table.TableWriter`."""
        # Of a table that is not there, creating it ends a transaction; it is empty then.
        table, names = self.quoted(write.table), [_quoted(name) for name in write.columns]
        columns = ", ".join(
            f"{_quoted(name)} {'varchar(64)' if name == RUN else _WRITTEN[kind]}"
            for name, kind in write.columns.items()
        )
        with _writing(write) as (connection, cursor, timeout):
            if not _is_there(cursor, write.table):
                cursor.execute(
                    f"create table if not exists {table} ({columns}, key ({_quoted(RUN)})) engine=InnoDB charset=utf8mb4"
                )
            of_table = f"from {table}"
            cursor.execute(f"select * {of_table} limit 0")
            write.refuse_lacking([str(column[0]) for column in cursor.description])
            one = f"select 1 {of_table} where {_quoted(RUN)} = %s limit 1"
            if is_again and cursor.execute(one, (write.run,)):
                return
            places = ", ".join(["%s"] * len(names))
            said = f"insert into {table} ({', '.join(names)})".replace("%", "%%")
            for frame in frames:
                rows = to_kinds(frame, write.columns).with_columns(
                    pl.col(pl.Datetime("us", "UTC")).dt.replace_time_zone(None)
                )
                cursor.executemany(f"{said} values ({places})", rows.rows())
                timeout.restart()
            connection.commit()

    def remove_rows(
        self, write: TableWrite, are_theirs: Callable[[Columns], Sequence[bool]], *, dry_run: bool
    ) -> int | None:
        """Read unbuffered and delete in one transaction; see `data.write.table.TableWriter`."""
        of_table = f"from {self.quoted(write.table)}"
        with _writing(write) as (connection, cursor, timeout):
            if not _is_there(cursor, write.table):
                return None
            cursor.execute(f"select * {of_table} limit 0")
            names = write.looked_at([str(column[0]) for column in cursor.description])
            those = list[object]()
            with connection.cursor(SSCursor) as rows:
                rows.execute(f"select {', '.join(map(_quoted, names))} {of_table}")
                while some := rows.fetchmany(AT_ONCE):
                    those += theirs(names, some, are_theirs)
                    timeout.restart()
            one = f"delete {of_table} where {_quoted(names[0])} in ".replace("%", "%%")
            for start in range(0, 0 if dry_run else len(those), AT_ONCE):
                some = those[start : start + AT_ONCE]
                cursor.execute(f"{one}({', '.join(['%s'] * len(some))})", some)
                timeout.restart()
            connection.commit()
            return len(those)

    def row_digest(self, types: Mapping[str, ColumnType]) -> str:
        """Return a part of the MD5 of the values in quotes; where those are together too long for the server, of the MD5 of each."""
        # A text that is too long is null, of which `concat` makes null. The server gives no row as long as that, so each value has an MD5.
        names = [_quoted(name) for name in types]
        quotes = ", ',', ".join(f"quote({name})" for name in names)
        hashes = ", ',', ".join(f"coalesce(md5({name}), '')" for name in names)
        digests = (
            f"cast(conv(left(md5(concat({texts})), 15), 16, 10) as signed)" for texts in (quotes, hashes)
        )
        return f"coalesce({', '.join(digests)})"

    def day(self, column: str) -> str:
        """Return the days from 1970; sessions are in UTC."""
        return f"to_days({_quoted(column)}) - 719528"

    def span(self, column: str, first: int, width: int) -> str:
        """Return it by the division of whole numbers."""
        return f"(cast({_quoted(column)} as signed) - {first}) div {width}"


def _quoted(name: str) -> str:
    return "`{}`".format(name.replace("`", "``"))


def _bytes_of(text: str) -> str:
    return f"cast(convert({text} using utf8mb4) as binary)"


def _leave(connection: Any, rows: Any) -> None:
    """Close a connection at once: all public ways read the rest of the rows before."""
    connection._force_close()  # noqa: SLF001
    if (result := rows._result) is not None:  # noqa: SLF001
        result.unbuffered_active = False
    rows.close()


def _require_select(query: DatabaseQuery) -> None:
    """Refuse what is not one SELECT: a read-only transaction of this server may still write files, and lock rows."""
    words = list[str]()
    text = query.sql.strip().rstrip(";")
    for found in _SCANNED.finditer(text):
        if found["mark"] in {";", "/*", "\0"}:
            raise query.query_error("only one statement may be sent, without executable comments")
        if found["word"] or found["mark"]:
            words.append(found[0].lower())
    first = next((word for word in words if word != "("), "")
    pairs = {*pairwise(words)}
    if first not in {"select", "with", "values"} or "into" in words:
        raise query.query_error("this is not one SELECT that writes nothing")
    if pairs & {("for", "update"), ("for", "share"), ("lock", "in")}:
        raise query.query_error("this would lock rows")


def _modes(cursor: Any) -> str:
    cursor.execute("select @@session.sql_mode")
    ((said,),) = cursor.fetchall()
    kept = [mode for mode in str(said).split(",") if mode not in _MODES]
    return "set session sql_mode = '{}'".format(",".join(kept).replace("'", ""))


def _connected(query: DatabaseQuery) -> tuple[Any, socket.socket]:
    """Return a connection, and its socket once more: by TLS the driver makes it another one, and another thread is to end it."""
    url = query.url
    refuse_other_options(query, _OPTIONS)
    how: dict[str, Any] = {"conv": encoders}  # all values come as texts
    kind = pymysql.Connection
    if "ssl_ca" in url.options:
        how |= {"ssl_ca": url.options["ssl_ca"], "ssl_verify_identity": True}
    elif not url.host.startswith("/"):
        kind, how["auth_plugin_map"] = _TakesNoKey, dict.fromkeys(_BARE, _Refused)
    stream = connect_stream(query, MySql.port)
    twin = stream.dup()
    try:
        with QueryTimeout(partial(cut, twin), CONNECT_S):
            connection = kind(
                host=url.host,
                user=url.user,
                password=url.password,
                database=url.database or None,
                charset="utf8mb4",
                defer_connect=True,
                read_timeout=max(CONNECT_S, query.limits.seconds + GRACE_S),
                **how,
            )
            connection.connect(stream)
    except (pymysql.Error, OSError, *_UNSOUND) as error:
        stream.close()
        twin.close()
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        says = error.args[-1] if number else error
        raise (query.login_error(says) if number in _LET_IN else query.unavailable_error(says)) from None
    return connection, twin


@contextmanager
def _writing(write: TableWrite) -> Generator[tuple[Any, Any, QueryTimeout]]:
    """Give a connection that writes, with a cursor and its timeout; what is not committed is undone."""
    connection, twin = _connected(write)
    try:
        with (
            twin,
            QueryTimeout(partial(cut, twin), write.limits.seconds) as timeout,
            _explained(write, connection, timeout),
            connection.cursor() as cursor,
        ):
            # Nothing is cut off to fit, and nothing made of what does not.
            cursor.execute("set session time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES'")
            yield connection, cursor, timeout
    finally:
        with suppress(pymysql.Error, OSError):
            connection.close()


def _is_there(cursor: Any, table: str) -> bool:
    schema, _, name = table.rpartition(".")
    return bool(cursor.execute(_IS_THERE, (name, schema or None)))


@contextmanager
def _sound(query: DatabaseQuery) -> Generator[None]:
    """Say of a server that it sends packets of another kind; it is given no file of this machine."""
    try:
        yield
    except (LinewrightError, pymysql.Error, UnicodeError):
        raise
    except _UNSOUND as error:
        raise query.unavailable_error(f"it sends what it should not ({error})") from None


@contextmanager
def _explained(query: DatabaseQuery, connection: Any, timeout: QueryTimeout) -> Generator[None]:
    try:
        yield
    except pymysql.Error as error:
        if timeout.has_ended:
            _end_query(query, connection.thread_id())
        raise _error(error, query, timeout) from None
    except UnicodeError as error:
        raise query.query_error(error) from None


def _error(error: pymysql.Error, query: DatabaseQuery, timeout: QueryTimeout) -> LinewrightError:
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    if timeout.has_ended or number in _TIMED_OUT or "timed out" in str(error):
        return query.timeout_error()
    says = error.args[-1]
    if not number or number >= _CLIENT or number in _LOST:
        return query.unavailable_error(says)
    return query.query_error(says, _tables(query))


def _end_query(query: DatabaseQuery, thread: int) -> None:
    """Have the server end what it does for a connection that nobody listens to any more."""
    with suppress(LinewrightError, pymysql.Error):
        connection, twin = _connected(query)
        with twin, connection, connection.cursor() as cursor:
            cursor.execute(f"kill {int(thread)}")


def _tables(query: DatabaseQuery) -> Sequence[str]:
    """Return the tables that there are; the connection of the query is of no use any more."""
    with suppress(LinewrightError, pymysql.Error):
        connection, twin = _connected(query)
        with twin, connection, connection.cursor() as cursor:
            cursor.execute(MySql.tables)
            return [str(name) for (name,) in cursor.fetchall()]
    return []


def _types(cursor: Any, query: DatabaseQuery) -> dict[str, ColumnType]:
    fields = cursor._result.fields  # noqa: SLF001 -- nothing else says what is unsigned
    refuse_twins([field.name for field in fields], query.where)
    return {field.name: _type(field, query) for field in fields}


def _type(field: Any, query: DatabaseQuery) -> ColumnType:
    kind, is_unsigned = field.type_code, bool(field.flags & FLAG.UNSIGNED)
    if kind in _WHOLE:
        return ColumnType(kind="unsigned") if is_unsigned and kind == FIELD_TYPE.LONGLONG else INTEGER
    if kind in {FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL}:
        # The length is that of the text: with a sign and a point.
        return decimal(field.length - (not is_unsigned) - (field.scale > 0), field.scale)
    if kind in _OTHERS:
        return _OTHERS[kind]
    if kind in _TEXTS and field.charsetnr != _BINARY:
        return TEXT
    name = _quoted(field.name)
    if kind == FIELD_TYPE.BIT:
        raise query.type_error(field.name, "bit", f"{name} + 0 as {name}")
    if kind == FIELD_TYPE.GEOMETRY:
        raise query.type_error(field.name, "geometry", f"st_astext({name}) as {name}")
    raise query.type_error(field.name, "bytes", f"hex({name}) as {name}")


def _fetch(cursor: Any, query: DatabaseQuery, rows: int) -> Iterator[Sequence[Sequence[str | None]]]:
    for start in range(0, rows, PIECE):
        with _sound(query):
            piece = cursor.fetchmany(min(PIECE, rows - start))
        if not piece:
            return
        yield piece
