"""Open a database with the settings that durability needs, and say in our words what went wrong."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.util import LRUCache

from linewright.errors import LinewrightError, SpecError, Transient
from linewright.store.files.disk import explain_sqlite

# The rollback journal, not WAL: SQLite before 3.51.3 can corrupt a WAL database that several processes write.
_PRAGMAS = (
    "busy_timeout=30000",
    "journal_mode=DELETE",
    "synchronous=FULL",
    "foreign_keys=ON",
    "recursive_triggers=ON",
)
_WRITES = "linewright_writes"
_COMPILED = LRUCache[Any, Any](1_000)
"""Queries on SQLite as text, for all factories that a process opens: to make most of them takes longer than to carry them out."""
_DISK_FULL = "53100"
"""PostgreSQL's code."""


def open_database(url: str, *, busy_s: float | None = None) -> sa.Engine:
    """Return an engine for a SQLite or PostgreSQL URL. Nothing is connected yet.

    On SQLite a transaction of `writing` starts with ``BEGIN IMMEDIATE``: it waits for other writers at its start, and
    can then read and write without being refused. A database in memory has one connection, which threads share in turn.
    """
    try:
        parsed = sa.make_url(url)
    except ArgumentError as error:
        raise _not_a_database("not a URL") from error
    match parsed.get_backend_name():
        case "sqlite":
            return _open_sqlite(parsed, busy_s)
        case "postgresql":
            return sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
        case other:
            raise _not_a_database(other)


def _not_a_database(found: str) -> SpecError:
    return SpecError("not a database for a factory", found=found, allowed="sqlite:///FILE, postgresql://…")


def _open_sqlite(url: sa.URL, busy_s: float | None) -> sa.Engine:
    in_memory = url.database in {None, "", ":memory:"}
    engine = sa.create_engine(
        url,
        connect_args={"check_same_thread": False},
        poolclass=sa.QueuePool,
        pool_size=1 if in_memory else 5,
        max_overflow=0 if in_memory else 10,
        execution_options={"compiled_cache": _COMPILED},
    )
    engine.dialect = _dialect()
    event.listen(engine, "connect", partial(_on_connect, busy_s))
    event.listen(engine, "begin", _on_begin)
    return engine


@cache
def _dialect() -> sa.Dialect:
    """Return one dialect for all engines, since what is compiled is of one; it learns from a connection what the library can do.

    Who listens for errors listens to a dialect: of these engines nobody does.
    """
    engine = sa.create_engine("sqlite://")
    engine.connect().close()
    engine.dispose()
    return engine.dialect


def _on_connect(busy_s: float | None, connection: Any, _record: object) -> None:
    set_pragmas(connection, busy_s=busy_s)
    # The driver would begin transactions by its own rules; `_on_begin` does.
    connection.isolation_level = None


def _on_begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def set_pragmas(connection: Any, *, busy_s: float | None = None) -> None:
    """Make a new `sqlite3` connection durable, strict and patient (30 s, or `busy_s`) with other writers; close it on failure."""
    # The first one holds for those after it, which may have to wait.
    pragmas = _PRAGMAS if busy_s is None else (f"busy_timeout={busy_s * 1000:.0f}", *_PRAGMAS[1:])
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise


def open_file(path: Path, *, busy_s: float) -> sqlite3.Connection:
    """Open a SQLite file that is there, to look at it as it is.

    It may be written: what a killed writer left half-done is undone by whoever reads next, and stays unreadable else.
    """
    uri = f"{path.resolve().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=busy_s, isolation_level=None)


@contextmanager
def reading(engine: sa.Engine) -> Generator[sa.Connection]:
    """Run a transaction that only reads."""
    with _transaction(engine, writes=False) as connection:
        yield connection


@contextmanager
def writing(engine: sa.Engine) -> Generator[sa.Connection]:
    """Run a transaction that may write; all of it is durable once the block is left, or none of it happened."""
    with _transaction(engine, writes=True) as connection:
        yield connection


@contextmanager
def _transaction(engine: sa.Engine, *, writes: bool) -> Generator[sa.Connection]:
    try:
        with engine.connect() as connection:
            connection.execution_options(**{_WRITES: writes})
            with connection.begin():
                yield connection
    except DBAPIError as error:
        explained = explain(error, engine.url.render_as_string(hide_password=True))
        if explained is None:
            raise
        raise explained from error
    except PoolTimeout as error:
        where = engine.url.render_as_string(hide_password=True)
        raise Transient("too many things at once", where=where, hint="try again") from error


def explain(error: DBAPIError, where: str) -> LinewrightError | None:
    """Say what an error of a database means for the store and what to do next; `None` if it is a bug of ours."""
    if isinstance(error.orig, sqlite3.Error):
        return explain_sqlite(error.orig, where)
    says = str(error.orig).strip()
    if getattr(error.orig, "sqlstate", None) == _DISK_FULL:
        return Transient("no space is left", where=where, found=says, hint="free some space, then try again")
    if isinstance(error, OperationalError) or error.connection_invalidated:
        hint = "check that the server runs and the URL is right, then try again"
        return Transient("the database did not answer", where=where, found=says, hint=hint)
    return None
