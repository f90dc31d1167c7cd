"""What is kept for a while and taken once: sign-ins that are under way."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

from linewright.serve.access.back_off import network_of

T = TypeVar("T")

MOST = 10_000
"""Values that are kept; the oldest gives way."""
MOST_OF_ONE = 100
"""Of one address; its oldest gives way, so that it pushes nobody else's out."""


class OneTime(Generic[T]):
    """Values by key, each for some seconds and for one reader; threads may use it.

    Examples
    --------
    >>> kept = OneTime[str](60.0, clock=lambda: 0.0)
    >>> kept.put("key", "value", "192.0.2.1")
    >>> kept.take("key"), kept.take("key")
    ('value', None)
    """

    def __init__(self, seconds: float, *, clock: Callable[[], float] = monotonic) -> None:
        self._seconds, self._clock, self._lock = seconds, clock, Lock()
        self._kept = OrderedDict[str, tuple[T, str, float]]()
        """By key: the value, whose it is, and until when."""
        self._of_place: dict[str, OrderedDict[str, None]] = {}

    def put(self, key: str, value: T, address: str) -> None:
        """Keep a value that a client at an address began."""
        place = network_of(address)
        with self._lock:
            now = self._clock()
            # They end in the order in which they began.
            while self._kept and (len(self._kept) >= MOST or next(iter(self._kept.values()))[2] <= now):
                self._remove(next(iter(self._kept)))
            own = self._of_place.setdefault(place, OrderedDict())
            if len(own) >= MOST_OF_ONE:
                self._remove(next(iter(own)))
                own = self._of_place.setdefault(place, OrderedDict())
            own[key] = None
            self._kept[key] = value, place, now + self._seconds

    def take(self, key: str) -> T | None:
        """Return a value and forget it; `None` if there is none of that key, or its time is over."""
        with self._lock:
            found = self._remove(key)
        return found[0] if found is not None and found[2] > self._clock() else None

    def __len__(self) -> int:
        return len(self._kept)

    def _remove(self, key: str) -> tuple[T, str, float] | None:
        found = self._kept.pop(key, None)
        if found is not None:
            own = self._of_place[found[1]]
            del own[key]
            if not own:
                del self._of_place[found[1]]
        return found
