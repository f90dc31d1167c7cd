"""Many lines in one endpoint: what each costs, and whether the thousandth costs more than the first.

    python benchmarks/fleet.py [--lines N] [--room M]

Twice: with memory for all models, and with memory for M of them. An endpoint starts with one line, and gets a hundred more at a
time, each with a package of its own. After each hundred CPU and memory are read. Then, over one connection, one line is asked
again and again (hot), and each line once; with little memory only those that rest (cold), so that each request loads a package and
lets another go, and the hot line once more while another client does that.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from msgspec.structs import replace
from swap import LINE, Models, make, onnx_text, resident, served

from linewright.model.package import read_package
from linewright.release.facts import Arm, Serving
from linewright.serve.listener import endpoint
from linewright.serve.memory import cost_of
from linewright.store.local import LocalArtifacts
from linewright.store.values import canonical_json

STEP = 100
HOT = 2_000


@dataclass
class Step:
    """What a hundred lines took."""

    cpu_s: float
    tried_s: float
    """CPU of the process beside the endpoint that tries each package first."""
    megabytes: float
    seconds: float


@dataclass
class Asked:
    """Times of requests, in ms."""

    what: str
    times: list[float]

    def __str__(self) -> str:
        ordered = sorted(self.times)
        p50, p99 = ordered[len(ordered) // 2], ordered[int(0.99 * len(ordered))]
        return f"| {self.what} | {len(ordered):,} | {p50:.2f} | {p99:.2f} |"


def packages(models: Models, lines: int) -> list[str]:
    """Keep packages that differ in a text of their graphs, and return their digests."""
    artifacts = LocalArtifacts(models.state / "artifacts")
    package = read_package(models.good[0], artifacts.get)
    graph, digests = artifacts.get(package.graph), list[str]()
    for number in range(lines):
        own = onnx_text(graph, f"line {number:06}")
        changed = replace(package, graph=artifacts.put(own), graph_bytes=len(own))
        digests.append(artifacts.put(canonical_json(changed)))
    return digests


def point(models: Models, number: int, digest: str) -> None:
    serving = Serving(line=name(number), generation=1, champion=Arm(model=1, package=digest))
    draft = models.state / "serving" / ".adding"
    draft.write_bytes(canonical_json(serving))
    draft.replace(models.state / "serving" / f"{name(number)}.json")


def name(number: int) -> str:
    return f"line-{number:04}"


def cpu_s(pid: int) -> tuple[float, float]:
    """Return the CPU seconds of a process, and of its children."""

    def fields(of: int | str) -> list[int]:
        return [*map(int, Path(f"/proc/{of}/stat").read_text().rpartition(")")[2].split()[11:15])]

    own, living = fields(pid), 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            living += sum(fields(child)[:2])
    ticks = os.sysconf("SC_CLK_TCK")
    return sum(own[:2]) / ticks, (sum(own[2:]) + living) / ticks


def grow(models: Models, digests: list[str], client: httpx.Client, pid: int) -> list[Step]:
    steps = list[Step]()
    for first in range(0, len(digests), STEP):
        (cpu, tried), memory, begun = cpu_s(pid), resident(pid), time.monotonic()
        numbers = range(first, first + STEP)
        for number in numbers:
            point(models, number, digests[number])
        for number in reversed(numbers):  # the last is there last, or nearly; so the others are asked once
            while client.get(f"/v2/models/{name(number)}/ready").status_code != 200:
                assert time.monotonic() < begun + 300, "the endpoint did not load them"
                time.sleep(0.5)  # to ask is work for it too
        cpu_after, tried_after = cpu_s(pid)
        steps.append(
            Step(cpu_after - cpu, tried_after - tried, resident(pid) - memory, time.monotonic() - begun)
        )
    return steps


def asked(client: httpx.Client, line: str, row: dict[str, object]) -> float:
    begun = time.perf_counter()
    answer = client.post(
        f"/v1/lines/{line}/predict",
        content=json.dumps({"rows": [row]}),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 200, answer.text
    return (time.perf_counter() - begun) * 1e3


def metric(client: httpx.Client, wanted: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.split("{")[0].split(" ")[0] == wanted)


def resting(client: httpx.Client) -> list[str]:
    return [one["line"] for one in client.get("/v2/health").json()["lines"] if not one["loaded"]]


def ask(models: Models, opened: Callable[[], httpx.Client], lines: int) -> list[Asked]:
    """Ask one line again and again, and many lines once each."""

    def hot(client: httpx.Client, until: threading.Event | None = None) -> list[float]:
        times = list[float]()
        while len(times) < HOT if until is None else not until.is_set():
            times.append(asked(client, LINE, models.rows[len(times) % len(models.rows)]))
        return times

    def once(client: httpx.Client, names: list[str]) -> list[float]:
        return [asked(client, each, models.rows[i % len(models.rows)]) for i, each in enumerate(names)]

    with opened() as client, opened() as other:
        said = [Asked("one line again and again", hot(client))]
        cold = resting(client)
        if not cold:
            return [*said, Asked("each line once, loaded before", once(client, [*map(name, range(lines))]))]
        before = metric(client, "linewright_model_loads_total")
        said.append(Asked("lines that rest, once each: loaded first", once(client, cold)))
        assert metric(client, "linewright_model_loads_total") == before + len(cold)
        done, cold = threading.Event(), resting(client)
        beside = threading.Thread(target=lambda: (once(other, cold), done.set()))
        beside.start()
        said.append(Asked("one line again and again, beside that", hot(client, done)))
        beside.join()
        return said


def measure(models: Models, digests: list[str], room: int | None) -> None:
    """Start an endpoint with memory for `room` models, or for all, and print what it cost."""
    for number in range(len(digests)):
        (models.state / "serving" / f"{name(number)}.json").unlink(missing_ok=True)
    cost = cost_of(read_package(digests[0], LocalArtifacts(models.state / "artifacts").get))
    options = () if room is None else (f"--model-memory={room * cost}",)
    with served(models.state, *options) as process:

        def opened() -> httpx.Client:
            return httpx.Client(base_url=f"http://{endpoint(models.state)}", timeout=60)

        with opened() as client:
            alone = resident(process.pid)
            steps = grow(models, digests, client, process.pid)
            grown = resident(process.pid)
            said = ask(models, opened, len(digests))
            total, loaded = resident(process.pid), metric(client, "linewright_loaded")
            taken, budget = (
                metric(client, f"linewright_model_memory_{each}bytes") / 1e6 for each in ("", "budget_")
            )
            idle = cpu_s(process.pid)[0]
            time.sleep(5)
            idle = (cpu_s(process.pid)[0] - idle) / 5
            threads = len(os.listdir(f"/proc/{process.pid}/task"))  # noqa: PTH208
    print(f"\n**Memory for {'all' if room is None else room} models**\n")
    print("| lines | CPU ms a line, in the endpoint | to try it, beside it | MB a line | s for the hundred |")
    print("|---|---:|---:|---:|---:|")
    for at, step in enumerate(steps):
        print(
            f"| {at * STEP + 1} to {(at + 1) * STEP} | {step.cpu_s / STEP * 1e3:.1f} | {step.tried_s / STEP * 1e3:.1f} "
            f"| {step.megabytes / STEP:.2f} | {step.seconds:.1f} |"
        )
    print("\n| asked | requests | p50 ms | p99 ms |\n|---|---:|---:|---:|")
    print(*said, sep="\n")
    print(
        f"\n{len(digests) + 1:,} lines in {sum(step.seconds for step in steps):.0f} s, {loaded:.0f} of them loaded at the end: {alone:.0f} MB with "
        f"one line, {grown:.0f} MB when all had come, {total:.0f} MB after the requests; models are thought to take {taken:.0f} of "
        f"{budget:,.0f} MB; {threads} threads, {idle:.3f} CPU s a second when nobody asks; the last hundred took "
        f"{steps[-1].cpu_s / steps[0].cpu_s:.2f} times the CPU of the first"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=1000, help="a multiple of 100")
    parser.add_argument("--room", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = make(Path(folder) / "factory")
        digests = packages(models, given.lines)
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
        for room in (None, given.room):
            measure(models, digests, room)


if __name__ == "__main__":
    sys.exit(main())
