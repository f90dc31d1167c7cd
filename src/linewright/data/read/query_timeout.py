"""The time that a query may take to give one more row."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import Self

_LOOK_S = 0.2
"""How often, at least, a query that gives no row is looked after."""


class QueryTimeout:
    """Ends a query that gives no row for so many seconds.

    Parameters
    ----------
    end
        Ends it, from another thread; called again and again: the first call may come before there is what it ends.
    """

    def __init__(self, end: Callable[[], object], seconds: float) -> None:
        self._end, self._seconds = end, seconds
        self._until = monotonic() + seconds
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="sql", daemon=True)
        self.has_ended = False

    def restart(self) -> None:
        """Give the full time again, since rows came."""
        self._until = monotonic() + self._seconds

    def _look(self) -> None:
        while not self._is_done.wait(min(self._seconds, _LOOK_S)):
            if monotonic() > self._until:
                self.has_ended = True
                self._end()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_done.set()
        self._thread.join()
