"""How many requests a client may send to the control plane in a second."""

import math
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from linewright.errors import TooMany

MOST_CLIENTS = 10_000
"""Clients that are remembered; the one that was away for longest is forgotten first."""
BURST_S = 4.0
"""Seconds' worth of requests that may come at once."""


class RateLimit:
    """A token bucket a client.

    Parameters
    ----------
    per_second
        Requests a second in the long run, above 0; `None` is without limit.
    clock
        Seconds that only grow.

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
        """Count a request.

        Raises
        ------
        TooMany
            If the client has sent too many.
        """
        if self._rate is None:
            return
        most, now = max(1.0, self._rate * BURST_S), self._clock()
        left, then = self._buckets.pop(client, (most, now))
        left = min(most, left + (now - then) * self._rate)
        self._buckets[client] = (left - 1.0 if left >= 1.0 else left, now)
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
        if left < 1.0:
            retry_s = max(1, math.ceil((1.0 - left) / self._rate))
            raise TooMany(
                "too many requests",
                allowed=f"{self._rate:g} a second",
                hint=f"try again in {retry_s} s",
                details={"retry_s": retry_s},
            )
