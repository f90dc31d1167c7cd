"""Columns that repeat others, and numbers that stand for "no value"."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linewright.data.outliers import REPEATED, find_outliers
from linewright.data.seen import Seen, percent
from linewright.data.types import NUMBERS

Floats = NDArray[np.float64]

_SAME_ORDER = 0.9995
_ROWS = 5_000
_AT_ONCE = 256
_ONE_OF, _FEWEST = 16, 50
_ROUNDING = 1e-9
_FEW = 10
_REPEATS = 5
_SHARE = 0.002
_MANY_THINGS = 20
_MANY_TIMES = 20


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


def moves_with(column: Seen, time: Seen) -> str:
    """Say that a number ranks the rows as the time does, or the other way round; empty where it does not.

    Then rows to come have values that no training row has had, and what was learned of it holds for none of them.
    """
    if column.type not in NUMBERS or column.distinct < _MANY_TIMES or column.missing:
        return ""
    step = max(1, len(column.values) // _ROWS)
    number, instant = (one.values.gather_every(step).to_physical().cast(pl.Float64) for one in (column, time))
    known = instant.is_not_null()
    ranks = pl.DataFrame({"number": number, "instant": instant}).filter(known)
    alike = ranks.select(pl.corr("number", "instant", method="spearman")).item() if len(ranks) > 1 else 0.0
    if alike is None or not abs(alike) >= _SAME_ORDER:
        return ""
    return (
        f"it {'ranks' if alike > 0 else 'ranks in reverse'} the rows as {time.name!r} does, which is the time: rows to come have values that no training row has had, "
        "so what a model learns of it holds for none of them"
    )


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
    first = values.head(_ROWS).alias("value").to_frame().with_row_index("row")
    stood = first.select(pl.col("row").min().over("value"))["row"]
    return blake2b(stood.to_numpy().tobytes(), digest_size=16).digest()


def _is_one_to_one(first: Seen, second: Seen) -> bool:
    if _is_names(first):
        return False
    pair = pl.DataFrame({"a": first.values, "b": second.values})
    if pair.head(_ROWS).n_unique() != pair.head(_ROWS)["a"].n_unique():
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
    step = max(1, len(numbers[0].values) // _ROWS)
    ranks = np.array([column.values.gather_every(step).rank("average").to_numpy() for column in numbers])
    for first, second, likeness in _correlated(ranks):
        evidence = f"it ranks the rows as {numbers[first].name!r} does (correlation of ranks {likeness:.4f})"
        yield numbers[second].name, Twin(of=numbers[first].name, evidence=evidence, is_equal=False)


def _correlated(ranks: Floats) -> Iterator[tuple[int, int, float]]:
    """Yield the pairs of columns that rank rows alike, and their correlation, in the order of the columns.

    Parameters
    ----------
    ranks : float64 array, shape (columns, rows)
        Of each column; those of a column that differ nowhere are like no other.

    Notes
    -----
    Of unit vectors u and v, ``u @ v >= c`` says that u - v is no longer than ``sqrt(2 - 2 * c)``, and then it is no longer in
    some of their coordinates either. So one coordinate of sixteen tells nearly all pairs apart, and only the others are
    multiplied whole. For ``u @ v <= -c`` it is u + v.
    """
    if ranks.shape[1] <= _FEW:
        return
    unit = ranks - ranks.mean(axis=1, keepdims=True)
    length = np.linalg.norm(unit, axis=1, keepdims=True)
    unit = np.divide(unit, length, out=np.zeros_like(unit), where=length > 0)
    part = np.ascontiguousarray(unit[:, :: _ONE_OF if unit.shape[1] >= _ONE_OF * _FEWEST else 1])
    squares = (part**2).sum(axis=1)
    for start in range(0, len(unit), _AT_ONCE):
        block, later = slice(start, start + _AT_ONCE), slice(start, None)
        apart = squares[block, None] + squares[later] - 2 * np.abs(part[block] @ part[later].T)
        maybe = start + np.flatnonzero((apart <= 2 - 2 * _SAME_ORDER + _ROUNDING).any(axis=0))
        likeness = unit[block] @ unit[maybe].T
        for i, j in np.argwhere(np.abs(likeness) >= _SAME_ORDER).tolist():
            if start + i < maybe[j]:
                yield start + i, int(maybe[j]), float(likeness[i, j])


@dataclass(frozen=True, kw_only=True)
class _Sentinel:
    value: float
    evidence: str


def find_sentinels(seen: Mapping[str, Seen], twins: Mapping[str, Twin]) -> dict[str, str]:
    """Return, by column, why a number of it seems to mean "no value": -200 or 99999 far from all others.

    Of twins both are told or neither: what is the smallest value of one, and zero there in the other, is the
    logarithm of a zero and no sentinel.

    Examples
    --------
    >>> from linewright.data.seen import see
    >>> column = see(pl.Series("t", [str(i) for i in range(90)] + ["-999.0"] * 10))
    >>> find_sentinels({"t": column}, {})["t"][:49]
    '-999.0 stands in 10 rows (10.0 %), far from all o'
    """
    found = {
        name: one
        for name, column in seen.items()
        if (one := _sentinel(column)) is not None and not _is_of_one_thing(column, one.value, seen)
    }
    for name, twin in twins.items():
        for column, other in ((seen[name], seen[twin.of]), (seen[twin.of], seen[name])):
            if column.name in found and other.name not in found and other.type in NUMBERS:
                _tell_both_or_none(found, column, other)
    return {name: found[name].evidence for name in seen if name in found}


def _is_of_one_thing(column: Seen, value: float, seen: Mapping[str, Seen]) -> bool:
    """Return whether a number is the attribute of one thing that another column names, and each thing has one such number.

    Where readings fail together, a state may say so in all rows of -200, but its other values go with many numbers. What is
    written as programs write "no value" may be so of one thing: the height of a place that nobody measured.
    """
    if value < 0 or {*f"{value:.0f}"} == {"9"}:
        return False
    rows = column.values == value
    for other in seen.values():
        if other.name == column.name or other.type != "category" or other.distinct < _MANY_THINGS:
            continue
        there = other.values.filter(rows.fill_null(value=False))
        if there.n_unique() == 1 and not there.null_count():
            frame = pl.DataFrame([other.values.alias("thing"), column.values.alias("number")])
            own = frame.drop_nulls().group_by("thing").agg(pl.col("number").n_unique())["number"]
            if (own == 1).all():
                return True
    return False


def _tell_both_or_none(found: dict[str, _Sentinel], column: Seen, other: Seen) -> None:
    is_it = column.values == found[column.name].value
    there = other.values.filter(is_it).drop_nulls().unique().to_list()
    if len(there) != 1:
        return
    if there[0] == 0 == other.values.min():
        del found[column.name]
        return
    spelled = _spelling(column, found[column.name].value)
    evidence = f"{_spelling(other, there[0])} stands where {column.name!r} has {spelled}, which is far from its other values"
    found[other.name] = _Sentinel(value=there[0], evidence=f"{evidence}: {_advice(other, there[0])}")


def _sentinel(column: Seen) -> _Sentinel | None:
    if found := _far_and_repeated(column):
        return found
    if column.type not in NUMBERS or column.distinct < _FEW:
        return None
    counts = column.counts
    values, rows = counts["value"].cast(pl.Float64).to_numpy(), counts["rows"].to_numpy()
    for end, near, far in ((0, 1, -1), (-1, -2, 0)):
        share = float(rows[end] / column.present)
        is_far = abs(values[end] - values[near]) > abs(values[far] - values[near])
        is_only_negative = end == 0 and values[0] < 0 <= values[1] and share >= _FEW * _SHARE
        if (is_far or is_only_negative) and rows[end] >= _REPEATS and share >= _SHARE:
            value, (low, high) = counts["value"][end], sorted((values[near], values[far]))
            how = "far from all other values" if is_far else "below all other values"
            evidence = (
                f"{_spelling(column, value)} stands in {rows[end]:,} rows ({percent(share)}), {how} "
                f"({low:.6g} to {high:.6g}): {_advice(column, value)}"
            )
            return _Sentinel(value=value, evidence=evidence)
    return None


def _far_and_repeated(column: Seen) -> _Sentinel | None:
    """Find a value such as 99 among 1 to 6: however few the others are, they lie close together."""
    out = find_outliers(column)
    far = max(zip(out.rows, out.values, strict=True), default=(0, 0.0)) if out else (0, 0.0)
    if out is None or far[0] < REPEATED:
        return None
    rows, value = far
    evidence = (
        f"{_spelling(column, value)} stands in {rows:,} rows ({percent(rows / column.present)}), far from all other values "
        f"({out.low:.6g} to {out.high:.6g}): {_advice(column, value)}"
    )
    return _Sentinel(value=value, evidence=evidence)


def _advice(column: Seen, value: float) -> str:
    if column.found.dtype != pl.String:
        return "if it means missing, write it as null: the file says it as a number"
    texts = ", ".join(f'"{text}"' for text in _spellings(column, value))
    return f"if it means missing, add {texts} to the source's 'missing'"


def _spelling(column: Seen, value: float) -> str:
    return _spellings(column, value)[0]


def _spellings(column: Seen, value: float) -> list[str]:
    """Return how a file spells a value, the most frequent way first: only so is it known as missing."""
    texts = column.found.filter(column.values == value).cast(pl.String).rename("text")
    counts = texts.value_counts(name="rows").sort(["rows", "text"], descending=[True, False])
    return counts["text"].to_list()
