"""Queries on databases, asked of real servers that start here."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import polars as pl
import psycopg
import pytest
from databases import Server, mariadb_server, postgres_server

from linewright.data.spec import SourceSpec, SqlSource
from linewright.testing.sources import SourceContract, Texts, Write

FACTORY = "format: 1\nhosts: [localhost]\n"


def allow(root: Path) -> None:
    """Let sources read from this machine: in a folder, and in the one beside it that a copy of its files goes to."""
    for folder in (root, root.parent / "there"):
        if folder.is_dir():
            (folder / "factory.yaml").write_text(FACTORY)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def at_postgres(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """Connect to an empty database, which `env:TEST_DB` names."""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as server:
        server.execute("drop database if exists shop with (force)")
        server.execute("create database shop")
    monkeypatch.setenv("TEST_DB", postgres.url("shop"))
    with psycopg.connect(postgres.url("shop"), autocommit=True) as connection:
        yield connection


class TestPostgres(SourceContract):
    @pytest.fixture
    def write(self, at_postgres: psycopg.Connection) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            allow(root)
            names = [name.replace('"', '""') for name in texts]
            typed = ", ".join(f'"{name}" text' for name in names)
            at_postgres.execute("drop table if exists t")
            at_postgres.execute(f"create table t (row_number serial, {typed})")
            columns = ", ".join(f'"{name}"' for name in names)
            marks = ", ".join(["%s"] * len(names))
            with at_postgres.cursor() as cursor:
                insert = f"insert into t ({columns}) values ({marks})"  # noqa: S608 -- names of this test
                cursor.executemany(insert, list(zip(*texts.values(), strict=True)))
            query = f"select {columns} from t order by row_number"  # noqa: S608
            return SqlSource(sql=query, at="env:TEST_DB")

        return write


@pytest.fixture(scope="module")
def mariadb() -> Iterator[Server]:
    pytest.importorskip("pymysql")
    with mariadb_server() as server:
        yield server


@pytest.fixture
def at_mariadb(mariadb: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Connect to an empty database, which `env:TEST_DB` names."""
    import pymysql

    password = unquote(mariadb.password)
    monkeypatch.setenv("TEST_DB", mariadb.url("shop"))
    with (
        pymysql.connect(
            host="127.0.0.1", port=mariadb.port, user=mariadb.user, password=password, autocommit=True
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("drop database if exists shop")
        cursor.execute("create database shop character set utf8mb4")
        cursor.execute("use shop")
        yield cursor


class TestMariaDb(SourceContract):
    @pytest.fixture
    def write(self, at_mariadb: Any) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            allow(root)
            names = [name.replace("`", "``") for name in texts]
            typed = ", ".join(f"`{name}` text" for name in names)
            at_mariadb.execute("drop table if exists t")
            at_mariadb.execute(f"create table t (row_number_ serial, {typed})")
            columns = ", ".join(f"`{name}`" for name in names)
            marks = ", ".join(["%s"] * len(names))
            insert = f"insert into t ({columns}) values ({marks})"  # noqa: S608 -- names of this test
            if rows := list(zip(*texts.values(), strict=True)):
                at_mariadb.executemany(insert, rows)
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
