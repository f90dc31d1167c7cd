"""What an error of the file system, or of a file of SQLite, means, and what to do next."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from linewright.errors import BackendError, Corrupt, LinewrightError, Terminal, Transient

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM}
_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")
_NO_FILES = {errno.EMFILE, errno.ENFILE}
_OTHER_KIND = {errno.EISDIR, errno.ENOTDIR, errno.ELOOP}
_FAULTS = {*_NO_SPACE, *_NOT_WRITABLE, *_NO_FILES, *_OTHER_KIND, errno.EIO}
_FEW_FILES = 8
"""So many may have been closed again when an error for want of files is looked at: those of one database, and of clients."""


def explain(error: OSError, path: Path, what: str = "the artifact folder") -> BackendError:
    """Say what an error of the file system means, and what to do next.

    Examples
    --------
    >>> print(explain(OSError(errno.ENOSPC, "No space left on device"), Path("blobs/ab")))
    blobs/ab: no space is left on the disk. Next: free some space, then try again
    """
    where = str(path)
    if error.errno in _NO_SPACE:
        return Transient(
            "no space is left on the disk",
            where=where,
            hint="free some space, then try again",
        )
    if is_out_of_files(error):
        return too_many_files(where)
    if error.errno in _NOT_WRITABLE:
        return Terminal(
            f"{what} cannot be written or read",
            where=where,
            found=error.strerror,
            hint="let this user read and write it",
        )
    if error.errno in _OTHER_KIND:
        return Corrupt(
            f"something else is in the place of {what}",
            where=where,
            found=error.strerror,
            hint="put it back, or restore a backup: linewright restore FILE --factory NEW-FOLDER",
        )
    return Terminal(f"{what} failed", where=where, found=error.strerror, hint="check the disk")


def is_out_of_files(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that nothing more can be opened, here or on the whole machine."""
    seen: list[BaseException] = []  # `raise error from error` makes a circle
    while error is not None and error not in seen:
        if isinstance(error, OSError) and error.errno in _NO_FILES:
            return True
        seen.append(error)
        error = error.__cause__
    return False


def too_many_files(where: str = "") -> Transient:
    """Say that nothing more can be opened just now."""
    hint = "try again in a moment; where it lasts, let the process open more files (`ulimit -n`)"
    return Transient("too many files and connections are open", where=where, hint=hint)


def has_few_files() -> bool:
    """Whether this process can hardly open anything more: SQLite does not say why it could not open a file."""
    opened: list[int] = []
    try:
        opened.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(_FEW_FILES))
    except OSError as error:
        return is_out_of_files(error)
    finally:
        for each in opened:
            os.close(each)
    return False


@contextmanager
def explained(path: Path, what: str = "the artifact folder") -> Generator[None]:
    """Explain whatever error of the file system shows, as one of `path`."""
    try:
        yield
    except OSError as error:
        raise explain(error, path, what) from error


@contextmanager
def faults_explained(where: Path | None = None) -> Generator[None]:
    """Explain a disk that is full, broken or not to be written, too many files, and folders in place of files; any other error passes."""
    try:
        yield
    except LinewrightError as error:
        # Whoever could not open it may have taken it for a mistake of the file.
        if not is_out_of_files(error) or isinstance(error, Transient):
            raise
        raise too_many_files() from error
    except OSError as error:
        if error.errno not in _FAULTS:
            raise
        if error.filename:
            raise explain(error, Path(str(error.filename)), "the file") from error
        raise explain(error, where or Path(), "a file of the folder") from error


def explain_sqlite(
    error: BaseException | None, where: str, what: str = "the database"
) -> BackendError | None:
    """Say what an error of SQLite means, and what to do next; `None` if it is a bug of ours.

    Examples
    --------
    >>> import sqlite3
    >>> error = sqlite3.OperationalError("database or disk is full")
    >>> error.sqlite_errorname = "SQLITE_FULL"
    >>> print(explain_sqlite(error, "a.sqlite"))
    a.sqlite: no space is left: found 'database or disk is full'. Next: free some space, then try again
    """
    name, says = str(getattr(error, "sqlite_errorname", "")), str(error).strip()
    if name.startswith(_BUSY):
        return Transient(f"another process holds {what}", where=where, found=says, hint="try again")
    if name.startswith("SQLITE_FULL"):
        return Transient("no space is left", where=where, found=says, hint="free some space, then try again")
    if name.startswith("SQLITE_READONLY"):
        hint = "let this user write the file and its folder"
        return Terminal(f"{what} cannot be written", where=where, found=says, hint=hint)
    if name.startswith("SQLITE_CANTOPEN") and has_few_files():
        return too_many_files(where)
    if name.startswith("SQLITE_CANTOPEN"):
        hint = "check that its folder exists and that this user may write there"
        return Terminal(f"{what} cannot be opened", where=where, found=says, hint=hint)
    # The last is of the driver, which has no name for it.
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or says.startswith("Could not decode to UTF-8"):
        return Corrupt(f"{what} is damaged", where=where, found=says, hint="restore it from a backup")
    if name.startswith("SQLITE_IOERR"):
        return Terminal("the disk failed", where=where, found=says, hint="check the disk")
    return None


def is_busy(error: BaseException | None) -> bool:
    """Whether another process holds the SQLite database, so that the same may work later."""
    return str(getattr(error, "sqlite_errorname", "")).startswith(_BUSY)


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
