"""The pages of MLflow's server, for `console.py`: one experiment, whose runs have ten metrics and ten parameters each, in SQLite."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from socket import create_server
from typing import Self

import httpx
from page_times import Row, load, ms_of
from playwright.sync_api import Browser

FILL = """
import random, sys
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
print(experiment, run.info.run_id)
"""
AJAX = "/ajax-api/"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


class MlflowServer:
    """A server of MLflow, filled while its user does other things; without MLflow there is none.

    Parameters
    ----------
    python
        Of an environment with MLflow.
    folder
        Where it keeps its runs.
    runs
        How many.
    """

    def __init__(self, python: str, folder: Path, runs: int) -> None:
        self._python, self._folder, self._runs = python, folder, runs
        self._store = f"sqlite:///{folder}/mlflow.sqlite"
        self._environment = {**os.environ, **QUIET}
        self._filling: subprocess.Popen[str] | None = None
        self._experiment = self._run = ""
        asked = [python, "-c", "import mlflow; print(mlflow.__version__)"]
        self._version = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()

    def __enter__(self) -> Self:
        if self._version:
            self._filling = subprocess.Popen(
                [self._python, "-c", FILL, self._store, str(self._runs)],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=self._environment,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._filling is not None:
            self._filling.kill()
            self._filling.wait()

    def wait_until_filled(self) -> None:
        """Wait until all runs are there."""
        if self._filling is None:
            print("MLflow is not in this environment; --mlflow names another\n")
            return
        told, _ = self._filling.communicate()
        assert self._filling.returncode == 0, "MLflow took no runs"
        self._experiment, self._run = told.split()[-2:]

    def rows(self, browser: Browser, asked: int) -> Iterator[Row]:
        """Measure the pages that somebody opens: the experiments, the runs of one, and one run.

        The time of a page is that of the requests that it makes for data, one after the other, as the browser made them.
        """
        if self._filling is None:
            return
        port = _free_port()
        process = subprocess.Popen(
            [
                *(self._python, "-m", "mlflow", "server", "--backend-store-uri", self._store),
                *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            env=self._environment,
        )
        base = f"http://127.0.0.1:{port}"
        try:
            _wait(f"{base}/health")
            server = f"MLflow {self._version}, {self._runs:,} runs"
            with httpx.Client(base_url=base, timeout=300) as client:
                for page, address in {
                    "experiments": "/#/experiments",
                    "runs of one": f"/#/experiments/{self._experiment}/runs",
                    "one run": f"/#/experiments/{self._experiment}/runs/{self._run}",
                }.items():
                    first = load(browser, base + address, {})
                    calls = [each for each in first.asked if AJAX in each[1]]
                    times = [sum(_ms_of(client, each) for each in calls) for _ in range(asked)]
                    yield Row(
                        server, f"{page}: its {len(calls)} requests for data", address, times, None, first
                    )
                body = json.dumps({"experiment_ids": [self._experiment], "max_results": 100})
                search = ("POST", f"{AJAX}2.0/mlflow/runs/search", body)
                times = [_ms_of(client, search) for _ in range(asked)]
                yield Row(server, "100 runs, as its client asks", search[1], times, None, None)
        finally:
            process.terminate()
            process.wait(60)


def _ms_of(client: httpx.Client, call: tuple[str, str, str | None]) -> float:
    method, address, body = call
    headers = {"content-type": "application/json"}
    # Without accounts its pages ask who is signed in all the same.
    return ms_of(lambda: client.request(method, address, content=body, headers=headers), right=(200, 404))


def _wait(url: str) -> None:
    """Wait until a server answers."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            if httpx.get(url).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    sys.exit(f"{url} does not answer")


def _free_port() -> int:
    with create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
