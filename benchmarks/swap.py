"""Promotions, rollbacks, canaries and bad packages under load, and whether anybody who asks notices.

    python benchmarks/swap.py [--changes N] [--connections N]

An endpoint of its own answers over half as many connections that are kept and half that are opened for each request, without a
pause, while what serves is changed N times: another model, the one before, a canary with some share, or a package that is bad
in one of five ways (a flipped byte, another form of graph, a graph that never ends, one that takes a terabyte, one that answers
otherwise than it did). Each answer is checked: its status, and whether the package that its digest names gives this probability
for this row. A change is over when the endpoint says that it serves, or that it was refused.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import polars as pl
from msgspec.structs import replace
from onnx import TensorProto

from linewright.capabilities.drafts.write import new_line
from linewright.data.profile.roles import GivenRoles
from linewright.interfaces.python.factory import Factory
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.model.facts import Package
from linewright.model.package.model import Golden, open_model
from linewright.release.facts import Arm, Serving
from linewright.serve.listener import endpoint
from linewright.serve.rows.scorer import Scorer
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.values import canonical_json, decode
from linewright.testing.graphs import endless, greedy

LINE, GOOD, ASKED = "swapped", 5, 50
BAD = ("flipped byte", "other form", "never ends", "takes a terabyte", "answers otherwise")
PATIENCE_S = 40.0


@dataclass
class Models:
    """Packages in a factory's state, and what each of the good ones says of the rows that are asked about."""

    state: Path
    rows: list[dict[str, Any]]
    good: list[str]
    bad: dict[str, str]
    says: dict[str, list[float]]


def table() -> pl.DataFrame:
    chance = np.random.default_rng(1)
    a, b = chance.normal(size=(2, 2_000)).round(4)
    kind = chance.choice(["x", "y", "z"], size=2_000)
    y = np.where(chance.random(2_000) < 1 / (1 + np.exp(-2 * a * b - (kind == "x"))), "yes", "no")
    return pl.DataFrame({"key": [f"k{i:05}" for i in range(2_000)], "a": a, "b": b, "kind": kind, "y": y})


def make(root: Path) -> Models:
    """Make a line, and of its model five that answer a little differently, and five that are bad."""
    frame = table()
    with Factory.create(root) as factory:
        frame.write_csv(root / "table.csv")
        new_line(root, LINE, root / "table.csv", GivenRoles(label="y", positive="yes", key="key"))
        path = root / "lines" / f"{LINE}.yaml"
        path.write_text(path.read_text().replace("budget: normal", "budget: quick", 1))
        execute_inline(factory, LINE)
        digest = find_model(factory, f"{LINE}@1").digest
        package = decode(Package, factory.artifacts.get(digest), digest=digest)
        state = factory.state
    artifacts = LocalArtifacts(state / "artifacts")
    graph, rows = artifacts.get(package.graph), frame.drop("y").head(ASKED).to_dicts()
    good, says = list[str](), dict[str, list[float]]()
    for i in range(GOOD):
        calibration = replace(package.calibration, method="sigmoid", parameters=(1.0, 0.3 * i), x=(), y=())
        draft = replace(package, calibration=calibration)
        scorer = Scorer(open_model(draft, graph))
        answers = scorer.answers(scorer.matrix(rows))
        golden = artifacts.put(canonical_json(Golden(rows=tuple(rows), predictions=tuple(answers))))
        good.append(artifacts.put(canonical_json(replace(draft, golden=golden))))
        says[good[-1]] = [one["probabilities"]["yes"] for one in answers]
    first = decode(Package, artifacts.get(good[0]), digest=good[0])
    return Models(state, rows, good, dict(_bad(artifacts, first, graph)), says)


def _bad(artifacts: LocalArtifacts, good: Package, graph: bytes) -> Iterator[tuple[str, str]]:
    def with_graph(changed: bytes) -> str:
        return artifacts.put(
            canonical_json(replace(good, graph=artifacts.put(changed), graph_bytes=len(changed)))
        )

    spoilt = with_graph(onnx_text(graph, "spoilt"))
    path = _path(artifacts, decode(Package, artifacts.get(spoilt), digest=spoilt).graph)
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    yield "flipped byte", spoilt
    yield "other form", with_graph(_renamed(graph))
    yield "never ends", with_graph(endless(graph))
    yield "takes a terabyte", with_graph(greedy(graph))
    yield (
        "answers otherwise",
        artifacts.put(
            canonical_json(
                replace(good, threshold=0.5, calibration=replace(good.calibration, parameters=(2.0, 1.0)))
            )
        ),
    )


def _path(artifacts: LocalArtifacts, digest: str) -> Path:
    return artifacts._root / digest[7:9] / digest[9:]  # noqa: SLF001


def onnx_text(graph: bytes, doc: str) -> bytes:
    model = onnx.load_from_string(graph)
    model.doc_string = doc
    return model.SerializeToString()


def _renamed(graph: bytes) -> bytes:
    model = onnx.load_from_string(graph)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    return model.SerializeToString()


@dataclass
class Seen:
    """What those who asked saw."""

    statuses: Counter[int] = field(default_factory=Counter[int])
    models: Counter[str] = field(default_factory=Counter[str])
    errors: list[str] = field(default_factory=list[str])
    wrong: int = 0
    latencies: list[float] = field(default_factory=list[float])


class Load:
    """Clients that ask without a pause until they are told to stop."""

    def __init__(self, models: Models, address: str, connections: int) -> None:
        self._models, self.seen, self._stopped = models, Seen(), False
        self._host, _, self._port = address.rpartition(":")
        self._tasks = [asyncio.create_task(self._ask(keep=i % 2 == 0, seed=i)) for i in range(connections)]

    async def stop(self) -> Seen:
        """Let each client end its request, and return what all of them saw."""
        self._stopped = True
        await asyncio.gather(*self._tasks)
        return self.seen

    async def _ask(self, *, keep: bool, seed: int) -> None:
        chance, kept = random.Random(seed), None  # noqa: S311
        while not self._stopped:
            number = chance.randrange(ASKED)
            begun = time.perf_counter()
            try:
                pair = kept or await asyncio.open_connection(self._host, int(self._port))
                status, answer, ends = await self._exchange(*pair, number, keep=keep)
            except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                self.seen.errors.append(repr(error))
                kept = None
                continue
            kept = None if ends else pair
            if ends:
                pair[1].close()
            self.seen.latencies.append(time.perf_counter() - begun)
            self._check(status, answer, number)

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, *, keep: bool
    ) -> tuple[int, dict[str, Any], bool]:
        body = json.dumps({"rows": [self._models.rows[number]]}).encode()
        head = (
            f"POST /v1/lines/{LINE}/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(answer.partition("content-length: ")[2].partition("\r\n")[0])
        ends = "connection: close" in answer
        return int(answer.split()[1]), json.loads(await reader.readexactly(length)), ends

    def _check(self, status: int, answer: dict[str, Any], number: int) -> None:
        self.seen.statuses[status] += 1
        if status == 200:
            digest = answer["digest"]
            self.seen.models[digest] += 1
            said, says = answer["predictions"][0]["probabilities"]["yes"], self._models.says
            self.seen.wrong += digest not in says or abs(says[digest][number] - said) > 1e-12


@contextmanager
def served(state: Path, *options: str, workers: int = 1) -> Iterator["subprocess.Popen[bytes]"]:
    """Start an endpoint, and stop it afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "linewright.serve", *options, str(state), "127.0.0.1", "0", str(workers)],
        stderr=subprocess.DEVNULL,
    )
    try:
        while endpoint(state) is None:
            assert process.poll() is None, "the endpoint ended"
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(30)


class Changes:
    """Replaces the pointer, and waits until the endpoint has followed it."""

    def __init__(self, models: Models, address: str) -> None:
        self._models, self._address = models, address
        self.champion, self.generation, self.done = 0, 1, Counter[str]()
        self.seconds: list[float] = []
        self.not_refused = 0

    def write(self, champion: str, *, canary: str | None = None, share: float = 0.5) -> None:
        """Replace the pointer."""
        self.generation += 1
        beside = Arm(model=90 + self.generation, package=canary, share=share) if canary else None
        arm = Arm(model=self.generation, package=champion)
        serving = Serving(
            line=LINE, generation=self.generation, champion=arm, canary=beside, salt=str(self.generation)
        )
        folder = self._models.state / "serving"
        draft = folder / ".swapping"
        draft.write_bytes(canonical_json(serving))
        draft.replace(folder / f"{LINE}.json")

    async def begin(self, http: httpx.AsyncClient) -> None:
        """Let the first of the good models serve."""
        self.write(self._models.good[0])
        await self._until(http, lambda line: line["generation"] == self.generation)

    async def one(self, chance: random.Random, http: httpx.AsyncClient) -> None:
        """Make one change, and wait until it is over."""
        kind = chance.choice(
            ["promotion", "promotion", "rollback", "canary", "canary", *BAD[:2], BAD[3], BAD[4]]
        )
        kind = "never ends" if sum(self.done.values()) % 60 == 59 else kind
        self.done[kind] += 1
        begun = time.perf_counter()
        good = self._models.good
        if kind in BAD:
            self.write(self._models.bad[kind])
            self.not_refused += not await self._until(http, lambda line: line["refused"] is not None)
            self.write(good[self.champion])
        elif kind == "canary":
            canary = good[(self.champion + 1) % GOOD]
            self.write(good[self.champion], canary=canary, share=chance.choice([0.05, 0.25, 0.9]))
            await asyncio.sleep(0.5)
        else:
            self.champion = (self.champion + (1 if kind == "promotion" else -1)) % GOOD
            self.write(good[self.champion])
        wanted = self.generation
        took_over = await self._until(
            http, lambda line: line["generation"] == wanted and line["refused"] is None
        )
        assert took_over, f"the endpoint did not follow a {kind}"
        if kind in {"promotion", "rollback"}:
            self.seconds.append(time.perf_counter() - begun)

    async def _until(self, http: httpx.AsyncClient, is_so: Any) -> bool:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            line = (await http.get(f"http://{self._address}/v2/health")).json()["lines"][0]
            if is_so(line):
                return True
            await asyncio.sleep(0.05)
        return False


def resident(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmRSS"))


async def swap(models: Models, pid: int, changes: int, connections: int) -> tuple[Changes, Seen, list[float]]:
    address = endpoint(models.state)
    assert address is not None
    making, chance = Changes(models, address), random.Random(1)  # noqa: S311
    async with httpx.AsyncClient(timeout=30) as http:
        await making.begin(http)
        load = Load(models, address, connections)
        memory = list[float]()
        for number in range(changes):
            await making.one(chance, http)
            if number == changes // 10:
                memory.append(resident(pid))
        memory.append(resident(pid))
        return making, await load.stop(), memory


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--connections", type=int, default=64)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = make(Path(folder) / "factory")
        with served(models.state) as process:
            begun = time.monotonic()
            making, seen, memory = asyncio.run(swap(models, process.pid, given.changes, given.connections))
    failed = sum(n for status, n in seen.statuses.items() if status != 200)
    latencies = sorted(seen.latencies)
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {given.connections} connections, seed 1, {time.monotonic() - begun:.0f} s\n"
    )
    print("| changes | how often |\n|---|---:|")
    for kind, times in sorted(making.done.items()):
        print(f"| {kind} | {times} |")
    print(
        f"\n{sum(seen.statuses.values()):,} requests, {failed} failed, {len(seen.errors)} socket errors, {seen.wrong} answers that the package "
        f"with their digest does not give; {len(seen.models)} models answered; p50 {statistics.median(latencies) * 1e3:.1f} ms, "
        f"p99 {latencies[int(0.99 * len(latencies))] * 1e3:.1f} ms"
    )
    print(
        f"{making.not_refused} bad packages were not refused; a promotion or rollback took {statistics.median(making.seconds):.2f} s (median), "
        f"{max(making.seconds):.2f} s at most; memory {memory[0]:.0f} MB after a tenth, {memory[-1]:.0f} MB at the end"
    )
    is_well = not (failed or seen.errors or seen.wrong or making.not_refused)
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
