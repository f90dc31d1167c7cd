"""A file that a person hands in: read as the line reads its own source, and each row named by its place."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import polars as pl

from linewright.data.read.batches import BATCH, Ragged
from linewright.data.read.file.compression import Unpackable
from linewright.data.read.file.files import open_file
from linewright.data.read.file.sniff import first_fields, names_apart, sniff
from linewright.data.read.source import Raw, Source, open_source, whole
from linewright.data.spec import FileSource, FilesSource, table_sources
from linewright.errors import RequestError, SpecError
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Declared
from linewright.line.record.monitoring.alerts import newest_of
from linewright.line.spec import LineSpec

PIECE = 1 << 22
"""Bytes of text that a batch of an opened file is made of, about. Rows take much longer to answer than to read, so that many
batches may wait: they are smaller than a source's."""


class HandedPart(NamedTuple):
    """Some rows of a file, after those of the parts before."""

    frame: pl.DataFrame
    """Rows that have one field a column."""
    ragged: tuple[Ragged, ...] = ()
    """Rows that have not."""
    faults: Mapping[int, RequestError] = MappingProxyType({})
    """What keeps columns from being made of a row of `frame`, by its number there; `where` names the column."""


@dataclass(frozen=True)
class Handed:
    """The rows of a file, or of another source."""

    file: Path
    """The file; of another source a name for messages."""
    source: Source | Raw
    note: str = ""
    """What a person should know of how it was read; empty where there is nothing."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return self.source.columns

    @property
    def state(self) -> tuple[int, ...]:
        """What differs once the file was written to; nothing if the source is something else."""
        try:
            said = self.file.stat()
        except FileNotFoundError:
            return ()
        return said.st_ino, said.st_size, said.st_mtime_ns

    def parts(self) -> Iterator[HandedPart]:
        """Give the rows, some at a time, and those of another number of fields beside them: at least one part, the same ones each time."""
        for batch in self.source.batches():
            yield HandedPart(batch.frame, batch.ragged)

    def batches(self) -> Iterator[pl.DataFrame]:
        """Give the rows of `parts`, and refuse what has another number of fields."""
        for batch in self.parts():
            if batch.ragged:
                raise self.ragged(batch.ragged[0])
            yield batch.frame

    def ragged(self, first: Ragged) -> RequestError:
        """Return the error that names the first row of another number of fields than the header."""
        failed = sum(len(batch.ragged) for batch in self.source.batches())
        at, *_ = self.source.ragged_lines()
        what, hint = (
            "a row has another number of fields than the header",
            "put fields that hold a separator into quotes",
        )
        if first.is_cut:
            what = "the file ends within this row, without a line end: it was probably broken off here"
            hint = "fetch the file again; or take the rest of this row out, if no row came after it"
        return RequestError(
            what,
            where=str(self.file) if at is None else f"{self.file}: line {at}",
            found=f"{first.fields} of {first.expected} fields" if first.is_cut else first.fields,
            allowed=f"{first.expected} fields and a line end" if first.is_cut else str(first.expected),
            hint=hint,
            details={"failed": failed},
        )

    def place(self, row: int) -> str:
        """Name the place of a row, counted from 0: by its line, where the file has lines."""
        return f"{self.file}: {', '.join(self.places([row]))}"

    def places(self, rows: Sequence[int]) -> list[str]:
        """Name the places of rows within the file, which may be read once more for it."""
        found = zip(rows, self.source.lines(rows), strict=True)
        return [f"row {row + 1}" if line is None else f"line {line}" for row, line in found]


@dataclass(frozen=True, kw_only=True)
class HandedWhole(Handed):
    """The rows of a file, in memory."""

    frame: pl.DataFrame


@dataclass(frozen=True, kw_only=True)
class HandedPictures(Handed):
    """The rows of a file that name pictures: those whose picture cannot be read have a fault."""

    inner: Handed
    find_broken: Callable[[pl.DataFrame], Mapping[int, RequestError]]
    """Looks at the pictures of some rows; takes as long as reading them."""
    broken: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    """Rows of each part that was looked at for which it found something, by the number of the part's first row: only these are looked at again."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return self.inner.columns

    def parts(self) -> Iterator[HandedPart]:
        """Give the rows, some at a time, as `Handed.parts` does."""
        start = 0
        for part in self.inner.parts():
            if start in self.broken:
                rows = self.broken[start]
                found = self.find_broken(part.frame[rows])
                faults = {row: found.get(number) or self._mended() for number, row in enumerate(rows)}
            else:
                faults = self.find_broken(part.frame)
                self.broken[start] = list(faults)
            start += part.frame.height
            yield part._replace(faults={**faults, **part.faults})

    def _mended(self) -> RequestError:
        return RequestError("the picture has changed while it was read", hint="ask for this row again")


def open_handed(factory: Factory, line: str, file: Path, *, like: str = "") -> Handed:
    """Open a file to read it in batches, as the line's one source is read: its separator, encoding and missing texts.

    Of a file whose header would be one field so, and several with another separator, that one counts, and `note` says so.

    If the line reads files that are rows themselves, such as pictures, a folder of them is opened.

    Its header is its own.

    Where the line has several sources, it is read as the one that `like` names. Where the line file is broken, those of the file as it was last accepted: the model that serves knows no other.
    """
    source, note = _opened(factory, line, file, PIECE, like)
    return Handed(file, source, note)


def read_handed(factory: Factory, line: str, file: Path) -> HandedWhole:
    """Read a file into memory, as `open_handed` reads it."""
    source, note = _opened(factory, line, file, BATCH)
    handed = Handed(file, whole(source), note)
    return HandedWhole(file, handed.source, note, frame=pl.concat(handed.batches()))


def _opened(factory: Factory, line: str, file: Path, size: int, like: str = "") -> tuple[Source, str]:
    spec, note = line_as_served(factory, line)
    of_files = next((source for source in spec.sources.values() if isinstance(source, FilesSource)), None)
    if file.is_dir() and of_files is not None:
        named = of_files.model_copy(update={"files": str(file.absolute())})
        return open_source(like or next(iter(spec.sources)), named, factory.root), note
    source = _file_source(file, spec, like)
    other = _by_another_separator(file, source)
    if other is not None:
        said = f"{file.name} was read with the separator {other.separator!r}, in place of {source.separator!r} as the line has it"
        source, note = other, "; ".join(filter(None, (note, said)))
    return open_file(source, size=size), note


def _by_another_separator(file: Path, source: FileSource) -> FileSource | None:
    """Return how a file is read whose header is one field as the line reads it, and several with the separator that it has."""
    # The reader names what cannot be read.
    with suppress(OSError, Unpackable, RequestError):
        if file.is_file() and len(first_fields(file, source)) == 1:
            other = source.model_copy(update={"separator": sniff(file, source.file).separator})
            return other if len(first_fields(file, other)) > 1 else None
    return None


def line_as_served(factory: Factory, line: str) -> tuple[LineSpec, str]:
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


def _file_source(file: Path, spec: LineSpec, like: str) -> FileSource:
    sources = list(table_sources(spec).values())
    if like in spec.sources:
        sources = [spec.sources[like]]
    if len(sources) != 1 or not isinstance(sources[0], FileSource):
        return FileSource(file=str(file))
    # A person hands in fewer columns than the source has, or others, so this file names its own.
    source = sources[0].model_copy(update={"file": str(file), "header": True, "names": None})
    if not sources[0].names or not sources[0].header or not file.is_file():
        return source
    # Where the source's header names two columns alike, so does that of its rows; `new` has told them apart in this way.
    fields = first_fields(file, source)
    names = names_apart(fields)
    return source.model_copy(update={"names": names if names != fields else None})
