"""Lines whose source is read incrementally."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

import duckdb
import polars as pl
import psycopg
import pytest
from databases import Server, allow, at_postgres

from linewright.capabilities.care.gc import collect
from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.lines.operations import check
from linewright.data.column_roles import feature_columns
from linewright.data.facts import Dataset
from linewright.errors import SpecError
from linewright.interfaces.cli.build import run as run_command
from linewright.line.factory import Factory
from linewright.line.loop.retraining import next_proposal, retraining_due
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import begin, make_plan
from linewright.operations.table import OPERATIONS
from linewright.store.clock import text_of
from linewright.text.schedule import read_schedule

LINE = """
line: transfers
sources: {accounts: {sql: "select * from accounts", at: env:TEST_DB, key: id, cursor: updated_at}}
table: {key: id, exclude: [updated_at]}
label: {column: is_good}
train: {budget: quick}
"""


Run = Callable[..., str]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Run:
    """Give a function that carries out a command here, and returns what it printed."""

    def run(*arguments: str, code: int = 0) -> str:
        found = run_command(list(arguments), OPERATIONS, lambda folder, *_: Factory.open(folder))
        printed = capsys.readouterr()
        assert code == found, printed.out + printed.err
        return printed.out + printed.err

    return run


@pytest.fixture
def accounts(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    with at_postgres(postgres, monkeypatch) as database:
        database.execute(
            "create table accounts (id int primary key, amount int, is_good boolean, updated_at timestamptz)"
        )
        database.execute(
            "insert into accounts select i, i * 7919 % 101, i * 7919 % 101 + i % 20 > 55, now() - i * interval '1 hour' from generate_series(1, 300) as i"
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


NAMES = ["id: {type: integer}", "amount: {type: integer}", "is_good: {type: boolean}"]


@pytest.fixture
def stamped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[list[str]], Factory]]:
    """Give a function that makes a factory whose table has a cursor and a time of knowledge, and a contract of some columns."""
    monkeypatch.setenv("TEST_DB", "duckdb:///a.duckdb")
    with duckdb.connect(tmp_path / "a.duckdb") as database:
        database.execute(
            "create table accounts as select i as id, i * 7919 % 101 as amount, i * 7919 % 101 + i % 20 > 55 as is_good, "
            "i % 7 as shop, timestamptz '2026-03-01' - i * interval '1 hour' as updated_at, timestamptz '2026-03-02' - i * interval '1 hour' as seen_at "
            "from range(1, 301) as r(i)"
        )
    with Factory.create(tmp_path) as factory:

        def make(names: list[str]) -> Factory:
            contract = f"contract: {{columns: {{{', '.join(names)}}}}}\n" if names else ""
            asked = LINE.replace(", exclude: [updated_at]", "").replace(
                "updated_at", "updated_at, known: seen_at"
            )
            (tmp_path / "lines" / "transfers.yaml").write_text(asked + contract)
            return factory

        yield make


@pytest.mark.parametrize(
    ("names", "features"),
    [
        ([], {"amount", "shop"}),
        (NAMES, {"amount"}),
        ([*NAMES, "updated_at: {type: datetime}"], {"amount", "updated_at"}),
    ],
)
def test_what_tells_new_rows_is_a_feature_only_if_the_contract_names_it(
    stamped: Callable[[list[str]], Factory], names: list[str], features: set[str]
) -> None:
    """A stamp of a change says when a row was written, often after its label was known."""
    factory = stamped(names)
    ran = execute_inline(factory, "transfers")
    work, dataset = begin(factory, factory.line("transfers")), factory.metadata.get(str(ran.dataset), Dataset)

    assert features == {one.name for one in feature_columns(work.spec, dataset)}
    assert () == make_plan(factory, factory.line("transfers")).changes


def test_what_tells_new_rows_draws_no_warning_if_the_contract_does_not_name_it(
    stamped: Callable[[list[str]], Factory],
) -> None:
    """Of another column that it does not name there is one."""
    (checked,) = check(stamped(NAMES)).lines

    assert [("shop", "not-named")] == [(one.column, one.kind) for one in checked.breaches]


def test_what_the_cursor_does_not_show_is_found_and_repaired_and_the_past_stays(
    accounts: psycopg.Connection, tmp_path: Path, cli: Run
) -> None:
    """By commands, as a person would."""
    with Factory.create(tmp_path) as factory:
        allow(tmp_path)
        (tmp_path / "lines" / "transfers.yaml").write_text(LINE)
        execute_inline(factory, "transfers")
        then = factory.now()
    accounts.execute("delete from accounts where id in (7, 8)")
    accounts.execute("update accounts set amount = 0 where id = 20")
    root = str(tmp_path)
    said = cli("reconcile", "transfers", "--factory", root, code=4)

    assert "accounts: 298 rows in the source, 300 kept" in said
    assert "changed  1 row: 20" in said
    assert "deleted  2 rows: 7, 8" in said
    assert "Next: linewright reconcile transfers --source accounts --repair" in said
    assert "repaired" in cli("reconcile", "transfers", "--repair", "--factory", root)
    assert "accounts: 298 rows as in the source" in cli("reconcile", "transfers", "--factory", root)

    file = tmp_path / "then.parquet"
    said = cli("datasets", "transfers", "--as-of", then, "--out", str(file), "--factory", root)

    assert "accounts: 300 rows as known on" in said
    assert [7, 8] == pl.read_parquet(file).filter(pl.col("id").is_in([7, 8]))["id"].to_list()
    assert (
        298
        == json.loads(cli("datasets", "transfers", "--as-of", "2200-01-01", "--json", "--factory", root))[
            "rows"
        ]
    )
    assert "CSV or Parquet" in cli(
        "datasets", "transfers", "--as-of", then, "--out", "a.txt", "--factory", root, code=2
    )
    assert "no such source" in cli("reconcile", "transfers", "--source", "x", "--factory", root, code=2)


def test_instants_before_the_first_read_are_answered_if_a_column_says_when_rows_were_known(
    accounts: psycopg.Connection, tmp_path: Path, cli: Run
) -> None:
    """Without such a column nobody knows what the source had; a day is its beginning."""
    ((day, by_then),) = accounts.execute(
        "select day::date, count(*) from accounts, (select date_trunc('day', now() at time zone 'utc') - interval '5 days' as day) as d"
        " where updated_at <= day at time zone 'utc' group by day"
    ).fetchall()
    asked = ("datasets", "transfers", "--as-of", str(day), "--json", "--factory", str(tmp_path))
    with Factory.create(tmp_path) as factory:
        allow(tmp_path)
        path = tmp_path / "lines" / "transfers.yaml"
        path.write_text(LINE)
        execute_inline(factory, "transfers")
    refused = cli(*asked, code=2)
    path.write_text(LINE.replace("cursor: updated_at", "cursor: updated_at, known: updated_at"))
    with Factory.open(tmp_path) as factory:
        execute_inline(factory, "transfers")

    assert "nothing of the source had been read by then" in refused
    assert 0 < by_then < 300
    assert by_then == json.loads(cli(*asked))["rows"]


def test_a_person_who_is_forgotten_is_in_no_version_of_a_row(
    accounts: psycopg.Connection, tmp_path: Path, cli: Run
) -> None:
    """Also in those of a query of before, and in those that were joined."""
    accounts.execute("alter table accounts add column customer text default 'somebody'")
    accounts.execute("update accounts set customer = 'Grace Hopper' where id in (7, 150)")
    with Factory.create(tmp_path) as factory:
        allow(tmp_path)
        file = tmp_path / "lines" / "transfers.yaml"
        file.write_text(LINE.replace("key: id, ex", "key: id, subject: customer, ex"))
        execute_inline(factory, "transfers")
        accounts.execute("update accounts set amount = 3, updated_at = now() where id = 7")
        execute_inline(factory, "transfers")
        text = file.read_text()
        file.write_text(text.replace("select * from accounts", "select * from accounts where id > 0"))
        execute_inline(factory, "transfers")
    said = cli("forget", "transfers", "--subject", "Grace Hopper", "--yes", "--factory", str(tmp_path))

    assert "4 rows of 2 dataset versions" in said
    with Factory.open(tmp_path) as factory:
        frames = [
            pl.read_parquet(BytesIO(factory.artifacts.get(blob)))
            for blob in factory.artifacts.digests()
            if factory.artifacts.get(blob).startswith(b"PAR1")
        ]
        names = {name for frame in frames if "customer" in frame.columns for name in frame["customer"]}

        assert {"somebody"} == names - {None}
        assert not verify_factory(factory).problems
        dataset = execute_inline(factory, "transfers").dataset

        assert 298 == factory.metadata.get(dataset, Dataset).rows


def test_a_schedule_reads_what_is_new(accounts: psycopg.Connection, tmp_path: Path) -> None:
    """Under `up` nobody types: at half past two the line reads its source and trains, once however long nothing ran."""
    with Factory.create(tmp_path) as factory:
        allow(tmp_path)
        file = tmp_path / "lines" / "transfers.yaml"
        file.write_text(LINE + "retrain: {when: [{at: '02:70 Europe/Berlin'}]}")
        with pytest.raises(SpecError, match="this is no schedule"):
            factory.line("transfers")
        file.write_text(LINE + "retrain: {when: [{at: '02:30 Europe/Berlin'}]}")
        execute_inline(factory, "transfers")
        spec, now = factory.line("transfers"), factory.now()
        nightly = read_schedule("02:30 Europe/Berlin")
        first = nightly.following(datetime.fromisoformat(now))
        assert first is not None

        assert retraining_due(factory, spec) is None
        assert text_of(first) == next_proposal(factory, spec, after=now)
    accounts.execute("insert into accounts select i, i, true, now() from generate_series(301, 310) as i")
    with Factory.open(tmp_path, now=lambda: text_of(first + timedelta(days=3, seconds=1))) as factory:
        due = retraining_due(factory, spec)
        assert due is not None

        done = execute_inline(factory, "transfers", as_of=due.as_of, proposal=due.proposal)

        assert 310 == factory.metadata.get(done.dataset, Dataset).rows
        assert retraining_due(factory, spec) is None
