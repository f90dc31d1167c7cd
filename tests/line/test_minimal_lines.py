"""Lines that say as little as they may, on tables of every make: the run ends, the plan is empty, answers agree."""

import csv
import sqlite3
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.signal import lfilter

from linewright.capabilities.evidence.operations import card
from linewright.capabilities.overview.operations.status import status
from linewright.capabilities.releases.operations import promote
from linewright.data.types import FALSE, TRUE
from linewright.errors import RequestError, SpecError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.facts import Finished
from linewright.line.predict.batch import predict_file
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import begin, make_plan, survey
from linewright.line.steps.evaluate import fair_rows
from linewright.model.facts import Certificate, Evaluation
from linewright.model.gates.text import outcome_in_words
from linewright.model.package.model import load
from linewright.serve.rows.body.values import KINDS
from linewright.serve.rows.scorer import Scorer

ROWS = 240


def table(**changes):
    """Columns of text, numbers, dates in a format of their own, words for booleans, big numbers."""
    chance = np.random.default_rng(7)
    size = chance.normal(size=ROWS)
    columns = {
        "size": [f"{value:.3f}" for value in size],
        "colour": [("red", "blue", "green")[number % 3] for number in range(ROWS)],
        "seen": [f"{number % 27 + 1:02}/{number % 12 + 1:02}/2024" for number in range(ROWS)],
        "ok": ["t" if number % 2 else "f" for number in range(ROWS)],
        "stamp": [str(1_700_000_000_000_000_000 + number * 10**12) for number in range(ROWS)],
        "y": ["Yes" if value + chance.normal() * 0.3 > 0 else "No" for value in size],
    }
    return columns | changes


def write(folder: Path, columns, *, text: str = "") -> Factory:
    (folder / "lines").mkdir(parents=True)
    pl.DataFrame(columns).write_csv(folder / "t.csv")
    body = text or "sources: {t: {file: t.csv}}\nlabel: {column: y}\ntrain: {budget: quick}\n"
    (folder / "lines" / "a.yaml").write_text(f"line: a\n{body}")
    return Factory.create(folder)


@pytest.mark.parametrize(
    ("columns", "task"),
    [
        (table(), "binary"),
        (table(y=["1" if number % 3 == 0 else "0" for number in range(ROWS)]), "binary"),
        (table(y=[("a", "b", "c")[number % 3] for number in range(ROWS)]), "multiclass"),
        (table(y=[f"{number * 1.5:.1f}" for number in range(ROWS)]), "regression"),
    ],
    ids=["words", "zero-one", "three words", "numbers"],
)
def test_a_line_of_three_words_runs_to_a_fixed_point_and_answers_its_own_file(tmp_path, columns, task):
    """What a person leaves out is decided by the data, alike in training, batch scoring and serving."""
    with write(tmp_path / "f", columns) as factory:
        ran = execute_inline(factory, "a")
        digest = ran.digest
        predict_file(factory, ran.candidate, factory.root / "t.csv", tmp_path / "out.csv")
        scorer = Scorer(load(digest, factory.artifacts.get))
        with (factory.root / "t.csv").open(newline="") as file:
            rows = [
                {**row, "size": float(row["size"]), "stamp": int(row["stamp"])}
                for row in csv.DictReader(file)
            ]
        online = scorer.score([{name: value for name, value in row.items() if name != "y"} for row in rows])
        batch = pl.read_csv(tmp_path / "out.csv", infer_schema=False)["prediction"].to_list()

        assert task == scorer.model.package.task
        assert () == make_plan(factory, factory.line("a")).changes
        assert [str(one["prediction"]) for one in online] == batch


@pytest.mark.parametrize("time", ["table: {time: at}\n", ""], ids=["split by time", "split at random"])
def test_rows_that_are_alike_in_time_are_drawn_in_blocks(tmp_path, time):
    """What a market does now it does in the next half hour: a certificate must not count that as news."""
    chance = np.random.default_rng(11)
    mood = lfilter([1], [1, -0.9], chance.normal(size=600))
    size = chance.normal(size=600)
    days = [str(date(2023, 1, 1) + timedelta(days=number)) for number in range(600)]
    columns = {"at": days, "size": size, "y": size + mood}
    text = f"sources: {{t: {{file: t.csv}}}}\n{time}label: {{column: y}}\ntrain: {{budget: quick}}\ngates: [{{beats: baseline}}]\n"
    with write(tmp_path / "f", columns, text=text) as factory:
        ran = execute_inline(factory, "a")
        certificate = factory.metadata.get(ran.certificate, Certificate)
        evaluation = factory.metadata.get(certificate.evaluation, Evaluation)

        assert bool(time) == (0 < evaluation.clusters < evaluation.n)
        assert evaluation.cluster_kind == ("block" if time else "equal")
        assert ("blocks of neighbours in time" in card(factory, "a@1").markdown) == bool(time)


def test_texts_of_a_database_mean_the_same_in_a_request(tmp_path):
    """Blanks and empty texts in SQLite would be levels of their own that no request can name."""
    folder = tmp_path / "f"
    folder.mkdir()
    with sqlite3.connect(folder / "t.sqlite") as database:
        database.execute("create table t (kind text, size real, y text)")
        for number in range(ROWS):
            kind = ("A  ", "", "B")[number % 3]
            database.execute("insert into t values (?, ?, ?)", (kind, number, "yes" if number % 3 else "no"))
    database.close()
    text = 'sources: {t: {sqlite: t.sqlite, query: "select * from t"}}\nlabel: {column: y}\ntrain: {budget: quick}\n'
    with write(folder, {"x": [1]}, text=text) as factory:
        ran = execute_inline(factory, "a")
        scorer = Scorer(load(ran.digest, factory.artifacts.get))

        assert scorer.score([{"kind": "A", "size": 4.0}]) == scorer.score([{"kind": "A  ", "size": 4.0}])
        assert () == make_plan(factory, factory.line("a")).changes


def test_a_bound_at_midnight_is_the_same_bound_for_plan_and_run(tmp_path):
    """Else a plan never says "no changes"."""
    days = [f"2024-{number % 12 + 1:02}-{number % 28 + 1:02}T10:00:00" for number in range(ROWS)]
    contract = "contract: {columns: {size: {type: number}, at: {type: datetime, min: 2020-01-01T00:00:00}}}\n"
    text = f"sources: {{t: {{file: t.csv}}}}\nlabel: {{column: y}}\ntrain: {{budget: quick}}\n{contract}"
    with write(tmp_path / "f", table(at=days), text=text) as factory:
        execute_inline(factory, "a")

        assert () == make_plan(factory, factory.line("a")).changes


def test_rows_that_the_champion_was_fitted_on_are_left_out_whatever_else_changed(tmp_path):
    """A certificate says "rows that neither has seen"; a new salt, column or key must not make that untrue."""
    with write(tmp_path / "f", table()) as factory:
        first = execute_inline(factory, "a")
        path = factory.root / "lines" / "a.yaml"
        pl.DataFrame(table(number=[str(n) for n in range(ROWS)])).write_csv(factory.root / "t.csv")
        path.write_text(
            path.read_text().replace("budget: quick", "budget: quick, split: {salt: other}")
            + "table: {key: number}\n"
        )
        execute_inline(factory, "a")
        _, work = survey(begin(factory, factory.line("a")))
        fair = fair_rows(work, first.digest)

        assert first.promoted
        assert fair.seen.sum() > (~fair.seen).sum()
        assert (fair.seen.sum(), len(fair.seen)) == (
            work.certificate.excluded,
            work.certificate.excluded + work.certificate.n,
        )


@pytest.mark.parametrize("bar", ["0.0", "1.0"], ids=["passing", "forced"])
def test_a_champion_that_cannot_be_compared_with_is_not_denied(tmp_path, bar):
    """That there is none would be untrue, before and after a person lets the candidate serve."""
    gates = f"gates: [{{beats: champion}}, {{metric: accuracy, at_least: {bar}}}]\n"
    with write(tmp_path / "f", table()) as factory:
        execute_inline(factory, "a")
        path = factory.root / "lines" / "a.yaml"
        path.write_text(path.read_text() + gates)
        wider = pl.DataFrame(table()).rename({"size": "length"})
        wider.write_csv(factory.root / "t.csv")
        held = execute_inline(factory, "a")
        certificate = factory.metadata.get(held.certificate, Certificate)

        assert not held.promoted
        assert "needs columns that the table no longer has: size" in outcome_in_words(certificate.outcomes[0])

        promote(factory, held.candidate, force=True, because="the table has changed")

        assert () == make_plan(factory, factory.line("a")).changes


def test_a_bug_ends_a_run_in_its_record_too(tmp_path, monkeypatch):
    """A run that is "unfinished" for ever is waited for."""
    monkeypatch.setattr("linewright.line.steps.evaluate.evaluate", lambda *_, **__: 1 / 0)
    with write(tmp_path / "f", table()) as factory:
        with pytest.raises(Exception, match="division by zero"):
            execute_inline(factory, "a")

        assert ["failed"] == [run.outcome for run in factory.metadata.events(Finished, line="a")]


def test_answers_do_not_overwrite_what_the_factory_needs(tmp_path):
    """One slip of the finger, and the training data are predictions."""
    with write(tmp_path / "f", table()) as factory:
        execute_inline(factory, "a")
        ask = tmp_path / "ask.csv"
        ask.write_bytes((factory.root / "t.csv").read_bytes())
        for out in (ask, factory.root / "t.csv", factory.root / "lines" / "a.csv", factory.state / "x.csv"):
            with pytest.raises(RequestError, match="overwrite"):
                predict_file(factory, "a", ask, out)

        assert (factory.root / "t.csv").read_bytes() == ask.read_bytes()


def test_a_fairness_gate_over_an_unknown_column_is_refused_before_training(tmp_path):
    """Not at the last step, after an hour."""
    text = (
        "sources: {t: {file: t.csv}}\nlabel: {column: y}\ntrain: {budget: quick}\n"
        "gates: [{fairness: gender, at_most: 0.1}]\n"
    )
    with write(tmp_path / "f", table(), text=text) as factory:
        with pytest.raises(SpecError, match=r"a\.yaml:5:10: the table keeps no such column.*gender"):
            execute_inline(factory, "a")
        assert "train" not in survey(begin(factory, factory.line("a")))[1].known


def test_a_gate_that_could_not_decide_is_told_wherever_its_model_serves(tmp_path):
    """Who reads "its gates pass" believes that the model was found fair."""
    text = (
        "sources: {t: {file: t.csv}}\nlabel: {column: y}\ntrain: {budget: quick}\n"
        "gates: [{metric: roc_auc, at_least: 0.6}, {fairness: colour, at_most: 0.1}]\n"
    )
    with write(tmp_path / "f", table(), text=text) as factory:
        first, again = execute_inline(factory, "a"), execute_inline(factory, "a")
        told = result_text(status(factory))

    assert first.promoted
    assert "a@1  promoted, but for 1 undecided gate" in result_text(first)
    assert "a@1  serves already, and its gates pass, but for 1 undecided gate" in result_text(again)
    for said in (result_text(first), told):
        assert "over colour" in said.split("undecided", 1)[1]


def test_the_endpoint_reads_the_words_for_booleans_that_the_table_reads():
    """A column that trains must be one that can be asked for."""
    assert [1.0] * len(TRUE) == [KINDS["boolean"].read(word) for word in TRUE]
    assert [0.0] * len(FALSE) == [KINDS["boolean"].read(word) for word in FALSE]
