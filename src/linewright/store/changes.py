"""Changes in an SQLite file, one after the other, each with a digest of itself and of all before it.

Rows only come to such a table. The digest of the last one goes into the factory's record now and then: from then on no row before it can be
altered, removed or put in between unseen.
"""

import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from linewright.store.values import digest_of_bytes

NONE = "sha256:" + "0" * 64
"""What the first change is chained to."""
_BATCH = 10_000
MOST_KEPT = 14
"""Columns of a table whose changes are entered, at most."""


class Chained(NamedTuple):
    """The end of a chain of changes."""

    changes: int
    """Number of the last change, from 1; those that were removed for good leave gaps."""
    digest: str


START = Chained(0, NONE)
"""The end of a chain without changes."""


class ChangeLog(NamedTuple):
    """A table of changes, whose column ``seq`` numbers them."""

    table: str
    columns: tuple[str, ...]
    """What of a change is chained."""
    what: str
    """What it is about, in the plural, for messages."""

    def follow(self, database: sqlite3.Connection, since: Chained = START) -> Iterator[Chained]:
        """Chain the changes behind an end, and give each new one."""
        names, end = ", ".join(self.columns), since
        query = f"SELECT {names}, seq FROM {self.table} WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608 -- names of this package
        while rows := database.execute(query, (end.changes, _BATCH)).fetchall():
            for row in rows:
                entered = msgspec.json.encode(
                    [one.hex() if isinstance(one, bytes) else one for one in row[:-1]]
                )
                end = Chained(row[-1], digest_of_bytes(end.digest.encode() + b"\n" + entered))
                yield end

    def end(self, database: sqlite3.Connection, since: Chained = START) -> Chained:
        """Return the end of the chain, of which one before is known."""
        followed = deque(self.follow(database, since), maxlen=1)
        return followed[0] if followed else since

    def wrong(self, database: sqlite3.Connection, *known: Mapping[int, str]) -> tuple[int, list[str]]:
        """Compare the changes with digests that are known of them."""
        wrong, left = list[str](), [dict(marks) for marks in known]
        right = there = 0
        for there, digest in self.follow(database):
            those = [marks.pop(there) for marks in left if there in marks]
            if set(those) <= {digest}:
                right = there if those else right
            elif not wrong:
                wrong.append(
                    f"{self.what} were changed: of the changes {right + 1:,} to {there:,} one is not what was kept"
                )
        # Also one that is missing in the middle, by whose number a digest is known.
        lost = [number for marks in left for number in marks]
        if lost and (max(lost) > there or not wrong):
            wrong.append(
                f"{self.what} are lost: {max(lost):,} changes of them were kept, and {there:,} are there"
                if max(lost) > there
                else f"{self.what} are lost: change {max(lost):,} of them is not there any more"
            )
        return there, wrong


class Kept(NamedTuple):
    """A table whose changes are entered by triggers, so that no writer leaves one out."""

    table: str
    keys: int
    """How many of the columns, the first ones, name a row."""
    columns: tuple[str, ...]
    """Those that are entered. What is not among them may change unseen."""
    moving: tuple[str, ...] = ()
    """Those of them that may become something else. Rows are removed for good alone, with their changes."""


_VALUES = tuple(f"v{number}" for number in range(MOST_KEPT))
KEPT_CHANGES = ("named", "gone", *_VALUES)
"""Columns of the table that `changes_of` makes."""


def damaged_pages(database: sqlite3.Connection) -> list[str]:
    """Say which pages of a file SQLite finds damaged, each in a sentence."""
    rows = database.execute("PRAGMA integrity_check").fetchall()
    return [f"the file is damaged: {row[0]}" for row in rows if row[0] != "ok"]


def changes_of(tables: Iterable[Kept]) -> str:
    """Return the statements, each with an end of line, that make a table of changes and enter what is there, and each change from then on."""
    made = f"CREATE TABLE changes (seq INTEGER PRIMARY KEY, named TEXT NOT NULL, gone INTEGER NOT NULL, {', '.join(_VALUES)});\n"
    for one in tables:
        into = f"INSERT INTO changes (named, gone, {', '.join(_VALUES[: len(one.columns)])})"
        made += f"{into} SELECT '{one.table}', 0, {', '.join(one.columns)} FROM {one.table};\n"  # noqa: S608 -- names of this package
        for when in ("insert", "update"):
            values = ", ".join(f"NEW.{name}" for name in one.columns)
            # Of an update only what is entered: else each lease of a question, say, would be a change of it.
            of = f" OF {', '.join(one.columns)}" if when == "update" else ""
            made += (
                f"CREATE TRIGGER {one.table}_{when} AFTER {when}{of} ON {one.table} "
                f"BEGIN {into} VALUES ('{one.table}', 0, {values}); END;\n"
            )
        gone = f"INSERT INTO changes (named, gone, {', '.join(_VALUES[: one.keys])})"
        keys = ", ".join(f"OLD.{name}" for name in one.columns[: one.keys])
        made += (
            f"CREATE TRIGGER {one.table}_delete AFTER delete ON {one.table} "
            f"BEGIN {gone} VALUES ('{one.table}', 1, {keys}); END;\n"
        )
    return made


def unlike(database: sqlite3.Connection, tables: Iterable[Kept]) -> Iterator[str]:
    """Give the tables that are not what their changes made of them, or of which something changed that never does."""
    for one in tables:
        names, values = f"'{one.table}'", ", ".join(_VALUES[: len(one.columns)])
        row = ", ".join(_VALUES[: one.keys])
        newest = f"SELECT max(seq) FROM changes WHERE named = {names} GROUP BY {row}"  # noqa: S608 -- names of this package
        entered = f"SELECT {values} FROM changes WHERE gone = 0 AND seq IN ({newest})"  # noqa: S608
        there = f"SELECT {', '.join(one.columns)} FROM {one.table}"  # noqa: S608
        fixed = (value for value, name in zip(_VALUES, one.columns, strict=False) if name not in one.moving)
        # Null is a value too, which `DISTINCT` does not count.
        moved = " OR ".join(f"count(DISTINCT {one}) + (count({one}) < count(*)) > 1" for one in fixed)
        queries = (
            f"SELECT * FROM ({there} EXCEPT {entered})",  # noqa: S608
            f"SELECT * FROM ({entered} EXCEPT {there})",  # noqa: S608
            f"SELECT 1 FROM changes WHERE named = {names} AND gone = 1",  # noqa: S608
            f"SELECT 1 FROM changes WHERE named = {names} GROUP BY {row} HAVING {moved}",  # noqa: S608
        )
        if any(database.execute(f"{query} LIMIT 1").fetchone() is not None for query in queries):
            yield one.table
