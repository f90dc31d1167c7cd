"""The path that everything hangs on: new, run, up, curl, feedback, status, through the real commands."""

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import commands
import httpx
import pytest
from control import bearer
from ports import free_port
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def linewright(folder: Path, *arguments: str, code: int = 0) -> Any:
    """Run a command in a folder and return its JSON."""
    command = [*commands.python(), "-m", "linewright", *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)

    assert code == done.returncode, f"{arguments}: {done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


@contextmanager
def up(
    folder: Path, start: Callable[..., "subprocess.Popen[str]"] = subprocess.Popen
) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Run `linewright up` and return clients of the endpoint and of the control plane."""
    port, control = free_port(), free_port()
    command = [sys.executable, "-m", "linewright", "up", "--port", str(port), "--control-port", str(control)]
    process = start(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        with (
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as endpoint,
            httpx.Client(base_url=f"http://127.0.0.1:{control}", timeout=20) as plane,
        ):
            for client, path in ((endpoint, "/v2/health/ready"), (plane, "/")):
                wait_for(client, path)
            plane.headers.update(bearer(folder))
            yield endpoint, plane
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=40)

    assert 0 == process.returncode, said


def wait_for(client: httpx.Client, path: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if client.get(path).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{client.base_url}{path} never became ready")


def write_csv(path: Path, bunch: Any, label: str) -> list[dict[str, Any]]:
    names = ["sample", *(name.replace(" ", "_").replace("/", "_") for name in bunch.feature_names), label]
    targets = bunch.target_names[bunch.target] if hasattr(bunch, "target_names") else bunch.target
    rows = [
        dict(zip(names, [f"S{number:04}", *map(float, values), target.item()], strict=True))
        for number, (values, target) in enumerate(zip(bunch.data, targets, strict=True))
    ]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return rows


@pytest.fixture(scope="module")
def tumours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("tumours")
    rows = write_csv(folder / "cancer.csv", load_breast_cancer(), "diagnosis")
    new = ("new", "tumours", "--data", "cancer.csv", "--label", "diagnosis", "--positive", "malignant")
    linewright(folder, *new, "--key", "sample")
    budget(folder, "tumours", "normal", "quick")
    linewright(folder, "run", "tumours")
    return folder, rows


def budget(folder: Path, line: str, before: str, after: str) -> None:
    """Let a line file take another budget."""
    path = folder / "lines" / f"{line}.yaml"
    text = path.read_text()

    assert f"budget: {before}" in text
    path.write_text(text.replace(f"budget: {before}", f"budget: {after}"))


def test_a_csv_becomes_a_served_model_that_learns_the_truth(tumours):
    """The promise of the README, command by command, with a restart-free answer from the certified bytes."""
    folder, rows = tumours
    raw = [{name: value for name, value in row.items() if name != "diagnosis"} for row in rows[:3]]
    with up(folder) as (endpoint, plane):
        answer = endpoint.post("/v1/lines/tumours/predict", json={"rows": raw}).json()
        champion = linewright(folder, "models", "tumours")["models"][0]

        assert ("tumours@1", champion["digest"]) == (answer["model"], answer["digest"])
        assert {"malignant", "benign"} == set(answer["predictions"][0]["probabilities"])

        ids = [one["id"] for one in answer["predictions"]]
        labels = [
            {"id": ids[0], "label": rows[0]["diagnosis"]},
            {"key": "S0001", "label": rows[1]["diagnosis"]},
        ]
        first = endpoint.post("/v1/lines/tumours/feedback", json={"labels": labels}).json()
        again = endpoint.post("/v1/lines/tumours/feedback", json={"labels": labels}).json()

        assert {"accepted": 2, "repeated": 0, "unknown": 0} == first
        assert {"accepted": 0, "repeated": 2, "unknown": 0} == again

        wrong = [{"id": ids[0], "label": "benign" if rows[0]["diagnosis"] == "malignant" else "malignant"}]
        conflict = endpoint.post("/v1/lines/tumours/feedback", json={"labels": wrong})

        assert 409 == conflict.status_code
        assert ids[0] in conflict.text

        status = plane.get("/api/v1/status").json()["lines"][0]
        shown = linewright(folder, "show", ids[0])

        assert ("tumours@1", 3, 2) == (status["champion"], status["predictions"], status["labels"])
        assert rows[0]["diagnosis"] == shown["body"]["label"]["label"]
        assert answer["predictions"][0]["prediction"] == shown["body"]["answer"]["prediction"]


def test_planning_right_after_a_run_plans_nothing_twice(tumours):
    """Otherwise a line would retrain for ever."""
    folder, _ = tumours

    first, second = linewright(folder, "plan", "tumours"), linewright(folder, "plan", "tumours")

    assert [] == first["changes"]
    assert first == second


def test_the_endpoint_and_batch_scoring_give_the_same_numbers(tumours):
    """A number that depends on how it was asked for cannot be proved."""
    folder, rows = tumours
    with (folder / "ask.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows[:40])

    linewright(folder, "predict", "tumours", "ask.csv", "-o", "answers.csv")
    with (folder / "answers.csv").open(newline="") as file:
        batch = [float(row["probabilities_malignant"]) for row in csv.DictReader(file)]
    with up(folder, start=commands.begin) as (endpoint, _):
        online = endpoint.post("/v1/lines/tumours/predict", json={"rows": rows[:40]}).json()["predictions"]

    assert batch == [one["probabilities"]["malignant"] for one in online]

    with (folder / "answers.csv").open(newline="") as file:
        asked = [online[7]["id"], next(csv.DictReader(file))["id"]]
    again = [linewright(folder, "replay", "--prediction", each) for each in asked]

    assert [0, 0] == [one["difference"] for one in again]
    assert online[7]["probabilities"] == again[0]["computed"]["probabilities"]
    assert ["endpoint", "batch"] == [one["via"] for one in again]


def test_promotion_and_rollback_reach_a_busy_endpoint_without_a_failed_request(tumours):
    """Users must not notice that the model behind an endpoint changes."""
    folder, rows = tumours
    budget(folder, "tumours", "quick", "{trials: 1}")
    with up(folder, start=commands.begin) as (endpoint, _):
        second = linewright(folder, "run", "tumours", code=4)  # carried out by the worker, whose lock it is

        assert "tumours@2" == second["candidate"]

        linewright(folder, "promote", "tumours@2", code=4)
        linewright(folder, "promote", "tumours@2", "--force", "--because", "a drill")
        ask_until(endpoint, rows[:1], "tumours@2")
        linewright(folder, "rollback", "tumours")
        ask_until(endpoint, rows[:1], "tumours@1")

    linewright(folder, "rollback", "tumours", code=2)

    assert [] == linewright(folder, "plan", "tumours")["changes"]


def ask_until(endpoint: httpx.Client, rows: list[dict[str, Any]], model: str) -> None:
    """Ask without a pause until a model answers; each answer on the way must be one, and 2 s must be enough."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        answer = endpoint.post("/v1/lines/tumours/predict", json={"rows": rows})

        assert 200 == answer.status_code
        if answer.json()["model"] == model:
            return
    raise AssertionError(f"{model} did not answer within 2 s")


@pytest.mark.parametrize(
    ("bunch", "label", "metric"),
    [(load_wine, "cultivar", "log_loss"), (load_diabetes, "progression", "rmse")],
    ids=["multiclass", "regression"],
)
def test_other_tasks_take_the_same_three_commands(tmp_path, bunch, label, metric):
    """A task is one file; nothing else of the path may know which it is."""
    write_csv(tmp_path / "table.csv", bunch(), label)
    linewright(tmp_path, "new", "line", "--data", "table.csv", "--label", label, "--key", "sample")
    budget(tmp_path, "line", "normal", "quick")

    ran = linewright(tmp_path, "run", "line")

    assert ran["promoted"]
    assert metric == ran["metrics"][0]["name"]

    linewright(tmp_path, "predict", "line", "table.csv", "-o", "answers.csv")
    with (tmp_path / "answers.csv").open(newline="") as file:
        asked = next(csv.DictReader(file))["id"]

    assert 0 == linewright(tmp_path, "replay", "--prediction", asked)["difference"]


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
def test_a_real_fraud_table_takes_the_same_path(tmp_path):
    """Clean tables flatter; this one has words for numbers and an age of 0."""
    new = ("new", "claims", "--data", str(SHARED / "insurance_fraud.csv"), "--label", "FraudFound")
    linewright(tmp_path, *new, "--positive", "Yes", "--key", "PolicyNumber")
    budget(tmp_path, "claims", "normal", "quick")

    ran = linewright(tmp_path, "run", "claims")

    assert ran["promoted"]
    assert [] == linewright(tmp_path, "plan", "claims")["changes"]
