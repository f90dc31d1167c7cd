"""The schema of a SQLite file, compared with what our own code makes: a trigger or a view of others does what it likes, by our hand."""

import re
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

_SPACE = re.compile(r'[\s"`]+')
_CALLED = re.compile(r'(\w+)"?\s*\(')
_OF_SQLITE = {"sqlite_stat1", "sqlite_stat4"}
"""Tables that SQLite makes by itself when it counts for its planner."""
_HARMLESS = frozenset(
    {
        "cast",
        "check",
        "default",
        "exists",
        "hex",
        "in",
        "key",
        "randomblob",
        "references",
        "strftime",
        "unique",
    }
)
"""What may stand before a parenthesis in a table or an index, beside its name: words, and functions that reach nothing."""


class Part(NamedTuple):
    """A table, index, view or trigger."""

    kind: str
    name: str
    table: str
    sql: str
    """As it was made, without spaces and quotes, which differ by version of what wrote it; empty where SQLite made it."""


def schema_of(database: sqlite3.Connection) -> frozenset[Part]:
    """Return all parts of a schema. Nothing of it is carried out."""
    rows = database.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master").fetchall()
    return frozenset(
        Part(kind, name, table, _SPACE.sub("", sql).lower())
        for kind, name, table, sql in rows
        if not (kind == "table" and name in _OF_SQLITE)
    )


def differences(found: frozenset[Part], made: frozenset[Part]) -> Iterator[str]:
    """Say in which parts a schema is another than the one that our code makes."""
    known = {(one.kind, one.name): one for one in made}
    there = {(one.kind, one.name) for one in found}
    for one in sorted(found - made):
        is_known = (one.kind, one.name) in known
        yield f"the {one.kind} {one.name!r} is {'another one' if is_known else 'not ours'}"
    for kind, name in sorted(known.keys() - there):
        yield f"the {kind} {name!r} is missing"


def strangers(database: sqlite3.Connection) -> Iterator[str]:
    """Say what of a schema is more than tables and indexes of plain columns: for files whose schema is another library's."""
    rows = database.execute(
        "SELECT type, name, coalesce(sql, '') FROM sqlite_master ORDER BY 1, 2"
    ).fetchall()
    named = {name.lower() for kind, name, _ in rows if kind == "table"}
    for kind, name, sql in rows:
        if kind not in {"table", "index"} or _SPACE.sub("", sql).lower().startswith("createvirtual"):
            yield f"the {kind} {name!r} is not ours"
        elif called := {word.lower() for word in _CALLED.findall(sql)} - named - _HARMLESS:
            yield f"the {kind} {name!r} calls {', '.join(sorted(called))}"
