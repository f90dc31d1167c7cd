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

from linewright.serve.facts import Prediction

MOST = 100_000
"""Records that are held, about 15 MB; what is beyond has to be read from the log."""


class Entries(NamedTuple):
    """What an index has of some records of a segment, in their order."""

    offsets: list[int]
    """Where the frame of each begins in its segment, in bytes."""
    ids: list[str]
    keys: list[str | None]


@dataclass
class _Run:
    """All records of a segment from some position to `end`, in their order.

    In columns: Python looks through a hundred thousand tuples again and again for those that nobody has any more.
    """

    end: int
    offsets: list[int] = field(default_factory=list[int])
    ids: list[str] = field(default_factory=list[str])
    keys: list[str | None] = field(default_factory=list[str | None])


class Fresh:
    """Records that were written a moment ago, by segment. Safe to use from several threads.

    It is a memory, not the truth: what it no longer has is in the log.

    Examples
    --------
    >>> fresh = Fresh()
    >>> record = Prediction(
    ...     id="a", line="claims", generation=1, model=1, digest="", at="", key="k", row={}, answer={}, threshold=None
    ... )
    >>> fresh.add("one.log", 0, [record, record], [10, 20])
    >>> fresh.take("one.log", 10, most=5)
    (Entries(offsets=[10], ids=['a'], keys=['k']), 30)
    >>> fresh.take("one.log", 30, most=5)
    (Entries(offsets=[], ids=[], keys=[]), 30)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}

    @property
    def segments(self) -> list[str]:
        """The segments of which it has records."""
        with self._lock:
            return sorted(self._runs)

    @property
    def is_filling(self) -> bool:
        """Whether an index should take what is here before there is no more room."""
        with self._lock:
            return self._count() > MOST / 2

    def add(self, segment: str, start: int, records: Sequence[Prediction], sizes: Sequence[int]) -> None:
        """Remember records that were written to a segment.

        Parameters
        ----------
        start
            Where the frame of the first begins, in bytes.
        sizes
            Length of each frame, in bytes.
        """
        with self._lock:
            if self._count() + len(records) > MOST:
                self._runs.clear()
            run = self._runs.get(segment)
            if run is None or run.end != start:
                run = self._runs[segment] = _Run(start)
            ends = list(accumulate(sizes, initial=start))
            run.end = ends.pop()
            run.offsets += ends
            run.ids += [record.id for record in records]
            run.keys += [record.key for record in records]

    def take(self, segment: str, position: int, *, most: int) -> tuple[Entries, int]:
        """Return records of a segment from a position on, and the position behind them.

        Parameters
        ----------
        position
            Up to which an index has the segment.
        most
            Largest number of records to return; there may be none, and more in the log.
        """
        with self._lock:
            run = self._runs.get(segment)
            first = 0 if run is None else bisect_left(run.offsets, position)
            if run is None or first == len(run.offsets) or run.offsets[first] != position:
                return Entries([], [], []), position
            rows = slice(first, first + most)
            taken = Entries(run.offsets[rows], run.ids[rows], run.keys[rows])
            return taken, run.offsets[rows.stop] if rows.stop < len(run.offsets) else run.end

    def forget(self, segment: str, position: int) -> None:
        """Forget the records of a segment before a position, up to which an index has it for good."""
        with self._lock:
            run = self._runs.get(segment)
            if run is not None:
                many = bisect_left(run.offsets, position)
                for column in (run.offsets, run.ids, run.keys):
                    del column[:many]
                if not run.offsets:
                    del self._runs[segment]

    def _count(self) -> int:
        return sum(len(run.ids) for run in self._runs.values())
