"""What is known of labels: the newest of each prediction or key, and those that it has replaced.

Of each label there is when it was received, and of one that was replaced until when it stood: so what was known at an
instant can be read for ever. Where a label by key stands, the labels by id of that key's predictions say the same.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from linewright.serve.facts import Replaced, Truth
from linewright.serve.feedback.apply import text_of
from linewright.serve.log.ids import id_of
from linewright.serve.log.index import KEYED, place_of

EARLIER = """
CREATE TABLE earlier_by_id (id BLOB NOT NULL, label TEXT NOT NULL, at TEXT, received TEXT NOT NULL, replaced TEXT NOT NULL);
CREATE INDEX earlier_by_id_id ON earlier_by_id (id);
CREATE INDEX earlier_by_id_received ON earlier_by_id (received);
CREATE TABLE earlier_by_key (key TEXT NOT NULL, label TEXT NOT NULL, at TEXT, received TEXT NOT NULL, replaced TEXT NOT NULL);
CREATE INDEX earlier_by_key_key ON earlier_by_key (key);
CREATE INDEX earlier_by_key_received ON earlier_by_key (received);
"""
"""Tables of what was replaced; those of the labels themselves are in `feedback`."""


class Known(NamedTuple):
    """Until when labels are known: those that were received and not yet replaced."""

    instant: str
    is_included: bool = True
    """Whether what happened at the instant itself is known too."""

    @property
    def came(self) -> str:
        """The condition that a label was received, of ``?1``."""
        return f"received {'<=' if self.is_included else '<'} ?1"

    @property
    def stood(self) -> str:
        """The condition that it was not yet replaced."""
        return f"replaced {'>' if self.is_included else '>='} ?1"


class Came(NamedTuple):
    """A label, and the place of a prediction that it is about."""

    segment: str
    offset: int
    id: str
    truth: Truth


def to_truth(label: str, at: str | None, received: str, by: Any) -> Truth:
    """Return a label as it was kept."""
    return Truth(label=msgspec.json.decode(label), at=at, received=received, by=by)


# Reading


def labels_in(
    database: sqlite3.Connection, by: str, values: Sequence[bytes | str | None], known: Known
) -> dict[Any, Truth]:
    """Return the labels of some ids, or of some keys, as they were known, by id or key."""
    # Without names: SQLite goes through all that it has for each name of a parameter, and there are thousands.
    among = f"WHERE {known.came} AND {by} IN ({','.join('?' * len(values))})"
    asked = (known.instant, *values)
    select = f"SELECT {by}, label, at, received FROM"
    rows = database.execute(f"{select} by_{by} {among}", asked).fetchall()
    if database.execute(f"SELECT 1 FROM earlier_by_{by} LIMIT 1").fetchone():  # noqa: S608
        rows += database.execute(f"{select} earlier_by_{by} {among} AND {known.stood}", asked)
    return {value: to_truth(label, at, received, by) for value, label, at, received in rows}


def newest_of(database: sqlite3.Connection, number: bytes, key: str | None) -> Truth | None:
    """Return the label of a prediction that counts now: its own, else that of its key."""
    for by, value in (("id", number), ("key", key)):
        select = f"SELECT label, at, received FROM by_{by} WHERE {by} = ?"  # noqa: S608 -- names of this module
        if kept := database.execute(select, (value,)).fetchone():
            label, at, received = kept
            return to_truth(label, at, received, by)
    return None


def all_kept_in(database: sqlite3.Connection) -> int:
    """Count the labels, by id and by key."""
    both = "SELECT (SELECT count(*) FROM by_id) + (SELECT count(*) FROM by_key)"
    return database.execute(both).fetchone()[0]


def kept_in(database: sqlite3.Connection, since: str, until: str | None) -> int:
    """Count those that were received first from an instant on, and before another, where there is one."""
    before = "" if until is None else " AND {} < ?2"
    asked = (since,) if until is None else (since, until)
    total = 0
    for by in ("id", "key"):
        first = before.format("received")
        of_replaced = f"SELECT {by} FROM earlier_by_{by}"  # noqa: S608 -- names of this module
        (never,) = database.execute(
            f"SELECT count(*) FROM by_{by} WHERE received >= ?1{first} AND {by} NOT IN ({of_replaced})",  # noqa: S608
            asked,
        ).fetchone()
        (replaced,) = database.execute(
            f"SELECT count(*) FROM ({of_replaced} GROUP BY {by} HAVING min(received) >= ?1{before.format('min(received)')})",  # noqa: S608
            asked,
        ).fetchone()
        total += never + replaced
    return total


def replaced_of(database: sqlite3.Connection, number: bytes) -> tuple[Replaced, ...]:
    """Return the labels that a prediction had before the one that counts now, the earliest first.

    Where a label by id and one by key said the same until both were corrected, it is told once, as it came by id.
    """
    place = place_of(database, number)
    rows = database.execute(
        "SELECT label, at, received, replaced, 'id' FROM earlier_by_id WHERE id = ?1 "
        "UNION ALL SELECT e.label, e.at, e.received, e.replaced, 'key' FROM earlier_by_key e WHERE e.key = ?2 AND NOT EXISTS "
        "(SELECT 1 FROM earlier_by_id i WHERE i.id = ?1 AND i.label = e.label AND i.replaced = e.replaced) "
        "ORDER BY 4, 3",
        (number, place and place.key),
    )
    return tuple(
        Replaced(label=msgspec.json.decode(label), at=at, received=received, replaced=replaced, by=by)
        for label, at, received, replaced, by in rows
    )


def came_since(
    database: sqlite3.Connection,
    since: str,
    known: Known,
    *,
    label: str | float | None = None,
    after: Mapping[str, int] | None = None,
) -> Iterator[Came]:
    """Iterate over the predictions whose label, as it was known, was received at an instant or later.

    A label by key stands for each prediction about that key that has none by id. Only labels of that time are read.
    """
    begin, is_it = after or {}, "" if label is None else " AND t.label = ?3"
    # Where both are there, the label by id came first, so its being there now says that it was there then.
    unless = {"id": "", "key": " AND NOT EXISTS (SELECT 1 FROM by_id i WHERE i.id = p.id)"}
    selects = [
        f"SELECT s.name, p.offset, p.id, t.label, t.at, t.received, '{by}' FROM {table} t "  # noqa: S608 -- names of this module
        f"JOIN {predictions} p ON p.{by} = t.{by} JOIN begun s ON s.number = p.segment AND p.offset >= s.offset "
        f"WHERE t.received >= ?2 AND t.{known.came}{stood}{is_it}{unless[by]}"
        for by, predictions in (("id", "predictions"), *(("key", view) for view in KEYED))
        for table, stood in ((f"by_{by}", ""), (f"earlier_by_{by}", f" AND t.{known.stood}"))
    ]
    # Copies, since an open read of the labels themselves would keep writers out.
    segments = database.execute("SELECT number, name FROM segments").fetchall()
    database.execute("CREATE TEMP TABLE begun (number INTEGER PRIMARY KEY, name TEXT, offset INTEGER)")
    database.executemany(
        "INSERT INTO begun VALUES (?, ?, ?)",
        [(number, name, begin.get(name, 0)) for number, name in segments],
    )
    asked = (known.instant, since) if label is None else (known.instant, since, text_of(label))
    database.execute("CREATE TEMP TABLE came AS " + " UNION ALL ".join(selects), asked)
    for segment, offset, identity, *parts in database.execute("SELECT * FROM came ORDER BY 1, 2, 3"):
        yield Came(segment, offset, id_of(identity), to_truth(*parts))


# Auditing

_FOLLOW = (
    "WITH versions AS (SELECT {by} AS who, received, replaced, rowid AS place FROM earlier_by_{by} "
    "UNION ALL SELECT {by}, received, NULL, 9223372036854775807 FROM by_{by} "
    "WHERE {by} IN (SELECT {by} FROM earlier_by_{by})), "
    "steps AS (SELECT who, received, replaced, lead(received) OVER (PARTITION BY who ORDER BY place) AS next FROM versions) "
    "SELECT DISTINCT {shown} FROM steps WHERE replaced IS NOT NULL AND (replaced < received OR next IS NOT replaced)"
)
_DO_NOT_FOLLOW = "the labels of {} do not follow one another: one was replaced when no other came"
_AUDIT = (
    (
        "SELECT lower(hex(i.id)) FROM by_id i LEFT JOIN predictions p ON p.id = i.id WHERE p.id IS NULL",
        "a label is about prediction {}, which is not there",
    ),
    (
        (
            "SELECT k.key FROM by_key k WHERE NOT EXISTS (SELECT 1 FROM keyed p WHERE p.key = k.key) "
            "AND NOT EXISTS (SELECT 1 FROM keyed_in_requests p WHERE p.key = k.key)"
        ),
        "a label is about key {!r}, of which there is no prediction",
    ),
    (
        "SELECT lower(hex(p.id)), k.key FROM predictions p JOIN by_id i USING (id) JOIN by_key k ON k.key = p.key AND k.label <> i.label",
        "prediction {} has one label by id and another by key {!r}",
    ),
    (_FOLLOW.format(by="id", shown="lower(hex(who))"), _DO_NOT_FOLLOW.format("prediction {}")),
    (_FOLLOW.format(by="key", shown="who"), _DO_NOT_FOLLOW.format("key {!r}")),
)
"""What no label may be, and how it is said."""


def wrong_labels(database: sqlite3.Connection) -> list[str]:
    """Return what is wrong with labels, each in a sentence."""
    return [says.format(*row) for query, says in _AUDIT for row in database.execute(query)]
