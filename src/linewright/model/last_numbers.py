"""The numbers of what was read last, kept in memory: of a picture or a text, which take milliseconds to become numbers."""

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float32]
K = TypeVar("K")


class LastNumbers(Generic[K]):
    """Numbers by a key; the least recently used give way. Safe to use from several threads.

    Examples
    --------
    >>> kept = LastNumbers[str](most=1)
    >>> kept.put("a", np.ones(2, np.float32)); kept.put("b", np.zeros(2, np.float32))
    >>> kept.get("a"), kept.get("b").tolist()
    (None, [0.0, 0.0])
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._numbers: OrderedDict[K, Numbers] = OrderedDict()
        self._lock = Lock()

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
            self._numbers[key] = numbers
            if len(self._numbers) > self._most:
                self._numbers.popitem(last=False)
