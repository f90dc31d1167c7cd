"""What reads files, without what makes tables of them, which is imported when a row is read."""
# ruff: noqa: PLC0415 -- for that reason

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from linewright.data.read.file.paths import files_of
from linewright.data.read.reader import Cursor
from linewright.data.spec import FileSource
from linewright.store.values import digest_of

if TYPE_CHECKING:
    from linewright.data.read.source import Source


class FileReader:
    """Reads files, each of a format of `data.read.file.files.FILE_FORMATS`."""

    def open(
        self, name: str, spec: FileSource, root: Path, *, size: int, since: Cursor | None = None
    ) -> "Source":
        """Open the files that a source names, as a whole."""
        from linewright.data.read.file.files import open_files

        del since
        where = f"sources.{name}"
        return open_files(name, files_of(spec.file, root, f"{where}.file"), spec, where, size)

    def fingerprint(self, spec: FileSource, root: Path, where: str) -> str:
        """Return a digest of the files as they are, several in the order of their paths, and of the options."""
        files = [_digest_of_file(path) for path in files_of(spec.file, root, f"{where}.file")]
        # Limits are no part of it: a file that can be read is read the same.
        return digest_of({"files": files, **spec.model_dump(mode="json", exclude={"file", "limits"})})

    def columns(self, name: str, spec: FileSource, root: Path) -> tuple[str, ...]:
        """Return the names of the columns, which the beginning of a file tells."""
        from linewright.data.read.batches import BATCH

        return self.open(name, spec, root, size=BATCH).columns


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
