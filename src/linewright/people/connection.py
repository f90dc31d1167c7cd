"""Requests to servers elsewhere: each has a time limit, its answer a size, redirects are not followed, link-local addresses not asked."""

import http.client
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Timer
from typing import NamedTuple

from linewright.text.addresses import gives_secrets


class Unanswered(Exception):  # noqa: N818 -- says what happened
    """No whole answer came; the text says why."""


class Answer(NamedTuple):
    """What a server said."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    """As much of it as was wanted."""


class Connection:
    """A connection to one server, made at the first request and kept until it is closed."""

    def __init__(self, scheme: str, host: str, port: int | None, *, seconds: float) -> None:
        self._seconds = seconds
        port = port or (443 if scheme == "https" else 80)  # else an IPv6 address is cut at its last colon
        self._connection = (
            http.client.HTTPSConnection(host, port, timeout=seconds, context=ssl.create_default_context())
            if scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=seconds)
        )

    def ask(
        self, method: str, target: str, *, body: bytes | None = None, headers: Mapping[str, str], most: int
    ) -> Answer:
        """Send a request and return the answer, whatever its status."""
        deadline = Deadline(self._seconds, lambda: self._connection.sock)
        try:
            with deadline:
                self._connect()
                self._connection.request(method, target, body, {"user-agent": "linewright", **headers})
                with self._connection.getresponse() as answer:
                    said = answer.read(most)
                    if not answer.isclosed():
                        self._connection.close()
            deadline.check()  # an answer that was cut off then may look whole
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            raise Unanswered(deadline.says(error)) from error
        return Answer(answer.status, answer.headers, said)

    def _connect(self) -> None:
        """Connect, but not to an address that gives a cloud's machines their secrets, whatever name led there."""
        connected: socket.socket | None = self._connection.sock
        if connected is None:
            self._connection.connect()
            connected = self._connection.sock
        peer = connected.getpeername()[0] if connected is not None else ""
        if gives_secrets(peer):
            raise OSError(f"{peer} is a link-local address")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Deadline:
    """Hangs up after some seconds, whatever the other side does: a time limit of the socket begins anew with each byte."""

    def __init__(self, seconds: float, connected: Callable[[], socket.socket | None]) -> None:
        self._seconds, self._connected = seconds, connected
        self._timer = Timer(seconds, self._hang_up)
        self._timer.daemon = True
        self._is_over = False

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def check(self) -> None:
        """Raise `TimeoutError` where it was over."""
        if self._is_over:
            raise TimeoutError

    def says(self, error: Exception) -> str:
        """Say what went wrong."""
        if self._is_over or isinstance(error, TimeoutError):
            return f"no answer within {self._seconds:g} s"
        return getattr(error, "strerror", None) or str(error) or type(error).__name__

    def _hang_up(self) -> None:
        self._is_over = True
        connected = self._connected()
        if connected is not None:
            with suppress(OSError):
                # Of the socket below TLS: the other thread is in the middle of a read.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)
