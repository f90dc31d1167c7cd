"""Encode rows of a table part by part: beside the matrix only one part is ever held in the form that `encode` reads."""

from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linewright.features.encode import Readers, encode
from linewright.features.facts import Encoder
from linewright.features.learn import to_columns

_CELLS_AT_ONCE = 1 << 24
_FEWEST_AT_ONCE, _MOST_AT_ONCE = 4_096, 131_072


def encode_table(
    encoder: Encoder,
    frame: pl.DataFrame,
    rows: NDArray[np.int64] | None = None,
    *,
    readers: Readers = MappingProxyType({}),
) -> NDArray[Any]:
    """Encode rows of a table.

    Examples
    --------
    >>> from linewright.features.facts import Number
    >>> encoder = Encoder(encodings=(Number(column="age"),))
    >>> encode_table(encoder, pl.DataFrame({"age": [31, None, 47]}), np.array([2, 0])).tolist()
    [[47.0], [31.0]]
    """
    read = frame.select(encoder.columns) if set(encoder.columns) <= set(frame.columns) else frame
    n = frame.height if rows is None else len(rows)
    size = min(max(_CELLS_AT_ONCE // max(len(encoder.columns), 1), _FEWEST_AT_ONCE), _MOST_AT_ONCE)

    def part(start: int) -> NDArray[Any]:
        place = slice(start, start + size)
        taken = read[place] if rows is None else read[rows[place]]
        return encode(encoder, to_columns(taken, encoder.columns), readers)

    if n <= size:
        return part(0)
    if encoder.is_raw:
        return np.concatenate([part(start) for start in range(0, n, size)])
    matrix = np.empty((n, len(encoder.encodings)), dtype=np.float32)
    for start in range(0, n, size):
        matrix[start : start + size] = part(start)
    return matrix
