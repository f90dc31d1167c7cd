"""Which rows are about somebody who is forgotten."""

from collections.abc import Callable, Collection, Mapping

import numpy as np
import polars as pl

from linewright.line.factory import Factory
from linewright.line.retention.forgotten import Forgetting, forgotten_of
from linewright.line.retention.forgotten_in_views import lists_of
from linewright.serve.rows.body.scalars import spell_all

AreForgotten = Callable[[pl.Series], np.ndarray]
"""Says of values which are forgotten."""


def are_forgotten(factory: Factory, line: str) -> AreForgotten | None:
    """Return what says of values of `table.subject` which are forgotten; `None` where none is."""
    known = forgotten_of(factory, line)
    return _among(known) if known.subjects else None


def forgotten_in_view(factory: Factory, view: str) -> Mapping[str, AreForgotten]:
    """Return what says of values of columns of the source of a view which are forgotten, by column.

    A view is computed once for all lines that have it: a person whom one of them has forgotten is left out for each.
    """
    found: dict[str, AreForgotten] = {}
    for column, known in lists_of(factory, view):
        one, before = _among(known), found.get(column)
        found[column] = one if before is None else _either(before, one)
    return found


def _among(known: Forgetting) -> AreForgotten:
    hashes = {one.hash for one in known.subjects}
    return lambda values: matching(known, hashes, values)


def _either(one: AreForgotten, other: AreForgotten) -> AreForgotten:
    return lambda values: one(values) | other(values)


def matching(known: Forgetting, hashes: Collection[str], values: pl.Series) -> np.ndarray:
    """Return of each value whether its hash is among some. A number has the hash of its text, a whole one without decimals."""
    different = values.unique().drop_nulls()
    are = [text is not None and known.hash_of(text) in hashes for text in spell_all(different.to_list())]
    those = different.filter(pl.Series(are, dtype=pl.Boolean))
    return values.is_in(those.implode()).fill_null(value=False).to_numpy()
