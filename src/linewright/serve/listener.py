"""The socket that an endpoint listens on, and the word of where that is."""

import errno
import os
import socket
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Any

import msgspec

from linewright.errors import RequestError
from linewright.serve.files import is_held, write_held, write_whole
from linewright.serve.reach import Reach

_HELD_S = 3.0
"""How long an address may be held yet by what was killed."""
_ENDPOINT = "endpoint"
_REACHED = "endpoint.reached"
"""How clients reach it: what `Announced` says; the other file has the address alone."""


@contextmanager
def listening(host: str, port: int, reach: Reach = Reach()) -> Generator[socket.socket]:  # noqa: B008 -- it is frozen
    """Give a socket on which connections wait from here on, until someone accepts them."""
    with closing(_listen(host, port, reach)) as listener:
        yield listener


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """Where an endpoint listens, and how clients reach it."""

    address: str
    """Host and port; where clients speak TLS, ``https://`` before it."""
    url: str
    """As clients elsewhere write it: behind a proxy, that of the proxy."""
    needs_token: bool = False
    """Whether each request must carry a token."""


def announced_as(listener: socket.socket, reach: Reach, *, needs_token: bool) -> Announced:
    """Describe an endpoint on a socket."""
    host, port = listener.getsockname()[:2]
    return Announced(
        address=reach.url(host, port).removeprefix("http://"),
        url=reach.page_url(host, port),
        needs_token=needs_token or reach.needs_token(host),
    )


class Announcement:
    """Says in the state folder where an endpoint listens, see `endpoint`."""

    def __init__(self, state: Path, said: Announced) -> None:
        self._folder, self._said = state / "serving", said
        self._file: IO[bytes] | None = None

    def make(self) -> None:
        """Say it; it is believed as long as this process lives."""
        # The lock lasts as long as the process, however it ends: so a file that was left behind is not believed.
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._folder / _REACHED, msgspec.json.encode(self._said))
        self._file = write_held(self._folder / _ENDPOINT, f"{self._said.address}\n".encode())

    def withdraw(self) -> None:
        """Take it back, where it was said and no other endpoint has said its own since."""
        if self._file is None:
            return
        path = self._folder / _ENDPOINT
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(self._file.fileno()).st_ino:
                path.unlink()
                path.with_name(_REACHED).unlink(missing_ok=True)
        self._file.close()
        self._file = None


def announced(state: Path) -> Announced | None:
    """Return what the endpoint that serves this factory now says of itself; `None` while nothing serves."""
    address = endpoint(state)
    if address is None:
        return None
    with suppress(FileNotFoundError, msgspec.MsgspecError):
        said = msgspec.json.decode((state / "serving" / _REACHED).read_bytes(), type=Announced)
        if said.address == address:
            return said
    return Announced(address=address, url=address if "://" in address else f"http://{address}")


def endpoint(state: Path) -> str | None:
    """Return host:port of the endpoint that serves this factory now, with ``https://`` before it if clients speak TLS; or `None`."""
    with suppress(FileNotFoundError), (state / "serving" / _ENDPOINT).open("rb") as file:
        return file.read().decode().strip() if is_held(file) else None
    return None


def bind(listener: socket.socket, address: Any) -> None:
    """Bind a socket; a process of an `up` that was killed may hold the address until it has noticed."""
    until = monotonic() + _HELD_S
    while True:
        try:
            return listener.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or monotonic() > until:
                raise
        sleep(0.1)


def _listen(host: str, port: int, reach: Reach) -> socket.socket:
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, OverflowError) as error:
        raise RequestError(f"there is no such address: {error}", where=where) from error
    reach.require_safe(str(address[0]))
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bind(listener, address)
        # Connections wait in the backlog from here on, until the models are loaded.
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise RequestError(
            f"cannot listen: {error.strerror}",
            where=where,
            hint="another process has the port; stop it, or choose one with --port",
        ) from error
    return listener
