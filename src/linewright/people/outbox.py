"""How far each destination has been told, kept across restarts.

What is to be told is the record itself, whose events are durable and in order: a promotion and its news are kept together or not at
all. The outbox holds a place in it for each destination, so that nothing is lost; a kill repeats at most what was sent since
the place was kept last.
"""

import sqlite3
from collections.abc import Callable, Collection, Generator, Iterable
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from linewright.errors import Transient
from linewright.store.files.disk import explain_sqlite

OUTBOX = "outbox.sqlite"
"""Its file, in the state folder."""
_SCHEMA = (
    """
create table if not exists destinations (
    name text primary key,
    seq integer not null,
    delivered integer not null default 0,
    delivered_at text,
    failures integer not null default 0,
    failing_since text,
    next_at text,
    trouble text not null default ''
)""",
    """
create table if not exists refused (
    name text not null,
    seq integer not null,
    at text not null,
    why text not null,
    primary key (name, seq)
)""",
)
_BUSY_S = 10.0


class Place(NamedTuple):
    """How far one destination has been told."""

    name: str
    seq: int
    """Number of the last event of the record that needs no more telling."""
    delivered: int
    """Events that it took."""
    delivered_at: str | None
    failures: int
    """Tries in a row that failed."""
    failing_since: str | None
    next_at: str | None
    """When it is tried again."""
    trouble: str
    """What went wrong the last time."""


class Outbox:
    """The places of all destinations of a factory, in one SQLite file. Threads and processes may use it at once."""

    def __init__(self, state: Path) -> None:
        self._path = state / OUTBOX

    def places(self) -> dict[str, Place]:
        """Return the places, by name."""
        if not self._is_there():
            return {}
        with self._transaction(writes=False) as connection:
            return {row[0]: Place(*row) for row in connection.execute("select * from destinations")}

    def begin(self, name: str, seq: int) -> None:
        """Begin a destination behind an event; one that is known stays where it is."""
        with self._transaction() as connection:
            connection.execute(
                "insert into destinations (name, seq) values (?, ?) on conflict do nothing", (name, seq)
            )

    def forget(self, names: Iterable[str]) -> None:
        """Forget destinations that are declared no more."""
        with self._transaction() as connection:
            for name in names:
                connection.execute("delete from destinations where name = ?", (name,))
                connection.execute("delete from refused where name = ?", (name,))

    def move(self, name: str, seq: int, *, delivered: int, at: str) -> None:
        """Note that a destination needs no more telling up to an event, of which it took so many."""
        with self._transaction() as connection:
            connection.execute("update destinations set seq = max(seq, ?) where name = ?", (seq, name))
            if delivered:
                connection.execute(
                    "update destinations set delivered = delivered + ?, delivered_at = ?, failures = 0, "
                    "failing_since = null, next_at = null, trouble = '' where name = ?",
                    (delivered, at, name),
                )

    def fail(self, name: str, why: str, *, at: str, next_at: str) -> None:
        """Note that a try failed."""
        with self._transaction() as connection:
            connection.execute(
                "update destinations set failures = failures + 1, failing_since = coalesce(failing_since, ?), "
                "next_at = ?, trouble = ? where name = ?",
                (at, next_at, why, name),
            )

    def set_aside(self, name: str, seq: int, why: str, *, at: str) -> None:
        """Note that a destination refuses one event, so that those after it need not wait for it."""
        with self._transaction() as connection:
            connection.execute(
                "insert into refused (name, seq, at, why) values (?, ?, ?, ?) on conflict (name, seq) do update set why = excluded.why",
                (name, seq, at, why),
            )
            connection.execute("update destinations set seq = max(seq, ?) where name = ?", (seq, name))

    def refused(self, name: str) -> dict[int, str]:
        """Return the events that a destination refused: number → why."""
        if not self._is_there():
            return {}
        with self._transaction(writes=False) as connection:
            return dict(
                connection.execute(
                    "select seq, why from refused where name = ? order by seq", (name,)
                ).fetchall()
            )

    def refusing(self) -> set[str]:
        """Return the destinations that refused anything."""
        if not self._is_there():
            return set()
        with self._transaction(writes=False) as connection:
            return {name for (name,) in connection.execute("select distinct name from refused")}

    def taken(self, name: str, seqs: Collection[int]) -> None:
        """Note that a destination took events that it had refused."""
        with self._transaction() as connection:
            connection.executemany(
                "delete from refused where name = ? and seq = ?", [(name, seq) for seq in seqs]
            )

    def forget_texts(self, are_about: Callable[[str], bool]) -> None:
        """Empty what went wrong where that is about somebody: a receiver may repeat what it was sent."""
        if not self._is_there():
            return
        with self._transaction() as connection:
            for table, column in (("destinations", "trouble"), ("refused", "why")):
                rows = connection.execute(f"select rowid, {column} from {table}").fetchall()  # noqa: S608 -- names of this method
                those = [(row,) for row, text in rows if are_about(text)]
                connection.executemany(f"update {table} set {column} = '' where rowid = ?", those)  # noqa: S608
        with self._connection() as connection:
            # Free pages may have what was there before.
            connection.execute("vacuum")

    def _is_there(self) -> bool:
        # Empty is what a kill leaves of the first write.
        return self._path.is_file() and self._path.stat().st_size > 0

    @contextmanager
    def _transaction(self, *, writes: bool = True) -> Generator[sqlite3.Connection]:
        with self._connection() as connection:
            connection.execute("begin immediate" if writes else "begin")
            with connection:
                if writes:
                    for table in _SCHEMA:
                        connection.execute(table)
                yield connection

    @contextmanager
    def _connection(self) -> Generator[sqlite3.Connection]:
        # A connection a call, so that any thread may call. Rollback journal: SQLite before 3.51.3 can corrupt a WAL with several writers.
        try:
            with closing(sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)) as connection:
                connection.execute("pragma synchronous = full")
                yield connection
        except sqlite3.Error as error:
            found = explain_sqlite(error, str(self._path))
            raise found or Transient(f"cannot keep what was told: {error}", where=str(self._path)) from error
