"""What two checkouts cost: requests to the endpoint, and a run, in turn, in one table.

    python benchmarks/price.py BEFORE [--after CHECKOUT] [--rounds N] [--runs N] [--blocks N] [--requests N]

BEFORE and CHECKOUT (default: this one) are folders of the repository. Both are run by the Python that runs this script, with the same
installed libraries; each has a factory of its own with the same line, whose model has as many numbers on both: trees that were grown
otherwise would take another time to answer. In each round both endpoints are started anew and answer blocks of requests over one
kept connection, in turn: of one row; of a hundred rows that get columns of a feature view; and a hundred sent rows of its source. Then both carry out runs, in turn, whose source has one row more each time. CPU of a request is that of the
endpoint's process, by the kernel's count; that of a run is that of the command and all its children. A difference is the median of one
side minus the other, with its 95 % interval by order statistics. Two endpoints of one checkout differ by 12 us (standard deviation)
from one start to the next: so there are many starts.
"""

import argparse
import csv
import json
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
from collections.abc import Generator, Iterable
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

from scipy.stats import binom

SEED = 21
ENTITIES, AT_ONCE = 10_000, 100
VIEW = """\
view: paid
entity: payer
source: {push: payments, key: id, time: at}
time: at
columns: {total: sum(amount) over 30d, n: count() over 7d, last_amount: last(amount)}
"""
LINE = """\
line: sound
sources: {rows: {file: rows.csv}}
label: {column: bad, positive: "yes"}
train: {python: "estimator.py:make", split: {by: random, test: 0.3}}
gates:
  - {metric: roc_auc, at_least: 0.6}
"""
PAYING = """\
line: paying
sources: {rows: {file: paying.csv}}
table: {time: at}
features: [paid]
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
ROW = b'{"rows": [{"size": 0.4, "speed": 0.5}]}'


KINDS = {
    "row": "a request",
    "features": f"{AT_ONCE} rows with a feature view",
    "push": f"{AT_ONCE} sent rows",
}


@dataclass
class Side:
    """A checkout, its factory, and what was measured of it."""

    name: str
    checkout: Path
    root: Path
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    wall_us: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    run_s: list[float] = field(default_factory=list[float])
    run_cpu_s: list[float] = field(default_factory=list[float])
    sent: int = 0
    """Rows that it got, by whose number each is known."""

    def request(self, kind: str) -> tuple[str, bytes]:
        """Return the next request of a kind: its path and its body."""
        if kind == "row":
            return "lines/sound/predict", ROW
        if kind == "features":
            self.sent += 1
            payers = [f"c{(self.sent * 7919 + 101 * number) % ENTITIES}" for number in range(AT_ONCE)]
            return "lines/paying/predict", rows_of({"payer": payer, "size": 0.4} for payer in payers)
        return "sources/payments/rows", self.payments(AT_ONCE)

    def payments(self, many: int) -> bytes:
        """Return payments that it did not get yet."""
        numbers = range(self.sent, self.sent + many)
        self.sent += many
        at = datetime.now(UTC) - timedelta(days=1)  # noqa: TID251 -- a benchmark has no context
        return rows_of(
            {
                "id": number,
                "payer": f"c{number % ENTITIES}",
                "at": at.isoformat(),
                "amount": number % 97 + 0.5,
            }
            for number in numbers
        )

    @property
    def environment(self) -> dict[str, str]:
        """Where Python finds the checkout's code. The libraries of both sides are the same files, and so lie in the same memory."""
        return {**os.environ, "PYTHONPATH": str(self.checkout / "src")}


def rows_of(rows: Iterable[dict[str, object]]) -> bytes:
    return json.dumps({"rows": list(rows)}).encode()


def declare(side: Side) -> None:
    side.root.mkdir()
    subprocess.run([*COMMAND, "init", str(side.root)], env=side.environment, check=True, capture_output=True)
    (side.root / "lines" / "sound.yaml").write_text(LINE)
    (side.root / "lines" / "paying.yaml").write_text(PAYING)
    (side.root / "features").mkdir(exist_ok=True)
    (side.root / "features" / "paid.yaml").write_text(VIEW)
    (side.root / "estimator.py").write_text(ESTIMATOR)
    write_rows(side.root)
    command = [*COMMAND, "check", "paying"]  # from now on, rows can be sent
    subprocess.run(command, cwd=side.root, env=side.environment, check=False, capture_output=True)
    with serving(side) as (_, connection):
        for _ in range(3):
            answer(connection, "sources/payments/rows", side.payments(ENTITIES))
    write_rows(side.root)  # their times are after what was sent
    for line in ("sound", "paying"):
        run(side, line)


def write_rows(root: Path) -> None:
    chance, now = random.Random(SEED), datetime.now(UTC)  # noqa: S311, TID251 -- rows of a benchmark
    with (
        (root / "rows.csv").open("w", newline="") as rows,
        (root / "paying.csv").open("w", newline="") as paying,
    ):
        writers = csv.writer(rows), csv.writer(paying)
        writers[0].writerow(["size", "speed", "bad"])
        writers[1].writerow(["payer", "at", "size", "bad"])
        for number in range(2_000):
            size = chance.random()
            bad = "yes" if size + 0.3 * chance.random() > 0.75 else "no"
            writers[0].writerow([f"{size:.4f}", f"{chance.random():.4f}", bad])
            writers[1].writerow([f"c{number}", now.isoformat(), f"{size:.4f}", bad])


def run(side: Side, line: str = "sound") -> None:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [*COMMAND, "run", line], cwd=side.root, env=side.environment, check=False, capture_output=True
    )
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    side.run_s.append(seconds)
    side.run_cpu_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def ask(sides: list[Side], blocks: int, requests: int) -> None:
    """Ask both endpoints in turn, block by block: what the machine does meanwhile meets both."""
    with ExitStack() as stack:
        served = [(side, *stack.enter_context(serving(side))) for side in sides]
        for kind in KINDS:
            many = requests if kind == "row" else max(requests // 10, 1)
            taken = {side.name: list[tuple[float, float]]() for side in sides}
            for number in range(blocks + 1):  # the first warms up
                for side, pid, connection in served if number % 2 else served[::-1]:
                    asked = [side.request(kind) for _ in range(many)]
                    connection.close()  # the endpoint has ended one that was idle while the other side was asked
                    connection.connect()
                    cpu, wall = cpu_s(pid), time.perf_counter()
                    for path, body in asked:
                        answer(connection, path, body)
                    took = cpu_s(pid) - cpu, time.perf_counter() - wall
                    taken[side.name].append((took[0] / many * 1e6, took[1] / many * 1e6))
            for side in sides:
                cpus, walls = zip(*taken[side.name][1:], strict=True)
                side.cpu_us[kind].append(statistics.median(cpus))
                side.wall_us[kind].append(statistics.median(walls))


@contextmanager
def serving(side: Side) -> Generator[tuple[int, HTTPConnection]]:
    """Yield the id of an endpoint's process and a connection to it."""
    port = free_port()
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", str(port)],
        cwd=side.root,
        env=side.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            wait_for(connection)
            yield process.pid, connection
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_for(connection: HTTPConnection) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            return connection.connect()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def answer(connection: HTTPConnection, path: str, body: bytes) -> None:
    connection.request("POST", f"/v1/{path}", body, {"Content-Type": "application/json"})
    with connection.getresponse() as said:
        text = said.read()
        if said.status != 200 or (path == "lines/paying/predict" and b'"record":"sha256:' not in text):
            raise SystemExit(f"the endpoint says {said.status}: {text[:300]!r}")


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
    words.add_argument(
        "--requests", type=int, default=300, help="of a block; a tenth where they have many rows"
    )
    asked = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sides = [
            Side(name, checkout.resolve(), Path(folder) / name)
            for name, checkout in (("before", asked.before), ("after", asked.after))
        ]
        for side in sides:
            declare(side)
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
    print("| what | before | after | difference | from | to | ratio |\n|---|---:|---:|---:|---:|---:|---:|")
    rows = [
        row
        for kind, what in KINDS.items()
        for row in (
            (f"{what}, CPU of the endpoint", "us", [side.cpu_us[kind] for side in sides]),
            (f"{what}, wall", "us", [side.wall_us[kind] for side in sides]),
        )
    ]
    rows += [
        ("a run, CPU", "s", [side.run_cpu_s for side in sides]),
        ("a run, wall", "s", [side.run_s for side in sides]),
    ]
    for what, unit, (before, after) in rows:
        if not before:
            continue
        more = sorted(b - a for a, b in zip(before, after, strict=True))
        middle = statistics.median
        low, high = interval(more)
        ratio = middle(b / a for a, b in zip(before, after, strict=True))
        print(
            f"| {what} | {middle(before):.2f} {unit} | {middle(after):.2f} {unit} "
            f"| {middle(more):+.2f} {unit} | {low:+.2f} | {high:+.2f} | {ratio:.2f} |"
        )


if __name__ == "__main__":
    main()
