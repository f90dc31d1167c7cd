"""A row that came with a package, as who asks the line would send it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any

import msgspec
import numpy as np
import polars as pl

from linewright.data.dataset.blobs import instead_of
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import TEST, Dataset, Split
from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.model.facts import Package, Trained

MADE_UP: Mapping[str, str | int] = {"category": "example-1", "text": "example-1", "integer": 0, "number": 0}
"""Values by type of column, where no real one is to be had."""


def columns_of_views(package: Package) -> dict[str, str]:
    """Return the feature view of each column that an endpoint looks up."""
    return {column.name: view.view for view in package.views for column in view.columns}


def row_to_send(factory: Factory, package: Package, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the first row that came with a package and whose person is not forgotten, with the entities of its feature views and none of their columns.

    A row that has a value in a column of a view is not looked up.
    """
    first = next(unforgotten_places(factory, package, len(rows)), None)
    if first is None:
        return {}
    of_views, types = columns_of_views(package), {column.name: column.type for column in package.columns}
    entities = dict.fromkeys(name for view in package.views for name in view.entity)
    row = {name: value for name, value in rows[first].items() if name not in of_views}
    for name in entities.keys() - row.keys():
        found = [one for one in values_of_tests(factory, package, name, len(rows)) if one is not None]
        value = found[0] if found else MADE_UP.get(types.get(name, "text"), "example-1")
        row[name] = value.isoformat() if isinstance(value, date) else value
    order = [*entities, *row]
    return {name: row[name] for name in order}


def unforgotten_places(factory: Factory, package: Package, rows: int) -> Iterator[int]:
    """Give the places of the rows that came with a package, but for those of people who are forgotten: these are empty in the dataset."""
    dataset = _dataset(factory, package)
    if dataset is None or all(instead_of(one.content, factory.metadata) is None for one in dataset.chunks):
        yield from range(rows)
        return
    with suppress(LinewrightError):  # else nobody can say whose they are
        table = _tests(factory, package, [column.name for column in dataset.columns], rows)
        yield from (
            place for place, row in enumerate(table.iter_rows()) if any(one is not None for one in row)
        )


def values_of_tests(factory: Factory, package: Package, column: str, rows: int) -> list[Any]:
    """Return the values of a column in the first test rows, which are the rows that came with the package."""
    try:
        read = _tests(factory, package, [column], rows)
    except LinewrightError:
        return []
    return read[column].to_list() if read.height == rows else []


def _dataset(factory: Factory, package: Package) -> Dataset | None:
    try:
        return factory.metadata.get(factory.metadata.get(package.trained, Trained).dataset, Dataset)
    except LinewrightError:  # an imported model has none
        return None


def _tests(factory: Factory, package: Package, columns: Sequence[str], rows: int) -> pl.DataFrame:
    """Return some columns of the first test rows. Of a large table no more is read than has these rows."""
    trained = factory.metadata.get(package.trained, Trained)
    dataset = factory.metadata.get(trained.dataset, Dataset)
    split = factory.metadata.get(trained.split, Split)
    parts = np.frombuffer(factory.artifacts.get(split.parts), dtype=np.uint8)
    places = np.flatnonzero(parts == TEST)[:rows]
    read, start = list[pl.DataFrame](), 0
    for chunk in dataset.chunks:
        here = places[(places >= start) & (places < start + chunk.rows)] - start
        if len(here):
            one = msgspec.structs.replace(dataset, chunks=(chunk,), rows=chunk.rows)
            read.append(read_dataset(one, factory.artifacts, factory.metadata, columns)[here])
        start += chunk.rows
    return pl.concat(read) if read else pl.DataFrame(schema=dict.fromkeys(columns, pl.Null))
