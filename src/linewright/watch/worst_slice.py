"""The slice in which rows moved most: found on one half of them, measured on the other.

Among hundreds of slices some look bad by chance. So the rows of before and of now are split in halves by chance. On one half each slice is
looked at, and the one is chosen whose shift is largest at the low end of its interval; on the other half, which had no part in the
choice, it is measured [1]_. What is measured has no winner's curse, however many slices were looked at.

Rows are taken to be independent of each other.

References
----------
.. [1] D. R. Cox, A Note on Data-Splitting for the Evaluation of Significance Levels, Biometrika 62 (1975), 441-444.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from linewright.watch.psi import EMPTY

FEWEST = 30
"""Rows that each half of a slice, and of what is outside of it, must have, both before and now."""
_SEARCH_DRAWS, _DRAWS = 200, 2_000
_LOW, _HIGH = 0.025, 0.975
_NORMAL = 1.96
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Divided:
    """Rows in parts, by one column."""

    then: Codes
    """Part of each row of before, from 0; -1 for what is in none."""
    now: Codes
    parts: int


class Estimated(NamedTuple):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class Worst(NamedTuple):
    """The slice in which rows moved most."""

    column: int
    """Which of the columns that rows were divided by."""
    part: int
    within: Estimated
    elsewhere: Estimated
    """Of all rows outside of it."""
    more: Estimated
    """`within` less `elsewhere`."""
    then: int
    now: int
    """Rows of the slice that it was measured on."""


class _Sides(NamedTuple):
    then: Flags
    now: Flags


Measure = Callable[[Sequence[_Sides], int], list[tuple[Estimated, Floats]]]
"""Takes rows and how often to draw, and returns the estimate of each of some slices, with its draws."""


def worst_shift(
    divided: Sequence[Divided], then: Codes, now: Codes, cells: int, *, seed: int
) -> tuple[Worst | None, int]:
    """Find the slice in which a column is spread least like before.

    Examples
    --------
    >>> chance = np.random.default_rng(1)
    >>> shop, now_shop = chance.integers(0, 4, 4000), chance.integers(0, 4, 4000)
    >>> then, now = chance.integers(0, 2, 4000), chance.integers(0, 2, 4000)
    >>> now[now_shop == 2] = 1
    >>> worst, looked_at = worst_shift([Divided(then=shop, now=now_shop, parts=4)], then, now, 2, seed=1)
    >>> worst.part, worst.more.low > 0, worst.elsewhere.value < 0.05, looked_at
    (2, True, True, 4)
    """
    chance = np.random.default_rng([seed, 1])

    def measured(slices: Sequence[_Sides], draws: int) -> list[tuple[Estimated, Floats]]:
        return [
            _psi(
                np.bincount(then[one.then], minlength=cells),
                np.bincount(now[one.now], minlength=cells),
                chance,
                draws,
            )
            for one in slices
        ]

    return _worst(divided, _Sides(then >= 0, now >= 0), measured, seed)


def worst_rise(
    divided: Sequence[Divided], then: Floats, now: Floats, *, seed: int
) -> tuple[Worst | None, int]:
    """Find the slice in which the mean of a loss rose most; the arguments are those of `worst_shift`, with the loss of each row.

    Examples
    --------
    >>> chance = np.random.default_rng(1)
    >>> shop, now_shop = chance.integers(0, 4, 4000), chance.integers(0, 4, 4000)
    >>> then, now = chance.random(4000), chance.random(4000) + 0.5 * (now_shop == 3)
    >>> worst, _ = worst_rise([Divided(then=shop, now=now_shop, parts=4)], then, now, seed=1)
    >>> worst.part, round(worst.within.value, 1), worst.more.low > 0
    (3, 0.5, True)
    """
    chance = np.random.default_rng([seed, 1])

    def measured(slices: Sequence[_Sides], draws: int) -> list[tuple[Estimated, Floats]]:
        return [_rise(then[one.then], now[one.now], draws, chance) for one in slices]

    return _worst(divided, _Sides(np.isfinite(then), np.isfinite(now)), measured, seed)


def _worst(
    divided: Sequence[Divided], counted: _Sides, measure: Measure, seed: int
) -> tuple[Worst | None, int]:
    search = _Sides(*(_half(len(one), seed, place) for place, one in enumerate(counted)))
    slices = [(column, part) for column, one in enumerate(divided) for part in range(one.parts)]
    found: list[tuple[float, int, int]] = []
    for column, part in slices:
        within, outside = _slice(divided[column], part, counted)
        sides = [_and(one, half) for one in (within, outside) for half in (search, _not(search))]
        if min(int(flags.sum()) for side in sides for flags in side) >= FEWEST:
            (estimate, _), *_ = measure([sides[0]], _SEARCH_DRAWS)
            found.append((estimate.low, column, part))
    if not found:
        return None, 0
    _, column, part = max(found, key=lambda one: (one[0], -one[1], -one[2]))
    own, rest = (_and(one, _not(search)) for one in _slice(divided[column], part, counted))
    (within, drawn), (elsewhere, outside) = measure([own, rest], _DRAWS)
    more = _estimated(within.value - elsewhere.value, drawn - outside)
    then, now = int(own.then.sum()), int(own.now.sum())
    return Worst(column, part, within, elsewhere, more, then, now), len(found)


def _half(rows: int, seed: int, place: int) -> Flags:
    return np.random.default_rng([seed, 2, place]).permutation(rows) % 2 == 0


def _slice(divided: Divided, part: int, counted: _Sides) -> tuple[_Sides, _Sides]:
    within = _Sides(divided.then == part, divided.now == part)
    return _and(within, counted), _and(_not(within), counted)


def _and(one: _Sides, other: _Sides) -> _Sides:
    return _Sides(one.then & other.then, one.now & other.now)


def _not(one: _Sides) -> _Sides:
    return _Sides(~one.then, ~one.now)


def _psi(then: Codes, now: Codes, chance: np.random.Generator, draws: int) -> tuple[Estimated, Floats]:
    """Return the index of two counts, less what chance adds, with draws of it: what chance adds is in a draw twice."""
    n, m = int(then.sum()), int(now.sum())
    is_cell = (then + now) > 0
    noise = (int(is_cell.sum()) - 1) * (1 / n + 1 / m)
    value = float(_index(then[is_cell], now[is_cell])) - noise
    drawn = _index(
        chance.multinomial(n, then[is_cell] / n, draws), chance.multinomial(m, now[is_cell] / m, draws)
    )
    return _estimated(max(0.0, value), np.maximum(0.0, drawn - 2 * noise)), drawn - 2 * noise


def _index(then: npt.NDArray[np.int64], now: npt.NDArray[np.int64]) -> Floats:
    p, q = (np.maximum(one, EMPTY) / one.sum(axis=-1, keepdims=True) for one in (then, now))
    return ((p - q) * np.log(p / q)).sum(axis=-1)


def _rise(then: Floats, now: Floats, draws: int, chance: np.random.Generator) -> tuple[Estimated, Floats]:
    value = float(now.mean() - then.mean())
    error = float(np.sqrt(then.var(ddof=1) / len(then) + now.var(ddof=1) / len(now)))
    drawn = value + error * chance.standard_normal(draws)
    return Estimated(value, value - _NORMAL * error, value + _NORMAL * error), drawn


def _estimated(value: float, drawn: Floats) -> Estimated:
    low, high = np.quantile(drawn, [_LOW, _HIGH])
    return Estimated(value, min(value, float(low)), max(value, float(high)))
