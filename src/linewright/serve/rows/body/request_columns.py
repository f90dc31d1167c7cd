"""Which columns a row must have, and those that `table.sql` makes of one: the same in a request as in training.

A row may be one of the line's table, or one of its first source: a column that an expression of `table.sql` makes of the row alone is
computed where the row has it not, and taken as it is where the row has it. A column that is not there is no missing value: the row is
refused, unless the contract names the column nullable.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cached_property
from importlib import import_module
from typing import Any, NamedTuple, cast

from linewright.data.facts import WHY_SENT, RowSql
from linewright.data.table.json_values import to_json
from linewright.errors import RequestError
from linewright.model.facts import Package, RequestColumn
from linewright.serve.rows.body.scalars import shown, spell
from linewright.serve.rows.body.typed import Row, TypedRow
from linewright.serve.rows.body.values import KINDS

_MOST_SHAPES = 256
"""Sets of names whose needs are kept."""
HOW_LISTS_ARE_SENT: Mapping[str, str] = {
    "list": "send it: the items that the user had, the newest last; [] is a history of nothing",
    "numbers": "send it: the recent values, the newest last",
}
"""Hints, by type of column; the contract has no such columns, for rows are made of the table."""
_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}

Place = Callable[[int, str], str]


class Shape(NamedTuple):
    """What follows for rows that have the same columns."""

    computes: tuple[str, ...]
    """Columns that are made of others."""
    lacks: tuple[str, ...]
    """Columns that are needed and not there."""


class Needs:
    """What a row needs for one model."""

    def __init__(self, package: Package, *, strict: bool = True) -> None:
        self._strict = strict
        rows = RowSql(source="") if package.row_sql is None else package.row_sql
        of_table = {column.name for column in package.columns if column.role != "source"} - {package.label}
        self._rows = rows
        self._types = {column.name: column.type for column in package.columns}
        self._missing = frozenset(rows.missing)
        self._readers = {column.name: column.type for column in rows.columns}
        self.reads: Mapping[str, tuple[str, ...]] = {
            one.name: one.reads for one in rows.expressions if one.name in of_table
        }
        """By column that is made of others, these."""
        features = [column for column in package.columns if column.role == "feature"]
        self.required = tuple(column.name for column in features if not column.optional)
        """Features that a row has, or that are made of what it has."""
        self._required = frozenset(self.required) if strict else frozenset[str]()
        self.must_be_sent: Mapping[str, str] = {
            one.name: WHY_SENT[one.because] for one in rows.must_be_sent if one.name in self.required
        }
        """Those of them that `table.sql` makes of what a row does not say, and why."""
        self.is_sql = bool(self.reads)
        self.whole = frozenset((*self.required, *(self.reads or ())))
        """Columns of a row for which nothing is computed and nothing is missing."""
        of_features = {name for one in features for name in self.reads.get(one.name, ())}
        self.inputs = tuple(
            column
            for column in package.columns
            if column.name in of_features or (column.role == "feature" and column.name not in self.reads)
        )
        """What the plainest row has: the columns of the source, and those that must be sent."""
        self._shapes: dict[frozenset[str], Shape] = {}

    @cached_property
    def _evaluator(self) -> Any:
        # By its name: an endpoint whose lines have no SQL loads no DuckDB.
        return import_module("linewright.data.table.expressions").Evaluator(self._rows)

    def load(self) -> None:
        """Make ready what computes, before a request waits for it."""
        if self.is_sql:
            _ = self._evaluator

    def shape(self, names: frozenset[str]) -> Shape:
        """Return what follows for rows that have these columns."""
        known = self._shapes.get(names)
        if known is None:
            known = self._shape(names)
            if len(self._shapes) < _MOST_SHAPES:  # clients may send any names
                self._shapes[names] = known
        return known

    def _shape(self, names: frozenset[str]) -> Shape:
        computes = tuple(
            name for name, reads in self.reads.items() if name not in names and names >= {*reads}
        )
        absent = [name for name in self.required if name not in names and name not in computes]
        lacks = [one for name in absent for one in self.reads.get(name, (name,)) if one not in names]
        return Shape(computes, tuple(dict.fromkeys(lacks)) if self._strict else ())

    def lacks(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the columns that a row needs and has not."""
        return () if row.keys() >= self._required else self.shape(frozenset(row)).lacks

    def why(self, name: str) -> str:
        """Say what to send where a column is lacking."""
        makes = [made for made, reads in self.reads.items() if name in reads and made in self.required]
        if makes:
            return f"`table.sql` makes {', '.join(map(repr, makes))} of it; send it, or what is made of it"
        if name in self.must_be_sent:
            return f"send it: {self.must_be_sent[name]}"
        if hint := HOW_LISTS_ARE_SENT.get(self._types[name]):
            return hint
        return "send it, or null where it may be missing; a column that contract.columns names `nullable: true` may be left out"

    def completed(self, rows: Any, place: Place) -> Any:
        """Return rows with what is made of their columns; rows that lack some, and what is no row, are left as they are."""
        if not self.is_sql or not isinstance(rows, Sequence) or not rows or isinstance(rows[0], TypedRow):
            return rows
        if not all(isinstance(row, dict) for row in rows):
            return rows
        by_shape: dict[tuple[str, ...], list[int]] = {}
        for number, row in enumerate(cast("Sequence[Mapping[str, Any]]", rows)):
            if not row.keys() >= self.whole and (computes := self.shape(frozenset(row)).computes):
                by_shape.setdefault(computes, []).append(number)
        if not by_shape:
            return rows
        done = list(rows)
        for computes, numbers in by_shape.items():
            told = self.computed(
                computes, [rows[number] for number in numbers], lambda n, c, of=numbers: place(of[n], c)
            )
            for number, values in zip(numbers, told, strict=True):
                done[number] = {**rows[number], **dict(zip(computes, values, strict=True))}
        return done

    def computed(self, names: Sequence[str], rows: Sequence[Row], place: Place) -> list[list[Any]]:
        """Return the values of columns that are made of others, as JSON values, a list a row."""
        columns = {name: self._read(name, rows, place) for name in self._evaluator.reads(names)}
        return self.made(names, columns, len(rows), place)

    def made(
        self, names: Sequence[str], columns: Mapping[str, Sequence[Any]], n: int, place: Place
    ) -> list[list[Any]]:
        """Do as `computed` does of columns whose values are Python's already, times in UTC without a zone."""
        types = [self._types[name] for name in names]
        try:
            found = self._evaluator.evaluate(names, columns, n)
        except ValueError:
            raise self._refusal(names, columns, n, place) from None
        return [[to_json(value, to) for value, to in zip(row, types, strict=True)] for row in found]

    def _read(self, name: str, rows: Sequence[Row], place: Place) -> list[Any]:
        kind, values = self._readers[name], list[Any]()
        for number, row in enumerate(rows):
            value = row.get(name)
            try:
                values.append(_native(value, kind, self._missing))
            except (ValueError, TypeError, OverflowError, AttributeError):
                raise RequestError(
                    "not a value of this column",
                    where=place(number, name),
                    found=shown(value),
                    allowed=KINDS[type_of(kind)].allowed,
                    hint=f"`table.sql` reads it as {kind}",
                ) from None
        return values

    def _refusal(
        self, names: Sequence[str], columns: Mapping[str, Sequence[Any]], n: int, place: Place
    ) -> RequestError:
        """Name the first row that an expression cannot be carried out for, and its columns; halves are tried until one row is left."""
        low, high = 0, n
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._failure(names, columns, low, middle) else (middle, high)
        for name in names:
            if says := self._failure([name], columns, low, high):
                reads = self.reads[name]
                return RequestError(
                    f"`table.sql` cannot make {name!r} of this row",
                    where=place(low, reads[0] if reads else name),
                    found=", ".join(f"{one}: {shown(spell(columns[one][low]))}" for one in reads),
                    hint=f"DuckDB says: {says}",
                )
        return RequestError("`table.sql` cannot be carried out on a row", where=place(low, ""))

    def _failure(
        self, names: Sequence[str], columns: Mapping[str, Sequence[Any]], low: int, high: int
    ) -> str:
        try:
            some = {name: columns[name][low:high] for name in self._evaluator.reads(names)}
            self._evaluator.evaluate(names, some, high - low)
        except ValueError as error:
            return str(error)
        return ""


def type_of(kind: str) -> str:
    """Return the type of request column for a type of DuckDB.

    Examples
    --------
    >>> type_of("BIGINT"), type_of("TIMESTAMP WITH TIME ZONE")
    ('integer', 'datetime')
    """
    if kind in _INTEGERS:
        return "integer"
    return {
        "FLOAT": "number",
        "DOUBLE": "number",
        "BOOLEAN": "boolean",
        "DATE": "date",
        "VARCHAR": "text",
    }.get(kind, "datetime")


def _native(value: Any, kind: str, missing: frozenset[str]) -> Any:
    """Return a JSON value as the source would have it; raise `ValueError` for one that its type cannot hold."""
    if value is None or (type(value) is str and value.strip() in missing):
        return None
    return _NATIVES[type_of(kind)](value)


def _integer(value: Any) -> int:
    if type(value) is int or (type(value) is float and value.is_integer()):
        return int(value)
    raise ValueError


def _number(value: Any) -> float:
    if type(value) in {int, float} and math.isfinite(value):
        return float(value)
    raise ValueError


def _boolean(value: Any) -> bool | None:
    read = KINDS["boolean"].read(value)
    return None if read is None else bool(read)


def _date(value: Any) -> date:
    return date.fromisoformat(value.strip())


def _datetime(value: Any) -> datetime:
    instant = datetime.fromisoformat(value.strip())
    return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant


def _text(value: Any) -> str | None:
    return KINDS["text"].read(value)


_NATIVES: Mapping[str, Callable[[Any], Any]] = {
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "text": _text,
}


def source_columns(rows: RowSql, table: Sequence[str]) -> tuple[RequestColumn, ...]:
    """Return the columns of a source that a row may have beside those of the table."""
    return tuple(
        RequestColumn(name=one.name, type=type_of(one.type), role="source")
        for one in rows.columns
        if one.name not in table
    )
