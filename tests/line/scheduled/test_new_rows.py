"""Of new rows none is lost, none is answered twice, and none keeps the others from their answers."""

import sqlite3
from contextlib import closing

import polars as pl
import pytest
from small import LINE, make_factory

from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.restore import restore_backup
from linewright.capabilities.releases.halt import halt
from linewright.capabilities.schedules import predictions
from linewright.capabilities.schedules.predictions import predict_job
from linewright.errors import RequestError, SpecError, Transient
from linewright.line.factory import Factory
from linewright.line.predict import batch
from linewright.line.predict.batch import find_champion, load_model

JOBS = """
predict:
  new: {rows: {file: new.csv}, to: {file: out/new.csv}, new: true}
  dated: {rows: {file: new.csv}, to: {file: "out/dated-{at}.csv"}, new: true}
  parts: {rows: {file: "parts/*.csv"}, to: {file: out/parts.csv}, new: true}
  query: {rows: {sqlite: new.sqlite, query: select * from claims}, to: {file: out/query.csv}, new: true}
  table: {rows: {file: new.csv}, to: {table: answers, at: env:TEST_DB}}
"""


@pytest.fixture
def factory(tmp_path_factory, tmp_path):
    root = make_factory(tmp_path_factory, tmp_path / "factory")
    path = root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text() + JOBS)
    write(root / "new.csv", "N0,1,30", "N1,2,31")
    with Factory.open(root) as factory:
        yield factory


def write(path, *rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["claim,amount,age", *rows]) + "\n")


def answered(factory, name="new"):
    return pl.read_csv(factory.root / "out" / f"{name}.csv")["claim"].to_list()


@pytest.mark.parametrize("broken", ["N2,much,32", "N2,3"])
def test_a_broken_row_is_set_aside_and_the_predictions_go_on(factory, broken):
    """Also where it is the only new one; it stays in the quarantine until it is mended."""
    predict_job(factory, LINE, "new")
    quarantine = factory.root / "out" / "new.quarantine.csv"
    rows = ["N0,1,30", "N1,2,31", broken]
    write(factory.root / "new.csv", *rows)

    alone = predict_job(factory, LINE, "new")

    assert (alone.made.rows, alone.made.quarantined, alone.made.to) == (0, 1, "")
    assert "line 4" in alone.reasons[0]
    assert "line 4" not in quarantine.read_text()
    assert "N2" in quarantine.read_text()
    assert answered(factory) == ["N0", "N1"]  # the answers of before stay

    write(factory.root / "new.csv", *rows, "N3,4,33")
    beside = predict_job(factory, LINE, "new")

    assert (beside.made.rows, beside.made.quarantined) == (1, 1)
    assert answered(factory) == ["N3"]
    assert "N2" in quarantine.read_text()

    write(factory.root / "new.csv", *rows[:2], "N2,3,32", "N3,4,33")
    mended = predict_job(factory, LINE, "new")

    assert (mended.made.rows, mended.made.quarantined) == (1, 0)
    assert answered(factory) == ["N2"]
    assert not quarantine.exists()


def test_the_same_broken_rows_are_written_once(factory):
    """Else each run would leave another file of them."""
    write(factory.root / "new.csv", "N2,much,32", "N3,4")

    for _ in range(3):
        predict_job(factory, LINE, "dated")

    assert len(list((factory.root / "out").glob("dated-*.quarantine.csv"))) == 1


def _after_reading(monkeypatch, change):
    """Have something change when all rows were read and answered."""
    answer = batch.answer_rows

    def answer_rows(*words, **named):
        found = answer(*words, **named)
        change()
        return found

    monkeypatch.setattr(predictions, "answer_rows", answer_rows)


def test_rows_that_come_while_others_are_answered_are_answered_the_next_time(factory, monkeypatch):
    """A database is read once, so that what is noted is what was answered."""
    with closing(sqlite3.connect(factory.root / "new.sqlite", isolation_level=None)) as database:
        database.execute("create table claims (claim text, amount real, age real)")
        database.execute("insert into claims values ('N0', 1.5, 30.5)")
        with monkeypatch.context() as patched:
            _after_reading(patched, lambda: database.execute("insert into claims values ('N1', 2.5, 31.5)"))
            predict_job(factory, LINE, "query")

        assert answered(factory, "query") == ["N0"]

        predict_job(factory, LINE, "query")

    assert answered(factory, "query") == ["N1"]


def test_files_that_change_while_they_are_read_are_read_again(factory, monkeypatch):
    """And a file that comes besides them is read the next time."""
    write(factory.root / "parts" / "a.csv", "N0,1,30")
    with monkeypatch.context() as patched:
        _after_reading(patched, lambda: write(factory.root / "parts" / "b.csv", "N1,2,31"))
        predict_job(factory, LINE, "parts")
    assert answered(factory, "parts") == ["N0"]

    with monkeypatch.context() as patched:
        _after_reading(patched, lambda: write(factory.root / "parts" / "b.csv", "N1,2,31", "N2,3,32"))
        with pytest.raises(Transient, match="changed while it was read"):
            predict_job(factory, LINE, "parts")

    assert answered(factory, "parts") == ["N0"]
    predict_job(factory, LINE, "parts")
    assert answered(factory, "parts") == ["N1", "N2"]


def test_a_row_that_comes_back_is_answered_again(factory):
    predict_job(factory, LINE, "new")
    write(factory.root / "new.csv", "N0,1,30")
    assert predict_job(factory, LINE, "new").made.rows == 0

    write(factory.root / "new.csv", "N0,1,30", "N1,2,31")

    assert predict_job(factory, LINE, "new").made.rows == 1


def test_answers_that_wait_are_not_delivered_of_a_halted_line(factory):
    with pytest.raises(SpecError):
        predict_job(factory, LINE, "table")  # no variable names the database
    halt(factory, LINE, because="a test")

    with pytest.raises(Transient, match="halted"):
        predict_job(factory, LINE, "table")


def test_a_promotion_between_two_steps_does_not_mix_generations(factory):
    """The log would say that the old model answered in the generation of the new one."""
    version, generation = find_champion(factory, LINE)
    halt(factory, LINE, because="moves the pointer")

    assert load_model(factory, version, generation).generation == generation
    assert factory.metadata.pointer(LINE).generation > generation


def test_a_restored_factory_knows_which_rows_are_new(factory, tmp_path):
    predict_job(factory, LINE, "new")
    make_backup(factory, tmp_path / "backup.tar")
    restored = Factory(tmp_path / "restored")
    restore_backup(restored, tmp_path / "backup.tar")
    write(tmp_path / "restored" / "new.csv", "N0,1,30", "N1,2,31", "N2,3,32")

    with Factory.open(tmp_path / "restored") as again:
        assert predict_job(again, LINE, "new").made.rows == 1
        assert answered(again) == ["N2"]

        (seen,) = (again.state / "scheduled" / LINE / "predict.new").glob("*.npy")
        seen.write_bytes(b"damaged")
        with pytest.raises(RequestError, match="not known"):
            predict_job(again, LINE, "new")
