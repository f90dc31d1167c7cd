"""Queries on databases, asked of real servers that start here."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import psycopg
import pytest
from databases import Server, allow, at_mariadb, at_postgres

from linewright.data.spec import SourceSpec, SqlSource
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
