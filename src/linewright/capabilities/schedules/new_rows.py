"""The rows of a source that it did not have the last time."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import polars as pl
import polars.selectors as cs

from linewright.data.dataset.row_id import content_text, hash_in_parts, hash_rows
from linewright.data.read.batches import Batch
from linewright.data.read.files_source import FILE
from linewright.data.read.source import Source

_FORM = np.dtype([("digest", np.uint64), ("is_broken", np.bool_)])


def row_digests(frame: pl.DataFrame) -> np.ndarray:
    """Return a number for each row, by all its values: uint64, shape (n,)."""
    exact = cs.decimal() | cs.time() | cs.by_dtype(pl.UInt64)  # what no whole number of 64 bits holds
    frame = frame.with_columns(exact.cast(pl.String), cs.float().cast(pl.Float64))
    return hash_in_parts(frame, lambda part: content_text(part, part.columns), salt="\0".join(frame.columns))


class SeenRows(NamedTuple):
    """The different rows that a source had at a time."""

    digests: np.ndarray
    """uint64, shape (n,), ascending."""
    is_broken: np.ndarray
    """Which of them broke the contract, so that they have no prediction: bool, shape (n,)."""

    @classmethod
    def none(cls) -> Self:
        """Return those of a source without rows."""
        return cls(np.empty(0, np.uint64), np.empty(0, np.bool_))

    @property
    def predicted(self) -> np.ndarray:
        """Digests of those with a prediction."""
        return self.digests[~self.is_broken]

    @property
    def broken(self) -> np.ndarray:
        """Digests of the others."""
        return self.digests[self.is_broken]

    def save(self, path: Path) -> None:
        """Write them to a file."""
        table = np.empty(len(self.digests), _FORM)
        table["digest"], table["is_broken"] = self
        np.save(path, table)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read them from a file."""
        table = np.load(path)
        if table.dtype != _FORM:  # as it was written before broken rows were noted
            return cls(table, np.zeros(len(table), np.bool_))
        return cls(table["digest"], table["is_broken"])


@dataclass
class _Pass:
    """What was seen of the source, the last time that it was read to its end."""

    digests: np.ndarray
    new: np.ndarray
    """Numbers of the rows that were given, from 0."""
    ragged: list[str]


@dataclass(frozen=True, kw_only=True)
class NewRows(Source):
    """The rows of a source without a prediction so far; what is noted of it is of the same read as the rows that are given."""

    known: np.ndarray
    """Digests of those that had one, ascending."""
    are_files: bool = False
    """Whether each row is a file, so that its content counts, and not its place."""
    _passes: list[_Pass] = field(default_factory=list[_Pass], init=False, repr=False, compare=False)

    @classmethod
    def of(cls, source: Source, known: np.ndarray, *, are_files: bool = False) -> "NewRows":
        """Return those of a source."""
        said = {field.name: getattr(source, field.name) for field in fields(source) if field.init}
        return cls(**said, known=known, are_files=are_files)

    def batches(self) -> Iterator[Batch]:
        """Give these rows, some at a time."""
        digests, new, ragged, start = list[np.ndarray](), list[np.ndarray](), list[str](), 0
        for batch in super().batches():
            found = row_digests(_with_contents(batch.frame) if self.are_files else batch.frame)
            is_new = ~np.isin(found, self.known)
            digests.append(found)
            new.append(start + np.flatnonzero(is_new))
            ragged += [row.text for row in batch.ragged]
            start += batch.frame.height
            yield Batch(frame=batch.frame.filter(pl.Series(is_new)), ragged=batch.ragged)
        self._passes[:] = [_Pass(np.concatenate(digests), np.concatenate(new), ragged)]

    def seen(self, broken: Sequence[int]) -> SeenRows:
        """Return the rows that the source had when it was read last."""
        last = self._last
        is_broken = np.zeros(len(last.digests), np.bool_)
        is_broken[last.new[list(broken)]] = True
        ragged = hash_rows(pl.Series(last.ragged, dtype=pl.String), salt="ragged")
        digests, places = np.unique(np.concatenate([last.digests, ragged]), return_index=True)
        return SeenRows(digests, np.concatenate([is_broken, np.ones(len(ragged), np.bool_)])[places])

    @property
    def _last(self) -> _Pass:
        if not self._passes:
            deque(self.batches(), maxlen=0)
        return self._passes[0]

    def lines(self, rows: Sequence[int]) -> list[int | None]:
        """Return the line of the file at which each of these rows starts."""
        return super().lines(self._last.new[list(rows)].tolist())

    def files(self, rows: Sequence[int]) -> list[str | None]:
        """Return the name of the file that each of these rows stands in."""
        return super().files(self._last.new[list(rows)].tolist())

    def ragged_before(self) -> list[int]:
        """Return how many of these rows stand before each ragged row."""
        return np.searchsorted(self._last.new, super().ragged_before()).tolist()


def _with_contents(frame: pl.DataFrame) -> pl.DataFrame:
    """Return rows that are files with the digest of each in the place of its path."""
    digests = [sha256(Path(path).read_bytes()).hexdigest() for path in frame[FILE]]
    return frame.with_columns(pl.Series(FILE, digests, dtype=pl.String))
