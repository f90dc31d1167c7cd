"""Two kinds of sources that no file of `src` knows: what a package of somebody else's would bring."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import polars as pl

from linewright.data.read.batches import Batch
from linewright.data.read.reader import Cursor
from linewright.data.read.source import Source
from linewright.data.spec import SourceSpec
from linewright.errors import RequestError
from linewright.store.values import digest_of

MAGIC = "toy 1\n"


class ToySource(SourceSpec):
    """A table in a file whose fields are separated by bars, after a line that says so."""

    reader: ClassVar[str] = "toy_source:ToyReader"
    places: ClassVar[tuple[str, ...]] = ("toy",)

    toy: str
    """Path of the file."""

    @classmethod
    def offered(cls, file: str, head: bytes) -> "ToySource | None":
        return cls(toy=file) if head.startswith(MAGIC.encode()) else None


class ListedSource(SourceSpec):
    """A table that the line file itself has."""

    reader: ClassVar[str] = "toy_source:ListedReader"

    listed: tuple[str, ...]
    """Rows, the names first, each with bars between its fields."""

    def describe(self) -> str:
        return f"{max(len(self.listed) - 1, 0)} rows of the line file"


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Rows with bars between their fields, some at a time."""

    where: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    first: int | None
    """Line of the first row, where there are lines."""
    many: int

    def batches(self) -> Iterator[Batch]:
        schema = dict.fromkeys(self.columns, pl.String)
        for start in range(0, max(len(self.rows), 1), self.many):
            yield Batch(frame=pl.DataFrame(self.rows[start : start + self.many], schema=schema, orient="row"))

    def starts(self) -> Iterator[tuple[int, int, bool]]:
        if self.first is not None:
            yield self.first, len(self.rows), False


def opened(name: str, texts: list[str], *, first: int | None, size: int) -> Source:
    columns, *rows = csv.reader(texts, delimiter="|")
    part = Lines(
        where=f"sources.{name}",
        columns=tuple(columns),
        rows=tuple(map(tuple, rows)),
        first=first,
        many=max(size // 16, 1),
    )
    return Source(name=name, columns=part.columns, is_text=True, parts=(part,), missing=("",))


class ToyReader:
    """Reads the file of a `ToySource`."""

    def open(
        self, name: str, spec: ToySource, root: Path, *, size: int, since: Cursor | None = None
    ) -> Source:
        del since
        text = self._text(spec, root, f"sources.{name}")
        return opened(name, text.splitlines()[1:], first=3, size=size)

    def fingerprint(self, spec: ToySource, root: Path, where: str) -> str:
        return digest_of({"toy": self._text(spec, root, where)})

    def columns(self, name: str, spec: ToySource, root: Path) -> tuple[str, ...]:
        return self.open(name, spec, root, size=1).columns

    def _text(self, spec: ToySource, root: Path, where: str) -> str:
        try:
            text = (root / spec.toy).read_text(encoding="utf-8")
        except OSError as error:
            raise RequestError("the file cannot be read", where=f"{where}.toy", found=spec.toy) from error
        if not text.startswith(MAGIC):
            raise RequestError("this is no toy", where=f"{where}.toy", found=spec.toy)
        return text


class ListedReader:
    """Reads a `ListedSource`."""

    def open(
        self, name: str, spec: ListedSource, root: Path, *, size: int, since: Cursor | None = None
    ) -> Source:
        del root, since
        return opened(name, list(spec.listed), first=None, size=size)

    def fingerprint(self, spec: ListedSource, root: Path, where: str) -> str:
        del root, where
        return digest_of({"listed": list(spec.listed)})

    def columns(self, name: str, spec: ListedSource, root: Path) -> tuple[str, ...]:
        return self.open(name, spec, root, size=1).columns


def install_toys(site: Path) -> None:
    """Write into a folder what pip leaves of a package with both kinds."""
    info = site / "toys-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[linewright.sources]\ntoy = toy_source:ToySource\nlisted = toy_source:ListedSource\n"
    )
