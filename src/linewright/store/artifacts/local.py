"""Artifacts in a folder: one file a blob, named by its digest, complete or absent whatever is killed and when."""

import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from linewright.errors import Corrupt, NotFound
from linewright.store.files.disk import explained, sync_folder
from linewright.store.values import digest_of_bytes

_DIGEST = re.compile(r"sha256:([0-9a-f]{2})([0-9a-f]{62})")
_FOLDER = re.compile(r"[0-9a-f]{2}")
_FILE = re.compile(r"[0-9a-f]{62}")
_NEW, _ASIDE = ".new-", ".gone-"
_TEMPORARY = re.compile(r"\.new-[0-9a-f]{16}")
_SET_ASIDE = re.compile(r"\.gone-[0-9a-f]{62}")
_BLOCK = 2**20


class LocalArtifacts:
    """Bytes by digest under `root`, in ``root/ab/<62 more hex digits>``, read-only once written.

    Any number of processes may put and get at once. A `put` killed half-way leaves at most a temporary file, whose
    name no digest has. The folder is made by the first `put`.

    Examples
    --------
    >>> import tempfile
    >>> artifacts = LocalArtifacts(Path(tempfile.mkdtemp()))
    >>> digest = artifacts.put(b"model")
    >>> digest[:14], artifacts.get(digest), artifacts.has("sha256:" + "0" * 64)
    ('sha256:9372c47', b'model', False)
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, data: bytes) -> str:
        """Keep `data` and return its digest. Bytes that changed on the disk since an earlier `put` are replaced."""
        return self._keep(digest_of_bytes(data), lambda path: _holds(path, data), lambda: (data,))

    def put_file(self, file: BinaryIO) -> str:
        """Keep all bytes of an opened file as `put` does, one block in memory at a time, and return their digest."""
        digest = _digest_of_blocks(_blocks(file))
        return self._keep(digest, lambda path: _hashes_to(path, digest), lambda: _blocks(file))

    def _keep(
        self, digest: str, is_kept: Callable[[Path], bool], blocks: Callable[[], Iterable[bytes]]
    ) -> str:
        path = self._path(digest)
        with explained(path):
            if not (is_kept(path) and _touch(path)):
                _make_durable_folder(path.parent)
                _write_whole(path, blocks())
            # Also where the file was there: whoever renamed it may not have synced the folder yet.
            sync_folder(path.parent)
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes with that digest."""
        path = self._path(digest)
        with explained(path):
            try:
                with _opened(path) as file:
                    data = file.read()
            except (FileNotFoundError, NotADirectoryError):
                raise NotFound("no artifact has that digest", where=digest) from None
        _require_same(path, digest_of_bytes(data), digest)
        return data

    def verify(self, digest: str) -> int:
        """Hash the bytes with that digest as `get` does, one block in memory at a time; return how many they are."""
        path = self._path(digest)
        with explained(path):
            try:
                with _opened(path) as file:
                    found, size = _digest_of_blocks(_blocks(file)), file.tell()
            except (FileNotFoundError, NotADirectoryError):
                raise NotFound("no artifact has that digest", where=digest) from None
        _require_same(path, found, digest)
        return size

    def has_other_name(self, digest: str) -> bool:
        """Return whether the bytes with that digest can be changed by another name too: a hard link to their file."""
        path = self._path(digest)
        with suppress(FileNotFoundError):
            # While `bring_back` is at work a file has two for a moment.
            return path.lstat().st_nlink > 1 and not path.with_name(_ASIDE + path.name).exists()
        return False

    def path(self, digest: str) -> Path:
        """Return where the bytes with that digest lie, or would lie; for copies that are hashed on their way."""
        return self._path(digest)

    def leftovers(self) -> Iterator[Path]:
        """Temporary files: each of a `put` that is at work, or that was killed."""
        for folder in _names(self._root, _FOLDER):
            yield from (self._root / folder / name for name in _names(self._root / folder, _TEMPORARY))

    def bring_back(self) -> None:
        """Give back their names to bytes that a killed `free` had set aside; not while another one is at work.

        Bytes that were put again since are younger, and stay.
        """
        for folder in _names(self._root, _FOLDER):
            for name in _names(self._root / folder, _SET_ASIDE):
                aside = self._root / folder / name
                with explained(aside):
                    with suppress(FileExistsError):
                        os.link(aside, aside.with_name(name.removeprefix(_ASIDE)))
                    aside.unlink()

    def free(self, digest: str, *, before: float) -> bool:
        """Remove the bytes with that digest, unless they were put at or after `before`.

        Whoever puts the same bytes meanwhile has them afterwards.
        """
        path = self._path(digest)
        aside = path.with_name(_ASIDE + path.name)
        with explained(path):
            try:
                if path.stat().st_mtime >= before:
                    return False
                path.rename(aside)
            except FileNotFoundError:
                return False
            # Again, now that a `put` cannot find it any more: one may have done so since the first look.
            if aside.stat().st_mtime >= before:
                aside.rename(path)
                return False
            aside.unlink()
            sync_folder(path.parent)
        return True

    def has(self, digest: str) -> bool:
        """Return whether there is a file for that digest (its bytes are not verified)."""
        return self._path(digest).is_file()

    def digests(self) -> Iterator[str]:
        """All digests, in ascending order."""
        for folder in _names(self._root, _FOLDER):
            for name in _names(self._root / folder, _FILE):
                yield f"sha256:{folder}{name}"

    def _path(self, digest: str) -> Path:
        # Digests come from requests too: only this form ever becomes a path.
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise NotFound("not a digest", found=digest, allowed="sha256: and 64 hex digits")
        return self._root / match[1] / match[2]


def _require_same(path: Path, found: str, digest: str) -> None:
    if found != digest:
        raise Corrupt(
            "stored bytes have changed",
            where=str(path),
            found=found,
            allowed=digest,
            hint="restore the file from a backup",
        )


def _names(folder: Path, form: re.Pattern[str]) -> list[str]:
    with explained(folder):
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return sorted(filter(form.fullmatch, names))


def _holds(path: Path, data: bytes) -> bool:
    try:
        with _opened(path) as file:
            return file.read() == data
    except (FileNotFoundError, Corrupt):
        return False


def _hashes_to(path: Path, digest: str) -> bool:
    try:
        with _opened(path) as file:
            return _digest_of_blocks(_blocks(file)) == digest
    except (FileNotFoundError, Corrupt):
        return False


def _opened(path: Path) -> BinaryIO:
    """Open a stored file, and nothing else: a pipe would be waited for, and a link leads out of the store."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in {
            errno.ELOOP,
            errno.ENXIO,
        }:  # a link; a socket, or a device that nothing is behind
            raise
        raise _no_file(path) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_file(path)
    return os.fdopen(descriptor, "rb")


def _no_file(path: Path) -> Corrupt:
    hint = "find out who put it there, and restore the file from a backup"
    return Corrupt("what is stored is no file", where=str(path), found=_kind(path), hint=hint)


def _kind(path: Path) -> str:
    with suppress(OSError):
        mode = path.lstat().st_mode
        kinds = (
            (stat.S_ISLNK, "a link"),
            (stat.S_ISFIFO, "a pipe"),
            (stat.S_ISDIR, "a folder"),
            (stat.S_ISSOCK, "a socket"),
        )
        return next((name for is_it, name in kinds if is_it(mode)), "a device")
    return "nothing"


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while block := file.read(_BLOCK):
        yield block


def _digest_of_blocks(blocks: Iterable[bytes]) -> str:
    hashed = hashlib.sha256()
    for block in blocks:
        hashed.update(block)
    return "sha256:" + hashed.hexdigest()


def _touch(path: Path) -> bool:
    """Note that the bytes are wanted now; return whether they are still there (`free` may have just taken them)."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except PermissionError:
        # The file of another user, which only this user's own `put` could renew.
        return path.exists()
    return True


def _write_whole(path: Path, blocks: Iterable[bytes]) -> None:
    # In the same folder, so that the rename stays within one file system and is atomic.
    temporary = path.with_name(f"{_NEW}{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        with os.fdopen(descriptor, "wb") as file:
            for block in blocks:
                file.write(block)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _make_durable_folder(folder: Path) -> None:
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        sync_folder(made.parent)
