"""Files by which processes tell each other something: there as a whole or not at all, and held as long as their writer lives.

What is held is locked with `flock`, which the kernel takes back at a kill -9: nobody has to clean up before it can be known who
has ended.
"""

import fcntl
from pathlib import Path
from typing import IO

from linewright.store.clock import uuid7


def write_whole(path: Path, body: bytes) -> None:
    """Put a file in the place of another; readers see the one or the other."""
    draft = _draft_of(path)
    try:
        draft.write_bytes(body)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def write_held(path: Path, body: bytes = b"") -> IO[bytes]:
    """Like `write_whole`, and hold the file until what is returned is closed. It is held before it has its name."""
    draft = _draft_of(path)
    file = draft.open("xb", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(body)
        draft.replace(path)
    except OSError:
        file.close()
        draft.unlink(missing_ok=True)
        raise
    return file


def is_held(file: IO[bytes]) -> bool:
    """Whether someone holds an open file, in this process or another."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _draft_of(path: Path) -> Path:
    # It begins with a dot, so that what looks for files by a pattern passes over it.
    return path.with_name(f".{path.name}-{uuid7()}")
