"""Refused attempts, counted in small files of the state: no answer waits for a database, and none is needed.

Each process has a file for each minute in which it refused something. A line of it is the number of attempts of one identity that lacked
one right, and what the first of them was; the number is written over in its place. Everybody who was not let in is one identity. So
refusing fills neither memory nor disk, however fast others ask. The worker makes events of the files of minutes that are over.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from linewright.errors import Denied, LinewrightError, Unauthenticated
from linewright.store.clock import later, now_utc, uuid7
from linewright.store.files.names import is_line_name

FOLDER = "refused"
"""In the state folder."""
ENDING = ".txt"
_MOST_SLOTS = 1_000
"""Identities and rights that are told apart in a minute; members and tokens are fewer."""
_MOST_FILES = 1_000
"""Files that wait for the worker; without one, the last minute goes on."""
_MOST_BYTES = 4 << 20
_DIGITS, _MINUTE = 12, 16
_GRACE_MICROS = 2_000_000
"""How long a minute is over until its files are taken: a request that was refused at its end may still be noted."""
_SHOWN = 200

Server = Literal["control-plane", "endpoint", "command"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an identity was refused, as it was the first time in a minute. It never holds a token."""

    server: Server
    who: str = ""
    """The actor; empty where nobody was let in."""
    permission: str = ""
    """The right that was lacking; empty where nobody was let in."""
    what: str = ""
    """Operation, or method and route."""
    line: str = ""
    """The line that it was about, if any."""
    address: str = ""
    """Of the client, if known."""


class Refused:
    """Takes note of refused attempts. Threads may share it."""

    def __init__(self, state: Path | None, *, now: Callable[[], str] = now_utc) -> None:
        self._state, self._now = state, now
        self._lock = threading.Lock()
        self._minute, self._descriptor, self._end = "", -1, 0
        self._slots: dict[tuple[str, str], tuple[int, int]] = {}
        """By identity and right, place in the file and number."""

    def note(
        self, error: LinewrightError, *, server: Server, who: str = "", what: str = "", address: str = ""
    ) -> None:
        """Note an error, if it refuses somebody for want of a right or of a token; what cannot be noted is refused all the same."""
        permission, line = error.details.get("permission", ""), error.details.get("line")
        if self._state is None or not (
            isinstance(error, Unauthenticated) or (isinstance(error, Denied) and permission)
        ):
            return
        attempt = Attempt(
            server=server,
            who=who,
            permission=permission,
            what=what[:_SHOWN],
            line=line if isinstance(line, str) and is_line_name(line) else "",
            address=address[:_SHOWN],
        )
        with self._lock:
            try:
                self._count(self._state / FOLDER, attempt)
            except OSError:
                return

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._leave()

    def _count(self, folder: Path, attempt: Attempt) -> None:
        self._open(folder)
        if self._descriptor < 0:
            return
        key = (attempt.who, attempt.permission)
        if key not in self._slots and len(self._slots) >= _MOST_SLOTS:
            key, attempt = ("others", ""), Attempt(server=attempt.server, who="others")
        place, number = self._slots.get(key, (self._end, 0))
        if number:
            os.pwrite(self._descriptor, _number(number + 1), place)
        else:
            line = _number(1) + b" " + msgspec.json.encode(attempt) + b"\n"
            os.pwrite(self._descriptor, line, place)
            self._end += len(line)
        self._slots[key] = place, number + 1

    def _open(self, folder: Path) -> None:
        """Begin a file if the minute is another, or the worker has taken the one that was begun."""
        minute = self._now()[:_MINUTE]
        is_there = self._descriptor >= 0 and os.fstat(self._descriptor).st_nlink > 0
        if is_there and minute == self._minute:
            return
        folder.mkdir(mode=0o700, exist_ok=True)
        if len(os.listdir(folder)) >= _MOST_FILES:  # noqa: PTH208 -- their number alone
            if not is_there:
                self._leave()
            return
        self._leave()
        path = folder / f"{minute}-{uuid7()}{ENDING}"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        self._minute = minute

    def _leave(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._end = -1, 0
        self._slots.clear()


class Minute(msgspec.Struct, frozen=True, kw_only=True):
    """What was refused in one minute by all processes."""

    at: str
    """When it began."""
    files: tuple[Path, ...]
    attempts: tuple[tuple[Attempt, int], ...]
    """Each with its number."""


def minutes(state: Path, *, now: str) -> list[Minute]:
    """Return what was refused in minutes that are over, oldest first."""
    over = later(now, -_GRACE_MICROS)[:_MINUTE]
    files: dict[str, list[Path]] = {}
    for path in sorted((state / FOLDER).glob(f"*{ENDING}")):
        if path.name[:_MINUTE] < over:
            files.setdefault(path.name[:_MINUTE], []).append(path)
    return [
        Minute(at=f"{minute}:00.000000Z", files=tuple(of_one), attempts=_added(of_one))
        for minute, of_one in files.items()
    ]


def _added(files: list[Path]) -> tuple[tuple[Attempt, int], ...]:
    found: dict[tuple[str, str], tuple[Attempt, int]] = {}
    for path in files:
        with path.open("rb") as file:
            lines = file.read(_MOST_BYTES).splitlines()
        for line in lines:
            try:
                number, attempt = int(line[:_DIGITS]), msgspec.json.decode(line[_DIGITS:], type=Attempt)
            except (ValueError, msgspec.MsgspecError):
                continue  # what a full disk left of it
            first, before = found.get((attempt.who, attempt.permission), (attempt, 0))
            found[attempt.who, attempt.permission] = first, before + number
    return tuple(found.values())


def _number(number: int) -> bytes:
    return f"{number:0{_DIGITS}d}".encode()
