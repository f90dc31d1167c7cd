"""The numbers of what was read last, kept in memory: of a picture or a text, which take milliseconds to become numbers."""

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float32]
K = TypeVar("K")


class NumbersCache(Generic[K]):
    """Numbers by a key; the least recently used give way. Safe to use from several threads.

    Examples
    --------
    >>> kept = NumbersCache[str](most_bytes=8)
    >>> kept.put("a", np.ones(2, np.float32)); kept.put("b", np.zeros(2, np.float32))
    >>> kept.get("a"), kept.get("b").tolist()
    (None, [0.0, 0.0])
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._numbers: OrderedDict[K, Numbers] = OrderedDict()
        self._lock, self._bytes = Lock(), 0

    def get(self, key: K) -> Numbers | None:
        """Return the numbers of a key, or `None`."""
        with self._lock:
            found = self._numbers.get(key)
            if found is not None:
                self._numbers.move_to_end(key)
            return found

    def put(self, key: K, numbers: Numbers) -> None:
        """Keep numbers."""
        with self._lock:
            before = self._numbers.pop(key, None)
            self._numbers[key] = numbers
            self._bytes += numbers.nbytes - (0 if before is None else before.nbytes)
            while self._bytes > self._most:
                self._bytes -= self._numbers.popitem(last=False)[1].nbytes
