"""Predictions on a schedule: each answer is logged and written once, whatever ends the process that makes them."""

import json
import os
import signal
import subprocess
from datetime import datetime
from pathlib import Path

import commands
import polars as pl
import pytest
from databases import allow, at_mariadb, at_postgres
from small import LINE, make_factory
from sqlserver import at_sqlserver
from web_server import KEYS, allow_here, bucket_server

from linewright.capabilities.schedules.predictions import predict_job
from linewright.capabilities.schedules.undelivered import forget_undelivered
from linewright.errors import RequestError, SpecError, Transient
from linewright.line.factory import Factory
from linewright.line.facts import PredictionsMade
from linewright.serve.log.segments import read_log
from linewright.store.files.rights import owner_only

JOBS = """
predict:
  all: {rows: claims, to: {file: out/all.csv}, when: [{at: "02:30 Europe/Berlin"}]}
  many: {rows: {file: many.csv}, to: {file: "out/{line}-{at}.parquet"}}
  new: {rows: {file: new.csv}, to: {file: out/new.csv}, new: true}
  table: {rows: {file: many.csv}, to: {table: answers, at: env:TEST_DB}}
  bucket: {rows: {file: new.csv}, to: {file: "s3://plant/answers/now.csv", at: env:PLANT}}
"""
ROWS = 2_300


@pytest.fixture
def factory(tmp_path_factory, tmp_path):
    root = make_factory(tmp_path_factory, tmp_path / "factory")
    path = root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text() + JOBS)
    write_rows(root / "many.csv", range(ROWS))
    write_rows(root / "new.csv", range(3))
    with Factory.open(root) as factory:
        yield factory


def write_rows(path, numbers):
    rows = [f"N{number},{number % 7 - 3},{20 + number % 50}" for number in numbers]
    path.write_text("\n".join(["claim,amount,age", *rows]) + "\n")


def logged_keys(factory):
    """Return the keys of what the log has of these rows."""
    return sorted(
        record.key
        for record, _ in factory.labels_of(LINE).labelled(known_by=factory.now())
        if record.key and record.key.startswith("N")
    )


def keys(numbers):
    return sorted(f"N{number}" for number in numbers)


def killed(root, job, point):
    """Make predictions in a process that is killed at a point of `killed_predictions`."""
    words = [*commands.python(), "-m", "killed_predictions", str(root), LINE, job, point]
    path = os.pathsep.join([str(Path(commands.__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_answers_are_logged_and_written_with_their_model_and_run(factory):
    before = sum(1 for _ in read_log(factory.log_of(LINE)))

    factory.root.chmod(0o755)
    with owner_only():  # as the worker has it
        done = predict_job(factory, LINE, "all").made

    file = factory.root / "out" / "all.csv"
    assert (file.parent.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o755, 0o644)
    table = pl.read_csv(factory.root / "out" / "all.csv")
    assert (done.rows, done.to, table.height) == (240, "out/all.csv", 240)
    assert set(table["run"]) == {done.run}
    assert set(table["model"]) == {f"{LINE}@1"}
    assert {datetime.fromisoformat(text) for text in set(table["at"])} == {datetime.fromisoformat(done.began)}
    assert sum(1 for _ in read_log(factory.log_of(LINE))) == before + 240
    found = factory.labels_of(LINE).find(table["id"][7])
    assert found is not None
    assert found[0].key == table["claim"][7]
    assert factory.metadata.events(PredictionsMade, line=LINE) == [done]
    assert not [path for path in (factory.root / "out").iterdir() if path.name != "all.csv"]


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("point", ["draft", "logging", "logged", "written", "recorded"])
def test_a_run_that_is_killed_is_completed_and_nothing_is_there_twice(factory, point):
    """Files are named by when a run began: a second one would be a second answer to the same rows."""
    killed(factory.root, "many", point)

    done = predict_job(factory, LINE, "many").made

    runs = 2 if point == "recorded" else 1  # that one had come to its end
    assert logged_keys(factory) == sorted(keys(range(ROWS)) * runs)
    assert len(factory.metadata.events(PredictionsMade, line=LINE)) == runs
    files = sorted((factory.root / "out").glob("*.parquet"))
    assert len(files) <= runs
    table = pl.read_parquet(files[-1])
    assert (str(files[-1].relative_to(factory.root)), table.height) == (done.to, ROWS)
    assert set(table["run"]) == {done.run}
    assert factory.labels_of(LINE).find_all(list(table["id"])).keys() == {*table["id"]}


def test_of_new_rows_those_are_answered_that_are_new_or_changed(factory):
    """The first time all are; a row that is there again as it was is not answered again."""
    first = predict_job(factory, LINE, "new").made
    write_rows(factory.root / "new.csv", [*range(1, 3), 7, 8])
    text = (factory.root / "new.csv").read_text().replace("N2,-1,", "N2,-2,")
    (factory.root / "new.csv").write_text(text)

    second = predict_job(factory, LINE, "new").made

    assert (first.rows, first.only_new) == (3, False)
    assert (second.rows, second.only_new) == (3, True)
    assert pl.read_csv(factory.root / "out" / "new.csv")["claim"].to_list() == ["N2", "N7", "N8"]

    third = predict_job(factory, LINE, "new").made

    assert (third.rows, third.to) == (0, "")
    assert pl.read_csv(factory.root / "out" / "new.csv").height == 3

    everything = predict_job(factory, LINE, "new", everything=True).made

    assert everything.rows == 4
    for path in (factory.state / "scheduled" / LINE / "predict.new").glob("*.npy"):
        path.unlink()
    with pytest.raises(RequestError, match="not known"):
        predict_job(factory, LINE, "new")


def test_rows_that_break_the_contract_are_beside_the_answers(factory):
    path = factory.root / "new.csv"
    path.write_text(path.read_text() + "N9,much,30\nN10,1\n")

    made = predict_job(factory, LINE, "new")

    assert (made.made.rows, made.made.quarantined) == (3, 2)
    assert "line 5" in made.reasons[0]
    assert "much" in (factory.root / "out" / "new.quarantine.csv").read_text()


def test_a_destination_that_cannot_be_written_keeps_the_answers_until_it_can(factory):
    (factory.root / "out").mkdir()
    (factory.root / "out" / "new.csv").mkdir()
    with pytest.raises(RequestError, match="folder"):
        predict_job(factory, LINE, "new")

    assert logged_keys(factory) == []

    (factory.root / "out" / "new.csv").rmdir()
    predict_job(factory, LINE, "new")

    assert logged_keys(factory) == keys(range(3))


def test_answers_that_wait_are_forgotten_with_a_person(factory):
    with pytest.raises(SpecError):
        predict_job(factory, LINE, "table")  # no variable names the database
    stage = factory.state / "scheduled" / LINE / "predict.table"

    assert b"N17" in (stage / "ready" / "log.jsonl").read_bytes()

    forget_undelivered(factory, LINE)

    assert [path.name for path in stage.iterdir()] == ["lock"]


def _in_table(factory, read, monkeypatch):
    allow(factory.root)
    url = os.environ["TEST_DB"]
    monkeypatch.setenv("TEST_DB", url.replace("@localhost:", "@localhost:1"))
    with pytest.raises((Transient, SpecError, RequestError)):
        predict_job(factory, LINE, "table")  # its port is closed
    monkeypatch.setenv("TEST_DB", url)

    first = predict_job(factory, LINE, "table").made

    killed(factory.root, "table", "written")

    second = predict_job(factory, LINE, "table").made

    found = read()
    assert sorted(found) == sorted(
        [(f"N{number}", run) for number in range(ROWS) for run in (first.run, second.run)]
    )
    assert len(logged_keys(factory)) == 2 * ROWS
    assert "S3cret" not in str(factory.metadata.events(PredictionsMade, line=LINE))


@pytest.mark.usefixtures("processes")
def test_answers_are_added_to_a_table_of_postgresql_once(factory, postgres, monkeypatch):
    with at_postgres(postgres, monkeypatch) as database:
        _in_table(factory, lambda: database.execute("select claim, run from answers").fetchall(), monkeypatch)
        types = database.execute(
            "select column_name, data_type from information_schema.columns where table_name = 'answers'"
        ).fetchall()
        assert dict(types)["probabilities_yes"] == "double precision"
        database.execute("drop table answers")
        database.execute("create table answers (claim text, run text)")
        with pytest.raises(SpecError, match="has no column 'id'"):
            predict_job(factory, LINE, "table")
        assert database.execute("select count(*) from answers").fetchone() == (0,)


@pytest.mark.usefixtures("processes")
def test_answers_are_added_to_a_table_of_mariadb_once(factory, mariadb, monkeypatch):
    with at_mariadb(mariadb, monkeypatch) as database:

        def read():
            database.execute("select claim, run from shop.answers")
            return database.fetchall()

        _in_table(factory, read, monkeypatch)


@pytest.mark.usefixtures("processes")
def test_answers_are_added_to_a_table_of_sqlserver_once(factory, sqlserver, monkeypatch):
    with at_sqlserver(sqlserver, monkeypatch) as server:
        _in_table(factory, lambda: server.execute("select claim, run from answers").fetchall(), monkeypatch)
        types = server.execute(
            "select column_name, data_type from information_schema.columns where table_name = 'answers'"
        ).fetchall()
        assert dict(types)["probabilities_yes"] == "DOUBLE"
        server.execute("drop table answers")
        server.execute("create table answers (claim nvarchar(10), run nvarchar(64))")
        with pytest.raises(SpecError, match="has no column 'id'"):
            predict_job(factory, LINE, "table")
        assert server.execute("select count(*) from answers").fetchone() == (0,)


@pytest.mark.usefixtures("processes")
def test_answers_are_put_into_a_bucket_as_one_object(factory, tmp_path, monkeypatch):
    pytest.importorskip("obstore")
    (tmp_path / "buckets" / "plant").mkdir(parents=True)
    allow_here(factory.root)
    with bucket_server(tmp_path / "buckets") as url:
        monkeypatch.setenv("PLANT", json.dumps({"endpoint": url, **KEYS}))
        done = predict_job(factory, LINE, "bucket").made
        monkeypatch.setenv("PLANT", json.dumps({"endpoint": url, **KEYS, "secret": "other"}))

    table = pl.read_csv(tmp_path / "buckets" / "plant" / "answers" / "now.csv")
    assert (table.height, set(table["run"])) == (3, {done.run})
    assert done.to == "s3://plant/answers/now.csv"
    with pytest.raises(Transient, match="bucket"):
        predict_job(factory, LINE, "bucket")  # its server is gone
