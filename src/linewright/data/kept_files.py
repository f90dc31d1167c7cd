"""Files that cells of a table name: each is kept by its digest, which then stands in the cell."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import polars as pl

from linewright.data.read.file.paths import real
from linewright.errors import RequestError
from linewright.store.protocols import Artifacts

MOST_BYTES = 20_000_000
"""Of one file."""
MOST_NAMED = 20
"""Broken files that an error names."""
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Named(Protocol):
    """A column; `data.facts.Column` is one."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def type(self) -> str:
        """Its type; of those of type ``file`` the cells name files."""
        ...


CheckFile = Callable[[bytes, str], object]
"""Looks at the bytes of a file, which is at a place; raises `RequestError` where they are not what a model reads."""


def keep_files(
    frame: pl.DataFrame,
    columns: Sequence[Named],
    folders: Sequence[Path],
    artifacts: Artifacts,
    check_file: CheckFile | None = None,
) -> pl.DataFrame:
    """Keep the files that a table names, and return the table with their digests."""
    found = _found_files(frame, columns, folders, artifacts, check_file)
    for name, files in found.items():
        kept = {
            text: text if file is None else artifacts.put(_read(file, name)) for text, file in files.items()
        }
        frame = frame.with_columns(pl.col(name).replace_strict(kept, return_dtype=pl.String))
    return frame


def check_files(
    frame: pl.DataFrame,
    columns: Sequence[Named],
    folders: Sequence[Path],
    artifacts: Artifacts,
    check_file: CheckFile | None = None,
) -> None:
    """Refuse what `keep_files` would refuse, and keep nothing."""
    _found_files(frame, columns, folders, artifacts, check_file)


def broken_files(
    frame: pl.DataFrame,
    columns: Sequence[Named],
    folders: Sequence[Path],
    artifacts: Artifacts,
    check_file: CheckFile,
) -> dict[int, RequestError]:
    """Return the rows of a table for which `keep_files` would refuse it, by number, each with the first reason; `where` is the column.

    A digest of kept bytes is looked at too.
    """
    homes = [real(folder) for folder in folders]
    rows: dict[int, RequestError] = {}
    for name in (column.name for column in columns if column.type == "file"):
        cells = frame.get_column(name)
        broken: dict[str, RequestError] = {}
        for text in cells.drop_nulls().unique(maintain_order=True).to_list():
            try:
                file = _file_of(text, name, homes, artifacts)
                check_file(artifacts.get(text) if file is None else _read(file, name), text[:200])
            except RequestError as error:
                error.where, error.found = name, text[:200]
                broken[text] = error
        for row in cells.is_in(list(broken)).arg_true().to_list() if broken else ():
            rows.setdefault(row, broken[cells[row]])
    return rows


def _found_files(
    frame: pl.DataFrame,
    columns: Sequence[Named],
    folders: Sequence[Path],
    artifacts: Artifacts,
    check_file: CheckFile | None,
) -> Mapping[str, Mapping[str, Path | None]]:
    """Return by column and text the file that it names; `None` for a digest of bytes that are kept."""
    homes = [real(folder) for folder in folders]
    found: dict[str, dict[str, Path | None]] = {}
    for name in (column.name for column in columns if column.type == "file"):
        texts = frame.get_column(name).drop_nulls().unique(maintain_order=True).to_list()
        files = found[name] = {text: _file_of(text, name, homes, artifacts) for text in texts}
        if check_file is not None:
            _check_all(name, [file for file in files.values() if file is not None], check_file)
    return found


def _check_all(column: str, files: Sequence[Path], check_file: CheckFile) -> None:
    """Look at all files, so that those who clean a folder learn of all that are broken at once."""
    broken = list[str]()
    for file in files:
        try:
            check_file(_read(file, column), str(file))
        except RequestError as error:
            broken.append(f"{file}: {error.what}")
    if broken:
        raise RequestError(
            f"{len(broken):,} of {len(files):,} files cannot be read",
            where=f"column {column!r}",
            found="; ".join(broken[:MOST_NAMED]),
            hint="replace these files, or remove them; a table must not name them then",
        )


def _read(file: Path, column: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise RequestError(
            f"the file cannot be read: {error.strerror}", where=f"column {column!r}", found=str(file)
        ) from error


def _file_of(text: str, column: str, homes: Sequence[Path], artifacts: Artifacts) -> Path | None:
    if DIGEST.fullmatch(text) and artifacts.has(text):
        return None
    places = [real(home / text) for home in homes]
    inside = [place for place in places if any(place.is_relative_to(home) for home in homes)]
    if not inside:
        raise RequestError(
            "a row names a file outside of the folders of its sources",
            where=f"column {column!r}",
            found=text[:200],
            allowed=", ".join(map(str, homes)),
            hint="copy the file there",
        )
    try:
        file = next((place for place in inside if place.is_file()), None)
        size = file.stat().st_size if file else 0
    except OSError as error:
        raise RequestError(
            f"a row names a file that cannot be read: {error.strerror}",
            where=f"column {column!r}",
            found=text[:200],
        ) from error
    if file is None:
        raise RequestError(
            "a row names a file that is not there",
            where=f"column {column!r}",
            found=text[:200],
            hint=f"paths start from {homes[0]}",
        )
    if size > MOST_BYTES:
        raise RequestError(
            "the file is too large",
            where=f"column {column!r}",
            found=f"{text[:200]}: {size:,} bytes",
            allowed=f"{MOST_BYTES:,} bytes",
        )
    return file
