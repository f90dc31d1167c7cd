"""The rows of a source that it did not have the last time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import polars as pl
import polars.selectors as cs

from linewright.data.dataset.row_id import content_text, hash_in_parts
from linewright.data.read.batches import Batch
from linewright.data.read.source import Source


def row_digests(frame: pl.DataFrame) -> np.ndarray:
    """Return a number for each row, by all its values: uint64, shape (n,)."""
    exact = cs.decimal() | cs.time() | cs.by_dtype(pl.UInt64)  # what no whole number of 64 bits holds
    frame = frame.with_columns(exact.cast(pl.String), cs.float().cast(pl.Float64))
    return hash_in_parts(frame, lambda part: content_text(part, part.columns), salt="\0".join(frame.columns))


def digests_of(source: Source) -> np.ndarray:
    """Return the different digests of the rows of a source, sorted; rows with another number of fields have none."""
    found = [row_digests(batch.frame) for batch in source.batches()]
    return np.unique(np.concatenate(found))


@dataclass(frozen=True, kw_only=True)
class NewRows(Source):
    """The rows of a source whose digest is not among some."""

    before: np.ndarray
    """Digests, sorted."""

    @classmethod
    def of(cls, source: Source, before: np.ndarray) -> "NewRows":
        """Return those of a source."""
        said = {field.name: getattr(source, field.name) for field in fields(source) if field.init}
        return cls(**said, before=before)

    def batches(self) -> Iterator[Batch]:
        """Give these rows, some at a time."""
        for batch in super().batches():
            is_new = ~np.isin(row_digests(batch.frame), self.before)
            yield Batch(frame=batch.frame.filter(pl.Series(is_new)), ragged=batch.ragged)

    def lines(self, rows: Sequence[int]) -> list[int | None]:
        """Return `None` for each row: they are numbered without those that are left out."""
        return [None] * len(rows)

    def files(self, rows: Sequence[int]) -> list[str | None]:
        """Return `None` for each row."""
        return [None] * len(rows)

    def ragged_before(self) -> list[int]:
        """Return nothing: it is not known."""
        return []
