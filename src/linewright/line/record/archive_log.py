"""Sealing: a segment of the prediction log that nobody writes to any more becomes a Parquet blob.

First the blob is kept, then the `Segment` and the event that enter it, and last the file goes; each is on the disk before the
next. Killed in between, both are there: readers take the file, and the next sealing does all of it again, to the same digests.
"""

import fcntl
import hashlib
import math
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

import pyarrow.parquet

from linewright.engine.lock import ProcessLock
from linewright.errors import Corrupt
from linewright.line.factory import Factory
from linewright.line.instants import later
from linewright.line.sealed_parquet import read_groups, write_segment
from linewright.serve.facts import Sealed, Segment
from linewright.serve.log.records import count_of
from linewright.serve.log.segments import ENDING, Damage, Frame, frame_of, is_being_written, read_segment
from linewright.store.clock import now_utc
from linewright.store.files.disk import explained, sync_folder
from linewright.text.numbers import count

SEAL_BYTES = 16 * 2**20
"""Segments of so many bytes are sealed as soon as they are closed."""
SEAL_AFTER_S = 6 * 3600.0
"""Smaller ones once they are as old as this, counted from their last record."""
_AGAIN_S = 60.0
"""When one is looked at again that could not be sealed, since it is being written to, say."""


def seal_next(factory: Factory, line: str) -> Sealed | None:
    """Seal the oldest segment of a line's log that may be sealed now.

    It may be when its writer has closed it or is gone, when it is large or old enough, and when every byte of it is a record
    that the index of the labels has. A segment with damage, a torn end too, stays the file that it is: it is told from there.
    """
    due = [path for path in _due(factory.log_of(line)) if not is_being_written(path)]
    lock = ProcessLock(factory.log_lock)
    if not due or not lock.acquire():
        return None
    try:
        return _seal_one(factory, line, due)
    finally:
        lock.release()


def next_sealing(factory: Factory, line: str) -> str | None:
    """Return the instant at which a segment of a line's log may be sealed, if nobody writes to it until then; `None` where it has none.

    One that could be sealed and was not may be closed by its writer at any time, without a trace: it is looked at again soon.
    """
    now_s = datetime.fromisoformat(now_utc()).timestamp()
    waits: list[float] = []
    for path in factory.log_of(line).glob("*" + ENDING):
        with suppress(FileNotFoundError):
            about = path.stat()
            old_in_s = about.st_mtime + SEAL_AFTER_S - now_s
            waits.append(old_in_s if about.st_size < SEAL_BYTES and old_in_s > _AGAIN_S else _AGAIN_S)
    # By the clock of the factory, which in a world that simulates is another one than that of the files.
    return later(factory.now(), f"{math.ceil(min(waits))}s") if waits else None


def _seal_one(factory: Factory, line: str, due: Sequence[Path]) -> Sealed | None:
    feedback = factory.labels_of(line)
    damaged = {one.segment for one in feedback.catch_up()}
    counted = {name: position for name, position in feedback.counted().items() if name not in damaged}
    trouble: Corrupt | None = None
    for path in due:
        with _alone(path) as size:
            if not size or size != counted.get(path.name):
                continue
            try:
                return _seal(factory, line, path, size)
            except Corrupt as error:
                trouble = trouble or error
    if trouble is not None:
        raise trouble
    return None


def _due(folder: Path) -> list[Path]:
    # The clock that stamps files, which in a world that simulates is another one than the factory's.
    before = datetime.fromisoformat(now_utc()).timestamp() - SEAL_AFTER_S
    due: list[Path] = []
    for path in sorted(folder.glob("*" + ENDING)):
        with suppress(FileNotFoundError):
            about = path.stat()
            due += [path] if about.st_size >= SEAL_BYTES or about.st_mtime < before else []
    return due


@contextmanager
def _alone(path: Path) -> Generator[int]:
    """Give the length of a segment that nobody else writes or seals meanwhile; 0 where somebody does, or it is gone."""
    with ExitStack() as opened:
        size = 0
        # What is not found or held by another one is left alone; whoever held it before may have sealed it.
        with explained(path), suppress(FileNotFoundError, BlockingIOError):
            file = opened.enter_context(path.open("rb"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            size = path.stat().st_size
        yield size


def _seal(factory: Factory, line: str, path: Path, size: int) -> Sealed:
    segment = _kept(factory, line, path, size)
    event = Sealed(
        at=factory.now(),
        by=factory.context.actor,
        because=f"{count(segment.records, 'prediction')} of a segment that is closed",
        line=line,
        segment=factory.metadata.keep(segment),
        name=segment.name,
        bytes=segment.bytes,
    )
    if all(one.segment != event.segment for one in factory.metadata.events(Sealed, line=line)):
        factory.metadata.record(event)
    with explained(path):
        path.unlink()
        sync_folder(path.parent)
    return event


def _kept(factory: Factory, line: str, path: Path, size: int) -> Segment:
    """Keep the blob of a segment, once it has given back every byte of it."""
    with ExitStack() as opened:
        opened.enter_context(explained(factory.scratch))
        factory.scratch.mkdir(parents=True, exist_ok=True)
        # Without a name, so that a kill leaves nothing.
        draft = opened.enter_context(tempfile.TemporaryFile(dir=factory.scratch))
        read = _Hashed(_frames(path, size))
        written = write_segment(read, draft)
        given_back = _Hashed(_given_back(draft, path.name))
        if (
            sum(count_of(frame.payload) for frame in given_back) != written.records
            or given_back.digest != read.digest
        ):
            raise Corrupt(
                "what was sealed is not what was logged; the segment stays as it is",
                where=str(path),
                found=given_back.digest,
                allowed=read.digest,
                hint="check the memory and the disk of this machine",
            )
        blob = factory.artifacts.put_file(draft)
    return Segment(
        line=line,
        name=path.name,
        bytes=size,
        content=read.digest,
        blob=blob,
        records=written.records,
        first=written.first,
        last=written.last,
    )


def _frames(path: Path, size: int) -> Iterator[Frame]:
    def damaged(found: Damage) -> None:
        raise Corrupt(
            f"a segment of the prediction log has changed since its records were counted: {found.why}",
            where=f"{path}, byte {found.offset}",
            hint="restore it from a backup",
        )

    yield from read_segment(path.parent, path.name, stop=size, damaged=damaged)


def _given_back(draft: IO[bytes], name: str) -> Iterator[Frame]:
    with pyarrow.parquet.ParquetFile(draft, page_checksum_verification=True) as parquet:
        for group in read_groups(parquet, name):
            yield from group


class _Hashed:
    """Passes frames on, and has the digest of the file that they are."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames, self._hashed = frames, hashlib.sha256()

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            self._hashed.update(frame_of(frame.payload))
            yield frame

    @property
    def digest(self) -> str:
        """Digest of what was passed on so far."""
        return "sha256:" + self._hashed.hexdigest()
