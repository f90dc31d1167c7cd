"""A server that speaks TDS 7.4 as SQL Server does, for tests: Microsoft's own cannot be installed where they run.

It is written by MS-TDS, Microsoft's description of the protocol, and carries out T-SQL on DuckDB (`tsql`).
"""

import re
import select
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import pytest
import trustme
from databases import PASSWORD
from tds_values import TYPES, Column, Parameters, decimal_type, row_of
from tsql import MACROS, TSqlError, to_duckdb

_BATCH, _RPC, _REPLY, _ATTENTION, _LOGIN, _PRELOGIN = 1, 3, 4, 6, 0x10, 0x12
_HEADER = struct.Struct(">BBHHBB")
_MOST = 4_096
_DONE, _DONE_PROC, _DONE_IN_PROC = 0xFD, 0xFE, 0xFF
_MORE, _ERROR, _COUNT, _ATTENDED = 1, 2, 16, 32
_SETTINGS = re.compile(
    r"set (?:(?:nocount|xact_abort|implicit_transactions) (?:on|off)|language us_english|dateformat ymd|lock_timeout \d+"
    r"|transaction isolation level (?P<level>snapshot|serializable|read committed))|(?P<transaction>begin|commit) transaction"
)
_KINDS = {
    "TINYINT": "smallint",
    "SMALLINT": "smallint",
    "INTEGER": "int",
    "BIGINT": "bigint",
    "BOOLEAN": "bit",
    "FLOAT": "real",
    "DOUBLE": "float",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP": "datetime2",
    "TIMESTAMP WITH TIME ZONE": "datetimeoffset",
}
Answer = tuple[list[Column], Sequence[Sequence[Any]]]


@dataclass(kw_only=True)
class TdsServer:
    """The server, and what a test may set of it."""

    port: int
    folder: Path
    scheme: str = "mssql"
    user: str = "reader"
    password: str = PASSWORD
    database: duckdb.DuckDBPyConnection
    snapshot: int = 1
    """Of ``sys.databases``: whether transactions may ask for a snapshot."""
    versioned: int = 0
    """Of ``sys.databases``: whether each statement sees one."""
    encryption: int = 0
    """What it says of TLS: 0 it can, 2 it cannot, 3 it must."""
    route: tuple[str, int] | None = None
    """Another server, which it sends clients to."""
    authority: trustme.CA = field(default_factory=trustme.CA)
    canned: dict[str, Answer] = field(default_factory=dict)
    """Answers to queries, for types that DuckDB has not."""
    slow: set[str] = field(default_factory=set)
    """Queries that give nothing as long as the client waits."""
    running: list[str] = field(default_factory=list)
    """Slow queries that are waited for."""
    logins: list[str] = field(default_factory=list)
    """Passwords that were sent."""

    def url(self, database: str = "", *, host: str = "localhost", password: str | None = None) -> str:
        """URL of a database, as a source's `at` stands for it."""
        user = f"{self.user}:{password or self.password}"
        return f"{self.scheme}://{user}@{host}:{self.port}/{database}?ssl_ca={self.folder}/ca.pem"

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a session in the default schema."""
        cursor = self.database.cursor()
        cursor.execute("set schema = 'dbo'")
        cursor.execute("set timezone = 'UTC'")
        return cursor

    def execute(self, sql: str, values: dict[str, Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Carry out T-SQL."""
        return run(self, self.cursor(), sql, values)


def run(
    server: TdsServer, cursor: duckdb.DuckDBPyConnection, sql: str, values: dict[str, Any] | None = None
) -> duckdb.DuckDBPyConnection:
    """Carry out T-SQL in a session."""
    for one in to_duckdb(
        sql, snapshot_isolation_state=server.snapshot, is_read_committed_snapshot_on=server.versioned
    ):
        try:
            cursor.execute(one, {name.lstrip("@"): value for name, value in (values or {}).items()} or None)
        except duckdb.CatalogException as error:
            raise TSqlError(208, f"Invalid object name: {str(error).splitlines()[0]}", 16) from None
        except duckdb.Error as error:
            raise TSqlError(207, str(error).splitlines()[0], 16) from None
    return cursor


class _Session(threading.Thread):
    """Answers one client."""

    def __init__(self, server: TdsServer, stream: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(daemon=True)
        self._server, self._stream, self._context = server, stream, context
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._transaction, self._level = 0, "read committed"

    def run(self) -> None:
        with self._stream, suppress(OSError, EOFError, ssl.SSLError):
            self._greet()
            if not self._let_in():
                return
            cursor = self._server.cursor()
            while True:
                kind, data = self._message()
                self._answer(cursor, kind, data)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            if self._tls is None:
                some = self._stream.recv(size - len(data))
            else:
                try:
                    some = self._tls.read(size - len(data))
                except ssl.SSLWantReadError:
                    if not (found := self._stream.recv(1 << 16)):
                        raise EOFError from None
                    self._incoming.write(found)
                    continue
            if not some:
                raise EOFError
            data += some
        return data

    def _message(self) -> tuple[int, bytes]:
        data, is_last, kind = b"", 0, 0
        while not is_last:
            kind, is_last, size, *_ = _HEADER.unpack(self._read(_HEADER.size))
            data += self._read(size - _HEADER.size)
        return kind, data

    def _send(self, data: bytes, kind: int = _REPLY) -> None:
        room = _MOST - _HEADER.size
        for at in range(0, len(data), room):
            some = data[at : at + room]
            packet = _HEADER.pack(kind, at + room >= len(data), _HEADER.size + len(some), 51, 1, 0) + some
            if self._tls is not None:
                self._tls.write(packet)
                packet = self._outgoing.read()
            self._stream.sendall(packet)

    def _greet(self) -> None:
        kind, data = self._message()
        assert kind == _PRELOGIN
        wanted = _option(data, 1)[0]
        can = self._server.encryption
        said = 2 if can == 2 else (3 if can == 3 else 2) if wanted == 2 else 1
        options = (b"\x10\0\x10\0\0\0", bytes([said]))
        heads = b"".join(struct.pack(">BHH", n, 11 + 6 * n, len(value)) for n, value in enumerate(options))
        self._send(heads + b"\xff" + b"".join(options))
        if said == 1:
            self._shake_hands()

    def _shake_hands(self) -> None:
        tls = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        while True:
            kind, data = self._message()
            assert kind == _PRELOGIN
            self._incoming.write(data)
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                self._send(self._outgoing.read(), _PRELOGIN)
            else:
                self._send(self._outgoing.read(), _PRELOGIN)
                self._tls = tls
                return

    def _let_in(self) -> bool:
        kind, data = self._message()
        assert kind == _LOGIN
        user, password, database = (_login_text(data, at) for at in (40, 44, 68))
        password = bytes(
            ((byte ^ 0xA5) << 4 & 0xF0) | ((byte ^ 0xA5) >> 4)
            for byte in password.encode("utf-16-le", "surrogatepass")
        ).decode("utf-16-le")
        self._server.logins.append(password)
        if self._server.route is not None:
            host, port = self._server.route
            value = struct.pack("<BHH", 0, port, len(host)) + host.encode("utf-16-le")
            changed = struct.pack("<BH", 20, len(value)) + value + b"\0\0"
            self._send(_acknowledged() + _token(0xE3, changed) + _done())
            return True
        if (user, password) != (self._server.user, unquote(self._server.password)):
            self._send(_error(18456, 14, f"Login failed for user '{user}'.") + _done(_ERROR))
            return False
        if database.lower() != "shop":
            first = _error(
                4060, 11, f'Cannot open database "{database}" requested by the login. The login failed.'
            )
            self._send(first + _error(18456, 14, f"Login failed for user '{user}'.") + _done(_ERROR))
            return False
        name = bytes([len(database)]) + database.encode("utf-16-le")
        self._send(_token(0xE3, b"\x01" + name + b"\0") + _acknowledged() + _done())
        return True

    def _answer(self, cursor: duckdb.DuckDBPyConnection, kind: int, data: bytes) -> None:
        if kind == _ATTENTION:
            self._send(_done(_ATTENDED))
            return
        size = struct.unpack_from("<I", data)[0]
        assert struct.unpack_from("<Q", data, 10)[0] == self._transaction, "of another transaction"
        values: dict[str, Any] | None = None
        if kind == _BATCH:
            sql = data[size:].decode("utf-16-le")
        else:
            sql, values = _statement(data[size:])
        try:
            said = self._carried_out(cursor, sql, values)
        except TSqlError as error:
            rolled_back = b""
            if self._transaction:  # as XACT_ABORT has it
                cursor.execute("rollback")
                rolled_back = _token(0xE3, b"\x0a\0\x08" + struct.pack("<Q", self._transaction))
                self._transaction = 0
            said = _error(error.number, error.severity, error.message) + rolled_back
            said += _done(_ERROR, kind=_DONE if kind == _BATCH else _DONE_PROC)
        self._send(said)

    def _carried_out(
        self, cursor: duckdb.DuckDBPyConnection, sql: str, values: dict[str, Any] | None
    ) -> bytes:
        sql = sql.strip()
        if sql in self._server.slow:
            self._wait(sql)
        found = self._server.canned.get(sql)
        if found is None:
            statements = [" ".join(one.split()) for one in sql.split(";")]
            if all(_SETTINGS.fullmatch(one) for one in statements):
                return b"".join(self._set(cursor, one) for one in statements) + _done()
            if self._level == "snapshot" and self._server.snapshot != 1:
                raise TSqlError(3952, "Snapshot isolation transaction failed accessing database 'shop'", 16)
            found = _found(run(self._server, cursor, sql, values), sql)
        end = (
            _done()
            if values is None
            else _done(_MORE, kind=_DONE_IN_PROC) + b"\x79\0\0\0\0" + _done(kind=_DONE_PROC)
        )
        if not found[0]:
            return end
        columns, rows = found
        described = b"\x81" + struct.pack("<H", len(columns)) + b"".join(one.described() for one in columns)
        return described + b"".join(row_of(columns, tuple(row)) for row in rows) + end

    def _set(self, cursor: duckdb.DuckDBPyConnection, statement: str) -> bytes:
        found = _SETTINGS.fullmatch(statement)
        assert found
        if found["level"]:
            self._level = found["level"]
        if not found["transaction"]:
            return b""
        cursor.execute(found["transaction"])
        if found["transaction"] == "begin":
            self._transaction = 77
            return _token(0xE3, b"\x08\x08" + struct.pack("<Q", 77) + b"\0")
        self._transaction = 0
        return _token(0xE3, b"\x09\0\x08" + struct.pack("<Q", 77))

    def _wait(self, sql: str) -> None:
        self._server.running.append(sql)
        try:
            select.select([self._stream], [], [], 30)
        finally:
            self._server.running.remove(sql)


def _option(said: bytes, wanted: int) -> bytes:
    """Return a part of what is said before the password."""
    at = 0
    while said[at] != 0xFF:
        kind, start, size = struct.unpack_from(">BHH", said, at)
        if kind == wanted:
            return said[start : start + size]
        at += 5
    raise EOFError


def _login_text(data: bytes, at: int) -> str:
    start, letters = struct.unpack_from("<HH", data, at)
    return data[start : start + 2 * letters].decode("utf-16-le", "surrogatepass")


def _token(kind: int, data: bytes) -> bytes:
    return struct.pack("<BH", kind, len(data)) + data


def _acknowledged() -> bytes:
    name = "Microsoft SQL Server"
    return _token(0xAD, b"\x01\x74\0\0\x04" + bytes([len(name)]) + name.encode("utf-16-le") + b"\x10\0\x10\0")


def _error(number: int, severity: int, message: str) -> bytes:
    text = message[:1_000]
    said = struct.pack("<iBBH", number, 1, severity, len(text)) + text.encode("utf-16-le")
    return _token(0xAA, said + b"\x01s\0\0" + struct.pack("<i", 1))


def _done(status: int = 0, *, kind: int = _DONE) -> bytes:
    return struct.pack("<BHHQ", kind, status, 0, 0)


def _statement(data: bytes) -> tuple[str, dict[str, Any]]:
    """Return what ``sp_executesql`` is asked, which alone is known."""
    read = Parameters(data)
    assert (read.take("H"), read.take("H"), read.take("H")) == (0xFFFF, 10, 0)
    (_, sql), _ = read.parameter(), read.parameter()
    values: dict[str, Any] = {}
    while not read.is_at_end:
        name, value = read.parameter()
        values[name] = value
    return sql, values


def _found(cursor: duckdb.DuckDBPyConnection, sql: str) -> Answer:
    if not re.match(r"\s*(select|with)\b", sql, re.IGNORECASE):
        return [], []
    columns = []
    for name, kind, *_ in cursor.description or ():
        if numbers := re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", str(kind)):
            columns.append(Column(name, decimal_type(int(numbers[1]), int(numbers[2]))))
        elif str(kind) == "HUGEINT":  # a sum, which SQL Server has as BIGINT
            columns.append(Column(name, TYPES["bigint"]))
        else:
            columns.append(Column(name, TYPES[_KINDS.get(str(kind), "nvarchar(max)")]))
    return columns, cursor.fetchall()


@contextmanager
def tds_server() -> Iterator[TdsServer]:
    """Run one that listens on the loopback address and asks for a password, with a certificate for `localhost`."""
    pytest.importorskip("pytds")
    listening = socket.create_server(("127.0.0.1", 0))
    with tempfile.TemporaryDirectory(prefix="tds-") as folder, duckdb.connect(":memory:") as database:
        server = TdsServer(port=listening.getsockname()[1], folder=Path(folder), database=database)
        server.authority.cert_pem.write_to_path(str(server.folder / "ca.pem"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.authority.issue_cert("localhost").configure_cert(context)
        sessions: list[_Session] = []

        def listen() -> None:
            with suppress(OSError):
                while True:
                    session = _Session(server, listening.accept()[0], context)
                    sessions.append(session)
                    session.start()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
            thread.join()
            for session in sessions:
                with suppress(OSError):
                    session._stream.shutdown(socket.SHUT_RDWR)
                session.join()


@contextmanager
def at_sqlserver(server: TdsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[TdsServer]:
    """Empty its database, which `env:TEST_DB` names."""
    server.database.execute("drop schema if exists dbo cascade")
    server.database.execute("create schema dbo")
    cursor = server.cursor()
    for macro in MACROS:
        cursor.execute(macro)
    server.snapshot, server.versioned, server.encryption, server.route = 1, 0, 0, None
    for kept in (server.canned, server.slow, server.logins):
        kept.clear()
    monkeypatch.setenv("TEST_DB", server.url("shop"))
    yield server
