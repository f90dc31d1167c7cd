"""Remote files on this machine, for as long as their rows are in use."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from linewright.data.read.batches import Batch, Part
from linewright.data.read.remote.remote_store import RemoteFile, RemoteRequest, RemoteStore
from linewright.data.read.spill import scratch_of
from linewright.errors import Terminal
from linewright.store.values import digest_of

_PREFIX = "fetched-"
_LOCK = ".lock"
_BEGINS_S = 60.0
_KEPT_FREE = 1 << 28
"""Bytes of the disk that files of other machines may not take."""
_LONGEST_NAME = 200
_AT_ONCE = 8
"""Files that are fetched at a time: most of the time of a small one is that of its way."""


class ScratchFolder:
    """A folder that goes with its last use; one whose process was killed goes when the next one is made."""

    def __init__(self, root: Path) -> None:
        home = scratch_of(root)
        home.mkdir(parents=True, exist_ok=True)
        self.path = Path(tempfile.mkdtemp(dir=home, prefix=_PREFIX))
        remove_ended(home, before=self.path.stat().st_mtime - _BEGINS_S)
        lock = os.open(self.path / _LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.remove = weakref.finalize(self, _remove, self.path, lock)
        """Removes the folder now."""

    @property
    def free(self) -> int:
        """Bytes that files here may take."""
        return shutil.disk_usage(self.path).free - _KEPT_FREE


@contextmanager
def new_scratch(root: Path) -> Generator[ScratchFolder]:
    """Give a folder that stays after this if all went well."""
    scratch = ScratchFolder(root)
    try:
        yield scratch
    except BaseException:
        scratch.remove()
        raise


def _remove(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def remove_ended(home: Path, *, before: float) -> None:
    """Remove the folders of processes that have ended; one that was made since may not be locked yet."""
    for folder in home.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.stat().st_mtime > before:
                continue
            lock = os.open(folder / _LOCK, os.O_WRONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


@dataclass(frozen=True, kw_only=True)
class DownloadedPart:
    """A part of a source in a file that was fetched, which it keeps from going."""

    part: Part
    scratch: ScratchFolder

    @property
    def where(self) -> str:
        """Place in the line file, for messages."""
        return self.part.where

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return self.part.columns

    def batches(self) -> Iterator[Batch]:
        """Give the rows as they are."""
        yield from self.part.batches()

    def starts(self) -> Iterator[tuple[int, int, bool]]:
        """Give where rows start."""
        yield from self.part.starts()


class Download(NamedTuple):
    """A file that was fetched."""

    path: Path
    digest: str
    """SHA-256 of its contents, in hexadecimal digits."""


def fetch(
    store: RemoteStore, files: Sequence[RemoteFile], scratch: ScratchFolder, request: RemoteRequest
) -> list[Download]:
    """Fetch files, each whole or none."""
    _refuse_no_room(sum(file.size or 0 for file in files), scratch, request)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(partial(_fetch_one, store, scratch, request), range(len(files)), files))


def _fetch_one(
    store: RemoteStore, scratch: ScratchFolder, request: RemoteRequest, number: int, file: RemoteFile
) -> Download:
    folder = scratch.path / f"{number:06}"
    path, digest, left = folder / _local_name(file.name), hashlib.sha256(), scratch.free
    try:
        folder.mkdir()
        with path.open("wb") as target:
            for block in _whole(store, file, request):
                left -= len(block)
                if left < 0:
                    raise no_room(request)
                digest.update(block)
                target.write(block)
    except OSError as error:
        raise no_room(request, error.strerror) from error
    return Download(path, digest.hexdigest())


def digests_of_remote(
    store: RemoteStore, files: Sequence[RemoteFile], known: "KnownDigests", request: RemoteRequest
) -> list[str]:
    """Return the SHA-256 of each file, in hexadecimal digits; those that are not known are read as a whole, and not kept."""

    def digest(file: RemoteFile) -> str:
        if (found := known.get(file)) is not None:
            return found
        made = hashlib.sha256()
        for block in _whole(store, file, request):
            made.update(block)
        return made.hexdigest()

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        digests = list(pool.map(digest, files))
    known.keep(files, digests)
    return digests


def _whole(store: RemoteStore, file: RemoteFile, request: RemoteRequest) -> Iterator[bytes]:
    size = 0
    for block in store.blocks(file):
        size += len(block)
        if file.size is not None and size > file.size:
            raise request.changed_error(file.name)
        yield block
    if file.size is not None and size != file.size:
        raise request.unavailable_error(f"{file.name} has {size:,} of {file.size:,} bytes")


def _local_name(name: str) -> str:
    """Return what a file of this name is called here: a name of a bucket may be anything."""
    last = name.rpartition("/")[2]
    is_fine = last.isprintable() and len(last.encode()) <= _LONGEST_NAME and last not in {"", ".", ".."}
    return last if is_fine else "file"


def _refuse_no_room(size: int, scratch: ScratchFolder, request: RemoteRequest) -> None:
    if size > scratch.free:
        raise no_room(request)


def no_room(request: RemoteRequest, why: str | None = "no room on the disk") -> Terminal:
    """Return what to say of a disk that has no room for what is fetched."""
    return Terminal(
        f"the files of source {request.name!r} cannot be kept for reading: {why}",
        where=request.where,
        found=request.url.place,
        hint="make room on the disk, or name fewer files",
    )


class KnownDigests:
    """Digests of files by their tags, from one read to the next: what has its tag and its size still is not fetched to be compared.

    Nothing here is evidence: a run counts the bytes that it reads. Who loses it fetches once more.
    """

    def __init__(self, root: Path, *place: str) -> None:
        state = root / ".linewright"
        name = digest_of(list(place)).removeprefix("sha256:")
        self._path = state / "remote" / f"{name}.json" if state.is_dir() else None
        self._known: dict[str, tuple[int, str, str]] = {}
        if self._path is not None:
            with suppress(OSError, msgspec.DecodeError):
                self._known = msgspec.json.decode(
                    self._path.read_bytes(), type=dict[str, tuple[int, str, str]]
                )

    def get(self, file: RemoteFile) -> str | None:
        """Return the digest of a file that is as it was."""
        size, tag, digest = self._known.get(file.name, (None, "", None))
        return digest if file.tag and (size, tag) == (file.size, file.tag) else None

    def keep(self, files: Sequence[RemoteFile], digests: Sequence[str]) -> None:
        """Keep the digests of these files, and of no others."""
        new = {
            file.name: (file.size, file.tag, digest)
            for file, digest in zip(files, digests, strict=True)
            if file.tag and file.size is not None
        }
        if self._path is None or new == self._known:
            return
        with suppress(OSError):  # the next read fetches once more
            self._path.parent.mkdir(exist_ok=True)
            draft = self._path.with_suffix(".draft")  # the next one writes over that of a killed process
            draft.write_bytes(msgspec.json.encode(new))
            draft.replace(self._path)
