"""A feature view whose history one process writes while another reads it."""

import multiprocessing
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from paid import LINE
from paid_database import write_database_factory

from linewright.data.history.versions import DELETED
from linewright.data.read.source import Source
from linewright.features.views.records import Records, check_records, records_path
from linewright.line.check.report import check_line
from linewright.line.factory import Factory
from linewright.line.file.view_file import read_view
from linewright.line.release.view_maintenance import views_served
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.line.views.logged_features import audit_views
from linewright.line.views.sources import open_view, read_live_view
from linewright.line.views.write_records import write_view

VIEW = "customer_30d"
READINGS = 6
"""Lengths of the history that are seen while it grows."""
MOVES = 400
"""How often money is moved from one payment of a customer to another, in one transaction, and the history written: until all is read."""
ENOUGH = "enough"
"""A file, once all is read."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "factory"
    write_database_factory(root)
    with Factory.create(root) as factory:
        execute_inline(factory, LINE)
    return root


def write(root: Path) -> None:
    """Do what the worker of `up` does, again and again."""
    with (
        Factory.open(root) as factory,
        closing(sqlite3.connect(root / "payments.db", timeout=30)) as database,
    ):
        (facts,) = views_served(factory, LINE)
        for number in range(MOVES):
            with database:
                for change, place in ((1.0, 0), (-1.0, 1)):
                    database.execute(
                        "update payments set amount = amount + ?, loaded_at = '2027-01-01 00:00:00' where id = "
                        "(select id from payments where customer = 'C3' order by id limit 1 offset ?)",
                        (change, 2 * number % 20 + place),
                    )
            write_view(factory, facts)
            if (root / ENOUGH).exists():
                break


def total(source: Source) -> float:
    """Return the sum of the newest versions of all payments."""
    rows = pl.concat([batch.frame for batch in source.batches()])
    newest = rows.filter(pl.col("id").is_last_distinct() & ~pl.col(DELETED))
    return round(float(newest["amount"].sum()), 2)


@pytest.fixture
def writing(root: Path) -> Iterator[multiprocessing.process.BaseProcess]:
    process = multiprocessing.get_context("spawn").Process(target=write, args=(root,))
    process.start()
    yield process
    (root / ENOUGH).touch()
    process.join(120)
    assert 0 == process.exitcode


def test_who_reads_a_history_while_it_is_written_sees_one_state(
    root: Path, writing: multiprocessing.process.BaseProcess
) -> None:
    """Old or new, whichever way it is read: never half of what came together, and never an error."""
    seen, versions = set[float](), list[int]()
    with Factory.open(root) as factory:
        view, (facts,) = read_view(factory.root, VIEW), views_served(factory, LINE)
        path = records_path(factory.state, facts)
        while writing.is_alive() and len(set(versions)) < READINGS:
            for source in (open_view(view, factory), read_live_view(view, factory)[0]):
                seen.add(total(source))
                versions.append(sum(batch.frame.height for batch in source.batches()))
            check_records(path)
            Records(path)
            make_plan(factory, factory.line(LINE))
            check_line(factory, LINE)
            audit_views(factory, LINE, sample=50)

    assert 1 == len(seen)
    assert sorted(versions) == versions
    assert READINGS <= len(set(versions))
