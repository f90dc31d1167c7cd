"""From JSON values straight to the matrix that a model reads."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.features.arithmetic import together
from linewright.features.cells import Cell, cell_of, known_cells, to_matrix
from linewright.features.encode import LARGEST, fill
from linewright.features.facts import Arithmetic, Encoder, Encoding, Number, Operation, partner
from linewright.features.text import TextReader
from linewright.model.facts import RequestColumn
from linewright.serve.rows import Place, RowReader, converter, in_rows

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
    """Reads rows of one model's table as `RowReader` and `features.encode` do together, to the bit.

    Parameters
    ----------
    reader
        Says what a row may hold, and what is wrong with one.
    columns
        What a row may have.
    encoder
        Makes a matrix; of no raw columns.
    """

    def __init__(self, reader: RowReader, columns: Sequence[RequestColumn], encoder: Encoder) -> None:
        self._reader, by_name = reader, {column.name: column for column in columns}
        self._width = len(encoder.encodings)
        cells = [
            _Cells(j, one, by_name[one.column], cell, reader.missing)
            for j, one in enumerate(encoder.encodings)
            if (cell := cell_of(one))
        ]
        self._plan = [(one.name, one.read) for one in cells]
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
        self._readers = {text.column: TextReader(text) for text in encoder.texts or ()}

    def read(self, rows: object, *, place: Place = in_rows) -> NDArray[np.float32]:
        """Return the matrix of JSON rows, shape (n, width).

        Raises
        ------
        RequestError
            As `RowReader.read` does.
        """
        return self._reader.read_as(self._matrix, rows, place)

    def _matrix(self, rows: list[dict[str, Any]]) -> NDArray[np.float32]:
        plan, is_few = self._plan, len(rows) < _MANY
        if is_few and self._is_plain and not self._by_column:
            return to_matrix([[read(row.get(name)) for name, read in plan] for row in rows])
        matrix = np.empty((len(rows), self._width), dtype=np.float32)
        if is_few:
            matrix[:, self._places] = [[read(row.get(name)) for name, read in plan] for row in rows]
        else:
            for block in self._blocks:
                block.fill(matrix, rows)
            for one in self._texts:
                matrix[:, one.place] = one.of([row.get(one.name) for row in rows])
        if self._by_column:
            columns = self._reader.columns(rows, self._names)
            fill(matrix, self._encoder, self._by_column, columns, self._readers)
        for operation, (places, left, right) in self._together.items():
            matrix[:, places] = together(operation, matrix[:, left], matrix[:, right])
        return matrix


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
        self._all_of: Callable[[dict[str, Any]], tuple[Any, ...]] | None = (
            itemgetter(*self._names) if len(cells) > 1 else None
        )

    def fill(self, matrix: NDArray[np.float32], rows: list[dict[str, Any]]) -> None:
        """Set the cells of these columns; raise `ValueError` for a value that a column cannot take."""
        values = self._values(rows)
        numbers = self._usual_numbers(values)
        if numbers is not None:
            matrix[:, self._places] = numbers
            return
        for j, one in enumerate(self._cells):
            matrix[:, one.place] = [one.read(row[j]) for row in values]

    def _values(self, rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        if self._all_of is not None:
            try:
                return list(map(self._all_of, rows))
            except KeyError:
                pass  # a column that a row leaves out is missing in it
        return [tuple(row.get(name) for name in self._names) for row in rows]

    def _usual_numbers(self, values: list[tuple[Any, ...]]) -> NDArray[np.float64] | None:
        kinds = set(map(type, chain.from_iterable(values)))
        if not kinds <= self._usual:
            return None
        numbers = np.array(values, dtype=np.float64)  # what is missing becomes NaN, as in the matrix
        largest = _EXACT if int in kinds else LARGEST
        if NoneType not in kinds:
            return numbers if (np.abs(numbers) < largest).all() else None
        is_missing = np.isnan(numbers)
        is_usual = bool(((np.abs(numbers) < largest) | is_missing).all())
        return numbers if is_usual and not is_missing[:, self._required].any() else None


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

    def of(self, values: list[Any]) -> list[float]:
        """Return the cells of many values."""
        known = self._known
        try:
            return [known[value] for value in values]
        except (KeyError, TypeError):  # one is no text that is known; a list can be looked up nowhere
            return [self.read(value) for value in values]
