"""What reading a file gives: its rows in batches, each small enough to be held in memory."""

import re
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from linewright.data.read.limits import most_held, too_large
from linewright.errors import RequestError, SpecError
from linewright.text.column_names import is_column_pattern

BATCH = 1 << 24
"""How many bytes of text one batch is made of, about; no row may be longer."""


VIEW = 16
"""Bytes that a text takes in memory beside its letters."""


def size_of(frame: pl.DataFrame) -> int:
    """Return how many bytes a table takes in memory, about; of text, polars counts the letters only."""
    texts = sum(dtype == pl.String for dtype in frame.dtypes)
    return int(frame.estimated_size()) + VIEW * texts * frame.height


class Held:
    """Counts the rows that are to be held in memory together."""

    def __init__(self, where: str) -> None:
        self._where, self._most, self._bytes = where, most_held(), 0

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Count some more rows, and return them."""
        self._bytes += size_of(frame)
        if self._bytes > self._most:
            raise too_large(self._where, self._most)
        return frame


def refuse_patterns(columns: Sequence[str], where: str) -> None:
    """Refuse names that are patterns of names, see `is_column_pattern`."""
    found = [name for name in columns if is_column_pattern(name)]
    if found:
        raise SpecError(
            f"a column cannot be named {found[0]!r}: that stands for other columns",
            where=where,
            found=", ".join(found),
            hint="give it another name",
        )


@dataclass(frozen=True, kw_only=True)
class Ragged:
    """A row whose number of fields is not that of the header."""

    fields: int
    expected: int
    text: str
    """The row as it stands in the file."""
    is_cut: bool = False
    """Whether it has fewer fields, is the last of the file, and no line end follows: the file was probably broken off there."""


def fields_of(text: str) -> list[str]:
    """Return what may be the fields of a row that no table can hold, whatever separates them.

    Examples
    --------
    >>> fields_of('7, "Ada";old')
    ['7', 'Ada', 'old']
    """
    return [field.strip().strip('"') for field in re.split(r"[,;\t|]", text)]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some rows of a source, after those of the batches before."""

    frame: pl.DataFrame
    """Rows that have one field a column; every batch of a source has the same columns in the same types."""
    ragged: tuple[Ragged, ...] = ()
    """Rows that do not, in order."""

    @property
    def rows(self) -> int:
        """How many rows the batch has, ragged ones too."""
        return self.frame.height + len(self.ragged)


@contextmanager
def sound(where: str, name: str) -> Generator[None, None, None]:
    """Say which file it is whose bytes polars panics at: its panic is no `Exception`, and nobody would hear of it."""
    try:
        yield
    except pl.exceptions.PanicException as error:
        raise RequestError(
            f"the file is damaged: {' '.join(str(error).split())[:200]}",
            where=where,
            found=name,
            hint="write it again",
        ) from error


def ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Give batches, each while the next one is read in a thread of its own.

    Examples
    --------
    >>> [batch.rows for batch in ahead(Batch(frame=pl.DataFrame({"x": range(n)})) for n in (3, 1))]
    [3, 1]
    """
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, batches, None)
            yield batch


class Part(Protocol):
    """One file, or the rows of one query: what a source is made of."""

    @property
    def where(self) -> str:
        """Place in the line file, for messages."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        ...

    def batches(self) -> Iterator[Batch]:
        """Give the rows as they are, at least one batch; the same ones each time it is called."""
        ...

    def starts(self) -> Iterator[tuple[int, int, bool]]:
        """Give where rows start, in order; nothing where there are no lines.

        Each is a line (from 1), how many rows start on it and on the lines after it, one on each, and whether they are
        ragged.
        """
        ...
