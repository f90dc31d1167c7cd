"""Ports that servers of tests can listen on."""

import random
import socket

_LOWEST, _HIGHEST = 20_000, 32_767
"""Below the ports that systems give to connections going out: one of those may be taken between the asking and the listening."""


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    chance = random.SystemRandom()
    while True:
        port = chance.randint(_LOWEST, _HIGHEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
