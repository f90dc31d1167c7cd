"""Few rows at a time: from JSON values straight to the matrix that a model reads."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.features.cells import cell_of, known_cells, to_matrix
from linewright.features.encode import encode_one
from linewright.features.facts import Elapsed, Encoder, Encoding
from linewright.model.facts import RequestColumn
from linewright.serve.rows import Place, RowReader, converter, in_rows

_EXACT = 2**53
"""Integers below it are doubles exactly."""


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
        cells = [(j, one, cell_of(one)) for j, one in enumerate(encoder.encodings)]
        self._width = len(cells)
        self._plan = [
            (one.column, _read_cell(one, by_name[one.column], reader.missing))
            for _, one, cell in cells
            if cell
        ]
        self._places = [j for j, _, cell in cells if cell]
        self._by_column = [(j, one) for j, one, cell in cells if not cell]
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
        plan = self._plan
        cells = to_matrix([[cell(row.get(name)) for name, cell in plan] for row in rows])
        if not self._by_column:
            return cells
        matrix = np.empty((len(rows), self._width), dtype=np.float32)
        matrix[:, self._places] = cells
        columns = self._reader.columns(rows, self._names)
        for j, encoding in self._by_column:
            matrix[:, j] = encode_one(encoding, columns)
        return matrix


def _columns_of(encoding: Encoding) -> list[str]:
    since = encoding.since if isinstance(encoding, Elapsed) else None
    return [encoding.column] if since is None else [encoding.column, since]


def _read_cell(
    encoding: Encoding, column: RequestColumn, missing: frozenset[str]
) -> Callable[[object], float]:
    """Return what reads a JSON value as a cell; the usual forms first, all others as `converter` does."""
    convert, cell = converter(column, missing), cell_of(encoding)
    known = {text: code for text, code in known_cells(encoding).items() if text not in missing}
    is_number, is_whole = column.type == "number", column.type in {"integer", "number"}
    assert cell is not None  # noqa: S101 -- the caller leaves out what goes by column

    def read(value: object) -> float:
        kind = type(value)
        if kind is float:
            if is_number and math.isfinite(value):  # type: ignore[arg-type]
                return value  # type: ignore[return-value]
        elif kind is str:
            if value in known:
                return known[value]  # type: ignore[index]
        elif kind is int and is_whole and -_EXACT < value < _EXACT:  # type: ignore[operator]
            return value  # type: ignore[return-value]
        converted = convert(value)
        if converted is None and not column.nullable:
            raise ValueError
        return cell(converted)

    return read
