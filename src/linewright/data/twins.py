"""Columns that repeat others, and numbers that stand for "no value"."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from linewright.data.seen import NUMBERS, Seen, percent

_SAME_ORDER = 0.9995
_ROWS = 5_000
_FEW = 10
_REPEATS = 5
_SHARE = 0.002


@dataclass(frozen=True, kw_only=True)
class Twin:
    """A column that says what another says."""

    of: str
    evidence: str
    is_equal: bool
    """Whether it equals the other in every row, so that it adds nothing."""


def find_twins(seen: Mapping[str, Seen]) -> dict[str, Twin]:
    """Return, for each column that repeats an earlier one, that one and how they are alike.

    Alike are columns that are equal in every row, whose values go one to one, or whose numbers rank the rows in the
    same order (a correlation of ranks of at least 0.9995).

    Examples
    --------
    >>> from linewright.data.seen import see
    >>> names = {"a": ["x", "y", "z"], "b": ["x", "y", "z"], "c": ["1", "2", "3"]}
    >>> twins = find_twins({name: see(pl.Series(name, values * 9)) for name, values in names.items()})
    >>> twins["b"].evidence, twins["c"].of
    ("it equals 'a' in every row", 'a')
    """
    twins: dict[str, Twin] = {}
    for first, second in _alike(seen):
        if first.name in twins or (second.name in twins and twins[second.name].is_equal):
            continue
        if first.type == second.type and first.values.eq_missing(second.values).all():
            evidence = f"it equals {first.name!r} in every row"
            twins[second.name] = Twin(of=first.name, evidence=evidence, is_equal=True)
        elif second.name not in twins and first.distinct > 2 and _is_one_to_one(first, second):
            evidence = f"its {second.distinct} values go one to one with those of {first.name!r}"
            twins[second.name] = Twin(of=first.name, evidence=evidence, is_equal=False)
    for name, twin in _same_order(seen):
        twins.setdefault(name, twin)
    return twins


def _alike(seen: Mapping[str, Seen]) -> Iterator[tuple[Seen, Seen]]:
    """Pairs that may be twins: equally many values, equally many missing."""
    groups: dict[tuple[int, int], list[Seen]] = {}
    for column in seen.values():
        if column.distinct > 1:
            groups.setdefault((column.distinct, column.missing), []).append(column)
    for group in groups.values():
        yield from combinations(group, 2)


def _is_one_to_one(first: Seen, second: Seen) -> bool:
    if first.distinct * _REPEATS > first.present:  # columns of names go one to one by nature
        return False
    pair = pl.DataFrame({"a": first.values, "b": second.values})
    if pair.head(_ROWS).n_unique() != pair.head(_ROWS)["a"].n_unique():
        return False
    return pair.drop_nulls().n_unique() == first.distinct


def _same_order(seen: Mapping[str, Seen]) -> Iterator[tuple[str, Twin]]:
    numbers = [
        c
        for c in seen.values()
        if c.type in NUMBERS and c.distinct > _FEW and not c.missing and not c.is_unique
    ]
    if len(numbers) < 2:
        return
    step = max(1, len(numbers[0].values) // _ROWS)
    ranks = np.array([column.values.gather_every(step).rank("average").to_numpy() for column in numbers])
    likeness = np.corrcoef(ranks + np.zeros_like(ranks)) if ranks.shape[1] > _FEW else np.eye(len(ranks))
    for i, j in combinations(range(len(numbers)), 2):
        if abs(likeness[i, j]) >= _SAME_ORDER:
            evidence = (
                f"it ranks the rows as {numbers[i].name!r} does (correlation of ranks {likeness[i, j]:.4f})"
            )
            yield numbers[j].name, Twin(of=numbers[i].name, evidence=evidence, is_equal=False)


def sentinel_evidence(column: Seen) -> str | None:
    """Return why a number of a column seems to mean "no value", or `None`: -200 or 99999 far from all others.

    Examples
    --------
    >>> from linewright.data.seen import see
    >>> sentinel_evidence(see(pl.Series("t", [str(i) for i in range(90)] + ["-999"] * 10)))[:47]
    '-999 stands in 10 rows (10.0 %), far from all o'
    """
    if column.type not in NUMBERS or column.distinct < _FEW:
        return None
    counts = column.values.drop_nulls().value_counts(name="rows").sort(column.name)
    values, rows = counts[column.name].cast(pl.Float64).to_numpy(), counts["rows"].to_numpy()
    for end, near, far in ((0, 1, -1), (-1, -2, 0)):
        share = float(rows[end] / column.present)
        is_far = abs(values[end] - values[near]) > abs(values[far] - values[near])
        is_only_negative = end == 0 and values[0] < 0 <= values[1] and share >= _FEW * _SHARE
        if (is_far or is_only_negative) and rows[end] >= _REPEATS and share >= _SHARE:
            low, high = sorted((values[near], values[far]))
            how = "far from all other values" if is_far else "below all other values"
            return (
                f"{values[end]:.6g} stands in {rows[end]:,} rows ({percent(share)}), {how} "
                f"({low:.6g} to {high:.6g}): if it means missing, name it in the source's 'missing'"
            )
    return None
