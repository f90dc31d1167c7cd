"""Removing predictions from the index, and the labels that are about no other prediction, for ever.

Each function works in the write transaction of whoever calls it. What is removed is overwritten in the file: `secure_delete`.
"""

import sqlite3
from collections.abc import Collection, Mapping
from typing import NamedTuple

from linewright.errors import Corrupt
from linewright.serve.changes import Chained, chain_anew, chain_up, wrong_changes
from linewright.serve.index import KEYED, counted

_OF_SEGMENTS = (
    "CREATE TEMP TABLE gone_ids AS SELECT id, key FROM predictions WHERE segment IN ({0})",
    (
        "CREATE TEMP TABLE gone_keys AS SELECT key FROM gone_ids WHERE key IS NOT NULL "
        "UNION SELECT k.key FROM request_keys k JOIN requests r ON r.number = k.request WHERE r.segment IN ({0})"
    ),
    "DELETE FROM request_keys WHERE request IN (SELECT number FROM requests WHERE segment IN ({0}))",
    "DELETE FROM requests WHERE segment IN ({0})",
    "DELETE FROM predictions WHERE segment IN ({0})",
)
"""Takes the predictions of segments, by the numbers that the index has of these, out of the index, and remembers which they were."""
_KEEP_SHARED = tuple(
    f"DELETE FROM gone_keys WHERE EXISTS (SELECT 1 FROM {view} p WHERE p.key = gone_keys.key)"  # noqa: S608 -- names of our own
    for view in KEYED
)
"""Leaves alone the keys that other predictions have too."""


class Gone(NamedTuple):
    """What was removed from a file of labels."""

    predictions: int
    labels: int
    """Changes of labels."""
    before: Chained
    after: Chained
    """The ends of the chain of changes."""


def has_segments(database: sqlite3.Connection, segments: Collection[str]) -> bool:
    """Whether the index has a prediction of one of some segments of the log."""
    numbers = _numbers(database, segments)
    return any(
        database.execute(f"SELECT 1 FROM {table} WHERE segment IN ({numbers}) LIMIT 1").fetchone()  # noqa: S608 -- names of this module, numbers
        for table in ("predictions", "requests")
    )


def remove_segments(
    database: sqlite3.Connection, segments: Collection[str], marks: Mapping[int, str]
) -> Gone:
    """Remove the predictions of some segments from the index, with their labels.

    A label by key goes where no other prediction has that key.

    Parameters
    ----------
    segments
        Names. Where they end stays known, so that they are never read again.
    marks
        Digests of the chain of changes that are known from elsewhere, by how many changes there were then.

    Raises
    ------
    Corrupt
        If labels are not what was kept: removing some would hide it.
    """
    before, most = _sound(database, marks), counted(database)
    numbers = _numbers(database, segments)  # of our own index, not from outside
    database.execute("PRAGMA secure_delete = ON")
    for statement in (*(one.format(numbers) for one in _OF_SEGMENTS), *_KEEP_SHARED):
        database.execute(statement)
    labels = _remove_labels(database)
    after = chain_anew(database) if labels else before
    return Gone(most - counted(database), labels, before, after)


def _sound(database: sqlite3.Connection, marks: Mapping[int, str]) -> Chained:
    before = chain_up(database)
    _, wrong = wrong_changes(database, marks)
    if wrong:
        raise Corrupt(
            f"nothing is removed, since labels are not what was kept: {wrong[0]}", hint="linewright verify"
        )
    return before


def _numbers(database: sqlite3.Connection, segments: Collection[str]) -> str:
    names = set(segments)
    found = database.execute("SELECT name, number FROM segments").fetchall()
    return ", ".join(str(int(number)) for name, number in found if name in names)


def _remove_labels(database: sqlite3.Connection) -> int:
    """Remove the labels of ``gone_ids`` and ``gone_keys``, and these tables; return how many changes of labels went."""
    removed = 0
    for by, whose in (("id", "SELECT id FROM gone_ids"), ("key", "SELECT key FROM gone_keys")):
        for table in (f"by_{by}", f"earlier_by_{by}"):
            database.execute(f"DELETE FROM {table} WHERE {by} IN ({whose})")  # noqa: S608 -- names of this module
        removed += database.execute(
            f"DELETE FROM changes WHERE named = '{by}' AND who IN ({whose})"  # noqa: S608 -- names of this module
        ).rowcount
    database.execute("DROP TABLE gone_ids")
    database.execute("DROP TABLE gone_keys")
    return removed
