"""What it costs to start: CPU seconds, wall seconds and peak memory of whole processes, median of five.

    python benchmarks/footprint.py [--peers PYTHON]

Beside each figure of ours stands what a user would start instead, in the same run, if PYTHON (default: this one) has it; see
`benchmarks/peers.txt`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from linewright.interfaces.python.factory import Factory
from linewright.serve.listener import endpoint

ROUNDS = 5


LAUNCH = """
import os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_utime + usage.ru_stime, time.perf_counter() - began, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Starts a command from a small process: a child's peak memory counts that of the process which forked it."""


class Cost(NamedTuple):
    """What one process took."""

    cpu: float
    wall: float
    megabytes: float


def cost(arguments: list[str]) -> Cost:
    """Run a command to its end, five times, and return the median of each figure."""
    command = [sys.executable, "-S", "-c", LAUNCH, *arguments]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(ROUNDS)]
    return median([Cost(*map(float, run.split())) for run in runs])


def median(costs: list[Cost]) -> Cost:
    return Cost(*(statistics.median(figures) for figures in zip(*costs, strict=True)))


@contextmanager
def served() -> Iterator[Path]:
    """Make a factory with one small model, and return its state folder."""
    with tempfile.TemporaryDirectory() as folder, Factory.open(demo(Path(folder))) as factory:
        yield factory.state


def demo(folder: Path) -> Path:
    command = [sys.executable, "-m", "linewright", "demo", "--quiet", "--factory", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def endpoint_cost(state: Path) -> Cost:
    """Start the endpoint, ask until it is ready, stop it; figures are from start to the first ready answer."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "linewright.serve", str(state), "127.0.0.1", "0"], stderr=subprocess.DEVNULL
    )
    while not ready(state):
        assert process.poll() is None, "the endpoint ended before it was ready"
        time.sleep(0.005)
    wall = time.perf_counter() - began
    peak = next(
        line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "VmHWM" in line
    )
    process.terminate()
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return Cost(usage.ru_utime + usage.ru_stime, wall, int(peak.split()[1]) / 1024)


def ready(state: Path) -> bool:
    address = endpoint(state)
    try:
        return address is not None and httpx.get(f"http://{address}/v2/health/ready").status_code == 200
    except httpx.TransportError:
        return False


PEERS = ("fastapi, onnxruntime", "mlflow")
"""What is imported in place of ours; the first is what the CPU of each is compared with."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peers", default=sys.executable)
    peers, python = parser.parse_args().peers, sys.executable
    rows = [
        ("python -c pass", cost([python, "-c", "pass"])),
        ("import linewright", cost([python, "-c", "import linewright"])),
        ("linewright --help", cost([python, "-m", "linewright", "--help"])),
        ("import linewright.serve", cost([python, "-c", "import linewright.serve"])),
        ("import linewright.serve.http.server", cost([python, "-c", "import linewright.serve.http.server"])),
        ("import linewright.serve.workers", cost([python, "-c", "import linewright.serve.workers"])),
    ]
    for packages in PEERS:
        imports = [peers, "-c", f"import {packages}"]
        if subprocess.run(imports, check=False, capture_output=True).returncode == 0:
            rows.append((f"import {packages}", cost(imports)))
    with served() as state:
        costs = [endpoint_cost(state) for _ in range(ROUNDS)]
        rows.append(("endpoint with one model, to its first ready answer", median(costs)))
    by_hand = dict(rows).get(f"import {PEERS[0]}")
    print("| what | CPU s | wall s | peak MB | CPU, of fastapi + onnxruntime |")
    print("|---|---:|---:|---:|---:|")
    for name, (cpu, wall, megabytes) in rows:
        share = f"{cpu / by_hand.cpu:.2f}" if by_hand else ""
        print(f"| {name} | {cpu:.2f} | {wall:.2f} | {megabytes:.0f} | {share} |")


if __name__ == "__main__":
    main()
