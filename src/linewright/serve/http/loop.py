"""The event loop of a server: uvloop, which counts a connection from its first moment, before the handshake of TLS."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Protocol

import uvloop
from uvloop.loop import SSLProtocol  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType] -- its types do not tell of it

from linewright.serve.http.connections import Connections, Room

LOOP = "linewright.serve.http.loop:Loop"
"""As uvicorn names it."""
HANDSHAKE_S = 10.0
"""Seconds for the handshake of TLS."""
FOLLOW_TICKS = 600
"""Ticks of uvicorn, ten a second, between two looks whether the certificate was renewed."""


class Counted(Protocol):
    """A protocol whose connection may be counted before it is connected."""

    transport: Any
    """`None` until it is connected."""
    room: Room | None
    """Whether there is room for it, if it is counted already."""
    holder: str
    """Whose it is, if it is counted already."""

    @property
    def places(self) -> Connections:
        """The connections of its server."""
        ...


class Handshake(asyncio.Protocol):
    """A connection before and during its handshake: it is idle, and makes room for others as idle ones do.

    Parameters
    ----------
    make
        Makes the protocol that comes after the handshake.
    context
        Certificate and key.
    """

    def __init__(self, make: Callable[[], Counted], context: ssl.SSLContext) -> None:
        self._make, self._context = make, context
        self._transport: Any = None
        self.holder = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it, and begin the handshake if there is room for one more."""
        self._transport, protocol = transport, self._make()
        protocol.room = protocol.places.enter(self, transport.get_extra_info("peername"))
        protocol.holder = self.holder
        if protocol.room is Room.DROPPED:
            protocol.places.leave(self)
            self._transport.abort()
            return
        if protocol.room is Room.TAKEN:
            protocol.places.mark_idle(self)
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        waiter.add_done_callback(lambda done: self._end(protocol, done))
        secure: Any = SSLProtocol(
            loop, protocol, self._context, waiter, server_side=True, ssl_handshake_timeout=HANDSHAKE_S
        )
        # uvloop does the same itself if it is given a certificate. Nothing was read yet.
        self._transport.set_protocol(secure)
        secure.connection_made(transport)

    def _end(self, protocol: Counted, done: "asyncio.Future[None]") -> None:
        if protocol.transport is not None:
            protocol.places.mark_busy(self)  # the protocol is counted from here on
            return
        protocol.places.leave(self)
        if not done.cancelled() and done.exception() is not None:
            self._transport.abort()

    def make_room(self) -> None:
        """Close at once, for a client that came later."""
        self._transport.abort()

    def read_on(self) -> None:
        """Do nothing: nothing is pipelined before the handshake."""


class Loop(uvloop.Loop):
    """uvloop's, whose servers count connections from their first moment."""

    async def create_server(self, protocol_factory: Any, *args: Any, **options: Any) -> Any:
        """Listen as uvloop does."""
        context = options.pop("ssl", None)
        if context is None:
            return await super().create_server(protocol_factory, *args, **options)

        def accepted() -> Handshake:
            return Handshake(protocol_factory, context)

        return await super().create_server(accepted, *args, **options)
