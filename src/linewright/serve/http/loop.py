"""The event loop of a server: uvloop, which ends a connection whose TLS handshake takes long."""

from typing import Any

import uvloop

LOOP = "linewright.serve.http.loop:Loop"
"""As uvicorn names it."""
HANDSHAKE_S = 10.0
"""Seconds for the handshake of TLS: until then a connection is not counted, and costs a file."""
FOLLOW_TICKS = 600
"""Ticks of uvicorn, ten a second, between two looks whether the certificate was renewed."""


class Loop(uvloop.Loop):
    """uvloop's, with a shorter deadline for handshakes."""

    async def create_server(self, *args: Any, **options: Any) -> Any:
        """Listen as uvloop does."""
        if options.get("ssl") is not None:
            options.setdefault("ssl_handshake_timeout", HANDSHAKE_S)
        return await super().create_server(*args, **options)
