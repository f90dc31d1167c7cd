"""Each type of a database comes right, or is refused with its column and what to write instead."""

# ruff: noqa: S608 -- the names and values are those of these tests

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from databases import allow, at_mariadb, at_postgres
from sqlserver import at_sqlserver
from tds_values import TYPES, Column, decimal_type

from linewright.data.read.source import open_source
from linewright.data.spec import SqlSource
from linewright.errors import SpecError, Transient

UTC_NOON = datetime(2024, 5, 1, 12, 30, 15, 250_000, tzinfo=UTC)
NAIVE = datetime(2024, 5, 1, 12, 30, 15, 250_000)

# Each: how it is declared, a value in SQL, and what a table holds.
POSTGRES_READ: tuple[tuple[str, str, Any], ...] = (
    ("smallint", "-32768", -32768),
    ("integer", "2147483647", 2147483647),
    ("bigint", "-9223372036854775808", -(2**63)),
    ("serial", "7", 7),
    ("oid", "4294967295", 4294967295),
    ("real", "0.1", 0.1),
    ("double precision", "0.1", 0.1),
    ("float8", "'infinity'", float("inf")),
    ("float4", "'NaN'", None),
    ("numeric(10,2)", "12345678.90", Decimal("12345678.90")),
    (
        "numeric(38,10)",
        "1234567890123456789012345678.0123456789",
        Decimal("1234567890123456789012345678.0123456789"),
    ),
    ("numeric(10,2)", "'NaN'", None),
    ("numeric(18,0)", "999999999999999999", 10**18 - 1),
    ("numeric(30,0)", "123456789012345678901234567890", "123456789012345678901234567890"),
    ("numeric(30,0)", "-9223372036854775808", -(2**63)),
    ("numeric(5,-2)", "12345", 12300.0),
    ("numeric(60,4)", "1.5", 1.5),
    ("numeric", "0.1", 0.1),
    ("numeric", "'-infinity'", float("-inf")),
    ("boolean", "true", True),
    ("text", "' zwölf '", "zwölf"),
    ("varchar(10)", "'007'", "007"),
    ("char(5)", "'ab'", "ab"),
    ("name", "'n'", "n"),
    ('"char"', "'c'", "c"),
    ("date", "'2024-05-01'", date(2024, 5, 1)),
    ("date", "'0001-01-01'", date(1, 1, 1)),
    ("timestamp", "'2024-05-01 12:30:15.25'", NAIVE),
    ("timestamp(0)", "'2024-05-01 12:30:15'", datetime(2024, 5, 1, 12, 30, 15)),
    ("timestamptz", "'2024-05-01 14:30:15.25+02'", UTC_NOON),
    ("time", "'12:30:15.25'", time(12, 30, 15, 250_000)),
    ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("json", "'{\"a\": [1, 2]}'", '{"a": [1, 2]}'),
    ("jsonb", "'{\"b\":1}'", '{"b": 1}'),
    ("xml", "'<a/>'", "<a/>"),
    ("inet", "'192.168.0.1/24'", "192.168.0.1/24"),
    ("cidr", "'10.0.0.0/8'", "10.0.0.0/8"),
    ("macaddr", "'08:00:2b:01:02:03'", "08:00:2b:01:02:03"),
    ("macaddr8", "'08:00:2b:01:02:03:04:05'", "08:00:2b:01:02:03:04:05"),
    ("bit(3)", "B'101'", "101"),
    ("varbit(5)", "B'11'", "11"),
    ("mood", "'sad'", "sad"),
    ("year_of_birth", "1984", 1984),
)
# Each: how it is declared, a value in SQL, and what the query is to say instead, which then is read.
POSTGRES_REFUSED: tuple[tuple[str, str, str, Any], ...] = (
    ("money", "12.5", 'cast("x" as numeric) as "x"', 12.5),
    ("interval", "'1 day 2 hours'", 'extract(epoch from "x") as "x"', 93600.0),
    ("bytea", "'\\xdead'", 'encode("x", \'hex\') as "x"', "dead"),
    ("text[]", "'{a,\"b c\",null}'", 'to_json("x") as "x"', '["a","b c",null]'),
    ("integer[]", "'{{1,2},{3,4}}'", 'to_json("x") as "x"', "[[1,2],[3,4]]"),
    ("mood[]", "'{sad}'", 'to_json("x") as "x"', '["sad"]'),
    ("int4range", "'[1,5)'", 'lower("x") as x_from, upper("x") as x_to', 1),
    ("tstzrange", "'[2024-05-01 14:30:15.25+02,)'", 'lower("x") as x_from, upper("x") as x_to', UTC_NOON),
    ("int4multirange", "'{[1,2)}'", 'lower("x") as x_from, upper("x") as x_to', 1),
    ("timetz", "'12:00+02'", 'cast("x" as text) as "x"', "12:00:00+02"),
    ("point", "'(1,2)'", 'cast("x" as text) as "x"', "(1,2)"),
    ("tsvector", "'a b'", 'cast("x" as text) as "x"', "'a' 'b'"),
    ("pg_lsn", "'0/10'", 'cast("x" as text) as "x"', "0/10"),
    ("pair", "row(1, 2)", 'cast("x" as text) as "x"', "(1,2)"),
)
# Values that no date or time of a table can be, whatever their column's type.
POSTGRES_ENDLESS = (
    ("date", "'infinity'"),
    ("date", "'0044-03-15 BC'"),
    ("date", "'10000-01-01'"),
    ("timestamp", "'-infinity'"),
    ("timestamptz", "'infinity'"),
    ("timestamptz", "'0044-03-15 BC'"),
    ("time", "'24:00'"),
)


def read(query: str, root: Path) -> pl.DataFrame:
    """Return what a query on `env:TEST_DB` gives."""
    allow(root)
    source = open_source("s", SqlSource(sql=query, at="env:TEST_DB"), root)
    return pl.concat(batch.frame for batch in source.batches())


def refusal(query: str, root: Path) -> SpecError:
    with pytest.raises(SpecError) as refused:
        read(query, root)
    return refused.value


@pytest.mark.parametrize("driver", ["", "adbc"])
def test_each_type_of_postgresql_comes_right_or_is_refused_by_name(postgres, driver, tmp_path, monkeypatch):
    """Some 40 types; each column has a value and a row without one."""
    with at_postgres(replace(postgres, driver=driver), monkeypatch) as database:
        database.execute("create type mood as enum ('sad', 'happy')")
        database.execute("create type pair as (a int, b int)")
        database.execute("create domain year_of_birth as int check (value > 1900)")
        database.execute("set timezone = 'Asia/Tokyo'")  # of who writes; who reads has another
        columns = ", ".join(f"c{n} {kind}" for n, (kind, _, _) in enumerate(POSTGRES_READ))
        database.execute(f"create table t ({columns})")
        values = ", ".join(value for _, value, _ in POSTGRES_READ)
        database.execute(f"insert into t values ({values})")
        nothing = ", ".join("0" if kind == "serial" else "null" for kind, _, _ in POSTGRES_READ)
        database.execute(f"insert into t values ({nothing})")

        first, second = read("select * from t", tmp_path).rows()

        for (kind, _, expected), found in zip(POSTGRES_READ, first, strict=True):
            assert (kind, expected) == (kind, found)
            assert type(expected) is type(found), kind
        assert {None, 0} == set(second)

        for kind, value, instead, expected in POSTGRES_REFUSED:
            query = f"select cast({value} as {kind}) as x"
            error = refusal(query, tmp_path)

            assert error.what.startswith("column 'x' has a type that is not read"), kind
            assert instead in error.hint, kind
            assert expected == read(f"select {instead} from ({query}) as q", tmp_path).item(0, 0)

        for kind, value in POSTGRES_ENDLESS:
            error = refusal(f"select 1 as id, cast({value} as {kind}) as seen", tmp_path)

            assert error.what.startswith("column 'seen' has a value that no"), kind
            assert "cast(seen as text) as seen" in error.hint
        fixed = "select nullif(x, 'infinity') as x from (select date 'infinity' as x) as q"

        assert [None] == read(fixed, tmp_path)["x"].to_list()


MARIADB_READ: tuple[tuple[str, str, Any], ...] = (
    ("tinyint", "-128", -128),
    ("tinyint(1)", "1", 1),
    ("boolean", "true", 1),
    ("tinyint unsigned", "255", 255),
    ("smallint", "-32768", -32768),
    ("mediumint", "8388607", 8388607),
    ("int unsigned", "4294967295", 4294967295),
    ("bigint", "-9223372036854775808", -(2**63)),
    ("bigint unsigned", "18446744073709551615", "18446744073709551615"),
    ("bigint unsigned", "9223372036854775807", 2**63 - 1),
    ("decimal(10,2)", "-12345678.90", Decimal("-12345678.90")),
    (
        "decimal(38,10)",
        "-1234567890123456789012345678.0123456789",
        Decimal("-1234567890123456789012345678.0123456789"),
    ),
    ("decimal(12,3) unsigned", "123456789.125", Decimal("123456789.125")),
    ("decimal(18,0)", "999999999999999999", 10**18 - 1),
    ("decimal(20,0)", "99999999999999999999", "99999999999999999999"),
    ("decimal(20,0)", "7", 7),
    ("decimal(65,10)", "1.5", 1.5),
    ("float", "0.1", 0.1),
    ("double", "0.1", 0.1),
    ("date", "'2024-05-01'", date(2024, 5, 1)),
    ("datetime(6)", "'2024-05-01 12:30:15.25'", NAIVE),
    ("datetime", "'2024-05-01 12:30:15'", datetime(2024, 5, 1, 12, 30, 15)),
    ("timestamp(6) null", "'2024-05-01 14:30:15.25'", UTC_NOON),
    ("time(6)", "'12:30:15.25'", time(12, 30, 15, 250_000)),
    ("year", "2024", 2024),
    ("char(5)", "'ab'", "ab"),
    ("varchar(10)", "' zwölf '", "zwölf"),
    ("text", "'007'", "007"),
    ("longtext", "'x'", "x"),
    ("enum('red','blue')", "'blue'", "blue"),
    ("set('a','b')", "'a,b'", "a,b"),
    ("json", "'{\"a\": 1}'", '{"a": 1}'),
    ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("inet6", "'::1'", "::1"),
)
MARIADB_REFUSED: tuple[tuple[str, str, str, Any], ...] = (
    ("bit(3)", "b'101'", "`x` + 0 as `x`", 5),
    ("blob", "'ab'", "hex(`x`) as `x`", "6162"),
    ("varbinary(3)", "'ab'", "hex(`x`) as `x`", "6162"),
    ("point", "point(1, 2)", "st_astext(`x`) as `x`", "POINT(1 2)"),
)
MARIADB_ENDLESS = (
    ("date", "'0000-00-00'", "nullif(x, '0000-00-00') as x"),
    ("datetime", "'0000-00-00 00:00:00'", "nullif(x, '0000-00-00 00:00:00') as x"),
    ("date", "'2024-00-00'", "cast(x as char) as x"),
    ("time", "'-25:00:00'", "cast(x as char) as x"),
)


def test_each_type_of_mariadb_comes_right_or_is_refused_by_name(mariadb, tmp_path, monkeypatch):
    """Numbers without a sign, decimals, enums, zero dates: nothing is guessed."""
    with at_mariadb(mariadb, monkeypatch) as database:
        database.execute("set time_zone = '+02:00'")
        database.execute("set sql_mode = ''")  # as of old tables: else it takes no zero dates
        columns = ", ".join(f"c{n} {kind}" for n, (kind, _, _) in enumerate(MARIADB_READ))
        database.execute(f"create table t ({columns})")
        database.execute(f"insert into t values ({', '.join(value for _, value, _ in MARIADB_READ)})")
        database.execute("insert into t values ()")

        first, second = read("select * from t", tmp_path).rows()

        for (kind, _, expected), found in zip(MARIADB_READ, first, strict=True):
            assert (kind, expected) == (kind, found)
            assert type(expected) is type(found), kind
        assert {None} == set(second)

        for kind, value, instead, expected in MARIADB_REFUSED:
            database.execute("drop table if exists r")
            database.execute(f"create table r (x {kind})")
            database.execute(f"insert into r values ({value})")
            error = refusal("select * from r", tmp_path)

            assert error.what.startswith("column 'x' has a type that is not read"), kind
            assert instead in error.hint, kind
            assert expected == read(f"select {instead} from r", tmp_path).item()

        for kind, value, instead in MARIADB_ENDLESS:
            database.execute("drop table if exists r")
            database.execute(f"create table r (x {kind})")
            database.execute(f"insert into r values ({value})")
            error = refusal("select * from r", tmp_path)

            assert error.what.startswith("column 'x' has a value that no"), kind
            assert instead in error.hint, kind
            read(f"select {instead} from r", tmp_path)


# Each: the type, a value as the server's program has it, and what a table holds.
SQLSERVER_READ: tuple[tuple[str, Any, Any], ...] = (
    ("bigint", -(2**63), -(2**63)),
    ("int", -(2**31), -(2**31)),
    ("smallint", -7, -7),
    ("tinyint", 255, 255),
    ("bit", 1, True),
    ("bit", 0, False),
    ("float", 0.1, 0.1),
    ("float", 5e-324, 5e-324),
    ("real", 0.5, 0.5),
    ("decimal(10,2)", Decimal("-12345678.90"), Decimal("-12345678.90")),
    ("decimal(18,0)", 10**18 - 1, 10**18 - 1),
    ("decimal(30,0)", 10**29 + 1, str(10**29 + 1)),
    ("decimal(38,10)", Decimal("-1234567890123456789012345678.0123456789"), Decimal("-1234567890123456789012345678.0123456789")),
    ("decimal(38,38)", Decimal("0.00000000000000000000000000000000000001"), Decimal("1e-38")),
    ("money", Decimal("-922337203685477.5808"), Decimal("-922337203685477.5808")),
    ("smallmoney", Decimal("214748.3647"), Decimal("214748.3647")),
    ("date", date(1, 1, 1), date(1, 1, 1)),
    ("date", date(9999, 12, 31), date(9999, 12, 31)),
    ("time", time(12, 30, 15, 250_000), time(12, 30, 15, 250_000)),
    ("datetime2", NAIVE, NAIVE),
    ("datetime2", datetime(9999, 12, 31, 23, 59, 59, 999_999), datetime(9999, 12, 31, 23, 59, 59, 999_999)),
    ("datetime", datetime(2024, 5, 1, 12, 30, 15, 7_000), datetime(2024, 5, 1, 12, 30, 15, 7_000)),
    ("smalldatetime", datetime(2024, 5, 1, 12, 30), datetime(2024, 5, 1, 12, 30)),
    ("datetimeoffset", UTC_NOON.astimezone(timezone(timedelta(hours=-9.5))), UTC_NOON),
    ("nvarchar", " zwölf \U0001f600", "zwölf \U0001f600"),
    ("nvarchar(max)", "x" * 10_000, "x" * 10_000),
    ("nchar", "ab", "ab"),
    ("varchar", "12 €", "12 €"),
    ("varchar(max)", "é" * 5_000, "é" * 5_000),
    ("xml", "<a>ü</a>", "<a>ü</a>"),
    ("uniqueidentifier", "6f9619ff-8b86-d011-b42d-00c04fc964ff", "6F9619FF-8B86-D011-B42D-00C04FC964FF"),
)  # fmt: skip
SQLSERVER_REFUSED = (
    ("varbinary", "convert(varchar(max), [x], 2) as [x]"),
    ("rowversion", "cast([x] as bigint) as [x]"),
    ("sql_variant", "cast([x] as nvarchar(4000)) as [x]"),
    ("hierarchyid", "[x].ToString() as [x]"),
)


def test_each_type_of_sqlserver_comes_right_or_is_refused_by_name(sqlserver, tmp_path, monkeypatch):
    """As the protocol has them: DuckDB, which carries out the queries here, lacks some."""
    with at_sqlserver(sqlserver, monkeypatch) as server:
        columns = [
            Column(
                f"c{n}",
                decimal_type(*map(int, kind[8:-1].split(","))) if kind.startswith("decimal") else TYPES[kind],
            )
            for n, (kind, *_) in enumerate(SQLSERVER_READ)
        ]
        nothing = [None] * len(columns)
        server.canned["select * from t"] = columns, [[value for _, value, _ in SQLSERVER_READ], nothing]

        first, second = read("select * from t", tmp_path).rows()

        for (kind, _, expected), found in zip(SQLSERVER_READ, first, strict=True):
            assert (kind, expected) == (kind, found)
            assert type(expected) is type(found), kind
        assert {None} == set(second)
        for kind, instead in SQLSERVER_REFUSED:
            server.canned["select * from r"] = [Column("x", TYPES[kind])], []
            error = refusal("select * from r", tmp_path)

            assert error.what.startswith("column 'x' has a type that is not read"), kind
            assert instead in error.hint, kind


def test_each_type_of_duckdb_comes_right_or_is_refused_by_name(tmp_path, monkeypatch):
    """Its own types are wider than those of a table."""
    monkeypatch.setenv("TEST_DB", "duckdb:///a.duckdb")
    kept: tuple[tuple[str, Any], ...] = (
        ("1::utinyint", 1),
        ("18446744073709551615::ubigint", "18446744073709551615"),
        ("170141183460469231731687303715884105::hugeint", "170141183460469231731687303715884105"),
        ("7::hugeint", 7),
        ("1.50::decimal(10,2)", Decimal("1.50")),
        ("0.5::float", 0.5),
        ("'nan'::double", None),
        ("true", True),
        ("date '2024-05-01'", date(2024, 5, 1)),
        ("timestamp '2024-05-01 12:30:15.25'", NAIVE),
        ("timestamp_ns '2024-05-01 12:30:15.25'", NAIVE),
        ("timestamptz '2024-05-01 14:30:15.25+02'", UTC_NOON),
        ("time '12:30:15.25'", time(12, 30, 15, 250_000)),
        ("'a'::enum('a', 'b')", "a"),
        ("uuid 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("'{\"a\":1}'::json", '{"a":1}'),
        ("null", None),
    )
    refused = (
        ("[1, 2]", 'to_json("x") as "x"', "[1,2]"),
        ("interval '2 hours'", 'epoch("x") as "x"', 7200.0),
        ("'ab'::blob", 'hex("x") as "x"', "6162"),
        ("{'a': 1}", 'cast("x" as varchar) as "x"', "{'a': 1}"),
        ("'101'::bit", 'cast("x" as varchar) as "x"', "101"),
    )
    with duckdb.connect(tmp_path / "a.duckdb") as database:
        database.execute(
            f"create table t as select {', '.join(f'{sql} as c{n}' for n, (sql, _) in enumerate(kept))}"
        )

    (found,) = read("select * from t", tmp_path).rows()

    assert tuple(value for _, value in kept) == found
    for sql, instead, expected in refused:
        error = refusal(f"select {sql} as x", tmp_path)

        assert instead in error.hint
        assert expected == read(f"select {instead} from (select {sql} as x)", tmp_path).item()
    far = ("date 'infinity'", "timestamp '-infinity'", "timestamptz 'infinity'", "date '12000-01-01'")
    for sql in (*far, "time '24:00:00'"):
        assert "cast(x as varchar) as x" in refusal(f"select {sql} as x", tmp_path).hint


def test_each_declared_type_of_sqlite_comes_right_or_is_refused_by_name(tmp_path, monkeypatch):
    """SQLite types values, not columns: what a table declares counts, and a value of another type is none."""
    monkeypatch.setenv("TEST_DB", "sqlite:///a.db")
    kept: tuple[tuple[str, Any, Any], ...] = (
        ("integer", 2**63 - 1, 2**63 - 1),
        ("unsigned big int", 7, 7),
        ("varchar(10)", "007", "007"),
        ("text", "2024-05-01", "2024-05-01"),
        ("real", 0.1, 0.1),
        ("decimal(10, 2)", 1.5, 1.5),
        ("numeric", 2, 2.0),
        ("boolean", 1, True),
        ("date", "2024-05-01", date(2024, 5, 1)),
        ("datetime", "2024-05-01T12:30:15.25", NAIVE),
        ("timestamp", "2024-05-01 12:30:15.250000", NAIVE),
        ("time", "12:30:15.25", time(12, 30, 15, 250_000)),
        ("double precision", None, None),
    )
    refused = (
        ("integer", "seven"),
        ("date", 20_240_501),
        ("datetime", "2024-05-01"),
        ("text", b"x"),
        ("boolean", 2),
    )
    with closing(sqlite3.connect(tmp_path / "a.db")) as database, database:
        for table, given in (("t", [(kind, value) for kind, value, _ in kept]), ("r", refused)):
            columns = ", ".join(f"c{n} {kind}" for n, (kind, _) in enumerate(given))
            database.execute(f"create table {table} ({columns}, u)")
            marks = ", ".join("?" * (len(given) + 1))
            database.execute(f"insert into {table} values ({marks})", [*(value for _, value in given), 1])

    (found,) = read(f"select {', '.join(f'c{n}' for n in range(len(kept)))} from t", tmp_path).rows()

    assert tuple(value for *_, value in kept) == found
    for n, (kind, _) in enumerate(refused):
        error = refusal(f"select c{n} as x from r", tmp_path)

        assert error.what.startswith("column 'x' has a value that no"), kind
        assert "cast(x as text) as x" in error.hint, kind
    for sql in ("u", "count(*)"):
        assert 'cast("x" as text) as "x"' in refusal(f"select {sql} as x from t", tmp_path).hint
    assert 1 == read("select cast(count(*) as integer) as x from t", tmp_path).item()


def test_a_sqlite_database_is_only_read_and_the_file_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_DB", "sqlite:///a.db")
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as database:
        database.execute("create table t (x integer)")
        for sql in (
            "delete from t",
            "select 1) ; drop table t; select (1",
            "select x from t) as q; --",
            "create temp view linewright_described as select 1",
            "pragma table_info(t)",
            "select load_extension('x') as x",
            "attach '/tmp/other.db' as other",
        ):
            assert refusal(sql, tmp_path).where == "sources.s.sql", sql
        database.execute("begin exclusive")
        monkeypatch.setattr("linewright.data.read.sqlite_query._BUSY_S", 0.01)
        with pytest.raises(
            Transient, match="source 's' is kept from others by a process that writes"
        ) as error:
            read("select x from t", tmp_path)

    assert (6, "sources.s.at") == (error.value.exit_code, error.value.where)
