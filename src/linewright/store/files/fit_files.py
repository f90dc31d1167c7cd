"""What a long computation has finished so far, in a folder: found again after a kill, gone once its result is kept.

Nothing here is ever evidence. Whoever loses a file of it computes that part again, so files are not forced to the disk,
and one that is damaged counts as one that is not there.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_ENDING = ".fit"
_DIGEST_BYTES = 32


class LocalFits:
    """Bytes by key under a folder, for as long as a computation is at work. Threads may put and get at once.

    Examples
    --------
    >>> import tempfile
    >>> fits = LocalFits(Path(tempfile.mkdtemp()) / "fits")
    >>> fits.put("sha256:" + "0" * 64, b"scores")
    >>> fits.get("sha256:" + "0" * 64), fits.get("sha256:" + "1" * 64)
    (b'scores', None)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def part(self, digest: str) -> "LocalFits":
        """Return those of one computation, and release those of every other one in this folder."""
        own = self.folder / digest.removeprefix("sha256:")
        for other in _entries(self.folder):
            if other != own:
                shutil.rmtree(other, ignore_errors=True)
        return LocalFits(own)

    def put(self, key: str, data: bytes) -> None:
        """Keep `data` where it can be written; a killed process loses nothing that was put, a lost machine may."""
        path = self._path(key)
        draft = path.with_name(f".new-{secrets.token_hex(8)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(_seal(key, data))
                file.write(data)
            draft.replace(path)
        except OSError:
            # What is not kept is computed again; a full disk is told by what has to be kept.
            with suppress(OSError):
                draft.unlink(missing_ok=True)

    def get(self, key: str) -> bytes | None:
        """Return what was put under a key; `None` where nothing is, or not what was put."""
        try:
            whole = self._path(key).read_bytes()
        except OSError:
            return None
        data = whole[_DIGEST_BYTES:]
        return data if whole[:_DIGEST_BYTES] == _seal(key, data) else None

    def drop(self) -> None:
        """Release all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def files(self) -> Iterator[Path]:
        """All files in the folder and below, in ascending order."""
        yield from (path for path in sorted(self.folder.rglob("*")) if path.is_file())

    def _path(self, key: str) -> Path:
        return self.folder / f"{key.removeprefix('sha256:')}{_ENDING}"


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _seal(key: str, data: bytes) -> bytes:
    """Return a digest of key and data, so that a file under another name is not taken either."""
    digest = hashlib.sha256(f"{key}\n".encode())
    digest.update(data)
    return digest.digest()
