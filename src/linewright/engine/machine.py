"""How much memory this process has, and could have."""

import resource
from collections.abc import Iterator
from contextlib import suppress
from os import sysconf
from pathlib import Path


def memory(root: Path = Path("/")) -> int:
    """Return what the machine has, or what its control group or its own limits allow where that is less: in bytes."""
    machine = sysconf("SC_PAGE_SIZE") * sysconf("SC_PHYS_PAGES")
    own = [resource.getrlimit(one)[0] for one in (resource.RLIMIT_DATA, resource.RLIMIT_AS)]
    return min([machine, *_limits(root), *(most for most in own if most != resource.RLIM_INFINITY)])


def more_memory() -> str:
    """Say what to do where a run lacks memory, and how much it may have where this process has a limit."""
    most, _ = resource.getrlimit(resource.RLIMIT_DATA)
    now = "" if most == resource.RLIM_INFINITY else f"; it is {most / 2**30:.3g}GiB now"
    return f"allow more (factory.yaml: runs: {{memory: …}}{now}), or read fewer rows or columns"


def resident() -> int:
    """Return how many bytes of memory this process has."""
    pages = Path("/proc/self/statm").read_bytes().split()[1]
    return int(pages) * sysconf("SC_PAGE_SIZE")


def _limits(root: Path) -> Iterator[int]:
    """Give the limits of the control groups that this process is in, of version 2 and of version 1; none where none is set."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for group in groups:
        _, controllers, path = group.split(":", 2)
        if controllers == "":
            base, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            base, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        own = base / path.lstrip("/")
        # In a container the path may be that of the host; then the limit stands at the base.
        for folder in (own, *own.parents):
            with suppress(OSError, ValueError):  # "max" is none
                yield int((folder / name).read_text())
            if folder == base:
                break
