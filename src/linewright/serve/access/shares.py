"""What clients hold of something scarce at one time: so much each, and so much in all."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from ipaddress import IPv6Address, ip_network
from time import monotonic
from typing import Any
from weakref import WeakValueDictionary

from linewright.errors import TooMany, Transient

MOST_PAUSE_S = 1.0
"""Longest pause between two turns of a client."""


class Shares:
    """Counts what each client holds, so that one who takes much is refused before it is missing to others.

    One thread, that of the event loop, takes and gives.

    Examples
    --------
    >>> shares = Shares("streams", each=2, most=3)
    >>> shares.take("ada", 2)
    >>> shares.take("ada")
    Traceback (most recent call last):
        ...
    linewright.errors.TooMany: too many streams of yours at one time: allowed: at most 2. Next: end one of them, then ask again
    >>> shares.take("bob")
    >>> shares.take("carl")
    Traceback (most recent call last):
        ...
    linewright.errors.Transient: too many streams of all clients at one time: allowed: at most 3. Next: ask again in a moment
    """

    def __init__(self, what: str, *, each: int, most: int) -> None:
        self._what, self._each, self._most = what, each, most
        self._held: Counter[str] = Counter()
        self.held = 0
        """By all clients."""

    def take(self, client: str, amount: int = 1) -> None:
        """Count what a client takes."""
        if self._held[client] + amount > self._each:
            self._forget(client)
            raise TooMany(
                f"too many {self._what} of yours at one time",
                allowed=f"at most {self._each:,}",
                hint="end one of them, then ask again",
                details={"retry_s": 1},
            )
        if self.held + amount > self._most:
            self._forget(client)
            raise Transient(
                f"too many {self._what} of all clients at one time",
                allowed=f"at most {self._most:,}",
                hint="ask again in a moment",
            )
        self._held[client] += amount
        self.held += amount

    def give(self, client: str, amount: int = 1) -> None:
        """Count what a client gives back."""
        self._held[client] -= amount
        self.held -= amount
        self._forget(client)

    @contextmanager
    def taken(self, client: str, amount: int = 1) -> Generator[None, None, None]:
        """Take for a block; raises as `take` does."""
        self.take(client, amount)
        try:
            yield
        finally:
            self.give(client, amount)

    def _forget(self, client: str) -> None:
        # A client that holds nothing takes no memory.
        if not self._held[client]:
            del self._held[client]


class Turns:
    """Lets each client do one thing of a kind at one time, in the order in which it asks.

    What works in threads takes turns at the interpreter: who waits for it beside one thread for each other client waits twice as long
    for one of them, however much that one asks. Where more of a client wait while others have a turn, a pause as long as its turn follows
    it: those who ask for one thing after the other have the interpreter to themselves for half of the time.
    """

    def __init__(self) -> None:
        self._turns = WeakValueDictionary[str, _Turn]()
        self._at_work = 0

    @asynccontextmanager
    async def of(self, client: str) -> AsyncGenerator[None, None]:
        """Wait for the turn of a client, and have it for a block."""
        turn = self._turns.get(client)
        if turn is None:
            turn = self._turns[client] = _Turn()
        turn.waiting += 1
        try:
            await turn.lock.acquire()
        finally:
            turn.waiting -= 1
        try:
            await asyncio.sleep(turn.pause_s)
            began = monotonic()
            self._at_work += 1
            try:
                yield
            finally:
                self._at_work -= 1
                is_pausing = turn.waiting and self._at_work
                turn.pause_s = min(monotonic() - began, MOST_PAUSE_S) if is_pausing else 0.0
        finally:
            turn.lock.release()


class _Turn:
    """The turn of one client."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.waiting = 0
        self.pause_s = 0.0
        """Before the next."""


def client_by_address(scope: Mapping[str, Any]) -> str:
    """Return whose share a request uses that nobody is known of: an address's, as a declared proxy says it."""
    return f"address {share_of_address((scope.get('client') or ('',))[0])}"


def share_of_address(address: str) -> str:
    """Return by what an address is counted: in IPv6 by its network, of which one client may have all addresses.

    Examples
    --------
    >>> [share_of_address(one) for one in ("192.0.2.7", "2001:db8::1:7", "2001:db8::2:7", "::ffff:192.0.2.7", "fe80::1%eth0")]
    ['192.0.2.7', '2001:db8::/64', '2001:db8::/64', '192.0.2.7', 'fe80::/64']
    """
    if ":" not in address:
        return address
    try:
        found = IPv6Address(address.partition("%")[0])
    except ValueError:  # what a proxy says may be anything
        return address
    return str(found.ipv4_mapped or ip_network((found, 64), strict=False))
