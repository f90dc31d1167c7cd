"""What the system says of this process, under the names that all clients of Prometheus use.

Read from ``/proc``; where there is none, only what needs none is told.
"""

import os
import resource
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from linewright import __version__
from linewright.serve.metrics import Sample

_PROC = Path("/proc")
_UTIME, _STIME, _STARTED, _VIRTUAL, _RESIDENT = 11, 12, 19, 20, 21
"""Places in ``/proc/self/stat`` behind the name of the program, of which only the first is 0: see proc(5)."""


def to_samples(proc: Path = _PROC) -> Iterator[Sample]:
    """Give build, memory, processor time, start and open files of this process.

    Examples
    --------
    >>> next(to_samples()).name
    'linewright_build_info'
    """
    python = ".".join(map(str, sys.version_info[:3]))
    build = (("version", __version__), ("python", python))
    yield Sample("linewright_build_info", "What answers.", build, 1, over="max")
    try:
        # The name of the program may hold anything, also blanks and parentheses; the last one ends it.
        fields = (proc / "self" / "stat").read_text().rpartition(")")[2].split()
        started = _boot_time(proc)
        files = sum(1 for _ in (proc / "self" / "fd").iterdir())
    except (OSError, ValueError):
        return
    ticks = os.sysconf("SC_CLK_TCK")
    seconds = (int(fields[_UTIME]) + int(fields[_STIME])) / ticks
    yield Sample("process_cpu_seconds_total", "Processor time, in seconds.", (), seconds, "counter")
    yield Sample(
        "process_start_time_seconds",
        "Start, in seconds since 1970.",
        (),
        started + int(fields[_STARTED]) / ticks,
        over="min",
    )
    resident = int(fields[_RESIDENT]) * resource.getpagesize()
    yield Sample("process_resident_memory_bytes", "Resident memory, in bytes.", (), resident)
    yield Sample("process_virtual_memory_bytes", "Virtual memory, in bytes.", (), int(fields[_VIRTUAL]))
    yield Sample("process_open_fds", "Open files and sockets.", (), files)
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield Sample("process_max_fds", "Files and sockets that may be open.", (), most)


@lru_cache(maxsize=1)
def _boot_time(proc: Path) -> int:
    for line in (proc / "stat").read_text().splitlines():
        if line.startswith("btime "):
            return int(line.split()[1])
    raise ValueError("no btime")
