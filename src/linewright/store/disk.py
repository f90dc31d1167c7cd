"""What an error of the file system means, and what to do next."""

import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from linewright.errors import BackendError, Terminal, Transient

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM}
_FAULTS = {*_NO_SPACE, *_NOT_WRITABLE, errno.EIO}


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
    if error.errno in _NOT_WRITABLE:
        return Terminal(
            f"{what} cannot be written or read",
            where=where,
            found=error.strerror,
            hint="let this user read and write it",
        )
    return Terminal(f"{what} failed", where=where, found=error.strerror, hint="check the disk")


@contextmanager
def faults_explained(where: Path | None = None) -> Generator[None]:
    """Explain a disk that is full, broken or not to be written, wherever it shows; any other error passes.

    Parameters
    ----------
    where
        What is told where the error names no file.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FAULTS:
            raise
        path = Path(str(error.filename)) if error.filename else where
        raise explain(error, path or Path(), "the file" if path else "a file") from error
