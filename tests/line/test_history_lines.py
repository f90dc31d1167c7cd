"""Lines whose source is read incrementally."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from databases import Server, allow, at_postgres

from linewright.data.facts import Dataset
from linewright.line.factory import Factory
from linewright.line.maintenance.gc import collect
from linewright.line.maintenance.verify import verify_factory
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan

LINE = """
line: transfers
sources: {accounts: {sql: "select * from accounts", at: env:TEST_DB, key: id, cursor: updated_at}}
table: {key: id, exclude: [updated_at]}
label: {column: is_good}
train: {budget: quick}
"""


@pytest.fixture
def accounts(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    with at_postgres(postgres, monkeypatch) as database:
        database.execute(
            "create table accounts (id int primary key, amount int, is_good boolean, updated_at timestamptz default now() - interval '1 day')"
        )
        database.execute(
            "insert into accounts select i, i * 7919 % 101, i * 7919 % 101 + i % 20 > 55 from generate_series(1, 300) as i"
        )
        yield database


def test_a_line_reads_what_is_new_and_a_plan_reads_it_without_keeping_it(
    accounts: psycopg.Connection, tmp_path: Path
) -> None:
    with Factory.create(tmp_path) as factory:
        allow(tmp_path)
        (tmp_path / "lines" / "transfers.yaml").write_text(LINE)
        first = execute_inline(factory, "transfers")

        assert () == make_plan(factory, factory.line("transfers")).changes

        accounts.execute("insert into accounts select i, i, true, now() from generate_series(301, 310) as i")
        kept = set(factory.artifacts.digests())
        changes = make_plan(factory, factory.line("transfers")).changes

        assert "ingest" == changes[0].step
        assert kept == set(factory.artifacts.digests())

        second = execute_inline(factory, "transfers")
        rows = [factory.metadata.get(run.dataset, Dataset).rows for run in (first, second)]

        assert [300, 310] == rows
        assert () == make_plan(factory, factory.line("transfers")).changes

        collect(factory, grace_s=0, dry_run=False)

        assert not verify_factory(factory).problems
        assert () == make_plan(factory, factory.line("transfers")).changes
