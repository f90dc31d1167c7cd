"""Delta tables: the Parquet files of one version, in a folder or a bucket."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import polars as pl

from linewright.data.read.batches import BATCH, Batch, sound
from linewright.data.read.file.parquet_file import ParquetFile, open_parquet
from linewright.data.read.limits import too_many_rows
from linewright.data.read.reader import Cursor
from linewright.data.read.remote.downloads import (
    DownloadedPart,
    digests_of_remote,
    fetch,
    new_scratch,
)
from linewright.data.read.remote.remote_files import OpenedRemote, opened_remote
from linewright.data.read.remote.remote_store import RemoteFile
from linewright.data.read.source import Source
from linewright.data.spec import DeltaSource
from linewright.errors import RequestError, SpecError
from linewright.store.values import digest_of
from linewright.text.remote_url import is_remote

LOG = "_delta_log"
"""Folder of a table's log, in that of the table."""


@dataclass(frozen=True, kw_only=True)
class DeltaRows:
    """The rows of one file of a table, with the columns of the table."""

    where: str
    schema: Mapping[str, pl.DataType]
    """The columns of the table."""
    file: ParquetFile | None = None
    """Without it the part is empty."""
    fixed: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Values that all rows have, by column."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(self.schema)

    def batches(self) -> Iterator[Batch]:
        """Give the rows in the types of the table; columns that are newer than the file are empty."""
        if self.file is None:
            yield Batch(frame=pl.DataFrame(schema=self.schema))
            return
        for batch in self.file.batches():
            with sound(self.where, self.file.path.name):
                yield Batch(frame=self._of_table(batch.frame))

    def starts(self) -> Iterator[tuple[int, int, bool]]:
        """Give nothing: the files have no lines."""
        return iter(())

    def _of_table(self, rows: pl.DataFrame) -> pl.DataFrame:
        try:
            return pl.DataFrame(
                [
                    rows[name].cast(dtype)
                    if name in rows.columns and name not in self.fixed
                    else pl.Series(name, [self.fixed.get(name)]).cast(dtype).new_from_index(0, rows.height)
                    for name, dtype in self.schema.items()
                ]
            )
        except pl.exceptions.PolarsError as error:
            raise RequestError(
                f"a file has other types than the table: {error}",
                where=self.where,
                found=cast("ParquetFile", self.file).path.name,
            ) from error


class DeltaReader:
    """Reads Delta tables; see `data.read.reader.SourceReader`."""

    def open(
        self, name: str, spec: DeltaSource, root: Path, *, size: int, since: Cursor | None = None
    ) -> Source:
        """Return the rows of the version that is the newest now, or of the one that the source names."""
        del since
        return self._read(name, spec, root, size)[0]

    def read(self, name: str, spec: DeltaSource, root: Path) -> tuple[Source, str]:
        """Return the rows of a version with their fingerprint."""
        return self._read(name, spec, root, BATCH)

    def fingerprint(self, spec: DeltaSource, root: Path, where: str) -> str:
        """Return the digest of the files of a version, in the order in which they were written; those of a bucket whose tags are known are not fetched."""
        if not is_remote(spec.delta):
            folder = _folder(spec, root, where)
            version = _version(spec, folder, where)
            return _digest(version, [_sha(folder / one.path, where) for one in version.files])
        version = _remote_version(spec, root, where)
        with opened_remote("delta", spec.delta, spec.at, root, where) as opened:
            digests = digests_of_remote(opened.store, _chosen(opened, version), opened.known, opened.request)
        return _digest(version, digests)

    def columns(self, name: str, spec: DeltaSource, root: Path) -> tuple[str, ...]:
        """Return the names of the columns, which the log says; that of a bucket is not fetched for it."""
        if is_remote(spec.delta):
            return ()
        where = f"sources.{name}"
        return tuple(_schema(_version(spec, _folder(spec, root, where), where)))

    def _read(self, name: str, spec: DeltaSource, root: Path, size: int) -> tuple[Source, str]:
        where = f"sources.{name}"
        if not is_remote(spec.delta):
            folder = _folder(spec, root, where)
            version = _version(spec, folder, where)
            paths = [folder / one.path for one in version.files]
            parts = _parts(spec, version, paths, where, size)
            return _source(name, spec, parts), _digest(version, [_sha(path, where) for path in paths])
        version = _remote_version(spec, root, where)
        with new_scratch(root) as scratch:
            with opened_remote("delta", spec.delta, spec.at, root, where) as opened:
                files = _chosen(opened, version)
                fetched = fetch(opened.store, files, scratch, opened.request)
                digests = [one.digest for one in fetched]
                opened.known.keep(files, digests)
            parts = _parts(spec, version, [one.path for one in fetched], where, size)
        kept = tuple(DownloadedPart(part=part, scratch=scratch) for part in parts)
        return _source(name, spec, kept), _digest(version, digests)


def has_log(url: str, at: str | None, root: Path) -> bool:
    """Return whether a folder of a bucket is a table."""
    try:
        with opened_remote("delta", f"{url.rstrip('/')}/{LOG}", at, root, "sources.data"):
            return True
    except SpecError:
        raise
    except RequestError:  # who reads the files says why, if these lack too
        return False


def _source(name: str, spec: DeltaSource, parts: Sequence[Any]) -> Source:
    return Source(
        name=name, columns=parts[0].columns, is_text=False, parts=tuple(parts), missing=spec.missing_texts
    )


def _folder(spec: DeltaSource, root: Path, where: str) -> Path:
    folder = root / spec.delta
    if not (folder / LOG).is_dir():
        raise RequestError(
            "this is not a Delta table" if folder.exists() else "the folder does not exist",
            where=f"{where}.delta",
            found=spec.delta,
            allowed=f"a folder that holds {LOG}",
            hint=f"paths start from {root}",
        )
    return folder


def _version(spec: DeltaSource, folder: Path, where: str) -> Any:
    try:
        plugin = import_module("linewright.plugins.delta")
    except ModuleNotFoundError as error:
        raise RequestError(
            "Delta tables are not read here",
            where=f"{where}.delta",
            found=f"no {error.name}",
            hint="pip install 'linewright[delta]'",
        ) from error
    try:
        return plugin.version_of(folder, spec.version)
    except plugin.NotReadError as error:
        text = str(error).replace(str(folder), "the table")
        raise RequestError(
            f"the Delta table cannot be read: {text}",
            where=f"{where}.delta" if spec.version is None else f"{where}.version",
            found=spec.describe(),
            hint="rewrite the table without what is not understood, or name a version that is kept",
        ) from error


def _remote_version(spec: DeltaSource, root: Path, where: str) -> Any:
    """Fetch the log of a table in a bucket, and return a version of the table."""
    url = f"{spec.delta.rstrip('/')}/{LOG}"
    with new_scratch(root) as scratch:
        with opened_remote("delta", url, spec.at, root, where) as opened:
            fetched = fetch(opened.store, opened.files, scratch, opened.request)
            below = len(opened.request.url.path) + 1
        folder = scratch.path / "table"
        for file, one in zip(opened.files, fetched, strict=True):
            path = folder / LOG / file.name[below:]
            if path.resolve().is_relative_to(folder.resolve()):
                path.parent.mkdir(parents=True, exist_ok=True)
                one.path.rename(path)
        version = _version(spec, folder, where)
    scratch.remove()
    return version


def _chosen(opened: OpenedRemote, version: Any) -> list[RemoteFile]:
    """Return the files of a version; one that is gone was removed since the log was read."""
    there = {file.name: file for file in opened.files}
    base = opened.request.url.path.rstrip("/")
    names = [f"{base}/{one.path}" if base else one.path for one in version.files]
    if gone := next((name for name in names if name not in there), None):
        raise opened.request.changed_error(gone)
    return [there[name] for name in names]


def _parts(spec: DeltaSource, version: Any, paths: Sequence[Path], where: str, size: int) -> list[DeltaRows]:
    schema, parts, rows = _schema(version), list[DeltaRows](), 0
    for one, path in zip(version.files, paths, strict=True):
        file = open_parquet(path, where, size=size, limits=spec.limits)
        rows += file.rows
        if rows > spec.limits.rows:
            raise too_many_rows(where, spec.limits.rows)
        fixed = {name.strip(): value for name, value in one.fixed.items()}
        parts.append(DeltaRows(where=where, schema=schema, file=file, fixed=fixed))
    return parts or [DeltaRows(where=where, schema=schema)]


def _schema(version: Any) -> dict[str, pl.DataType]:
    schema = cast("pl.DataFrame", pl.from_arrow(version.schema.empty_table())).schema
    return {name.strip(): dtype for name, dtype in schema.items()}


def _digest(version: Any, digests: Sequence[str]) -> str:
    files = [
        [digest, ascii(sorted(one.fixed.items()))] for one, digest in zip(version.files, digests, strict=True)
    ]
    return digest_of({"files": files, "columns": [[name, str(of)] for name, of in _schema(version).items()]})


def _sha(path: Path, where: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RequestError(
            f"a file of the Delta table cannot be read: {error.strerror}",
            where=f"{where}.delta",
            found=path.name,
        ) from error
