"""The prediction log: what was asked and answered, appended before the answer goes out.

A folder of segments (see `segments`), one writer each, which holds `flock` on the one that it writes to. Frames are handed to the kernel by
one `write` a request, so they survive the kill of any process; about every 200 ms a thread forces them to the disk, and at once where a
request waits for that. One fsync serves all who wait (group commit).
"""

import fcntl
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import BinaryIO

from linewright.errors import Transient
from linewright.serve.facts import Fault, Prediction, Predictions
from linewright.serve.log.records import payload_of, records_of
from linewright.serve.log.segments import ENDING, MAX_PAYLOAD, frame_of
from linewright.store.clock import now_utc, uuid7
from linewright.store.files.disk import explain, sync_folder

SEGMENT_BYTES = 64 * 2**20
SYNC_EVERY_S = 0.2
_TRIED, _PAGE = ".tried", 4096
"""A file by which a log sees whether the disk takes something, and its bytes."""


def say_nothing(_fault: Fault, _because: str | None) -> None:
    """Tell nobody."""


class PredictionLog:
    """Appends to the log of one line. Safe to use from several threads; several processes may write beside each other."""

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        sync_every_s: float = SYNC_EVERY_S,
        say: Callable[[Fault, str | None], None] = say_nothing,
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
        """Write `records`, all or none; when it returns they survive the kill of this process."""
        return self._append(b"".join([frame_of(payload_of(record)) for record in records]), durable=durable)

    def append_request(self, records: Predictions, *, durable: bool = False) -> int:
        """Write the records of a request of many rows, or of many rows of a file, as `append` does: one by one where no reader would take them as one."""
        payload = payload_of(records)
        if len(payload) > MAX_PAYLOAD:
            return self.append(records_of(payload), durable=durable)
        return self._append(frame_of(payload), durable=durable)

    def _append(self, frames: bytes, *, durable: bool) -> int:
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
