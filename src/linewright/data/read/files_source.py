"""Files that are rows themselves: a row a file."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from linewright.data.read.batches import Batch
from linewright.data.read.file.paths import files_of, fixed_folder
from linewright.data.read.limits import too_many_rows
from linewright.data.read.reader import Cursor
from linewright.data.read.source import Source
from linewright.data.spec import FilesSource
from linewright.errors import RequestError
from linewright.store.values import digest_of

NAME, FILE, FOLDER, PATIENT = "name", "file", "folder", "patient"
COLUMNS = (NAME, FILE, FOLDER)
_AT_ONCE = 10_000


@dataclass(frozen=True, kw_only=True)
class FileRows:
    """A row a file."""

    where: str
    base: Path
    files: tuple[Path, ...]
    columns: tuple[str, ...]
    """Names of the columns."""

    def batches(self) -> Iterator[Batch]:
        """Give the rows: paths; a file is opened only for its patient."""
        schema: dict[str, type[pl.String]] = dict.fromkeys(self.columns, pl.String)
        for start in range(0, max(len(self.files), 1), _AT_ONCE):
            some = self.files[start : start + _AT_ONCE]
            rows = [(_below(self.base, file), str(file), _folder(self.base, file)) for file in some]
            if PATIENT in self.columns:
                rows = [(*row, patient_of(file)) for row, file in zip(rows, some, strict=True)]
            yield Batch(frame=pl.DataFrame(rows, schema=schema, orient="row"))

    def starts(self) -> Iterator[tuple[int, int, bool]]:
        """Give nothing: files have none."""
        return iter(())


class FilesReader:
    """Reads sources of files; see `data.read.reader.SourceReader`."""

    def open(
        self, name: str, spec: FilesSource, root: Path, *, size: int, since: Cursor | None = None
    ) -> Source:
        """Return a row a file."""
        del size, since
        where = f"sources.{name}"
        base, files = _found(spec, root, f"{where}.files")
        columns = _columns(spec)
        part = FileRows(where=where, base=base, files=files, columns=columns)
        return Source(name=name, columns=columns, is_text=True, parts=(part,), missing=("",))

    def fingerprint(self, spec: FilesSource, root: Path, where: str) -> str:
        """Return a digest of the names and the contents."""
        base, files = _found(spec, root, f"{where}.files")
        try:
            contents = {_below(base, file): sha256(file.read_bytes()).hexdigest() for file in files}
        except OSError as error:
            raise RequestError(
                "a file cannot be read", where=f"{where}.files", found=f"{error.filename}: {error.strerror}"
            ) from error
        return digest_of({"files": contents, **({"patient": True} if spec.patient else {})})

    def columns(self, name: str, spec: Any, root: Path) -> tuple[str, ...]:
        """Return the names of the columns."""
        del name, root
        return _columns(spec)


def _columns(spec: FilesSource) -> tuple[str, ...]:
    return (*COLUMNS, PATIENT) if spec.patient else COLUMNS


def patient_of(file: Path) -> str | None:
    """Return a hash of the id of the patient whom a file of DICOM is about; `None` if it names none, or is not DICOM.

    Raises
    ------
    RequestError
        If the file cannot be read, or the extra is not installed.
    """
    try:
        plugin = import_module("linewright.plugins.dicom")
        return plugin.patient(file.read_bytes())
    except ModuleNotFoundError as error:
        raise RequestError(
            "DICOM is not read here",
            where=str(file),
            found=f"no {error.name}",
            hint="pip install 'linewright[dicom]', or leave `patient` out of the source",
        ) from error
    except OSError as error:
        raise RequestError("the file cannot be read", where=str(file), found=error.strerror or "") from error


def _found(spec: FilesSource, root: Path, where: str) -> tuple[Path, tuple[Path, ...]]:
    """Return the folder that names begin at, and the files."""
    path = root / spec.files
    if path.is_dir():
        base, files = path, tuple(sorted(_walk(path), key=Path.as_posix))
        if not files:
            raise RequestError("the folder has no files", where=where, found=spec.files)
    else:
        files = files_of(spec.files, root, where)
        base = fixed_folder(
            spec.files, root
        )  # not what the files of today share: a new folder would rename all
    if len(files) > spec.limits.rows:
        raise too_many_rows(where.removesuffix(".files"), spec.limits.rows)
    return base, files


def _walk(folder: Path) -> Iterator[Path]:
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] not in "._")
        yield from (Path(at) / name for name in names if name[0] not in "._")


def _below(base: Path, file: Path) -> str:
    return file.relative_to(base).as_posix()


def _folder(base: Path, file: Path) -> str | None:
    return None if file.parent == base else file.parent.name
