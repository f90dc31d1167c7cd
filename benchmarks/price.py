"""What two checkouts cost: a request to the endpoint, and a run, in turn, in one table.

    python benchmarks/price.py BEFORE [--after CHECKOUT] [--rounds N] [--requests N]

BEFORE and CHECKOUT (this one, where it is not said) are folders of the repository in which `make install` was done. Each has a factory of
its own with the same line. In each round both answer requests of one row over one kept connection, and both carry out a run whose source
has one row more than before, one after the other. CPU of a request is that of the endpoint's process, by the kernel's count; that of a run
is that of the command and all its children. The median over the rounds counts.
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
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

SEED = 21
LINE = """\
line: sound
sources: {rows: {file: rows.csv}}
label: {column: bad, positive: "yes"}
train: {budget: {trials: 1}, split: {by: random, test: 0.3}}
gates:
  - {metric: roc_auc, at_least: 0.6}
"""
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
    def command(self) -> str:
        """The program of the checkout."""
        return str(self.checkout / ".venv/bin/linewright")


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
    subprocess.run([side.command, "init", str(side.root)], check=True, capture_output=True)
    (side.root / "lines" / "sound.yaml").write_text(LINE)


def run(side: Side) -> None:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([side.command, "run", "sound"], cwd=side.root, check=False, capture_output=True)
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    side.run_s.append(seconds)
    side.run_cpu_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def ask(side: Side, requests: int) -> None:
    port = free_port()
    command = [side.command, "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=side.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        connection = connected(port)
        with connection:
            answer(connection, port, 500)
            before = cpu_s(process.pid)
            answer(connection, port, requests)
            side.request_us.append((cpu_s(process.pid) - before) / requests * 1e6)
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
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("before", type=Path)
    words.add_argument("--after", type=Path, default=Path(__file__).resolve().parents[1])
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--requests", type=int, default=20_000)
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
            for side in sides if number % 2 else sides[::-1]:
                ask(side, asked.requests)
                with (side.root / "rows.csv").open("a") as file:
                    file.write(f"0.{5000 + number},0.5000,no\n")
                run(side)
    print(f"{asked.rounds} rounds of {asked.requests:,} requests and one run, medians; seed {SEED}\n")
    print("| what | before | after | difference |\n|---|---:|---:|---:|")
    for what, unit, of in (
        ("a request, CPU of the endpoint", "us", "request_us"),
        ("a run, CPU", "s", "run_cpu_s"),
        ("a run, wall", "s", "run_s"),
    ):
        before, after = (statistics.median(getattr(side, of)) for side in sides)
        print(f"| {what} | {before:.2f} {unit} | {after:.2f} {unit} | {after - before:+.2f} {unit} |")


if __name__ == "__main__":
    main()
