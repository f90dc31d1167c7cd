"""Rows of a file that break the contract: where they stand and what is wrong with them, as a table to look at."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from linewright.data.read.batches import Ragged
from linewright.data.read.source import Raw, Source

_SHOWN = 200
"""Characters of a value that a reason quotes."""


class Fault(NamedTuple):
    """What is wrong with one cell."""

    column: str
    rule: str
    found: object
    """What stands there; `None` where nothing does."""


def fault_in_words(fault: Fault) -> str:
    """Say it in a few words.

    Examples
    --------
    >>> fault_in_words(Fault("Age", "not integer", "old"))
    "column 'Age': not integer: 'old'"
    """
    shown = "" if fault.found is None else f": {str(fault.found)[:_SHOWN]!r}"
    return f"column {fault.column!r}: {fault.rule}{shown}"


@dataclass(frozen=True)
class Places:
    """Where rows stand that break the contract."""

    lines: Mapping[int, int | None]
    """Line of the file, by row among those that have one field a column, from 0; `None` where the file has no lines."""
    ragged_lines: Sequence[int | None]
    """Line of each row that has another number of fields."""
    ragged_before: Sequence[int]
    """How many rows with one field a column stand before each of these; empty where that is not known."""

    def number(self, row: int) -> int:
        """Return the number of a row among all rows of the file, from 1."""
        return row + 1 + bisect_right(self.ragged_before, row)


def find_places(source: Source | Raw, rows: Sequence[int], ragged: int) -> Places:
    """Return where rows stand; the file is read once more for each kind of them."""
    lines = dict(zip(rows, source.lines(rows), strict=True)) if rows else {}
    if not ragged:
        return Places(lines, (), ())
    return Places(lines, source.ragged_lines(), source.ragged_before())


def to_table(
    frame: pl.DataFrame,
    rows: Sequence[int],
    faults: Sequence[Sequence[Fault]],
    *,
    ragged: Sequence[Ragged],
    first_ragged: int,
    places: Places,
) -> pl.DataFrame:
    """Return rows that break the contract in the order of the file: place, reason, and the cells as they were read.

    Columns of the file keep their names; where one has the name of a column of ours, ours begins with ``quarantine_``.
    """
    ours = {
        name: f"quarantine_{name}" if name in frame.columns else name for name in ("line", "row", "reason")
    }
    cells = frame.with_columns(
        pl.Series(ours["line"], [places.lines[row] for row in rows], dtype=pl.Int64),
        pl.Series(ours["row"], [places.number(row) for row in rows], dtype=pl.Int64),
        pl.Series(ours["reason"], ["; ".join(map(fault_in_words, each)) for each in faults], dtype=pl.String),
    )
    numbers = range(first_ragged, first_ragged + len(ragged))
    others = pl.DataFrame(
        {
            ours["line"]: [places.ragged_lines[number] for number in numbers],
            ours["row"]: [places.ragged_before[number] + number + 1 for number in numbers]
            if places.ragged_before
            else [None] * len(ragged),
            ours["reason"]: [_of_ragged(row) for row in ragged],
        },
        schema={ours["line"]: pl.Int64, ours["row"]: pl.Int64, ours["reason"]: pl.String},
    )
    whole = pl.concat([cells, others], how="diagonal") if ragged else cells
    return whole.select(*ours.values(), *frame.columns).sort(
        ours["row"], nulls_last=True, maintain_order=True
    )


def _of_ragged(row: Ragged) -> str:
    fields = f"{row.fields} fields in place of {row.expected}"
    return f"{'the file ends within this row: ' if row.is_cut else ''}{fields}: {row.text[:_SHOWN]!r}"
