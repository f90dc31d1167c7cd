"""The endpoint's process: a socket, and a clean end."""

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import cast

import uvicorn
from msgspec.structs import replace

from linewright.serve.http.app import App, methods_of_pages
from linewright.serve.http.cors import Cors
from linewright.serve.http.loop import FOLLOW_TICKS, LOOP
from linewright.serve.http.protocol import GRACE_S, BoundedProtocol, bounded
from linewright.serve.limits import Capacity
from linewright.serve.listener import Announcement, announced_as, listening
from linewright.serve.operator_log import tell_stderr
from linewright.serve.peers import Siblings
from linewright.serve.reach import Reach
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.clock import now_utc

LEAVE_S = 75.0
"""Longest time for the clients of an endpoint in whose place another one serves: more than any deadline of theirs."""
TURN_S = 0.001
"""How long a thread may keep the others from running Python. The loop waits for that long where larger requests are computed
beside it, or labels are indexed; Python's own 5 ms would be most of the time of a small request."""
KEEP_ALIVE_S = 5
"""How long an idle connection is kept."""


class _Server(uvicorn.Server):
    """Tells that it serves, gives way to another one, and ends with exit code 0 after a signal."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        started: Callable[[], None],
        is_stopped: Callable[[], bool],
        is_replaced: Callable[[], bool],
        stopping: Callable[[], None],
        reach: Reach,
    ) -> None:
        super().__init__(config)
        self._reach = reach
        self._tell_started, self._tell_stopping = started, stopping
        self._is_stopped, self._is_replaced = is_stopped, is_replaced
        self._was_replaced = False
        self.trouble: OSError | None = None
        """Why it could not say where it listens."""

    @property
    def gave_way(self) -> bool:
        """Whether it ended because another one serves, and not because it was told to stop."""
        return self._was_replaced and not self.should_exit

    async def on_tick(self, counter: int) -> bool:
        if counter % FOLLOW_TICKS == 0:
            self._reach.follow()
        self._was_replaced = self._is_replaced()
        return await super().on_tick(counter) or self._was_replaced or self._is_stopped()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            try:
                self._tell_started()
            except OSError as error:
                # Out of here uvicorn would print it with its own stack; so it ends in order, and `serve` raises it.
                self.trouble, self.should_exit = error, True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.gave_way:
            await self._leave()
        if not self.gave_way:
            self._tell_stopping()
        await super().shutdown(sockets)
        # uvicorn would raise the signal again, and the process would end by it though its work is done.
        self._captured_signals.clear()

    async def _leave(self) -> None:
        """Accept nothing more, and wait until each client has had an answer that says so, or has been idle for long."""
        for server in self.servers:
            server.close()
        deadline = time.monotonic() + LEAVE_S
        while time.monotonic() < deadline and not (self.should_exit or self._is_stopped()):
            connections = cast("set[BoundedProtocol]", self.server_state.connections)
            for connection in connections:
                # Again and again: what was accepted just before may be among them only now.
                connection.leave()
            await asyncio.sleep(0.1)
            self._is_replaced()
            if not connections:
                return


def serve(
    state: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    capacity: Capacity = Capacity(),  # noqa: B008 -- it is frozen
    reach: Reach = Reach(),  # noqa: B008 -- it is frozen
    started: Callable[[str], None] | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
    now: Callable[[], str] = now_utc,
    tell: Callable[[dict[str, object]], None] = tell_stderr,
) -> None:
    """Serve the lines of a factory until SIGTERM or SIGINT; requests that have begun are answered first."""
    if reach.needs_token(host):
        capacity = replace(capacity, limits=replace(capacity.limits, needs_token=True))
    with listening(host, port, reach) as listener:
        said = announced_as(listener, reach, needs_token=capacity.limits.needs_token)
        announcement = Announcement(state, said)

        def announce(_is_well: bool) -> None:
            announcement.make()
            if started is not None:
                started(said.address)

        app = App(
            state,
            LocalArtifacts(state / "artifacts").get,
            tell=tell,
            capacity=capacity,
            now=now,
            hosts=reach.hosts,
        )
        try:
            _run(app, listener, reach, started=announce, is_stopped=is_stopped)
        finally:
            announcement.withdraw()


def serve_on(
    listener: socket.socket,
    state: Path,
    siblings: Siblings,
    *,
    started: Callable[[bool], None],
    is_replaced: Callable[[], bool],
    is_stopped: Callable[[], bool] = lambda: False,
    stopping: Callable[[], None] = lambda: None,
    capacity: Capacity = Capacity(),  # noqa: B008 -- it is frozen
    reach: Reach = Reach(),  # noqa: B008 -- it is frozen
) -> bool:
    """Serve like `serve`, on a socket that other processes may have too, until told to stop or replaced by one of them."""
    app = App(
        state,
        LocalArtifacts(state / "artifacts").get,
        tell=tell_stderr,
        siblings=siblings,
        capacity=capacity,
        hosts=reach.hosts,
    )
    return _run(
        app,
        listener,
        reach,
        started=started,
        is_stopped=is_stopped,
        is_replaced=is_replaced,
        stopping=stopping,
    )


def work(
    listener: socket.socket,
    state: Path,
    siblings: Siblings,
    listens: Callable[[bool], None],
    *,
    capacity: Capacity,
    reach: Reach,
) -> None:
    """Serve as one of several processes; SIGHUP says that others serve in its place."""
    replaced: list[int] = []

    def hear(number: int, _frame: FrameType | None) -> None:
        replaced.append(number)

    signal.signal(signal.SIGHUP, hear)
    serve_on(
        listener,
        state,
        siblings,
        started=listens,
        is_replaced=lambda: bool(replaced),
        capacity=capacity,
        reach=reach,
    )


def _run(
    app: App,
    listener: socket.socket,
    reach: Reach = Reach(),  # noqa: B008 -- it is frozen
    *,
    started: Callable[[bool], None],
    is_stopped: Callable[[], bool],
    is_replaced: Callable[[], bool] = lambda: False,
    stopping: Callable[[], None] = lambda: None,
) -> bool:
    config = uvicorn.Config(
        Cors(app, reach.origins, methods_of_pages) if reach.origins else app,  # pyright: ignore[reportArgumentType] -- uvicorn types each message; the app takes any mapping
        http=bounded(reach),
        loop=LOOP,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        **reach.server_options(),
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(
        config,
        started=lambda: started(app.is_ready),
        is_stopped=is_stopped,
        is_replaced=is_replaced,
        stopping=stopping,
        reach=reach,
    )
    sys.setswitchinterval(TURN_S)
    server.run(sockets=[listener])
    if server.trouble is not None:
        raise server.trouble
    return server.gave_way
