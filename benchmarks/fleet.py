"""Many lines in one endpoint: what each costs, and whether the thousandth costs more than the first.

    python benchmarks/fleet.py [--lines N]

An endpoint starts with one line, and gets a hundred more at a time, each with a package of its own. After each hundred CPU and
memory are read. Then one line is asked again and again, and each line once, over one connection.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
from msgspec.structs import replace
from swap import LINE, Models, make, onnx_text, resident, served

from linewright.model.facts import Package
from linewright.release.facts import Arm, Serving
from linewright.serve.listener import endpoint
from linewright.store.local import LocalArtifacts
from linewright.store.values import canonical_json, decode

STEP = 100
HOT = 2_000


@dataclass
class Step:
    """What a hundred lines took."""

    cpu_s: float
    megabytes: float
    seconds: float


def add(models: Models, first: int, last: int) -> None:
    """Give the endpoint lines from `first` to before `last`, each with a package that no other has."""
    artifacts = LocalArtifacts(models.state / "artifacts")
    package = decode(Package, artifacts.get(models.good[0]), digest=models.good[0])
    graph = artifacts.get(package.graph)
    for number in range(first, last):
        own = onnx_text(graph, f"line {number}")
        digest = artifacts.put(
            canonical_json(replace(package, graph=artifacts.put(own), graph_bytes=len(own)))
        )
        serving = Serving(line=name(number), generation=1, champion=Arm(model=1, package=digest))
        draft = models.state / "serving" / ".adding"
        draft.write_bytes(canonical_json(serving))
        draft.replace(models.state / "serving" / f"{name(number)}.json")


def name(number: int) -> str:
    return f"line-{number:04}"


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def served_lines(client: httpx.Client) -> int:
    return sum(line["model"] is not None for line in client.get("/v2/health").json()["lines"])


def grow(models: Models, client: httpx.Client, pid: int, lines: int) -> list[Step]:
    steps = list[Step]()
    for first in range(0, lines, STEP):
        cpu, memory, begun = cpu_s(pid), resident(pid), time.monotonic()
        add(models, first, first + STEP)
        while served_lines(client) < first + STEP + 1:
            assert time.monotonic() < begun + 300, "the endpoint did not load them"
            time.sleep(1.0)  # to ask is work for it too
        steps.append(Step(cpu_s(pid) - cpu, resident(pid) - memory, time.monotonic() - begun))
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


def percentiles(times: list[float]) -> str:
    ordered = sorted(times)
    return f"p50 {ordered[len(ordered) // 2]:.2f} ms, p99 {ordered[int(0.99 * len(ordered))]:.2f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=1000)
    lines = parser.parse_args().lines
    with tempfile.TemporaryDirectory() as folder:
        models = make(Path(folder) / "factory")
        with (
            served(models.state) as process,
            httpx.Client(base_url=f"http://{endpoint(models.state)}", timeout=60) as client,
        ):
            steps = grow(models, client, process.pid, lines)
            total = resident(process.pid)
            hot = [asked(client, LINE, models.rows[i % len(models.rows)]) for i in range(HOT)]
            cold = [asked(client, name(i), models.rows[i % len(models.rows)]) for i in range(lines)]
            idle = cpu_s(process.pid)
            time.sleep(5)
            idle = (cpu_s(process.pid) - idle) / 5
            threads = len(os.listdir(f"/proc/{process.pid}/task"))  # noqa: PTH208
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores\n")
    print("| lines | CPU ms a line, in the endpoint | MB a line | s for the hundred |\n|---|---:|---:|---:|")
    for at, step in enumerate(steps):
        print(
            f"| {at * STEP + 1} to {(at + 1) * STEP} | {step.cpu_s / STEP * 1e3:.1f} | {step.megabytes / STEP:.2f} | {step.seconds:.1f} |"
        )
    print(
        f"\n{lines:,} lines: {total:.0f} MB, {threads} threads, {idle:.3f} CPU s a second when nobody asks; the last hundred took "
        f"{steps[-1].cpu_s / steps[0].cpu_s:.2f} times the CPU and {steps[-1].megabytes / steps[0].megabytes:.2f} times the memory of the first; "
        f"one line asked {HOT:,} times: {percentiles(hot)}; each line asked once: {percentiles(cold)}"
    )


if __name__ == "__main__":
    sys.exit(main())
