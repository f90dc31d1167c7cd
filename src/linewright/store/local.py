"""Artifacts in a folder: one file a blob, named by its digest, complete or absent whatever is killed and when."""

import errno
import os
import re
import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from linewright.errors import BackendError, Corrupt, NotFound, Terminal, Transient
from linewright.store.values import digest_of_bytes

_DIGEST = re.compile(r"sha256:([0-9a-f]{2})([0-9a-f]{62})")
_FOLDER = re.compile(r"[0-9a-f]{2}")
_FILE = re.compile(r"[0-9a-f]{62}")
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM}


class LocalArtifacts:
    """Bytes by digest under `root`, in ``root/ab/<62 more hex digits>``, read-only once written.

    Any number of processes may put and get at once. A `put` killed half-way leaves at most a temporary file, whose
    name no digest has. The folder is made by the first `put`.

    Parameters
    ----------
    root
        The folder.

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
        """Keep `data` and return its digest. Bytes that changed on the disk since an earlier `put` are replaced.

        Raises
        ------
        Transient
            If there is no space left.
        Terminal
            If the folder cannot be written.
        """
        digest = digest_of_bytes(data)
        path = self._path(digest)
        with _explained(path):
            if not _holds(path, data):
                _make_durable_folder(path.parent)
                _write_whole(path, data)
            # Also where the file was there: whoever renamed it may not have synced the folder yet.
            _sync_folder(path.parent)
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes with that digest.

        Raises
        ------
        NotFound
            If there are none.
        Corrupt
            If what is stored there has another digest.
        """
        path = self._path(digest)
        with _explained(path):
            try:
                data = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                raise NotFound("no artifact has that digest", where=digest) from None
        found = digest_of_bytes(data)
        if found != digest:
            raise Corrupt(
                "stored bytes have changed",
                where=str(path),
                found=found,
                allowed=digest,
                hint="restore the file from a backup",
            )
        return data

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


def _names(folder: Path, form: re.Pattern[str]) -> list[str]:
    with _explained(folder):
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return sorted(filter(form.fullmatch, names))


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return False


def _write_whole(path: Path, data: bytes) -> None:
    # In the same folder, so that the rename stays within one file system and is atomic.
    temporary = path.with_name(f".new-{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
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
        _sync_folder(made.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


def explain(error: OSError, path: Path) -> BackendError:
    """Say what an error of the file system means for artifacts, and what to do next.

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
            "the artifact folder cannot be written or read",
            where=where,
            found=error.strerror,
            hint="let this user read and write the folder",
        )
    return Terminal("the artifact folder failed", where=where, found=error.strerror, hint="check the disk")
