"""What the pages of the console take, with many lines, runs and predictions, beside MLflow's.

    python benchmarks/console.py [--lines N] [--runs N] [--predictions N] [--mlflow PYTHON] [--mlflow-runs N]

N lines are declared and serve (see `declared.py`); they share the runs, and one of them has a tenth of the predictions. The
record and the logs are written as runs and endpoints write them, and indexed. Then `up` serves, and each page is asked for
again and again over one connection, as somebody who goes through the pages does: the time of the server is what the client waits for on
this machine. A browser (Debian's Chromium, an empty cache) loads each page once: requests and bytes of the first load, and the seconds until nothing is
loaded any more.

PYTHON is that of an environment with MLflow (default: this one; without MLflow it is left out). Its server has N runs of one experiment, each with
ten metrics and ten parameters, in SQLite; the same browser loads its pages, and its searches are asked for as its pages ask for them.
"""

import argparse
import json
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from declared import _grow, _make
from msgspec.structs import replace
from playwright.sync_api import Browser, expect, sync_playwright
from swap import LINE

from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished
from linewright.operations.people.console import console_link
from linewright.serve.facts import Predictions
from linewright.serve.log.ids import first_of_many
from linewright.serve.log.segments import read_log
from linewright.serve.log.writer import PredictionLog
from linewright.store.clock import uuid7

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
ASKED = 60
"""Requests of each page."""
ROWS = 1_000
"""Predictions of one request."""
PAGE_KB, PAGE_REQUESTS, PAGE_MS = 100, 5, 200
MLFLOW = """
import sys, random
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
client = MlflowClient(sys.argv[1])
experiment = client.create_experiment("payments")
chance = random.Random(1)
for number in range(int(sys.argv[2])):
    run = client.create_run(experiment)
    metrics = [Metric(f"m{n}", chance.random(), 0, 0) for n in range(10)]
    client.log_batch(run.info.run_id, metrics=metrics, params=[Param(f"p{n}", str(chance.random())) for n in range(10)])
    client.set_terminated(run.info.run_id)
print(experiment)
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--predictions", type=int, default=10_000_000)
    parser.add_argument("--mlflow", default=sys.executable)
    parser.add_argument("--mlflow-runs", type=int, default=5_000)
    given = parser.parse_args()
    chromium = shutil.which("chromium") or sys.exit("Chromium is not here: apt-get install chromium")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        print(
            f"Python {platform.python_version()}, {given.lines:,} lines, {given.runs:,} runs, {given.predictions:,} predictions\n"
        )
        print("| server | page | p50 ms | p95 ms | first load: requests | kB | s until all is loaded |")
        print("|---|---|---:|---:|---:|---:|---:|", flush=True)
        ours(Path(name) / "factory", browser, given)
        mlflow(Path(name), browser, given)
        browser.close()
    print(
        f"\nWanted of each page of ours: at most {PAGE_KB} kB and {PAGE_REQUESTS} requests on the first load, p95 at most {PAGE_MS} ms."
    )


def ours(root: Path, browser: Browser, given: argparse.Namespace) -> None:
    """Print the rows of the console."""
    _make(root)
    fill(root, given)
    with (
        up(root) as base,
        httpx.Client(base_url=base, headers={"accept": "text/html"}, timeout=120) as client,
    ):
        with Factory.open(root) as factory:
            code = console_link(factory, base).partition("code=")[2]
            run = factory.metadata.events(Accepted, line=LINE, newest_first=True, limit=1)[0].run
        assert client.post("/sign-in", data={"code": code}).status_code == 303
        cookies = [{"name": name, "value": value, "url": base} for name, value in client.cookies.items()]
        client.get("/")  # the status of all lines is worked out once
        for path in pages(client, run):
            times = [timed(client, path) for _ in range(ASKED)]
            print(
                f"| linewright | {path.replace(run, 'RUN')} | {report(times)} | {loaded(browser, base + path, cookies)} |",
                flush=True,
            )


def pages(client: httpx.Client, run: str) -> list[str]:
    """Return the pages that are asked for: those of the factory, those of a line, and a run."""
    line = client.get(f"/lines/{LINE}").text
    tabs = sorted(
        {link for link in line.split('"') if link.startswith(f"/lines/{LINE}/") and "/versions/" not in link}
    )
    return [
        "/",
        "/?q=line-09",
        "/?by=tag",
        "/alerts",
        "/goals",
        "/proposals",
        "/audit",
        f"/lines/{LINE}",
        *tabs,
        f"/lines/{LINE}/versions/1",
        f"/runs/{run}",
    ]


def fill(root: Path, given: argparse.Namespace) -> None:
    """Declare the lines, and write what happened to them."""
    with Factory.open(root) as factory:
        accepted = factory.metadata.events(Accepted, line=LINE)[0]
        finished = factory.metadata.events(Finished, line=LINE)[0]
        _grow(root, given.lines)
        lines = [LINE, *(f"line-{number:04}" for number in range(1, given.lines))]
        for number in range(given.runs):
            line = lines[number % len(lines)]
            run = uuid7()
            factory.metadata.record(replace(accepted, line=line, run=run))
            factory.metadata.record(replace(finished, line=line, run=run))
        for line in lines:
            wanted = (
                given.predictions // 10
                if line == LINE
                else given.predictions * 9 // 10 // max(1, given.lines - 1)
            )
            log(factory, line, wanted)


def log(factory: Factory, line: str, wanted: int) -> None:
    """Log answers as an endpoint does, in requests of a thousand rows, and index them."""
    folder = factory.state / "log" / line
    like = next(read_log(folder)).record
    kept = PredictionLog(folder)
    for first in range(0, wanted, ROWS):
        n = min(ROWS, wanted - first)
        body = msgspec.Raw(msgspec.json.encode({"rows": [like.row] * n}))
        kept.append_request(
            Predictions(
                many=n,
                first=first_of_many(uuid7()),
                line=line,
                generation=like.generation,
                model=like.model,
                digest=like.digest,
                at=factory.now(),
                keys=[f"{first + number:08}" for number in range(n)],
                request=body,
                answers=[like.answer] * n,
                threshold=like.threshold,
            )
        )
    kept.close()
    factory.labels_of(line).catch_up()


@contextmanager
def up(root: Path) -> Iterator[str]:
    """Hold the factory up, and give the address of its console."""
    ports = [free_port(), free_port()]
    log = root.parent / "up.log"
    with log.open("w") as said:
        command = [
            sys.executable,
            "-m",
            "linewright",
            "up",
            "--factory",
            str(root),
            "--port",
            str(ports[0]),
            "--control-port",
            str(ports[1]),
        ]
        process = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            until = time.monotonic() + 600
            while "ready:" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.5)
            time.sleep(30)  # the first look at all lines is the worker's, not the pages'
            yield f"http://127.0.0.1:{ports[1]}"
        finally:
            process.terminate()
            process.wait(120)


def mlflow(folder: Path, browser: Browser, given: argparse.Namespace) -> None:
    """Print the rows of MLflow, where it is installed."""
    if subprocess.run([given.mlflow, "-c", "import mlflow"], capture_output=True, check=False).returncode:
        print("MLflow is not in this environment; --mlflow names another")
        return
    store, port = f"sqlite:///{folder}/mlflow.sqlite", free_port()
    made = subprocess.run(
        [given.mlflow, "-c", MLFLOW, store, str(given.mlflow_runs)],
        capture_output=True,
        text=True,
        check=True,
    )
    experiment = made.stdout.split()[-1]
    command = [
        given.mlflow,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        store,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    base = f"http://127.0.0.1:{port}"
    try:
        wait(f"{base}/health")
        with httpx.Client(base_url=base, timeout=120) as client:
            body = {"experiment_ids": [experiment], "max_results": 100}
            times = [timed(client, "/ajax-api/2.0/mlflow/runs/search", body) for _ in range(ASKED)]
        for path in ("/#/experiments", f"/#/experiments/{experiment}/runs"):
            told = report(times) if path.endswith("runs") else " | "
            print(
                f"| mlflow, {given.mlflow_runs:,} runs | {path} | {told} | {loaded(browser, base + path, [])} |",
                flush=True,
            )
    finally:
        process.terminate()
        process.wait(60)


def wait(url: str) -> None:
    """Wait until a server answers."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            if httpx.get(url).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    sys.exit(f"{url} does not answer")


def timed(client: httpx.Client, path: str, body: object = None) -> float:
    """Return the ms that a client waits for an answer."""
    began = time.perf_counter()
    answer = (
        client.get(path)
        if body is None
        else client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    )
    took = (time.perf_counter() - began) * 1000
    assert answer.status_code == 200, (path, answer.text[:500])
    return took


def report(times: list[float]) -> str:
    return f"{statistics.median(times):.0f} | {sorted(times)[int(0.95 * len(times))]:.0f}"


def loaded(browser: Browser, url: str, cookies: list[Any]) -> str:
    """Load a page with an empty cache: return its requests, their kB, and the seconds until nothing is loaded any more."""
    context = browser.new_context()
    context.add_cookies(cookies)
    page = context.new_page()
    sizes: list[int] = []

    def count(done: Any) -> None:
        told = done.sizes()
        sizes.append(told["responseBodySize"] + told["responseHeadersSize"])

    page.on("requestfinished", count)
    began = time.monotonic()
    page.goto(url)
    first = len(sizes), sum(sizes) / 1000
    if cookies:
        expect(page.locator("[data-load], [aria-busy]")).to_have_count(0, timeout=60_000)
    else:
        page.wait_for_load_state("networkidle")
        first = len(sizes), sum(sizes) / 1000
    took = time.monotonic() - began
    page.remove_listener("requestfinished", count)
    context.close()
    return f"{first[0]} | {first[1]:,.0f} | {took:.1f}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


if __name__ == "__main__":
    main()
