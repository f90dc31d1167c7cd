"""The operations that read the record and use a model, on one small line."""

import csv
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from msgspec import structs
from sklearn.datasets import load_breast_cancer

from linewright import Factory
from linewright.capabilities.overview.operations.status import _not_sure
from linewright.errors import Conflict, Corrupt, NotFound, RequestError, Transient
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.loop.close_window import close_window
from linewright.line.predict import batch as scoring
from linewright.line.predict.example_request import curl
from linewright.model.facts import Package, Registered
from linewright.model.package.model import keep_package
from linewright.release.facts import Refused
from linewright.serve.listener import endpoint
from linewright.serve.log.segments import read_log
from linewright.watch.facts import Performance


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("factory")
    bunch: Any = load_breast_cancer()
    with (root / "cancer.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["sample", *(name.replace(" ", "_") for name in bunch.feature_names[:6]), "diagnosis"]
        )
        for number, (row, target) in enumerate(zip(bunch.data, bunch.target, strict=True)):
            writer.writerow([f"S{number:04}", *row[:6], bunch.target_names[target]])
    with Factory.create(root) as opened:
        opened.new("tumours", data=root / "cancer.csv", label="diagnosis", positive="malignant", key="sample")
        line = root / "lines" / "tumours.yaml"
        line.write_text(line.read_text().replace("budget: normal", "budget: quick"))
        opened.run("tumours")
        yield opened


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    pl.DataFrame(rows).write_csv(path)
    return path


def test_the_status_names_what_serves(factory):
    """It is the first thing that anyone asks."""
    line = factory.status().lines[0]

    assert ("tumours", "tumours@1", None, False) == (line.line, line.champion, line.endpoint, line.halted)
    assert factory.models("tumours").models[0].digest == line.digest


def test_models_datasets_and_runs_refer_to_each_other(factory):
    """From any of them the others must be found."""
    model, dataset, run = (
        factory.models("tumours").models[0],
        factory.datasets("tumours").datasets[0],
        factory.runs().runs[0],
    )

    assert ("champion", "promote") == (model.role, model.verdict)
    assert (569, ("tumours@1",)) == (dataset.rows, dataset.models)
    assert ("done", True) == (run.state, run.promoted)


def test_an_id_is_shown_whatever_it_stands_for(factory):
    """People paste what they have."""
    model, run = factory.models("tumours").models[0], factory.runs().runs[0]

    assert "package" == factory.show(model.digest[:20]).kind
    assert "model" == factory.show("tumours@1").kind
    assert "run" == factory.show(run.run).kind
    with pytest.raises(NotFound, match="nothing has that id"):
        factory.show("01a2106f-96b9-7782-bbb6-b0c952d7266d")


def test_a_claim_is_followed_down_to_the_rows(factory):
    """The promise: each sentence can be followed to its evidence."""
    claim = factory.why("tumours@1")
    kinds, below = [], [claim]
    while below:
        one = below.pop()
        kinds.append(one.kind)
        below.extend(one.rests_on)

    assert "certificate" == claim.kind
    assert {"evaluation", "package", "trained", "split", "dataset"} <= set(kinds)


def test_a_dataset_is_compared_with_another(factory):
    """After new data came, a person wants to know what is new."""
    digest = factory.datasets("tumours").datasets[0].dataset
    same = factory.datasets("tumours", diff=(digest, digest[:24]))

    assert (569, 569) == same.rows
    assert (1, 0) == (same.shared_chunks, same.new_chunks)


def test_batch_answers_keep_the_order_and_can_be_given_their_truth(factory, tmp_path):
    """The file that comes back is joined with the one that went out."""
    asked = pl.read_csv(factory.root / "cancer.csv").reverse().head(20).drop("diagnosis")
    asked.write_csv(tmp_path / "ask.csv")
    told = factory.predict("tumours", tmp_path / "ask.csv", out=tmp_path / "answers.parquet")
    answers = pl.read_parquet(tmp_path / "answers.parquet")

    assert 20 == told.rows
    assert asked["sample"].to_list() == answers["sample"].to_list()
    assert {"prediction", "probabilities_malignant", "probabilities_benign", "id"} <= set(answers.columns)

    truth = write(tmp_path / "truth.csv", [{"id": answers["id"][0], "label": "benign"}])

    first = factory.feedback("tumours", truth)

    assert (1, 0, 0) == (first.accepted, first.repeated, first.unknown)
    assert 1 == factory.feedback("tumours", truth).repeated
    assert "benign" == factory.show(answers["id"][0]).body["label"]["label"]

    wrong = write(tmp_path / "wrong.csv", [{"id": answers["id"][0], "label": "malignant"}])
    with pytest.raises(Conflict, match=rf"wrong.csv: line 2.*{answers['id'][0]}"):
        factory.feedback("tumours", wrong)


def test_a_column_id_of_the_table_is_not_taken_for_that_of_predictions(factory, tmp_path):
    """A file of the table's own columns has the key, whatever else it calls an id."""
    asked = pl.read_csv(factory.root / "cancer.csv").tail(2)
    asked.drop("diagnosis").write_csv(tmp_path / "ask.csv")
    factory.predict("tumours", tmp_path / "ask.csv", out=tmp_path / "answers.csv")
    asked.select("sample", "diagnosis", id=pl.Series(["82", "83"])).write_csv(tmp_path / "truth.csv")

    given = factory.feedback("tumours", tmp_path / "truth.csv")

    assert (2, 0) == (given.accepted, given.unknown)


def test_rows_without_a_label_are_passed_over_and_counted(factory, tmp_path):
    """The truth about some rows comes later; the file is handed in today."""
    file = tmp_path / "truth.csv"
    file.write_text("sample,diagnosis\nS9001,malignant\nS9002,\nS9003,  \nS9004,NA\nS9005,n/a\n")
    told = factory.feedback("tumours", file)

    assert (0, 0, 1, 4) == (told.accepted, told.repeated, told.unknown, told.unlabelled)
    assert "4 rows without a label passed over" in result_text(told)
    assert f"  {file}: line 2: key 'S9001': no prediction has this key" in result_text(told).splitlines()


def test_a_row_without_a_number_yet_is_passed_over_and_a_wrong_one_keeps_the_file_out(tmp_path):
    """In a column of numbers "-" and words mean that there is none; whoever reads of another text knows what to do."""
    (tmp_path / "t.csv").write_text(
        "a,k,y\n" + "".join(f"{n % 7},{n},{n % 7 + n * n % 13}\n" for n in range(200))
    )
    truth = tmp_path / "truth.csv"
    with Factory.create(tmp_path) as factory:
        factory.new("plain", data=tmp_path / "t.csv", label="y", key="k")
        line = tmp_path / "lines" / "plain.yaml"
        line.write_text(line.read_text().replace("budget: normal", "budget: quick"))
        factory.run("plain")
        factory.promote("plain@1", force=True, because="a test")
        truth.write_text("k,y\n1,NA\n2,-\n3,unknown\n901,4\n")
        told = factory.feedback("plain", truth)
        truth.write_text("k,y\n901,4\n902,late\n")
        with pytest.raises(
            RequestError, match=r"line 3, label: not a number; nothing of this file is kept.*leave it empty"
        ):
            factory.feedback("plain", truth)

    assert (1, 3) == (told.unknown, told.unlabelled)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "sample,label\nS1,benign\n\nS2,\nS3,harmless\n",
            "truth.csv: line 5, label: not a class.*'harmless'",
        ),
        ('sample,label\n"S\n1",benign\n,benign\n', "truth.csv: line 4: a label names either.*'neither'"),
        ("sample,label,at\nS1,benign,soon\n", "truth.csv: line 2, at: not a time"),
        (
            "sample,label\nS1,benign\nS2,benign,late\n",
            "truth.csv: line 3: .*number of fields.*found 3, allowed: 2",
        ),
        (
            "sample,label\nS1,benign\nS2",
            "truth.csv: line 3: the file ends within this row.*found '1 of 2 fields'.*Next: fetch the file again",
        ),
        (
            "who,label\nS1,benign\n",
            "lacks the column that says which prediction.*found 'who, label', allowed: 'id', 'key' or 'sample'",
        ),
        (
            "sample,truth\nS1,benign\n",
            "lacks the column that holds the label.*found 'sample, truth', allowed: 'label' or 'diagnosis'",
        ),
    ],
)
def test_a_bad_row_of_a_file_of_labels_is_named_by_its_line(factory, tmp_path, text, message):
    """A person opens the file and goes to that line."""
    (tmp_path / "truth.csv").write_text(text)
    with pytest.raises(RequestError, match=message):
        factory.feedback("tumours", tmp_path / "truth.csv")


@pytest.mark.parametrize("operation", ["predict", "feedback"])
def test_a_file_that_is_not_there_is_named_with_the_nearest(factory, tmp_path, operation):
    """A slip of the finger should not cost a search."""
    (tmp_path / "april.csv").write_text("sample,label\n")
    with pytest.raises(
        RequestError, match=r"aprl.csv: there is no such file.*did you mean 'april.csv'"
    ) as failed:
        getattr(factory, operation)("tumours", tmp_path / "aprl.csv")

    assert str(tmp_path / "aprl.csv") == failed.value.where


def test_a_line_without_a_key_refuses_labels_by_key(tmp_path):
    """Counted as unknown they would be lost without a word."""
    (tmp_path / "t.csv").write_text(
        "a,key,y\n" + "".join(f"{n % 7},it's {n % 5},{int(n % 7 > 3)}\n" for n in range(400))
    )
    with Factory.create(tmp_path) as factory:
        factory.new("plain", data=tmp_path / "t.csv", label="y")
        line = tmp_path / "lines" / "plain.yaml"
        line.write_text(line.read_text().replace("budget: normal", "budget: quick"))
        factory.run("plain")
        factory.promote("plain@1", force=True, because="a test")
        file = write(tmp_path / "truth.csv", [{"key": "7", "label": "1"}])
        with pytest.raises(RequestError, match=r"truth.csv: this line has no key column.*`table.key`"):
            factory.feedback("plain", file)

        command = curl(factory, "plain", "http://127.0.0.1:1")
        assert json.loads(shlex.split(command)[-1])["rows"][0]["key"].startswith("it's ")
        factory.halt("plain")
        assert None is curl(factory, "plain", "http://127.0.0.1:1")


def test_the_status_of_a_line_has_a_command_that_can_be_pasted(factory):
    """The first question to an endpoint should not need a page of documentation."""
    assert None is factory.status("tumours").lines[0].example
    command = [sys.executable, "-m", "linewright.serve", str(factory.state), "127.0.0.1", "0"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 30
            while endpoint(factory.state) is None and time.monotonic() < until:
                time.sleep(0.05)
            example = factory.status("tumours").lines[0].example
            said = result_text(factory.status("tumours"))
            answer = subprocess.run(["bash", "-c", example], capture_output=True, check=True, timeout=30)
            everything = result_text(factory.status())
        finally:
            process.terminate()

    assert "tumours@1" == json.loads(answer.stdout)["model"]
    assert "example-1" == json.loads(answer.stdout)["predictions"][0]["key"]
    assert f"  try: {example}" in said
    assert "try:" not in everything


def test_a_file_is_answered_and_logged_by_pieces_with_the_same_answers(factory, tmp_path, monkeypatch):
    """Memory does not grow with the log records of a long file, and no row changes with its neighbours."""
    asked = pl.read_csv(factory.root / "cancer.csv").head(25).drop("diagnosis")
    asked.write_csv(tmp_path / "ask.csv")
    factory.predict("tumours", tmp_path / "ask.csv", out=tmp_path / "whole.parquet")
    monkeypatch.setattr(scoring, "CHUNK", 7)
    factory.predict("tumours", tmp_path / "ask.csv", out=tmp_path / "pieces.parquet")
    whole, pieces = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("whole", "pieces"))

    assert whole.drop("id").equals(pieces.drop("id"))
    assert set(pieces["id"]) <= {
        each.record.id for each in read_log(factory.state / "log" / "tumours") if each.record.via == "batch"
    }


def test_rows_beyond_the_contract_are_answered_counted_and_named(factory, tmp_path):
    """Whoever reads the answers should know which ones are guesses."""
    asked = pl.read_csv(factory.root / "cancer.csv", infer_schema=False).head(3)
    asked[1, "mean_area"] = "999999"
    asked.write_csv(tmp_path / "ask.csv")
    told = factory.predict("tumours", tmp_path / "ask.csv", out=tmp_path / "answers.csv")

    assert (3, 1) == (told.rows, told.warned)
    assert "ask.csv: line 3: mean_area: 999999.0 is above what the contract allows" in result_text(told)


def test_a_file_is_not_answered_by_a_package_that_answers_its_own_rows_otherwise(factory, tmp_path):
    """What an endpoint would refuse to serve must not come in by the back door."""
    model = factory.metadata.versions("tumours")[0]
    package = factory.metadata.get(model.digest, Package)
    golden = json.loads(factory.artifacts.get(package.golden))
    golden["predictions"][0]["probabilities"] = {"benign": 0.5, "malignant": 0.5}
    other = structs.replace(package, golden=factory.artifacts.put(json.dumps(golden).encode()))
    asked = pl.read_csv(factory.root / "cancer.csv").head(2)
    asked.write_csv(tmp_path / "ask.csv")
    copy = shutil.copytree(factory.root, tmp_path / "copy")
    with Factory.open(copy) as damaged:
        digest = keep_package(other, damaged.artifacts, damaged.metadata)
        damaged.metadata.register("tumours", digest, at="2026-01-01T00:00:00Z", event=lambda _: made(digest))
        damaged.promote("tumours@2", force=True, because="a test")
        with pytest.raises(Corrupt, match="does not answer as it did"):
            damaged.predict("tumours", tmp_path / "ask.csv", out=tmp_path / "answers.csv")
    assert not (tmp_path / "answers.csv").exists()


def made(package: str) -> Registered:
    return Registered(
        at="2026-01-01T00:00:00Z",
        by="me",
        because="a test",
        line="tumours",
        model=2,
        package=package,
        run="",
        ingested="",
        parity="",
        decision="",
    )


def test_a_halted_line_answers_no_file_either(factory, tmp_path):
    """Who halts a line because its answers are wrong does not want them by another door."""
    pl.read_csv(factory.root / "cancer.csv").head(2).write_csv(tmp_path / "ask.csv")
    factory.halt("tumours")
    try:
        with pytest.raises(Transient, match=r"a person halted this line.*`linewright halt tumours --off`"):
            factory.predict("tumours", tmp_path / "ask.csv", out=tmp_path / "answers.csv")
    finally:
        factory.halt("tumours", off=True)

    assert not (tmp_path / "answers.csv").exists()
    assert 2 == factory.predict("tumours", tmp_path / "ask.csv", out=tmp_path / "answers.csv").rows


@pytest.mark.parametrize("delay", ["1d", None])
def test_the_status_says_how_good_the_answers_turned_out_to_be(factory, tmp_path, monkeypatch, delay):
    """The figure of the certificate is a promise; this one is what came of it, on as many labels as are known to have come."""
    ignored = shutil.ignore_patterns("log", "feedback")
    copy = shutil.copytree(factory.root, tmp_path / "copy", ignore=ignored)
    line = copy / "lines" / "tumours.yaml"
    line.write_text(line.read_text().replace("gates:\n", "watch: {every: 1h}\ngates:\n", 1))
    asked = pl.read_csv(factory.root / "cancer.csv")
    asked = asked.with_columns(("L" + pl.col("sample")).alias("sample"))
    asked.head(80).write_csv(tmp_path / "ask.csv")
    asked.head(60).select("sample", "diagnosis").write_csv(tmp_path / "truth.csv")
    with Factory.open(copy) as watched:
        before = watched.status().lines[0].realised
        watched.predict("tumours", tmp_path / "ask.csv", out=tmp_path / "answers.csv")
        watched.feedback("tumours", tmp_path / "truth.csv")
        spec = watched.line("tumours")
        delayed = spec.model_copy(update={"label": spec.label.model_copy(update={"delay": delay})})
        for day in (1, 2, 3):
            watched.now = lambda day=day: f"2099-01-{day:02}T00:00:00.000000Z"
            close_window(watched, delayed)
        read = kinds_read(watched, monkeypatch)
        told, times = watched.status(), read[Refused]
        found, certified = told.lines[0].realised, watched.models("tumours").models[0].metric
    text, interval = (
        result_text(told),
        f"certified {found.certified:.4g} ({certified.low:.4g} to {certified.high:.4g})",
    )

    assert before is None
    assert (certified.name, certified.value) == (found.metric, found.certified)
    assert (60, 0.75 if delay else None) == (found.labelled, found.matured)
    assert f"realised {found.metric} {found.value:.4g} (" in text
    judged = "75% of 80 predictions from" if delay else "on 60 labels that came from"
    assert f"{interval}; {judged}" in text
    assert ("have their label" in text) == (delay is not None)
    assert "80 predictions, 60 labelled predictions" in text
    assert found.not_sure is None
    assert 1 == times


def kinds_read(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> Counter[type]:
    """Count from now on how often events of each kind are read: a record may be long."""
    counted: Counter[type] = Counter()
    for name in ("events", "events_of", "newest_with"):
        read = getattr(factory.metadata, name)

        def counting(kind: type, *given: Any, read: Any = read, **how: Any) -> Any:
            counted[kind] += 1
            return read(kind, *given, **how)

        monkeypatch.setattr(factory.metadata, name, counting)
    return counted


def test_the_status_says_why_a_value_below_the_promise_is_no_alert():
    """Whoever sees the lower figure asks why nobody was told."""
    found = Performance(
        line="tumours",
        package="",
        start="",
        end="",
        metric="roc_auc",
        value=0.5,
        error=0.2,
        low=0.2,
        high=0.8,
        labelled=40,
        predictions=50,
        promised=0.9,
    )
    told = [
        _not_sure(structs.replace(found, value=value, labelled=n))
        for value, n in ((0.5, 40), (0.5, 9), (0.95, 40))
    ]

    assert "the alert budget asks for more labels" in told[0]
    assert "30 labels are the fewest" in told[1]
    assert told[2] is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"sample": "S1", "mean_radius": "x"}], "the file lacks 'mean_texture'"),
        ([{"sample": "S1", "colour": "red"}], "does not know"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_nothing_is_written(factory, tmp_path, rows, message):
    """Half an answer file would be used."""
    file = write(tmp_path / "ask.csv", rows)

    with pytest.raises(RequestError, match=message):
        factory.predict("tumours", file, out=tmp_path / "answers.csv")
    assert [file] == list(tmp_path.iterdir())


def test_a_value_that_does_not_fit_is_named_with_its_row(factory, tmp_path):
    """A person must find it among a million."""
    asked = pl.read_csv(factory.root / "cancer.csv", infer_schema=False).head(3)
    asked[1, "mean_area"] = "large"
    asked.write_csv(tmp_path / "ask.csv")

    with pytest.raises(RequestError, match=r"ask.csv: line 3, column 'mean_area'.*found 'large'"):
        factory.predict("tumours", tmp_path / "ask.csv", out=tmp_path / "answers.csv", strict=True)
    assert not (tmp_path / "answers.csv").exists()


def test_the_card_says_what_the_record_says(factory):
    """A card whose figures were typed would soon lie."""
    card, model = factory.card("tumours", html=True), factory.models("tumours").models[0]

    assert "tumours@1" == card.model
    assert "It is the champion of tumours: an endpoint of this factory answers with it." in card.markdown
    assert model.digest.removeprefix("sha256:")[:12] in card.markdown
    assert "<script" not in card.html
    assert f"{model.metric.value:.3g}" in card.markdown


def test_a_failed_new_leaves_nothing_behind(tmp_path):
    """The next try must not stumble over the last one."""
    (tmp_path / "t.csv").write_text("a,b\n1,x\n2,y\n")
    with Factory.create(tmp_path / "f") as empty, pytest.raises(RequestError, match="'c'"):
        empty.new("line", data=tmp_path / "t.csv", label="c")

    assert [] == list((tmp_path / "f" / "lines").iterdir())


def test_a_line_whose_file_was_broken_is_said_to_be_unwatched(factory):
    """Serving goes on, so nothing else would show that nobody looks after it."""
    path = Path(factory.status().factory) / "lines" / "tumours.yaml"
    whole = path.read_text()
    path.write_text(whole + "wach: {every: 1h}\n")
    try:
        told, alerts = factory.status(), factory.alerts()
    finally:
        path.write_text(whole)

    assert "did you mean 'watch'?" in result_text(told)
    assert "neither watched nor trained" in result_text(alerts)
    assert factory.status().lines[0].trouble is None
