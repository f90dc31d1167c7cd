"""One executor a factory: a lock that the kernel frees, whatever ends its holder."""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from linewright.errors import Terminal, Transient

_PAUSE_S = 0.05


class ExecutorLock:
    """A lock on a file, held by at most one process; two live executors of one factory would run a step twice.

    It belongs to the open file, so that kill -9 frees it; children started with `subprocess` do not inherit it. The file
    stays, and names the last holder for people. Its folder must exist.

    Parameters
    ----------
    path
        The file.
    patience
        Seconds that `with` waits for a holder that is about to end.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "executor.lock"
    >>> first, second = ExecutorLock(path), ExecutorLock(path)
    >>> first.acquire(), second.acquire(), second.holder() == os.getpid()
    (True, False, True)
    >>> first.release()
    >>> second.acquire()
    True
    >>> second.release()
    """

    def __init__(self, path: Path, *, patience: float = 0.0) -> None:
        self._path, self._patience = path, patience
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock if it is free, and return whether this object now holds it; never waits.

        Raises
        ------
        Terminal
            If the file cannot be made or written.
        """
        if self._descriptor is not None:
            return True
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return True

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            hint = "check that its folder exists and that this user may write there"
            raise Terminal(
                "the executor's lock cannot be opened", where=str(self._path), found=error.strerror, hint=hint
            ) from error

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
        deadline = time.monotonic() + self._patience
        while not (is_held := self.acquire()) and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)
        if not is_held:
            raise Transient(
                "another process executes this factory's runs",
                where=str(self._path),
                found=f"process {self.holder()}",
                hint="wait until it ends, or stop it",
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
