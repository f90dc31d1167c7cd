"""The connection to a server of a database, of which another thread can end what it does."""

import socket
from contextlib import suppress

from linewright.data.read.sql.database import CONNECT_S, DatabaseQuery


def connect_stream(query: DatabaseQuery, port: int) -> socket.socket:
    """Connect to the first address that answers."""
    url, last = query.url, OSError("no address")
    for address in query.addresses:
        try:
            if not address.startswith("/"):
                stream = socket.create_connection((address, url.port or port), CONNECT_S)
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return stream
            stream = socket.socket(socket.AF_UNIX)
            stream.settimeout(CONNECT_S)
            stream.connect(address)
        except OSError as error:
            last = error
        else:
            return stream
    raise query.unavailable_error(last.strerror or last)


def cut(stream: socket.socket) -> None:
    """End a connection, so that who waits for it waits no more."""
    with suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)
