"""A line that looks for anomalies goes the whole way: from rows of which few are labelled to served scores, late truths and a retraining."""

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

from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.serving.worker import tend_inline
from linewright.data.facts import Dataset
from linewright.data.profile.roles import GivenRoles
from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.file.read import parse_line
from linewright.line.predict.batch import predict_file
from linewright.line.predict.label_file import hand_in
from linewright.line.record.registry import find_model
from linewright.line.release.rollout import loss_of
from linewright.line.runs.execute import execute_inline
from linewright.model.facts import Decision, Package, Trained
from linewright.model.families.anomaly.fitted import Nearest, OddityFitted
from linewright.model.families.trainer import read_native
from linewright.model.reasons import Alarms, FoundMost, NothingFaulty, WorthMost
from linewright.serve.facts import Prediction, Truth
from linewright.watch.facts import Performance, Watched
from linewright.worlds.living import Clock

START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS, A_DAY = 6, 150
LINE = """\
line: parts
sources: {s: {file: history.csv}}
table: {key: key, time: at, exclude: [truth]}
label: {column: state}
train: {task: anomaly, folds: 2, split: {by: random}}
watch: {every: 1d}
"""


def rows(day: int, n: int = A_DAY) -> pl.DataFrame:
    """Make the parts of a day: width and height go together but for 8 % of faulty ones; every other one of these is known to be."""
    chance = np.random.default_rng([23, day])
    width, maker = chance.normal(size=n), chance.choice(["a", "b"], n)
    faulty = chance.random(n) < 0.08
    height = np.where(faulty, -width + np.sign(width) * 2, width) + chance.normal(0, 0.1, n)
    state = ["faulty" if one and number % 2 == 0 else None for number, one in enumerate(faulty)]
    return pl.DataFrame(
        {
            "key": [f"p{day:02}-{number:03}" for number in range(n)],
            "at": [START + timedelta(days=day, minutes=9 * number) for number in range(n)],
            "width": width.round(3),
            "height": height.round(3),
            "maker": maker,
            "state": state,
            "truth": np.where(faulty, "faulty", "good"),
        }
    )


@pytest.fixture
def line(tmp_path: Path) -> Iterator[tuple[Factory, Clock]]:
    """Give a factory with the line on its first days, and its clock."""
    root = tmp_path / "factory"
    (root / "lines").mkdir(parents=True)
    pl.concat(map(rows, range(DAYS))).write_csv(root / "history.csv")
    (root / "lines" / "parts.yaml").write_text(LINE)
    clock = Clock(START + timedelta(days=DAYS))
    with Factory.create(root, now=clock) as factory:
        yield factory, clock


def command(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "linewright", *words, "--factory", str(root), "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"NO_COLOR": "1"},
    )


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask an endpoint that may not answer yet."""
    with httpx.Client(transport=httpx.HTTPTransport(retries=60), timeout=30) as client:
        for _ in range(100):
            found = client.post(url, json=body)
            if found.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return found.json()
        raise AssertionError(found.text)


def rewrite(factory: Factory, old: str, new: str) -> None:
    path = factory.root / "lines" / "parts.yaml"
    path.write_text(path.read_text().replace(old, new))


def fitted_of(factory: Factory) -> OddityFitted:
    package = factory.metadata.get(find_model(factory, "parts").digest, Package)
    found = read_native(factory.artifacts.get(factory.metadata.get(package.trained, Trained).native))
    assert isinstance(found, OddityFitted)
    return found


def test_its_models_are_trained_gated_watched_and_trained_again(line: tuple[Factory, Clock]):
    """Rows without a label count as good; faulty ones that come later are measured by, and learned from by none."""
    factory, clock = line
    ran = execute_inline(factory, "parts")
    package = factory.metadata.get(find_model(factory, "parts").digest, Package)
    trained = factory.metadata.get(package.trained, Trained)

    assert ran.promoted
    assert ("average_precision", "anomaly") == (ran.metrics[0].name, package.task)
    assert {one.name: one.value for one in ran.metrics}["roc_auc"] > 0.9
    assert ("good", "faulty") == package.classes
    assert isinstance(trained.reason.choice, FoundMost)
    assert 0.99 == package.threshold
    assert {"width", "height", "maker"} == set(package.encoder.columns)

    for day in (DAYS, DAYS + 1):
        asked = rows(day)
        clock.at = START + timedelta(days=day, hours=23, minutes=50)
        asked.drop("state", "truth").write_csv(factory.root / "asked.csv")
        predict_file(factory, "parts", factory.root / "asked.csv", factory.root / "answers.csv")
        clock.at = START + timedelta(days=day + 1, hours=23)
        asked.select("key", state="truth").write_csv(factory.root / "truth.csv")
        hand_in(factory, "parts", factory.root / "truth.csv")
        clock.at = START + timedelta(days=day + 2, seconds=1)
        tend_inline(factory, "parts")
    watched = factory.metadata.events(Watched, line="parts")
    measured = [factory.metadata.get(one.performance, Performance) for one in watched if one.performance]

    assert A_DAY == measured[-1].labelled
    assert (measured[-1].value or 0) > 0.4
    assert not [one for one in watched if one.confirmations]
    answers = pl.read_csv(factory.root / "answers.csv")
    assert (answers["score"].is_between(0, 1)).all()
    assert ((answers["score"] >= 0.99) == (answers["prediction"] == "faulty")).all()

    again = execute_inline(factory, "parts", as_of=factory.now())
    newest = factory.metadata.get(factory.metadata.versions("parts")[-1].digest, Package)
    retrained = factory.metadata.get(newest.trained, Trained)

    assert again.metrics
    assert (DAYS + 2) * A_DAY == factory.metadata.get(retrained.dataset, Dataset).rows


def test_days_on_which_all_was_good_raise_no_alert(line: tuple[Factory, Clock]):
    """An average precision of 0 would look as if the model had broken."""
    factory, clock = line
    execute_inline(factory, "parts")
    good = rows(DAYS).filter(pl.col("truth") == "good")
    clock.at = START + timedelta(days=DAYS, hours=23, minutes=50)
    good.drop("state", "truth").write_csv(factory.root / "asked.csv")
    predict_file(factory, "parts", factory.root / "asked.csv", factory.root / "answers.csv")
    good.select("key", state="truth").write_csv(factory.root / "truth.csv")
    hand_in(factory, "parts", factory.root / "truth.csv")
    clock.at = START + timedelta(days=DAYS + 1, seconds=1)
    tend_inline(factory, "parts")
    watched = factory.metadata.events(Watched, line="parts")
    (measured,) = [factory.metadata.get(one.performance, Performance) for one in watched if one.performance]

    assert len(good) == measured.labelled
    assert measured.value is None


def test_known_faults_teach_nothing(line: tuple[Factory, Clock]):
    """A model that has seen them would take them for usual."""
    factory, _ = line
    execute_inline(factory, "parts")
    before = fitted_of(factory).native
    table = pl.read_csv(factory.root / "history.csv")
    known = pl.col("state") == "faulty"
    table.with_columns(width=pl.when(known).then(pl.col("width") + 40).otherwise("width")).write_csv(
        factory.root / "history.csv"
    )
    execute_inline(factory, "parts")
    after = fitted_of(factory).native

    assert isinstance(before.method, Nearest)
    assert before == after


def test_without_a_label_it_is_approved_by_a_person(line: tuple[Factory, Clock]):
    """Nothing can be compared, and no certificate is made of nothing; how many good rows alarm can be asked."""
    factory, _ = line
    rewrite(factory, "label: {column: state}\n", "")
    pl.read_csv(factory.root / "history.csv").drop("state").write_csv(factory.root / "history.csv")
    ran = execute_inline(factory, "parts")
    found = factory.metadata.get(factory.metadata.versions("parts")[-1].digest, Package)
    trained = factory.metadata.get(found.trained, Trained)

    assert not ran.promoted
    assert "need-more-data" == ran.verdict
    assert ("linewright card parts@1", 'linewright promote parts@1 --force --because "WHY"') == ran.next
    assert "No test row is known to be faulty" in ran.because
    assert ["false_positive_rate"] == [one.name for one in ran.metrics]
    assert ran.metrics[0].high is not None
    assert ran.metrics[0].high < 0.1
    assert not ran.few_tested
    assert "label" == found.label
    assert isinstance(trained.reason.choice, NothingFaulty)

    rewrite(factory, "watch:", "gates:\n  - {metric: false_positive_rate, at_most: 0.1}\nwatch:")
    assert execute_inline(factory, "parts").promoted

    # Nor can it be compared with the champion.
    rewrite(factory, "gates:\n  - {metric: false_positive_rate, at_most: 0.1}\n", "")
    pl.concat(map(rows, range(DAYS + 1))).drop("state").write_csv(factory.root / "history.csv")
    again = execute_inline(factory, "parts")
    assert (False, "need-more-data") == (again.promoted, again.verdict)
    assert not [command for command in again.next if "--force" in command]  # the champion goes on serving
    assert "No test row is known to be faulty" in again.because


def test_amounts_set_where_alarms_begin(line: tuple[Factory, Clock]):
    """Where enough rows are known to be faulty; before that, the share of good rows that may alarm."""
    factory, _ = line

    def decided() -> Decision:
        execute_inline(factory, "parts")
        package = factory.metadata.versions("parts")[-1].digest
        found = [digest for digest, kind, _ in factory.metadata.results() if kind == "decision"]
        every = [factory.metadata.get(digest, Decision) for digest in found]
        return next(one for one in every if one.package == package)

    rewrite(factory, "watch:", "anomaly: {alarms: 0.05}\nwatch:")
    by_share = decided()
    assert isinstance(by_share.reason, Alarms)
    assert (0.05, 0.95) == (by_share.reason.share, by_share.threshold)

    rewrite(
        factory, "watch:", "value: {true_positive: 500, false_positive: -5, false_negative: -500}\nwatch:"
    )
    by_amounts = decided()
    assert isinstance(by_amounts.reason, WorthMost)
    assert by_amounts.threshold is not None
    assert by_amounts.threshold < 0.95


def test_a_file_is_explained_although_it_has_more_rows_than_one_request_may_have(
    line: tuple[Factory, Clock], monkeypatch: pytest.MonkeyPatch
):
    """Each row is explained as it would be alone."""
    factory, _ = line
    execute_inline(factory, "parts")
    monkeypatch.setattr("linewright.model.package.model._EXPLAINED_BYTES", 2e6)
    asked = rows(DAYS).drop("state", "truth")
    asked.write_csv(factory.root / "asked.csv")
    asked[-1:].write_csv(factory.root / "last.csv")
    for name in ("asked", "last"):
        predict_file(
            factory, "parts", factory.root / f"{name}.csv", factory.root / f"{name}-a.csv", explain=True
        )
    answers, alone = (pl.read_csv(factory.root / f"{name}-a.csv") for name in ("asked", "last"))
    same = [name for name in alone.columns if name not in {"row", "id"}]

    assert asked.height == answers.height
    assert answers[-1:].select(same).equals(alone.select(same))
    assert any("contribution" in name for name in same)


@pytest.fixture
def made(line: tuple[Factory, Clock]) -> Path:
    """Make a model of the line by a command."""
    root = line[0].root
    ran = command(root, "run", "parts")
    assert 0 == ran.returncode, ran.stderr
    return root


def test_it_is_served_told_the_truth_and_rebuilt(made: Path):
    """Answers say how odd a row is and why; a rebuilt model has an equal digest."""
    port = free_port()
    served = subprocess.Popen(
        [sys.executable, "-m", "linewright", "serve", "--port", str(port), "--factory", str(made)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    base = f"http://127.0.0.1:{port}"
    usual = {"key": "u", "at": "2026-03-09T00:00:00Z", "width": 1.0, "height": 1.0, "maker": "a"}
    try:
        asked = {"rows": [usual, {**usual, "key": "o", "height": -3.0}], "explain": True}
        told = post(f"{base}/v1/lines/parts/predict", asked)
        described = httpx.get(f"{base}/openapi.json").json()["components"]["schemas"]["parts.Prediction"]
        right = post(f"{base}/v1/lines/parts/feedback", {"labels": [{"key": "o", "label": "faulty"}]})
        wrong = post(f"{base}/v1/lines/parts/feedback", {"labels": [{"key": "u", "label": "fine"}]})
        tensors = [
            {"name": name, "datatype": kind, "shape": [1], "data": [usual[name]]}
            for name, kind in (("width", "FP64"), ("height", "FP64"), ("maker", "BYTES"))
        ]
        infer = post(
            f"{base}/v2/models/parts/infer",
            {
                "inputs": [
                    *tensors,
                    {"name": "at", "datatype": "BYTES", "shape": [1], "data": [usual["at"]]},
                ],
                "parameters": {"explain": True},
            },
        )
    finally:
        served.terminate()
        served.communicate(timeout=60)
    good, odd = told["predictions"]
    assert ("good", "faulty") == (good["prediction"], odd["prediction"])
    assert good["score"] < 0.99 <= odd["score"] == pytest.approx(odd["score"])
    assert odd["contributions"]["height"] > odd["contributions"]["maker"]
    assert "probabilities" not in odd
    assert {"score", "threshold"} <= set(described["required"])
    assert "probabilities" not in described["properties"]
    assert 1 == right["accepted"]
    assert "good, faulty" in wrong["message"]
    names = [one["name"] for one in infer["outputs"]]
    assert len(names) == len(set(names))
    assert {"prediction", "score", "contributions"} <= set(names)

    replayed = command(made, "replay", "--prediction", odd["id"])
    assert 0 == replayed.returncode, replayed.stderr
    card = command(made, "card", "parts")
    assert "It is not the probability" in card.stdout
    rebuilt = command(made, "rebuild", "parts")
    assert "R0" == json.loads(rebuilt.stdout)["level"]


def test_a_canary_is_wrong_or_right():
    """A score is no probability, so that it is not squared."""
    record = Prediction(
        id="",
        line="",
        generation=1,
        model=1,
        digest="",
        at="",
        key=None,
        row={},
        answer={"prediction": "faulty", "score": 0.995, "threshold": 0.99},
        threshold=0.99,
    )

    def loss(label: str) -> float | None:
        return loss_of(record, Truth(label=label, at=None, received="", by="id"), None)

    assert (0.0, 1.0) == (loss("faulty"), loss("good"))


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ("task: anomaly", "task: binary", "the section is for lines with task: anomaly"),
        ("folds: 2", "engine: flaml", "other engines learn from both classes"),
        ("key: key", "key: key, weight: w", "each good row counts once"),
        ("folds: 2", "budget: thorough", "the same few models"),
        ("folds: 2", "prefer: small", "there is one model"),
        ("folds: 2", "max_seconds: 60", "a fixed limit of rows"),
        ("watch:", "contract: {columns: {photo: {type: file}}}\nwatch:", "by patches of the other pictures"),
        ("alarms: 0.05", "alarms: 0.7", "alarms"),
        ("watch:", "gates: [{fairness: maker, at_most: 0.1}]\nwatch:", "few rows are known to be faulty"),
        ("watch:", "gates: [{metric: log_loss, at_most: 0.1}]\nwatch:", "no such metric for a anomaly task"),
        (
            "folds: 2, split: {by: random}}",
            "split: {by: random}}\ncontract: {columns: {photo: {type: file}, width: {type: number}}}",
            "in one column of pictures",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(written: str, instead: str, message: str):
    """With what, where, what was found and what to do next."""
    sound = LINE + "anomaly: {alarms: 0.05}\n"
    with pytest.raises(LinewrightError, match=message):
        parse_line(sound.replace(written, instead), name="parts.yaml")
    parse_line(sound, name="parts.yaml")


def test_a_line_of_another_task_still_needs_a_label():
    """What is left out where it means something else would be found late."""
    with pytest.raises(LinewrightError, match="'label' is missing"):
        parse_line(LINE.replace("label: {column: state}\n", "").replace("anomaly", "binary"), name="p.yaml")


@pytest.mark.parametrize(
    ("states", "positive", "message"),
    [
        (["crack", None], None, "one label alone does not say"),
        (["crack", "scratch", None], None, "which of the two labels means faulty is not clear"),
        (["a", "b", "c"], None, "a label has two values"),
        (["faulty"], None, "none is known to be"),
        (["good", "bad"], "ugly", "a label has two values"),
        (["faulty"], "faulty", "too few good training rows"),
    ],
)
def test_labels_that_do_not_say_what_is_good_are_refused(
    line: tuple[Factory, Clock], states: list[str | None], positive: str | None, message: str
):
    """A run stops before faults are learned from as good rows."""
    factory, _ = line
    table = pl.read_csv(factory.root / "history.csv")
    spelled = [states[number % len(states)] for number in range(table.height)]
    table.with_columns(pl.Series("state", spelled)).write_csv(factory.root / "history.csv")
    if positive:
        rewrite(factory, "{column: state}", f"{{column: state, positive: {positive}}}")

    with pytest.raises(LinewrightError, match=message):
        execute_inline(factory, "parts")


def test_too_few_rows_are_refused(line: tuple[Factory, Clock]):
    """One row says nothing of what is usual."""
    factory, _ = line
    rows(0).head(20).write_csv(factory.root / "history.csv")

    with pytest.raises(LinewrightError, match="too few good training rows"):
        execute_inline(factory, "parts")


def test_one_row_is_refused_before_a_line_file_is_written(tmp_path: Path):
    """And not because of a label that the table does not have."""
    (tmp_path / "one.csv").write_text("a,b\n1,2\n")
    with pytest.raises(LinewrightError, match="one row does not say what is usual"):
        new_line(tmp_path, "one", tmp_path / "one.csv", GivenRoles(label=""), task="anomaly")


def test_columns_without_values_and_repeated_rows_are_learned_from(line: tuple[Factory, Clock]):
    """Distances of 0 and columns of one value are usual in tables of machines."""
    factory, _ = line
    table = rows(0).drop("key", "at", "truth")
    many = pl.concat([table] * 3).with_columns(empty=None, same=1.0)
    many.write_csv(factory.root / "history.csv", null_value="")
    rewrite(factory, "table: {key: key, time: at, exclude: [truth]}\n", "")
    execute_inline(factory, "parts")
    found = factory.metadata.get(factory.metadata.versions("parts")[-1].digest, Package)

    assert {"width", "height", "maker"} == set(found.encoder.columns)
