"""Queries on SQL Server, whose rows come as they are read; spoken to by TDS 7.4."""

import socket
import ssl
import struct
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC
from functools import partial
from typing import Any

import polars as pl
from pytds import tds_base
from pytds.row_strategies import list_row_strategy
from pytds.tds_socket import _TdsSocket  # pyright: ignore[reportPrivateUsage] -- `connect` would follow a server to any other one

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
from linewright.data.read.sql.tsql import TSql, require_select
from linewright.data.write.table import AT_ONCE, RUN, Columns, TableWrite, theirs, to_kinds
from linewright.errors import LinewrightError, RequestError, SpecError

_OPTIONS: Mapping[str, frozenset[str] | None] = {
    "ssl_ca": None,
    "encrypt": frozenset({"yes", "no"}),
    "isolation": frozenset({"snapshot", "serializable"}),
}
"""Options of the URL with their values; `None`: any."""
_TYPES: Mapping[int, ColumnType] = {
    **dict.fromkeys(
        (tds_base.SYBINT1, tds_base.SYBINT2, tds_base.SYBINT4, tds_base.SYBINT8, tds_base.SYBINTN), INTEGER
    ),
    **dict.fromkeys((tds_base.SYBREAL, tds_base.SYBFLT8, tds_base.SYBFLTN), NUMBER),
    **dict.fromkeys((tds_base.SYBBIT, tds_base.SYBBITN), ColumnType(kind="boolean")),
    **dict.fromkeys(
        (tds_base.SYBDATETIME4, tds_base.SYBDATETIME, tds_base.SYBDATETIMN, tds_base.SYBMSDATETIME2),
        ColumnType(kind="datetime"),
    ),
    tds_base.SYBMSDATETIMEOFFSET: ColumnType(kind="instant"),
    tds_base.SYBMSDATE: ColumnType(kind="date"),
    tds_base.SYBMSTIME: ColumnType(kind="time"),
    **dict.fromkeys(
        (
            tds_base.XSYBCHAR, tds_base.XSYBVARCHAR, tds_base.XSYBNCHAR, tds_base.XSYBNVARCHAR, tds_base.SYBCHAR, tds_base.SYBVARCHAR,
            tds_base.SYBTEXT, tds_base.SYBNTEXT, tds_base.SYBMSXML, tds_base.SYBUNIQUE,
        ),
        TEXT,
    ),
}  # fmt: skip
"""Types that a table can hold, by their number."""
_DECIMALS = frozenset({tds_base.SYBDECIMAL, tds_base.SYBNUMERIC})
_MONEY = frozenset({tds_base.SYBMONEY, tds_base.SYBMONEY4, tds_base.SYBMONEYN})
_SMALL_MONEY = 4
"""Bytes of SMALLMONEY, which has 10 digits; MONEY has 19."""
_ROWVERSION = 80
"""Number that the server gives ROWVERSION, also called TIMESTAMP, as a type of users."""
_SPELLED: Mapping[int, Callable[[Any], str]] = {
    tds_base.SYBMSDATETIMEOFFSET: lambda at: str(at.astimezone(UTC).replace(tzinfo=None)),
    tds_base.SYBUNIQUE: lambda found: str(found).upper(),
    **dict.fromkeys((tds_base.SYBBIT, tds_base.SYBBITN), lambda found: "1" if found else "0"),
    **dict.fromkeys((tds_base.SYBREAL, tds_base.SYBFLT8, tds_base.SYBFLTN), repr),
    **dict.fromkeys(_DECIMALS | _MONEY, lambda found: f"{found:f}"),
}
"""How values are spelled whose text in Python is another one than that in `column_types`."""
_SESSION = """
    set nocount on; set xact_abort on; set implicit_transactions off; set language us_english; set dateformat ymd;
    set lock_timeout {millis}; set transaction isolation level {isolation}; begin transaction
"""
_ISOLATION = """
    select snapshot_isolation_state, cast(is_read_committed_snapshot_on as int) as is_versioned
    from sys.databases where database_id = db_id()
"""
_LET_IN = frozenset(
    {916, 4060, 4064, 18401, 18452, 18456, 18461, 18470, 18486, 18487, 18488, 40532, 40615, 47000}
)
"""Numbers of errors of user, password, database and firewall."""
_LOST = frozenset(
    {
        596, 615, 921, 922, 924, 926, 927, 976, 978, 983, 1205, 3960, 3961, 4221, 6005, 9001, 10053, 10054, 10060, 10928, 10929, 10936,
        17142, 40143, 40197, 40501, 40540, 40544, 40549, 40550, 40551, 40552, 40553, 40613, 49918, 49919, 49920,
    }
)  # fmt: skip
"""Numbers of errors that may not come the next time: victims of deadlocks, databases that start, change over, or are busy."""
_RESOURCES = 17
"""From this severity on errors are of what the server lacks, or of the server itself."""
_LOCK_TIMEOUT = 1222
_UNSOUND = (
    RuntimeError,
    ValueError,
    LookupError,
    AttributeError,
    AssertionError,
    TypeError,
    ArithmeticError,
    struct.error,
)
"""What the driver raises of packets that no server should send."""
_WRITTEN: Mapping[str, str] = {
    "integer": "bigint",
    "number": "float",
    "boolean": "bit",
    "date": "date",
    "datetime": "datetime2(6)",
    "instant": "datetimeoffset(6)",
    "text": "nvarchar(max)",
}
"""Types of columns of tables that are created, by their kind."""
_IS_THERE = """
    select count(*) as n from INFORMATION_SCHEMA.TABLES where TABLE_NAME = %s and TABLE_SCHEMA = coalesce({schema}, schema_name())
"""
_MOST_VALUES, _MOST_TOGETHER = 2_000, 1_000
"""Values and rows of one INSERT: the server takes 2,100 parameters, and 1,000 rows."""
_PRELOGIN = 0x12
_HEADER = struct.Struct(">BBHHBB")
_MOST_BYTES = 4_096
"""Of a packet before the server says what it takes."""
_ENCRYPTED, _NOT_ENCRYPTED = 1, 2
_IS_ENCRYPTED = frozenset({_ENCRYPTED, 3})


class SqlServer(TSql, Database):
    """Asks SQL Server."""

    port = 1433
    tables = """
        select top (100) case when TABLE_SCHEMA = schema_name() then TABLE_NAME else concat(TABLE_SCHEMA, N'.', TABLE_NAME) end as name
        from INFORMATION_SCHEMA.TABLES order by 1
    """

    @contextmanager
    def ask(self, query: DatabaseQuery) -> Generator[QueryResult]:
        """Read one SELECT, unbuffered, in a transaction that sees one state of the database and is never committed."""
        try:
            require_select(query.sql)
        except ValueError as error:
            raise query.query_error(error) from None
        connection, twin = _connected(query)
        session: Any = connection.main_session
        try:
            with twin, QueryTimeout(partial(cut, twin), query.limits.seconds) as timeout:
                explained = partial(_explained, query, session, timeout)
                with explained():
                    isolation = _isolation(session, query)
                    session.execute(_session(query, isolation))
                    timeout.restart()
                    session.execute(query.sql.strip().rstrip(";"))
                    columns = session.res_info.columns
                    types = _types(columns, query)
                fetch = partial(_fetch, session, [_spelling(column) for column in columns], explained)
                yield QueryResult(
                    types=types, frames=frames_of(fetch, types, query, timeout, text="nvarchar(max)")
                )
        finally:
            connection.close()

    def add_rows(self, write: TableWrite, frames: Iterator[pl.DataFrame], *, is_again: bool) -> None:
        """Insert the rows in one transaction; see `data.write.table.TableWriter`."""
        connection, twin = _connected(write)
        session: Any = connection.main_session
        table, names = self.quoted(write.table), [self.column(name) for name in write.columns]
        try:
            with twin, QueryTimeout(partial(cut, twin), write.limits.seconds) as timeout:
                explained = partial(_explained, write, session, timeout)
                escaped = table.replace("%", "%%")
                with explained():
                    session.execute(_session(write, "read committed"))
                    self._require_table(session, write, table)
                    one = f"select top (1) 1 as x from {escaped} where {self.column(RUN)} = %s"  # noqa: S608
                    if is_again and _all(session, one, (write.run,)):
                        return
                head = f"insert into {escaped} ({', '.join(names).replace('%', '%%')}) values "  # noqa: S608
                places = f"({', '.join(['%s'] * len(names))})"
                some = max(1, min(_MOST_TOGETHER, _MOST_VALUES // len(names)))
                for frame in frames:
                    for rows in to_kinds(frame, write.columns).iter_slices(some):
                        values = [value for row in rows.iter_rows() for value in row]
                        with explained():
                            session.execute(head + ", ".join([places] * rows.height), values)
                        timeout.restart()
                with explained():
                    session.execute("commit transaction")
        finally:
            connection.close()

    def remove_rows(
        self, write: TableWrite, are_theirs: Callable[[Columns], Sequence[bool]], *, dry_run: bool
    ) -> int | None:
        """Read and delete in one transaction; see `data.write.table.TableWriter`."""
        connection, twin = _connected(write)
        session: Any = connection.main_session
        table = self.quoted(write.table)
        try:
            with twin, QueryTimeout(partial(cut, twin), write.limits.seconds) as timeout:
                explained = partial(_explained, write, session, timeout)
                with explained():
                    session.execute(_session(write, "read committed"))
                    if not self._is_there(session, write):
                        return None
                    session.execute(f"select top (0) * from {table}")  # noqa: S608
                    names = write.looked_at([column.column_name for column in session.res_info.columns])
                    _end(session)
                    those = list[object]()
                    session.execute(f"select {', '.join(map(self.column, names))} from {table}")  # noqa: S608
                    fetch = partial(_fetch, session, [_spelling(one) for one in session.res_info.columns])
                    while some := [row for piece in fetch(nullcontext, AT_ONCE) for row in piece]:
                        those += theirs(names, some, are_theirs)
                        timeout.restart()
                    _end(session)
                    one = f"delete from {table} where {self.column(names[0])} in ".replace("%", "%%")  # noqa: S608
                    for start in range(0, 0 if dry_run else len(those), AT_ONCE):
                        some_ids = those[start : start + AT_ONCE]
                        session.execute(f"{one}({', '.join(['%s'] * len(some_ids))})", some_ids)
                        timeout.restart()
                    session.execute("commit transaction")
                    return len(those)
        finally:
            connection.close()

    def _is_there(self, session: Any, write: TableWrite) -> bool:
        schema, _, name = write.table.rpartition(".")
        known = _IS_THERE.format(schema=self.literal(schema).replace("%", "%%") if schema else "null")
        return bool(_all(session, known, (name,))[0][0])

    def _require_table(self, session: Any, write: TableWrite, table: str) -> None:
        """Create the table if it is not there, and refuse one that lacks columns."""
        if not self._is_there(session, write):
            columns = ", ".join(
                f"{self.column(name)} {'nvarchar(64)' if name == RUN else _WRITTEN[kind]} null"
                for name, kind in write.columns.items()
            )
            session.execute(f"create table {table} ({columns})")
            session.execute(f"create index [linewright_run] on {table} ({self.column(RUN)})")
        session.execute(f"select top (0) * from {table}")  # noqa: S608
        write.refuse_lacking([column.column_name for column in session.res_info.columns])
        _end(session)


class _Encrypted:
    """A connection in TLS, as the driver wants a socket to be: the handshake is in packets of TDS, what follows is in TLS.

    The driver's own TLS needs pyOpenSSL. Here it gets the answer that there is none, and speaks through this.
    """

    def __init__(self, stream: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._send(_prelogin(_ENCRYPTED))
        self.is_refused = _encryption(self._packet()) not in _IS_ENCRYPTED
        self._given = bytearray(_packed(4, _prelogin(_NOT_ENCRYPTED)))
        if not self.is_refused:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
            self._shake_hands()

    def _shake_hands(self) -> None:
        is_done = False
        while not is_done:
            try:
                self._tls.do_handshake()
                is_done = True
            except ssl.SSLWantReadError:
                pass
            if self._outgoing.pending:
                self._send(self._outgoing.read())
            if not is_done:
                self._incoming.write(self._packet())

    def _send(self, data: bytes) -> None:
        for start in range(0, len(data), _MOST_BYTES - _HEADER.size):
            some = data[start : start + _MOST_BYTES - _HEADER.size]
            self._stream.sendall(_packed(_PRELOGIN, some, is_last=start + len(some) == len(data)))

    def _packet(self) -> bytes:
        _, _, size, *_ = _HEADER.unpack(self._exactly(_HEADER.size))
        return self._exactly(size - _HEADER.size)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            some = self._stream.recv(size - len(data))
            if not some:
                raise tds_base.ClosedConnectionError
            data += some
        return data

    def sendall(self, buf: bytes, flags: int = 0) -> None:
        """Send bytes; the driver's prelogin has been sent already, in another form."""
        del flags
        if buf[0] != _PRELOGIN:
            self._tls.write(bytes(buf))
            self._stream.sendall(self._outgoing.read())

    def recv(self, size: int) -> bytes:
        """Return some bytes, none at the end."""
        if self._given:
            some = bytes(self._given[:size])
            del self._given[:size]
            return some
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                if not (data := self._stream.recv(1 << 16)):
                    return b""
                self._incoming.write(data)
            except ssl.SSLZeroReturnError:
                return b""

    def recv_into(self, buf: bytearray | memoryview, size: int = 0, flags: int = 0) -> int:
        """Put some bytes into a buffer, and return how many."""
        del flags
        some = self.recv(size or len(buf))
        buf[: len(some)] = some
        return len(some)

    def gettimeout(self) -> float | None:
        """Return the seconds that the socket waits."""
        return self._stream.gettimeout()

    def settimeout(self, timeout: float | None) -> None:
        """Have the socket wait so many seconds."""
        self._stream.settimeout(timeout)

    def close(self) -> None:
        """Close the socket."""
        self._stream.close()


def _packed(kind: int, data: bytes, *, is_last: bool = True) -> bytes:
    return _HEADER.pack(kind, is_last, _HEADER.size + len(data), 0, 1, 0) + data


def _prelogin(encryption: int) -> bytes:
    """Return what is said before the password: version, encryption, instance, thread, and that there is one session."""
    options = (bytes(6), bytes([encryption]), b"\0", bytes(4), b"\0")
    at, heads = 5 * len(options) + 1, b""
    for number, value in enumerate(options):
        heads += struct.pack(">BHH", number, at, len(value))
        at += len(value)
    return heads + b"\xff" + b"".join(options)


def _encryption(said: bytes) -> int:
    """Return what a server says of encryption in its own prelogin."""
    position = 0
    while said[position] != 0xFF:
        kind, at, _ = struct.unpack_from(">BHH", said, position)
        if kind == 1:
            return said[at]
        position += 5
    return _NOT_ENCRYPTED


def _connected(query: DatabaseQuery) -> tuple[_TdsSocket, socket.socket]:
    """Return a connection, and its socket once more, which another thread may end."""
    url = query.url
    refuse_other_options(query, _OPTIONS)
    for name, said in url.options.items():
        if (allowed := _OPTIONS[name]) is not None and said not in allowed:
            raise SpecError(
                f"the option {name!r} of the URL has another value",
                where=f"{query.where}.at",
                found=said,
                allowed=", ".join(sorted(allowed)),
            )
    context = None if url.options.get("encrypt") == "no" else _context(query)
    stream = connect_stream(query, SqlServer.port)
    twin = stream.dup()
    try:
        with QueryTimeout(partial(cut, twin), CONNECT_S):
            transport: Any = _Encrypted(stream, context, url.host) if context else stream
            if isinstance(transport, _Encrypted) and transport.is_refused:
                raise _refused(
                    query, "it offers no TLS, so others on the network could read the password", "encrypt=no"
                )
            connection = _TdsSocket(
                sock=transport, login=_login(query), row_strategy=list_row_strategy, autocommit=True
            )
            route = connection.login()
            if route is not None:
                raise _refused(query, f"it names another server, {route['server']}:{route['port']}", "")
    except LinewrightError:
        stream.close()
        twin.close()
        raise
    except (tds_base.Error, OSError, *_UNSOUND) as error:
        stream.close()
        twin.close()
        raise _login_error(error, query) from None
    transport.settimeout(max(CONNECT_S, query.limits.seconds + 2 * GRACE_S))
    return connection, twin


def _context(query: DatabaseQuery) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=query.url.options.get("ssl_ca"))
    except OSError as error:
        raise RequestError(
            "the file of certificates cannot be read",
            where=f"{query.where}.at",
            found=str(error.strerror or error),
            hint="look at the option ssl_ca of the URL",
        ) from None
    # In TDS 7.4 no server speaks TLS 1.3.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def _login(query: DatabaseQuery) -> Any:
    login = tds_base._TdsLogin()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    login.user_name, login.password = query.url.user, query.url.password
    login.server_name, login.database = query.url.host, query.url.database
    login.app_name = login.library = "linewright"
    login.enc_flag = tds_base.PreLoginEnc.ENCRYPT_NOT_SUP
    login.option_flag2 = tds_base.TDS_ODBC_ON
    login.client_lcid = 1033
    login.bytes_to_unicode = True
    return login


def _refused(query: DatabaseQuery, why: str, option: str) -> RequestError:
    return RequestError(
        f"the password is not sent to the database of source {query.name!r}: {query.scrubbed(why)}",
        where=f"{query.where}.at",
        found=query.url.place,
        hint=f"add {option} to the URL if the network is trusted"
        if option
        else "name that server in the URL",
    )


def _login_error(error: Exception, query: DatabaseQuery) -> LinewrightError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return RequestError(
            f"the certificate of the database of source {query.name!r} is not trusted: {error.verify_message}",
            where=f"{query.where}.at",
            found=query.url.place,
            hint="add ssl_ca=FILE to the URL, with the certificate of who signed it; the host must be the one that it names",
        )
    if type(error) is tds_base.Error:  # of encryption that the server wants
        return query.login_error(error)
    says, number = _says(error), getattr(error, "msg_no", 0)
    return query.login_error(says) if number in _LET_IN else query.unavailable_error(says)


def _says(error: Exception) -> object:
    """Return what the server says; the driver's errors print as tuples."""
    return error.args[0] if error.args and isinstance(error, tds_base.DatabaseError) else error


@contextmanager
def _explained(query: DatabaseQuery, session: Any, timeout: QueryTimeout) -> Generator[None]:
    try:
        yield
    except UnicodeError as error:
        raise query.query_error(error) from None
    except (tds_base.Error, OSError) as error:
        raise _error(error, query, session, timeout) from None
    except _UNSOUND as error:
        if timeout.has_ended:
            raise query.timeout_error() from None
        raise query.unavailable_error(f"it sends what it should not ({error})") from None


def _error(error: Exception, query: DatabaseQuery, session: Any, timeout: QueryTimeout) -> LinewrightError:
    number, severity = getattr(error, "msg_no", 0), getattr(error, "severity", 0)
    if timeout.has_ended or isinstance(error, TimeoutError) or number == _LOCK_TIMEOUT:
        return query.timeout_error()
    if not number or number in _LOST or severity >= _RESOURCES:
        return query.unavailable_error(_says(error))
    tables: list[str] = []
    with suppress(tds_base.Error, OSError, *_UNSOUND):
        tables = [str(name) for (name,) in _all(session, SqlServer.tables)]
    return query.query_error(_says(error), tables)


def _session(query: DatabaseQuery, isolation: str) -> str:
    return _SESSION.format(millis=max(1, round(query.limits.seconds * 1000)), isolation=isolation)


def _isolation(session: Any, query: DatabaseQuery) -> str:
    """Return the level on which one SELECT sees one state."""
    if query.url.options.get("isolation") == "serializable":
        return "serializable"
    ((state, is_versioned),) = _all(session, _ISOLATION)
    if state != 1 and not is_versioned:
        raise RequestError(
            "this database can only be read in one state with locks, for which writers wait",
            where=f"{query.where}.at",
            found=query.url.place,
            hint="have its owner run ALTER DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON, or add isolation=serializable to the URL",
        )
    return "snapshot" if state == 1 else "read committed"


def _all(session: Any, sql: str, values: Sequence[object] | None = None) -> list[list[Any]]:
    """Return the rows of a short answer."""
    session.execute(sql, values)
    rows: list[list[Any]] = []
    while session.next_row():
        rows.append([*session.row])
    _end(session)
    return rows


def _end(session: Any) -> None:
    """Read what comes after the rows, so that the next statement need not break it off."""
    while session.next_set():
        pass


def _types(columns: Sequence[Any], query: DatabaseQuery) -> dict[str, ColumnType]:
    refuse_twins([column.column_name for column in columns], query.where)
    return {column.column_name: _type(column, query) for column in columns}


def _type(column: Any, query: DatabaseQuery) -> ColumnType:
    serializer, name = column.serializer, SqlServer().column(column.column_name)
    if serializer.type in _TYPES:
        return _TYPES[serializer.type]
    if serializer.type in _DECIMALS:
        return decimal(serializer.precision, serializer.scale)
    if serializer.type in _MONEY:
        is_small = serializer.type == tds_base.SYBMONEY4 or serializer.size == _SMALL_MONEY
        return decimal(10 if is_small else 19, 4)
    if serializer.type == tds_base.SYBVARIANT:
        raise query.type_error(column.column_name, "sql_variant", f"cast({name} as nvarchar(4000)) as {name}")
    if not serializer.type:
        kind = str(getattr(serializer, "type_name", "of the database's own"))
        raise query.type_error(column.column_name, kind, f"{name}.ToString() as {name}")
    if column.column_usertype == _ROWVERSION:
        raise query.type_error(column.column_name, "rowversion", f"cast({name} as bigint) as {name}")
    raise query.type_error(column.column_name, "bytes", f"convert(varchar(max), {name}, 2) as {name}")


def _spelling(column: Any) -> Callable[[Any], str]:
    """Return what spells the values of a column."""
    return _SPELLED.get(column.serializer.type, str)


def _fetch(
    session: Any,
    spelled: Sequence[Callable[[Any], str]],
    explained: Callable[[], AbstractContextManager[None]],
    rows: int,
) -> Iterator[Sequence[Sequence[str | None]]]:
    for start in range(0, rows, PIECE):
        piece: list[list[str | None]] = []
        with explained():
            while len(piece) < min(PIECE, rows - start) and session.next_row():
                values = zip(session.row, spelled, strict=True)
                piece.append([None if value is None else spell(value) for value, spell in values])
        if not piece:
            return
        yield piece
