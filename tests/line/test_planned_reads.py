"""What a plan says of the sources: how much a run would read of each, by figures that need no read."""

import os

import duckdb
import pytest
from small import LINE, make_factory

from linewright.capabilities.lines.operations import plan
from linewright.capabilities.lines.render import plan_text
from linewright.line.factory import Factory
from linewright.line.runs.source_reads import read_source


@pytest.fixture
def factory(tmp_path_factory, tmp_path):
    with Factory.open(make_factory(tmp_path_factory, tmp_path / "factory")) as factory:
        yield factory


def source_of(factory, source):
    path = factory.root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text().replace("{file: claims.csv}", source))


def test_what_nothing_reads_has_no_figures(factory):
    made = plan(factory, LINE)

    assert (made.changes, made.reads) == ((), ())


def test_files_that_were_written_since_the_last_run_are_counted_apart(factory):
    source_of(factory, "{file: parts}")
    (factory.root / "parts").mkdir()
    text = (factory.root / "claims.csv").read_text()
    head, *rows = text.splitlines()
    long_ago = (factory.root / "claims.csv").stat().st_mtime - 900 * 86_400
    for name, some in (("a", rows[:100]), ("b", rows[100:])):
        path = factory.root / "parts" / f"{name}.csv"
        path.write_text("\n".join([head, *some, ""]))
        if name == "a":
            os.utime(path, (long_ago, long_ago))
    size = path.stat().st_size

    (read,) = plan(factory, LINE).reads

    assert (read.source, read.changed, read.files, read.newer_files, read.newer_bytes) == (
        "claims",
        True,
        2,
        1,
        size,
    )
    assert read.bytes == size + (factory.root / "parts" / "a.csv").stat().st_size
    assert "reads" in plan_text(plan(factory, LINE))


def test_of_a_database_it_counts_rows_and_those_that_a_cursor_asks_for(factory, monkeypatch):
    with duckdb.connect(factory.root / "shop.duckdb") as database:
        file = factory.root / "claims.csv"
        database.execute(f"create table claims as select *, 0 as changed from read_csv('{file}')")  # noqa: S608
        database.execute("update claims set changed = 1 where claim > 'C229'")
    monkeypatch.setenv("SHOP", "duckdb:///shop.duckdb")
    source_of(factory, "{sql: select * from claims, at: env:SHOP}")

    (read,) = plan(factory, LINE).reads

    assert (read.rows, read.asked) == (240, None)

    source_of_cursor = "{sql: select * from claims, at: env:SHOP, key: claim, cursor: changed}"
    path = factory.root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text().replace("{sql: select * from claims, at: env:SHOP}", source_of_cursor))
    (before,) = plan(factory, LINE).reads
    read_source(factory, LINE, "claims")
    (after,) = plan(factory, LINE).reads

    assert (before.rows, before.asked) == (0, 240)
    assert (after.rows, after.asked) == (240, 10)
    assert "claims: 240 rows kept, 10 to read" in plan_text(plan(factory, LINE))
