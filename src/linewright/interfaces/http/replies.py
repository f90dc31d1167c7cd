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
    client text not null default '',
    key text not null,
    request text not null,
    owner text not null,
    status integer,
    content_type text,
    body blob,
    unique (client, key)
)
"""
_COLUMNS = "seq, key, request, owner, status, content_type, body"
_BUSY_S = 10.0


class Reply(NamedTuple):
    """One HTTP answer."""

    status: int
    content_type: str
    body: bytes


class Replies(Protocol):
    """Remembers answers by client and key, also across restarts. Each method is one durable transaction; threads may call them.

    A key is free, taken (its request is being carried out), or answered. One whose process died while it was taken
    stays taken for ever: nobody knows how far the request came, and carrying it out twice is what a key forbids.
    """

    def begin(self, key: str, request: str, *, client: str = "") -> Reply | None:
        """Take a free key for the request with this digest; return the answer where there is one.

        Raises
        ------
        Conflict
            If the key belongs to another request, or is taken.
        """
        ...

    def finish(self, key: str, reply: Reply, *, client: str = "") -> None:
        """Keep the answer to a taken key."""
        ...

    def release(self, key: str, *, client: str = "") -> None:
        """Free a taken key, since its request should be tried again."""
        ...


class SqliteReplies:
    """Answers in one SQLite file."""

    def __init__(self, path: Path, *, each: int = 10_000, most: int = 100_000) -> None:
        self._path, self._each, self._most = path, each, most
        self._owner = secrets.token_hex(8)
        with self._transaction() as connection:
            columns = [row[1] for row in connection.execute("pragma table_info(replies)")]
            if columns and "client" not in columns:  # as 0.1.0 began it: keys of all clients together
                connection.execute("alter table replies rename to replies_before")
                connection.execute(_SCHEMA)
                connection.execute(
                    f"insert into replies ({_COLUMNS}) select {_COLUMNS} from replies_before"  # noqa: S608 -- ours
                )
                connection.execute("drop table replies_before")
            connection.execute(_SCHEMA)

    def begin(self, key: str, request: str, *, client: str = "") -> Reply | None:
        """Take a free key, or return the answer that was given."""
        with self._transaction() as connection:
            row = connection.execute(
                # An older file does not say whose a key is.
                "select request, owner, status, content_type, body from replies where key = ? and client in (?, '')"
                " order by client desc",
                (key, client),
            ).fetchone()
            if row is None:
                connection.execute(
                    "insert into replies (client, key, request, owner) values (?, ?, ?, ?)",
                    (client, key, request, self._owner),
                )
                theirs = "select count(*) from replies where client = ?"
                if connection.execute(theirs, (client,)).fetchone()[0] > self._each:
                    self._forget_oldest(connection, client)
                if connection.execute("select count(*) from replies").fetchone()[0] > self._most:
                    (largest,) = connection.execute(
                        "select client from replies group by client order by count(*) desc limit 1"
                    ).fetchone()
                    self._forget_oldest(connection, largest)
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

    def finish(self, key: str, reply: Reply, *, client: str = "") -> None:
        """Keep the answer to a taken key."""
        with self._transaction() as connection:
            connection.execute(
                "update replies set status = ?, content_type = ?, body = ? where client = ? and key = ?",
                (*reply, client, key),
            )

    def release(self, key: str, *, client: str = "") -> None:
        """Free a taken key."""
        with self._transaction() as connection:
            connection.execute(
                "delete from replies where client = ? and key = ? and status is null", (client, key)
            )

    def _forget_oldest(self, connection: sqlite3.Connection, client: str) -> None:
        connection.execute(
            "delete from replies where seq = (select min(seq) from replies where client = ?)", (client,)
        )

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
