"""How the answer goes with one column, all else as it is in the rows.

The method
----------
For numbers and times: accumulated local effects [1]_. The rows are split at quantiles of the column; the rows of each part
are answered with the value at its two ends, and the mean differences are added up from part to part. Unlike a partial
dependence plot it never asks about rows that cannot be, a flat of 20 square metres with 6 rooms, which is what happens
where columns hang together and one of them is moved through its whole range.

Categories have no order to go along. The rows of each category are answered with it and with the most frequent one
instead; the mean difference is the category's. Rows without a value are likewise answered without it and with the median.

What is recorded is the mean answer over the rows, and on top of it the effect, centred so that it is 0 on average. What is
drawn is the effect alone: it is added up over steps that different rows take, so that beside the mean answer it may lie beyond
what an answer can be, such as a probability below 0. Values beyond the smallest and largest hundredth of the rows are not drawn.

References
----------
.. [1] D. W. Apley and J. Zhu, Visualizing the Effects of Predictor Variables in Black Box Supervised Learning Models, Journal
   of the Royal Statistical Society B 82 (2020), 1059-1086.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.model.explain.importance import Judged
from linewright.model.explain.inputs import Floats, Input, swapped
from linewright.model.facts import Dependence, Point
from linewright.text.numbers import figure, in_words
from linewright.text.times import say_time
from linewright.text.years import are_years, say_year

PARTS = 20
MOST_LEVELS = 8
MOST_NAMED = 12
"""Categories that are named though they are not told."""
MOST_CURVES = 3
FEWEST_ROWS = 10
"""Rows that a category, or missing values, must have to be told."""
MISSING = "(no value)"
_TAIL = 0.01


@dataclass(frozen=True, kw_only=True)
class _Found:
    """The effects at some places, before they are centred; shape (places, outputs)."""

    at: Sequence[float | str]
    effects: Floats
    shares: Floats
    """Weight of the rows that count for each place, for the centre; shape (places,)."""
    rows: Sequence[int]
    missing: tuple[Floats, int] | None = None
    spread: tuple[int, ...] = ()
    rarer: Sequence[str] = ()
    """Categories that are not told, the most frequent first."""


def dependence(judged: Judged, column: Input, classes: Sequence[str]) -> Dependence | None:
    """Return how the answer goes with a column.

    Examples
    --------
    >>> x = np.linspace(0, 1, 400, dtype=np.float32)[:, np.newaxis]
    >>> answer = lambda rows: 3.0 * rows[:, 0].astype(np.float64)
    >>> judged = Judged(x=x, truth=answer(x), weight=np.ones(400), clusters=None, scores=answer(x), loss=np.zeros(400),
    ...     answer=answer, row_loss=lambda t, s: (t - s) ** 2, task="regression", seed=1)
    >>> found = dependence(judged, Input(name="a", places=(0,), kind="number", values=x[:, 0].astype(float)), ())
    >>> round(found.points[-1].answers[0] - found.points[0].answers[0], 1), round(found.average[0], 2)
    (2.9, 1.5)
    """
    column = _named(column)
    answers = _answers(judged.scores, classes)
    found = (
        _categories(judged, column, classes) if column.kind == "category" else _along(judged, column, classes)
    )
    if found is None:
        return None
    average = _mean(answers, judged.weight)
    centred = found.effects - _mean(found.effects, found.shares) + average
    moved = [found.effects, *([found.missing[0][np.newaxis]] if found.missing else [])]
    told = _told(np.concatenate(moved), classes)
    shift = centred[0] - found.effects[0]
    return Dependence(
        column=column.name,
        kind=column.kind,
        curves=tuple(classes[i] for i in told) if len(classes) > 2 else (),
        average=_figures(average[told]),
        points=tuple(
            Point(at=at, answers=_figures(row[told]), rows=rows)
            for at, row, rows in zip(found.at, centred, found.rows, strict=True)
        ),
        spread=found.spread,
        missing=Point(at=MISSING, answers=_figures((found.missing[0] + shift)[told]), rows=found.missing[1])
        if found.missing
        else None,
        left_out=len(found.rarer),
        rarer=tuple(found.rarer[:MOST_NAMED]),
    )


def _named(column: Input) -> Input:
    """Return a number of two values as categories: there is nothing between them to go along."""
    distinct = np.unique(column.values[~np.isnan(column.values)])
    if column.kind == "category" or len(distinct) > 2:
        return column
    say = say_time if column.kind == "time" else say_year if are_years(column.name, distinct) else in_words
    return Input(
        name=column.name,
        places=column.places,
        kind="category",
        values=np.where(np.isnan(column.values), np.nan, np.searchsorted(distinct, column.values)),
        levels=tuple(say(value) for value in distinct.tolist()),
    )


def _told(effects: Floats, classes: Sequence[str]) -> list[int]:
    """Return the outputs that are told, those that move most, in their order."""
    outputs = effects.shape[1]
    if len(classes) <= 2:
        return [0]
    return sorted(np.argsort(-np.ptp(effects, axis=0), kind="stable")[: min(MOST_CURVES, outputs)].tolist())


def _figures(values: Floats) -> tuple[float, ...]:
    return tuple(figure(value, 6) for value in values.tolist())


def _answers(scores: Floats, classes: Sequence[str]) -> Floats:
    """Return what is told of scores, shape (n, outputs): of two classes only the positive one."""
    if scores.ndim == 1:
        return scores[:, np.newaxis]
    return scores[:, 1:] if len(classes) == 2 else scores


def _mean(values: Floats, weight: Floats) -> Floats:
    return weight @ values / weight.sum()


def _with(
    judged: Judged, column: Input, rows: NDArray[np.intp], donor: Any, classes: Sequence[str]
) -> Floats:
    """Return the answers to rows that have the column's value of another row, or each of another."""
    donors = np.broadcast_to(np.asarray(donor, dtype=np.intp), rows.shape)
    return _answers(judged.answer(swapped(judged.x, rows, column.places, donors)), classes)


def _along(judged: Judged, column: Input, classes: Sequence[str]) -> _Found | None:
    values = column.values
    known = np.flatnonzero(~np.isnan(values))
    if len(known) < FEWEST_ROWS:
        return None
    order = known[np.argsort(values[known], kind="stable")]
    donors = _ends(values, order)
    if len(donors) < 2:
        return None
    ends = values[donors]
    part = np.clip(np.searchsorted(ends, values[known], side="left"), 1, len(ends) - 1)
    lower = _with(judged, column, known, donors[part - 1], classes)
    upper = _with(judged, column, known, donors[part], classes)
    weight = judged.weight[known]
    mass = np.bincount(part, weights=weight, minlength=len(ends))
    steps = (
        np.stack(
            [np.bincount(part, weights=weight * d, minlength=len(ends)) for d in (upper - lower).T], axis=1
        )
        / np.maximum(mass, np.finfo(float).tiny)[:, np.newaxis]
    )
    effects = np.cumsum(steps, axis=0)
    # A row counts half for each end of its part.
    shares = mass / 2 + np.append(mass[1:], 0.0) / 2
    inside = np.clip(values[known], ends[0], ends[-1])
    return _Found(
        at=[figure(value) for value in ends.tolist()],
        effects=effects,
        shares=shares,
        rows=np.bincount(part, minlength=len(ends)).tolist(),
        missing=_missing(judged, column, order[len(order) // 2], classes, along=(ends, effects)),
        spread=tuple(np.histogram(inside, bins=PARTS, range=(ends[0], ends[-1]))[0].tolist()),
    )


def _ends(values: Floats, order: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the rows that have the values at which rows are split: all values where there are few, else quantiles."""
    distinct, first, counts = np.unique(values[order], return_index=True, return_counts=True)
    if len(distinct) <= PARTS:
        return order[first]
    ends = order[_quantiles(len(order))]
    if counts.max() > len(order) / PARTS:
        # A value that many rows have (0 of what few people own) would leave one part for all others: they get their own.
        common = first[counts.argmax()]
        others = order[values[order] != values[order[common]]]
        ends = np.concatenate([[order[common]], others[_quantiles(len(others))]])
    _, first = np.unique(values[ends], return_index=True)
    return ends[first]


def _quantiles(n: int) -> NDArray[np.intp]:
    return np.rint(np.linspace(_TAIL, 1 - _TAIL, PARTS + 1) * (n - 1)).astype(np.intp)


def _missing(
    judged: Judged, column: Input, median: np.intp, classes: Sequence[str], *, along: tuple[Floats, Floats]
) -> tuple[Floats, int] | None:
    """Return the effects of having no value, and on how many rows; `median` is the row whose value stands in."""
    rows = np.flatnonzero(np.isnan(column.values))
    if len(rows) < FEWEST_ROWS:
        return None
    ends, effects = along
    apart = _answers(judged.scores[rows], classes) - _with(judged, column, rows, median, classes)
    middle = [np.interp(column.values[median], ends, each) for each in effects.T]
    return np.array(middle) + _mean(apart, judged.weight[rows]), len(rows)


def _categories(judged: Judged, column: Input, classes: Sequence[str]) -> _Found | None:
    codes = np.where(np.isnan(column.values), len(column.levels), column.values).astype(np.intp)
    names = [*column.levels, MISSING]
    counts = np.bincount(codes, minlength=len(names))
    order = sorted(range(len(names)), key=lambda code: (-counts[code], names[code]))
    told = [code for code in order if counts[code] >= FEWEST_ROWS][:MOST_LEVELS]
    if len(told) < 2:
        return None
    members = [np.flatnonzero(codes == code) for code in told]
    donor = members[0][0]
    effects = np.stack([_apart(judged, column, rows, donor, classes) for rows in members])
    return _Found(
        at=[names[code] for code in told],
        effects=effects,
        shares=np.array([judged.weight[rows].sum() for rows in members]),
        rows=[len(rows) for rows in members],
        rarer=[names[code] for code in order if counts[code] > 0 and code not in told],
    )


def _apart(
    judged: Judged, column: Input, rows: NDArray[np.intp], donor: np.intp, classes: Sequence[str]
) -> Floats:
    """Return by how much rows are answered otherwise than with the value of the donor."""
    own = _answers(judged.scores[rows], classes)
    return _mean(own - _with(judged, column, rows, donor, classes), judged.weight[rows])
