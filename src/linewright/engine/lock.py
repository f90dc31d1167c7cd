"""One executor a factory, and one `up`: locks that the kernel frees, whatever ends their holder."""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from linewright.errors import Terminal, Transient
from linewright.store.files.rights import LOCK

_PAUSE_S = 0.1


class ProcessLock:
    """A lock on a file, held by at most one process; two live executors of one factory would run a step twice.

    It belongs to the open file, so that kill -9 frees it; children started with `subprocess` do not inherit it. The file
    stays, and names the last holder for people. Its folder must exist.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "executor.lock"
    >>> first, second = ProcessLock(path), ProcessLock(path)
    >>> first.acquire(), second.acquire(), second.holder() == os.getpid()
    (True, False, True)
    >>> first.release()
    >>> second.acquire()
    True
    >>> second.release()
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock if it is free, and return whether this object now holds it; never waits."""
        if self._descriptor is not None:
            return True
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        with suppress(OSError):  # a full disk: the name is for people only
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return True

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, LOCK)
        except OSError as error:
            hint = "check that its folder exists and that this user may write there"
            raise Terminal(
                "the lock cannot be opened", where=str(self._path), found=error.strerror, hint=hint
            ) from error

    def wait(self, told: Callable[[int | None], None]) -> None:
        """Take the lock, however long another process holds it; a signal may end the wait."""
        if self.acquire():
            return
        told(self.holder())
        while not self.acquire():
            time.sleep(_PAUSE_S)

    def release(self) -> None:
        """Free the lock, if this object holds it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> int | None:
        """Return the process that last took the lock, for people; it may have ended."""
        text = self._path.read_text().strip() if self._path.exists() else ""
        return int(text) if text.isdigit() else None

    def __enter__(self) -> Self:
        if not self.acquire():
            raise Transient(
                "another process holds the lock",
                where=str(self._path),
                found=f"process {self.holder()}",
                hint="wait until it ends, or stop it",
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
