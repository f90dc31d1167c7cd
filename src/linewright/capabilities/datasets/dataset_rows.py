"""Rows of a dataset version: some of them, in its order, each with the part of a split that it is in."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np
import polars as pl

from linewright.data.dataset.version import read_chunk
from linewright.data.facts import EMBARGO, TEST, TRAIN, Dataset, Split
from linewright.errors import RequestError
from linewright.line.factory import Factory

Part = Literal["train", "test", "neither"]
_CODES: dict[Part, int] = {"train": TRAIN, "test": TEST, "neither": EMBARGO}
_NAMES: dict[int, Part] = {code: name for name, code in _CODES.items()}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which rows are wanted."""

    parts: np.ndarray | None = None
    """A code for each row of the dataset; `None` if no split is in question."""
    part: Part | None = None
    """Only rows of this part."""
    column: str | None = None
    value: str = ""
    """Only rows with this value in `column`, as text."""
    after: int = 0
    """Number of the last row that is left out; rows are counted from 1."""


@dataclass(frozen=True, kw_only=True)
class FoundRow:
    """A row of a dataset version."""

    number: int
    """Its place, from 1."""
    part: Part | None
    values: dict[str, Any]


def parts_of(factory: Factory, dataset: str, split: Split) -> np.ndarray:
    """Return a code for each row of a dataset, as a split of it has them."""
    if split.dataset != dataset:
        raise RequestError(
            "the split is of another dataset version", where="split", found=split.dataset, allowed=dataset
        )
    return np.frombuffer(factory.artifacts.get(split.parts), dtype=np.uint8)


def find_rows(factory: Factory, dataset: Dataset, wanted: Wanted, limit: int) -> list[FoundRow]:
    """Return at most `limit` rows. A chunk that holds none of the wanted part is not read."""
    names = [column.name for column in dataset.columns]
    if wanted.column is not None and wanted.column not in names:
        raise RequestError(
            "the dataset has no such column",
            where="where",
            found=wanted.column[:80],
            allowed=", ".join(names[:50]),
        )
    return list(islice(_rows(factory, dataset, wanted), limit))


def _rows(factory: Factory, dataset: Dataset, wanted: Wanted) -> Iterator[FoundRow]:
    first = 0
    for chunk in dataset.chunks:
        numbers = np.arange(max(first, wanted.after), first + chunk.rows)
        if wanted.parts is not None and wanted.part is not None:
            numbers = numbers[wanted.parts[numbers] == _CODES[wanted.part]]
        if len(numbers):
            frame = read_chunk(chunk, dataset.columns, factory.artifacts, factory.metadata)
            yield from _of_chunk(frame, numbers, first, wanted)
        first += chunk.rows


def _of_chunk(frame: pl.DataFrame, numbers: np.ndarray, first: int, wanted: Wanted) -> Iterator[FoundRow]:
    if wanted.column is not None:
        is_one = (frame[wanted.column].cast(pl.String) == wanted.value).fill_null(value=False).to_numpy()
        numbers = numbers[is_one[numbers - first]]
    for number in numbers.tolist():
        part = None if wanted.parts is None else _NAMES[int(wanted.parts[number])]
        row = frame.row(number - first, named=True)
        yield FoundRow(
            number=number + 1, part=part, values={name: _plain(value) for name, value in row.items()}
        )


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | bool) else value.isoformat()
