"""Signed checkpoints are made, and sent to places that those who can change the record cannot write.

A checkpoint is kept in the state until each place has it, so that none is lost while one cannot be reached. A place has them in order.
"""

import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from linewright.capabilities.audit.key import open_key
from linewright.capabilities.audit.proof import ENDING
from linewright.capabilities.audit.signed_note import Checkpoint
from linewright.errors import Corrupt, LinewrightError
from linewright.line.factory import Factory
from linewright.people.spec import AuditSpec
from linewright.serve.files import write_whole
from linewright.store.clock import later
from linewright.store.files.disk import explained, sync_folder
from linewright.text.durations import duration_micros

FOLDER = "checkpoints"
"""In the state folder: checkpoints that some place does not have yet, and how far each is."""
_PLACES = "places.json"
_TYPE = "text/plain; charset=utf-8"
_DIGITS = 12
_AGAIN_MICROS = 60_000_000
"""When signing is tried again."""
_MOST_AGAIN = 100
"""Names that are tried if a kill left the beginning of a file."""


class Place(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How far one place is."""

    entries: int = 0
    """What the newest checkpoint names that it has."""
    failures: int = 0
    """Tries in a row that failed."""
    failing_since: str = ""
    next_at: str = ""
    """When it is tried again."""
    trouble: str = ""
    """What went wrong the last time."""


class Places(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was signed, and who has it."""

    entries: int = 0
    """Of the newest checkpoint that was signed; 0 before the first."""
    digest: str = ""
    at: str = ""
    """When it was signed."""
    trouble: str = ""
    """Why none is signed now."""
    tried: str = ""
    """When that was found."""
    to: dict[str, Place] = {}
    """By what `audit.to` says."""


class Withheld(msgspec.Struct, frozen=True, kw_only=True):
    """Why signed checkpoints are not where they should be."""

    to: str
    """Folder, or scheme and host of a URL; empty if none is signed."""
    waiting: int
    """Checkpoints that wait for it."""
    failing_since: str | None
    next_at: str | None
    """When `linewright up` tries again."""
    trouble: str
    """What went wrong the last time."""


def publish(factory: Factory, spec: AuditSpec, *, at_once: bool = False) -> Checkpoint | None:
    """Sign a checkpoint if it is time and the record grew, and send what waits to all places; return the new one.

    One thread of one process does so at a time.
    """
    folder, now = factory.state / FOLDER, factory.now()
    places = _read(folder)
    before, trouble, made = msgspec.json.encode(places), None, None
    if at_once or _is_due(places, spec, now):
        try:
            made = _sign(factory, spec, places)
            places.trouble = places.tried = ""
        except LinewrightError as error:
            places.trouble, places.tried, trouble = str(error), now, error
    places.to = {one: places.to.get(one) or Place() for one in spec.to}
    waiting = _waiting(folder)
    for to, place in places.to.items():
        if at_once or place.next_at <= now:
            _bring(factory, to, place, waiting)
    if msgspec.json.encode(places) != before:
        with explained(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
            write_whole(folder / _PLACES, msgspec.json.encode(places) + b"\n")
    reached = min((place.entries for place in places.to.values()), default=0)
    for entries, path in waiting.items():
        if entries <= reached and entries < places.entries:
            path.unlink(missing_ok=True)
    if trouble is not None:
        raise trouble
    return made


def withheld(factory: Factory, spec: AuditSpec) -> list[Withheld]:
    """Return why signed checkpoints are not where they should be, as the last try left it; empty where they are."""
    folder = factory.state / FOLDER
    places, waiting = _read(folder), _waiting(folder)
    found = [
        Withheld(
            to=shown(to),
            waiting=sum(entries > place.entries for entries in waiting),
            failing_since=place.failing_since,
            next_at=place.next_at,
            trouble=place.trouble,
        )
        for to, place in places.to.items()
        if to in spec.to and place.failures
    ]
    if places.trouble:
        found.insert(0, Withheld(to="", waiting=0, failing_since=None, next_at=None, trouble=places.trouble))
    return found


def shown(to: str) -> str:
    """Return a place as it may be told: of a URL what stands before the path, which may be a secret.

    Examples
    --------
    >>> shown("https://example.com/in/s3cret?t=1"), shown("/mnt/audit")
    ('https://example.com', '/mnt/audit')
    """
    if "://" not in to:
        return to
    parts = urlsplit(to)
    return f"{parts.scheme}://{parts.netloc}"


def _is_due(places: Places, spec: AuditSpec, now: str) -> bool:
    if places.trouble:
        return places.tried > now or later(places.tried, _AGAIN_MICROS) <= now
    return not places.at or places.at > now or later(places.at, duration_micros(spec.every)) <= now


def _sign(factory: Factory, spec: AuditSpec, places: Places) -> Checkpoint | None:
    head = factory.metadata.head()
    if (head.entries, head.digest) == (places.entries, places.digest) or not head.entries:
        return None
    if places.entries and factory.metadata.head_after(places.entries) != places.digest:
        path = factory.state / FOLDER / _PLACES
        raise Corrupt(
            "the record is an older copy, or was rebuilt: it does not contain the checkpoint that was signed last, so none is signed",
            where=f"event {places.entries}",
            found=places.digest,
            hint=f"put the newest record back; where this one is meant to be, remove the file: rm {shlex.quote(str(path))}",
        )
    signer = open_key(factory.root / Path(spec.key).expanduser(), state=factory.state)
    made = Checkpoint(signer.public.name, head.entries, head.digest, places.entries)
    folder = factory.state / FOLDER
    with explained(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        # Before its place is noted: a kill in between signs the same entries again, or more.
        write_whole(folder / _name(head.entries), signer.note(made))
    places.entries, places.digest, places.at = head.entries, head.digest, factory.now()
    return made


def _bring(factory: Factory, to: str, place: Place, waiting: Mapping[int, Path]) -> None:
    """Send a place what it does not have, in order, until a try fails."""
    undelivered = _sending().Undelivered
    try:
        for entries, path in waiting.items():
            if entries > place.entries:
                _send(factory, to, path.name, path.read_bytes())
                place.entries = entries
                place.failures, place.failing_since, place.next_at, place.trouble = 0, "", "", ""
    except (OSError, undelivered, LinewrightError) as error:
        wait = import_module("linewright.capabilities.notifications.send_events").pause_s(place.failures + 1)
        pause = max(wait, getattr(error, "pause_s", 0.0))
        now = factory.now()
        place.failures, place.failing_since = place.failures + 1, place.failing_since or now
        place.next_at = later(now, int(pause * 1e6))
        place.trouble = getattr(error, "strerror", None) or str(error) or type(error).__name__


def _sending() -> Any:
    """Return `people.send`, which is imported by who sends: `status` only looks."""
    return import_module("linewright.people.send")


def _send(factory: Factory, to: str, name: str, note: bytes) -> None:
    if "://" not in to:
        folder = factory.root / Path(to).expanduser()
        if folder.resolve().is_relative_to(factory.state.resolve()):
            raise _sending().Undelivered("it is inside the state that it vouches for")
        _append(folder, name, note)
        return
    post = _sending().Post(to, where="audit.to")
    try:
        post.send(note, {"content-type": _TYPE})
    finally:
        post.close()


def _append(folder: Path, name: str, note: bytes) -> None:
    """Add a file to a folder; none that is there is changed."""
    stem = name.removesuffix(ENDING)
    for number in range(_MOST_AGAIN):
        path = folder / (f"{stem}-{number}{ENDING}" if number else name)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        except FileExistsError:
            there = path.read_bytes()
            if there == note:
                return
            if note.startswith(there):
                continue  # what a kill left
            raise
        with os.fdopen(descriptor, "wb") as file:
            file.write(note)
            file.flush()
            os.fsync(descriptor)
        with suppress(OSError):  # not every file system can
            sync_folder(folder)
        return
    raise FileExistsError(f"{stem} was begun {_MOST_AGAIN} times")


def _read(folder: Path) -> Places:
    path = folder / _PLACES
    try:
        return msgspec.json.decode(path.read_bytes(), type=Places)
    except FileNotFoundError:
        return Places()
    except (OSError, msgspec.MsgspecError) as error:
        hint = f"find out who wrote it, and remove it: rm {shlex.quote(str(path))}"
        raise Corrupt("what was signed last cannot be read", where=str(path), hint=hint) from error


def _waiting(folder: Path) -> dict[int, Path]:
    """Return the checkpoints in the state, by what they name, oldest first."""
    found = [path for path in folder.glob(f"*{ENDING}") if path.stem.isdecimal()]
    return {int(path.stem): path for path in sorted(found)}


def _name(entries: int) -> str:
    return f"{entries:0{_DIGITS}d}{ENDING}"
