"""Whether the databases of a state have the schemas that our own code gives them, and nothing that acts by itself besides."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path

from linewright.errors import Terminal
from linewright.people.annotations import FOLDER as ANNOTATE
from linewright.people.annotations import schema_at as annotations_at
from linewright.serve.feedback.store import schema_at
from linewright.store.files.names import is_line_name
from linewright.store.metadata.database import open_file
from linewright.store.metadata.schema import Part, differences, schema_of, strangers
from linewright.store.metadata.sql import REVISIONS
from linewright.store.pushed_rows import FOLDER as PUSH
from linewright.store.pushed_rows import schema_at as pushed_at

METADATA, FEEDBACK = "metadata.sqlite", "feedback"
_OF_LINES = {ANNOTATE: annotations_at, FEEDBACK: schema_at, PUSH: pushed_at}
"""Folders that have a database a line, or a source, and what gives the schema of a version of one."""
OTHERS = ("engine.sqlite", "replies.sqlite", "outbox.sqlite")
"""Databases whose schema is that of a library, or of another room: tables and indexes, and nothing that acts by itself."""
_BUSY_S = 10.0


def databases_of(state: Path) -> Iterator[Path]:
    """Give the databases of a state that are there."""
    yield from (path for name in (METADATA, *OTHERS) if (path := state / name).is_file())
    yield from databases_of_lines(state)


def databases_of_lines(state: Path, *folders: str) -> Iterator[Path]:
    """Give the databases that each have something of one line or source, of some folders (default: all)."""
    for folder in folders or _OF_LINES:
        yield from sorted((state / folder).glob("*.sqlite"))


def strange_in(path: Path) -> list[str]:
    """Say what of the schema of one of the databases is not as our code makes it. Nothing in it is carried out.

    Raises
    ------
    Terminal
        If it was written by a newer Linewright.
    sqlite3.DatabaseError
        If it cannot be read.
    """
    with closing(open_file(path, busy_s=_BUSY_S)) as database:
        database.execute("PRAGMA trusted_schema = OFF")
        of_line = _OF_LINES.get(path.parent.name)
        if path.name in OTHERS and of_line is None:
            return list(strangers(database))
        made = _metadata(database) if of_line is None else of_line(_version(database))
        return list(differences(schema_of(database), made))


def names_in(metadata: Path) -> list[str]:
    """Return what stands in a record where names of lines do and is none."""
    with closing(open_file(metadata, busy_s=_BUSY_S)) as database:
        rows = database.execute("SELECT line FROM pointers UNION SELECT line FROM models").fetchall()
        return sorted(str(line) for (line,) in rows if not (isinstance(line, str) and is_line_name(line)))


def _metadata(database: sqlite3.Connection) -> frozenset[Part]:
    is_there = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    row = database.execute("SELECT version_num FROM alembic_version").fetchone() if is_there else None
    if row is not None and row[0] not in REVISIONS:
        raise Terminal(
            "the record was written by a newer Linewright",
            found=str(row[0])[:100],
            allowed=", ".join(REVISIONS),
            hint="upgrade this installation",
        )
    # By name, since Alembic takes a third of a second to import.
    return import_module("linewright.store.metadata.migrations").schema_at(
        row[0] if row is not None else REVISIONS[-1]
    )


def _version(database: sqlite3.Connection) -> int:
    return database.execute("PRAGMA user_version").fetchone()[0]
