"""How all lines stand, for pages that show many: worked out once for all who look, and again while they look at what it was."""

from collections.abc import Callable
from threading import Lock, Thread
from time import monotonic, thread_time
from typing import Any

from msgspec.structs import replace

from linewright.errors import LinewrightError
from linewright.serve.access.rights import Identity

LEAST_S = 1.0
"""How long it is taken for new, at least."""
SHARE = 0.1
"""Of one processor, what working it out may take while somebody looks."""
MOST_S = 60.0
"""How old it may be and still be shown while it is worked out again."""


class Fleet:
    """The status of all lines.

    Parameters
    ----------
    read
        Works it out, for the whole factory.
    """

    def __init__(self, read: Callable[[], Any]) -> None:
        self._read, self._lock = read, Lock()
        self._status: Any = None
        self._at = self._until = 0.0
        self._is_reading = False

    def forget(self) -> None:
        """Have it worked out before it is shown again: something was changed."""
        self._at = 0.0

    def seen_by(self, identity: Identity) -> Any:
        """Return the status of the lines that somebody may see; what is said of the factory is for those who may see all.

        Raises
        ------
        LinewrightError
            If it cannot be worked out.
        """
        status, lines = self._now(), identity.lines("view")
        if lines is None:
            return status
        seen = tuple(each for each in status.lines if each.line in lines)
        return replace(status, lines=seen, disk=None, undelivered=(), restored=None, withheld=())

    def _now(self) -> Any:
        now = monotonic()
        with self._lock:
            is_shown = self._status is not None and now < self._at + MOST_S
            if is_shown and (now < self._until or self._is_reading):
                return self._status
            if is_shown:
                self._is_reading = True
                Thread(target=self._read_aside, daemon=True).start()
                return self._status
            return self._read_now()

    def _read_now(self) -> Any:
        began = thread_time()
        self._status = self._read()
        self._at = monotonic()
        self._until = self._at + max(LEAST_S, (thread_time() - began) / SHARE)
        return self._status

    def _read_aside(self) -> None:
        try:
            self._read_now()
        except LinewrightError:
            self._at = 0.0  # the next viewer learns why
        finally:
            self._is_reading = False
