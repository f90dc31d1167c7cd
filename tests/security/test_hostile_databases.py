"""Databases that are not what they say: what they send does not fill this machine's memory."""

import resource
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from databases import allow

from linewright.data.read.query_timeout import MOST_BYTES
from linewright.data.read.source import open_source
from linewright.data.spec import QueryLimits, SqlSource
from linewright.errors import RequestError

MOST_SENT = 1 << 30
"""The impostor gives up after that, so that the test ends whatever happens."""


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def told(text: bytes) -> bytes:
    """Say that a command is done, and that the next may come."""
    return message(b"C", text + b"\0") + message(b"Z", b"T")


COLUMN = message(b"T", struct.pack("!H", 1) + b"name\0" + struct.pack("!IHIhih", 0, 0, 25, -1, -1, 0))


EXTENDED = {
    b"P": message(b"1", b""),
    b"B": message(b"2", b""),
    b"E": message(b"C", b"DECLARE CURSOR\0"),
    b"S": message(b"Z", b"T"),
    b"X": b"",
}


def row(value: bytes) -> bytes:
    return message(b"D", struct.pack("!Hi", 1, len(value)) + value)


class Impostor(threading.Thread):
    """Lets everybody in, and answers the FETCH of a cursor with rows without end, or with one huge value."""

    def __init__(self, kind: str) -> None:
        super().__init__(daemon=True)
        self.kind, self.sent = kind, 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(20)
        self.port: int = self._listening.getsockname()[1]

    def run(self) -> None:
        with self._listening, suppress(OSError):
            client, _ = self._listening.accept()
            with client:
                client.settimeout(20)
                self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        file = client.makefile("rb")
        while True:
            (length,) = struct.unpack("!I", file.read(4))
            body = file.read(length - 4)
            if body[:4] == struct.pack("!I", 196608):
                break
            client.sendall(b"N")  # neither TLS nor GSS
        parameters = b"".join(
            message(b"S", name + b"\0" + value + b"\0")
            for name, value in ((b"server_version", b"16.0"), (b"client_encoding", b"UTF8"))
        )
        client.sendall(message(b"R", struct.pack("!I", 0)) + parameters + message(b"Z", b"I"))
        while kind := file.read(1):
            (length,) = struct.unpack("!I", file.read(4))
            body = file.read(length - 4)
            if kind == b"Q":
                self._answer(client, body)
            elif kind == b"D":
                client.sendall(COLUMN if b"linewright_rows" in body else message(b"n", b""))
            else:
                client.sendall(EXTENDED[kind])

    def _answer(self, client: socket.socket, body: bytes) -> None:
        word = body.split(b" ")[0].strip(b"\0;").upper()
        if word == b"FETCH":
            client.sendall(COLUMN)
            self._flood(client)
        client.sendall(told(word))

    def _flood(self, client: socket.socket) -> None:
        if self.kind == "rows":
            block = row(b"x") * 65_536
        else:
            client.sendall(b"D" + struct.pack("!IHi", MOST_SENT + 10, 1, MOST_SENT))
            block = b"x" * (1 << 20)
        while self.sent < MOST_SENT:
            client.sendall(block)
            self.sent += len(block)


@contextmanager
def impostor(kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Impostor]:
    server = Impostor(kind)
    server.start()
    monkeypatch.setenv("TEST_DB", f"postgresql://reader:abc123@localhost:{server.port}/shop")
    yield server
    server.join(20)


@pytest.mark.parametrize("kind", ["rows", "value"])
def test_a_server_that_floods_its_client_is_cut_off(tmp_path, monkeypatch, kind):
    """Whether by rows that nobody asked for or by one value: libpq would hold all of it."""
    allow(tmp_path)
    source = SqlSource(sql="select name from t", at="env:TEST_DB", limits=QueryLimits(rows=10**6, seconds=20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with impostor(kind, monkeypatch) as server, pytest.raises(RequestError) as found:
        open_source("claims", source, tmp_path)

    assert "sent more than 256 MiB in one batch of rows, or in one value" in found.value.what
    assert server.sent < MOST_SENT
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 8 * MOST_BYTES
