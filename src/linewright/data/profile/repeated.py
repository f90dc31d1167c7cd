"""Columns that repeat others: equal ones, values that go one to one, and numbers that rank the rows alike."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from linewright.data.profile.column import Seen
from linewright.data.spec import NUMBERS

Floats = npt.NDArray[np.float64]

SAME_ORDER = 0.9995
"""Correlation of ranks from which on two columns rank the rows alike."""
ROWS = 5_000
"""Rows that are looked at where ranks are compared."""
_AT_ONCE = 256
_FEW = 10
_REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Twin:
    """A column that says what another says."""

    of: str
    form: Literal["equal", "one-to-one", "order"]
    likeness: float = 1.0
    """Correlation of the ranks."""


def find_twins(seen: Mapping[str, Seen]) -> dict[str, Twin]:
    """Return, for each column that repeats an earlier one, that one and how they are alike.

    Alike are columns that are equal in every row, whose values go one to one, or whose numbers rank the rows in the
    same order (a correlation of ranks of at least 0.9995).

    Examples
    --------
    >>> from linewright.data.profile.column import see
    >>> names = {"a": ["x", "y", "z"], "b": ["x", "y", "z"], "c": ["1", "2", "3"]}
    >>> twins = find_twins({name: see(pl.Series(name, values * 9)) for name, values in names.items()})
    >>> twins["b"].form, twins["c"].form, twins["c"].of
    ('equal', 'one-to-one', 'a')
    """
    twins: dict[str, Twin] = {}
    for first, second in _alike(seen):
        if first.name in twins or (second.name in twins and twins[second.name].form == "equal"):
            continue
        if first.type == second.type and first.values.eq_missing(second.values).all():
            twins[second.name] = Twin(of=first.name, form="equal")
        elif second.name not in twins and first.distinct > 2 and _is_one_to_one(first, second):
            twins[second.name] = Twin(of=first.name, form="one-to-one")
    for name, twin in _same_order(seen):
        twins.setdefault(name, twin)
    return twins


def _alike(seen: Mapping[str, Seen]) -> Iterator[tuple[Seen, Seen]]:
    """Pairs that may be twins: equally many values, equally many missing, and of the first rows the same ones repeat an earlier.

    Of columns of names only equal ones are twins, so these have equal content too: of 72 rows, thousands of measurements are names.
    """
    groups: dict[tuple[object, ...], list[Seen]] = {}
    for column in seen.values():
        if column.distinct > 1:
            like = (column.type, _content(column.values)) if _is_names(column) else _pattern(column.values)
            groups.setdefault((column.distinct, column.missing, like), []).append(column)
    for group in groups.values():
        yield from combinations(group, 2)


def _is_names(column: Seen) -> bool:
    """Return whether most values have a row of their own: such columns go one to one by nature."""
    return column.distinct * _REPEATS > column.present


def _content(values: pl.Series) -> bytes:
    return blake2b(values.hash(seed=0).to_numpy().tobytes(), digest_size=16).digest()


def _pattern(values: pl.Series) -> bytes:
    """Return a digest of where each of the first values stood first: the same for all columns that go one to one."""
    first = values.head(ROWS).alias("value").to_frame().with_row_index("row")
    stood = first.select(pl.col("row").min().over("value"))["row"]
    return blake2b(stood.to_numpy().tobytes(), digest_size=16).digest()


def _is_one_to_one(first: Seen, second: Seen) -> bool:
    if _is_names(first):
        return False
    pair = pl.DataFrame({"a": first.values, "b": second.values})
    if pair.head(ROWS).n_unique() != pair.head(ROWS)["a"].n_unique():
        return False
    return pair.drop_nulls().n_unique() == first.distinct


def _same_order(seen: Mapping[str, Seen]) -> Iterator[tuple[str, Twin]]:
    numbers = [
        c
        for c in seen.values()
        if c.type in NUMBERS and c.distinct > _FEW and not c.values.null_count() and not c.is_unique
    ]
    if len(numbers) < 2:
        return
    step = max(1, len(numbers[0].values) // ROWS)
    ranks = np.array([column.values.gather_every(step).rank("average").to_numpy() for column in numbers])
    for first, second, likeness in _correlated(ranks):
        yield numbers[second].name, Twin(of=numbers[first].name, form="order", likeness=likeness)


def _correlated(ranks: Floats) -> Iterator[tuple[int, int, float]]:
    """Yield the pairs of columns that rank rows alike, and their correlation, in the order of the columns."""
    if ranks.shape[1] <= _FEW:
        return
    unit = ranks - ranks.mean(axis=1, keepdims=True)
    length = np.linalg.norm(unit, axis=1, keepdims=True)
    unit = np.divide(unit, length, out=np.zeros_like(unit), where=length > 0)
    for start in range(0, len(unit), _AT_ONCE):
        likeness = unit[start : start + _AT_ONCE] @ unit[start:].T
        for i, j in np.argwhere(np.abs(likeness) >= SAME_ORDER).tolist():
            if i < j:
                yield start + i, start + j, float(likeness[i, j])
