"""Rows that are deleted at a source of which only newer rows are read."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from control import factory_up
from paid import LINE as ORDERS
from paid_database import write_database_factory

from linewright.capabilities.sources.operations import reconcile
from linewright.line.factory import Factory
from linewright.line.record.evidence import explain
from linewright.line.record.monitoring.alerts import open_alerts
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.line.runs.source_reads import read_source
from linewright.watch.facts import Alerted

LINE = """
line: transfers
sources: {accounts: {sql: "select * from accounts", at: env:TEST_DB, key: id, cursor: updated_at, lag: 10m}}
table: {key: id, exclude: [updated_at]}
label: {column: is_good}
train: {budget: quick}
"""
START = datetime(2026, 3, 1)


class Accounts:
    """A table whose rows come a minute after one another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.execute(
            "create table accounts (id int primary key, amount int, is_good boolean, updated_at timestamp)"
        )
        self.add(*range(300))

    def execute(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for one in statements:
                connection.execute(one)

    def add(self, *ids: int) -> None:
        values = (
            f"({n}, {n * 7919 % 101}, {n * 7919 % 101 + n % 20 > 55}, '{START + timedelta(minutes=n)}')"
            for n in ids
        )
        self.execute(f"insert into accounts values {', '.join(values)}")  # noqa: S608 -- of this test


@pytest.fixture
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Accounts:
    monkeypatch.setenv("TEST_DB", "sqlite:///a.db")
    return Accounts(tmp_path / "a.db")


@pytest.fixture
def factory(accounts: Accounts, tmp_path: Path) -> Iterator[Factory]:
    del accounts
    with Factory.create(tmp_path) as factory:
        (tmp_path / "lines" / "transfers.yaml").write_text(LINE)
        execute_inline(factory, "transfers")
        yield factory


def told(factory: Factory, line: str = "transfers") -> list[tuple[float, bool]]:
    """Return the rows that each alert about deleted ones tells of, and whether it is open, oldest first."""
    open_ones = {one.id for one in open_alerts(factory, line)}
    alerts = factory.metadata.events(Alerted, line=line)
    return [(one.value, one.id in open_ones) for one in alerts if one.monitor == "deleted"]


def test_a_run_that_does_not_get_the_newest_rows_again_tells_of_it_once(
    factory: Factory, accounts: Accounts
) -> None:
    """The line goes on to learn from rows that nobody stands by; no new row says so, so that nothing else would."""
    execute_inline(factory, "transfers")

    assert [] == told(factory)

    accounts.execute("delete from accounts where id >= 297")
    assert () == make_plan(factory, factory.line("transfers")).changes
    assert [] == told(factory), "a plan keeps nothing"
    for _ in range(3):
        execute_inline(factory, "transfers")
    (alert,) = open_alerts(factory, "transfers")

    assert [(3, True)] == told(factory)
    assert alert.because.startswith("3 rows among the newest of source 'accounts' are not there any more")
    assert "linewright reconcile transfers --source accounts" in alert.because
    assert ["source_history"] == [one.kind for one in explain(factory, alert.id).rests_on]


def test_newer_rows_that_come_before_the_next_read_hide_no_deletion(
    factory: Factory, accounts: Accounts
) -> None:
    """Later reads begin above the rows that are gone, and would never notice; the alert stays, and is not told again."""
    accounts.execute("delete from accounts where id = 299")
    accounts.add(*range(400, 420))
    for new in (500, 501):
        execute_inline(factory, "transfers")
        accounts.add(new)

    assert [(1, True)] == told(factory)


def test_each_finding_is_told_and_ends_once_it_is_kept(factory: Factory, accounts: Accounts) -> None:
    """One alert at a time: a further deletion takes the place of the one before, and `reconcile --repair` settles both."""
    accounts.execute("delete from accounts where id = 299")
    read_source(factory, "transfers", "accounts")
    read_source(factory, "transfers", "accounts")
    accounts.execute("delete from accounts where id in (296, 297)")
    read_source(factory, "transfers", "accounts")
    reconcile(factory, "transfers")

    assert [(1, False), (3, True)] == told(factory)

    reconcile(factory, "transfers", repair=True)
    read_source(factory, "transfers", "accounts")

    assert [(1, False), (3, False)] == told(factory)


def test_rows_that_are_there_again_end_it_and_a_second_deletion_is_told(
    factory: Factory, accounts: Accounts
) -> None:
    """A backup of the source was restored, say; only a look at all rows can tell, since the cursor may be far above them."""
    accounts.execute("delete from accounts where id = 299")
    read_source(factory, "transfers", "accounts")
    accounts.add(299)
    read_source(factory, "transfers", "accounts")

    assert [(1, True)] == told(factory)

    reconcile(factory, "transfers")
    assert [(1, False)] == told(factory)

    accounts.execute("delete from accounts where id = 299")
    read_source(factory, "transfers", "accounts")

    assert [(1, False), (1, True)] == told(factory)


def test_each_line_that_shares_what_was_read_is_told(factory: Factory, accounts: Accounts) -> None:
    """The one that reads later does not see what is gone: it begins above."""
    text = LINE.replace("transfers", "others")
    (factory.root / "lines" / "others.yaml").write_text(text)
    accounts.execute("delete from accounts where id = 299")
    accounts.add(*range(400, 420))
    execute_inline(factory, "transfers")
    execute_inline(factory, "others")

    assert [(1, True)] == told(factory) == told(factory, "others")


def test_what_up_reads_for_feature_views_tells_of_it_too(tmp_path: Path) -> None:
    """Nobody runs anything: the records of the view are written again, and the inbox has the alert."""
    root = tmp_path / "factory"
    write_database_factory(root, every="1s")
    with Factory.create(root) as factory:
        execute_inline(factory, ORDERS)
    with factory_up(root) as up:
        with closing(sqlite3.connect(root / "payments.db")) as database, database:
            database.execute(
                "delete from payments where id in (select id from payments order by loaded_at desc limit 4)"
            )
        until = time.monotonic() + 40
        while time.monotonic() < until and "not there any more" not in up.get("/api/v1/inbox").text:
            time.sleep(0.2)
        time.sleep(3)  # further writes find the same
    with Factory.open(root) as factory:
        (alert,) = [one for one in factory.metadata.events(Alerted, line=ORDERS) if one.monitor == "deleted"]

    assert "4 rows among the newest of source 'view:customer_30d'" in alert.because
