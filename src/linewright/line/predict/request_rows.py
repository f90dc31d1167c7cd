"""Rows of a file that a model is asked about: looked through before any is answered, then given in their types."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linewright.data.types import Typing, cast_all
from linewright.errors import RequestError
from linewright.line.file.mistakes import did_you_mean
from linewright.line.predict.broken_rows import Fault, Places, find_places, to_table
from linewright.line.predict.input_file import Handed, HandedPart
from linewright.model.facts import Package, RequestColumn
from linewright.serve.rows.body.request_columns import Needs

MOST_NAMED = 5
"""Rows with cells that cannot be read that a message names."""


class AskedPart(NamedTuple):
    """Some rows of a file, after those of the parts before."""

    frame: pl.DataFrame
    """Rows that can be answered, in their types."""
    rows: NDArray[np.int64]
    """Where each stands among the rows that have one field a column, from 0."""
    broken: pl.DataFrame | None
    """The others, as `broken_rows.to_table` writes them; `None` where there are none."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A file that was looked through."""

    handed: Handed
    columns: tuple[RequestColumn, ...]
    """What the file has, in its order, and after it what the model reads and the file lacks."""
    as_written: frozenset[str]
    """Columns that are only carried and hold a cell that is not of their type: they stay as they are."""
    rows: int
    """Rows that can be answered."""
    broken: int
    """Rows that break the contract."""
    is_cut: bool
    """Whether the file ends within a row."""
    places: Places
    state: tuple[int, ...]
    """Of the file when it was looked through."""

    def parts(self) -> Iterator[AskedPart]:
        """Give the rows, some at a time: at least one part."""
        start = ragged = 0
        for batch in self.handed.parts():
            yield self._part(batch, start, ragged)
            start, ragged = start + batch.frame.height, ragged + len(batch.ragged)
        if self.handed.state != self.state:
            raise _has_changed(self.handed.file)

    def _part(self, batch: HandedPart, start: int, ragged: int) -> AskedPart:
        whole = _with_all(batch.frame, self.columns)
        typed = _typed(whole, self.columns)
        frame = typed.with_columns(whole[name] for name in self.as_written)
        rows = np.arange(start, start + whole.height)
        if not self.broken:
            return AskedPart(frame, rows, None)
        cells = _bad_cells(whole, typed, self.columns)
        is_bad = _is_bad(cells, batch.faults, whole.height)
        written = batch.frame.select(self.handed.source.columns).filter(pl.Series(is_bad))
        table = to_table(
            written,
            rows[is_bad].tolist(),
            _faults(whole, cells, batch.faults, np.flatnonzero(is_bad)),
            ragged=batch.ragged,
            first_ragged=ragged,
            places=self.places,
        )
        return AskedPart(frame.filter(pl.Series(~is_bad)), rows[~is_bad], table if table.height else None)


def look_through(handed: Handed, package: Package, *, strict: bool, may_be_none: bool = False) -> Asked:
    """Read a file to its end, and find the rows that a model cannot be asked about."""
    state = handed.state
    columns = _columns(handed, package)
    found = _Found()
    for batch in handed.parts():
        if batch.ragged and strict:
            raise handed.ragged(batch.ragged[0])
        whole = _with_all(batch.frame, columns)
        found.add(whole, _typed(whole, columns), columns, batch.faults)
        found.ragged += len(batch.ragged)
        found.is_cut |= any(row.is_cut for row in batch.ragged)
    is_none_left = found.failed == found.rows and not may_be_none
    if found.failed and (strict or is_none_left):
        raise _unreadable(handed, found) if found.unmade is None else _unmade(handed, *found.unmade)
    if found.ragged and not found.rows and not may_be_none:
        raise handed.ragged(next(row for batch in handed.parts() for row in batch.ragged))
    places = find_places(handed.source, found.bad, found.ragged)
    if handed.state != state:
        raise _has_changed(handed.file)
    return Asked(
        handed=handed,
        columns=columns,
        as_written=frozenset(found.lossy),
        rows=found.rows - found.failed,
        broken=found.failed + found.ragged,
        is_cut=found.is_cut,
        places=places,
        state=state,
    )


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
    """Rows that have one field a column."""
    bad: list[int] = field(default_factory=list[int])
    """Of them, those with a cell that cannot be read, from 0."""
    column: RequestColumn | None = None
    value: object = None
    """The first of those cells."""
    unmade: tuple[int, RequestError] | None = None
    """The first row that `table.sql` cannot make a column of, and why."""
    faults: dict[str, None] = field(default_factory=dict[str, None])
    """What is wrong with such cells, each once."""
    lossy: set[str] = field(default_factory=set[str])
    ragged: int = 0
    is_cut: bool = False

    @property
    def failed(self) -> int:
        """Rows with a cell that cannot be read."""
        return len(self.bad)

    def add(
        self,
        whole: pl.DataFrame,
        typed: pl.DataFrame,
        columns: tuple[RequestColumn, ...],
        unmade: Mapping[int, RequestError],
    ) -> None:
        """Look at the next rows, as they are written and in their types."""
        carried = [column.name for column in columns if column.role == "carried"]
        self.lossy |= {name for name in carried if _is_unread(whole[name], typed[name]).any()}
        cells = _bad_cells(whole, typed, columns)
        rows = np.flatnonzero(_is_bad(cells, unmade, whole.height)).tolist()
        if unmade and self.unmade is None:
            row = min(unmade)
            self.unmade = self.rows + row, unmade[row]
        if cells and self.column is None:
            row = int(np.flatnonzero(_is_bad(cells, {}, whole.height))[0])
            self.column = next(column for column, bad in cells.items() if bad[row])
            self.value = whole[self.column.name][row]
        for column, bad in cells.items():
            wrong = whole[column.name].filter(bad)
            self.faults |= dict.fromkeys(_fault(column, value) for value in _ends(wrong))
        self.bad += [self.rows + row for row in rows]
        self.rows += whole.height


def _bad_cells(
    whole: pl.DataFrame, typed: pl.DataFrame, columns: tuple[RequestColumn, ...]
) -> Mapping[RequestColumn, pl.Series]:
    """Return which cells cannot be read, of the columns that have some and that the model reads."""
    read = [column for column in columns if column.role != "carried"]
    cells = {
        column: _is_unread(whole[column.name], typed[column.name])
        if column.nullable
        else typed[column.name].is_null()
        for column in read
    }
    return {column: bad for column, bad in cells.items() if bad.any()}


def _is_unread(values: pl.Series, read: pl.Series) -> pl.Series:
    return read.is_null() & values.is_not_null()


def _is_bad(
    cells: Mapping[RequestColumn, pl.Series], unmade: Mapping[int, RequestError], height: int
) -> NDArray[np.bool_]:
    is_unmade = np.zeros(height, dtype=bool)
    is_unmade[list(unmade)] = True
    return np.logical_or.reduce([is_unmade, *(bad.to_numpy() for bad in cells.values())])


def _faults(
    whole: pl.DataFrame,
    cells: Mapping[RequestColumn, pl.Series],
    unmade: Mapping[int, RequestError],
    rows: NDArray[np.int64],
) -> list[list[Fault]]:
    """Return what is wrong with each of some rows."""
    bad = {column: (cells[column].to_numpy()[rows], whole[column.name].gather(rows)) for column in cells}
    said = [
        [
            Fault(column.name, _fault(column, values[number]), values[number])
            for column, (is_bad, values) in bad.items()
            if is_bad[number]
        ]
        for number in range(len(rows))
    ]
    # What cannot be made has no value, which is not said once more.
    return [
        [Fault(why.where, why.what, why.found)] if (why := unmade.get(row)) else each
        for row, each in zip(rows.tolist(), said, strict=True)
    ]


def _ends(wrong: pl.Series) -> Iterator[object]:
    """Give one cell of each kind: one that is missing, and one that cannot be read."""
    if wrong.null_count():
        yield None
    if wrong.null_count() < len(wrong):
        yield wrong.drop_nulls()[0]


def _fault(column: RequestColumn, value: object) -> str:
    return "a value is missing" if value is None else f"not {column.type}"


def _unmade(handed: Handed, row: int, error: RequestError) -> RequestError:
    error.where = f"{handed.place(row)}, column {error.where!r}"
    error.hint = f"{error.hint}; nothing was answered"
    return error


def _unreadable(handed: Handed, found: _Found) -> RequestError:
    """Name the first cell that cannot be read, and the first rows that have one."""
    column, places, many = found.column, handed.places(found.bad[:MOST_NAMED]), found.failed > 1
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
        details={"row": found.bad[0] + 1, "column": column.name, "failed": found.failed},
    )
