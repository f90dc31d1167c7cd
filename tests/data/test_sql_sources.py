"""Queries on databases, asked of real servers that start here."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import psycopg
import pytest
from databases import Server, allow, at_mariadb, at_postgres
from sqlserver import TdsServer, at_sqlserver

from linewright.data.read.cursor import rows_since
from linewright.data.read.reader import Cursor, reader_of
from linewright.data.read.sql import sql_reader
from linewright.data.spec import SourceSpec, SqlSource
from linewright.errors import RequestError
from linewright.testing.sources import SourceContract, Texts, Write


@pytest.fixture
def shop_at_postgres(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    with at_postgres(postgres, monkeypatch) as connection:
        yield connection


class TestPostgres(SourceContract):
    @pytest.fixture
    def write(self, shop_at_postgres: psycopg.Connection) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            allow(root)
            names = [name.replace('"', '""') for name in texts]
            typed = ", ".join(f'"{name}" text' for name in names)
            shop_at_postgres.execute("drop table if exists t")
            shop_at_postgres.execute(f"create table t (row_number serial, {typed})")
            columns = ", ".join(f'"{name}"' for name in names)
            marks = ", ".join(["%s"] * len(names))
            with shop_at_postgres.cursor() as cursor:
                insert = f"insert into t ({columns}) values ({marks})"  # noqa: S608 -- names of this test
                cursor.executemany(insert, list(zip(*texts.values(), strict=True)))
            query = f"select {columns} from t order by row_number"  # noqa: S608
            return SqlSource(sql=query, at="env:TEST_DB")

        return write


class TestAdbc(TestPostgres):
    @pytest.fixture
    def shop_at_postgres(self, adbc: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
        with at_postgres(adbc, monkeypatch) as connection:
            yield connection


@pytest.fixture
def shop_at_mariadb(mariadb: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with at_mariadb(mariadb, monkeypatch) as cursor:
        yield cursor


class TestMariaDb(SourceContract):
    @pytest.fixture
    def write(self, shop_at_mariadb: Any) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            allow(root)
            names = [name.replace("`", "``") for name in texts]
            typed = ", ".join(f"`{name}` text" for name in names)
            shop_at_mariadb.execute("drop table if exists t")
            shop_at_mariadb.execute(f"create table t (row_number_ serial, {typed})")
            columns = ", ".join(f"`{name}`" for name in names)
            marks = ", ".join(["%s"] * len(names))
            insert = f"insert into t ({columns}) values ({marks})"  # noqa: S608 -- names of this test
            if rows := list(zip(*texts.values(), strict=True)):
                shop_at_mariadb.executemany(insert, rows)
            query = f"select {columns} from t order by row_number_"  # noqa: S608
            return SqlSource(sql=query, at="env:TEST_DB")

        return write


@pytest.fixture
def shop_at_sqlserver(sqlserver: TdsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[TdsServer]:
    with at_sqlserver(sqlserver, monkeypatch) as server:
        yield server


class TestSqlServer(SourceContract):
    @pytest.fixture
    def write(self, shop_at_sqlserver: TdsServer) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            allow(root)
            names = ["[{}]".format(name.replace("]", "]]")) for name in texts]
            typed = ", ".join(f"{name} nvarchar(max)" for name in names)
            shop_at_sqlserver.execute("drop table if exists t")
            shop_at_sqlserver.execute(f"create table t (row_number_ int, {typed})")
            marks = ", ".join(f"@P{n}" for n in range(len(names)))
            for number, row in enumerate(zip(*texts.values(), strict=True)):
                insert = f"insert into t values ({number}, {marks})"  # noqa: S608 -- marks alone
                shop_at_sqlserver.execute(insert, {f"P{n}": value for n, value in enumerate(row)})
            query = f"select {', '.join(names)} from t order by row_number_"  # noqa: S608 -- names of this test
            return SqlSource(sql=query, at="env:TEST_DB")

        return write


class TestDuckDb(SourceContract):
    @pytest.fixture
    def write(self, monkeypatch: pytest.MonkeyPatch) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            (root / "a.duckdb").unlink(missing_ok=True)
            monkeypatch.setenv("TEST_DB", f"duckdb:///{root}/a.duckdb")
            with duckdb.connect(root / "a.duckdb") as database:
                frame = pl.DataFrame(texts, schema=dict.fromkeys(texts, pl.String))
                database.register("given", frame.to_arrow())
                database.execute("create table t as select * from given")
            return SqlSource(sql="select * from t", at="env:TEST_DB")

        return write


class TestSqlite(SourceContract):
    @pytest.fixture
    def write(self, monkeypatch: pytest.MonkeyPatch) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            (root / "a.db").unlink(missing_ok=True)
            monkeypatch.setenv("TEST_DB", f"sqlite:///{root}/a.db")
            names = ", ".join(f'"{name}" text' for name in texts)
            with closing(sqlite3.connect(root / "a.db")) as database, database:
                database.execute(f"create table t ({names})")
                marks = ", ".join("?" * len(texts))
                database.executemany(
                    f"insert into t values ({marks})",  # noqa: S608 -- marks alone
                    list(zip(*texts.values(), strict=True)),
                )
            return SqlSource(sql="select * from t order by rowid", at="env:TEST_DB")

        return write


def read_since(spec: SqlSource, root: Path, column: str, value: float | str) -> tuple[int, list[Any]]:
    """Return how many rows a database gives for a cursor, and which are left of them."""
    cursor = Cursor(column=column, value=value)
    source = reader_of(spec).open("s", spec, root, size=1 << 20, since=cursor)
    given = sum(batch.frame.height for batch in source.batches())
    return given, [row for rows in rows_since("s", spec, root, cursor) for row in rows["id"]]


def check_pushed_down(spec: SqlSource, root: Path, *, at_most: int) -> None:
    """Of 1,000 rows, a database gives the last few for each kind of cursor, and never too few."""
    allow(root)
    last = list(range(990, 1001))
    for column, value in (
        ("id", 990),
        ("amount", 99.0),
        ("share", 0.99),
        ("day", "2024-09-16"),
        ("seen", "2024-09-16 00:00"),
        ("code", "K0990"),
    ):
        given, left = read_since(spec, root, column, value)

        assert last == left, column
        assert given <= at_most, column
    for column, value in (("id", "990"), ("day", 3), ("code", 5)):
        with pytest.raises(RequestError, match="would never be read"):
            read_since(spec, root, column, value)
    assert [[], []] == [
        read_since(spec, root, "code", value)[1] for value in ("b' or 'x' = 'x", "\\' or 1=1 -- ")
    ]


# `share` is a short float: the database compares 0.99 with a little more, or a little less.
COLUMNS = (
    "n as id, cast(n / 10.0 as decimal(10, 1)) as amount, cast(n / 1000.0 as {float}) as share,"
    " cast(timestamp '2021-12-31 00:00:00' + {days} as date) as day,"
    " timestamp '2021-12-31 00:00:00' + {days} as seen, {code} as code"
)


def test_postgresql_gives_only_rows_since_a_cursor(shop_at_postgres, tmp_path):
    """Of a table of years, a day is read."""
    columns = COLUMNS.format(float="real", days="n * interval '1 day'", code="'K' || lpad(n::text, 4, '0')")
    shop_at_postgres.execute(f"create table t as select {columns} from generate_series(1, 1000) as n")  # noqa: S608

    check_pushed_down(SqlSource(sql="select * from t order by id; ", at="env:TEST_DB"), tmp_path, at_most=12)


def test_mariadb_gives_only_rows_since_a_cursor(shop_at_mariadb, tmp_path):
    """Where the order of a query would be lost, all rows are read."""
    columns = COLUMNS.format(float="float", days="interval n day", code="concat('K', lpad(n, 4, '0'))")
    shop_at_mariadb.execute(
        f"create table t as select {columns} from (select seq as n from seq_1_to_1000) as q"  # noqa: S608
    )

    check_pushed_down(SqlSource(sql="select * from t", at="env:TEST_DB"), tmp_path, at_most=12)
    check_pushed_down(SqlSource(sql="select * from t order by id", at="env:TEST_DB"), tmp_path, at_most=1000)


def test_sqlserver_gives_only_rows_since_a_cursor(shop_at_sqlserver, tmp_path):
    """As MariaDB does; what halves a letter beyond U+FFFF, or compares blanks at the end, loses none."""
    columns = COLUMNS.format(
        float="float", days="n * interval '1 day'", code="'K' || lpad(cast(n as varchar), 4, '0')"
    )
    shop_at_sqlserver.cursor().execute(f"create table t as select {columns} from range(1, 1001) as q(n)")  # noqa: S608
    shop_at_sqlserver.cursor().execute(
        "create table u as select * from (values (1, 'K1'), (2, 'K1\t'), (3, 'K\U0001f600'), (4, 'K\uff00')) as q(id, code)"
    )

    check_pushed_down(SqlSource(sql="select * from t", at="env:TEST_DB"), tmp_path, at_most=13)
    check_pushed_down(SqlSource(sql="select * from t order by id", at="env:TEST_DB"), tmp_path, at_most=1000)
    odd = SqlSource(sql="with a as (select * from u) select * from a", at="env:TEST_DB")
    assert [[1, 2, 3, 4], [3]] == [
        read_since(odd, tmp_path, "code", least)[1] for least in ("K1", "K\U0001f600")
    ]


def test_duckdb_gives_only_rows_since_a_cursor(tmp_path, monkeypatch):
    columns = COLUMNS.format(
        float="float", days="n * interval '1 day'", code="'K' || lpad(cast(n as varchar), 4, '0')"
    )
    with duckdb.connect(tmp_path / "a.duckdb") as database:
        database.execute(f"create table t as select {columns} from range(1, 1001) as q(n)")  # noqa: S608
        database.execute("create table u as select 1 as id, 'b' as \"{0} {name}\"")
    monkeypatch.setenv("TEST_DB", "duckdb:///a.duckdb")

    check_pushed_down(SqlSource(sql="select * from t order by id", at="env:TEST_DB"), tmp_path, at_most=12)

    odd = SqlSource(sql="select * from u", at="env:TEST_DB")
    assert (1, [1]) == read_since(odd, tmp_path, "{0} {name}", "a")


def test_few_rows_are_fetched_until_it_is_known_how_long_they_are(shop_at_postgres, tmp_path):
    """200 documents of a megabyte each would take a gigabyte on their way to a table."""
    del shop_at_postgres
    allow(tmp_path)
    query = "select repeat('x', 1000000) as document from generate_series(1, 300)"
    database, asked = sql_reader.query_of(SqlSource(sql=query, at="env:TEST_DB"), tmp_path, "sources.s")
    with database.ask(asked) as answer:
        sizes = [next(answer.frames).estimated_size() for _ in range(2)]

    assert max(sizes) <= 10_000_100


READ_AND_MEASURED = """
import sys, threading, time
from pathlib import Path
import polars
import linewright.plugins.postgresql
from linewright.data.read.reader import fingerprint
from linewright.data.read.source import open_source
from linewright.data.spec import SqlSource

def held():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))

def look():
    while True:
        most[0] = max(most[0], held())
        time.sleep(0.005)

most, before = [0], held()
threading.Thread(target=look, daemon=True).start()
spec = SqlSource(sql=sys.argv[1], at="env:TEST_DB")
rows = sum(batch.frame.height for batch in open_source("s", spec, Path()).batches())
fingerprint(spec, Path(), "sources.s")
print(rows, (most[0] - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("shop_at_postgres")
def test_memory_does_not_grow_with_the_table(tmp_path):
    """240 MB of texts are read twice, with a fraction of that in memory; what lies in files goes with the last use."""
    allow(tmp_path)
    (tmp_path / ".linewright").mkdir()
    query = "select i, repeat(md5(i::text), 312) as text from generate_series(1, 24000) as i"
    done = subprocess.run(
        [sys.executable, "-c", READ_AND_MEASURED, query],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    rows, megabytes = map(int, done.stdout.split())

    assert 24_000 == rows
    assert megabytes < 100
    assert [] == list((tmp_path / ".linewright" / "scratch").iterdir())
