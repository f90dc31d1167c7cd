"""Answers by idempotency key: a write that is sent twice is carried out once."""

import secrets
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from linewright.errors import Conflict, Transient

_SCHEMA = """
create table if not exists replies (
    seq integer primary key autoincrement,
    key text not null unique,
    request text not null,
    owner text not null,
    status integer,
    content_type text,
    body blob
)
"""
_BUSY_S = 10.0


class Reply(NamedTuple):
    """One HTTP answer."""

    status: int
    content_type: str
    body: bytes


class Replies(Protocol):
    """Remembers answers by key, also across restarts. Each method is one durable transaction; threads may call them.

    A key is free, taken (its request is being carried out), or answered. One whose process died while it was taken
    stays taken for ever: nobody knows how far the request came, and carrying it out twice is what a key forbids.
    """

    def begin(self, key: str, request: str) -> Reply | None:
        """Take a free key for the request with this digest; return the answer where there is one.

        Raises
        ------
        Conflict
            If the key belongs to another request, or is taken.
        """
        ...

    def finish(self, key: str, reply: Reply) -> None:
        """Keep the answer to a taken key."""
        ...

    def release(self, key: str) -> None:
        """Free a taken key, since its request should be tried again."""
        ...


class SqliteReplies:
    """Answers in one SQLite file.

    Parameters
    ----------
    path
        The file; made where it is missing. Its folder must exist.
    most
        Answers to keep; older ones are forgotten, and their keys are free again.
    """

    def __init__(self, path: Path, *, most: int = 10_000) -> None:
        self._path, self._most = path, most
        self._owner = secrets.token_hex(8)
        with self._transaction() as connection:
            connection.execute(_SCHEMA)

    def begin(self, key: str, request: str) -> Reply | None:
        """Take a free key, or return the answer that was given."""
        with self._transaction() as connection:
            row = connection.execute(
                "select request, owner, status, content_type, body from replies where key = ?", (key,)
            ).fetchone()
            if row is None:
                connection.execute(
                    "insert into replies (key, request, owner) values (?, ?, ?)", (key, request, self._owner)
                )
                connection.execute(
                    "delete from replies where seq <= (select max(seq) from replies) - ?", (self._most,)
                )
                return None
        before, owner, status, content_type, body = row
        if before != request:
            raise Conflict(
                "this key was used for another request", where="Idempotency-Key", hint="use a new key"
            )
        if status is not None:
            return Reply(status, content_type, body)
        if owner == self._owner:
            raise Conflict(
                "this request is being carried out", where="Idempotency-Key", hint="ask again later"
            )
        raise Conflict(
            "this request was interrupted, and nobody knows how far it came",
            where="Idempotency-Key",
            hint="look at what is there (status, runs), then use a new key",
        )

    def finish(self, key: str, reply: Reply) -> None:
        """Keep the answer to a taken key."""
        with self._transaction() as connection:
            connection.execute(
                "update replies set status = ?, content_type = ?, body = ? where key = ?", (*reply, key)
            )

    def release(self, key: str) -> None:
        """Free a taken key."""
        with self._transaction() as connection:
            connection.execute("delete from replies where key = ? and status is null", (key,))

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection, None, None]:
        # A connection a call, so that any thread may call. `begin immediate`: reading a key and taking it is one
        # step for all processes. Rollback journal: SQLite before 3.51.3 can corrupt a WAL with several writers.
        try:
            with closing(sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)) as connection:
                connection.execute("pragma synchronous = full")
                connection.execute("begin immediate")
                with connection:
                    yield connection
        except sqlite3.DatabaseError as error:
            raise Transient(f"cannot keep answers: {error}", where=str(self._path)) from error
