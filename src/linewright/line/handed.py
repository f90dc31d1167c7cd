"""A file that a person hands in: read as the line reads its own source, and each row named by its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from linewright.data.read import Raw, read_file
from linewright.data.references import table_sources
from linewright.data.spec import FileSource
from linewright.errors import RequestError, SpecError
from linewright.line.alerts import newest_of
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Declared
from linewright.line.spec import LineSpec


@dataclass(frozen=True)
class Handed:
    """The rows of a file."""

    file: Path
    raw: Raw
    note: str = ""
    """What a person should know of how it was read; empty where there is nothing."""

    @property
    def frame(self) -> pl.DataFrame:
        """The rows."""
        return self.raw.frame

    def place(self, row: int) -> str:
        """Name the place of a row, counted from 0: by its line, where the file has lines."""
        return f"{self.file}: {self.places([row])}"

    def places(self, rows: Sequence[int]) -> str:
        """Name the places of rows within the file."""
        found = zip(rows, self.raw.lines(rows), strict=True)
        return ", ".join(f"row {row + 1}" if line is None else f"line {line}" for row, line in found)


def read_handed(factory: Factory, line: str, file: Path) -> Handed:
    """Read a file with the separator, the encoding and the missing texts of the line's one source, and its own header.

    Where the line file is broken, those of the file as it was last accepted: the model that serves knows no other.

    Raises
    ------
    RequestError
        If there is no such file, it cannot be read, or a row has another number of fields than the header.
    """
    spec, note = _line_as_served(factory, line)
    raw = read_file(FileSource(file=str(file), **_reading_options(spec)))
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
    return Handed(file, raw, note)


def _line_as_served(factory: Factory, line: str) -> tuple[LineSpec, str]:
    """Return a line's file, or the one that was accepted last where it is broken, and what to say of that."""
    try:
        return factory.line(line), ""
    except SpecError as error:
        accepted = newest_of(factory, line, Accepted)
        if accepted is None:
            raise
        note = (
            f"the line file is broken ({error}); this file was read with the options of the line file that was "
            f"accepted at {accepted.at}"
        )
        declared = factory.metadata.get(accepted.declared, Declared)
        return LineSpec.model_validate(declared.spec), note


def _reading_options(spec: LineSpec) -> dict[str, Any]:
    sources = list(table_sources(spec).values())
    if len(sources) == 1 and isinstance(sources[0], FileSource):
        # A person hands in fewer columns than the source has, or others, so this file names its own.
        return sources[0].model_dump(exclude={"file", "header", "names"})
    return {}
