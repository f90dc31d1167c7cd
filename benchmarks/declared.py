"""Many lines that are declared and serve, while nobody asks for anything: what the worker and the commands take for them.

It is the second half of `fleet.py`. One line is trained and asked a little; its record, its log and its labels are then those of all
others too, each under its own name. So each has a champion, windows of an hour, and four conditions on which it trains again.
"""

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
from many_lines import PATIENCE_S, add_line, cpu_s, grow, rested, worker
from swap import LINE

from linewright.line.factory import Factory
from linewright.serve.access import control_token
from linewright.store.files.stamps import YOUNG_S

COUNTS = (100, 200, 400, 1000)
IDLE_S = 30.0
"""Seconds over which the worker is watched while nothing happens."""


@dataclass
class Cost:
    """What so many lines took."""

    lines: int
    first_s: float
    """CPU s of the worker until it had looked at all of them."""
    idle: float
    """Cores, from then on."""
    status_http_s: float
    status_s: float
    """CPU s of one `status`, over HTTP and by command, of the second one that was asked for."""
    check_s: float
    """CPU s of `check` of one of them."""

    def __str__(self) -> str:
        return (
            f"| {self.lines:,} | {self.first_s:.1f} | {self.idle:.3f} | {self.status_http_s:.2f} | {self.status_s:.2f} "
            f"| {self.check_s:.2f} |"
        )


def measure(folder: Path, lines: int) -> None:
    """Print what the worker and the commands take for more and more lines."""
    root = folder / "declared"
    with Factory.create(root) as factory:
        add_line(factory)
    print("\n**Worker and commands, when nothing happens**\n")
    print(
        "| lines | worker, first look, CPU s | idle, cores | `status` over HTTP, CPU s | by command | `check LINE` |"
    )
    print("|---:|---:|---:|---:|---:|---:|")
    for many in [each for each in COUNTS if each < lines] + [lines]:
        grow(root, many)
        print(_cost(root, many), flush=True)


def _cost(root: Path, many: int) -> Cost:
    time.sleep(2 * YOUNG_S)  # else files that were just written would be parsed by both commands
    _command(root, "status")
    status_s, check_s = _command(root, "status"), _command(root, "check", LINE)
    with worker(root) as (pid, url):
        first_s, idle = _settled(pid)
        told = {"Authorization": f"Bearer {control_token(root / '.linewright')}"}
        with httpx.Client(base_url=url, headers=told, timeout=PATIENCE_S) as client:
            for _ in range(2):
                before = cpu_s(pid)
                answer = client.get("/api/v1/status")
                status_http_s = cpu_s(pid) - before
                assert len(answer.json()["lines"]) == many, answer.text[:200]
    return Cost(many, first_s, idle, status_http_s, status_s, check_s)


def _command(root: Path, *words: str) -> float:
    """Return the CPU seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = [sys.executable, "-m", "linewright", *words, "--factory", str(root)]
    # As after `make install`: where Python may not write what it compiles, it would compile our files each time.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(program, check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _settled(pid: int) -> tuple[float, float]:
    """Return the CPU seconds of the worker until it rested, and the cores that it took from then on."""
    first, began = rested(pid), time.monotonic()
    time.sleep(IDLE_S)
    return first, (cpu_s(pid) - first) / (time.monotonic() - began)
