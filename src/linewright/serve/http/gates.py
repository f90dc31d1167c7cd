"""Gates that let requests in while they ask for no more than the limits of an endpoint allow.

What is too much is refused with 429, before any work and before anything is logged. Of the requests and rows that the endpoint may take,
each of its processes takes its part; bytes of the log are counted on the disk, whichever process wrote them.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from sys import maxsize
from time import monotonic
from typing import Literal, Self

from linewright.errors import Transient
from linewright.serve.http.request import Refusal
from linewright.serve.limits import AllLimits, Limits
from linewright.serve.log.segments import ENDING
from linewright.serve.metrics import Sample

LONGEST_RETRY_S = 3_600
"""Seconds after which a client may look again at the latest: limits may have been raised."""
LOOK_S = 2.0
"""Time between two looks at what the log takes on the disk."""
Reason = Literal["concurrent_requests", "rows_per_second", "log_bytes_per_day"]


class _Bucket:
    """Rows that may come now: a second's worth at most. A request is let in while there are any, however many it has itself."""

    __slots__ = ("at", "level", "most", "rate")

    def __init__(self, rate: float, now: float) -> None:
        self.rate, self.most = rate, max(rate, 1.0)
        self.level, self.at = self.most, now

    def is_empty(self, now: float) -> bool:
        """Fill it for the time that has gone by, and return whether nothing may come now."""
        self.level = level = min(self.level + (now - self.at) * self.rate, self.most)
        self.at = now
        return level < 1

    @property
    def wait_s(self) -> float:
        """Seconds until it is not empty any more."""
        return (1 - self.level) / self.rate


class LogUse:
    """Bytes by which the logs of lines have grown today, on the disk: also by other processes, before a restart, and sealed since."""

    def __init__(self, folder: Path, now: Callable[[], str], written: Callable[[str], int]) -> None:
        self._folder, self.now, self._written = folder, now, written
        self._day = ""
        self._sizes: dict[str, dict[str, tuple[int, int]]] = {}
        """By line and segment, its bytes when the day began, or it was first seen, and now."""
        self._grown: dict[str, tuple[int, int]] = {}
        """By line, the bytes of today and those that this process had written, both at the last look."""
        self._grown_in_all = 0

    def look(self) -> None:
        """Look at the disk."""
        day = self.now()[:10]
        is_new, self._day = day != self._day, day
        with suppress(FileNotFoundError), os.scandir(self._folder) as lines:
            for line in [each.name for each in lines if each.is_dir()]:
                written, found = self._written(line), dict(_segments(self._folder / line))
                before = self._sizes.get(line, {})
                if is_new:  # what was sealed until now is of another day
                    before = {name: (size, size) for name, (_, size) in before.items() if name in found}
                begun = {name: 0 if name.startswith(day) else size for name, size in found.items()}
                now = {name: (before.get(name, (begun[name], 0))[0], size) for name, size in found.items()}
                self._sizes[line] = sizes = before | now
                self._grown[line] = sum(end - begin for begin, end in sizes.values()), written
        self._grown_in_all = sum(grown for grown, _ in self._grown.values())

    def of(self, line: str) -> int:
        """Return the bytes of a line."""
        grown, written = self._grown.get(line, (0, 0))
        return grown + self._written(line) - written

    def of_all(self) -> int:
        """Return the bytes of all lines, as they were at the last look: there may be a thousand."""
        return self._grown_in_all


def _segments(folder: Path) -> Iterator[tuple[str, int]]:
    with suppress(FileNotFoundError), os.scandir(folder) as files:
        for each in files:
            if each.name.endswith(ENDING):
                with suppress(FileNotFoundError):
                    yield each.name, each.stat().st_size


class _Counter:
    """Where a line, or all of them together, stand with their limits."""

    __slots__ = ("bucket", "log_bytes", "most", "running")

    def __init__(self, limits: Limits, now: float) -> None:
        self.running = 0
        self.most = maxsize if limits.concurrent_requests is None else limits.concurrent_requests
        self.bucket = _Bucket(limits.rows_per_second, now) if limits.rows_per_second is not None else None
        self.log_bytes = limits.log_bytes_per_day


class Gate:
    """Lets the requests of one line in, each for a block; from one thread alone.

    Each request passes here: what is not limited must cost nothing.
    """

    __slots__ = ("_buckets", "_clock", "_line", "_own", "_sized", "_together", "_use", "refused")

    def __init__(
        self, line: str, own: _Counter, together: _Counter, use: LogUse, clock: Callable[[], float]
    ) -> None:
        self._line, self._own, self._together, self._use, self._clock = line, own, together, use, clock
        self._buckets = tuple(one.bucket for one in (own, together) if one.bucket is not None)
        self._sized = tuple(one for one in (own, together) if one.log_bytes is not None)
        self.refused: dict[Reason, int] = {}
        """Requests that were not let in, by reason."""

    def __enter__(self) -> Self:
        """Count a request; raise `Refusal` (429) where as many are being answered as may be."""
        own, together = self._own, self._together
        if together.running >= together.most or own.running >= own.most:
            one = own if own.running >= own.most else together
            raise self._refuse("concurrent_requests", one, 1, f"{one.most:,} at one time in each process")
        own.running += 1
        together.running += 1
        return self

    def __exit__(self, _kind: object, _error: object, _trace: object) -> None:
        self._own.running -= 1
        self._together.running -= 1

    def take(self, rows: int) -> None:
        """Take rows of what may come, before they are answered; raise `Refusal` (429) where none may come now."""
        if self._buckets:
            now = self._clock()
            for bucket in self._buckets:
                if bucket.is_empty(now):
                    one = self._own if bucket is self._own.bucket else self._together
                    allowed = f"{bucket.rate:,g} rows a second in each process"
                    raise self._refuse("rows_per_second", one, bucket.wait_s, allowed)
            self.owe(rows)
        for one in self._sized:
            self._require_room(one)

    def owe(self, rows: int) -> None:
        """Take rows that were let in already: the next ones wait the longer."""
        for bucket in self._buckets:
            bucket.level -= rows

    def _require_room(self, one: _Counter) -> None:
        used = self._use.of(self._line) if one is self._own else self._use.of_all()
        if one.log_bytes is not None and used >= one.log_bytes:
            left_s = _until_midnight_s(self._use.now())
            raise self._refuse("log_bytes_per_day", one, left_s, f"{one.log_bytes:,} bytes of log a day")

    def _refuse(self, reason: Reason, one: _Counter, wait_s: float, allowed: str) -> Refusal:
        self.refused[reason] = self.refused.get(reason, 0) + 1
        place = f"limits: lines: {self._line}: {reason}" if one is self._own else f"limits: {reason}"
        retry_s = min(max(math.ceil(wait_s), 1), LONGEST_RETRY_S)
        error = Transient(
            "more is asked for than may be",
            where=self._line,
            allowed=allowed,
            hint=f"ask again in {retry_s} s; `{place}` of factory.yaml is the limit",
        )
        return Refusal(429, error, retry_after=str(retry_s))


def _until_midnight_s(now: str) -> float:
    at = datetime.fromisoformat(now)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (midnight - at).total_seconds()


class Gates:
    """The gates of all lines of a process."""

    def __init__(self, limits: AllLimits, use: LogUse, *, clock: Callable[[], float] = monotonic) -> None:
        self._limits, self._use, self._clock = limits, use, clock
        self._together = _Counter(limits.together, clock())
        self._gates: dict[str, Gate] = {}
        each: Iterator[Limits] = iter((limits.together, *limits.lines.values()))
        self.are_of_bytes = any(one.log_bytes_per_day is not None for one in each)
        """Whether somebody has to look at the disk."""

    def of(self, line: str) -> Gate:
        """Return the gate of a line that is served."""
        gate = self._gates.get(line)
        if gate is None:
            own = _Counter(self._limits.lines.get(line, Limits()), self._clock())
            gate = self._gates[line] = Gate(line, own, self._together, self._use, self._clock)
        return gate

    def to_samples(self) -> Iterator[Sample]:
        """Give the counts for `Metrics.exposition`."""
        says = "Requests that were refused, since more was asked for than factory.yaml allows."
        refused: Mapping[str, Gate] = dict(sorted(self._gates.items()))
        for line, gate in refused.items():
            for reason, number in gate.refused.items():
                labels = (("line", line), ("reason", reason))
                yield Sample("linewright_limited_total", says, labels, number, "counter")
