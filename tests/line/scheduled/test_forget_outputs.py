"""A person who is forgotten is gone from the answers that scheduled predictions wrote, wherever these are."""

import json
import os
import time
from contextlib import closing

import polars as pl
import pytest
from databases import allow, at_mariadb, at_postgres
from small import LINE, make_factory
from sqlserver import at_sqlserver
from web_server import KEYS, allow_here, bucket_server

from linewright.capabilities.care.forget import forget
from linewright.capabilities.care.forget_outputs import settle_owed
from linewright.capabilities.care.render import forgot_text
from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.schedules.predictions import predict_job
from linewright.capabilities.serving.worker import Tending
from linewright.line.factory import Factory
from linewright.line.retention.forgotten import forgotten_of

JOBS = """
predict:
  csv: {rows: {file: more.csv}, to: {file: out/all.csv}}
  parquet: {rows: {file: more.csv}, to: {file: "out/{line}-{at}.parquet"}}
  table: {rows: {file: more.csv}, to: {table: answers, at: env:TEST_DB}}
  bucket: {rows: {file: more.csv}, to: {file: "s3://plant/answers/now.csv", at: env:PLANT}}
"""
HER = "QX7731-her"
ROWS = 2_300


@pytest.fixture
def factory(tmp_path_factory, tmp_path):
    root = make_factory(tmp_path_factory, tmp_path / "factory")
    path = root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text().replace("{key: claim}", "{key: claim, subject: claim}") + JOBS)
    rows = [f"N{number},{number % 7 - 3},{20 + number % 50}" for number in range(ROWS)]
    rows[1_200] = f"{HER},1,30"
    (root / "more.csv").write_text("\n".join(["claim,amount,age", *rows, f"{HER},much,30", ""]))
    with Factory.open(root) as factory:
        yield factory


def places(forgot):
    """Return rows by place of what answers were removed from."""
    return {one.place: one.rows for one in forgot.outputs}


def test_files_of_answers_are_written_again_without_the_person(factory):
    """Each other row stays as it was, byte for byte; so does who may read the file."""
    first = predict_job(factory, LINE, "csv").made
    named = predict_job(factory, LINE, "parquet").made.to
    file, quarantine = factory.root / "out" / "all.csv", factory.root / "out" / "all.quarantine.csv"
    before = file.read_bytes().splitlines(keepends=True)
    file.chmod(0o640)
    assert HER in quarantine.read_text()

    would = forget(factory, LINE, HER, dry_run=True)

    assert places(would) == {"out/all.csv": 2, named: 2}
    assert file.read_bytes().splitlines(keepends=True) == before

    forgot = forget(factory, LINE, HER, dry_run=False)

    assert places(forgot) == {"out/all.csv": 2, named: 2}
    assert file.read_bytes() == b"".join(line for line in before if HER.encode() not in line)
    assert file.stat().st_mode & 0o777 == 0o640
    assert HER not in quarantine.read_text()
    table = pl.read_parquet(factory.root / named)
    assert (table.height, HER in table["claim"]) == (ROWS - 1, False)
    assert set(pl.read_csv(file)["run"]) == {first.run}
    assert (forgot.left, forgot.exit_code) == ((), 0)
    assert not [path for path in forgot.files if "/out/" in path]
    assert f"2 rows of answers removed from {named}" in forgot_text(forgot)
    assert not list((factory.root / "out").glob(".*"))


def test_a_file_of_answers_that_was_moved_away_is_named(factory):
    """Who moved it has the person still; a file of another kind in its place is not touched."""
    named = predict_job(factory, LINE, "parquet").made.to
    (factory.root / named).unlink()
    predict_job(factory, LINE, "csv")
    (factory.root / "out" / "all.csv").write_text(f"claim,mine\n{HER},1\n")

    forgot = forget(factory, LINE, HER, dry_run=False)

    by_place = {one.place: one for one in forgot.outputs}
    assert by_place[named].is_gone
    assert by_place["out/all.csv"].problem is not None
    assert HER in (factory.root / "out" / "all.csv").read_text()
    assert forgot.exit_code == 4
    assert "look where they went" in forgot_text(forgot)


def _from_table(factory, read, monkeypatch):
    """Forget while the server cannot be reached, and then again what is owed."""
    allow(factory.root)
    url = os.environ["TEST_DB"]
    predict_job(factory, LINE, "table")
    predict_job(factory, LINE, "table")
    assert read().count((HER,)) == 2
    monkeypatch.setenv("TEST_DB", url.replace("@localhost:", "@localhost:1"))

    forgot = forget(factory, LINE, HER, dry_run=False)

    (one,) = [one for one in forgot.outputs if one.place.startswith("table answers")]
    assert one.problem is not None
    assert "not reached" in forgot_text(forgot)
    assert "S3cret" not in forgot_text(forgot)
    assert (forgot.left, forgot.exit_code) == ((), 4)
    kept = (factory.state / "forgotten" / f"{LINE}.json").read_text()
    assert HER not in kept
    assert "S3cret" not in kept
    (subject,) = forgotten_of(factory, LINE).subjects
    assert (subject.done, len(subject.owed)) == (True, 1)
    assert len(settle_owed(factory)) == 1
    assert verify_factory(factory).exit_code == 0
    assert read().count((HER,)) == 2

    again = forget(factory, LINE, HER, dry_run=False)

    assert [each for each in again.outputs if each.problem]
    monkeypatch.setenv("TEST_DB", url)

    assert settle_owed(factory) == ()

    rows = read()
    assert (len(rows), rows.count((HER,))) == (2 * (ROWS - 1), 0)
    (subject,) = forgotten_of(factory, LINE).subjects
    assert (subject.done, subject.owed, subject.named) == (True, (), ())


def test_rows_of_a_table_of_postgresql_go_even_if_its_server_is_down_at_first(factory, postgres, monkeypatch):
    with at_postgres(postgres, monkeypatch) as database:
        _from_table(factory, lambda: database.execute("select claim from answers").fetchall(), monkeypatch)
        database.execute("insert into answers (claim, id) values (%s, 'mine')", [HER])
        forget(factory, LINE, HER, dry_run=False)
        mine = database.execute("select id from answers where claim = %s", [HER]).fetchall()
        assert mine == [("mine",)]  # no row of ours
        database.execute("drop table answers")

        (one,) = forget(factory, LINE, HER, dry_run=False).outputs

        assert one.is_gone


def test_rows_of_a_table_of_mariadb_go_even_if_its_server_is_down_at_first(factory, mariadb, monkeypatch):
    with at_mariadb(mariadb, monkeypatch) as database:

        def read():
            database.execute("select claim from shop.answers")
            return list(database.fetchall())

        _from_table(factory, read, monkeypatch)


def test_rows_of_a_table_of_sqlserver_go_even_if_its_server_is_down_at_first(factory, sqlserver, monkeypatch):
    with at_sqlserver(sqlserver, monkeypatch) as server:
        _from_table(factory, lambda: server.execute("select claim from answers").fetchall(), monkeypatch)


def test_an_object_of_a_bucket_is_written_again_without_the_person(factory, tmp_path, monkeypatch):
    """While its server does not answer, it is owed."""
    pytest.importorskip("obstore")
    (tmp_path / "buckets" / "plant").mkdir(parents=True)
    allow_here(factory.root)
    folder = tmp_path / "buckets" / "plant" / "answers"
    with bucket_server(tmp_path / "buckets") as url:
        monkeypatch.setenv("PLANT", json.dumps({"endpoint": url, **KEYS}))
        predict_job(factory, LINE, "bucket")
    assert HER in (folder / "now.csv").read_text()
    assert HER in (folder / "now.quarantine.csv").read_text()

    forgot = forget(factory, LINE, HER, dry_run=False)

    assert [one.place for one in forgot.outputs if one.problem] == ["s3://plant/answers/now.csv"]
    with bucket_server(tmp_path / "buckets") as url:
        monkeypatch.setenv("PLANT", json.dumps({"endpoint": url, **KEYS}))

        again = forget(factory, LINE, HER, dry_run=False)

    assert places(again) == {"s3://plant/answers/now.csv": 2}
    table = pl.read_csv(folder / "now.csv")
    assert (table.height, HER in table["claim"]) == (ROWS - 1, False)
    assert HER not in (folder / "now.quarantine.csv").read_text()
    assert forgotten_of(factory, LINE).subjects[0].owed == ()


def test_rows_that_are_owed_are_known_by_hashes_of_ids_and_up_removes_them(factory):
    """The log has the person no more, and ids stand nowhere in the state; nobody has to think of it."""
    predict_job(factory, LINE, "csv")
    file, aside = factory.root / "out" / "all.csv", factory.root / "aside.csv"
    table = pl.read_csv(file)
    (id_,) = table.filter(pl.col("claim") == HER)["id"]
    table.drop("claim").write_csv(aside)
    file.unlink()
    file.mkdir()

    forgot = forget(factory, LINE, HER, dry_run=False)

    (one,) = forgot.outputs
    assert one.problem is not None
    assert one.place == "out/all.csv"
    assert id_ not in (factory.state / "forgotten" / f"{LINE}.json").read_text()
    file.rmdir()
    aside.rename(file)
    with closing(Tending(lambda: Factory.open(factory.root), Idle(), every_s=0.01)):
        deadline = time.monotonic() + 30
        while forgotten_of(factory, LINE).subjects[0].owed and time.monotonic() < deadline:
            time.sleep(0.02)

    assert forgotten_of(factory, LINE).subjects[0].owed == ()
    left = pl.read_csv(file)
    assert (left.height, id_ in left["id"]) == (ROWS - 1, False)


class Idle:
    """An engine that is asked for nothing."""

    def unfinished(self):
        return []


def test_sources_that_are_elsewhere_are_named_as_not_looked_at(factory, monkeypatch):
    path = factory.path_of(LINE)
    path.write_text(
        path.read_text() + "  far: {rows: {sql: select 1, at: env:FAR}, to: {file: out/far.csv}}\n"
    )
    monkeypatch.setenv("FAR", "postgresql://ann:S3cret@db.example.com/shop")

    forgot = forget(factory, LINE, HER, dry_run=True)

    assert forgot.unread == ("predict.far: a query on db.example.com/shop",)
    assert "not looked at: predict.far" in forgot_text(forgot)
