"""The newest records of a log, as the process that wrote them has them in memory.

An index of the log may take them from here. To read again, check and parse what was in memory a moment ago is most of what an
index costs.
"""

import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

MOST = 100_000
"""Frames of one record each that are held, about 15 MB; what is beyond has to be read from the log."""
_BYTES = 150
"""What one of them takes, about."""


class Several(NamedTuple):
    """What stands for the key of a frame that holds several records."""

    n: int
    keys: bytes | None
    """The key of each as a JSON list, `None` where they have none."""


class Entries(NamedTuple):
    """What an index has of some frames of a segment, in their order."""

    offsets: list[int]
    """Where each begins in its segment, in bytes."""
    ids: list[str]
    """Of the record, or the first of several."""
    keys: list[str | Several | None]


@dataclass
class _Run:
    """All frames of a segment from some position to `end`, in their order.

    In columns: Python looks through a hundred thousand tuples again and again for those that nobody has any more.
    """

    end: int
    offsets: list[int] = field(default_factory=list[int])
    ids: list[str] = field(default_factory=list[str])
    keys: list[str | Several | None] = field(default_factory=list[str | Several | None])


class Fresh:
    """Frames that were written a moment ago, by segment. Safe to use from several threads.

    It is a memory, not the truth: what it no longer has is in the log.

    Examples
    --------
    >>> fresh = Fresh()
    >>> fresh.add("one.log", 0, ["a", "b"], ["k", Several(3, None)], [10, 20])
    >>> fresh.take("one.log", 10, most=5)
    (Entries(offsets=[10], ids=['b'], keys=[Several(n=3, keys=None)]), 30)
    >>> fresh.take("one.log", 30, most=5)
    (Entries(offsets=[], ids=[], keys=[]), 30)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._held = 0
        """What all runs take, as so many frames of one record."""

    @property
    def segments(self) -> list[str]:
        """The segments of which it has records."""
        with self._lock:
            return sorted(self._runs)

    @property
    def is_filling(self) -> bool:
        """Whether an index should take what is here before there is no more room."""
        return self._held > MOST / 2

    def add(
        self,
        segment: str,
        start: int,
        ids: Sequence[str],
        keys: Sequence[str | Several | None],
        sizes: Sequence[int],
    ) -> None:
        """Remember frames that were written to a segment.

        Parameters
        ----------
        start
            Where the first begins, in bytes.
        ids, keys
            Of the record in each, or the first id of several.
        sizes
            Length of each frame, in bytes.
        """
        with self._lock:
            more = _weight(keys)
            if self._held + more > MOST:
                self._runs.clear()
                self._held = 0
            run = self._runs.get(segment)
            if run is None or run.end != start:
                self._held -= _weight(run.keys) if run else 0
                run = self._runs[segment] = _Run(start)
            ends = list(accumulate(sizes, initial=start))
            run.end = ends.pop()
            run.offsets += ends
            run.ids += ids
            run.keys += keys
            self._held += more

    def take(self, segment: str, position: int, *, most: int) -> tuple[Entries, int]:
        """Return frames of a segment from a position on, and the position behind them.

        Parameters
        ----------
        position
            Up to which an index has the segment.
        most
            Number of records behind which no further frame is returned; there may be none, and more in the log.
        """
        with self._lock:
            run = self._runs.get(segment)
            first = 0 if run is None else bisect_left(run.offsets, position)
            if run is None or first == len(run.offsets) or run.offsets[first] != position:
                return Entries([], [], []), position
            end = first
            for key in run.keys[first : first + most]:
                if most <= 0:
                    break
                most -= key.n if isinstance(key, Several) else 1
                end += 1
            taken = Entries(run.offsets[first:end], run.ids[first:end], run.keys[first:end])
            return taken, run.offsets[end] if end < len(run.offsets) else run.end

    def forget(self, segment: str, position: int) -> None:
        """Forget the frames of a segment before a position, up to which an index has it for good."""
        with self._lock:
            run = self._runs.get(segment)
            if run is not None:
                many = bisect_left(run.offsets, position)
                self._held -= _weight(run.keys[:many])
                for column in (run.offsets, run.ids, run.keys):
                    del column[:many]
                if not run.offsets:
                    del self._runs[segment]


def count(keys: Sequence[str | Several | None]) -> int:
    """Return of how many records these are the keys."""
    return sum(key.n if isinstance(key, Several) else 1 for key in keys)


def _weight(keys: Sequence[str | Several | None]) -> int:
    return sum(1 + len(key.keys or b"") // _BYTES if isinstance(key, Several) else 1 for key in keys)
