"""The time that a query may take to give one more row, and the bytes that may come until it has."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import Self

_LOOK_S = 0.2
"""How often, at least, a query that gives no row is looked after."""
_COUNT_S = 0.02
"""How often bytes are counted."""
MOST_BYTES = 1 << 28
"""Bytes that a server may send until it has given the rows that were asked for."""


class QueryTimeout:
    """Ends a query that gives no row for so many seconds, or sends `most` bytes until it does."""

    def __init__(
        self,
        end: Callable[[], object],
        seconds: float,
        *,
        received: Callable[[], int] | None = None,
        most: int = MOST_BYTES,
    ) -> None:
        self._end, self._seconds, self._received, self._most = end, seconds, received, most
        self._first_byte = received() if received else 0
        self._until = monotonic() + seconds
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="sql", daemon=True)
        self.has_ended = False
        self.is_flooded = False

    def restart(self) -> None:
        """Give the full time and all bytes again, since rows came."""
        self._until = monotonic() + self._seconds
        self._first_byte = self._received() if self._received else 0

    def _look(self) -> None:
        while not self._is_done.wait(min(self._seconds, _COUNT_S if self._received else _LOOK_S)):
            if self._received and self._received() - self._first_byte > self._most:
                self.is_flooded = True
                self._end()
            if monotonic() > self._until:
                self.has_ended = True
                self._end()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_done.set()
        self._thread.join()
