"""Removing predictions from the index, and the labels that are about no other prediction, for ever.

Each function works in the write transaction of whoever calls it. What is removed is overwritten in the file: `secure_delete`.
"""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from linewright.errors import Corrupt
from linewright.serve.feedback.changes import chain_anew, chain_up, wrong_changes
from linewright.serve.log.ids import number_after, place_after
from linewright.serve.log.index import APART, KEYED, counted
from linewright.store.changes import Chained
from linewright.text.whole_words import WholeWords

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
    database: sqlite3.Connection, segments: Collection[str], marks: Sequence[Mapping[int, str]]
) -> Gone:
    """Remove the predictions of some segments from the index, with their labels.

    A label by key goes where no other prediction has that key.
    """
    before, most = _sound(database, marks), counted(database)
    numbers = _numbers(database, segments)  # of our own index, not from outside
    database.execute("PRAGMA secure_delete = ON")
    for statement in (*(one.format(numbers) for one in _OF_SEGMENTS), *_KEEP_SHARED):
        database.execute(statement)
    labels = _remove_labels(database)
    after = chain_anew(database) if labels else before
    return Gone(most - counted(database), labels, before, after)


def remove_predictions(
    database: sqlite3.Connection,
    ids: Collection[bytes],
    keys: Collection[str],
    marks: Sequence[Mapping[int, str]],
    named: Collection[str],
) -> Gone:
    """Remove predictions from the index, with their labels, and the answers by idempotency key that name one."""
    before, most = _sound(database, marks), counted(database)
    database.execute("PRAGMA secure_delete = ON")
    database.execute("CREATE TEMP TABLE named (id BLOB PRIMARY KEY) WITHOUT ROWID")
    database.executemany("INSERT OR IGNORE INTO named VALUES (?)", [(one,) for one in ids])
    database.execute(
        "CREATE TEMP TABLE gone_ids AS SELECT id, key FROM predictions WHERE id IN (SELECT id FROM named)"
    )
    database.execute("CREATE TEMP TABLE gone_keys AS SELECT DISTINCT key FROM gone_ids WHERE key IS NOT NULL")
    database.executemany("INSERT INTO gone_keys VALUES (?)", [(one,) for one in keys])
    database.execute("DELETE FROM predictions WHERE id IN (SELECT id FROM named)")
    database.execute("DROP TABLE named")
    for request, places in _requests_with(database, ids).items():
        _divide(database, request, places)
    for statement in _KEEP_SHARED:
        database.execute(statement)
    labels = _remove_labels(database)
    _remove_answers(database, named)
    after = chain_anew(database) if labels else before
    return Gone(most - counted(database), labels, before, after)


class _Request(NamedTuple):
    number: int
    first: bytes
    size: int
    segment: int
    offset: int
    keys: str | None


def _requests_with(database: sqlite3.Connection, ids: Collection[bytes]) -> dict[_Request, set[int]]:
    """Return the requests of many rows that have some of the predictions, each with their places."""
    found: dict[_Request, set[int]] = {}
    for one in ids:
        row = database.execute(
            "SELECT number, first, size, segment, offset, keys FROM requests WHERE first <= ? ORDER BY first DESC LIMIT 1",
            (one,),
        ).fetchone()
        if row is not None and (place := place_after(row[1], one)) < row[2]:
            found.setdefault(_Request(*row), set()).add(place)
    return found


def _divide(database: sqlite3.Connection, request: _Request, gone: Collection[int]) -> None:
    """Have the runs of predictions that are left of a request as requests of their own."""
    keys: list[str | None] = (
        [None] * request.size if request.keys is None else msgspec.json.decode(request.keys)
    )
    named = next((key for key in keys if key is not None), None)
    part = 0
    if named is not None:
        (part,) = database.execute(
            "SELECT k.part FROM parts CROSS JOIN request_keys k ON k.part = parts.number WHERE k.key = ? AND k.request = ? LIMIT 1",
            (named, request.number),
        ).fetchone()
    database.executemany(
        "DELETE FROM request_keys WHERE part = ? AND key = ? AND request = ? AND place = ?",
        [(part, key, request.number, place) for place, key in enumerate(keys) if key is not None],
    )
    database.execute("DELETE FROM requests WHERE number = ?", (request.number,))
    edges = [-1, *sorted(gone), request.size]
    for start, end in ((left + 1, right) for left, right in pairwise(edges) if right > left + 1):
        first, last = number_after(request.first, start), number_after(request.first, end - 1)
        (apart,) = database.execute(
            "SELECT count(*) FROM predictions WHERE part = ? AND id BETWEEN ? AND ?", (APART, first, last)
        ).fetchone()
        told = None if request.keys is None else msgspec.json.encode(keys[start:end]).decode()
        number = database.execute(
            "INSERT INTO requests (first, size, apart, segment, offset, keys) VALUES (?, ?, ?, ?, ?, ?)",
            (first, end - start, apart, request.segment, request.offset, told),
        ).lastrowid
        database.executemany(
            "INSERT INTO request_keys VALUES (?, ?, ?, ?)",
            [(part, key, number, place) for place, key in enumerate(keys[start:end]) if key is not None],
        )


def _remove_answers(database: sqlite3.Connection, named: Collection[str]) -> None:
    """Remove the answers in which one of some texts stands, or in the idempotency key that a client made of it."""
    words = WholeWords(named)
    rows = database.execute("SELECT key, answer FROM answers").fetchall()
    those = [
        (key,)
        for key, answer in rows
        if any(map(words.are_in, (key, *_texts_in(msgspec.json.decode(answer)))))
    ]
    database.executemany("DELETE FROM answers WHERE key = ?", those)


def _texts_in(value: object) -> set[str]:
    match value:
        case dict():
            return set().union(*map(_texts_in, value.values()))
        case list():
            return set().union(*map(_texts_in, value))
        case str():
            return {value}
        case _:
            return set()


def _sound(database: sqlite3.Connection, marks: Sequence[Mapping[int, str]]) -> Chained:
    before = chain_up(database)
    wrong = min((wrong_changes(database, one)[1] for one in marks), key=len)
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
