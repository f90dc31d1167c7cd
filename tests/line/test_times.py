"""A line of times goes the whole way: from a table of times and events to served curves, late truths and a retraining."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
from ports import free_port

from linewright.capabilities.serving.worker import tend_inline
from linewright.data.facts import Dataset
from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.file.read import parse_line
from linewright.line.predict.batch import predict_file
from linewright.line.predict.label_file import hand_in
from linewright.line.record.registry import find_model
from linewright.line.release.rollout import loss_of
from linewright.line.runs.execute import execute_inline
from linewright.line.steps import choose_threshold
from linewright.model.facts import Package, Trained
from linewright.model.package.model import load
from linewright.model.tasks.survival import RUL
from linewright.serve.facts import Prediction, Truth
from linewright.serve.rows.scorer import Scorer
from linewright.watch.facts import Performance, Watched
from linewright.worlds.living import Clock

START = datetime(2026, 3, 1, tzinfo=UTC)
A_DAY, DAYS = 100, 8
LINE = """\
line: pumps
sources: {s: {file: history.csv}}
table: {key: key, time: at}
label: {column: hours, event: failed, delay: 1d}
train: {task: TASK, budget: quick, folds: 2, split: {by: random}}
gates:
  - {metric: concordance, at_least: 0.55}
  - {beats: champion}
watch: {every: 1d}
"""


def rows(day: int, n: int = A_DAY) -> pl.DataFrame:
    """Make the pumps of a day: the hotter, the shorter their lives; about a third is taken out of service before."""
    chance = np.random.default_rng([17, day])
    heat, maker = chance.normal(size=n).round(3), chance.choice(["a", "b"], n)
    life = 200 * chance.exponential(size=n) / np.exp(0.9 * heat + 0.4 * (maker == "b"))
    ends = chance.exponential(400, size=n)
    return pl.DataFrame(
        {
            "key": [f"p{day:02}-{number:02}" for number in range(n)],
            "at": [START + timedelta(days=day, minutes=10 * number) for number in range(n)],
            "heat": heat,
            "maker": maker,
            "hours": np.minimum(life, ends).round(1),
            "failed": (life <= ends).astype(int),
        }
    )


@pytest.fixture(params=["survival", "rul"])
def task(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def line(task: str, tmp_path: Path) -> Iterator[tuple[Factory, Clock]]:
    """Give a factory with the line on its first days, and its clock."""
    root = tmp_path / "factory"
    (root / "lines").mkdir(parents=True)
    pl.concat(map(rows, range(DAYS))).write_csv(root / "history.csv")
    (root / "lines" / "pumps.yaml").write_text(LINE.replace("TASK", task))
    clock = Clock(START + timedelta(days=DAYS))
    with Factory.create(root, now=clock) as factory:
        yield factory, clock


def test_its_models_are_trained_gated_watched_and_trained_again(line: tuple[Factory, Clock], task: str):
    """Truths that are censored count for what they say: in metrics of live rows, and in the next model."""
    factory, clock = line
    ran = execute_inline(factory, "pumps")
    model = find_model(factory, "pumps")
    package = factory.metadata.get(model.digest, Package)

    assert ran.promoted
    assert ("integrated_brier_score", task) == (ran.metrics[0].name, package.task)
    assert "hazard" == package.calibration.method
    assert {"heat", "maker"} == set(package.encoder.columns)
    assert "failed" not in {column.name for column in package.columns}
    assert [float(time) for time in package.classes] == sorted(float(time) for time in package.classes)

    for day in (DAYS, DAYS + 1):
        asked = rows(day)
        clock.at = START + timedelta(days=day, hours=23, minutes=50)
        asked.drop("hours", "failed").write_csv(factory.root / "asked.csv")
        predict_file(factory, "pumps", factory.root / "asked.csv", factory.root / "answers.csv")
        clock.at = START + timedelta(days=day + 1, hours=23)
        spelled = pl.col("hours").cast(pl.String) + pl.when(pl.col("failed") == 1).then(pl.lit("")).otherwise(
            pl.lit("+")
        )
        asked.select("key", spelled.alias("hours")).write_csv(factory.root / "truth.csv")
        hand_in(factory, "pumps", factory.root / "truth.csv")
        clock.at = START + timedelta(days=day + 2, seconds=1)
        tend_inline(factory, "pumps")
    watched = factory.metadata.events(Watched, line="pumps")
    measured = [factory.metadata.get(one.performance, Performance) for one in watched if one.performance]

    assert {"integrated_brier_score"} == {one.metric for one in measured}
    assert A_DAY == measured[-1].labelled
    assert measured[-1].value is not None
    assert 0 < measured[-1].value < 0.25
    answers = pl.read_csv(factory.root / "answers.csv")
    curve = answers.select(pl.col("^survival_.*$")).to_numpy()
    assert len(package.classes) == curve.shape[1]
    assert (np.diff(curve, axis=1) <= 1e-12).all()

    again = execute_inline(factory, "pumps", as_of=factory.now())
    newest = factory.metadata.get(factory.metadata.versions("pumps")[-1].digest, Package)

    assert again.metrics
    assert (DAYS + 2) * A_DAY == factory.metadata.get(
        factory.metadata.get(newest.trained, Trained).dataset, Dataset
    ).rows


def command(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "linewright", *words, "--factory", str(root), "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"NO_COLOR": "1"},
    )


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Make a line by commands, and a model of it."""
    root = tmp_path / "factory"
    root.mkdir()
    pl.concat(map(rows, range(DAYS))).drop("at").write_csv(root / "history.csv")
    made = command(
        root, "new", "pumps", "--data", str(root / "history.csv"), "--label", "hours", "--event", "failed"
    )
    assert 0 == made.returncode, made.stderr
    text = (root / "lines" / "pumps.yaml").read_text()
    assert "label: {column: hours, event: failed}" in text
    assert "task: survival" in text
    text = text.replace("budget: normal", "budget: quick")
    (root / "lines" / "pumps.yaml").write_text(f"{text}maintenance: {{failure: -50000, inspection: -800}}\n")
    assert 0 == command(root, "check", "pumps").returncode
    ran = command(root, "run", "pumps")
    assert 0 == ran.returncode, ran.stderr
    card = command(root, "card", "pumps")
    assert 0 == card.returncode, card.stderr
    assert "What is left by time" in card.stdout
    assert "An answer says by when to act" in card.stdout
    return root


def test_it_is_served_told_the_truth_and_rebuilt(made: Path):
    """Answers are curves, a later time continues a censored one, and a rebuilt model has an equal digest."""
    root, port = made, free_port()
    served = subprocess.Popen(
        [sys.executable, "-m", "linewright", "serve", "--port", str(port), "--factory", str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    url = f"http://127.0.0.1:{port}/v1/lines/pumps"
    row = {"key": "new", "heat": 1.5, "maker": "b"}
    try:
        told = post(f"{url}/predict", {"rows": [row, {**row, "key": "cool", "heat": -1.5}], "explain": True})
        described = httpx.get(f"http://127.0.0.1:{port}/openapi.json").json()
        first = post(f"{url}/feedback", {"labels": [{"key": "new", "label": {"time": 30, "event": False}}]})
        later = post(f"{url}/feedback", {"labels": [{"key": "new", "label": 45.5}]})
        less = post(f"{url}/feedback", {"labels": [{"key": "new", "label": "20+"}]})
        other = post(f"{url}/feedback", {"labels": [{"key": "new", "label": "12"}]})
        wrong = post(f"{url}/feedback", {"labels": [{"key": "new", "label": "soon"}]})
        infer = post(
            f"http://127.0.0.1:{port}/v2/models/pumps/infer",
            {
                "inputs": [
                    {"name": "heat", "datatype": "FP64", "shape": [1], "data": [1.5]},
                    {"name": "maker", "datatype": "BYTES", "shape": [1], "data": ["b"]},
                    {"name": "key", "datatype": "BYTES", "shape": [1], "data": ["oip"]},
                ]
            },
        )
    finally:
        served.terminate()
        served.communicate(timeout=60)
    hot, cool = told["predictions"]
    assert hot["prediction"] < cool["prediction"]
    assert list(hot["survival"].values()) == sorted(hot["survival"].values(), reverse=True)
    assert "log-odds of the hazard" == hot["score_unit"]
    assert hot["contributions"]["heat"] > 0 > cool["contributions"]["heat"]
    assert hot["base"] + sum(hot["contributions"].values()) == pytest.approx(hot["score"], abs=1e-6)
    assert {"survival", "act_by"} <= set(described["components"]["schemas"]["pumps.Prediction"]["properties"])
    assert hot["act_by"] in (None, 0) or str(int(hot["act_by"])) in hot["survival"]
    assert (1, 1, 1) == (first["accepted"], later["corrected"], less["repeated"])
    assert "another label is already kept" in other["message"]
    assert '"12.5+" if it had not happened by then' in wrong["message"]
    outputs = {one["name"]: one for one in infer["outputs"]}
    assert outputs["survival"]["data"] == pytest.approx(list(hot["survival"].values()), abs=1e-12)
    assert [float(time) for time in hot["survival"]] == outputs["survival"]["parameters"]["times"]
    assert [hot["beyond"]] == outputs["beyond"]["data"]
    assert [hot["act_by"]] == [json.loads(one) for one in outputs["act_by"]["data"]]

    replayed = command(root, "replay", "--prediction", hot["id"])
    assert 0 == replayed.returncode, replayed.stderr
    rebuilt = command(root, "rebuild", "pumps")
    assert 0 == rebuilt.returncode, rebuilt.stderr
    assert "R0" == json.loads(rebuilt.stdout)["level"]


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask an endpoint that may not answer yet."""
    transport = httpx.HTTPTransport(retries=60)
    with httpx.Client(transport=transport, timeout=30) as client:
        for _ in range(100):
            found = client.post(url, json=body)
            if found.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return found.json()
        raise AssertionError(found.text)


@pytest.mark.parametrize(
    ("label", "loss"),
    [("10", 0.65), ("30", 0.05), ("30+", 0.05), ("15+", 0.01), ("5+", None), ("soon", None)],
)
def test_a_canary_is_held_to_what_is_known_of_a_curve(label: str, loss: float | None):
    """Times by which it is not known whether it had happened say nothing."""
    record = Prediction(
        id="",
        line="",
        generation=1,
        model=1,
        digest="",
        at="",
        key=None,
        row={},
        answer={"prediction": 30.0, "beyond": True, "survival": {"10": 0.9, "20": 0.7}},
        threshold=None,
    )
    found = loss_of(record, Truth(label=label, at=None, received="", by="id"), None)

    assert loss == (None if found is None else round(found, 4))


SOUND = LINE.replace("TASK", "survival")


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ("event: failed, ", "", "no column that says whether it happened then"),
        ("task: survival", "task: regression", "is for labels that are times"),
        ("task: survival", "task: survival, engine: flaml", "made by the built-in engine"),
        ("task: survival", "task: survival, also: [catboost]", "made by the built-in engine"),
        ("metric: concordance, at_least: 0.55", "metric: rmse, at_most: 5", "rmse"),
        ("watch:", "contract: {columns: {hours: {type: number}}}\nwatch:", "the contract names label.column"),
        ("watch:", "value: {true_positive: 3, false_negative: -1}\nwatch:", "the value of"),
        ("watch:", "maintenance: {failure: -5, inspection: -9}\nwatch:", "costs less than a failure"),
        ("event: failed", "event: failed, positive: '1'", "a positive value is for two classes"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(written: str, instead: str, message: str):
    """With what, where, what was found and what to do next."""
    with pytest.raises(LinewrightError, match=message):
        parse_line(SOUND.replace(written, instead), name="pumps.yaml")
    parse_line(SOUND, name="pumps.yaml")


def test_what_is_as_good_as_new_is_measured_on_rows_of_all_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Machines are read in turn: every second row is of a hot one, whose time costs more."""
    hot = pl.Series([2.0, -2.0] * (A_DAY * DAYS // 2))
    table = pl.concat(map(rows, range(DAYS))).with_columns(
        heat=hot, hours=(pl.col("hours") * (-0.9 * (hot - pl.col("heat"))).exp()).round(1)
    )
    (tmp_path / "lines").mkdir()
    table.write_csv(tmp_path / "history.csv")
    text = LINE.replace("TASK", "rul").replace("split: {by: random}", "split: {by: time}")
    (tmp_path / "lines" / "pumps.yaml").write_text(
        f"{text}maintenance: {{failure: -5000, inspection: -800}}\n"
    )
    monkeypatch.setattr(choose_threshold, "_MOST_ROWS", A_DAY * DAYS // 2)
    with Factory.create(tmp_path) as factory:
        model = load(execute_inline(factory, "pumps").digest, factory.artifacts.get)
    curves = [one["survival"] for one in Scorer(model).score(table.select("heat", "maker").to_dicts())]
    scores, amounts = np.array([list(one.values()) for one in curves]), model.package.maintenance

    assert amounts is not None
    assert amounts.rate == pytest.approx(
        RUL.as_new(scores, model.package.classes, amounts).rate or 0, rel=0.01
    )


def test_what_a_failure_costs_is_refused_of_another_task():
    """Decisions between two classes have amounts of their own."""
    text = "line: a\nsources: {s: {file: a.csv}}\nlabel: {column: y}\ntrain: {task: binary}\nmaintenance: {failure: -9, inspection: -1}\n"
    with pytest.raises(LinewrightError, match="by when to act is said of labels that are times"):
        parse_line(text, name="a.yaml")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("hours", "-4", "the time of a label is a number of at least 0"),
        ("hours", "soon", "the time of a label is a number of at least 0"),
        ("failed", "maybe", "label.event says whether it happened"),
    ],
)
def test_wrong_times_and_events_are_named(tmp_path: Path, column: str, value: str, message: str):
    """A run stops before it learns from them."""
    (tmp_path / "lines").mkdir()
    table = rows(0).with_columns(pl.col(column).cast(pl.String))
    table[3, column] = value
    table.write_csv(tmp_path / "history.csv")
    (tmp_path / "lines" / "pumps.yaml").write_text(SOUND)
    with Factory.create(tmp_path) as factory, pytest.raises(LinewrightError, match=message):
        execute_inline(factory, "pumps")
