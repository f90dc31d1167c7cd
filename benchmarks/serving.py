"""What a request costs, beside what a user would serve the same model with.

    python benchmarks/serving.py [--rounds N] [--seconds S] [--peers PYTHON]

One LightGBM model of 200 trees on rows of 30 numbers and 4 texts answers everywhere. Linewright validates each raw row and logs
each answer; the others do neither. Servers run side by side on this machine and are asked in turn, in each round in another
order, over 16 connections that are kept, with rows that are never the same twice in a row. CPU is that of the whole process
tree of a server, by request, the median of the rounds. Then one client asks the endpoint with a token that is checked and with one that is not, in turn. `wrk` asks (apt-get
install wrk). Contestants of which PYTHON (default: this one) has no package are left out; `benchmarks/peers.txt` lists what to
install there.
"""

import argparse
import http.client
import json
import os
import platform
import random
import shutil
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
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import numpy as np
import polars as pl

from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.members.operations.tokens import token_create
from linewright.data.profile.roles import GivenRoles
from linewright.features.encode import encode
from linewright.features.facts import Category
from linewright.features.learn import to_columns
from linewright.interfaces.python.factory import Factory
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.model.export.to_onnx import to_onnx
from linewright.model.facts import Package, Trained
from linewright.model.families.lightgbm import Boosted
from linewright.model.package.model import Golden, build, keep_package, open_model
from linewright.release.promotion import Candidate, promote
from linewright.serve.rows.body.reader import RowReader
from linewright.store.values import canonical_json, decode

CONNECTIONS = 16
BLOCK, BLOCKS = 50, 300
"""Requests of a block, and pairs of blocks, of which the cost of a token is measured."""
ROWS, NUMBERS, TEXTS, TREES = 20_000, 30, 4, 200
BODIES = 2_000
MANY = 1_000
"""Rows of the large request."""
WRK = """
local bodies = {}
for line in io.lines(os.getenv("BODIES")) do bodies[#bodies + 1] = line end
local at = math.random(#bodies)
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  at = at % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[at])
end
done = function(summary, latency)
  local errors = summary.errors
  local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('{"requests":%d,"bad":%d,"p50":%g,"p99":%g}',
    summary.requests, bad, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""
ECHO = """
import os, sys, uvicorn
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2"), (b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b"{}"})
uvicorn.run(app, port=int(sys.argv[1]), log_level="error", lifespan="off", access_log=False, loop="uvloop", http="httptools")
"""
BY_HAND = """
import json, sys
import numpy as np, onnxruntime, uvicorn
from fastapi import FastAPI, Request
made = json.load(open(sys.argv[2] + "/made.json"))
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[2] + "/model.onnx", options)
columns = [(c["name"], {level: code for code, level in enumerate(c["levels"], c["first"])} if c["levels"] else None) for c in made["columns"]]
app = FastAPI()
@app.post("/predict")
async def predict(request: Request):
    rows = (await request.json())["rows"]
    x = np.array([[row[name] if levels is None else levels.get(row[name], 0) for name, levels in columns] for row in rows], dtype=np.float32)
    return {"probabilities": session.run(None, {"x": x})[0][:, 1].tolist()}
uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False, loop="uvloop", http="httptools")
"""
PANDAS = """
import json, sys
import lightgbm, pandas as pd, uvicorn
from fastapi import FastAPI, Request
made = json.load(open(sys.argv[2] + "/made.json"))
booster = lightgbm.Booster(model_file=sys.argv[2] + "/model.bst")
names = [c["name"] for c in made["columns"]]
levels = {c["name"]: {level: code for code, level in enumerate(c["levels"], c["first"])} for c in made["columns"] if c["levels"]}
app = FastAPI()
@app.post("/predict")
async def predict(request: Request):
    frame = pd.DataFrame((await request.json())["rows"], columns=names)
    for name, codes in levels.items():
        frame[name] = frame[name].map(codes).fillna(0)
    return {"probabilities": booster.predict(frame.to_numpy(dtype="float32"), num_threads=1).tolist()}
uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False, loop="uvloop", http="httptools")
"""


class Made(NamedTuple):
    """A factory whose champion is the model, and a folder with the same model for the others."""

    state: Path
    others: Path
    token: str
    """Of the narrow kind ``predict``."""


@dataclass
class Contestant:
    """One server."""

    name: str
    command: list[str]
    port: int
    path: str
    body: str = "raw"
    """Which file of bodies it is asked with."""
    process: "subprocess.Popen[bytes] | None" = None
    ready_cpu_s: float = 0.0
    rounds: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    large: list[float] = field(default_factory=list[float])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def table() -> pl.DataFrame:
    chance = np.random.default_rng(1)
    numbers = chance.normal(size=(ROWS, NUMBERS)).round(4)
    texts = chance.integers(0, 20, size=(ROWS, TEXTS))
    pull = numbers[:, 0] * numbers[:, 1] + np.sin(3 * numbers[:, 2]) + (texts[:, 0] % 3) - 1
    y = np.where(chance.random(ROWS) < 1 / (1 + np.exp(-pull)), "yes", "no")
    columns = {f"n{i:02}": numbers[:, i] for i in range(NUMBERS)}
    words = {f"t{i}": [f"value-{code:02}" for code in texts[:, i]] for i in range(TEXTS)}
    return pl.DataFrame({"key": [f"k{i:06}" for i in range(ROWS)], **columns, **words, "y": y})


def make(folder: Path) -> Made:
    """Make a line with the product, then put a model of exactly 200 trees in the place of the one that it chose."""
    root, others = folder / "factory", folder / "others"
    others.mkdir()
    frame = table()
    with Factory.create(root) as factory:
        frame.write_csv(root / "table.csv")
        new_line(root, "bench", root / "table.csv", GivenRoles(label="y", positive="yes", key="key"))
        path = root / "lines" / "bench.yaml"
        path.write_text(path.read_text().replace("budget: normal", "budget: {trials: 1}", 1))
        execute_inline(factory, "bench")
        version = find_model(factory, "bench@1")
        package = decode(Package, factory.artifacts.get(version.digest), digest=version.digest)
        trained = factory.metadata.get(package.trained, Trained)
        x = encode(package.encoder, to_columns(frame, package.encoder.columns))
        target = (frame["y"] == "yes").to_numpy().astype(np.float64)
        settings = {"learning_rate": 0.05, "num_leaves": 31, "rounds": TREES}
        fitted = Boosted().fit(
            x, target, np.ones(len(x)), categorical=package.encoder.categorical, task="binary", classes=2,
            rounds=TREES, valid=None, seed=1, settings=settings,
        )  # fmt: skip
        graph = to_onnx(fitted.to_native(), width=x.shape[1])
        rest = {
            "label": package.label,
            "key": package.key,
            "columns": package.columns,
            "missing": package.missing,
        }
        model = open_model(build(trained, **rest, graph=graph, golden=b""), graph)
        asked = frame.drop("y").head(20).to_dicts()
        rows = encode(package.encoder, RowReader(package.columns).read(asked))
        golden = canonical_json(
            Golden(rows=tuple(asked), predictions=tuple(model.answers(model.scores(rows))))
        )
        for data in (graph, golden):
            factory.artifacts.put(data)
        digest = keep_package(
            build(trained, **rest, graph=graph, golden=golden), factory.artifacts, factory.metadata
        )
        number = factory.metadata.register("bench", digest, at=factory.now())
        promote(
            factory.context,
            factory.serving,
            Candidate(line="bench", model=number, package=digest, certificate=None),
            because="the benchmark's model",
            forced=True,
        )
        state, token = factory.state, token_create(factory, "bench", kind="predict").token
    (others / "model.onnx").write_bytes(graph)
    (others / "model.bst").write_text(msgspec.json.decode(fitted.to_native())["text"])
    columns = [
        {"name": one.column, "levels": list(one.levels) if isinstance(one, Category) else None, "first": 2}
        for one in package.encoder.encodings
    ]
    (others / "made.json").write_text(json.dumps({"columns": columns}))
    write_bodies(others, frame, x)
    settings = {
        "name": "bench",
        "implementation": "mlserver_lightgbm.LightGBMModel",
        "parameters": {"uri": "./model.bst"},
    }
    (others / "model-settings.json").write_text(json.dumps(settings))
    return Made(state, others, token)


def write_bodies(folder: Path, frame: pl.DataFrame, x: np.ndarray) -> None:
    rows = frame.drop("y").to_dicts()
    chance = random.Random(2)  # noqa: S311
    picked = [chance.randrange(len(rows)) for _ in range(BODIES)]
    (folder / "raw").write_text("\n".join(json.dumps({"rows": [rows[i]]}) for i in picked))
    (folder / "large").write_text(
        "\n".join(
            json.dumps({"rows": [rows[j % len(rows)] for j in range(i, i + MANY)]}) for i in picked[:20]
        )
    )
    (folder / "encoded").write_text("\n".join(json.dumps(tensor(x[i : i + 1])) for i in picked))
    (folder / "encoded-large").write_text("\n".join(json.dumps(tensor(x[:MANY] + 0 * i)) for i in range(20)))


def tensor(x: np.ndarray) -> dict[str, Any]:
    return {
        "inputs": [
            {
                "name": "x",
                "shape": list(x.shape),
                "datatype": "FP32",
                "data": x.ravel().astype(float).tolist(),
            }
        ]
    }


def contestants(made: Made, python: str) -> Iterator[Contestant]:
    others = str(made.others)
    port = free_port()
    yield Contestant("empty uvicorn echo", [sys.executable, "-c", ECHO, str(port)], port, "/")
    port = free_port()
    ours = [sys.executable, "-m", "linewright.serve", str(made.state), "127.0.0.1", str(port)]
    yield Contestant("linewright", ours, port, "/v1/lines/bench/predict")
    if has(python, "fastapi"):
        port = free_port()
        yield Contestant(
            "fastapi + onnxruntime by hand", [python, "-c", BY_HAND, str(port), others], port, "/predict"
        )
    if has(python, "fastapi") and has(python, "pandas"):
        port = free_port()
        yield Contestant(
            "fastapi + pandas by hand", [python, "-c", PANDAS, str(port), others], port, "/predict"
        )
    if has(python, "mlserver_lightgbm"):
        port = free_port()
        (made.others / "settings.json").write_text(
            json.dumps(
                {
                    "http_port": port,
                    "grpc_port": free_port(),
                    "metrics_port": free_port(),
                    "host": "127.0.0.1",
                    "debug": False,
                    "parallel_workers": 0,
                    "logging_settings": None,
                }
            )
        )
        yield Contestant(
            "mlserver",
            [python, "-c", "from mlserver.cli import main; main()", "start", others],
            port,
            "/v2/models/bench/infer",
            "encoded",
        )


def has(python: str, package: str) -> bool:
    return (
        subprocess.run([python, "-c", f"import {package}"], check=False, capture_output=True).returncode == 0
    )


@contextmanager
def started(one: Contestant, folder: Path) -> Iterator[None]:
    log = (folder / f"{one.port}.log").open("wb")
    one.process = subprocess.Popen(one.command, stdout=log, stderr=log, start_new_session=True)
    body = (folder / "others" / one.body).read_text().splitlines()[0]
    deadline = time.monotonic() + 60
    try:
        while True:
            if one.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{one.name} does not answer: {(folder / f'{one.port}.log').read_text()[-2000:]}")
            try:
                if post(one, body).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.01)
        one.ready_cpu_s = cpu_s(one.process.pid)
        yield
    finally:
        os.killpg(one.process.pid, signal.SIGTERM)
        one.process.wait(30)
        log.close()


def post(one: Contestant, body: str) -> httpx.Response:
    url = f"http://127.0.0.1:{one.port}{one.path}"
    headers = {"Content-Type": "application/json"}
    return httpx.post(url, content=body, headers=headers, timeout=10)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and of all below it."""
    return sum(_ticks(each) for each in tree(pid)) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def tree(pid: int) -> list[int]:
    children = [
        each
        for task in Path(f"/proc/{pid}/task").iterdir()
        for each in (task / "children").read_text().split()
    ]
    return [pid, *(deeper for child in children for deeper in tree(int(child)))]


def megabytes(pid: int) -> float:
    texts = [Path(f"/proc/{each}/smaps_rollup").read_text() for each in tree(pid)]
    return (
        sum(int(line.split()[1]) for text in texts for line in text.splitlines() if line.startswith("Pss:"))
        / 1024
    )


def ask(one: Contestant, folder: Path, seconds: float, body: str) -> dict[str, float]:
    assert one.process is not None
    script = folder / "ask.lua"
    script.write_text(WRK)
    before = cpu_s(one.process.pid)
    many = str(CONNECTIONS if "large" not in body else 2)
    done = subprocess.run(
        ["wrk", "-t1", "-c", many, "-d", f"{seconds:g}s", "--timeout", "10s", "-s", str(script), f"http://127.0.0.1:{one.port}{one.path}"],
        env={**os.environ, "BODIES": str(folder / "others" / body)}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    told = json.loads(done.stdout[done.stdout.index("{") :])
    assert not told["bad"], f"{one.name}: {told['bad']:.0f} requests failed"
    return {**told, "cpu_us": (cpu_s(one.process.pid) - before) / told["requests"] * 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--peers", default=sys.executable)
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not here: apt-get install wrk")
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        folder = Path(name)
        made = make(folder)
        all_ = list(contestants(made, given.peers))
        for one in all_:
            running.enter_context(started(one, folder))
        order = random.Random(3)  # noqa: S311
        for _ in range(given.rounds):
            for one in order.sample(all_, len(all_)):
                one.rounds.append(ask(one, folder, given.seconds, one.body))
                if one.name != "empty uvicorn echo":
                    large = "large" if one.body == "raw" else "encoded-large"
                    one.large.append(ask(one, folder, given.seconds, large)["cpu_us"] / 1000)
        report(all_, given.seconds)
        costs = token_costs(all_[1], made.token, folder)
    low, middle, high = np.percentile(costs, [25, 50, 75])
    print(
        f"\nA token costs {middle:+.1f} µs of CPU a request (half of {len(costs)} comparisons: {low:+.1f} to {high:+.1f})."
    )


def token_costs(ours: Contestant, token: str, folder: Path) -> list[float]:
    """Return by how many µs of CPU a request costs more if its token is checked.

    One client asks over one connection, a block of requests with the token and one with it in a header that nobody reads, in turn.
    """
    assert ours.process is not None
    bodies = (folder / "others" / ours.body).read_text().splitlines()[:BLOCK]
    connection = http.client.HTTPConnection("127.0.0.1", ours.port)
    spent: dict[str, list[float]] = {"Authorization": [], "X-Unread": []}
    order = random.Random(5)  # noqa: S311
    for _ in range(BLOCKS):
        for header, found in order.sample(list(spent.items()), 2):
            before = scheduled_us(ours.process.pid)
            for body in bodies:
                headers = {"Content-Type": "application/json", header: f"Bearer {token}"}
                connection.request("POST", ours.path, body, headers)
                answer = connection.getresponse()
                answer.read()
                assert answer.status == HTTPStatus.OK
            found.append((scheduled_us(ours.process.pid) - before) / len(bodies))
    connection.close()
    pairs = zip(spent["Authorization"], spent["X-Unread"], strict=True)
    return [checked - unread for checked, unread in pairs]


def scheduled_us(pid: int) -> float:
    """Return the CPU time of a process and of all below it, in µs; clock ticks are too long for a block of requests."""
    files = (file for each in tree(pid) for file in Path(f"/proc/{each}/task").glob("*/schedstat"))
    return sum(int(file.read_text().split()[0]) for file in files) / 1000


def report(all_: list[Contestant], seconds: float) -> None:
    def of(one: Contestant, figure: str) -> float:
        return statistics.median(each[figure] for each in one.rounds)

    echo, ours = of(all_[0], "cpu_us"), of(all_[1], "cpu_us")
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {TREES} trees, {NUMBERS} numbers and {TEXTS} texts, "
        f"{CONNECTIONS} connections; CPU of the process tree, median of {len(all_[0].rounds)} rounds\n"
    )
    print(
        "| server | CPU µs a request | linewright is | above the echo µs | p50 ms | p99 ms | requests/s | ms CPU for 1,000 rows | MB | CPU s to the first answer |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for one in all_:
        assert one.process is not None
        cpu = of(one, "cpu_us")
        rate = of(one, "requests") / seconds
        large = f"{statistics.median(one.large):.1f}" if one.large else "-"
        print(
            f"| {one.name} | {cpu:.0f} | {ours / cpu:.2f} | {cpu - echo:.0f} | {of(one, 'p50'):.2f} | {of(one, 'p99'):.2f} "
            f"| {rate:,.0f} | {large} | {megabytes(one.process.pid):.0f} | {one.ready_cpu_s:.2f} |"
        )


if __name__ == "__main__":
    main()
