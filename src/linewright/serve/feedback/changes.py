"""What became of labels, one change after the other, each with a digest of itself and of the one before.

Triggers enter each change beside the label itself, so that no writer leaves it out.
The digest of the last one goes into the factory's record now and then: from then on no change before it can be altered, removed
or put in between unseen.
"""

import sqlite3
from collections.abc import Iterator, Mapping

from linewright.store.changes import NONE, START, Chained, ChangeLog

_LOG = ChangeLog("changes", ("named", "who", "label", "at", "received"), "labels")


def _trigger(by: str, when: str) -> str:
    return (
        f"CREATE TRIGGER by_{by}_{when} AFTER {when} ON by_{by} BEGIN INSERT INTO changes (named, who, label, at, received) "  # noqa: S608 -- names of this module
        f"VALUES ('{by}', NEW.{by}, NEW.label, NEW.at, NEW.received); END;\n"
    )


CHANGES = f"""
CREATE TABLE changes (seq INTEGER PRIMARY KEY, named TEXT NOT NULL, who NOT NULL, label TEXT NOT NULL, at TEXT, received TEXT NOT NULL);
CREATE TABLE chained (changes INTEGER NOT NULL, digest TEXT NOT NULL);
INSERT INTO chained VALUES (0, '{NONE}');
{_trigger("id", "insert")}{_trigger("id", "update")}{_trigger("key", "insert")}{_trigger("key", "update")}"""  # noqa: S608 -- names of this module
"""Table of the changes, and of the digest of the last."""


def chain_up(database: sqlite3.Connection) -> Chained:
    """Chain the changes that came since the last time, within a write transaction, and return the end."""
    before = chained(database)
    after = _LOG.end(database, before)
    if after != before:
        database.execute("UPDATE chained SET changes = ?, digest = ?", after)
    return after


def chained(database: sqlite3.Connection) -> Chained:
    """Return the end of the chain as it was kept."""
    row = database.execute("SELECT changes, digest FROM chained").fetchone()
    return START if row is None else Chained(int(row[0]), str(row[1]))


def wrong_changes(database: sqlite3.Connection, marks: Mapping[int, str]) -> tuple[int, list[str]]:
    """Compare changes with their digests, and with the labels."""
    kept = chained(database)
    there, wrong = _LOG.wrong(database, marks, {kept.changes: kept.digest} if kept.changes else {})
    return there, [*wrong, *_unlike(database)]


def chain_anew(database: sqlite3.Connection) -> Chained:
    """Chain the changes that are left anew, numbered from the first one on, within a write transaction; return the end."""
    database.execute(
        "CREATE TEMP TABLE left_over AS SELECT named, who, label, at, received FROM changes ORDER BY seq"
    )
    database.execute("DELETE FROM changes")
    database.execute(
        "INSERT INTO changes (named, who, label, at, received) "
        "SELECT named, who, label, at, received FROM left_over ORDER BY rowid"
    )
    database.execute("DROP TABLE left_over")
    database.execute("UPDATE chained SET changes = 0, digest = ?", (NONE,))
    return chain_up(database)


_UNLIKE = """
WITH newest AS (SELECT max(seq) AS seq FROM changes WHERE named = '{by}' GROUP BY who),
told AS (
  SELECT {by} AS who, label, at, received, 1 AS now, 1 AS n FROM by_{by}
  UNION ALL SELECT {by}, label, at, received, 0, 1 FROM earlier_by_{by}
  UNION ALL SELECT who, label, at, received, seq IN (SELECT seq FROM newest), -1 FROM changes WHERE named = '{by}')
SELECT DISTINCT who FROM (SELECT who FROM told GROUP BY who, label, at, received, now HAVING sum(n) <> 0) ORDER BY who
"""
"""Whose labels, the present one and those it replaced, are not what their changes made of them; in one statement, so of one moment."""


def _unlike(database: sqlite3.Connection) -> Iterator[str]:
    """Say which labels are not what their changes made of them."""
    for by, says in (("id", "prediction {}"), ("key", "key {!r}")):
        for (who,) in database.execute(_UNLIKE.format(by=by)).fetchall():
            name = says.format(who.hex() if isinstance(who, bytes) else who)
            yield f"the label of {name} is not what was kept: it was changed, removed or added since"
