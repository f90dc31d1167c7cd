"""A task that a package brings goes the whole way of a line, though no file of `src` knows it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
from ports import free_port
from toy_task import installed_tasks

from linewright.capabilities.serving.worker import tend_inline
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.predict.label_file import hand_in
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.model.facts import Package
from linewright.watch.facts import Performance, Watched
from linewright.worlds.living import Clock

SUPPORT = Path(__file__).parents[1] / "support"
GRADES = (3, 5, 8, 10)
START = datetime(2026, 3, 1, tzinfo=UTC)
A_DAY, DAYS = 120, 8
LINE = """\
line: {name}
sources: {{s: {{file: history.csv}}}}
table: {{key: key, time: at, exclude: [{other}]}}
label: {{column: {label}, delay: 1d}}
contract: {{columns: {{key: {{type: category}}, at: {{type: datetime}}, size: {{type: number}}, colour: {{type: category}}, grade: {{type: {grade}}}, often: {{type: {often}}}}}}}
train: {{task: {name}, budget: {{trials: 2}}, folds: 2}}
gates:
  - {{metric: {metric}, at_most: {bar}}}
  - {{beats: champion}}
watch: {{every: 1d}}
"""
FORMS = {
    "ordinal": {"label": "grade", "other": "often", "grade": "category", "often": "integer"}
    | {"metric": "class_distance", "bar": 0.9},
    "count": {"label": "often", "other": "grade", "grade": "category", "often": "integer"}
    | {"metric": "poisson_deviance", "bar": 2.5},
}


def rows(day: int) -> pl.DataFrame:
    """Make the rows of a day: a grade, and how often something happened."""
    chance = np.random.default_rng([11, day])
    size, red = chance.normal(size=A_DAY).round(3), chance.random(A_DAY) < 0.5
    grade = np.digitize(size + 0.5 * red + 0.4 * chance.normal(size=A_DAY), [-1.0, 0.0, 1.0])
    return pl.DataFrame(
        {
            "key": [f"d{day:02}-{number:02}" for number in range(A_DAY)],
            "at": [START + timedelta(days=day, minutes=10 * number) for number in range(A_DAY)],
            "size": size,
            "colour": np.where(red, "red", "blue"),
            "grade": np.array(GRADES)[grade],
            "often": chance.poisson(np.exp(0.8 * size + 0.3 * red)),
        }
    )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """Make what pip leaves of a package with the tasks of `toy_task`, and let this process find it."""
    with installed_tasks(tmp_path / "site"):
        yield tmp_path / "site"


@pytest.fixture(params=sorted(FORMS))
def line(request: pytest.FixtureRequest, site: Path, tmp_path: Path) -> Iterator[tuple[Factory, Clock, str]]:
    """Give a factory with a line of each task on the first days, its clock, and the name of line and task."""
    del site
    name, root = request.param, tmp_path / "factory"
    (root / "lines").mkdir(parents=True)
    pl.concat(map(rows, range(DAYS))).write_csv(root / "history.csv")
    (root / "lines" / f"{name}.yaml").write_text(LINE.format(name=name, **FORMS[name]))
    clock = Clock(START + timedelta(days=DAYS))
    with Factory.create(root, now=clock) as factory:
        yield factory, clock, name


def test_its_models_are_trained_gated_served_and_watched(line: tuple[Factory, Clock, str]):
    """Whoever adds a task writes one file and its metrics."""
    factory, clock, name = line
    label, headline = (
        FORMS[name]["label"],
        {"ordinal": "ranked_probability_score", "count": "poisson_deviance"}[name],
    )
    ran = execute_inline(factory, name)
    model = find_model(factory, name)
    package = factory.metadata.get(model.digest, Package)

    assert ran.promoted
    assert headline == ran.metrics[0].name
    assert (name, {"ordinal": ("3", "5", "8", "10"), "count": ()}[name]) == (package.task, package.classes)

    for day in (DAYS, DAYS + 1):
        asked = rows(day)
        clock.at = START + timedelta(days=day, hours=23, minutes=50)
        asked.drop("grade", "often").write_csv(factory.root / "asked.csv")
        predict_file(factory, name, factory.root / "asked.csv", factory.root / "answers.csv")
        clock.at = START + timedelta(days=day + 1, hours=23)
        asked.select(key="key", label=label).write_csv(factory.root / "truth.csv")
        hand_in(factory, name, factory.root / "truth.csv")
        clock.at = START + timedelta(days=day + 2, seconds=1)
        tend_inline(factory, name)
    watched = factory.metadata.events(Watched, line=name)
    measured = [factory.metadata.get(one.performance, Performance) for one in watched if one.performance]

    assert 2 == len(watched)
    assert {headline} == {one.metric for one in measured}
    assert A_DAY == measured[-1].labelled
    assert measured[-1].value is not None
    assert 0 < measured[-1].value < 2


@pytest.fixture
def linewright(site: Path):
    """Give a function that starts a command where the package is installed."""
    paths = os.pathsep.join(map(str, (site, SUPPORT)))

    def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "linewright", *arguments]
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


def test_an_endpoint_answers_takes_labels_and_is_replayed(line: tuple[Factory, Clock, str], linewright: Any):
    """A process that never trained it finds the task by its name, and no other process needs the file of it."""
    factory, _, name = line
    execute_inline(factory, name)
    root, port = factory.root, free_port()
    factory.close()
    served = linewright(root, "serve", "--port", str(port))
    url = f"http://127.0.0.1:{port}/v1/lines/{name}"
    row = {"key": "new", "at": "2026-03-09T10:00:00Z", "size": 0.4, "colour": "red"}
    try:
        told = post(f"{url}/predict", {"rows": [row], "explain": True})
        wrong = post(
            f"{url}/feedback", {"labels": [{"key": "new", "label": {"ordinal": "4", "count": -1}[name]}]}
        )
        right = post(
            f"{url}/feedback", {"labels": [{"key": "new", "label": {"ordinal": "5", "count": 2}[name]}]}
        )
    finally:
        served.terminate()
        served.communicate(timeout=60)
    (answer,) = told["predictions"]
    if name == "ordinal":
        assert list(map(str, GRADES)) == list(answer["probabilities"])
        assert answer["prediction"] in answer["probabilities"]
        assert "allowed: 3, 5, 8, 10" in wrong["message"]
    else:
        assert 0 <= answer["interval"][0] <= answer["prediction"] <= answer["interval"][1]
        assert "a count is a whole number of at least 0" in wrong["message"]
    assert 1 == right["accepted"]

    replayed = linewright(root, "replay", "--prediction", answer["id"])
    said, _ = replayed.communicate(timeout=120)

    assert 0 == replayed.returncode, said


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send a body until the endpoint is up, and return what it answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            answered = httpx.post(url, json=body, timeout=30)
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
            continue
        if answered.status_code != 503 or time.monotonic() > deadline:
            return answered.json()
        time.sleep(0.1)


def test_a_line_file_without_the_package_names_what_there_is(site: Path, tmp_path: Path, linewright: Any):
    """The package was forgotten on the new machine."""
    (tmp_path / "lines").mkdir()
    (tmp_path / "factory.yaml").write_text("format: 1\n")
    (tmp_path / "lines" / "ordinal.yaml").write_text(LINE.format(name="ordinal", **FORMS["ordinal"]))
    for file in site.rglob("*.txt"):
        file.unlink()
    checked = linewright(tmp_path, "check", "ordinal")
    said, _ = checked.communicate(timeout=120)

    assert 0 != checked.returncode
    assert (
        "found 'ordinal', allowed: auto, binary, multiclass, regression, survival, rul, recommend, forecast or anomaly"
        in said
    )
