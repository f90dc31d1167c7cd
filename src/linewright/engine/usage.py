"""What a process takes, with all that it starts: processor time, time and memory, as Linux tells it in ``/proc``.

Where there is no ``/proc``, a process knows its own processor time and that of children it waited for, and no more.
"""

import os
import resource
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import msgspec

_USER, _SYSTEM, _OF_WAITED_USER, _OF_WAITED_SYSTEM, _STARTED = 11, 12, 13, 14, 19
"""Places in ``/proc/PID/stat`` behind the name of the program: see proc(5)."""
_FORGET_PEAK = "5"
"""What ``/proc/PID/clear_refs`` takes, so that the peak of resident memory counts from now on."""
_KIB = 1024


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken."""

    cpu_s: float = 0.0
    """Seconds of processor time, of all processors together."""
    wall_s: float = 0.0
    """Seconds that it took."""
    peak_bytes: int = 0
    """The most resident memory at one time, in bytes; 0 where it is not known."""

    def __add__(self, other: "Usage") -> "Usage":
        """Return what both took, one after the other.

        Examples
        --------
        >>> Usage(cpu_s=1.5, wall_s=2.0, peak_bytes=300) + Usage(cpu_s=0.5, wall_s=1.0, peak_bytes=200)
        Usage(cpu_s=2.0, wall_s=3.0, peak_bytes=300)
        """
        return Usage(
            cpu_s=self.cpu_s + other.cpu_s,
            wall_s=self.wall_s + other.wall_s,
            peak_bytes=max(self.peak_bytes, other.peak_bytes),
        )


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """Where a measurement begins."""

    at: float
    """Seconds of the machine's monotonic clock, which its processes share."""
    cpu_s: float
    """Processor time that had been taken by then."""


def forget_peak(pid: int) -> None:
    """Have the peak of a process's memory count from now on, for all who look at it."""
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text(_FORGET_PEAK)


class Meter:
    """Measures what a process and all that it starts take."""

    def __init__(self, pid: int = 0, *, begun: Begun | None = None) -> None:
        self._pid = pid or os.getpid()
        self.begun = begun or Begun(at=time.monotonic(), cpu_s=_cpu_of_all(self._pid, descendants(self._pid)))
        self._cpu_s, self._peak = 0.0, 0

    def read(self, started: Collection[int] | None = None) -> Usage:
        """Return what was taken so far. Of a process that has ended and was not waited for yet, the memory is that of the last look."""
        tree = descendants(self._pid) if started is None else started
        self._cpu_s = max(self._cpu_s, _cpu_of_all(self._pid, tree) - self.begun.cpu_s)
        own = _peak_of(self._pid)
        together = memory_of(self._pid, *tree) if tree else 0
        self._peak = max(self._peak, own, together)
        return self.last

    @property
    def last(self) -> Usage:
        """What was taken when it was read last, with the seconds since the beginning."""
        wall_s = round(time.monotonic() - self.begun.at, 3)
        return Usage(cpu_s=round(self._cpu_s, 3), wall_s=wall_s, peak_bytes=self._peak)

    def held(self, peak_bytes: int) -> None:
        """Note a peak that is known from elsewhere."""
        self._peak = max(self._peak, peak_bytes)


def descendants(pid: int) -> dict[int, str]:
    """Return the processes that one has started, and those that these have: by number, when each began."""
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            with suppress(OSError):
                for child in map(int, task.read_text().split()):
                    found[child] = began(child)
                    waiting.append(child)
    return found


def began(pid: int) -> str:
    """Return when a process began, in ticks since the machine started; empty where there is none."""
    fields = _stat_of(pid)
    return fields[_STARTED] if fields else ""


def memory_of(*pids: int) -> int:
    """Return the bytes of memory that processes hold for themselves, together; 0 for one that has ended."""
    return sum(_status_of(pid, "RssAnon", "VmSwap") for pid in pids)


def _peak_of(pid: int) -> int:
    return _status_of(pid, "VmHWM")


def _status_of(pid: int, *names: str) -> int:
    """Return the sum of sizes that ``/proc/PID/status`` names, in bytes."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = (line.split() for line in status.splitlines() if line.partition(":")[0] in names)
    return sum(int(words[1]) for words in lines) * _KIB


def _cpu_of_all(pid: int, started: Collection[int]) -> float:
    return _cpu_of(pid) + sum(_cpu_of(one) for one in started)


def _cpu_of(pid: int) -> float:
    """Return the processor time of a process and of those that it waited for, in seconds; 0 where there is none."""
    if pid == os.getpid():
        used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(one.ru_utime + one.ru_stime for one in used)
    fields = _stat_of(pid)
    if not fields:
        return 0.0
    ticks = sum(int(fields[place]) for place in (_USER, _SYSTEM, _OF_WAITED_USER, _OF_WAITED_SYSTEM))
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat_of(pid: int) -> list[str]:
    """Return the fields of ``/proc/PID/stat`` behind the name of the program, which may hold anything; none where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
