"""Stamps of files, by which it is told that one stayed as it is, without reading it."""

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from linewright.store.clock import now_utc

T = TypeVar("T")
YOUNG_S = 2.0
"""Seconds after a change within which a file may change again unseen: some file systems stamp by whole seconds."""


class Stamp(NamedTuple):
    """What differs once a file was written, or another one is in its place."""

    changed_ns: int
    size: int
    inode: int


def stamp_of(about: os.stat_result) -> Stamp:
    """Return the stamp of a file."""
    return Stamp(about.st_ctime_ns, about.st_size, about.st_ino)


def is_young(stamp: Stamp, now_s: float) -> bool:
    """Return whether a file may still change without another stamp."""
    return now_s - YOUNG_S < stamp.changed_ns / 1e9 <= now_s


def stamp_at(path: str | Path) -> Stamp | None:
    """Return the stamp of a file or folder; `None` where it is not there."""
    with suppress(OSError):
        return stamp_of(os.stat(path))  # noqa: PTH116 -- of a thousand, as text it costs a quarter
    return None


def lasting_stamp(path: str | Path) -> Stamp | None:
    """Return the stamp of a file or folder; `None` where it may still change without another one, or is not there.

    While it is the same, nothing was written to a file, and nothing came to or went from a folder. A SQLite database in the rollback
    journal's mode is such a file: each commit writes to it.
    """
    stamp = stamp_at(path)
    if stamp is None or is_young(stamp, datetime.fromisoformat(now_utc()).timestamp()):
        return None
    return stamp


class Lasting(Generic[T]):
    """What was read, until what it was read from is written.

    Examples
    --------
    >>> stamps = iter([1, 1, 2, None])
    >>> numbers = iter(range(9))
    >>> read = Lasting(lambda: next(stamps))
    >>> [read.get(lambda: next(numbers)) for _ in range(4)]
    [0, 0, 1, 2]
    """

    def __init__(self, stamp: Callable[[], object | None]) -> None:
        self._stamp = stamp
        self._kept: tuple[object, T] | None = None

    def get(self, read: Callable[[], T]) -> T:
        """Return what `read` returned the last time, or read."""
        stamp = self._stamp()  # before it is read: what is written meanwhile is read the next time
        if stamp is not None and self._kept is not None and self._kept[0] == stamp:
            return self._kept[1]
        value = read()
        self._kept = None if stamp is None else (stamp, value)
        return value
