"""How many requests a client may send to the control plane in a second."""

import math
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from linewright.errors import TooMany

MOST_CLIENTS = 10_000
"""Clients that are remembered; the one that was away for longest is forgotten first."""
BURST_S = 4.0
"""Seconds' worth of requests that may come at once; a client waits no longer until it may send one."""
REFUSED_AS = 10
"""Requests as which one counts that was refused since its client holds its share of something: a client that asks on and on is soon
refused here, which takes a quarter of the time."""


class RateLimit:
    """A token bucket a client.

    Examples
    --------
    >>> rate_limit = RateLimit(1.0, clock=lambda: 0.0)
    >>> [rate_limit.require("ada") for _ in range(4)]
    [None, None, None, None]
    >>> rate_limit.require("ada")
    Traceback (most recent call last):
        ...
    linewright.errors.TooMany: too many requests: allowed: 1 a second. Next: try again in 1 s
    >>> rate_limit.require("bob")
    """

    def __init__(self, per_second: float | None, *, clock: Callable[[], float] = monotonic) -> None:
        self._rate, self._clock = per_second, clock
        self.free: frozenset[str] = frozenset()
        """Paths that are not counted, since what they ask for must not wait."""
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By client: what it has left, and when that was."""

    def require(self, client: str) -> None:
        """Count a request."""
        if self._rate is None:
            return
        left = self._left(client, self._rate)
        self._keep(client, left - 1.0 if left >= 1.0 else left)
        if left < 1.0:
            retry_s = max(1, math.ceil((1.0 - left) / self._rate))
            raise TooMany(
                "too many requests",
                allowed=f"{self._rate:g} a second",
                hint=f"try again in {retry_s} s",
                details={"retry_s": retry_s},
            )

    def count_refused(self, client: str) -> None:
        """Count a request that was let through and refused behind this limit, as `REFUSED_AS` in all."""
        if self._rate is not None:
            least = min(0.0, 1.0 - self._rate * BURST_S)
            self._keep(client, max(least, self._left(client, self._rate) - (REFUSED_AS - 1.0)))

    def _left(self, client: str, rate: float) -> float:
        most, now = max(1.0, rate * BURST_S), self._clock()
        left, then = self._buckets.get(client, (most, now))
        return min(most, left + (now - then) * rate)

    def _keep(self, client: str, left: float) -> None:
        self._buckets[client] = left, self._clock()
        self._buckets.move_to_end(client)
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
