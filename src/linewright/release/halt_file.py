"""The stop of a line: a file that is there while the line may answer, and that a halt takes away.

To take a file away needs no space, no lock, no record and no descriptor; so a line can be stopped whatever else fails. The record
hears of it as soon as it can. Until then the halt is *pending*: `LINE.go` is missing, and the record does not know why.

`LINE.go` holds 4 KiB of blanks. A halt renames it to `.LINE.halt` and writes into that room who halted the line and why, which a
full disk allows. Where even this fails, the halt holds all the same, and nobody knows whose it was.
"""

import os
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import msgspec

from linewright.release.facts import Serving
from linewright.store.files.disk import sync_folder
from linewright.store.files.names import LINE, is_line_name, line_path
from linewright.store.files.stamps import Stamp, lasting_stamp
from linewright.store.values import decoder

GO = ".go"
"""Ending of the file that lets a line answer."""
ROOM = 4096
"""Bytes of that file, for the note of the one who takes it away: what file systems give at least to any file."""
_MOST_NAME = 200
"""Characters of a name: with whatever JSON makes of them, it leaves room for a reason."""
_MARK = re.compile(rf"\.({LINE})\.halt")
_BLANK = (
    b"While this file is here, its line may answer. Without it endpoints answer 503; see `linewright halt`.\n"
)


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Who halted a line, when and why, as long as the record does not say it."""

    by: str
    because: str
    at: str
    """UTC, RFC 3339 with microseconds."""


def stop(serving_dir: Path, line: str) -> bool:
    """Stop a line: take away what lets it answer.

    It reads nothing before, waits for nobody, and may be done again at any time.
    """
    if not is_line_name(line):
        return False
    go = _go(serving_dir, line)
    try:
        go.rename(_mark(serving_dir, line))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError:  # no space for the other name, say
        go.unlink(missing_ok=True)
    return is_stopped(serving_dir, line)


def is_stopped(serving_dir: Path, line: str) -> bool:
    """Return whether endpoints take a line as stopped, whatever its serving file says of halts."""
    return not may_answer(serving_dir, line) and _is_guarded(_served(serving_dir, line))


def stopped(serving_dir: Path) -> list[str]:
    """Return the lines that endpoints take as stopped, sorted: by their files, so that it can be told without the record."""
    lines = (path.stem for path in serving_dir.glob("*.json"))
    return sorted(line for line in lines if is_line_name(line) and is_stopped(serving_dir, line))


def unguarded(serving_dir: Path) -> list[str]:
    """Return the lines whose serving files were written before such a stop was known, sorted: a halt reaches them by the record alone."""
    lines = (path.stem for path in serving_dir.glob("*.json"))
    return sorted(line for line in lines if not _is_guarded(_served(serving_dir, line)))


def may_answer(serving_dir: Path, line: str) -> bool:
    """Return whether the file is there that lets a line answer; no descriptor is needed for that."""
    try:
        os.stat(f"{serving_dir}/{line}{GO}")  # noqa: PTH116 -- of a thousand lines, as text it costs a quarter
    except FileNotFoundError:
        return False
    return True


def allow(serving_dir: Path, line: str) -> None:
    """Let a line answer, unless a halt is pending. Only the holder of the line's lock may call it."""
    go = _go(serving_dir, line)
    if go.exists() or is_pending(serving_dir, line):
        return
    draft = go.with_name(f".{go.name}.new")
    with draft.open("wb") as file:
        file.write(_BLANK.ljust(ROOM))
        file.flush()
        os.fsync(file.fileno())
    draft.rename(go)
    # A halt leaves its mark, then takes the file away again: of the two that meet here at least one sees the other.
    if _mark(serving_dir, line).exists():
        forbid(serving_dir, line)


def forbid(serving_dir: Path, line: str) -> None:
    """Let a line not answer, since the record says that it is halted."""
    _go(serving_dir, line).unlink(missing_ok=True)


def leave(serving_dir: Path, line: str, note: Note) -> bool:
    """Leave a note of who stopped a line, as well as the disk allows it."""
    is_kept = _leave(serving_dir, line, _fitting(note))
    # Whoever frees the line at this moment may have made the file before the note was there, see `allow`.
    forbid(serving_dir, line)
    _folder_to_disk(serving_dir)
    return is_kept


def _leave(serving_dir: Path, line: str, note: Note) -> bool:
    mark, body = _mark(serving_dir, line), msgspec.json.encode(note).ljust(ROOM)
    try:
        # In its place: what a file has already, a full disk does not take away.
        with mark.open("r+b", buffering=0) as file:
            if _read(file.read(ROOM)) not in {None, note}:
                return False
            file.seek(0)
            file.write(body)
            _to_disk(file.fileno())
    except FileNotFoundError:
        return _served(serving_dir, line) is not None and _leave_new(mark, body)
    except OSError:
        return False
    return True


def _leave_new(mark: Path, body: bytes) -> bool:
    try:
        with mark.open("xb", buffering=0) as file:
            is_whole = file.write(body) == len(body)
            _to_disk(file.fileno())
    except FileExistsError:
        return False
    except OSError:
        is_whole = False
    if not is_whole:
        mark.unlink(missing_ok=True)
    return is_whole


def note_of(serving_dir: Path, line: str) -> Note | None:
    """Return the note of the one who stopped a line, where it is not recorded yet; `None` where none could be left."""
    try:
        with _mark(serving_dir, line).open("rb") as file:
            return _read(file.read(ROOM))
    except OSError:
        return None


def settle(serving_dir: Path, line: str, note: Note | None) -> None:
    """Take back a note, since the record says it now; another one stays."""
    if note_of(serving_dir, line) == (note and _fitting(note)):
        _mark(serving_dir, line).unlink(missing_ok=True)


def is_pending(serving_dir: Path, line: str) -> bool:
    """Return whether somebody stopped a line, and that is not recorded, or not told to endpoints by its serving file."""
    if _mark(serving_dir, line).exists():
        return True
    if may_answer(
        serving_dir, line
    ):  # nearly always; else the serving file is read first, and then looked again
        return False
    served = _served(serving_dir, line)
    is_halted = isinstance(served, Serving) and served.halt
    return _is_guarded(served) and not is_halted and not may_answer(serving_dir, line)


def pending(serving_dir: Path) -> list[str]:
    """Return the lines that somebody stopped and whose record does not say it yet, sorted; none where the folder cannot be read."""
    try:
        stamp = lasting_stamp(serving_dir)
        found = _without_go if stamp is not None else _without_go.__wrapped__
        return sorted(line for line in found(str(serving_dir), stamp) if is_pending(serving_dir, line))
    except OSError:
        return []


@lru_cache(maxsize=8)
def _without_go(serving_dir: str, stamp: Stamp | None) -> frozenset[str]:
    """Return the lines that may be stopped, by the names of files alone: the folder is listed once until it changes."""
    del stamp
    names = set(os.listdir(serving_dir))  # noqa: PTH208 -- of thousands of names, paths would take ten times as long
    marks = (_MARK.fullmatch(name) for name in names if name.endswith(".halt"))
    marked = {match[1] for match in marks if match is not None}
    served = {name.removesuffix(".json") for name in names if name.endswith(".json")}
    return frozenset(marked | {line for line in served if is_line_name(line) and line + GO not in names})


def _go(serving_dir: Path, line: str) -> Path:
    return line_path(serving_dir, line, GO)


def _mark(serving_dir: Path, line: str) -> Path:
    return line_path(serving_dir, line, GO).with_name(f".{line}.halt")


def _served(serving_dir: Path, line: str) -> Serving | Exception | None:
    """Return what endpoints of a line follow, or why it cannot be read; `None` where there is no such file."""
    try:
        return decoder(Serving).decode((serving_dir / f"{line}.json").read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        return error


def _is_guarded(served: Serving | Exception | None) -> bool:
    # One that cannot be read may have been: a stop that is lost is worse than one that somebody has to lift.
    return served.go if isinstance(served, Serving) else served is not None


def _fitting(note: Note) -> Note:
    """Return a note that there is room for: a long reason loses its end."""
    note = msgspec.structs.replace(note, by=note.by[:_MOST_NAME])
    while len(msgspec.json.encode(note)) > ROOM:
        note = msgspec.structs.replace(note, because=f"{note.because[: len(note.because) * 3 // 4]}…")
    return note


def _read(body: bytes) -> Note | None:
    try:
        return decoder(Note).decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _to_disk(descriptor: int) -> None:
    with suppress(OSError):  # a failing disk: endpoints have seen it all the same
        os.fsync(descriptor)


def _folder_to_disk(folder: Path) -> None:
    with suppress(OSError):
        sync_folder(folder)
