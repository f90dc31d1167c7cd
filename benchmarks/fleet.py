"""Many lines in one endpoint: what each costs, and whether the thousandth costs more than the first.

    python benchmarks/fleet.py [--lines N] [--room M] [--only endpoint|worker]

First the endpoint, twice: with memory for all models, and with memory for M of them. An endpoint starts with one line, and gets a hundred more at a
time, each with a package of its own. After each hundred CPU and memory are read. Then, over one connection, one line is asked
again and again (hot), and each line once; with little memory only those that rest (cold), so that each request loads a package and
lets another go, and the hot line once more while another client does that.

Each of the two begins without logs: an endpoint indexes the log of a line when that line comes, and that has nothing to do with
how many came before. With little memory the first M lines stay and all others are let go as soon as they are verified, so the last
hundred is also compared with the first one that was let go. What it takes to try a package in the process beside the endpoint does
not depend on the number of lines: where that changes, it is the machine that does.

Then worker and commands, with 100, 200, 400 and N lines with which nothing happens: see `declared.py`.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat, takewhile
from pathlib import Path

import declared
import httpx
from msgspec.structs import replace
from swap import LINE, Models, make, onnx_text, resident, served

from linewright.model.package.model import read_package
from linewright.release.facts import Arm, Serving
from linewright.serve.http.app import CATCH_UP_S
from linewright.serve.listener import endpoint
from linewright.serve.models.memory import cost_of
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.values import canonical_json

STEP = 100
HOT = 2_000
SETTLES_S = 5.0
"""What an endpoint has to itself after it has begun to index the logs of a thousand lines."""


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
    halves: tuple[float, float] | None = None
    """CPU ms a request in the endpoint, of the first half of them and of the second."""

    def __str__(self) -> str:
        ordered = sorted(self.times)
        p50, p99 = ordered[len(ordered) // 2], ordered[int(0.99 * len(ordered))]
        cpu = " | ".join(f"{each:.1f}" for each in self.halves) if self.halves else " | "
        return f"| {self.what} | {len(ordered):,} | {p50:.2f} | {p99:.2f} | {cpu} |"


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


def ask(models: Models, opened: Callable[[], httpx.Client], lines: int, pid: int) -> list[Asked]:
    """Ask one line again and again, and many lines once each."""

    def times(client: httpx.Client, names: Iterable[str]) -> list[float]:
        return [asked(client, each, models.rows[i % len(models.rows)]) for i, each in enumerate(names)]

    def timed(client: httpx.Client, what: str, names: list[str]) -> Asked:
        said, halves, half = list[float](), list[float](), len(names) // 2
        for part in (names[:half], names[half:]):
            before = cpu_s(pid)[0]
            said += times(client, part)
            halves.append((cpu_s(pid)[0] - before) / len(part) * 1e3)
        return Asked(what, said, (halves[0], halves[1]))

    with opened() as client, opened() as other:
        said = [timed(client, "one line again and again", [LINE] * HOT)]
        if not resting(client):
            each = [*map(name, range(lines))]
            said.append(timed(client, "each line once, loaded before; its log is made", each))
            time.sleep(CATCH_UP_S + SETTLES_S)
            return [*said, timed(client, "each line once more", each)]
        for what in ("lines that rest, once each: loaded first; their logs are made", "such lines once more"):
            before, cold = metric(client, "linewright_model_loads_total"), resting(client)
            said.append(timed(client, what, cold))
            assert metric(client, "linewright_model_loads_total") == before + len(cold)
            time.sleep(CATCH_UP_S + SETTLES_S)
        beside = threading.Thread(target=times, args=(other, resting(client)))
        beside.start()
        until = takewhile(lambda _: beside.is_alive(), repeat(LINE))
        said.append(Asked("one line again and again, beside that", times(client, until)))
        return said


def measure(models: Models, digests: list[str], room: int | None) -> None:
    """Start an endpoint with memory for `room` models, or for all, and print what it cost."""
    for number in range(len(digests)):
        (models.state / "serving" / f"{name(number)}.json").unlink(missing_ok=True)
    for folder in ("log", "feedback"):
        shutil.rmtree(models.state / folder, ignore_errors=True)
    cost = cost_of(read_package(digests[0], LocalArtifacts(models.state / "artifacts").get))
    options = () if room is None else (f"--model-memory={room * cost}",)
    with served(models.state, *options) as process:

        def opened() -> httpx.Client:
            return httpx.Client(base_url=f"http://{endpoint(models.state)}", timeout=60)

        with opened() as client:
            alone = resident(process.pid)
            steps = grow(models, digests, client, process.pid)
            grown = resident(process.pid)
            said = ask(models, opened, len(digests), process.pid)
            total, loaded = resident(process.pid), metric(client, "linewright_loaded")
            taken, budget = (
                metric(client, f"linewright_model_memory_{each}bytes") / 1e6 for each in ("", "budget_")
            )
            time.sleep(CATCH_UP_S + SETTLES_S)
            idle = cpu_s(process.pid)[0]
            time.sleep(CATCH_UP_S)
            idle = (cpu_s(process.pid)[0] - idle) / CATCH_UP_S
            threads = len(os.listdir(f"/proc/{process.pid}/task"))  # noqa: PTH208
    print(f"\n**Memory for {'all' if room is None else room} models**\n")
    print("| lines | CPU ms a line, in the endpoint | to try it, beside it | MB a line | s for the hundred |")
    print("|---|---:|---:|---:|---:|")
    for at, step in enumerate(steps):
        print(
            f"| {at * STEP + 1} to {(at + 1) * STEP} | {step.cpu_s / STEP * 1e3:.1f} | {step.tried_s / STEP * 1e3:.1f} "
            f"| {step.megabytes / STEP:.2f} | {step.seconds:.1f} |"
        )
    print(
        "\n| asked | requests | p50 ms | p99 ms | CPU ms each, first half | second half |\n|---|---:|---:|---:|---:|---:|"
    )
    print(*said, sep="\n")
    print(
        f"\n{len(digests) + 1:,} lines in {sum(step.seconds for step in steps):.0f} s, {loaded:.0f} of them loaded at the end: {alone:.0f} MB with "
        f"one line, {grown:.0f} MB when all had come, {total:.0f} MB after the requests; models are thought to take {taken:.0f} of "
        f"{budget:,.0f} MB; {threads} threads, {idle:.3f} CPU s a second when nobody asks"
    )
    firsts = {"the first": steps[0]}
    if room is not None and room // STEP < len(steps):
        firsts[f"the first that was let go ({room + 1} to {room + STEP})"] = steps[room // STEP]
    for what, first in firsts.items():
        print(
            f"\nThe last hundred took {steps[-1].cpu_s / first.cpu_s:.2f} times the CPU of {what}; to try them beside it, "
            f"{steps[-1].tried_s / first.tried_s:.2f} times"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=1000, help="a multiple of 100")
    parser.add_argument("--room", type=int, default=100, help="a multiple of 100")
    parser.add_argument("--only", choices=("endpoint", "worker"), help="one of the two halves")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
        if given.only != "worker":
            models = make(Path(folder) / "factory")
            digests = packages(models, given.lines)
            for room in (None, given.room):
                measure(models, digests, room)
        if given.only != "endpoint":
            declared.measure(Path(folder), given.lines)


if __name__ == "__main__":
    sys.exit(main())
