"""The records of a feature view: of each entity the events that requests need, in a file that never changes.

A newer file takes its place by rename. It is read with the standard library and numpy. A record has the events that had counted when the
file was made, as far as a request from then on can meet them: those of the longest window, and the newest of all.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from hashlib import blake2b, sha256
from pathlib import Path
from threading import Lock
from time import process_time
from typing import NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from linewright.errors import Corrupt
from linewright.features.facts import Otherwise, ViewFacts
from linewright.features.views.aggregates import Aggregate, Argument, Kind, read_aggregate
from linewright.features.views.windows import NEVER, Events, Ints, Values, values_at
from linewright.store.disk import explained, sync_file, sync_folder
from linewright.store.stamps import stamp_of
from linewright.store.values import digest_of

FOLDER, ENDING = "views", ".sqlite"
"""The place of the files in the state folder, and what their names end with."""
KEY = "\0key"
"""Name among the columns of events of what each is about; there if a later row can correct it."""
SLACK = 3_600 * 10**6
"""Microseconds by which a record reaches further back than the longest window: a request may have come before its file was made."""
_TABLES = """
CREATE TABLE header (body TEXT NOT NULL);
CREATE TABLE records (entity TEXT PRIMARY KEY, digest BLOB NOT NULL, events BLOB NOT NULL) WITHOUT ROWID;
"""
_PAGE = 1 << 14
"""Bytes of a page: with larger ones than usual, fewer are between a record and the root."""
_MAPPED = 1 << 36
"""Bytes of a file that are mapped: without it, each page of a record is a call of the system."""
_AT_ONCE = 500
"""Records that one query is about."""
_KIND = np.dtype("<i8")


class RecordsHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all records of a file."""

    facts: ViewFacts
    known: int
    """What was known at this moment is in the records: microseconds since 1970, UTC."""
    words: tuple[tuple[str, ...], ...]
    """Of each column of the events, its different texts; none for numbers."""
    entities: int
    has_keys: bool
    """Whether each event says what it is about."""
    push: str | None = None
    """Name that rows are sent to, if rows that came since can be had at once."""
    has_table: bool = False
    """Whether there are other rows than those that are sent: what these are now is not had at once."""
    max_age: int | None = None
    """How long ago, in microseconds, `known` may be when a request comes; `None` for any time."""
    otherwise: Otherwise = "answer"
    """What is done with an older or an absent record."""
    newest: str | None = None
    """When the newest event happened, UTC; `None` if there is none, or it was not noted."""
    newest_known: str | None = None
    """When the event that was known last could be known, UTC."""
    cpu_s: float | None = None
    """Seconds of processor time of the process while it read the source and wrote the records; `None` if it was not noted."""


class Record(NamedTuple):
    """The record of an entity as it is kept."""

    digest: bytes
    events: bytes


def records_path(state: Path, facts: ViewFacts) -> Path:
    """Return the path of the file of a view, from the state folder: models that learned from other columns have other files."""
    return state / FOLDER / f"{facts.view}-{digest_of(facts)[7:19]}{ENDING}"


def arguments_of(facts: ViewFacts) -> tuple[Argument, ...]:
    """Return what the columns of a view are computed from, each once: the columns of its events."""
    found = {one.argument.text: one.argument for one in aggregates_of(facts) if one.argument is not None}
    return tuple(found.values())


def columns_of(facts: ViewFacts) -> tuple[tuple[str, Kind], ...]:
    """Return the columns of the events of a view, by `Argument.text`, with their types."""
    kinds: dict[str, Kind] = {one.name: cast("Kind", one.type) for one in facts.inputs}
    return tuple((one.text, one.kind(kinds)) for one in arguments_of(facts))


def aggregates_of(facts: ViewFacts) -> tuple[Aggregate, ...]:
    """Return what the columns of a view compute."""
    return tuple(read_aggregate(column.name, column.text) for column in facts.columns)


def key_number(key: str) -> int:
    """Return the number by which events know what they are about.

    Examples
    --------
    >>> key_number("7") == key_number("7"), key_number("7") == key_number("8")
    (True, False)
    """
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little", signed=True)


def known_by(events: Events, moment: int) -> Events:
    """Return the events as they were known at a moment: versions that counted then, and no more is known of any since."""
    counts = (events.known <= moment) & (moment < events.until)
    left = np.concatenate([[0], np.cumsum(counts)])
    rows = np.flatnonzero(counts)
    return Events(
        starts=left[events.starts],
        time=events.time[rows],
        known=events.known[rows],
        until=np.full(len(rows), NEVER, dtype=np.int64),
        columns={name: one.at(rows) for name, one in events.columns.items()},
    )


def write_records(path: Path, header: RecordsHeader, events: Events, entities: Sequence[str]) -> None:
    """Write a file of records in place of that which is there.

    Parameters
    ----------
    header
        Its `words` and `entities` are those of `events`; to its `cpu_s`, if there is one, the writing is added.
    events
        As they were known at `RecordsHeader.known`, see `known_by`; with `KEY` if the header says so.
    entities
        The text of each, in the order of their numbers.

    Raises
    ------
    BackendError
        If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft, begun = path.with_name(f".{path.name}.{os.getpid()}"), process_time()
    with explained(path, "the file of a feature view"):
        try:
            with closing(sqlite3.connect(draft, isolation_level=None)) as database:
                database.execute(f"PRAGMA page_size = {_PAGE}")
                database.execute("PRAGMA journal_mode = OFF")
                database.execute("PRAGMA synchronous = OFF")
                for statement in filter(str.strip, _TABLES.split(";\n")):
                    database.execute(statement)
                database.execute("BEGIN")
                database.executemany(
                    "INSERT INTO records VALUES (?, ?, ?)", _records(header, events, entities)
                )
                if header.cpu_s is not None:
                    header = msgspec.structs.replace(header, cpu_s=header.cpu_s + process_time() - begun)
                database.execute("INSERT INTO header VALUES (?)", (msgspec.json.encode(header).decode(),))
                database.execute("COMMIT")
            sync_file(draft)
            draft.replace(path)
            sync_folder(path.parent)
        finally:
            draft.unlink(missing_ok=True)


def _records(
    header: RecordsHeader, events: Events, entities: Sequence[str]
) -> Iterator[tuple[str, bytes, bytes]]:
    aggregates = aggregates_of(header.facts)
    longest = max((one.over or 0 for one in aggregates), default=0) + SLACK
    entity = np.repeat(np.arange(len(entities)), np.diff(events.starts))
    is_newest = np.zeros(len(events.time), dtype=np.bool_)
    past = np.flatnonzero(events.time <= header.known - SLACK)
    if len(past):
        is_newest[past[np.append(entity[past[1:]] != entity[past[:-1]], True)]] = True
    rows = np.flatnonzero(is_newest | (events.time > header.known - longest))
    ends = np.searchsorted(rows, events.starts)
    names = [*([KEY] if header.has_keys else []), *(text for text, _ in columns_of(header.facts))]
    table = np.empty((len(rows), 1 + len(names)), dtype=_KIND)
    table[:, 0] = events.time[rows]
    for place, name in enumerate(names, 1):
        numbers = events.columns[name].numbers[rows]
        if name == KEY:
            hashed = np.array([key_number(word) for word in events.columns[name].words], dtype=_KIND)
            # No row that is sent can correct one without a key.
            known = np.where(np.isnan(numbers), 0, numbers).astype(np.int64)
            table[:, place] = np.where(np.isnan(numbers), 0, hashed[known]) if len(hashed) else 0
        else:
            table[:, place] = numbers.astype("<f8").view(_KIND)
    for number in sorted(range(len(entities)), key=entities.__getitem__):
        held = table[ends[number] : ends[number + 1]]
        if len(held):
            content = held.tobytes()
            yield entities[number], sha256(entities[number].encode() + b"\0" + content).digest(), content


class Records:
    """A file of records, open. Safe to use from several threads.

    Parameters
    ----------
    path
        Of the file. What takes its place later is not seen.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    Corrupt
        If it is something else.
    """

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        while True:
            self.stamp = stamp_of(path.stat())
            self._database = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode=ro&immutable=1",
                uri=True,
                check_same_thread=False,
                isolation_level=None,
            )
            try:
                self._database.execute(f"PRAGMA mmap_size = {_MAPPED}")
                (body,) = self._database.execute("SELECT body FROM header").fetchone()
                self.header = msgspec.json.decode(body, type=RecordsHeader)
                if stamp_of(path.stat()) == self.stamp:
                    break  # else it may be the file before or after
            except (sqlite3.DatabaseError, TypeError, msgspec.MsgspecError) as error:
                self._database.close()
                raise Corrupt(
                    f"this cannot be the file of a feature view: {error}",
                    where=str(path),
                    hint="remove it; a run of the line makes it again",
                ) from error
            self._database.close()
        self.aggregates = aggregates_of(self.header.facts)
        self.columns = columns_of(self.header.facts)

    def close(self) -> None:
        """Close the file."""
        with self._lock, suppress(sqlite3.Error):
            self._database.close()

    def find(self, entities: Sequence[str]) -> dict[str, Record]:
        """Return the records of entities; one that is absent is left out."""
        found = dict[str, Record]()
        for start in range(0, len(entities), _AT_ONCE):
            some = entities[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"SELECT entity, digest, events FROM records WHERE entity IN ({marks})"  # noqa: S608 -- marks alone
            with self._lock:
                rows = self._database.execute(query, some).fetchall()
            found.update((entity, Record(digest, events)) for entity, digest, events in rows)
        return found

    def table(self, events: bytes) -> NDArray[np.int64]:
        """Return the events of records that are behind each other: time, key if they have one, and columns, whose numbers are of 64 bits."""
        return np.frombuffer(events, dtype=_KIND).reshape(-1, self.width)

    @property
    def width(self) -> int:
        """Values of an event."""
        return 1 + self.header.has_keys + len(self.columns)

    def values_at(
        self,
        table: NDArray[np.int64],
        counts: Sequence[int],
        moment: int,
        words: Sequence[Sequence[str]] | None = None,
    ) -> dict[str, Values]:
        """Return the columns of the view of entities, at one moment.

        Parameters
        ----------
        table
            Events, those of an entity behind those of the one before, in the order of (time, known, position).
        counts
            How many each has; none for one that is absent. Shape (entities,).
        moment
            Microseconds since 1970, UTC.
        words
            Texts of the columns (default: those of the file).
        """
        starts: Ints = np.zeros(len(counts) + 1, dtype=np.int64)
        np.cumsum(counts, out=starts[1:])
        time, first = table[:, 0], 1 + self.header.has_keys
        events = Events(
            starts=starts,
            time=time,
            known=time,
            until=np.full(len(time), NEVER, dtype=np.int64),
            columns={
                text: Values(kind=kind, numbers=table[:, first + place].view("<f8"), words=those)
                for place, ((text, kind), those) in enumerate(
                    zip(self.columns, self.header.words if words is None else words, strict=True)
                )
            },
        )
        moments = np.full(len(counts), moment, dtype=np.int64)
        return values_at(events, (starts[:-1], starts[1:]), moments, self.aggregates)
