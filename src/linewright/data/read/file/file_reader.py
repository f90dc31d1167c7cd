"""What reads files, without what makes tables of them, which is imported when a row is read."""
# ruff: noqa: PLC0415 -- for that reason

import hashlib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linewright.data.read.file.paths import different_files, files_of
from linewright.data.read.reader import Cursor
from linewright.data.spec import FileSource
from linewright.store.values import digest_of
from linewright.text.remote_url import is_remote

if TYPE_CHECKING:
    from linewright.data.read.source import Source


class FileReader:
    """Reads files, each of a format of `data.read.file.files.FILE_FORMATS`."""

    def open(
        self, name: str, spec: FileSource, root: Path, *, size: int, since: Cursor | None = None
    ) -> "Source":
        """Open the files that a source names, as a whole; those of other machines are fetched."""
        from linewright.data.read.file.files import open_files

        del since
        if is_remote(spec.file):
            return _remote().open_remote(name, spec, root, size=size)[0]
        where = f"sources.{name}"
        return open_files(name, _files_of(spec, root, where), spec, where, size)

    def read(self, name: str, spec: FileSource, root: Path) -> "tuple[Source, str]":
        """Fetch the files of other machines, and return their rows and their fingerprint."""
        from linewright.data.read.batches import BATCH

        return _remote().open_remote(name, spec, root, size=BATCH)

    def fingerprint(self, spec: FileSource, root: Path, where: str) -> str:
        """Return a digest of the files as they are, several in the order of their paths, and of the options."""
        if is_remote(spec.file):
            return _remote().fingerprint_of_remote(spec, root, where)
        return digest_of_files([_digest_of_file(path) for path in _files_of(spec, root, where)], spec)

    def columns(self, name: str, spec: FileSource, root: Path) -> tuple[str, ...]:
        """Return the names of the columns, which the beginning of a file tells; files of other machines are not fetched for it."""
        if is_remote(spec.file):
            return ()
        from linewright.data.read.batches import BATCH

        return self.open(name, spec, root, size=BATCH).columns


def digest_of_files(digests: Sequence[str], spec: FileSource) -> str:
    """Return the digest of files, by the SHA-256 of each, and of how they are read: limits, keys and places do not count."""
    said = spec.model_dump(mode="json", exclude={"file", "limits", "at"})
    if spec.sheet is None:
        del said["sheet"]  # what is read as before an upgrade has the digest that it had
    return digest_of({"files": list(digests), **said})


def _files_of(spec: FileSource, root: Path, where: str) -> tuple[Path, ...]:
    return different_files(files_of(spec.file, root, f"{where}.file"))


def _remote() -> Any:
    return import_module("linewright.data.read.remote.remote_files")


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
