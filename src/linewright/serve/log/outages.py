"""What goes wrong with the log of a line while it is served: told once when it begins and once when it is over.

It is told in the log of the process, and by a small file for those who look after the line: they make an alert of it. The
endpoint holds a lock on the file of an outage that lasts; the lock goes with the process, so that a kill leaves none that lasts
for ever. Where the disk has no room even for that, the file comes when the outage is over.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, NamedTuple

import msgspec
from msgspec.structs import replace

from linewright.serve.facts import Fault, Outage
from linewright.serve.files import is_held, write_held, write_whole
from linewright.store.clock import now_utc, uuid7
from linewright.store.files.names import line_path
from linewright.store.files.stamps import Stamp, is_young, stamp_of
from linewright.store.values import canonical_json, decoder

MOST_FILES = 20
"""Outages of a line that are kept for those who look after it; while they do not look, further ones are told by the process alone."""
_ENDING = ".outage"


@dataclass
class _Lasting:
    outage: Outage
    path: Path
    file: IO[bytes] | None
    """Locked; `None` where it could not be written."""


class Outages:
    """The outages of one line in this process. Safe to use from several threads."""

    def __init__(
        self,
        serving: Path,
        line: str,
        *,
        tell: Callable[[dict[str, object]], None],
        now: Callable[[], str] = now_utc,
    ) -> None:
        self._serving, self._line, self._tell, self._now = serving, line, tell, now
        self._lock = threading.Lock()
        self._lasting: dict[Fault, _Lasting] = {}
        self.unlogged_rows = 0
        """Rows that this process answered and no log has."""

    @property
    def because(self) -> str | None:
        """Why the log fails at this moment; `None` where it does not."""
        return next((one.outage.because for one in list(self._lasting.values())), None)

    @property
    def refuses(self) -> bool:
        """Whether what is to be logged cannot be written at this moment."""
        return "write" in self._lasting

    def say(self, fault: Fault, because: str | None) -> None:
        """Hear from a log that it fails, or with `None` that it no longer does. The same again changes nothing."""
        with self._lock:
            if because is None:
                self._end(fault)
            elif fault not in self._lasting:
                self._begin(Outage(line=self._line, fault=fault, because=because, since=self._now()))

    def count(self, rows: int) -> None:
        """Count rows that were answered though the log could not be written."""
        with self._lock:
            self.unlogged_rows += rows
            lasting = self._lasting.get("write")
            if lasting is not None:
                lasting.outage = replace(lasting.outage, rows=lasting.outage.rows + rows)

    def close(self) -> None:
        """Close the files: readers see that this process has ended."""
        with self._lock:
            for one in self._lasting.values():
                if one.file is not None:
                    one.file.close()
            self._lasting.clear()

    def _begin(self, outage: Outage) -> None:
        self._tell(
            {"event": "log-fails", "line": self._line, "fault": outage.fault, "because": outage.because}
        )
        path = line_path(self._serving, self._line, f".{uuid7()}{_ENDING}")
        file = None
        with suppress(OSError):  # the log of the process says it, and the metrics do
            if len(_files(self._serving, self._line)) < MOST_FILES:
                file = write_held(path, canonical_json(outage))
        self._lasting[outage.fault] = _Lasting(outage, path, file)

    def _end(self, fault: Fault) -> None:
        lasting = self._lasting.pop(fault, None)
        if lasting is None:
            return
        over = replace(lasting.outage, until=self._now())
        self._tell({"event": "log-works", "line": self._line, "fault": fault, "unlogged_rows": over.rows})
        with suppress(OSError):
            if lasting.file is not None or len(_files(self._serving, self._line)) < MOST_FILES:
                write_whole(lasting.path, canonical_json(over))
        if lasting.file is not None:
            lasting.file.close()


class Found(NamedTuple):
    """An outage that an endpoint left word of."""

    path: Path
    outage: Outage
    is_over: bool
    """Whether it ended, or the process that told of it."""


def outages_of(serving: Path, line: str) -> list[Found]:
    """Return the outages of a line of which there is word, oldest first."""
    return [one for path in _files(serving, line) if (one := _read(path)) is not None]


def lines_with_outages(serving: Path) -> set[str]:
    """Return the lines of whose outages there is word."""
    return set(_named(serving))


def _files(serving: Path, line: str) -> list[Path]:
    line_path(serving, line)  # a name that no line can have is refused, not looked up in vain
    return [serving / name for name in _named(serving).get(line, ())]


def _named(serving: Path) -> Mapping[str, Sequence[str]]:
    """Return the names of the files of outages, sorted, by line. The folder is listed once until it changes: all lines are asked about."""
    try:
        stamp = stamp_of(serving.stat())
    except FileNotFoundError:
        return {}
    young = is_young(stamp, datetime.fromisoformat(now_utc()).timestamp())
    return _listed.__wrapped__(str(serving), stamp) if young else _listed(str(serving), stamp)


@lru_cache(maxsize=8)
def _listed(serving: str, stamp: Stamp) -> Mapping[str, Sequence[str]]:
    del stamp  # files come and go by their names, which changes the folder
    found: dict[str, list[str]] = {}
    for name in sorted(name for name in os.listdir(serving) if name.endswith(_ENDING)):  # noqa: PTH208 -- paths would take ten times as long
        # A site's line is named as its template with a dot and more.
        line, _, identity = name.removesuffix(_ENDING).rpartition(".")
        if identity:
            found.setdefault(line, []).append(name)
    return found


def _read(path: Path) -> Found | None:
    with suppress(OSError, msgspec.MsgspecError), path.open("rb") as file:
        outage = decoder(Outage).decode(file.read())
        return Found(path, outage, outage.until is not None or not is_held(file))
    return None  # it is being written, or was just taken away
