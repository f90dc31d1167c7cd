"""Queries on databases, asked of real servers that start here."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from databases import Server, postgres_server

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
