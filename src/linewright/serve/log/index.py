"""The index by which labels find their predictions: from an id or a key to the place of the record in the log.

Its tables are in the file of labels. It is caught up from the log, in the transaction of whoever needs it. A frame of one record
is a row of `predictions`; one of a request of many rows is a row of `requests`, whose ids follow each other, and what of it gets a
label of its own becomes a row of `predictions` then.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from heapq import merge
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import msgspec

from linewright.serve.log.ids import number_after, number_of, place_after
from linewright.serve.log.records import is_forgotten, is_many
from linewright.serve.log.segments import NOTHING_SEALED, TORN, Damage, Frame, SealedSegments, read_frames
from linewright.store.files.disk import sync_file

CHUNK = 20_000
"""Log records that one transaction takes in."""
PART, PARTS = 65_536, 64
"""Predictions of a part of the index, and about how many parts there are at most: then parts grow with the index."""
_AT_ONCE = 500
"""Rows of the index that one statement inserts; four parameters each."""
KEYED = ("keyed", "keyed_in_requests")
"""Views of the predictions that have a key: those in frames of their own, and those of requests of many rows."""
APART = -1
"""Part of those predictions of `requests` that became rows of `predictions`. They stay in `keyed_in_requests`."""
INDEX = """
CREATE TABLE segments (name TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, position INTEGER NOT NULL);
CREATE TABLE damage (segment TEXT NOT NULL, offset INTEGER NOT NULL, why TEXT NOT NULL, PRIMARY KEY (segment, offset));
CREATE TABLE parts (number INTEGER PRIMARY KEY, size INTEGER NOT NULL);
INSERT INTO parts VALUES (0, 0);
CREATE TABLE predictions (id BLOB PRIMARY KEY, key TEXT, segment INTEGER NOT NULL, offset INTEGER NOT NULL, part INTEGER NOT NULL)
  WITHOUT ROWID;
CREATE INDEX predictions_key ON predictions (part, key) WHERE key IS NOT NULL;
CREATE VIEW keyed AS SELECT p.* FROM parts CROSS JOIN predictions p ON p.part = parts.number WHERE p.key IS NOT NULL;
CREATE TABLE requests (number INTEGER PRIMARY KEY, first BLOB NOT NULL UNIQUE, size INTEGER NOT NULL,
  apart INTEGER NOT NULL DEFAULT 0, segment INTEGER NOT NULL, offset INTEGER NOT NULL, keys TEXT);
CREATE TABLE request_keys (part INTEGER NOT NULL, key TEXT NOT NULL, request INTEGER NOT NULL, place INTEGER NOT NULL,
  PRIMARY KEY (part, key, request, place)) WITHOUT ROWID;
CREATE VIEW keyed_in_requests AS SELECT number_after(r.first, k.place) AS id, k.key, r.segment, r.offset
  FROM parts CROSS JOIN request_keys k ON k.part = parts.number JOIN requests r ON r.number = k.request;
"""
"""Its tables, in the file of labels."""


class _Indexed(msgspec.Struct):
    id: str
    key: str | None


class _IndexedRequest(msgspec.Struct):
    many: int
    first: str
    keys: list[str | None] | None


_INDEXED, _INDEXED_REQUEST = msgspec.json.Decoder(_Indexed), msgspec.json.Decoder(_IndexedRequest)
_KEYS = msgspec.json.Decoder(list[str | None])


class _Several(NamedTuple):
    """What stands for the key of a frame that holds several records."""

    n: int
    keys: bytes | None
    """The key of each as a JSON list, `None` where they have none."""


_Row = tuple[bytes, str | _Several | None, int, int]
"""Of the index: number of the id, key, number of the segment, offset."""


def take_in(database: sqlite3.Connection, log: Path, sealed: SealedSegments, ends: Mapping[str, int]) -> bool:
    """Take about `CHUNK` records into the index, and return whether there may be more.

    What is sealed has been taken already, unless the file with the index was lost.
    """
    segments = {
        name: (number, position)
        for name, number, position in database.execute("SELECT name, number, position FROM segments")
    }
    position = {name: at for name, (_, at) in segments.items()}
    numbers = {name: number for name, (number, _) in segments.items()}
    found: list[Damage] = []
    is_lost = any(position.get(name, 0) < end for name, end in ends.items())
    part, many = _open_part(database), 0
    kept = sealed if is_lost else NOTHING_SEALED
    frames = read_frames(log, dict(position), damaged=found.append, sealed=kept)
    alone: list[_Row] = []
    for row in _rows_of(frames, position, numbers, found.append):
        identity, key, *place = row
        if isinstance(key, _Several):
            _insert_request(database, identity, key, place, part)
        else:
            alone.append(row)
        many += key.n if isinstance(key, _Several) else 1
        if many >= CHUNK:
            break
    for start in range(0, len(alone), _AT_ONCE):
        _insert(database, alone[start : start + _AT_ONCE], part)
    _keep_damage(database, set(found))
    if not many:
        return False
    database.execute("UPDATE parts SET size = size + ? WHERE number = ?", (many, part))
    for name in {name for name in numbers if segments.get(name, (0, 0))[1] != position[name]}:
        # A label survives power loss; so must the prediction that it is about. What is sealed does.
        with suppress(FileNotFoundError):
            sync_file(log / name)
        database.execute(
            "INSERT INTO segments VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET position = ?3",
            (name, numbers[name], position[name]),
        )
    return many >= CHUNK


def _open_part(database: sqlite3.Connection) -> int:
    """Return the part of the index that new rows go to.

    Keys come in any order. In one index of all, each would touch a page of its own; in a part, those of many share one.
    """
    number, size, total = database.execute(
        "SELECT number, size, (SELECT sum(size) FROM parts) FROM parts ORDER BY number DESC LIMIT 1"
    ).fetchone()
    if size < max(PART, total // PARTS):
        return number
    database.execute("INSERT INTO parts VALUES (?, 0)", (number + 1,))
    return number + 1


def _insert(database: sqlite3.Connection, rows: Sequence[_Row], part: int) -> None:
    """Insert rows by one statement: with one each, threads that answer would wait for this one at every row."""
    values = ", ".join([f"(?, ?, ?, ?, {part:d})"] * len(rows))
    statement = f"INSERT OR IGNORE INTO predictions VALUES {values}"  # noqa: S608 -- nothing but marks and a number
    database.execute(statement, list(chain.from_iterable(rows)))


def _insert_request(
    database: sqlite3.Connection, first: bytes, several: _Several, place: Sequence[int], part: int
) -> None:
    """Insert the predictions of a request of many rows."""
    keys = None if several.keys is None else several.keys.decode()
    inserted = database.execute(
        "INSERT OR IGNORE INTO requests (first, size, segment, offset, keys) VALUES (?, ?, ?, ?, ?)",
        (first, several.n, *place, keys),
    )
    if not inserted.rowcount or keys is None:
        return
    if "\\" not in keys:
        # By far the cheapest way to hand over a thousand of them. What SQLite makes of escapes is another matter.
        database.execute(
            "INSERT INTO request_keys SELECT ?1, value, ?2, key FROM json_each(?3) WHERE value IS NOT NULL",
            (part, inserted.lastrowid, keys),
        )
        return
    found = enumerate(_KEYS.decode(keys))
    rows = [(part, key, inserted.lastrowid, at) for at, key in found if key is not None]
    database.executemany("INSERT INTO request_keys VALUES (?, ?, ?, ?)", rows)


class Place(NamedTuple):
    """Where the record of a prediction is in the log, and its key."""

    key: str | None
    segment: str
    offset: int


class _InRequest(NamedTuple):
    number: int
    """Of the request."""
    key: str | None
    segment: int
    offset: int


def _in_request(database: sqlite3.Connection, identity: bytes) -> _InRequest | None:
    """Return where a prediction of a request of many rows is; `None` for any other id."""
    found = database.execute(
        "SELECT number, first, size, segment, offset FROM requests WHERE first <= ? ORDER BY first DESC LIMIT 1",
        (identity,),
    ).fetchone()
    if found is None:
        return None
    number, first, size, segment, offset = found
    at = place_after(first, identity)
    if at >= size:
        return None
    keys = _keys_of(database, first, size)
    return _InRequest(number, None if keys is None else keys[at], segment, offset)


def place_of(database: sqlite3.Connection, identity: bytes) -> Place | None:
    """Return the place of a prediction; `None` where no prediction has that id. Nothing is written."""
    alone = database.execute(
        "SELECT key, segment, offset FROM predictions WHERE id = ?", (identity,)
    ).fetchone()
    found = alone or _in_request(database, identity)
    if found is None:
        return None
    *_, key, number, offset = found
    (segment,) = database.execute("SELECT name FROM segments WHERE number = ?", (number,)).fetchone()
    return Place(key, segment, offset)


def latest_places(
    database: sqlite3.Connection, limit: int, *, before: bytes | None, key: str | None
) -> list[tuple[bytes, Place]]:
    """Return the ids and places of the predictions that came last, the newest first. Nothing is written."""
    end = before or b"\xff" * 17
    found = _latest_of_key(database, key, end) if key is not None else _latest(database, limit, end)
    newest = sorted({row[0]: row for row in found}.values(), reverse=True)[:limit]
    names = dict(database.execute("SELECT number, name FROM segments").fetchall())
    return [(number, Place(key, names[segment], offset)) for number, segment, offset in newest]


def _latest(database: sqlite3.Connection, limit: int, end: bytes) -> Iterator[tuple[bytes, int, int]]:
    yield from database.execute(
        "SELECT id, segment, offset FROM predictions WHERE id < ? ORDER BY id DESC LIMIT ?", (end, limit)
    )
    requests = database.execute(
        "SELECT first, size, segment, offset FROM requests WHERE first < ? ORDER BY first DESC LIMIT ?",
        (end, limit),
    )
    left = limit
    for first, size, segment, offset in requests:
        # No number is behind the id that nothing is: that has more bytes than an id.
        last = size if len(end) > len(first) else min(size, place_after(first, end))
        for place in range(last - 1, max(last - left, 0) - 1, -1):
            yield number_after(first, place), segment, offset
        left -= last
        if left <= 0:  # ids of earlier requests are smaller
            return


class FramePlace(NamedTuple):
    """The place of a frame of the log, and which predictions it holds."""

    first: bytes
    """Number of the first of them; the others follow it."""
    size: int
    segment: str
    offset: int


def latest_frames(
    database: sqlite3.Connection, predictions: int, *, before: bytes | None
) -> list[FramePlace]:
    """Return the places of the frames that came last, the newest first, until they hold as many predictions. Nothing is written."""
    end, names = (
        before or b"\xff" * 17,
        dict(database.execute("SELECT number, name FROM segments").fetchall()),
    )
    alone = database.execute(
        "SELECT id, 1, segment, offset FROM predictions WHERE id < ? AND part != ? ORDER BY id DESC LIMIT ?",
        (end, APART, predictions),
    )
    requests = database.execute(
        "SELECT first, size, segment, offset FROM requests WHERE first < ? ORDER BY first DESC LIMIT ?",
        (end, predictions),
    )
    found, held = list[FramePlace](), 0
    for first, size, segment, offset in merge(alone, requests, key=itemgetter(0), reverse=True):
        if held >= predictions:
            break
        found.append(FramePlace(first, size, names[segment], offset))
        held += size
    return found


def _latest_of_key(database: sqlite3.Connection, key: str, end: bytes) -> Iterator[tuple[bytes, int, int]]:
    for view in KEYED:
        yield from database.execute(
            f"SELECT id, segment, offset FROM {view} WHERE key = ? AND id < ?",  # noqa: S608 -- names of this module
            (key, end),
        )


def set_apart(database: sqlite3.Connection, identity: bytes) -> None:
    """Make a prediction of a request of many rows a row of `predictions`, so that labels by its id find it.

    Within a write transaction. Of any other id nothing is done.
    """
    found = _in_request(database, identity)
    if found is not None:
        inserted = database.execute(
            "INSERT OR IGNORE INTO predictions VALUES (?, ?, ?, ?, ?)",
            (identity, found.key, found.segment, found.offset, APART),
        )
        database.execute(
            "UPDATE requests SET apart = apart + ? WHERE number = ?", (inserted.rowcount, found.number)
        )


_last_keys: tuple[bytes, int, list[str | None] | None] = (b"", 0, None)
"""Of the request that a label came for last, by its first id and its size: labels come for one row after the other. A copy of a factory
has the same ids, and may have fewer of its rows since somebody was forgotten."""


def _keys_of(database: sqlite3.Connection, first: bytes, size: int) -> list[str | None] | None:
    global _last_keys  # noqa: PLW0603 -- one assignment, so that threads see one or the other
    known, many, keys = _last_keys
    if (known, many) != (first, size):
        (told,) = database.execute("SELECT keys FROM requests WHERE first = ?", (first,)).fetchone()
        keys = None if told is None else _KEYS.decode(told)
        _last_keys = (first, size, keys)
    return keys


def counted(database: sqlite3.Connection) -> int:
    """Return how many predictions the index has."""
    (alone,) = database.execute("SELECT count(*) FROM predictions").fetchone()
    (of_requests,) = database.execute("SELECT coalesce(sum(size - apart), 0) FROM requests").fetchone()
    return alone + of_requests


def _rows_of(
    frames: Iterator[Frame],
    position: dict[str, int],
    numbers: dict[str, int],
    damaged: Callable[[Damage], None],
) -> Iterator[_Row]:
    """Give rows of the index, and move `position` along to behind the last."""
    for frame in frames:
        number = numbers.setdefault(frame.segment, len(numbers) + 1)
        position[frame.segment] = frame.end
        if is_forgotten(frame.payload):
            continue
        try:
            identity, key = _indexed(frame.payload)
        except msgspec.MsgspecError as error:
            damaged(Damage(frame.segment, frame.offset, str(error)))
            continue
        if identity is not None:
            yield identity, key, number, frame.offset


def _indexed(payload: bytes) -> tuple[bytes | None, str | _Several | None]:
    """Return the id and key of a record, or the first id of several."""
    if not is_many(payload):
        record = _INDEXED.decode(_before(payload, b',"row":'))
        return number_of(record.id), record.key
    request = _INDEXED_REQUEST.decode(_before(payload, b',"request":'))
    if request.keys is None:
        return number_of(request.first), _Several(request.many, None)
    if len(request.keys) != request.many:
        raise msgspec.ValidationError(f"{request.many} records of {len(request.keys)} keys")
    return number_of(request.first), _Several(request.many, msgspec.json.encode(request.keys))


def _before(payload: bytes, field: bytes) -> bytes:
    """Return what comes before a field, as an object: rows are most of a payload, and the index needs none.

    No text holds such a field: a quote in one is behind a backslash.

    Examples
    --------
    >>> _before(b'{"id":"a","key":"k","row":{"x":1}}', b',"row":')
    b'{"id":"a","key":"k"}'
    """
    head, found, _ = payload.partition(field)
    return head + b"}" if found else payload


def damage_in(database: sqlite3.Connection) -> list[Damage]:
    """Return the places of the log that hold no record, whenever they were found."""
    rows = database.execute("SELECT segment, offset, why FROM damage ORDER BY segment, offset")
    return [Damage(*row) for row in rows]


def _keep_damage(database: sqlite3.Connection, found: set[Damage]) -> None:
    """Keep the damage that was found, since it is not read again; a torn end may have been written to its end."""
    known = set(damage_in(database))
    gone = {each for each in known if each.why == TORN} - found
    database.executemany("DELETE FROM damage WHERE segment = ? AND offset = ?", [each[:2] for each in gone])
    database.executemany("INSERT OR REPLACE INTO damage VALUES (?, ?, ?)", found - known)
