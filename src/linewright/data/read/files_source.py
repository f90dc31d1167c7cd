"""Files that are rows themselves: a row a file."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from linewright.data.read.batches import Batch
from linewright.data.read.file.paths import files_of, fixed_folder, unreadable_folder
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
    files: Mapping[str, Path]
    """The files by their names: paths below the folder that is read."""
    columns: tuple[str, ...]
    """Names of the columns."""
    scratch: Any = field(default=None, repr=False, compare=False)
    """What keeps fetched files from going."""

    def batches(self) -> Iterator[Batch]:
        """Give the rows: paths; a file is opened only for its patient."""
        schema: dict[str, type[pl.String]] = dict.fromkeys(self.columns, pl.String)
        files = iter(self.files.items())
        for _ in range(0, max(len(self.files), 1), _AT_ONCE):
            some = list(islice(files, _AT_ONCE))
            rows = [(name, str(file), _folder(name)) for name, file in some]
            if PATIENT in self.columns:
                rows = [(*row, patient_of(file)) for row, (_, file) in zip(rows, some, strict=True)]
            yield Batch(frame=pl.DataFrame(rows, schema=schema, orient="row"))

    def starts(self) -> Iterator[tuple[int, int, bool]]:
        """Give nothing: files have none."""
        return iter(())


class FilesReader:
    """Reads sources of files; see `data.read.reader.SourceReader`."""

    def open(
        self, name: str, spec: FilesSource, root: Path, *, size: int, since: Cursor | None = None
    ) -> Source:
        """Return a row a file; those of other machines are fetched."""
        del size, since
        where = f"sources.{name}"
        if spec.is_live:
            return self.read(name, spec, root)[0]
        return _source(name, FileRows(where=where, files=_found(spec, root, where), columns=_columns(spec)))

    def read(self, name: str, spec: FilesSource, root: Path) -> tuple[Source, str]:
        """Fetch the files of other machines, and return a row a file and their fingerprint."""
        where = f"sources.{name}"
        scratch, files, digests = _remote().fetch_named(spec, root, where)
        rows = FileRows(where=where, files=files, columns=_columns(spec), scratch=scratch)
        return _source(name, rows), _digest(digests, spec)

    def fingerprint(self, spec: FilesSource, root: Path, where: str) -> str:
        """Return a digest of the names and the contents."""
        if spec.is_live:
            return _digest(_remote().digests_by_name(spec, root, where), spec)
        try:
            contents = {
                name: sha256(file.read_bytes()).hexdigest()
                for name, file in _found(spec, root, where).items()
            }
        except OSError as error:
            raise RequestError(
                "a file cannot be read", where=f"{where}.files", found=f"{error.filename}: {error.strerror}"
            ) from error
        return _digest(contents, spec)

    def columns(self, name: str, spec: Any, root: Path) -> tuple[str, ...]:
        """Return the names of the columns."""
        del name, root
        return _columns(spec)


def _remote() -> Any:
    return import_module("linewright.data.read.remote.remote_files")


def _source(name: str, rows: FileRows) -> Source:
    return Source(name=name, columns=rows.columns, is_text=True, parts=(rows,), missing=("",))


def _digest(contents: Mapping[str, str], spec: FilesSource) -> str:
    return digest_of({"files": dict(contents), **({"patient": True} if spec.patient else {})})


def _columns(spec: FilesSource) -> tuple[str, ...]:
    return (*COLUMNS, PATIENT) if spec.patient else COLUMNS


def patient_of(file: Path) -> str | None:
    """Return a hash of the id of the patient whom a file of DICOM is about; `None` if it names none, or is not DICOM."""
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


def _found(spec: FilesSource, root: Path, where: str) -> dict[str, Path]:
    """Return the files by their names, which begin below the folder."""
    path = root / spec.files
    if path.is_dir():
        try:
            base, files = path, tuple(sorted(_walk(path), key=Path.as_posix))
        except OSError as error:
            raise unreadable_folder(error, f"{where}.files") from error
        if not files:
            raise RequestError("the folder has no files", where=f"{where}.files", found=spec.files)
    else:
        files = files_of(spec.files, root, f"{where}.files")
        base = fixed_folder(
            spec.files, root
        )  # not what the files of today share: a new folder would rename all
    if len(files) > spec.limits.rows:
        raise too_many_rows(where, spec.limits.rows)
    return {file.relative_to(base).as_posix(): file for file in files}


def _raise(error: OSError) -> NoReturn:
    raise error


def _walk(folder: Path) -> Iterator[Path]:
    for at, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if name[0] not in "._")
        yield from (Path(at) / name for name in names if name[0] not in "._")


def _folder(name: str) -> str | None:
    return Path(name).parent.name or None
