"""The endpoint's process: a socket, deadlines, and a clean end."""

import asyncio
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, cast

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from linewright.errors import RequestError
from linewright.serve.address import require_loopback
from linewright.serve.app import App
from linewright.serve.pointer import tell_stderr
from linewright.serve.request import BODY_DEADLINE_S, BODY_IS_HERE, BUDGET
from linewright.store.clock import now_utc, uuid7
from linewright.store.local import LocalArtifacts

HEAD_DEADLINE_S = 15.0
"""From the first byte of a request (or the connection) to the end of its headers."""
MAX_HEAD = 65_536
"""Bytes of a request's line and headers."""
MAX_MESSAGE = 64 * 2**20
"""Bytes of a whole request as sent, with the framing of its chunks."""
LINGER_S = 30.0
"""How long a client may take to read an answer that fills the connection, or the rest of one after it was closed."""
REFUSED_S = 1.0
"""How long what a refused client still sends is thrown away, so that it can read the refusal."""
GRACE_S = 20
_ENDPOINT = "endpoint"
_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", 0)
"""Time after which the system gives up a client that takes no byte, also once the connection is no longer ours; Linux has it."""
_FORGET = struct.pack("ii", 1, 0)
"""As SO_LINGER: close without keeping what was not sent."""


class _InOnePiece:
    """A transport that holds the head of an answer until its body comes: one write to the socket in place of two."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._head = transport, b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, or hold back what is a head."""
        if self._head:
            data, self._head = self._head + data, b""
        elif (
            data.endswith(b"\r\n\r\n")
            and data.startswith(b"HTTP/1.1 ")
            and not data.startswith(b"HTTP/1.1 1")
        ):
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Write what is held back: an answer without a body has come to its end."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        """Close, once all is written."""
        self.flush()
        self._transport.close()


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with an absolute deadline for the head of a request and bounds on its size.

    uvicorn has neither: a client that sends a byte now and then would hold a connection for ever. The deadline of the
    body is the app's, which sees in the scope whether it is here already.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._last_timer: asyncio.TimerHandle | None = None
        self._read_timer: asyncio.TimerHandle | None = None
        self._received = self._head = 0
        self._refused = False
        self._has_body_left = self._is_between = False
        """Whether the last head is complete and its body is not; whether the last message is, and no other has begun."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._set(socket.IPPROTO_TCP, _USER_TIMEOUT, int(LINGER_S * 1000))
        self.transport = _InOnePiece(transport)  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._disarm()
        for timer in (self._last_timer, self._read_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the client to read; the answer is in memory until then, so not for ever."""
        super().pause_writing()
        if self._read_timer is None:
            self._read_timer = self.loop.call_later(LINGER_S, self._reset)

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Count the bytes, and wait for the rest of a head that has begun."""
        if self._refused:
            return
        self._received += len(data)
        was_between = self._is_between
        super().data_received(data)
        if self._refused or self.transport.is_closing():
            return
        is_answered = not self.cycle or self.cycle.response_complete
        if not is_answered or self._has_body_left:
            if self._received > MAX_MESSAGE:
                self.transport.abort()
            elif is_answered and self._head_timer is None:
                self._arm()
        elif self._is_between and not was_between:
            # The rest of a body that was answered before it came: the connection is idle from here on.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        elif self._received > MAX_HEAD:
            self._refuse(431, "the head of the request is too large")
        elif self._head_timer is None:
            self._arm()

    def on_message_begin(self) -> None:
        """Count from here."""
        self._received = self._head = 0
        self._is_between = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the headers; those that follow a body count too."""
        self._head += len(name) + len(value) + 4
        if self._head > MAX_HEAD:
            raise ValueError("too many headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop the clock: the head is here."""
        self._disarm()
        self._has_body_left = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the clock: the body is here, also where it was answered before."""
        self._disarm()
        self._has_body_left, self._is_between = False, True
        cast("dict[str, Any]", self.scope)[BODY_IS_HERE] = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on, or end within `LINGER_S` also where the client does not read its answer."""
        cast("_InOnePiece", self.transport).flush()
        super().on_response_complete()
        if self.transport.is_closing():
            self._end_within(LINGER_S)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        super().timeout_keep_alive_handler()
        self._end_within(LINGER_S)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, or has too large a head."""
        if self._head > MAX_HEAD:
            self._refuse(431, "the head of the request is too large")
        else:
            self._refuse(400, msg)

    def _arm(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_DEADLINE_S, self._give_up)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self._received and not self._has_body_left:
            self._refuse(408, "the head of the request did not come in time")
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        self._refused = True
        if self.cycle and not self.cycle.response_complete:
            if self.cycle.response_started or not self.cycle.more_body:
                # The request before is being answered: it gets its answer, and then the connection ends.
                self.cycle.keep_alive = False
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = msgspec.json.encode(RequestError(message).to_json())
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        # Closing with bytes unread would reset the connection, and the client could not read why.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._end_within(REFUSED_S)

    def _reset(self) -> None:
        """End, and have the system forget what the client did not read: it would keep it as long as the client pretends to."""
        self._set(socket.SOL_SOCKET, socket.SO_LINGER, _FORGET)
        self.transport.abort()

    def _set(self, level: int, option: int, value: int | bytes) -> None:
        connection = self.transport.get_extra_info("socket")
        if connection is not None and option:
            with suppress(OSError):
                connection.setsockopt(level, option, value)

    def _end_within(self, seconds: float) -> None:
        self._last_timer = self.loop.call_later(seconds, self.transport.abort)


class _Server(uvicorn.Server):
    """Says where it listens, and ends with exit code 0 after a signal."""

    def __init__(
        self, config: uvicorn.Config, *, started: Callable[[], None], is_stopped: Callable[[], bool]
    ) -> None:
        super().__init__(config)
        self._tell_started, self._is_stopped = started, is_stopped
        self.trouble: OSError | None = None
        """Why it could not say where it listens."""

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._is_stopped()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            try:
                self._tell_started()
            except OSError as error:
                # Out of here uvicorn would print it with its own stack; so it ends in order, and `serve` raises it.
                self.trouble, self.should_exit = error, True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        # uvicorn would raise the signal again, and the process would end by it though its work is done.
        self._captured_signals.clear()


def serve(
    state: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    body_deadline_s: float = BODY_DEADLINE_S,
    budget: int = BUDGET,
    model_memory: int | None = None,
    started: Callable[[str], None] | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
    now: Callable[[], str] = now_utc,
    tell: Callable[[dict[str, object]], None] = tell_stderr,
) -> None:
    """Serve the lines of a factory until SIGTERM or SIGINT; requests that have begun are answered first.

    Parameters
    ----------
    state
        State folder of the factory.
    host, port
        Where to listen; port 0 takes a free one. The address is announced in the state folder, see `endpoint`.
    body_deadline_s
        Longest time, in seconds, for a request's body; at most 60.
    budget
        Bytes of bodies and answers that may be in memory at one time.
    model_memory
        Bytes that loaded models may take (default: `memory.usual_budget`).
    started
        Called with host:port once connections are accepted.
    is_stopped
        Asked ten times a second whether to end, where no signal can come (in a thread, say).
    now
        The time that predictions and labels are recorded with.
    tell
        Called with one JSON object for each thing that the operator should know.

    Raises
    ------
    RequestError
        If the address cannot be listened on, or other machines could reach it.
    OSError
        If the address cannot be announced (a full disk, say).
    """
    listener = _listen(host, port)
    address = _shown(listener)
    announced: list[IO[str]] = []

    def announce() -> None:
        announced.append(_announce(state, address))
        if started is not None:
            started(address)

    app = App(
        state,
        LocalArtifacts(state / "artifacts").get,
        tell=tell,
        body_deadline_s=min(body_deadline_s, 60.0),
        budget=budget,
        model_memory=model_memory,
        now=now,
    )
    config = uvicorn.Config(
        app,  # pyright: ignore[reportArgumentType] -- uvicorn types each message; the app takes any mapping
        http=BoundedProtocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config, started=announce, is_stopped=is_stopped)
    try:
        server.run(sockets=[listener])
        if server.trouble is not None:
            raise server.trouble
    finally:
        listener.close()
        for file in announced:
            _withdraw(state, file)


def _listen(host: str, port: int) -> socket.socket:
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, OverflowError) as error:
        raise RequestError(f"there is no such address: {error}", where=where) from error
    require_loopback(str(address[0]))
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


def _shown(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _announce(state: Path, address: str) -> IO[str]:
    # The lock lasts as long as the process, however it ends: so a file that was left behind is not believed.
    folder = state / "serving"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{_ENDPOINT}-{uuid7()}"
    file = temporary.open("x")
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(address + "\n")
        file.flush()
        temporary.replace(folder / _ENDPOINT)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
            file.close()
        raise
    return file


def _withdraw(state: Path, file: IO[str]) -> None:
    path = state / "serving" / _ENDPOINT
    with suppress(FileNotFoundError):
        if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
            path.unlink()
    file.close()


def endpoint(state: Path) -> str | None:
    """Return host:port of the endpoint that serves this factory now, or `None`."""
    try:
        with (state / "serving" / _ENDPOINT).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip()
    except FileNotFoundError:
        pass
    return None
