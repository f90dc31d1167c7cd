"""What two checkouts cost: a request to the endpoint, and a run, in turn, in one table.

    python benchmarks/price.py BEFORE [--after CHECKOUT] [--rounds N] [--runs N] [--blocks N] [--requests N]

BEFORE and CHECKOUT (default: this one) are folders of the repository. Both are run by the Python that runs this script, with the same
installed libraries; each has a factory of its own with the same line, whose model has as many numbers on both: trees that were grown
otherwise would take another time to answer. In each round both endpoints are started anew and answer blocks of requests of one row over one
kept connection, in turn. Then both carry out runs, in turn, whose source has one row more each time. CPU of a request is that of the
endpoint's process, by the kernel's count; that of a run is that of the command and all its children. A difference is the median of one
side minus the other, with its 95 % interval by order statistics. Two endpoints of one checkout differ by 12 us (standard deviation)
from one start to the next: so there are many starts.
"""

import argparse
import csv
import os
import random
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from scipy.stats import binom

SEED = 21
LINE = """\
line: sound
sources: {rows: {file: rows.csv}}
label: {column: bad, positive: "yes"}
train: {python: "estimator.py:make", split: {by: random, test: 0.3}}
gates:
  - {metric: roc_auc, at_least: 0.6}
"""
ESTIMATOR = """\
from sklearn.linear_model import LogisticRegression

def make():
    return LogisticRegression()
"""
COMMAND = [sys.executable, "-m", "linewright"]
BODY = b'{"rows": [{"size": 0.4, "speed": 0.5}]}'


@dataclass
class Side:
    """A checkout, its factory, and what was measured of it."""

    name: str
    checkout: Path
    root: Path
    request_us: list[float] = field(default_factory=list[float])
    run_s: list[float] = field(default_factory=list[float])
    run_cpu_s: list[float] = field(default_factory=list[float])

    @property
    def environment(self) -> dict[str, str]:
        """Where Python finds the checkout's code. The libraries of both sides are the same files, and so lie in the same memory."""
        return {**os.environ, "PYTHONPATH": str(self.checkout / "src")}


def declare(side: Side) -> None:
    side.root.mkdir()
    chance = random.Random(SEED)  # noqa: S311 -- rows of a benchmark
    with (side.root / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["size", "speed", "bad"])
        for _ in range(2_000):
            size = chance.random()
            bad = "yes" if size + 0.3 * chance.random() > 0.75 else "no"
            writer.writerow([f"{size:.4f}", f"{chance.random():.4f}", bad])
    subprocess.run([*COMMAND, "init", str(side.root)], env=side.environment, check=True, capture_output=True)
    (side.root / "lines" / "sound.yaml").write_text(LINE)
    (side.root / "estimator.py").write_text(ESTIMATOR)


def run(side: Side) -> None:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [*COMMAND, "run", "sound"], cwd=side.root, env=side.environment, check=False, capture_output=True
    )
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    side.run_s.append(seconds)
    side.run_cpu_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def ask(sides: list[Side], blocks: int, requests: int) -> None:
    """Ask both endpoints in turn, block by block: what the machine does meanwhile meets both."""
    with ExitStack() as stack:
        served = [(side, *stack.enter_context(serving(side)), []) for side in sides]
        for _, _, port, connection, _ in served:
            answer(connection, port, 500)
        for number in range(blocks):
            for _, pid, port, connection, taken in served if number % 2 else served[::-1]:
                before = cpu_s(pid)
                answer(connection, port, requests)
                taken.append((cpu_s(pid) - before) / requests * 1e6)
        for side, _, _, _, taken in served:
            side.request_us.append(statistics.median(taken))


@contextmanager
def serving(side: Side) -> Iterator[tuple[int, int, socket.socket]]:
    """Yield the id of an endpoint's process, its port and a connection to it."""
    port = free_port()
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", str(port)],
        cwd=side.root,
        env=side.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with connected(port) as connection:
            yield process.pid, port, connection
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def connected(port: int) -> socket.socket:
    until = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def answer(connection: socket.socket, port: int, requests: int) -> None:
    head = f"POST /v1/lines/sound/predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
    for _ in range(requests):
        connection.sendall(request)
        said = connection.recv(65536)
        if not said.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the endpoint says {said[:300]!r}")


def cpu_s(pid: int) -> float:
    """CPU of all threads of a process, by the scheduler's count of nanoseconds."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def interval(values: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median of sorted values, wider where they are few.

    >>> interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    (2.0, 8.0)
    """
    rank = max(int(binom.ppf(0.025, len(values), 0.5)), 1)
    return values[rank - 1], values[-rank]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("before", type=Path)
    words.add_argument("--after", type=Path, default=Path(__file__).resolve().parents[1])
    words.add_argument("--rounds", type=int, default=60)
    words.add_argument("--runs", type=int, default=10)
    words.add_argument("--blocks", type=int, default=4)
    words.add_argument("--requests", type=int, default=300, help="of a block")
    asked = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sides = [
            Side(name, checkout.resolve(), Path(folder) / name)
            for name, checkout in (("before", asked.before), ("after", asked.after))
        ]
        for side in sides:
            declare(side)
            run(side)
            side.run_s.clear()
            side.run_cpu_s.clear()
        for number in range(asked.rounds):
            ask(sides if number % 2 else sides[::-1], asked.blocks, asked.requests)
        for number in range(asked.runs):
            for side in sides if number % 2 else sides[::-1]:
                with (side.root / "rows.csv").open("a") as file:
                    file.write(f"0.{5000 + number},0.5000,no\n")
                run(side)
    print(
        f"{asked.rounds} rounds of {asked.blocks} blocks of {asked.requests:,} requests; {asked.runs} runs; seed {SEED}\n"
    )
    print("| what | before | after | difference | from | to |\n|---|---:|---:|---:|---:|---:|")
    for what, unit, of in (
        ("a request, CPU of the endpoint", "us", "request_us"),
        ("a run, CPU", "s", "run_cpu_s"),
        ("a run, wall", "s", "run_s"),
    ):
        before, after = (getattr(side, of) for side in sides)
        more = sorted(b - a for a, b in zip(before, after, strict=True))
        middle = statistics.median
        low, high = interval(more)
        print(
            f"| {what} | {middle(before):.2f} {unit} | {middle(after):.2f} {unit} "
            f"| {middle(more):+.2f} {unit} | {low:+.2f} | {high:+.2f} |"
        )


if __name__ == "__main__":
    main()
