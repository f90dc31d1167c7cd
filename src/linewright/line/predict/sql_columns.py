"""Columns that `table.sql` makes of a row alone, for rows of a file and for rows that were answered."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from linewright.data.types import Typing, cast, cast_all
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.line.predict.input_file import Handed, HandedPart
from linewright.model.facts import Package
from linewright.serve.facts import Prediction
from linewright.serve.rows.body.reader import MAX_ROWS, in_rows
from linewright.serve.rows.body.request_columns import Needs, type_of
from linewright.serve.rows.scorer import Scorer


@dataclass(frozen=True)
class _Made(Handed):
    """The rows of a file, with columns that are made of theirs behind them."""

    needs: Needs | None = None
    package: Package | None = None
    made: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.source.columns, *self.made)

    def parts(self) -> Iterator[HandedPart]:
        for part in super().parts():
            faults: dict[int, RequestError] = {}
            made = self._made_of(part.frame, faults)
            yield HandedPart(part.frame.with_columns(made), part.ragged, faults)

    def _made_of(self, frame: pl.DataFrame, faults: dict[int, RequestError]) -> list[pl.Series]:
        """Return the columns that are made of rows; what keeps one from it is added to `faults`, and has no values."""
        assert self.needs is not None and self.package is not None and self.package.row_sql  # noqa: S101, PT018
        kinds = {one.name: one.type for one in self.package.row_sql.columns}
        reads = list(dict.fromkeys(name for each in self.made for name in self.needs.reads[each]))
        typed = cast_all(frame.select(reads), [Typing(type_of(kinds[name])) for name in reads])
        for name in reads:
            self._find_unread(frame[name], typed[name], kinds[name], faults)
        columns = {name: _naive(typed[name]) for name in reads}
        told = self._told(columns, [row for row in range(frame.height) if row not in faults], faults)
        types = {column.name: column.type for column in self.package.columns}
        none = [None] * len(self.made)
        rows = [told.get(row, none) for row in range(frame.height)]
        return [
            _series(name, [row[number] for row in rows], types[name]) for number, name in enumerate(self.made)
        ]

    def _told(
        self, columns: Mapping[str, list[Any]], rows: Sequence[int], faults: dict[int, RequestError]
    ) -> dict[int, list[Any]]:
        """Return what is made of each row; where that fails halves are tried, until one row is left."""
        assert self.needs is not None  # noqa: S101
        if not rows:
            return {}
        some = {name: [values[row] for row in rows] for name, values in columns.items()}
        try:
            made = self.needs.made(self.made, some, len(rows), lambda _, column: column)
        except RequestError as error:
            if len(rows) == 1:
                faults[rows[0]] = error
                return {}
            middle = len(rows) // 2
            return self._told(columns, rows[:middle], faults) | self._told(columns, rows[middle:], faults)
        return dict(zip(rows, made, strict=True))

    def _find_unread(
        self, found: pl.Series, typed: pl.Series, kind: str, faults: dict[int, RequestError]
    ) -> None:
        """Find cells that only `table.sql` cannot read; whoever looks through the file tells of all others."""
        assert self.package is not None  # noqa: S101
        column = next(one for one in self.package.columns if one.name == found.name)
        unread = typed.is_null() & found.is_not_null()
        if column.role != "carried":
            unread &= cast(found, column.type, pattern=column.format).is_not_null()
        for row in unread.arg_true().to_list():
            faults[row] = RequestError(
                "not a value of this column",
                where=found.name,
                found=found[row],
                allowed=type_of(kind),
                hint=f"`table.sql` reads it as {kind}",
            )


def with_made(handed: Handed, scorer: Scorer) -> Handed:
    """Return the rows of a file with the columns that `table.sql` makes of a row alone and the file has not."""
    made = scorer.needs.shape(frozenset(handed.columns)).computes
    if not made:
        return handed
    return _Made(handed.file, handed.source, handed.note, scorer.needs, scorer.model.package, made)


def _naive(column: pl.Series) -> list[Any]:
    is_zoned = isinstance(column.dtype, pl.Datetime)
    return (column.dt.replace_time_zone(None) if is_zoned else column).to_list()


def _series(name: str, values: list[Any], to: str) -> pl.Series:
    if to in {"integer", "number", "boolean"}:
        return pl.Series(name, values, strict=False)
    texts = pl.Series(name, [None if one is None else str(one) for one in values], dtype=pl.String)
    return cast(texts, to) if to in {"date", "datetime"} else texts


def rows_with_made(factory: Factory, records: Sequence[Prediction]) -> list[dict[str, Any]]:
    """Return the rows of answers as the models that gave them saw them."""
    by_model: dict[str, list[int]] = {}
    for number, record in enumerate(records):
        by_model.setdefault(record.digest, []).append(number)
    rows = [record.row for record in records]
    for digest, numbers in by_model.items():
        needs = Needs(factory.metadata.get(digest, Package), strict=False)
        for some in _batched(numbers) if needs.is_sql else ():
            made = needs.completed([rows[number] for number in some], in_rows)
            for number, row in zip(some, made, strict=True):
                rows[number] = row
    return rows


def _batched(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Give some numbers at a time: what is made of a row is in memory three times while it is made."""
    for start in range(0, len(numbers), MAX_ROWS):
        yield numbers[start : start + MAX_ROWS]
