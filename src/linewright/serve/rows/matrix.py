"""From JSON values straight to the matrix that a model reads."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter, itemgetter
from types import MappingProxyType, NoneType
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from linewright.errors import RequestError
from linewright.features.encode import LARGEST, Readers, fill, group_places, histories_of
from linewright.features.encode_rows import Cell, cell_of, known_cells, to_matrix
from linewright.features.facts import Arithmetic, Encoder, Encoding, Number, Operation, partner
from linewright.features.pair_arithmetic import together
from linewright.features.text import TextReader
from linewright.model.facts import RequestColumn
from linewright.serve.rows.body.reader import MAX_ROWS, Place, RowReader, converter, in_rows
from linewright.serve.rows.body.typed import Row, TypedRow, Unusual, column_of

_EXACT = 2**53
"""Integers below it are doubles exactly."""
_MANY = 4
"""Rows from which on columns are read at once."""
_USUAL: Mapping[str, frozenset[type]] = {
    "number": frozenset({float, int, NoneType}),
    "integer": frozenset({int, NoneType}),
    "boolean": frozenset({bool, NoneType}),
}
"""By column type, the JSON values that are its numbers as they are."""


class MatrixReader:
    """Reads rows of one model's table as `RowReader` and `features.encode` do together, to the bit."""

    def __init__(
        self,
        reader: RowReader,
        columns: Sequence[RequestColumn],
        encoder: Encoder,
        readers: Readers = MappingProxyType({}),
    ) -> None:
        self._reader, by_name = reader, {column.name: column for column in columns}
        self._width = len(encoder.encodings)
        cells = [
            _Cells(j, one, by_name[one.column], cell, reader.missing)
            for j, one in enumerate(encoder.encodings)
            if (cell := cell_of(one))
        ]
        self._plan = [(one.name, one.read) for one in cells]
        self._get: Callable[[TypedRow], tuple[Any, ...]] | None = None
        """Gives the values of a typed row in the order of the plan."""
        self._places = [one.place for one in cells]
        self._blocks = [
            _Block([one for one in cells if one.type == kind], usual)
            for kind, usual in _USUAL.items()
            if any(one.type == kind for one in cells)
        ]
        self._texts = [one for one in cells if one.type not in _USUAL]
        self._together = _grouped(encoder)
        added = {j for places, _, _ in self._together.values() for j in places}
        self._encoder, placed = encoder, {*self._places, *added}
        self._is_plain = not added
        self._by_column = [j for j in range(self._width) if j not in placed]
        self._names = {name for j in self._by_column for name in _columns_of(encoder.encodings[j])}
        self._filled = group_places(encoder, self._by_column)
        if encoder.window is not None:
            self._names.update(encoder.columns)
        self._readers: Readers = {
            **{text.column: TextReader(text) for text in encoder.texts if text.column not in readers},
            **readers,
            **histories_of(encoder),
        }

    def read(self, rows: object, *, place: Place = in_rows) -> NDArray[np.float32]:
        """Return the matrix of JSON rows, shape (n, width)."""
        return self._reader.read_as(self._matrix, rows, place)

    def read_typed(self, rows: list[TypedRow]) -> NDArray[np.float32]:
        """Return the matrix of typed rows, shape (n, width)."""
        if len(rows) > MAX_ROWS:
            raise Unusual
        try:
            self._reader.check_carried(rows)
            return self._matrix(rows)
        except (RequestError, ValueError, TypeError, OverflowError):
            raise Unusual from None

    def _matrix(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        is_few = len(rows) < _MANY
        if is_few and self._is_plain and not self._by_column:
            return to_matrix(self._few(rows))
        matrix = np.empty((len(rows), self._width), dtype=np.float32)
        if is_few:
            matrix[:, self._places] = self._few(rows)
        else:
            for block in self._blocks:
                block.fill(matrix, rows)
            for one in self._texts:
                matrix[:, one.place] = one.of(column_of(rows, one.name))
        if self._by_column:
            columns = self._reader.columns(rows, self._names)
            fill(matrix, self._encoder, self._filled, columns, self._readers)
        for operation, (places, left, right) in self._together.items():
            matrix[:, places] = together(operation, matrix[:, left], matrix[:, right])
        return matrix

    def _few(self, rows: Sequence[Any]) -> list[list[float]]:
        """Return the cells of a few rows, one by one."""
        if not isinstance(rows[0], TypedRow):
            return [[read(row.get(name)) for name, read in self._plan] for row in rows]
        if self._get is None:
            fields = [rows[0].fields[name] for name, _ in self._plan]
            self._get = attrgetter(*fields, "fields")  # of one field alone there would be no tuple
        get = self._get
        return [[read(value) for (_, read), value in zip(self._plan, get(row), strict=False)] for row in rows]


def _columns_of(encoding: Encoding) -> list[str]:
    other = partner(encoding)
    return [encoding.column] if other is None else [encoding.column, other]


def _grouped(encoder: Encoder) -> dict[Operation, tuple[list[int], list[int], list[int]]]:
    """Return, by operation, the places of what two numbers are together, and those of the two that are in the matrix themselves."""
    number = {one.column: j for j, one in enumerate(encoder.encodings) if isinstance(one, Number)}
    found: dict[Operation, tuple[list[int], list[int], list[int]]] = {}
    for j, one in enumerate(encoder.encodings):
        if isinstance(one, Arithmetic) and {one.column, one.other} <= number.keys():
            places = found.setdefault(one.operation, ([], [], []))
            for list_, place in zip(places, (j, number[one.column], number[one.other]), strict=True):
                list_.append(place)
    return found


class _Block:
    """Columns of one type of numbers, read at once where every value has the usual form, else one by one."""

    def __init__(self, cells: Sequence["_Cells"], usual: frozenset[type]) -> None:
        self._cells, self._usual = cells, usual
        self._places = [one.place for one in cells]
        self._names = [one.name for one in cells]
        self._required = [j for j, one in enumerate(cells) if not one.is_nullable]
        self._is_whole = cells[0].type == "integer"
        self._all_of: Callable[[dict[str, Any]], tuple[Any, ...]] | None = (
            itemgetter(*self._names) if len(cells) > 1 else None
        )

    def fill(self, matrix: NDArray[np.float32], rows: Sequence[Row]) -> None:
        """Set the cells of these columns; raise `ValueError` for a value that a column cannot take."""
        numbers = self._typed(rows) if isinstance(rows[0], TypedRow) else self._untyped(rows)
        if numbers is not None:
            matrix[:, self._places] = numbers
            return
        for one in self._cells:
            matrix[:, one.place] = [one.read(row.get(one.name)) for row in rows]

    def _typed(self, rows: Sequence[Any]) -> NDArray[np.float64] | None:
        fields = [rows[0].fields[name] for name in self._names]
        all_fields = rows[0].__struct_fields__
        start, width = all_fields.index(fields[0]), len(fields)
        if tuple(fields) == all_fields[start : start + width]:
            # Side by side, as columns of a table mostly are: a slice of all is cheaper than one after the other.
            def values() -> Iterator[tuple[Any, ...]]:
                return map(itemgetter(slice(start, start + width)), map(msgspec.structs.astuple, rows))
        else:
            values = partial(map, attrgetter(*fields), rows)  # there are two at least
        return self._numbers(values, len(rows), width)

    def _untyped(self, rows: Sequence[Any]) -> NDArray[np.float64] | None:
        values = self._values(rows)
        # The values of typed rows are numbers or missing; others may be anything.
        if not set(map(type, chain.from_iterable(values))) <= self._usual:
            return None
        return self._numbers(partial(iter, values), len(rows), len(self._names))

    def _values(self, rows: Sequence[Any]) -> list[tuple[Any, ...]]:
        if self._all_of is not None:
            try:
                return list(map(self._all_of, rows))
            except KeyError:
                pass  # a column that a row leaves out is missing in it
        return [tuple(row.get(name) for name in self._names) for row in rows]

    def _numbers(
        self, rows: Callable[[], Iterator[tuple[Any, ...]]], n: int, width: int
    ) -> NDArray[np.float64] | None:
        """Return the numbers that values are as they are, NaN where they are missing; `None` where one has to be looked at."""
        try:
            # Row after row: the values of one are in the cache when they are read.
            numbers = np.fromiter(chain.from_iterable(rows()), np.float64, n * width).reshape(n, width)
            is_missing = np.False_
        except TypeError:  # one is missing
            values = list(rows())
            numbers = np.array(values, dtype=np.float64)
            is_missing = np.isnan(numbers)
            if is_missing[:, self._required].any() or is_missing.sum() > sum(
                row.count(None) for row in values
            ):
                return None
        is_usual = is_missing | (np.abs(numbers) < _EXACT)
        if self._is_whole:
            is_usual &= is_missing | (numbers == np.trunc(numbers))
        return numbers if is_usual.all() else None


class _Cells:
    """One column of the matrix, from JSON values: the usual forms first, all others as `converter` does."""

    def __init__(
        self, place: int, encoding: Encoding, column: RequestColumn, cell: Cell, missing: frozenset[str]
    ) -> None:
        self.place, self.name, self.type, self.is_nullable = place, column.name, column.type, column.nullable
        self._is_number, self._is_whole = column.type == "number", column.type in {"integer", "number"}
        self._known = {text: code for text, code in known_cells(encoding).items() if text not in missing}
        self._convert, self._cell = converter(column, missing), cell

    def read(self, value: object) -> float:
        """Return the cell of a value; raise `ValueError` for one that the column cannot take."""
        kind = type(value)
        if kind is float:
            if self._is_number and -LARGEST <= value <= LARGEST:  # type: ignore[operator]
                return value  # type: ignore[return-value]
        elif kind is str:
            if value in self._known:
                return self._known[value]  # type: ignore[index]
        elif kind is int and self._is_whole and -_EXACT < value < _EXACT:  # type: ignore[operator]
            return value  # type: ignore[return-value]
        converted = self._convert(value)
        if converted is None and not self.is_nullable:
            raise ValueError
        return self._cell(converted)

    def of(self, values: list[Any]) -> NDArray[np.float64]:
        """Return the cells of many values, shape (n,)."""
        try:
            cells = map(self._known.__getitem__, values)
            return np.fromiter(cells, np.float64, len(values))
        except (KeyError, TypeError):  # one is no text that is known; a list can be looked up nowhere
            return np.fromiter(map(self.read, values), np.float64, len(values))
