"""Make a factory from a backup. Until its last step there is nothing that looks like a factory."""

import fcntl
import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

import msgspec

from linewright.capabilities.care.backup import FORM, HEADER, INSIDE, STATE, SUMS, Header, Sums
from linewright.capabilities.care.backup_members import (
    Content,
    CutOff,
    HashedFile,
    Member,
    NotPlain,
    members_of,
)
from linewright.engine.context import Progress
from linewright.errors import Conflict, Corrupt, Denied, NotFound, RequestError, Transient
from linewright.line.factory import Factory
from linewright.line.file.factory_file import FACTORY_FILE, parse_factory_file
from linewright.line.file.sites import declared_lines
from linewright.line.holdings.table import holdings
from linewright.line.proposals.rules import restore_rule
from linewright.line.record.checkpoint import keep_head
from linewright.people.facts import BackupRestored
from linewright.release.promotion import project
from linewright.store.files.disk import explained, sync_folder
from linewright.store.files.rights import make_state_folder

_STAGE = ".restoring"
_NAME_ONE = "name one: linewright restore FILE --factory NEW-FOLDER"
_BLOB = re.compile(rf"{re.escape(STATE)}/artifacts/([0-9a-f]{{2}})/([0-9a-f]{{62}})")
_BLOCK = 2**20
_MOST_BYTES = {HEADER: 2**16, SUMS: 2**30, FACTORY_FILE: 2**20}
"""Bytes of what is read whole: of the sums, some 150 for each file; of `factory.yaml` what reading it allows."""
_PART = re.compile(r"(?!\.*$)[^/\0]+")
"""A part of a path: not empty, and not of dots alone."""
_MOST_PARTS = 100
"""Of a path: each is a folder on the disk, and its path a text in memory, for two bytes in the backup."""
_MOST_NAME = 255
"""Bytes of a part of a path, on every file system that is in use."""
Permit = Callable[[str, str], BackupRestored]
"""(digest of the file, last head of the record in it) → the event that says who permitted it; raises where nobody did."""
S = TypeVar("S", bound=msgspec.Struct)


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """A factory that was made from a backup."""

    factory: str
    at: str
    """When the backup was begun."""
    bytes: int
    files: int
    blobs: int
    lines: tuple[str, ...]
    head: str
    """Digest of the last event of the record, as it was at the backup."""
    digest: str
    """SHA-256 of the file."""


def restore_backup(factory: Factory, file: Path, permit: Permit | None = None) -> Restored:
    """Make a factory in its folder, which must be empty or not there, from a backup.

    Every file is hashed on its way. What a restore that was killed had unpacked is removed by the next; one that was killed
    in its last moment, while it moved things to their places, leaves a folder that is refused.
    """
    root = factory.root
    if not file.is_file():
        raise NotFound("there is no such file", where=str(file))
    if root.exists() and not root.is_dir():
        raise _not_empty(root, _NAME_ONE)
    is_new = not root.exists()
    with explained(root, "the folder"):
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root):
            return _restore(factory, file, permit, is_new=is_new)


def _restore(factory: Factory, file: Path, permit: Permit | None, *, is_new: bool) -> Restored:
    root, stage = factory.root, factory.root / _STAGE
    _require_empty(root)
    shutil.rmtree(stage, ignore_errors=True)
    make_state_folder(stage / STATE)
    try:
        restored, factory_file = _unpack(factory, file, stage, is_permitted=permit is not None)
        _require_ours(stage)
        _project(stage)
        if permit is not None:
            _record_permit(stage, restored.digest, permit)
        _move_out(stage, root, factory_file)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        if is_new:
            with suppress(OSError):
                root.rmdir()
        raise
    return msgspec.structs.replace(restored, factory=str(root))


@contextmanager
def _locked(root: Path) -> Generator[None]:
    # On the folder itself: a file in it would have to go before it is a factory, and whoever waits for it would not see.
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            hint = "wait until it has ended, or name another folder"
            raise Transient(
                "another process restores into this folder", where=str(root), hint=hint
            ) from error
        yield
    finally:
        os.close(descriptor)


def _require_empty(root: Path) -> None:
    found = {path.name for path in root.iterdir()}
    if FACTORY_FILE in found and _STAGE in found:
        raise _not_empty(
            root,
            f"it was restored already: linewright verify --factory {shlex.quote(str(root))}; or name another folder",
        )
    if _STAGE in found and found - {_STAGE}:
        raise _not_empty(
            root,
            f"a restore into it was interrupted: remove it (rm -r {shlex.quote(str(root))}), or name another folder",
        )
    if found - {_STAGE}:
        raise _not_empty(root, _NAME_ONE)


def _not_empty(root: Path, hint: str) -> Conflict:
    return Conflict("a backup is restored into an empty or a new folder only", where=str(root), hint=hint)


class _Reading:
    """Writes the members of a backup into a folder, and remembers their digests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: dict[str, str] = {}
        self.blobs = self.bytes = 0
        self.documents: dict[str, bytes] = {}
        self._files, self._folders = set[str](), set[str]()

    def take(self, member: Member) -> None:
        """Take one member."""
        if member.name in (HEADER, SUMS) and member.name not in self.documents:
            self._document(member.name, member)
            return
        name = self._name(member.name)
        if name == FACTORY_FILE:  # kept out of the folder until all else is there
            self._document(name, member)
            self.found[name] = "sha256:" + hashlib.sha256(self.documents[name]).hexdigest()
            return
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = self._write(path, member.data)
        path.chmod(member.mode & 0o777)
        if match := _BLOB.fullmatch(name):
            _require_same(name, digest, f"sha256:{match[1]}{match[2]}")
            self.blobs += 1
        else:
            self.found[name] = digest

    def _document(self, name: str, member: Member) -> None:
        if member.size > _MOST_BYTES[name]:
            raise _no_backup(f"{member.name} of {member.size:,} bytes; at most {_MOST_BYTES[name]:,}")
        self.documents[name] = member.data.read()

    def _name(self, said: str) -> str:
        """Return the path inside the factory of a member that a backup can have, and that does not stand in another's way."""
        name = said.removeprefix(INSIDE)
        parts = name.split("/", _MOST_PARTS)
        if said == name or not all(map(_can_be_part, parts)) or parts[0] == _STAGE:
            raise _no_backup(f"a member named {said[:200]!r}")
        above = {"/".join(parts[:number]) for number in range(1, len(parts))}
        if parts[0] == STATE and not _of_state().fullmatch(name):
            raise _no_backup(f"a member that no backup has, {said[:200]!r}")
        if name in self._files or name in self._folders or above & self._files:
            raise _no_backup(f"a second member for {said[:200]!r}")
        self._files.add(name)
        self._folders |= above
        return name

    def _write(self, path: Path, data: Content) -> str:
        hashed = hashlib.sha256()
        with path.open("xb") as file:
            while block := data.read(_BLOCK):
                hashed.update(block)
                file.write(block)
                self.bytes += len(block)
        return "sha256:" + hashed.hexdigest()


@cache
def _of_state() -> re.Pattern[str]:
    """Return what the paths of all files match that a backup has of the state."""
    forms = "|".join(one.kept for one in holdings() if one.kept)
    return re.compile(rf"{re.escape(STATE)}/({forms})")


def _can_be_part(part: str) -> bool:
    return _PART.fullmatch(part) is not None and len(os.fsencode(part)) <= _MOST_NAME


def _unpack(factory: Factory, file: Path, stage: Path, *, is_permitted: bool) -> tuple[Restored, bytes]:
    reading = _Reading(stage)
    header: Header | None = None
    try:
        with file.open("rb") as opened:
            archive = HashedFile(opened)
            for number, member in enumerate(members_of(archive, os.fstat(opened.fileno()).st_size), 1):
                reading.take(member)
                header = header or _header(reading)
                if member.name == INSIDE + FACTORY_FILE and not is_permitted:
                    _require_no_approval(file, reading.documents[FACTORY_FILE])
                if number % 1000 == 0:
                    factory.report(Progress(step="restore", says=f"{number:,} files", done=number))
            digest = archive.digest()
    except NotPlain as error:
        raise _no_backup(str(error)) from error
    except CutOff as error:
        if header is None:
            raise _no_backup(str(error)) from error
        raise _cut_off(file, str(error)) from error
    if header is None or SUMS not in reading.documents:
        raise _cut_off(file, "its last part is missing")
    try:
        sums = _document(reading, SUMS, Sums)
    except RequestError as error:
        raise _cut_off(file, str(error.found)) from error
    _compare(reading, sums)
    restored = Restored(
        factory="",
        at=header.at,
        bytes=reading.bytes,
        files=len(reading.found),
        blobs=reading.blobs,
        lines=tuple(declared_lines(stage / "lines")),
        head=sums.head,
        digest=digest,
    )
    return restored, reading.documents[FACTORY_FILE]


def _require_no_approval(file: Path, factory_file: bytes) -> None:
    """Refuse a backup whose `factory.yaml` names who approves its restore."""
    try:
        rule = restore_rule(parse_factory_file(factory_file.decode(), name=f"{file}: {FACTORY_FILE}"))
    except UnicodeDecodeError as error:
        raise _no_backup(f"{FACTORY_FILE}: {error}") from error
    if rule is not None:
        raise Denied(
            "the restore of this backup needs approval",
            where=str(file),
            found="no approval",
            allowed=f"{rule.needed} of {', '.join(rule.approvers)}",
            hint="propose it at its factory: linewright propose-restore DIGEST, as `sha256sum FILE` prints it; once it is approved, restore with "
            '--approval ID --of FACTORY. If no such factory is left: --without-approval "REASON"',
        )


def _record_permit(stage: Path, digest: str, permit: Permit) -> None:
    """Use the permission, and record it in the restored factory."""
    with Factory(stage) as factory:
        factory.metadata.record(permit(digest, factory.metadata.head().digest))


def _header(reading: _Reading) -> Header:
    if HEADER not in reading.documents:
        raise _no_backup("no header")
    header = _document(reading, HEADER, Header)
    if header.form > FORM:
        raise RequestError(
            "the backup was made by a newer Linewright",
            found=f"form {header.form}, of Linewright {header.linewright}",
            allowed=f"forms up to {FORM}",
            hint="upgrade this installation",
        )
    return header


def _document(reading: _Reading, name: str, kind: type[S]) -> S:
    try:
        return msgspec.json.decode(reading.documents[name], type=kind)
    except msgspec.MsgspecError as error:
        raise _no_backup(f"{name}: {error}") from error


def _compare(reading: _Reading, sums: Sums) -> None:
    if FACTORY_FILE not in reading.found.keys() | sums.files.keys():
        raise _no_backup(f"no {FACTORY_FILE}")
    for name in sorted(reading.found.keys() | sums.files.keys()):
        _require_same(name, reading.found.get(name, "nothing"), sums.files.get(name, "nothing"))
    if reading.blobs != sums.blobs:
        _require_same("artifacts", f"{reading.blobs:,} files", f"{sums.blobs:,} files")


def _require_same(name: str, found: str, expected: str) -> None:
    if found != expected:
        hint = "copy the file again from where it was kept, or use an earlier backup"
        raise Corrupt("the backup was changed", where=name, found=found, allowed=expected, hint=hint)


def _no_backup(found: str) -> RequestError:
    return RequestError(
        "this is no backup of a factory", found=found, hint="`linewright backup FILE` makes one"
    )


def _cut_off(file: Path, found: str) -> Corrupt:
    hint = "copy it again from where it was kept, or use an earlier backup"
    return Corrupt("the backup is cut off", where=str(file), found=found, hint=hint)


def _require_ours(stage: Path) -> None:
    """Require of each holding what our backups have of it, before anything is written to its files."""
    for one in holdings():
        for what in one.restored(stage / STATE):
            raise _no_backup(f"{STATE}/{what}")


def _project(stage: Path) -> None:
    """Write the files that endpoints follow, as the restored record says."""
    with Factory(stage) as factory:
        for line in factory.metadata.lines():
            project(factory.metadata, factory.serving, line)
        keep_head(factory)


def _move_out(stage: Path, root: Path, factory_file: bytes) -> None:
    draft = stage / f".{FACTORY_FILE}"
    draft.write_bytes(factory_file)
    os.sync()
    # The state before the rest, the file that makes the folder a factory last.
    for path in sorted(stage.iterdir()):
        if path != draft:
            path.rename(root / path.name)
    draft.rename(root / FACTORY_FILE)
    stage.rmdir()
    sync_folder(root)
