"""Files: CSV, JSON lines, Parquet or Excel, by what they hold; several are one table."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import polars as pl

from linewright.data.read.batches import BATCH, Part, refuse_patterns
from linewright.data.read.file.csv_file import open_csv
from linewright.data.read.file.encoding import FORMATS
from linewright.data.read.file.excel_file import ExcelSheet, is_excel, open_excel
from linewright.data.read.file.json_lines import JsonLines, is_json_lines, open_json_lines
from linewright.data.read.file.parquet_file import PARQUET, ParquetFile, open_parquet
from linewright.data.read.source import Source, clean
from linewright.data.spec import FileSource
from linewright.errors import RequestError, SpecError
from linewright.text.suggest import near_file

P = TypeVar("P", bound=Part)


@dataclass(frozen=True, kw_only=True)
class Format(Generic[P]):
    """One format of files."""

    is_it: Callable[[Path, FileSource, str], bool]
    """Whether a file has this format, by its first bytes; the last argument is the place in the line file, for messages."""
    open: Callable[[Path, FileSource, str, int], P]
    """Opens a file, to be read in batches of about so many bytes."""
    has_header: bool = False
    """Whether the options `header`, `names` and `decimal` are about this format."""
    with_columns: Callable[[P, tuple[str, ...]], P] | None = None
    """Gives one file the columns of all files of its source, if files may lack some."""
    types: Callable[[P], Mapping[str, pl.DataType]] | None = None
    """Gives the types of the columns, if they are to be trusted; else text may stand for other types."""


def _is_parquet(path: Path, spec: FileSource, where: str) -> bool:
    del spec, where
    with path.open("rb") as file:
        return file.read(4) == PARQUET


def _parquet_types(part: ParquetFile) -> Mapping[str, pl.DataType]:
    return clean(part.empty(), ()).schema


_PARQUET: Format[ParquetFile] = Format(
    is_it=_is_parquet,
    open=lambda path, spec, where, size: open_parquet(path, where, size=size, limits=spec.limits),
    types=_parquet_types,
)
_EXCEL: Format[ExcelSheet] = Format(
    is_it=lambda path, spec, where: is_excel(path),  # noqa: ARG005 -- it has no options that matter here
    open=lambda path, spec, where, size: open_excel(path, spec, where, size=size),
)
_JSON_LINES: Format[JsonLines] = Format(
    is_it=is_json_lines,
    open=lambda path, spec, where, size: open_json_lines(path, spec, where, size=size),
    # An object may lack any field, so a file may too.
    with_columns=lambda part, columns: replace(part, columns=columns),
)
_CSV = Format(
    is_it=lambda path, spec, where: True,  # noqa: ARG005 -- any text is CSV
    open=lambda path, spec, where, size: open_csv(path, spec, where, size=size),
    has_header=True,
)
FILE_FORMATS: Mapping[str, Format[Any]] = {
    "Parquet": _PARQUET,
    "Excel": _EXCEL,
    "JSON lines": _JSON_LINES,
    "CSV": _CSV,
}
"""The formats of files, by their names for people; a file has the first that it may have."""


def open_file(spec: FileSource, *, size: int = BATCH) -> Source:
    """Open a file that is no source of a line, like `open_source`; messages name the file."""
    path = Path(spec.file)
    if not path.is_file():
        raise RequestError(
            "this is not a file" if path.exists() else "there is no such file",
            where=spec.file,
            allowed=f"a file of {FORMATS}",
            hint=near_file(path),
        )
    return open_files(path.name, (path,), spec, spec.file, size)


def open_files(name: str, paths: Sequence[Path], spec: FileSource, where: str, size: int = BATCH) -> Source:
    """Open the files of one source, which have one format and the same columns."""
    names, formats = _file_names(paths), list[str]()
    parts: list[Part] = []
    for path in paths:
        formats.append(_format_of(path, spec, where))
        parts.append(FILE_FORMATS[formats[-1]].open(path, spec, where, size))
    for format_, file in zip(formats, names, strict=True):
        if format_ != formats[0]:
            raise RequestError(
                "the files are not of one format",
                where=f"{where}.file",
                found=f"{names[0]}, {file}",
                hint="name those that belong together by a pattern, e.g. data/*.csv",
            )
    kind = FILE_FORMATS[formats[0]]
    if kind.with_columns is not None:
        columns = tuple(dict.fromkeys(column for part in parts for column in part.columns))
        parts = [kind.with_columns(part, columns) for part in parts]
    refuse_patterns(parts[0].columns, where)
    for part, file in zip(parts, names, strict=True):
        _refuse_other_columns(part, file, parts[0], names[0], kind=kind, where=where)
    return Source(
        name=name,
        columns=parts[0].columns,
        is_text=kind.types is None,
        parts=tuple(parts),
        missing=spec.missing,
        decimal=spec.decimal if kind.has_header else ".",
        file_names=names if len(names) > 1 else (),
    )


def _format_of(path: Path, spec: FileSource, where: str) -> str:
    found = next(name for name, kind in FILE_FORMATS.items() if kind.is_it(path, spec, where))
    if not FILE_FORMATS[found].has_header and (spec.names or not spec.header):
        raise SpecError(
            "only a CSV file gets its names from here",
            where=f"{where}.names" if spec.names else f"{where}.header",
            found=path.name,
            hint="take it out, and rename columns in table.sql",
        )
    if spec.sheet is not None and found != "Excel":
        raise SpecError(
            "only an Excel file has sheets", where=f"{where}.sheet", found=path.name, hint="take it out"
        )
    return found


def _file_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Name each file, with as many folders as make the difference."""
    shared = Path(os.path.commonpath([path.parent for path in paths]))
    return tuple(path.relative_to(shared).as_posix() for path in paths)


def _refuse_other_columns(
    part: Part, file: str, first: Part, first_file: str, *, kind: Format[Any], where: str
) -> None:
    more = [name for name in part.columns if name not in first.columns]
    less = [name for name in first.columns if name not in part.columns]
    if more or less:
        says = [f"has {', '.join(map(repr, more))}"] if more else []
        says += [f"lacks {', '.join(map(repr, less))}"] if less else []
        raise RequestError(
            f"the files of the source do not have the same columns: {file} {' and '.join(says)}",
            where=f"{where}.file",
            found=", ".join(part.columns)[:200],
            allowed=f"the columns of {first_file}, in any order: {', '.join(first.columns)[:200]}",
        )
    types = [kind.types(one) if kind.types else {} for one in (first, part)]
    other = next((name for name, dtype in types[0].items() if types[1][name] != dtype), None)
    if other is not None:
        raise RequestError(
            f"column {other!r} is {types[1][other]} in {file}, and {types[0][other]} in {first_file}",
            where=f"{where}.file",
            hint="write the files with the same types",
        )
