"""A file that a person hands in: read as the line reads its own source, and each row named by its place."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from linewright.data.read import Raw, read_file
from linewright.data.references import table_sources
from linewright.data.spec import FileSource
from linewright.errors import RequestError
from linewright.line.factory import Factory


@dataclass(frozen=True)
class Handed:
    """The rows of a file."""

    file: Path
    raw: Raw

    @property
    def frame(self) -> pl.DataFrame:
        """The rows."""
        return self.raw.frame

    def place(self, row: int) -> str:
        """Name the place of a row, counted from 0: by its line, where the file has lines."""
        (line,) = self.raw.lines([row])
        return f"{self.file}: row {row + 1}" if line is None else f"{self.file}: line {line}"


def read_handed(factory: Factory, line: str, file: Path) -> Handed:
    """Read a file with the separator, the encoding and the missing texts of the line's one source.

    Raises
    ------
    RequestError
        If there is no such file, it cannot be read, or a row has another number of fields than the header.
    """
    raw = read_file(FileSource(file=str(file), **_reading_options(factory, line)))
    if raw.ragged:
        first, (at, *_) = raw.ragged[0], raw.ragged_lines()
        raise RequestError(
            "a row has another number of fields than the header",
            where=str(file) if at is None else f"{file}: line {at}",
            found=first.fields,
            allowed=str(first.expected),
            hint="put fields that hold a separator into quotes",
            details={"failed": len(raw.ragged)},
        )
    return Handed(file, raw)


def _reading_options(factory: Factory, line: str) -> dict[str, Any]:
    sources = list(table_sources(factory.line(line)).values())
    if len(sources) == 1 and isinstance(sources[0], FileSource):
        return sources[0].model_dump(exclude={"file"})
    return {}
