"""Segments of the prediction log: how they are stored, and how they are read.

A segment is a run of frames: length and CRC-32 of the payload (unsigned 32 bits, little-endian), then the payload, one `Prediction` or
those of one request of many rows as JSON (see `records`). `log` writes them.

A segment that nobody writes to any more may be sealed: its file goes, and its records are kept elsewhere under the same name
and positions. Endpoints neither seal nor need what is sealed; whoever reads the whole log says where that is.
"""

import errno
import os
import stat
import struct
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple, Protocol

import msgspec

from linewright.serve.facts import Prediction
from linewright.serve.files import is_held
from linewright.serve.log.records import records_of

MAX_PAYLOAD = 64 * 2**20
ENDING = ".log"
TORN = "torn"
_WRONG_LENGTH = "the length is wrong"
_SEARCHED = 16 * 2**20
"""Bytes after a header whose length is wrong in which its record is looked for."""
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
        """Whether a kill may leave this: a torn end behind all that was counted, so that it was never answered."""
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


def frame_of(payload: bytes) -> bytes:
    """Return a payload as it is stored in a segment."""
    return _HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def is_being_written(segment: Path) -> bool:
    """Whether a writer has a segment: half a frame at its end is then one that is not whole yet."""
    with suppress(FileNotFoundError), open_segment(segment) as file:
        return is_held(file)
    return False


def open_segment(path: Path) -> IO[bytes]:
    """Open a segment to read it. A pipe or a device in its place is none, and is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "it is no file", str(path))
    return os.fdopen(descriptor, "rb")


def read_log(
    folder: Path,
    after: Mapping[str, int] | None = None,
    *,
    until: Mapping[str, int] | None = None,
    damaged: Callable[[Damage], None] = ignore,
    sealed: SealedSegments = NOTHING_SEALED,
) -> Iterator[Logged]:
    """Iterate over the records of a log, segment by segment in the order in which they were begun.

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
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(ENDING):
                with suppress(FileNotFoundError):
                    files[entry.name] = entry.stat().st_size
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
        file = open_segment(folder / name)
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
        header = file.read(_HEADER.size)
        # A length of 0 is what a file system leaves where it grew a file and lost its content.
        length, checksum = _HEADER.unpack(header) if len(header) == _HEADER.size else (0, 0)
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


def read_frames_at(
    folder: Path, segment: str, offsets: Collection[int], *, sealed: SealedSegments = NOTHING_SEALED
) -> Iterator[Frame]:
    """Iterate over the frames at some places of one segment, in their order; a place without a frame is passed over."""
    wanted = sorted(set(offsets))
    try:
        file = open_segment(folder / segment)
    except FileNotFoundError:
        there = frozenset(wanted)
        for frame in sealed.frames(segment, wanted[0] if wanted else 0):
            if frame.offset in there:
                yield frame
            if frame.offset >= wanted[-1]:
                return
        return
    with file:
        size = os.fstat(file.fileno()).st_size
        for offset in wanted:
            frame = next(read_file(file, segment, offset, stop=size), None)
            if frame is not None and frame.offset == offset:
                yield frame


class RecordsAt:
    """Reads records by their places, of which those of one frame are asked for one after the other."""

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
