"""Who may work now: so many at a time, in the order in which they came, and nobody for ever behind one that hangs."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count

YIELDS_S = 600.0
"""Seconds by which work that a schedule asked for lets what a person asked for pass; a person's work that comes later than that
waits behind it, so that it is put off and never starved."""
_LOOK_S = 0.5


class Turns:
    """Turns at work.

    Examples
    --------
    >>> turns = Turns(1)
    >>> with turns.take() as turn:
    ...     turns.working
    1
    >>> turns.working
    0
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int]] = []
        self._numbers = count()
        self._working: set[int] = set()

    @property
    def working(self) -> int:
        """How many work now; those that are quiet are left out."""
        return len(self._working)

    @contextmanager
    def take(
        self, *, is_urgent: bool = True, look: Callable[[], None] = lambda: None
    ) -> Generator["Turn", None, None]:
        """Wait for a turn, and have it inside the ``with``."""
        number = next(self._numbers)
        place = (time.monotonic() + (0.0 if is_urgent else YIELDS_S), number)
        with self._changed:
            self._waiting.append(place)
            try:
                while len(self._working) >= self._most or min(self._waiting) != place:
                    self._changed.wait(_LOOK_S)
                    look()
                self._working.add(number)
            finally:
                self._waiting.remove(place)
                self._changed.notify_all()
        turn = Turn(self, number)
        try:
            yield turn
        finally:
            turn.rest()

    def set_working(self, number: int, *, works: bool) -> None:
        """Count a turn, or leave it out; for `Turn`."""
        with self._changed:
            (self._working.add if works else self._working.discard)(number)
            self._changed.notify_all()


class Turn:
    """One turn. It may rest, so that another one begins, and go on later without waiting."""

    def __init__(self, turns: Turns, number: int) -> None:
        self._turns, self._number = turns, number
        self._works = True

    def rest(self) -> None:
        """Let another one begin."""
        if self._works:
            self._works = False
            self._turns.set_working(self._number, works=False)

    def go_on(self) -> None:
        """Count again, at once."""
        if not self._works:
            self._works = True
            self._turns.set_working(self._number, works=True)
