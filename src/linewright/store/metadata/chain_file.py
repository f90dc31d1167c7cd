"""The chain of events in a file of SQLite, also a copy of one: read as it is, and nothing of it changed or believed."""

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from linewright.errors import Corrupt
from linewright.store.files.disk import explain_sqlite
from linewright.store.metadata.audit_chain import ROOT, Head, Link

_BUSY_S = 30.0
_PAGE = 500


@contextmanager
def open_chain(path: Path) -> Generator[tuple[Head, Iterator[Link]]]:
    """Give the end of the chain of events and the events, oldest first; nothing is verified."""
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            database.text_factory = _text
            database.execute("BEGIN")  # head and events as they are in one instant
            _require_tables(database, path)
            row = database.execute("SELECT entries, digest FROM heads WHERE name = 'events'").fetchone()
            yield Head(int(row[0]), str(row[1])) if row else Head(0, ROOT), _links(database)
    except (sqlite3.Error, TypeError, ValueError) as error:
        found = explain_sqlite(error, str(path)) if isinstance(error, sqlite3.Error) else None
        raise found or Corrupt(f"the record cannot be read: {error}", where=str(path)) from error


def _links(database: sqlite3.Connection) -> Iterator[Link]:
    rows = database.execute(f"SELECT {', '.join(Link._fields)} FROM events ORDER BY seq")  # noqa: S608 -- our own names
    while page := rows.fetchmany(_PAGE):
        for seq, *texts in page:
            # We write text only: anything else becomes another text, with another digest.
            yield Link(int(seq), *(one if isinstance(one, str) else f"no text: {one!r}" for one in texts))


def _require_tables(database: sqlite3.Connection, path: Path) -> None:
    """Require plain tables: a view could make up events."""
    kinds = dict(
        database.execute(
            "SELECT name, upper(substr(sql, 1, 12)) FROM sqlite_master WHERE name IN ('events', 'heads')"
        )
    )
    if kinds != dict.fromkeys(("events", "heads"), "CREATE TABLE"):
        raise Corrupt(
            "not a record of a factory",
            where=str(path),
            allowed="a copy of metadata.sqlite",
            hint="copy it while nothing writes, or take it from a backup",
        )


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"no text: {data.hex()}"
