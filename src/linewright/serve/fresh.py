"""The newest records of a log, as the process that wrote them has them in memory.

An index of the log may take them from here. To read again, check and parse what was in memory a moment ago is most of what an
index costs.
"""

import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from linewright.serve.facts import Prediction

MOST = 100_000
"""Records that are held, about 25 MB; what is beyond has to be read from the log."""


class Entry(NamedTuple):
    """What an index has of one record."""

    offset: int
    """Where its frame begins in its segment, in bytes."""
    id: str
    key: str | None


@dataclass
class _Run:
    """All records of a segment between two positions, in their order."""

    start: int
    end: int
    entries: list[Entry] = field(default_factory=list[Entry])


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
    ([Entry(offset=10, id='a', key='k')], 30)
    >>> fresh.take("one.log", 30, most=5)
    ([], 30)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}

    @property
    def segments(self) -> list[str]:
        """The segments of which it has records."""
        with self._lock:
            return sorted(self._runs)

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
                run = self._runs[segment] = _Run(start, start)
            for record, size in zip(records, sizes, strict=True):
                run.entries.append(Entry(run.end, record.id, record.key))
                run.end += size

    def take(self, segment: str, position: int, *, most: int) -> tuple[list[Entry], int]:
        """Return records of a segment from a position on, and the position behind them.

        Parameters
        ----------
        position
            Up to which an index has the segment for good: what is before it is forgotten here.
        most
            Largest number of records to return; there may be none, and more in the log.
        """
        with self._lock:
            run = self._runs.get(segment)
            if run is None or not run.start <= position:
                return [], position
            del run.entries[: bisect_left(run.entries, position, key=lambda entry: entry.offset)]
            if not run.entries:
                del self._runs[segment]
                return [], position
            run.start = position
            if run.entries[0].offset != position:
                return [], position
            taken = run.entries[:most]
            return taken, run.entries[most].offset if len(run.entries) > most else run.end

    def _count(self) -> int:
        return sum(len(run.entries) for run in self._runs.values())
