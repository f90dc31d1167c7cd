"""The prediction log: what was asked and answered, appended before the answer goes out.

A folder of segments, one writer each, which holds `flock` on the one that it writes to. A segment is a run of frames: length
and CRC-32 of the payload (unsigned 32 bits, little-endian), then the payload, one `Prediction` or those of one request of many
rows as JSON (see `records`). Frames are handed to the kernel by one `write` a request, so they survive the kill of any process; about every 200 ms a thread forces them to the disk, and at once where a request
waits for that. One fsync serves all who wait (group commit).

A segment that nobody writes to any more may be sealed: its file goes, and its records are kept elsewhere under the same name
and positions. Endpoints neither seal nor need what is sealed; whoever reads the whole log says where that is.
"""

import fcntl
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import IO, BinaryIO, NamedTuple, Protocol

import msgspec

from linewright.errors import Transient
from linewright.serve.facts import Fault, Prediction, Predictions
from linewright.serve.files import is_held
from linewright.serve.fresh import Fresh, Several
from linewright.serve.records import payload_of, records_of
from linewright.store.clock import now_utc, uuid7
from linewright.store.disk import explain

SEGMENT_BYTES = 64 * 2**20
SYNC_EVERY_S = 0.2
MAX_PAYLOAD = 64 * 2**20
ENDING = ".log"
TORN = "torn"
_WRONG_LENGTH = "the length is wrong"
_SEARCHED = 16 * 2**20
"""Bytes after a header whose length is wrong in which its record is looked for."""
_TRIED, _PAGE = ".tried", 4096
"""A file by which a log sees whether the disk takes something, and its bytes."""
_HEADER = struct.Struct("<II")
HEADER_BYTES = _HEADER.size


class Frame(NamedTuple):
    """One record, or those of one request, as stored."""

    segment: str
    """File name of the segment."""
    offset: int
    end: int
    """Where the frame begins and ends in its segment, in bytes; `end` is a position to read on from."""
    payload: bytes


class Logged(NamedTuple):
    """One record of a log, and the place of its frame, which other records may share."""

    segment: str
    offset: int
    end: int
    record: Prediction


class Damage(NamedTuple):
    """Bytes of a segment that hold no record."""

    segment: str
    offset: int
    why: str
    """``torn``: the end of a segment whose writer was killed or is writing; else what is wrong with a whole frame."""

    def is_end_of_killed(self, counted: Mapping[str, int]) -> bool:
        """Whether a kill may leave this: a torn end behind all that was counted, so that it was never answered.

        Parameters
        ----------
        counted
            Positions by segment up to which every record was whole: `Feedback.counted`.
        """
        return self.why == TORN and self.offset >= counted.get(self.segment, 0)


def ignore(_: Damage) -> None:
    """Report nothing."""


class SealedSegments(Protocol):
    """Segments of one log that are no files any more. What was sealed never changes; more may be sealed at any time."""

    def ends(self) -> Mapping[str, int]:
        """Return the length in bytes of each segment that is sealed by now, by its name."""
        ...

    def frames(self, segment: str, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Iterate over the frames in [start, stop) of a segment, as its file had them; of an unknown one there are none.

        Raises
        ------
        Corrupt
            If what is kept of it has changed, or is gone.
        """
        ...


class _Nothing:
    def ends(self) -> Mapping[str, int]:
        return {}

    def frames(self, segment: str, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        del segment, start, stop
        return iter(())


NOTHING_SEALED: SealedSegments = _Nothing()
"""All that is read is in files."""


def say_nothing(_fault: Fault, _because: str | None) -> None:
    """Tell nobody."""


class PredictionLog:
    """Appends to the log of one line. Safe to use from several threads; several processes may write beside each other.

    Parameters
    ----------
    folder
        The line's log folder; made when the first record comes.
    segment_bytes
        Size at which a segment is closed and the next one begun.
    sync_every_s
        Longest time, in seconds, that written records wait to be forced to the disk.
    say
        Called each time that the log cannot be written or the disk refuses it, with the reason, and with `None` once that
        works again.
    fresh
        Told of all that is written, for an index in this process (default: there is none).
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        sync_every_s: float = SYNC_EVERY_S,
        say: Callable[[Fault, str | None], None] = say_nothing,
        fresh: Fresh | None = None,
    ) -> None:
        self.folder, self._say = folder, say
        self._failing: set[Fault] = set()
        self._given_up: list[BinaryIO] = []
        """Files that the disk refused last."""
        self.trouble: str | None = None
        """Why the disk last refused to keep what was written; `None` where it never did. It stays: a later success brings
        back nothing of what was refused."""
        self._segment_bytes, self._sync_every_s = segment_bytes, sync_every_s
        self._lock, self._syncing = threading.Lock(), threading.Lock()
        self._file: BinaryIO | None = None
        self._name, self._size = "", 0
        self.fresh = fresh
        self._retired: list[BinaryIO] = []
        self._written = self._synced = self._refused = 0
        self._doubted: range | None = None
        """Positions between the first and the last byte that the disk refused to keep."""

    @property
    def written_bytes(self) -> int:
        """Bytes written by this process."""
        return self._written

    @property
    def fails(self) -> bool:
        """Whether the last that it tried, to write or to force to the disk, did not work."""
        return bool(self._failing)

    @property
    def unsynced_bytes(self) -> int:
        """Bytes that would not survive power loss: not yet forced to the disk, or refused by it."""
        return self._written - self._synced + self._refused

    def append(self, records: Sequence[Prediction], *, durable: bool = False) -> int:
        """Write `records`, all or none; when it returns they survive the kill of this process.

        Parameters
        ----------
        durable
            Whether to return only once they survive power loss too.

        Returns
        -------
        int
            How many bytes they take.

        Raises
        ------
        Transient
            If they cannot be written, or not be forced to the disk where that is wanted; then nothing may be answered.
        """
        parts = [frame_of(payload_of(record)) for record in records]
        ids, keys = [record.id for record in records], [record.key for record in records]
        return self._append(parts, ids, keys, durable=durable)

    def append_request(self, records: Predictions, *, durable: bool = False) -> int:
        """Write the records of one request of many rows as `append` does."""
        frame = frame_of(payload_of(records))
        keys = None if records.keys is None else msgspec.json.encode(records.keys)
        return self._append([frame], [records.first], [Several(records.many, keys)], durable=durable)

    def _append(
        self, parts: list[bytes], ids: list[str], keys: Sequence[str | Several | None], *, durable: bool
    ) -> int:
        frames = b"".join(parts)
        with self._lock:
            try:
                self._write(self._room_for(len(frames)), frames)
            except OSError as error:
                self._abandon()
                self._fails("write", error)
                # Also where the disk may not be written: whoever asks an endpoint does better to ask again later.
                raise Transient(
                    f"the prediction log cannot be written: {error.strerror}",
                    where=self.folder.name,
                    hint=f"{explain(error, self.folder, 'the log').hint}; until then no answer is given, "
                    "because none could be recorded",
                ) from error
            if self.fresh is not None:
                self.fresh.add(self._name, self._size, ids, keys, list(map(len, parts)))
            self._size += len(frames)
            self._written += len(frames)
            written = self._written
            self._works("write")
        _SYNCER.expect(self, self._sync_every_s)
        if durable:
            self._wait_for_the_disk(written)
        return len(frames)

    def _wait_for_the_disk(self, written: int) -> None:
        with self._syncing:
            if self._synced < written:
                self._sync()
            if self._doubted is not None and written - 1 in self._doubted:
                raise Transient(
                    f"the prediction log is {self.trouble}",
                    where=self.folder.name,
                    hint="look at the disk; without `durable` an answer only has to survive the kill of a process",
                )

    def sync(self) -> None:
        """Force what was written to the disk; whether that worked is in `trouble`."""
        with self._syncing:
            self._sync()

    def _sync(self) -> None:
        with self._lock:
            files = [*self._retired, *([self._file] if self._file else [])]
            self._retired, written = [], self._written
            current = self._file
        failed = [file for file in files if not self._force(file)]
        for file in files:
            if file is not current:
                file.close()
        with self._lock:
            if failed:
                # What came meanwhile may stand behind a hole, which readers do not pass: it is in doubt too.
                written = self._written
                self._refused += written - self._synced
                self._doubted = range(self._synced if self._doubted is None else self._doubted.start, written)
            self._synced = written
            # The kernel may drop what it could not write and call the next try a success, so nothing more goes there.
            if self._file in failed:
                self._retire()
        if not failed and any(file not in self._given_up for file in files):
            self._works("force")
        self._given_up = failed

    def _force(self, file: BinaryIO) -> bool:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            self.trouble = f"not forced to the disk: {error.strerror}"
            self._fails("force", error)
            return False
        return True

    def _fails(self, fault: Fault, error: OSError) -> None:
        self._failing.add(fault)
        self._say(fault, error.strerror or str(error))

    def _works(self, fault: Fault) -> None:
        if fault in self._failing:
            self._failing.discard(fault)
            self._say(fault, None)

    def look_again(self) -> None:
        """Where it fails, see whether the disk takes something again: a line that nobody asks would be told of for ever."""
        path = self.folder / _TRIED
        with suppress(OSError):
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with path.open("wb", buffering=0) as file:
                    file.write(bytes(_PAGE))
                    os.fsync(file.fileno())
            finally:
                path.unlink(missing_ok=True)
            sync_folder(self.folder)
            with self._lock:
                for fault in sorted(self._failing):
                    self._works(fault)

    def close(self) -> None:
        """Force what was written to the disk and stop."""
        with self._lock:
            self._retire()
        self.sync()

    def _room_for(self, size: int) -> BinaryIO:
        if self._file is not None and self._size and self._size + size > self._segment_bytes:
            self._retire()
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._name = f"{now_utc().replace(':', '')}-{uuid7()}{ENDING}"
            self._file = (self.folder / self._name).open("xb", buffering=0)
            # Until it is closed, or this process is killed: who finds it free knows that no more is written to it.
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._size = 0
            sync_folder(self.folder)
        return self._file

    def _write(self, file: BinaryIO, data: bytes) -> None:
        view, done = memoryview(data), 0
        while done < len(data):
            done += os.write(file.fileno(), view[done:])

    def _abandon(self) -> None:
        # Half a frame must not be followed by a whole one, and readers may have seen it: so nothing more goes here.
        if self._file is None:
            return
        try:
            os.ftruncate(self._file.fileno(), self._size)
            if not self._size:
                Path(self._file.name).unlink()
        except OSError as error:
            self.trouble = f"a torn record could not be removed: {error.strerror}"
        self._retire()

    def _retire(self) -> None:
        if self._file is not None:
            self._retired.append(self._file)
            self._file = None


class _Syncer:
    """Forces the logs of this process to the disk, those that were written to: one thread for a thousand lines."""

    def __init__(self) -> None:
        self._lock, self._wake = threading.Lock(), threading.Event()
        self._expected: dict[PredictionLog, float] = {}
        """When each is to be forced, by the monotonic clock."""
        self._thread: threading.Thread | None = None

    def expect(self, log: PredictionLog, within_s: float) -> None:
        """Force a log to the disk within so many seconds, unless it is expected already."""
        if log in self._expected:
            return
        with self._lock:
            self._expected[log] = monotonic() + within_s
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="log-sync", daemon=True)
                self._thread.start()
        self._wake.set()

    def _work(self) -> None:
        while True:
            self._wake.wait()
            with self._lock:
                now = monotonic()
                due = [log for log, at in self._expected.items() if at <= now]
                for log in due:
                    del self._expected[log]  # before it is forced: what is written meanwhile is expected anew
                if not self._expected:
                    self._wake.clear()
                pause = min((at - now for at in self._expected.values()), default=0.0)
            for log in due:
                log.sync()
            if not due and pause > 0:
                sleep(pause)


_SYNCER = _Syncer()


def frame_of(payload: bytes) -> bytes:
    """Return a payload as it is stored in a segment."""
    return _HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def is_being_written(segment: Path) -> bool:
    """Whether a writer has a segment: half a frame at its end is then one that is not whole yet."""
    with suppress(FileNotFoundError), segment.open("rb") as file:
        return is_held(file)
    return False


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    _sync(folder, os.O_DIRECTORY)


def sync_file(path: Path) -> None:
    """Force what any process wrote to a file to the disk."""
    _sync(path, 0)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_log(
    folder: Path,
    after: Mapping[str, int] | None = None,
    *,
    until: Mapping[str, int] | None = None,
    damaged: Callable[[Damage], None] = ignore,
    sealed: SealedSegments = NOTHING_SEALED,
) -> Iterator[Logged]:
    """Iterate over the records of a log, segment by segment in the order in which they were begun.

    Parameters
    ----------
    folder
        A line's log folder; one that does not exist is an empty log.
    after
        For each segment by file name, the position to read on from: the last `Logged.end` seen. Segments that are not
        named are read from their beginning, since several processes may write beside each other.
    until
        Positions at which to stop; segments that are not named are not read (default: all to their end).
    damaged
        Called for bytes that hold no record: a torn end, or a frame whose checksum or length is wrong. Reading goes on behind
        the frame where its end is known, else with the next segment.
    sealed
        Where the segments are that are no files any more (default: all are files).

    Raises
    ------
    Corrupt
        If a sealed segment has changed.

    Notes
    -----
    One frame of a file is in memory at a time, and one batch of a sealed segment.
    """
    for frame in read_frames(folder, after, until=until, damaged=damaged, sealed=sealed):
        try:
            records = records_of(frame.payload)
        except msgspec.MsgspecError as error:
            damaged(Damage(frame.segment, frame.offset, str(error)))
            continue
        for record in records:
            yield Logged(frame.segment, frame.offset, frame.end, record)


def read_frames(
    folder: Path,
    after: Mapping[str, int] | None = None,
    *,
    until: Mapping[str, int] | None = None,
    damaged: Callable[[Damage], None] = ignore,
    sealed: SealedSegments = NOTHING_SEALED,
) -> Iterator[Frame]:
    """Iterate like `read_log`, without decoding the payloads."""
    start = after or {}
    for name in sorted(lengths(folder, sealed)):
        stop = None if until is None else until.get(name, 0)
        yield from read_segment(folder, name, start.get(name, 0), stop=stop, damaged=damaged, sealed=sealed)


def lengths(folder: Path, sealed: SealedSegments = NOTHING_SEALED) -> dict[str, int]:
    """Return the length in bytes of each segment of a log, by its name."""
    files: dict[str, int] = {}
    for path in folder.glob("*" + ENDING):
        with suppress(FileNotFoundError):
            files[path.name] = path.stat().st_size
    # After the files: a segment that is sealed meanwhile is then in one of the two.
    return {**sealed.ends(), **files}


def read_segment(
    folder: Path,
    name: str,
    offset: int = 0,
    *,
    stop: int | None = None,
    damaged: Callable[[Damage], None] = ignore,
    sealed: SealedSegments = NOTHING_SEALED,
) -> Iterator[Frame]:
    """Iterate over the frames of one segment in [offset, stop), whether it is a file or sealed; of none there are none."""
    if stop is not None and offset >= stop:
        return
    try:
        file = (folder / name).open("rb")
    except FileNotFoundError:
        yield from sealed.frames(name, offset, stop)
        return
    with file:
        size = os.fstat(file.fileno()).st_size
        yield from read_file(
            file, name, offset, stop=size if stop is None else min(size, stop), damaged=damaged
        )


def read_file(
    file: IO[bytes],
    name: str,
    offset: int = 0,
    *,
    stop: int,
    damaged: Callable[[Damage], None] = ignore,
) -> Iterator[Frame]:
    """Iterate over the frames in [offset, stop) of the opened file of the segment `name`."""
    file.seek(offset)
    while offset < stop:
        length, checksum = _header(file)
        end = offset + _HEADER.size + length
        fits = 0 < length <= MAX_PAYLOAD and end <= stop
        payload = file.read(length) if fits else b""
        if fits and zlib.crc32(payload) == checksum:
            yield Frame(name, offset, end, payload)
            offset = end
            continue
        real = _real_end(file, offset + _HEADER.size, stop, checksum)
        if real is None and not fits:
            is_torn = length <= MAX_PAYLOAD if length else _is_empty(file, offset, stop)
            damaged(Damage(name, offset, TORN if is_torn else _WRONG_LENGTH))
            return
        damaged(Damage(name, offset, "the checksum is wrong" if real is None else _WRONG_LENGTH))
        offset = end if real is None else real
        file.seek(offset)


def _header(file: IO[bytes]) -> tuple[int, int]:
    header = file.read(_HEADER.size)
    # A length of 0 is what a file system leaves where it grew a file and lost its content.
    return _HEADER.unpack(header) if len(header) == _HEADER.size else (0, 0)


def _real_end(file: IO[bytes], start: int, size: int, checksum: int) -> int | None:
    """Return where the payload ends that has this checksum, whatever its length is said to be; `None` if there is none.

    It tells a damaged length from a torn record, and no record after it is lost.
    """
    file.seek(start)
    rest = file.read(min(max(size - start, 0), _SEARCHED)) if checksum else b""
    done = found = 0
    while (end := rest.find(b"}", done) + 1) > 0:
        found, done = zlib.crc32(rest[done:end], found), end
        if found == checksum:
            return start + end
    return None


def _is_empty(file: IO[bytes], start: int, size: int) -> bool:
    """Whether less than a header follows, or nothing but zeros."""
    file.seek(start)
    while size - start >= _HEADER.size and (block := file.read(min(size - start, _SEARCHED))):
        if block.strip(b"\0"):
            return False
        start += len(block)
    return True


def read_records(
    folder: Path, segment: str, offset: int, *, sealed: SealedSegments = NOTHING_SEALED
) -> Sequence[Prediction]:
    """Return the records of the frame at a place of a log; none where there is no frame (any more)."""
    for frame in read_segment(folder, segment, offset, sealed=sealed):
        if frame.offset != offset:
            break
        with suppress(msgspec.MsgspecError):
            return records_of(frame.payload)
        break
    return ()


class RecordsAt:
    """Reads records by their places, of which those of one frame are asked for one after the other.

    Parameters
    ----------
    folder, sealed
        As for `read_log`.
    """

    def __init__(self, folder: Path, *, sealed: SealedSegments = NOTHING_SEALED) -> None:
        self._folder, self._sealed = folder, sealed
        self._place = ("", -1)
        self._records: Mapping[str, Prediction] = {}

    def read(self, segment: str, offset: int, identity: str) -> Prediction | None:
        """Return the record that has an id and a place, or `None` where there is none (any more)."""
        if self._place != (segment, offset):
            found = read_records(self._folder, segment, offset, sealed=self._sealed)
            self._place, self._records = (segment, offset), {record.id: record for record in found}
        return self._records.get(identity)
