"""Proxies on this machine through which a client library reaches the server of one source, or the allowed hosts, and nothing else.

Libraries follow redirects, look names up again, and ask services of the machine for credentials; whatever they do, they do it through here,
and it ends here.
"""

import secrets
import select
import socket
import threading
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from linewright.data.read.hosts import addresses_of
from linewright.errors import LinewrightError

_CONNECT_S = 10
_HEAD = 1 << 16
_BLOCK = 1 << 18
_REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_UNAUTHORIZED = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)
_UNREACHABLE = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_CONNECTED = b"HTTP/1.1 200 OK\r\n\r\n"
_PORTS = {"http": 80, "https": 443}


class SingleServerProxy:
    """A proxy to one server, by the addresses that were checked, until it is closed.

    Examples
    --------
    >>> with SingleServerProxy(("files.example.com", 443), ["192.0.2.1"]) as proxy:
    ...     proxy.url.startswith("http://proxy:")
    True
    """

    def __init__(self, server: tuple[str, int], addresses: Sequence[str]) -> None:
        self._server, self._addresses = server, addresses
        self._password = secrets.token_hex(16)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sockets: set[socket.socket] = set()
        self._is_open = True
        self.refused: list[str] = []
        """Hosts that were requested and refused, in order."""
        self.received = 0
        """Bytes that came from servers so far."""

    @property
    def url(self) -> str:
        """URL of the proxy, with a password: others of this machine get nowhere by it."""
        return f"http://proxy:{self._password}@127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        for one in (self._listening, *list(self._sockets)):
            one.close()

    def cut(self) -> None:
        """End all connections, from any thread, and take no more."""
        self._is_open = False
        # It wakes the thread that waits in `accept`, which `close` alone would not.
        for one in (self._listening, *list(self._sockets)):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        while self._is_open:
            try:
                client = self._listening.accept()[0]
            except OSError:
                return
            self._sockets.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = None
        try:
            client.settimeout(_CONNECT_S)
            head, rest = _head_of(client)
            server, to_server, to_client = self._server_for(head)
            if to_client:
                client.sendall(to_client)
            if server is not None:
                self._sockets.add(server)
                server.sendall(to_server + rest)
                client.settimeout(None)
                self._forward(client, server)
        except (OSError, ValueError):
            pass  # the client sees a connection that ends
        finally:
            for one in filter(None, (client, server)):
                self._sockets.discard(one)
                one.close()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on what either side says until one has ended."""
        server.settimeout(None)
        other = {client: server, server: client}
        while True:
            for one in select.select([client, server], [], [])[0]:
                some = one.recv(_BLOCK)
                if not some:
                    return
                self.received += len(some) if one is server else 0
                other[one].sendall(some)

    def _addresses_of(self, host: str, port: int) -> Sequence[str] | None:
        """Return the addresses of a host; `None` if it may not be reached."""
        return self._addresses if (host, port) == self._server else None

    def _server_for(self, head: bytes) -> tuple[socket.socket | None, bytes, bytes]:
        """Return the server that a request asks for, what it is sent first, and what the client is sent first."""
        lines = head.split(b"\r\n")
        password = b64encode(f"proxy:{self._password}".encode())
        method, target, _ = lines[0].decode("ascii").split(" ")
        names = [line.partition(b":")[0].lower() for line in lines]
        given = [line for line, name in zip(lines, names, strict=True) if name == b"proxy-authorization"]
        host, port, path = _target_of(method, target)
        if (addresses := self._addresses_of(host, port)) is None:
            self.refused.append(host)
            return None, b"", _REFUSED
        if not any(line.endswith(b" " + password) for line in given):
            return None, b"", _UNAUTHORIZED
        if (server := _connected(addresses, port)) is None:
            return None, b"", _UNREACHABLE
        if method == "CONNECT":
            return server, b"", _CONNECTED
        own = (b"proxy-authorization", b"proxy-connection", b"connection")
        kept = [line for line, name in zip(lines[1:], names[1:], strict=True) if name not in own]
        first = f"{method} {path} HTTP/1.1".encode("ascii")
        # One request a connection: the next one may be for another host, and has to come by here.
        return server, b"\r\n".join([first, *kept, b"Connection: close"]) + b"\r\n\r\n", b""


class AllowedHostsProxy(SingleServerProxy):
    """A proxy to the hosts that ``factory.yaml`` names, until it is closed."""

    def __init__(self, root: Path, where: str) -> None:
        super().__init__(("", 0), ())
        self._root, self._where = root, where
        self.errors: list[LinewrightError] = []
        """What was wrong with hosts that were refused, in order."""

    def _addresses_of(self, host: str, port: int) -> Sequence[str] | None:
        try:
            return addresses_of(host, self._root, port=port, where=self._where)
        except LinewrightError as error:
            self.errors.append(error)
            return None


def _head_of(client: socket.socket) -> tuple[bytes, bytes]:
    """Return the head of a request, and what came behind it."""
    held = b""
    while b"\r\n\r\n" not in held:
        some = client.recv(_HEAD)
        if not some or len(held) > _HEAD:
            raise ValueError("no request")
        held += some
    head, _, rest = held.partition(b"\r\n\r\n")
    return head, rest


def _target_of(method: str, target: str) -> tuple[str, int, str]:
    scheme, place, path = "https", target, ""
    if method != "CONNECT":
        scheme, _, behind = target.partition("://")
        place, slash, path = behind.partition("/")
        path = slash + path or "/"
    host, _, port = place.rpartition(":") if place.rpartition(":")[2].isdigit() else (place, "", "")
    return host.strip("[]").lower(), int(port) if port else _PORTS.get(scheme, 0), path


def _connected(addresses: Sequence[str], port: int) -> socket.socket | None:
    for address in addresses:
        with suppress(OSError):
            return socket.create_connection((address, port), _CONNECT_S)
    return None
