"""The socket that an endpoint listens on, and the word of where that is."""

import os
import socket
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO

from linewright.errors import RequestError
from linewright.serve.files import is_held, write_held
from linewright.serve.reach import Reach

_ENDPOINT = "endpoint"


@contextmanager
def listening(host: str, port: int, reach: Reach = Reach()) -> Generator[socket.socket]:  # noqa: B008 -- it is frozen
    """Give a socket on which connections wait from here on, until someone accepts them.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes a free one.
    reach
        How clients reach it.

    Raises
    ------
    RequestError
        If the address cannot be listened on.
    Denied
        If other machines could reach it in the clear.
    """
    with closing(_listen(host, port, reach)) as listener:
        yield listener


def shown(listener: socket.socket, reach: Reach = Reach()) -> str:  # noqa: B008 -- it is frozen
    """Return the address of a socket: host:port, or an address with ``https://`` if clients speak TLS."""
    url = reach.url(*listener.getsockname()[:2])
    return url.removeprefix("http://")


class Announcement:
    """Says in the state folder where an endpoint listens, see `endpoint`.

    Parameters
    ----------
    state
        State folder of the factory.
    address
        Host and port; where clients speak TLS, ``https://`` before it.
    """

    def __init__(self, state: Path, address: str) -> None:
        self._folder, self._address = state / "serving", address
        self._file: IO[bytes] | None = None

    def make(self) -> None:
        """Say it; it is believed as long as this process lives.

        Raises
        ------
        OSError
            If it cannot be written (a full disk, say).
        """
        # The lock lasts as long as the process, however it ends: so a file that was left behind is not believed.
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = write_held(self._folder / _ENDPOINT, f"{self._address}\n".encode())

    def withdraw(self) -> None:
        """Take it back, where it was said and no other endpoint has said its own since."""
        if self._file is None:
            return
        path = self._folder / _ENDPOINT
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(self._file.fileno()).st_ino:
                path.unlink()
        self._file.close()
        self._file = None


def endpoint(state: Path) -> str | None:
    """Return host:port of the endpoint that serves this factory now, with ``https://`` before it if clients speak TLS; or `None`."""
    with suppress(FileNotFoundError), (state / "serving" / _ENDPOINT).open("rb") as file:
        return file.read().decode().strip() if is_held(file) else None
    return None


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
        listener.bind(address)
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
