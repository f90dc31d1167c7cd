"""Which rows are about somebody who is forgotten."""

from collections.abc import Callable, Collection

import numpy as np
import polars as pl

from linewright.line.factory import Factory
from linewright.line.retention.forgotten import Forgetting, forgotten_of
from linewright.serve.rows.body.scalars import spell_all


def are_forgotten(factory: Factory, line: str) -> Callable[[pl.Series], np.ndarray] | None:
    """Return what says of values of `table.subject` which are forgotten; `None` where none is."""
    known = forgotten_of(factory, line)
    if not known.subjects:
        return None
    hashes = {one.hash for one in known.subjects}
    return lambda values: matching(known, hashes, values)


def matching(known: Forgetting, hashes: Collection[str], values: pl.Series) -> np.ndarray:
    """Return of each value whether its hash is among some. A number has the hash of its text, a whole one without decimals."""
    different = values.unique().drop_nulls()
    are = [text is not None and known.hash_of(text) in hashes for text in spell_all(different.to_list())]
    those = different.filter(pl.Series(are, dtype=pl.Boolean))
    return values.is_in(those.implode()).fill_null(value=False).to_numpy()
