"""How all lines stand, for pages that show many: worked out once for all who look, and again while they look at what it was."""

from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Thread
from time import monotonic
from typing import Any

from msgspec.structs import replace

from linewright.errors import LinewrightError
from linewright.serve.access.rights import Identity

LEAST_S = 1.0
"""How long it is taken for new, at least."""
SHARE = 0.1
"""Of the time while somebody looks, that in which it may be worked out."""
MOST_S = 60.0
"""How old it may be and still be shown while it is worked out again."""
SHORT_S = 0.1
"""What takes longer is worked out again in another process: here every page would wait for its turn meanwhile."""


class Fleet:
    """The status of all lines."""

    def __init__(self, read: Callable[[], Any], *, read_aside: Callable[[], Any] | None = None) -> None:
        self._read, self._read_aside, self._lock = read, read_aside, Lock()
        self._status: Any = None
        self._at, self._until, self._took = float("-inf"), 0.0, 0.0
        """When it was worked out, until when it is taken for new, and the seconds that took in this process."""
        self._is_reading = False
        self._changes = self._known = 0
        """How many changes there were, and how many of them before what is kept was worked out."""

    def forget(self) -> None:
        """Have it worked out before it is shown again: something was changed."""
        self._changes += 1

    def keep_fresh(self) -> None:
        """Have it worked out again if it is old, without waiting: somebody is looking around, and may come to a page that shows it."""
        if self._lock.acquire(blocking=False):
            try:
                if self._status is not None:
                    self._refresh()
            finally:
                self._lock.release()

    def seen_by(self, identity: Identity) -> Any:
        """Return the status of the lines that somebody may see; what is said of the factory is for those who may see all."""
        status, lines = self._now(), identity.lines("view")
        if lines is None:
            return status
        seen = tuple(each for each in status.lines if each.line in lines)
        return replace(status, lines=seen, disk=None, undelivered=(), restored=None, withheld=())

    def _now(self) -> Any:
        with self._lock:
            is_old = self._known != self._changes or monotonic() >= self._at + MOST_S
            if self._status is None or is_old:
                self._took = self._keep(self._read)
            else:
                self._refresh()
            return self._status

    def _refresh(self) -> None:
        if monotonic() >= self._until and not self._is_reading:
            self._is_reading = True
            Thread(target=self._read_again, daemon=True).start()

    def _keep(self, read: Callable[[], Any], *, unless_changed: bool = False) -> float:
        """Work it out and return the seconds that took; what something changed meanwhile counts as old, or with `unless_changed` is not kept."""
        began, changes = monotonic(), self._changes
        status, now = read(), monotonic()
        if not unless_changed or changes == self._changes:
            self._status, self._at, self._known = status, now, changes
            self._until = now + max(LEAST_S, (now - began) / SHARE)
        return now - began

    def _read_again(self) -> None:
        until = self._until
        try:
            with suppress(LinewrightError):
                if self._read_aside is not None and self._took > SHORT_S:
                    self._keep(self._read_aside, unless_changed=True)
                else:
                    self._took = self._keep(self._read, unless_changed=True)
        finally:
            if self._until == until:
                self._at = float("-inf")  # the next viewer works it out, and learns why it cannot be
            self._is_reading = False
