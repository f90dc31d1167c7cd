"""The records of a feature view: of each entity the events that requests need, in a file that never changes.

A newer file takes its place by rename. It is mapped, and read with numpy alone. A record has the events that had counted when the
file was made, as far as a request from then on can meet them: those of the longest window, and the newest of all. If rows that are sent
can delete events, it has some more before that.

The file: `_START`, the header as JSON, then arrays, and the SHA-256 of all that. Records are in the order of the hash of their entity, whose
first bits say in which bucket to look. What is read is checked: the header by CRC-32, each record by its digest, and by CRC-32 the bucket of
an entity that is not there.
"""

import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from hashlib import blake2b, file_digest, sha256
from mmap import ACCESS_READ, mmap
from pathlib import Path
from time import process_time
from typing import IO, Any, NamedTuple, cast
from zlib import crc32

import msgspec
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from linewright.errors import Corrupt
from linewright.features.facts import Otherwise, ViewFacts
from linewright.features.views.aggregates import Aggregate, Argument, Kind, read_aggregate
from linewright.features.views.windows import NEVER, Events, Ints, Values, ranges, values_at
from linewright.store.files.disk import explained, sync_file, sync_folder
from linewright.store.files.stamps import stamp_of
from linewright.store.values import digest_of

FOLDER, ENDING = "views", ".records"
"""The place of the files in the state folder, and what their names end with."""
DAMAGED = ".damaged"
"""What is added to the name of a file of records for the empty one next to it, by which an endpoint says that it met damage."""
KEY = "\0key"
"""Name among the columns of events of what each is about; there if a later row can correct it."""
SLACK = 3_600 * 10**6
"""Microseconds by which a record reaches further back than the longest window: a request may have come before its file was made."""
MOST_GONE = 15
"""How many of the newest events of an entity may be corrected or deleted by rows that are sent, until one before them is missing."""
_START = struct.Struct("<8s3Q")
"""What a file begins with: `_MAGIC`, bytes of the header, records, and events of all of them."""
_MAGIC, _UNCHECKED = b"LWVIEW 2", b"LWVIEW 1"
"""Of this form, and of that of 0.1.0, which has no checksums: only its records are checked."""
_CRC = struct.Struct("<Q")
"""Of `_START` and the header; behind the latter."""
_END_BYTES = sha256().digest_size
_BLOCK = 1 << 20
_AT_ONCE = 1 << 20
"""Events that are written at once."""
_MOST_TRIES = 64
"""Records of a bucket that is not checked before they are looked through: of so many hardly any has more."""
_ENTRY = 8
"""Words of a record in the index: two of the hash of its entity, the place of its first event, how many it has, and four of its digest."""
_KIND, _HASH = np.dtype("<i8"), np.dtype("<u8")


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
    """Seconds of processor time of the process while it read the source and computed the records; `None` if it was not noted."""

    def has_settings(self, settings: Mapping[str, Any]) -> bool:
        """Return whether the records have these, see `features.spec.ViewSpec.settings`."""
        return all(getattr(self, name) == value for name, value in settings.items())


class FoundRecords(NamedTuple):
    """The records of some entities."""

    table: NDArray[np.int64]
    """Events, those of an entity behind those of the one before, in the order of (time, known, position): time, key if they have one, and
    columns, whose numbers are of 64 bits."""
    counts: Ints
    """How many each entity has; none if it is absent. Shape (entities,)."""
    digests: list[str | None]
    """Of the events of each."""
    damaged: frozenset[int] = frozenset()
    """Places of the entities of which the file cannot say what it held: none of their events are here."""


def records_path(state: Path, facts: ViewFacts) -> Path:
    """Return the path of the file of a view, from the state folder: models that learned from other columns have other files."""
    return state / FOLDER / f"{facts.view}-{digest_of(facts)[7:19]}{ENDING}"


def files_of_records(state: Path) -> list[Path]:
    """Return the files of all views that are there, sorted."""
    return sorted((state / FOLDER).glob(f"[!.]*{ENDING}"))


def damage_path(path: Path) -> Path:
    """Return the path of the file that says that a file of records is damaged."""
    return path.with_name(f"{path.name}{DAMAGED}")


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


def write_records(
    path: Path,
    header: RecordsHeader,
    events: Events,
    entities: Sequence[str],
    *,
    share: Callable[[Path], object] | None = None,
    enter: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> None:
    """Write a file of records in place of that which is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = process_time()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with explained(path, "the file of a feature view"):
            with draft.open("wb") as file:
                digest = _write(file, header, events, entities, begun)
            sync_file(draft)
        if share is not None:
            share(draft)
        with enter(digest), explained(path, "the file of a feature view"):
            draft.replace(path)
            sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def _write(
    file: IO[bytes], header: RecordsHeader, events: Events, entities: Sequence[str], begun: float
) -> str:
    table, ends = _table(header, events)
    kept = np.flatnonzero(np.diff(ends))
    names = [entities[number] for number in map(int, kept)]
    index = np.empty((len(kept), _ENTRY), dtype=_HASH)
    index[:, :2] = _hashes(names)
    index[:, 2], index[:, 3] = ends[kept], np.diff(ends)[kept]
    index[:, 4:] = np.frombuffer(b"".join(_digests(table, index, names)), dtype=_HASH).reshape(-1, 4)
    index = index[np.lexsort((index[:, 1], index[:, 0]))]
    # Records that are near each other in the index are so among the events.
    places = ranges(index[:, 2].astype(np.int64), index[:, 3].astype(np.int64))
    index[:, 2] = np.cumsum(index[:, 3]) - index[:, 3]
    bits = _bits(len(kept))
    firsts = np.arange(1 << bits, dtype=_HASH) << np.uint64(64 - bits)
    buckets = np.append(np.searchsorted(index[:, 0], firsts), [len(kept)] * 2)  # an even number of them
    if header.cpu_s is not None:
        header = msgspec.structs.replace(header, cpu_s=header.cpu_s + process_time() - begun)
    said = msgspec.json.encode(header)
    said += b" " * (-len(said) % 8)
    first = _START.pack(_MAGIC, len(said), len(kept), len(places)) + said
    starts, rows = memoryview(buckets.astype("<u4").tobytes()), memoryview(index.tobytes())
    bounds = buckets.tolist()
    checks = [
        _bucket_check(starts, rows, number, bounds[number], bounds[number + 1]) for number in range(1 << bits)
    ]
    hashed = sha256()
    for part in (first, _CRC.pack(crc32(first)), starts, np.array(checks, dtype="<u4").tobytes(), rows):
        hashed.update(part)
        file.write(part)
    for start in range(0, len(places), _AT_ONCE):
        part = table[places[start : start + _AT_ONCE]].tobytes()
        hashed.update(part)
        file.write(part)
    file.write(hashed.digest())
    return f"sha256:{hashed.hexdigest()}"


def _bucket_check(starts: memoryview, rows: memoryview, number: int, start: int, stop: int) -> int:
    """Return the CRC-32 of the first and last place of a bucket, and of its part of the index."""
    width = 8 * _ENTRY
    return crc32(rows[width * start : width * stop], crc32(starts[4 * number : 4 * number + 8], number))


def _table(header: RecordsHeader, events: Events) -> tuple[NDArray[np.int64], Ints]:
    """Return the events that records have, as `FoundRecords.table`, and where those of each entity begin. Shape (entities + 1,)."""
    aggregates = aggregates_of(header.facts)
    longest = max((one.over or 0 for one in aggregates), default=0) + SLACK
    entity = np.repeat(np.arange(len(events.starts) - 1), np.diff(events.starts))
    is_newest = np.zeros(len(events.time), dtype=np.bool_)
    past = np.flatnonzero(events.time <= header.known - SLACK)
    # A deleted row gives its place back to the one before it, before there is a newer file.
    many = 1 + (MOST_GONE if header.has_keys and header.push is not None else 0)
    is_last = np.ones(len(past), dtype=np.bool_)
    is_last[:-many] = entity[past[many:]] != entity[past[:-many]]
    is_newest[past[is_last]] = True
    rows = np.flatnonzero(is_newest | (events.time > header.known - longest))
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
    return table, np.searchsorted(rows, events.starts)


def _digests(table: NDArray[np.int64], index: NDArray[np.uint64], names: Sequence[str]) -> Iterator[bytes]:
    """Give the digest of each record."""
    firsts, counts = index[:, 2].tolist(), index[:, 3].tolist()
    for name, first, count in zip(names, firsts, counts, strict=True):
        yield record_digest(name, table[first : first + count].tobytes())


def record_digest(entity: str, events: bytes) -> bytes:
    """Return the digest of a record."""
    return sha256(entity.encode() + b"\0" + events).digest()


def _hashes(entities: Sequence[str]) -> NDArray[np.uint64]:
    """Return the hash of each entity, by which its record is found. It is of 128 bits, so that nobody finds two with the same. Shape (n, 2)."""
    hashed = [blake2b(entity.encode(), digest_size=16).digest() for entity in entities]
    return np.frombuffer(b"".join(hashed), dtype=_HASH).reshape(-1, 2)


def _bits(records: int) -> int:
    """Return how many first bits of a hash say where to look for it: about one record is there."""
    return max(1, records.bit_length())


class Records:
    """A file of records, open. Safe to use from several threads; what nobody uses any more is closed."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self.stamp = stamp_of(os.fstat(file.fileno()))
            try:
                mapped = mmap(file.fileno(), 0, access=ACCESS_READ)
                magic, length, records, events = _START.unpack_from(mapped)
                _require(magic in {_MAGIC, _UNCHECKED}, "it has another form")
                self.has_checks = magic == _MAGIC
                end = _START.size + length
                if self.has_checks:
                    is_right = _CRC.unpack_from(mapped, end)[0] == crc32(memoryview(mapped)[:end])
                    _require(is_right, "its header is damaged")
                    end += _CRC.size
                said = memoryview(mapped)[_START.size : _START.size + length]
                self.header = msgspec.json.decode(said, type=RecordsHeader)
                self.aggregates = aggregates_of(self.header.facts)
                self.columns = columns_of(self.header.facts)
                place = _Place(mapped, end)
                self._shift = np.uint64(64 - _bits(records))
                whole, begin = memoryview(mapped), place.at
                self._buckets = sliding_window_view(place.array("<u4", (1 << _bits(records)) + 2), 2)
                starts = whole[begin : place.at]
                self._checks = place.array("<u4", 1 << _bits(records)) if self.has_checks else None
                begin = place.at
                self._index = place.array(_HASH, _ENTRY * records).reshape(-1, _ENTRY)
                self._bytes = starts, whole[begin : place.at]
                self._events = place.array(_KIND, self.width * events).reshape(-1, self.width)
                rest = len(mapped) - place.at
                _require(rest == _END_BYTES * self.has_checks, "it has another size than it says")
            except (ValueError, OverflowError, struct.error, msgspec.MsgspecError) as error:
                raise Corrupt(
                    f"this cannot be the file of a feature view: {error}",
                    where=str(path),
                    hint="remove it; a run of the line makes it again",
                ) from error

    @property
    def width(self) -> int:
        """Values of an event."""
        return 1 + self.header.has_keys + len(self.columns)

    def find(self, entities: Sequence[str]) -> FoundRecords:
        """Return the records of entities, as far as they are what was written."""
        hashes = _hashes(entities)
        numbers = (hashes[:, 0] >> self._shift).view(np.int64)
        buckets = self._buckets[numbers].astype(np.int64)
        first, tries = buckets[:, 0], buckets[:, 1] - buckets[:, 0]
        odd = np.flatnonzero((tries < 0) | (tries > _MOST_TRIES) | (buckets[:, 1] > len(self._index)))
        damaged = [place for place in odd.tolist() if self._is_damaged(numbers[place], buckets[place])]
        tries[damaged] = 0
        held, asked = self._index[ranges(first, tries)], np.repeat(np.arange(len(entities)), tries)
        is_it = (held[:, :2] == hashes[asked]).all(axis=1)
        held, there = held[is_it], asked[is_it]
        own = held[:, 2:4].astype(np.int64)
        ends = own.sum(axis=1)
        own[(own < 0).any(axis=1) | (ends < own[:, 0]) | (ends > len(self._events))] = 0
        counts = np.zeros(len(entities), dtype=np.int64)
        counts[there] = own[:, 1]
        table = self._events[ranges(own[:, 0], own[:, 1])]
        digests: list[str | None] = [None] * len(entities)
        said, begins, stops = held[:, 4:].tobytes(), 0, np.cumsum(own[:, 1] * table.strides[0]).tolist()
        events = table.tobytes()
        places: list[int] = there.tolist()
        for number, (place, stop) in enumerate(zip(places, stops, strict=True)):
            digest = record_digest(entities[place], events[begins:stop])
            begins = stop
            if digest == said[32 * number : 32 * number + 32]:
                digests[place] = f"sha256:{digest.hex()}"
            else:
                damaged.append(place)
        if len(places) < len(entities):  # whether one is absent, its bucket alone can say
            absent = sorted({*range(len(entities))}.difference(places, damaged))
            damaged += [place for place in absent if self._is_damaged(numbers[place], buckets[place])]
        if not damaged:
            return FoundRecords(table, counts, digests)
        lost = np.isin(np.repeat(np.arange(len(entities)), counts), damaged)
        counts[damaged] = 0
        return FoundRecords(table[~lost], counts, digests, frozenset(damaged))

    def _is_damaged(self, number: np.int64, bucket: Ints) -> bool:
        """Return whether a bucket, from one place to another, is not what was written."""
        start, stop = bucket.tolist()
        if not start <= stop <= len(self._index):
            return True
        return (
            self._checks is not None
            and _bucket_check(*self._bytes, int(number), start, stop) != self._checks[number]
        )

    def values_at(
        self,
        table: NDArray[np.int64],
        counts: Ints,
        moment: int,
        words: Sequence[Sequence[str]] | None = None,
    ) -> dict[str, Values]:
        """Return the columns of the view of entities, at one moment."""
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


def check_records(path: Path) -> str:
    """Check each byte of a file of records, of one of 0.1.0 no more than its form, and return its digest."""
    path.stat()  # one that is missing is none that cannot be read
    with explained(path, "the file of a feature view"), path.open("rb") as file:
        if file.read(len(_MAGIC)) == _UNCHECKED:
            Records(path)
            file.seek(0)
            return f"sha256:{file_digest(file, 'sha256').hexdigest()}"
        left, hashed = os.fstat(file.fileno()).st_size - _END_BYTES, sha256()
        file.seek(0)
        while left > 0 and (block := file.read(min(_BLOCK, left))):
            hashed.update(block)
            left -= len(block)
        is_whole = file.read() == hashed.digest()
    if not is_whole:
        raise Corrupt(
            "a file of records of a feature view is not what was written",
            where=str(path),
            hint="remove it; linewright up makes it again, or a run of the line",
        )
    return f"sha256:{hashed.hexdigest()}"


def _require(is_so: bool, what: str) -> None:
    if not is_so:
        raise ValueError(what)


class _Place:
    """A place in a mapped file, from which arrays are taken one by one."""

    def __init__(self, mapped: mmap, at: int) -> None:
        self._mapped, self.at = mapped, at

    def array(self, kind: Any, many: int) -> NDArray[Any]:
        """Return the next array. It keeps the file mapped."""
        found = np.frombuffer(self._mapped, dtype=kind, count=many, offset=self.at)
        self.at += found.nbytes
        return found
