"""Which connections a server has room for: enough files stay free beside them, and idle ones are closed first."""

import asyncio
import resource
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any, Protocol

from linewright.serve.access.shares import share_of_address

MOST_CONNECTIONS = 4_000
"""Connections of one process, however many files it may open: each takes memory too, 16 KB idle and 0.8 MB where requests wait."""
MOST_EACH = 250
"""Of one client: half-sent heads of so many are below 64 MB."""
FEWEST_CONNECTIONS = 16
"""So many are taken however few files are left: a server that nobody can reach is of no use."""
RESERVE = 256
"""Files that are left for all that is no connection (log, labels, pointers, databases); of few files that may be open, a half."""
TOLD_EVERY_S = 60.0
"""Time between two times that it is told how many requests were refused before they were any."""


TURN_S = 0.05
"""How long one of the connections that pipeline requests keeps the others from being read, at most: its client may not read its answers."""


class Connection(Protocol):
    """A connection as it is seen here."""

    holder: str
    """Whose it is; `Connections.enter` says so."""

    def make_room(self) -> None:
        """Close at once."""
        ...

    def read_on(self) -> None:
        """Parse the next part of the requests that were pipelined."""
        ...


class Room(Enum):
    """Whether there is room for one more connection."""

    TAKEN = "taken"
    REFUSED = "refused"
    """It can be told that there is none."""
    DROPPED = "dropped"
    """There are too few files left even for that."""


class Connections:
    """The connections of one server: how many there may be, and which of them wait for their clients, longest first."""

    def __init__(
        self,
        tell: Callable[[dict[str, object]], None],
        admits: Callable[[str], bool] | None = None,
        forwards: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._tell, self._admits, self._forwards = tell, admits, forwards
        files = open_file_limit()
        reserve = min(RESERVE, files // 2)
        self.most = max(FEWEST_CONNECTIONS, min(MOST_CONNECTIONS, files - reserve))
        """How many there may be; a quarter of the reserve more are told that there are too many."""
        self.most_each = max(FEWEST_CONNECTIONS, min(MOST_EACH, self.most * 3 // 4))
        """How many one client may have; the rest is for others."""
        self._more_told = reserve // 4
        self._number = 0
        self._held: Counter[str] = Counter()
        """By client."""
        self._idle: OrderedDict[Connection, None] = OrderedDict()
        self._stalled: OrderedDict[Connection, None] = OrderedDict()
        self._noted: Counter[str] = Counter()
        self._pipelining: OrderedDict[Connection, None] = OrderedDict()
        self._turn: Connection | None = None
        self._turn_began = 0.0
        self._turn_timer: asyncio.TimerHandle | None = None
        """Ends a turn, or the pause after it."""

    def enter(self, connection: Connection, peer: Sequence[Any] | None = None) -> Room:
        """Count one more; if that is one too many, close the one that is idle for longest, among those of a client that has too many."""
        address = str(peer[0]) if peer else ""
        connection.holder = holder = "" if self._forwards(address) else share_of_address(address)
        self._number += 1
        self._held[holder] += 1
        if self._admits is not None and not self._admits(address):
            self.note("not-the-proxy")
            return Room.DROPPED
        beyond, its_own = self._number - self.most, bool(holder) and self._held[holder] - self.most_each
        if beyond <= 0 >= its_own:
            return Room.TAKEN
        waiting = (each for all_ in (self._idle, self._stalled) for each in all_)
        longest = next((each for each in waiting if its_own <= 0 or each.holder == holder), None)
        if longest is not None:
            self.note("closed-to-make-room")
            self.mark_busy(longest)  # it is still counted until it is closed, and is not closed twice
            longest.make_room()
            return Room.TAKEN
        if max(beyond, its_own) <= self._more_told:
            return Room.REFUSED
        self.note(Room.DROPPED.value)
        return Room.DROPPED

    def leave(self, connection: Connection) -> None:
        """Count one less."""
        self._number -= 1
        self._held[connection.holder] -= 1
        if not self._held[connection.holder]:
            del self._held[connection.holder]
        self.mark_busy(connection)
        self.unmark_pipelining(connection)

    def mark_idle(self, connection: Connection) -> None:
        """Note that one waits for a request, or for the rest of its head; noted again, it keeps its place."""
        self._idle[connection] = None

    def mark_stalled(self, connection: Connection) -> None:
        """Note that one waits for its client within a request: it is closed only where nobody is idle."""
        self._idle.pop(connection, None)
        self._stalled[connection] = None

    def mark_busy(self, connection: Connection) -> None:
        """Note that one waits for the server."""
        self._idle.pop(connection, None)
        if self._stalled:
            self._stalled.pop(connection, None)

    def mark_pipelining(self, connection: Connection) -> None:
        """Note that one has sent requests before the answers to those before.

        Such connections are read in turn, a part each, and each turn is followed by a pause as long: a client that waits for each answer
        then waits for one of them, and not for all, and they take at most half of the processor.
        """
        self._pipelining[connection] = None
        if self._turn is connection:
            self._end_turn()
        elif self._turn_timer is None:
            self._next_turn()

    def unmark_pipelining(self, connection: Connection) -> None:
        """Note that all that one has sent is answered, or being answered."""
        self._pipelining.pop(connection, None)
        if self._turn is connection:
            self._end_turn()

    def _next_turn(self) -> None:
        self._turn_timer = None
        if not self._pipelining:
            return
        loop = asyncio.get_running_loop()
        self._turn, _ = self._pipelining.popitem(last=False)
        self._turn_began = loop.time()
        self._turn_timer = loop.call_later(TURN_S, self._end_turn)
        loop.call_soon(self._turn.read_on)

    def _end_turn(self) -> None:
        self._turn = None
        if self._turn_timer is not None:
            self._turn_timer.cancel()
        loop = asyncio.get_running_loop()
        self._turn_timer = loop.call_later(min(loop.time() - self._turn_began, TURN_S), self._next_turn)

    def note(self, what: str) -> None:
        """Count what was refused before it was a request; the counts are told together, so that a flood of them makes no flood of messages."""
        if not self._noted:
            asyncio.get_running_loop().call_later(TOLD_EVERY_S, self._tell_noted)
        self._noted[what] += 1

    def _tell_noted(self) -> None:
        noted, self._noted = self._noted, Counter()
        self._tell(
            {"event": "clients-refused", "within_s": TOLD_EVERY_S, "counts": dict(sorted(noted.items()))}
        )


def raise_file_limit() -> None:
    """Let this process open as many files as it may: shells give 1,024, which as many idle clients would fill."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # a system that allows less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def open_file_limit() -> int:
    """Return how many files this process may have open."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if most != resource.RLIM_INFINITY else 2**31
