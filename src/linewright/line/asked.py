"""Rows of a file that a model is asked about: looked through before any is answered, then given in their types."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from linewright.data.types import Typing, cast_all
from linewright.errors import RequestError
from linewright.line.handed import Handed
from linewright.line.mistakes import did_you_mean
from linewright.model.facts import Package, RequestColumn
from linewright.serve.needs import Needs

MOST_NAMED = 5
"""Rows with cells that cannot be read that a message names."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Rows that can all be answered."""

    handed: Handed
    columns: tuple[RequestColumn, ...]
    """What the file has, in its order, and after it what the model reads and the file lacks."""
    as_written: frozenset[str]
    """Columns that are only carried and hold a cell that is not of their type: they stay as they are."""
    rows: int
    state: tuple[int, ...]
    """Of the file when it was looked through."""

    def batches(self) -> Iterator[pl.DataFrame]:
        """Give the rows in their types, some at a time: at least one batch.

        Raises
        ------
        RequestError
            If the file is not the one any more that was looked through.
        """
        for frame in self.handed.batches():
            whole = _with_all(frame, self.columns)
            typed = _typed(whole, self.columns)
            yield typed.with_columns(whole[name] for name in self.as_written)
        if _state(self.handed.file) != self.state:
            raise _has_changed(self.handed.file)


def look_through(handed: Handed, package: Package) -> Asked:
    """Read a file to its end, and refuse it where a model cannot be asked about each of its rows.

    Raises
    ------
    RequestError
        If a column is missing or unknown, or a cell is not of its type; it names the first rows.
    """
    state = _state(handed.file)
    columns = _columns(handed, package)
    found = _Found()
    for frame in handed.batches():
        whole = _with_all(frame, columns)
        found.add(whole, _typed(whole, columns), columns)
    if found.failed:
        raise _unreadable(handed, found)
    if _state(handed.file) != state:
        raise _has_changed(handed.file)
    return Asked(
        handed=handed, columns=columns, as_written=frozenset(found.lossy), rows=found.rows, state=state
    )


def _state(file: Path) -> tuple[int, ...]:
    said = file.stat()
    return said.st_ino, said.st_size, said.st_mtime_ns


def _has_changed(file: Path) -> RequestError:
    return RequestError(
        "the file has changed while it was read; there is no file of answers",
        where=str(file),
        hint="ask again when nothing writes to it any more",
    )


def _columns(handed: Handed, package: Package) -> tuple[RequestColumn, ...]:
    """Return what each column is; refuse columns that the line does not know, and the lack of some that it needs."""
    known = {column.name: column for column in package.columns}
    needs = Needs(package)
    absent = [name for name in package.encoder.columns if name not in handed.columns]
    missing = needs.shape(frozenset(handed.columns)).lacks
    unknown = [name for name in handed.columns if name not in known]
    lacks = f"lacks {', '.join(map(repr, missing))}"
    if unknown:
        near = did_you_mean(unknown[0], missing or known)
        raise RequestError(
            "the file has columns that the line does not know" + (f", and {lacks}" if missing else ""),
            where=str(handed.file),
            found=", ".join(unknown),
            allowed=", ".join(known),
            hint=near
            or "take them out of the file; what the line's source has too can be named in table.exclude, "
            "and is known after the next run",
        )
    if missing:
        raise RequestError(
            f"the file {lacks}",
            where=str(handed.file),
            found=", ".join(handed.columns),
            allowed=", ".join(known),
            hint=f"add what it lacks: {missing[0]!r}: {needs.why(missing[0])}",
        )
    return tuple(known[name] for name in (*handed.columns, *absent))


def _with_all(frame: pl.DataFrame, columns: tuple[RequestColumn, ...]) -> pl.DataFrame:
    absent = [column.name for column in columns[frame.width :]]
    return frame.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in absent)


def _typed(whole: pl.DataFrame, columns: tuple[RequestColumn, ...]) -> pl.DataFrame:
    return cast_all(whole, [Typing(column.type, column.format) for column in columns])


@dataclass
class _Found:
    """What was seen of a file: all that is kept of it."""

    rows: int = 0
    failed: int = 0
    """Rows with a cell that cannot be read."""
    first: list[int] = field(default_factory=list[int])
    """The first of them, from 0."""
    column: RequestColumn | None = None
    value: object = None
    """The first of those cells."""
    faults: dict[str, None] = field(default_factory=dict[str, None])
    """What is wrong with such cells, each once."""
    lossy: set[str] = field(default_factory=set[str])

    def add(self, whole: pl.DataFrame, typed: pl.DataFrame, columns: tuple[RequestColumn, ...]) -> None:
        """Look at the next rows, as they are written and in their types."""
        bad: dict[RequestColumn, pl.Series] = {}
        for column in columns:
            values, read = whole[column.name], typed[column.name]
            is_unread = read.is_null() & values.is_not_null()
            if column.role == "carried":
                self.lossy |= {column.name} if is_unread.any() else set()
            else:
                bad[column] = is_unread if column.nullable else read.is_null()
        self._add_bad(whole, bad)
        self.rows += whole.height

    def _add_bad(self, whole: pl.DataFrame, bad: Mapping[RequestColumn, pl.Series]) -> None:
        rows = np.flatnonzero(np.logical_or.reduce([cells.to_numpy() for cells in bad.values()])).tolist()
        if rows and self.column is None:
            self.column = next(column for column, cells in bad.items() if cells[rows[0]])
            self.value = whole[self.column.name][rows[0]]
        for column, cells in bad.items() if rows else ():
            wrong = whole[column.name].filter(cells)
            self.faults |= dict.fromkeys(_fault(column, value) for value in _ends(wrong))
        self.failed += len(rows)
        self.first += [self.rows + row for row in rows[: MOST_NAMED - len(self.first)]]


def _ends(wrong: pl.Series) -> Iterator[object]:
    """Give one cell of each kind: one that is missing, and one that cannot be read."""
    if wrong.null_count():
        yield None
    if wrong.null_count() < len(wrong):
        yield wrong.drop_nulls()[0]


def _fault(column: RequestColumn, value: object) -> str:
    return "a value is missing" if value is None else f"not {column.type}"


def _unreadable(handed: Handed, found: _Found) -> RequestError:
    """Name the first cell that cannot be read, and the first rows that have one."""
    column, places, many = found.column, handed.places(found.first), found.failed > 1
    assert column is not None  # noqa: S101 -- as soon as rows have failed
    more = f" and {found.failed - MOST_NAMED:,} more" if found.failed > MOST_NAMED else ""
    such = "such cells" if len(found.faults) == 1 else f"wrong cells ({'; '.join(found.faults)})"
    of_all = f"; {found.failed:,} rows have {such}: {', '.join(places)}{more}"
    return RequestError(
        _fault(column, found.value) + (of_all if many else ""),
        where=f"{handed.file}: {places[0]}, column {column.name!r}",
        found=found.value,
        allowed=column.type + (" or nothing" if column.nullable else ""),
        hint=f"mend the {'rows' if many else 'row'}, or take {'them' if many else 'it'} out; "
        "nothing was answered",
        details={"row": found.first[0] + 1, "column": column.name, "failed": found.failed},
    )
