"""From JSON values straight to the matrix that a model reads."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from linewright.features.cells import Cell, cell_of, known_cells, to_matrix
from linewright.features.encode import LARGEST, encode_one
from linewright.features.facts import Elapsed, Encoder, Encoding
from linewright.model.facts import RequestColumn
from linewright.serve.rows import Place, RowReader, converter, in_rows

_EXACT = 2**53
"""Integers below it are doubles exactly."""
_MANY = 16
"""Rows from which on a column is read at once."""


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
        self._cells = [
            _Cells(j, one, by_name[one.column], cell, reader.missing)
            for j, one in enumerate(encoder.encodings)
            if (cell := cell_of(one))
        ]
        self._plan = [(one.name, one.read) for one in self._cells]
        self._places = [one.place for one in self._cells]
        self._by_column = [(j, one) for j, one in enumerate(encoder.encodings) if j not in set(self._places)]
        self._names = {name for _, one in self._by_column for name in _columns_of(one)}

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
        if is_few and not self._by_column:
            return to_matrix([[read(row.get(name)) for name, read in plan] for row in rows])
        matrix = np.empty((len(rows), self._width), dtype=np.float32)
        if is_few:
            matrix[:, self._places] = [[read(row.get(name)) for name, read in plan] for row in rows]
        else:
            for one in self._cells:
                matrix[:, one.place] = one.of([row.get(one.name) for row in rows])
        columns = self._reader.columns(rows, self._names)
        for j, encoding in self._by_column:
            matrix[:, j] = encode_one(encoding, columns)
        return matrix


def _columns_of(encoding: Encoding) -> list[str]:
    since = encoding.since if isinstance(encoding, Elapsed) else None
    return [encoding.column] if since is None else [encoding.column, since]


class _Cells:
    """One column of the matrix, from JSON values: the usual forms first, all others as `converter` does."""

    def __init__(
        self, place: int, encoding: Encoding, column: RequestColumn, cell: Cell, missing: frozenset[str]
    ) -> None:
        self.place, self.name = place, column.name
        self._is_number, self._is_whole = column.type == "number", column.type in {"integer", "number"}
        self._known = {text: code for text, code in known_cells(encoding).items() if text not in missing}
        self._convert, self._cell, self._is_nullable = converter(column, missing), cell, column.nullable

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
        if converted is None and not self._is_nullable:
            raise ValueError
        return self._cell(converted)

    def of(self, values: list[Any]) -> NDArray[np.float64] | list[float]:
        """Return the cells of many values, at once where all have the usual form."""
        kinds = set(map(type, values))
        if kinds == {str}:
            cells = [self._known.get(value) for value in values]
            if None not in cells:
                return cast("list[float]", cells)
        elif kinds <= ({float, int} if self._is_number else {int} if self._is_whole else set[type]()):
            numbers = np.array(values, dtype=np.float64)
            largest = _EXACT if int in kinds else LARGEST
            if (np.abs(numbers) < largest).all():
                return numbers
        return [self.read(value) for value in values]
