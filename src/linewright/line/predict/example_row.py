"""A row that came with a package, as who asks the line would send it."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
import numpy as np

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
    """Return the first row that came with a package, with the entities of its feature views and none of their columns.

    A row that has a value in a column of a view is not looked up.

    Parameters
    ----------
    rows
        All rows that came with the package.
    """
    if not rows:
        return {}
    of_views, types = columns_of_views(package), {column.name: column.type for column in package.columns}
    entities = dict.fromkeys(name for view in package.views for name in view.entity)
    row = {name: value for name, value in rows[0].items() if name not in of_views}
    for name in entities.keys() - row.keys():
        found = [one for one in values_of_tests(factory, package, name, len(rows)) if one is not None]
        value = found[0] if found else MADE_UP.get(types.get(name, "text"), "example-1")
        row[name] = value.isoformat() if isinstance(value, date) else value
    order = [*entities, *row]
    return {name: row[name] for name in order}


def values_of_tests(factory: Factory, package: Package, column: str, rows: int) -> list[Any]:
    """Return the values of a column in the first test rows, which are the rows that came with the package.

    Returns
    -------
    list, shape (rows,)
        Empty if they are not there.
    """
    try:
        trained = factory.metadata.get(package.trained, Trained)
        dataset = factory.metadata.get(trained.dataset, Dataset)
        split = factory.metadata.get(trained.split, Split)
        parts = np.frombuffer(factory.artifacts.get(split.parts), dtype=np.uint8)
        places = np.flatnonzero(parts == TEST)[:rows]
        # Of a large table no more is read than has these rows.
        read, start = list[Any](), 0
        for chunk in dataset.chunks:
            here = places[(places >= start) & (places < start + chunk.rows)] - start
            if len(here):
                one = msgspec.structs.replace(dataset, chunks=(chunk,), rows=chunk.rows)
                table = read_dataset(one, factory.artifacts, factory.metadata, [column])
                read += table[column][here].to_list()
            start += chunk.rows
    except LinewrightError:
        return []
    return read if len(read) == rows else []
