"""Where a model is weak: slices of the rows, by one column or two, on which its loss is surely larger than elsewhere.

The method
----------
Among a thousand slices some look bad by chance. So the test rows are split in halves by chance (groups and blocks of time
stay whole). One half is searched: all parts of each column (fifths of a number, categories) and of pairs of columns, ranked
by how surely their loss is larger. The few best, of which none may say what another says already, are then measured on the
other half, which had no part in the choice: what is told of them has no winner's curse, however many were looked at [1]_.
A slice is told where the one-sided bootstrap bound of its difference is above 0 at a confidence that holds for all that
were measured together (Bonferroni).

A larger loss is not always a fault: rows may be harder by nature, and a large number is off by more than a small one.

References
----------
.. [1] D. R. Cox, A Note on Data-Splitting for the Evaluation of Significance Levels, Biometrika 62 (1975), 441-444.
.. [2] Y. Chung, T. Kraska, N. Polyzotis, K. H. Tae and S. E. Whang, Slice Finder: Automated Data Slicing for Model
   Validation, ICDE 2019: the search.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from linewright.model.explain.importance import Judged
from linewright.model.explain.inputs import Floats, Input
from linewright.model.facts import Condition, IsLevel, IsMissing, IsValue, IsWithin, Scale, WeakSlice
from linewright.model.metrics.bootstrap import Spread, bootstrap, count_units
from linewright.model.metrics.definitions import Statistic, divide
from linewright.store.values import canonical_json
from linewright.text.numbers import figure
from linewright.text.years import are_years

FEWEST_ROWS = 30
"""Rows of each half that a slice must have."""
SMALLEST_SHARE = 0.02
"""Share of them that it must have."""
MOST_TOLD = 5
MOST_PAIRED = 8
"""Columns whose pairs are looked at."""
_MEASURED = 10
_FIFTHS = 5
_MOST_LEVELS = 12
_DIGITS: Mapping[Scale, int] = {"number": 6, "year": 7, "time": 17}
_OVERLAP = 0.5
_CONFIDENCE = 0.95
_DRAWS = 2_000
_MORE = 1.1
"""A pair must be that much worse than either of its parts alone."""
_SURE_ENOUGH = 1.0
"""Standard errors below which a slice is not worth measuring: each that is makes the others less sure."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Found:
    """Slices that are surely weak, and what was done to find them."""

    slices: tuple[WeakSlice, ...]
    looked_at: int
    confirmed_on: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """A column in parts."""

    codes: NDArray[np.intp]
    """Part of each row; -1 for what is in none."""
    conditions: tuple[Condition, ...]
    """Of each part."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Candidate:
    conditions: tuple[Condition, ...]
    codes: NDArray[np.intp]
    """Part of each row of both halves, where the rows of `code` are the slice."""
    code: int
    sureness: float
    """How many standard errors its loss is above that of the other rows, on the half that is searched; 0 for a pair that
    is hardly worse than one of its parts."""

    @property
    def within(self) -> Flags:
        """Which rows are in it."""
        return self.codes == self.code

    @property
    def place(self) -> tuple[bytes, ...]:
        """Its place among others that are as weak."""
        return tuple(map(canonical_json, self.conditions))


def weak_slices(judged: Judged, columns: Sequence[Input], *, answers: Floats | None) -> Found:
    """Return where the loss is surely larger than elsewhere.

    Examples
    --------
    >>> chance = np.random.default_rng(1)
    >>> codes, loss = chance.integers(0, 4, 2000), chance.random(2000)
    >>> loss[codes == 2] += 0.5
    >>> judged = Judged(x=loss, truth=codes, weight=np.ones(2000), clusters=None, scores=loss, loss=loss,
    ...     answer=lambda x: x, row_loss=lambda t, s: s, task="multiclass", seed=1)
    >>> column = Input(name="shop", places=(0,), kind="category", values=codes.astype(float), levels=tuple("abcd"))
    >>> found = weak_slices(judged, [column], answers=None)
    >>> [(one.conditions, one.loss > one.elsewhere) for one in found.slices], found.looked_at
    ([((IsLevel(column='shop', level='c'),), True)], 4)
    """
    search = _half(judged)
    fewest = max(FEWEST_ROWS, int(np.ceil(SMALLEST_SHARE * min(search.sum(), (~search).sum()))))
    binned = [parts_of(one, search) for one in columns]
    made = [*_singles(judged, binned, search, fewest), *_pairs(judged, binned[:MOST_PAIRED], search, fewest)]
    worse = [one for one in made if one.sureness > _SURE_ENOUGH and (one.within & ~search).sum() >= fewest]
    measured = _apart(worse, search)
    confirm = np.flatnonzero(~search)
    return Found(
        slices=_confirmed(judged.at(confirm), measured, confirm, answers),
        looked_at=len(made),
        confirmed_on=len(confirm),
    )


def _half(judged: Judged) -> Flags:
    """Return which rows are searched: half of them, groups whole."""
    units = (
        np.arange(judged.n) if judged.clusters is None else np.unique(judged.clusters, return_inverse=True)[1]
    )
    chosen = np.random.default_rng(judged.seed).permutation(int(units.max(initial=-1)) + 1) % 2 == 0
    return chosen[units]


def parts_of(column: Input, search: Flags) -> Parts:
    """Return the parts of a column: a number at fifths of the searched rows, categories by the most frequent of these."""
    missing = np.isnan(column.values)
    if column.kind == "category":
        codes = np.where(missing, -1, column.values).astype(np.intp)
        counts = np.bincount(codes[search & ~missing], minlength=len(column.levels))
        kept = np.argsort(-counts, kind="stable")[:_MOST_LEVELS]
        new = np.full(len(column.levels) + 1, -1)
        new[kept] = np.arange(len(kept))
        parts: list[Condition] = [IsLevel(column=column.name, level=column.levels[code]) for code in kept]
        codes = new[codes]
    else:
        codes, parts = _fifths(column, search & ~missing, _scale(column))
    codes = np.where(missing, len(parts), codes)
    return Parts(codes=codes, conditions=(*parts, IsMissing(column=column.name)))


def _scale(column: Input) -> Scale:
    if column.kind == "time":
        return "time"
    return "year" if are_years(column.name, column.values) else "number"


def _fifths(column: Input, known: Flags, scale: Scale) -> tuple[NDArray[np.intp], list[Condition]]:
    values, name = column.values, column.name
    digits = _DIGITS[scale]
    if not known.any():
        return np.full(len(values), -1), []
    distinct = np.unique(values[known])
    if len(distinct) <= _FIFTHS + 1:
        codes = np.searchsorted(distinct, values)
        is_one = distinct[np.minimum(codes, len(distinct) - 1)] == values
        return np.where(is_one, codes, -1), [
            IsValue(column=name, value=figure(value, digits), scale=scale) for value in distinct.tolist()
        ]
    shares = np.arange(1, _FIFTHS) / _FIFTHS
    ends = np.unique(np.quantile(values[known], shares, method="inverted_cdf"))
    ends = ends[ends < distinct[-1]]
    bounds = [None, *(figure(end, digits) for end in ends.tolist()), None]
    parts = [IsWithin(column=name, above=low, to=high, scale=scale) for low, high in pairwise(bounds)]
    return np.searchsorted(ends, values, side="left"), [*parts]


def _singles(judged: Judged, binned: Sequence[Parts], search: Flags, fewest: int) -> Iterator[_Candidate]:
    most = int(search.sum()) - fewest
    for one in binned:
        rows, _, sureness = _against_rest(one.codes, len(one.conditions), judged, search)
        for code in np.flatnonzero((fewest <= rows) & (rows <= most)).tolist():
            yield _Candidate(
                conditions=(one.conditions[code],), codes=one.codes, code=code, sureness=sureness[code]
            )


def _pairs(judged: Judged, binned: Sequence[Parts], search: Flags, fewest: int) -> Iterator[_Candidate]:
    most = int(search.sum()) - fewest
    alone = [_against_rest(one.codes, len(one.conditions), judged, search)[1] for one in binned]
    for i, j in combinations(range(len(binned)), 2):
        first, second, width = binned[i], binned[j], len(binned[j].conditions)
        codes = np.where((first.codes >= 0) & (second.codes >= 0), first.codes * width + second.codes, -1)
        rows, loss, sureness = _against_rest(codes, len(first.conditions) * width, judged, search)
        for code in np.flatnonzero((fewest <= rows) & (rows <= most)).tolist():
            a, b = divmod(code, width)
            is_worse = loss[code] >= _MORE * max(alone[i][a], alone[j][b])
            yield _Candidate(
                conditions=(first.conditions[a], second.conditions[b]),
                codes=codes,
                code=code,
                sureness=sureness[code] if is_worse else 0.0,
            )


def _against_rest(
    codes: NDArray[np.intp], parts: int, judged: Judged, search: Flags
) -> tuple[NDArray[np.intp], Floats, Floats]:
    """Return, for each part of the searched rows, its rows, its mean loss, and by how many standard errors that is larger."""
    at = np.flatnonzero(search & (codes >= 0))
    weight, loss, place = judged.weight[at], judged.loss[at], codes[at]
    every = judged.weight[search]
    rows = np.bincount(place, minlength=parts)
    mass, total, squares, error = (
        np.bincount(place, weights=weight * power, minlength=parts).astype(np.float64)
        for power in (np.ones(len(at)), loss, loss**2, weight)
    )
    whole = judged.loss[search]
    rest = every.sum() - mass
    mean, other = divide(total, mass, otherwise=0.0), divide((every @ whole) - total, rest, otherwise=0.0)
    spread = np.maximum(divide(squares, mass, otherwise=0.0) - mean**2, 0)
    beyond = np.maximum(divide((every @ whole**2) - squares, rest, otherwise=0.0) - other**2, 0)
    variance = spread * divide(error, mass**2, otherwise=0.0) + beyond * divide(
        every @ every - error, rest**2, otherwise=0.0
    )
    return rows, mean, divide(mean - other, np.sqrt(variance), otherwise=0.0)


def _apart(made: Sequence[_Candidate], search: Flags) -> list[_Candidate]:
    """Return the surest, of which none is mostly another one."""
    kept: list[tuple[_Candidate, Flags]] = []
    for one in sorted(made, key=lambda each: (-each.sureness, each.place)):
        rows = one.within & search
        if all((rows & each).sum() <= _OVERLAP * min(rows.sum(), each.sum()) for _, each in kept):
            kept.append((one, rows))
        if len(kept) == _MEASURED:
            break
    return [one for one, _ in kept]


def _confirmed(
    judged: Judged, measured: Sequence[_Candidate], confirm: NDArray[np.intp], answers: Floats | None
) -> tuple[WeakSlice, ...]:
    if not measured:
        return ()
    within = [one.within[confirm] for one in measured]
    own = [judged.mean(judged.loss, rows) for rows in within]
    other = [judged.mean(judged.loss, ~rows) for rows in within]
    apart: list[Statistic] = [lambda w, a=a, b=b: a(w) - b(w) for a, b in zip(own, other, strict=True)]
    made = bootstrap(apart, weight=judged.weight, clusters=judged.clusters, seed=judged.seed, draws=_DRAWS)
    confidence = 1 - (1 - _CONFIDENCE) / len(measured)
    weight = judged.weight[np.newaxis]
    told: list[tuple[_Candidate, WeakSlice]] = []
    for place, (one, rows) in enumerate(zip(measured, within, strict=True)):
        units = min(
            count_units(np.flatnonzero(side & (judged.weight > 0)), judged.clusters) for side in (rows, ~rows)
        )
        low = Spread(value=float(made.values[place]), drawn=made.drawn[place], units=units).lower(confidence)
        if low > 0:
            said, true = _told(judged, rows, None if answers is None else answers[confirm])
            told.append(
                (
                    one,
                    WeakSlice(
                        conditions=one.conditions,
                        loss=figure(float(own[place](weight)[0]), 6),
                        elsewhere=figure(float(other[place](weight)[0]), 6),
                        low=figure(low, 6),
                        rows=int(rows.sum()),
                        answered=said,
                        true=true,
                    ),
                )
            )
    largest = sorted(told, key=lambda each: (each[1].elsewhere - each[1].loss, each[0].place))
    return tuple(one for _, one in largest[:MOST_TOLD])


def _told(judged: Judged, rows: Flags, answers: Floats | None) -> tuple[float | None, float | None]:
    if answers is None:
        return None, None
    weight = judged.weight[rows]
    said, true = (float(np.average(one[rows], weights=weight)) for one in (answers, judged.truth))
    return figure(said, 6), figure(true, 6)
