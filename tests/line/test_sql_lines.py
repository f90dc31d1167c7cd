"""A table of PostgreSQL goes the whole way of a line, and the password of its URL goes nowhere."""

import json
import os
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import commands
import duckdb
import psycopg
import pytest
from databases import Server, allow, at_postgres

from linewright.capabilities.drafts.remote_data import Access
from linewright.capabilities.drafts.write import new_line
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset
from linewright.data.profile.roles import GivenRoles
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.line.runs.plan_text import changes_in_words

ROWS = 400
PASSWORDS = (b"S3cret-@-pg", b"S3cret-%40-pg", b"Wr0ng-pass")

Run = Callable[..., str]


@pytest.fixture
def linewright(tmp_path: Path) -> Run:
    """Give a function that runs a command in the factory's folder, and returns what it printed."""
    root = tmp_path / "factory"
    root.mkdir()
    printed = tmp_path / "printed"

    def run(*arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [*commands.python(), "-m", "linewright", *arguments],
            cwd=root,
            env=os.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        with printed.open("a") as file:
            file.write(done.stdout + done.stderr)
        assert code == done.returncode, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def customers(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with at_postgres(postgres, monkeypatch) as database:
        database.execute("create type tier as enum ('basic', 'plus')")
        database.execute(
            "create table customers (id int primary key, tier tier, monthly numeric(8,2), calls int, joined date, churned boolean)"
        )
        database.execute("select setseed(0.5)")
        chance = "20 + random() * 80, floor(random() * 10), date '2020-01-01' + i % 90, false"
        tier = "(array['basic', 'plus']::tier[])[1 + i % 2]"
        many = f"generate_series(1, {ROWS}) as i"
        database.execute(f"insert into customers select i, {tier}, {chance} from {many}")  # noqa: S608
        database.execute("update customers set churned = calls + random() * 4 > 7")


@pytest.mark.usefixtures("customers")
def test_a_table_of_a_database_becomes_a_promoted_model(
    postgres: Server, linewright: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the address of the database to a model; then the database is gone, and what there is goes on."""
    root = tmp_path / "factory"
    new = ("new", "churn", "--label", "churned")

    assert "hosts: [localhost]" in linewright(*new, "--data", "env:TEST_DB", "--table", "customers", code=2)

    (root / "factory.yaml").write_text("format: 1\nhosts: [localhost]\n")
    refused = linewright(*new, "--data", postgres.url("shop"), "--table", "customers", code=2)

    assert "--data env:DB --table TABLE" in refused
    assert "customers" in linewright(*new, "--data", "env:TEST_DB", code=2)
    assert "did you mean 'customers'?" in linewright(
        *new, "--data", "env:TEST_DB", "--table", "custmers", code=2
    )

    linewright(*new, "--data", "env:TEST_DB", "--table", "customers")
    line = root / "lines" / "churn.yaml"
    line.write_text(line.read_text().replace("budget: normal", "budget: quick"))

    assert 'churn: {sql: "select * from customers order by id", at: "env:TEST_DB"}' in line.read_text()
    assert f"{ROWS} rows keep the contract" in linewright("check", "churn")

    planned = json.loads(linewright("plan", "churn", "--json"))

    assert {"churn": f"a query on localhost:{postgres.port}/shop"} == planned["sources"]
    assert "promoted" in linewright("run", "churn")
    assert "no changes" in linewright("plan", "churn")
    assert "all is well" in linewright("doctor")

    with psycopg.connect(postgres.url("shop"), autocommit=True) as database:
        database.execute("update customers set calls = calls + 1 where id = 7")
    changed = json.loads(linewright("plan", "churn", "--json"))["changes"]

    assert "source 'churn' changed" == changed[0]["because"]

    linewright("backup", str(tmp_path / "churn.tar"))
    monkeypatch.setenv("TEST_DB", postgres.url("shop", password=PASSWORDS[2].decode()))

    assert "lets nobody in" in linewright("plan", "churn", code=2)

    monkeypatch.setenv("TEST_DB", postgres.url("shop").replace(f":{postgres.port}/", ":1/"))

    assert "source 'churn'" in linewright("run", "churn", code=6)
    assert "same package, byte by byte" in linewright("rebuild", "churn@1")

    linewright("card", "churn@1")
    linewright("runs", "--json")
    linewright("history", "churn")
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    found = [path for path in kept if any(one in path.read_bytes() for one in PASSWORDS)]

    assert {"printed", "churn.tar", "metadata.sqlite"} <= {path.name for path in kept}
    assert [] == found


LINE = """
line: transfers
sources: {accounts: {sql: "select * from accounts order by id", at: env:TEST_DB}}
table: {key: id}
label: {column: is_good}
train: {budget: quick}
"""


@pytest.fixture
def written(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fill a table, and move money from one account to another all the time: together they always have the same."""
    with at_postgres(postgres, monkeypatch) as database:
        database.execute("create table accounts (id int primary key, amount int, is_good boolean)")
        database.execute("insert into accounts select i, i, i > 150 from generate_series(1, 300) as i")
    ended = threading.Event()

    def write() -> None:
        with psycopg.connect(postgres.url("shop"), autocommit=True) as other:
            moved = 0
            while not ended.wait(0.01):
                moved += 1
                with other.transaction():
                    other.execute("update accounts set amount = amount + 1 where id = %s", [1 + moved % 150])
                    other.execute(
                        "update accounts set amount = amount - 1 where id = %s", [151 + moved % 150]
                    )

    writer = threading.Thread(target=write)
    writer.start()
    yield
    ended.set()
    writer.join()


@pytest.mark.usefixtures("written")
def test_a_run_takes_one_moment_of_a_table_that_others_write_to(
    postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan saw other rows than the run reads, and there are others yet when it has ended."""
    with Factory.create(tmp_path) as factory:
        allow(tmp_path)
        file = tmp_path / "lines" / "transfers.yaml"
        file.write_text(LINE)
        result = execute_inline(factory, "transfers")
        dataset = factory.metadata.get(result.dataset, Dataset)
        rows = read_dataset(dataset, factory.artifacts, factory.metadata)

        assert "ingest" in result.did
        assert 300 == rows.height
        assert 300 * 301 // 2 == rows["amount"].sum()

        (change, *_) = make_plan(factory, factory.line("transfers")).changes
        assert "ingest" == change.step
        assert "source 'accounts' changed" in changes_in_words((change,))[0].because

        # The variable got another name: what cannot be read any more is no reason to fail.
        monkeypatch.setenv("OTHER_DB", postgres.url("shop"))
        monkeypatch.delenv("TEST_DB")
        file.write_text(LINE.replace("TEST_DB", "OTHER_DB"))

        assert "ingest" == make_plan(factory, factory.line("transfers")).changes[0].step


@pytest.mark.parametrize(
    ("kind", "given"), [("sqlite", "url"), ("duckdb", "whole url"), ("sqlite", "path"), ("duckdb", "path")]
)
def test_a_line_is_made_of_a_table_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, given: str
) -> None:
    """Its URL holds no password, so the line file has it as it is."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / f"shop.{kind}"
    make = "create table customers (id integer primary key, plan text, seen date, churned boolean)"
    rows = [(n, ["basic", "plus"][n % 2], f"2026-03-{1 + n % 28:02}", n % 4 == 1) for n in range(200)]
    connect = {"sqlite": sqlite3.connect, "duckdb": duckdb.connect}[kind]
    with closing(connect(str(file))) as database:
        database.execute(make)
        database.executemany("insert into customers values (?, ?, ?, ?)", rows)
        database.commit()
    data = {"url": f"{kind}:///shop.{kind}", "whole url": f"{kind}:///{file}", "path": f"shop.{kind}"}[given]
    said = GivenRoles(label="churned", key="id")
    with Factory.create(tmp_path) as factory:
        with pytest.raises(RequestError, match=r"did you mean 'customers'\?|no such table"):
            new_line(tmp_path, "churn", Path(data), said, access=Access(table="custmers"))
        made = new_line(tmp_path, "churn", Path(data), said, access=Access(table="customers"))

        assert (200, 4, "seen") == (made.rows, made.columns, made.time)
        text = (tmp_path / "lines" / "churn.yaml").read_text()
        query = r'"select * from \"customers\" order by \"id\""'
        assert f'{{sql: {query}, at: "{kind}:///shop.{kind}"}}' in text
        assert f"a query on shop.{kind}" == factory.line("churn").sources["churn"].describe()
        assert ["ingest"] == [one.step for one in make_plan(factory, factory.line("churn")).changes[:1]]
