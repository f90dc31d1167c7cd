"""What ADBC fetches is what psycopg fetches: the same values, types and digests."""

# ruff: noqa: S608 -- the names and values are those of these tests

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from databases import Server, allow, at_postgres

from linewright.data.history.read import read_current_rows
from linewright.data.history.versions import HistoryStore
from linewright.data.ingest import ingest
from linewright.data.read.reader import fingerprint
from linewright.data.read.sql import sql_reader
from linewright.data.spec import DataSpec, QueryLimits, SqlSource
from linewright.errors import LinewrightError, SpecError, Transient
from linewright.line.factory import Factory

ROWS = 4_000
SEEN = "timestamp '2024-05-01 00:00:00' + n * interval '1.000001 seconds'"
# Each: how a column is declared, and its value in row n.
COLUMNS = (
    ("smallint", "n % 30000 - 2000"),
    ("integer", "n * 400000 - 9"),
    ("bigint", "n * 2000000000000000 - 9"),
    ("oid", "(4294967295 - n)::bigint::oid"),
    ("real", "case n % 70 when 0 then 'NaN'::real when 1 then '-infinity' when 2 then -0.0::real else 0.1::real * n end"),
    ("double precision", "case n % 70 when 0 then 'NaN' when 1 then '-infinity' when 2 then 5e-324 when 3 then -0.0 else 0.1::float8 * n / 3 end"),
    ("numeric(10,2)", "case n % 99 when 0 then 'NaN' else n * 1.01 end"),
    ("numeric(38,10)", "n * 12345678901234567890.0000000001"),
    ("numeric(18,0)", "n * 100000000000000"),
    ("numeric(30,0)", "n * 12345678901234567890"),
    ("numeric(5,-2)", "n * 100"),
    ("numeric(60,4)", "n * 1.0001"),
    ("numeric", "case n % 90 when 0 then 'infinity' when 1 then 'NaN' when 2 then 1e-30 else n / 7.0 end"),
    ("boolean", "n % 3 = 0"),
    ("text", "case n % 50 when 0 then '' when 1 then repeat('x', 5000) else 'zwölf \U0001f600 ' || n end"),
    ("varchar(10)", "lpad(n::text, 7, '0')"),
    ("char(9)", "' ' || n"),
    ("name", "'n' || n"),
    ('"char"', 'chr(97 + n % 26)::"char"'),
    ("date", "date '0001-01-01' + n * 900"),
    ("timestamp", SEEN),
    ("timestamp(0)", "timestamp '0001-01-01 00:00:00' + n * interval '2 years'"),
    ("timestamptz", "timestamptz '1900-01-01 00:00:00+02' + n * interval '1 hour 0.25 seconds'"),
    ("time", "time '00:00' + n * interval '20.000001 seconds'"),
    ("uuid", "md5(n::text)::uuid"),
    ("json", "'{\"b\" : ' || n || ', \"a\": [1, 2]}'"),
    ("jsonb", "'{\"b\" : ' || n || ', \"a\": [1, 2]}'"),
    ("xml", "'<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>' || n || '</a>'"),
    ("inet", "'192.168.0.1'::inet + n"),
    ("cidr", "'10.0.0.0/8'"),
    ("macaddr", "'08:00:2b:01:02:03'"),
    ("macaddr8", "'08:00:2b:01:02:03:04:05'"),
    ("bit(3)", "(n % 8)::bit(3)"),
    ("varbit(5)", "B'11'"),
    ("mood", "case n % 2 when 0 then 'sad' else 'happy' end"),
    ("year_of_birth", "1901 + n % 100"),
)  # fmt: skip


@pytest.fixture
def table(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Fill a table whose columns have each type that is read, and each some nulls."""
    with at_postgres(postgres, monkeypatch) as database:
        database.execute("create type mood as enum ('sad', 'happy')")
        database.execute("create domain year_of_birth as int")
        names = ", ".join(f'"c {number}" {kind}' for number, (kind, _) in enumerate(COLUMNS))
        database.execute(f"create table t (id int primary key, seen timestamp, flag boolean, {names})")
        values = ", ".join(
            f"case when (n + {number}) % 11 > 0 then cast({value} as {kind}) end"
            for number, (kind, value) in enumerate(COLUMNS)
        )
        database.execute(
            f"insert into t select n, {SEEN}, n % 5 = 0, {values} from generate_series(1, {ROWS}) n"
        )
    return postgres


def spec_of(**options: Any) -> SqlSource:
    return SqlSource(sql="select * from t", at="env:TEST_DB", **options)


def ingested(root: Path, source: SqlSource) -> tuple[Any, ...]:
    """Return what a dataset version is made of: its digest, its history's rows, and the source's fingerprint."""
    data = DataSpec.model_validate(
        {"sources": {"t": source}, "table": {"key": "id"}, "label": {"column": "flag"}}
    )
    root.mkdir()
    allow(root)
    with Factory.create(root) as factory:
        kept = HistoryStore(factory.artifacts, factory.metadata)
        now, opened = "2026-01-01T00:00:00.000000Z", None
        if source.cursor:
            opened = {"t": read_current_rows("t", source, root, kept, now)[0]}
        done = ingest(factory.context, data, root, scratch=factory.scratch, opened=opened)
        return done.dataset, fingerprint(source, root)


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("options", [{}, {"key": "id", "cursor": "seen"}])
def test_a_dataset_is_the_same_by_adbc(adbc, tmp_path, monkeypatch, options):
    source = spec_of(**options)
    by_psycopg = ingested(tmp_path / "a", source)
    monkeypatch.setenv("TEST_DB", adbc.url("shop"))

    assert by_psycopg == ingested(tmp_path / "b", source)


def frames(root: Path, sql: str = "select * from t", **limits: Any) -> pl.DataFrame:
    """Return the rows of a query as the database's class gives them."""
    allow(root)
    spec = SqlSource(sql=sql, at="env:TEST_DB", limits=QueryLimits(**limits))
    database, query = sql_reader.query_of(spec, root, "sources.s", has_many=True)
    with sql_reader.result_of(database, query) as answer:
        return pl.concat([answer.empty, *answer.frames])


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    "sql",
    [
        "select * from t",
        "select t.id, u.seen from t join t as u on u.id = t.id + 1 where t.id < 2000;",
        'with few as (select id, "c 4" as x from t) select x, count(*) as n from few group by x -- by number',
        "select id, 'it''s %s' as \"a \"\"b\" from t order by id desc limit 100",
        "select * from t where false",
        "values (1, 'a'), (2, null)",
    ],
)
def test_rows_are_the_same_in_the_same_order(adbc, tmp_path, monkeypatch, sql):
    by_psycopg = frames(tmp_path, sql)
    monkeypatch.setenv("TEST_DB", adbc.url("shop"))
    by_adbc = frames(tmp_path, sql)

    assert by_psycopg.schema == by_adbc.schema
    assert by_psycopg.equals(by_adbc)


@pytest.mark.usefixtures("table")
def test_what_fails_is_said_in_the_same_words(adbc, tmp_path, monkeypatch):
    """Also what fails after thousands of rows."""

    def said(sql: str) -> str:
        with pytest.raises(LinewrightError) as error:
            frames(tmp_path, sql)
        return f"{error.value!r} {error.value.to_json()}"

    queries = (
        "select id, 100 / (3990 - id) as x from t",
        "select id, repeat('x', 900) as y, date '2024-01-01' + (id / 3999) * 100000000 as x from t",
        "select case id when 7 then 'infinity' else seen end as x from t",
        "select case id when 7 then time '24:00' end as x from t",
        "select nowhere from t",
    )
    by_psycopg = [said(sql) for sql in queries]
    monkeypatch.setenv("TEST_DB", adbc.url("shop"))

    assert by_psycopg == [said(sql) for sql in queries]


@pytest.mark.usefixtures("table")
def test_texts_that_are_none_are_refused(postgres, adbc, tmp_path, monkeypatch):
    """A database without an encoding holds any bytes."""
    with at_postgres(postgres, monkeypatch) as database:
        database.execute("drop database if exists bytes")
        database.execute("create database bytes encoding 'SQL_ASCII' locale 'C' template template0")
    monkeypatch.setenv("TEST_DB", adbc.url("bytes"))

    with pytest.raises(SpecError, match="the query fails"):
        frames(tmp_path, r"select E'\xff' as x from generate_series(1, 5000)")
    assert 5_000 == frames(tmp_path, "select 'x' as x from generate_series(1, 5000)").height


@pytest.mark.usefixtures("table")
def test_who_has_too_many_rows_is_left_at_once(adbc, tmp_path, monkeypatch):
    """The others are not fetched before the connection is closed."""
    monkeypatch.setenv("TEST_DB", adbc.url("shop"))
    with pytest.raises(LinewrightError, match="more than 1,000 rows"):
        frames(tmp_path, "select generate_series(1, 2000000000) as n", rows=1_000)
    with pytest.raises(Transient, match=r"gave no row for 0\.5 s"):
        frames(tmp_path, "select id from t where pg_sleep(0.2) is not null", seconds=0.5)
