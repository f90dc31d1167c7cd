"""Dependence plots as plain geometry, for a template to draw."""

import math
from collections.abc import Callable, Iterator, Sequence

from linewright.model.card.parts import PLOT_WIDTH, Mark, Plot, Statement, Text, Word, say
from linewright.model.facts import Dependence, Point, ReliabilityBin
from linewright.text.numbers import figure, in_words
from linewright.text.times import say_time
from linewright.text.years import are_years, say_year

_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 12, 150
_CELLS = 26
"""Height of the strip that says how many rows there are."""
_MISSING = 64
"""Width of the place for rows without a value."""
_ROW, _NAME = 24, 128
"""Height of a category's row, and width of its name."""
_VALUE = 96
"""Width of what is said at its end."""
_DOT = 14
"""Room beside a dot."""
_LONGEST = 16
_WHOLE = 0.7
"""A probability from which on the scale goes to 1."""
_ZOOM = 4
"""How many times smaller than that of the widest plot the scale of a plot may be."""


def plot_of(found: Dependence, span: tuple[float, float], *, widest: float, is_share: bool) -> Plot:
    """Draw by how much the answer differs from the average one as a column changes.

    Parameters
    ----------
    found
        What is drawn.
    span
        Smallest and largest difference in it, as `apart` gives them; 0 lies between them.
    widest
        Largest such span of all plots: a plot is not blown up beyond a quarter of it, so that nothing looks as if it mattered.
    is_share
        Whether answers are probabilities.
    """
    low, high = _scale(span, widest)
    draw = _categories if found.kind == "category" else _curves
    marks, words, height = draw(found, low, high, is_share=is_share)
    return Plot(
        title=found.column,
        says=_says(found, is_share=is_share),
        height=height,
        marks=marks,
        words=words,
        series=found.curves,
    )


def reliability_plot(bins: Sequence[ReliabilityBin], positive: str | None) -> Plot:
    """Draw the share that came true against the probability that was answered, and where the two are equal.

    Parameters
    ----------
    bins
        At least one.
    positive
        The class whose probability it is; `None`: that of the class that is answered.
    """
    high = 1.05 * max(max(one.answered, one.true) for one in bins)
    high = 1.0 if high > _WHOLE or not high else high
    right = PLOT_WIDTH - _RIGHT

    def x(answered: float) -> float:
        return round(_LEFT + (right - _LEFT) * answered / high, 1)

    def y(true: float) -> float:
        return round(_TOP + (_BOTTOM - _TOP) * (high - true) / high, 1)

    placed = [(x(one.answered), y(one.true)) for one in bins]
    said = [share * high for share in (0.08, 0.5, 0.92)]
    return Plot(
        title=say("decisions.came_true"),
        note=say("decisions.dashed", positive=positive),
        says=say("decisions.seen", first=bins[0], last=bins[-1]),
        height=_BOTTOM + 22,
        marks=(
            Mark(kind="rule", at=(_LEFT, _BOTTOM, x(high), y(high))),
            Mark(kind="curve", at=tuple(v for pair in placed for v in pair)),
            *(Mark(kind="dot", at=pair) for pair in placed),
        ),
        words=(
            *_answers(0.0, high, y, is_share=True),
            *(Word(text=said_answer(one, is_share=True), at=(x(one), _BOTTOM + 18)) for one in said),
        ),
    )


def said_answer(value: float, *, is_share: bool) -> str:
    """Return an answer as a plot says it: a probability in percent."""
    if not is_share:
        return in_words(value)
    return f"{value:.0%}" if abs(value) >= 0.1 or value == 0 else f"{value:.1%}"


def apart(point: Point, found: Dependence) -> tuple[float, ...]:
    """Return by how much a place's answers differ from the average ones, one a curve.

    Effects are added up over steps that different rows take, so that a difference is none that one row would see: beside the
    average it may lie beyond what an answer can be, and is never told as an answer.
    """
    return tuple(_less(answer, average) for answer, average in zip(point.answers, found.average, strict=True))


def _less(answer: float, average: float) -> float:
    """Return a difference with no more digits than the six of what is recorded leave of it."""
    largest = max(abs(answer), abs(average))
    return round(answer - average, 5 - math.floor(math.log10(largest))) + 0.0 if largest else 0.0


def said_apart(value: float, *, is_share: bool, has_unit: bool = False) -> str:
    """Return a difference from the average answer with its sign: of probabilities in percentage points.

    Examples
    --------
    >>> said_apart(-0.6, is_share=True, has_unit=True), said_apart(0.0123, is_share=True), said_apart(12.34, is_share=False)
    ('-60 points', '+1.2', '+12.3')
    """
    told = figure(100 * value if is_share else value, 6)
    digits = in_words(told) if not is_share else f"{told:.0f}" if abs(told) >= 10 else f"{told:.2g}"
    return f"{'+' if told > 0 else ''}{digits}{' points' if has_unit and is_share else ''}"


def said_place(at: float | str, found: Dependence) -> str:
    """Return a place of a plot: a category, a number, a year or a time."""
    if isinstance(at, str):
        return at
    if found.kind == "time":
        return say_time(at)[:10]
    places = [point.at for point in found.points if not isinstance(point.at, str)]
    return say_year(at) if are_years(found.column, places) else in_words(at)


def _says(found: Dependence, *, is_share: bool) -> Statement:
    first, last = (
        (said_apart(apart(point, found)[0], is_share=is_share, has_unit=True), said_place(point.at, found))
        for point in (found.points[0], found.points[-1])
    )
    curve = found.curves[0] if found.curves else ""
    return say("effects.ends", column=found.column, curve=curve, first=first, last=last)


def _scale(span: tuple[float, float], widest: float) -> tuple[float, float]:
    """Return the ends of the scale: the differences and a margin, not closer than a quarter of the widest plot's."""
    low, high = span
    width = max(high - low, widest / _ZOOM) or 1.0
    middle = (low + high) / 2
    return middle - 0.55 * width, middle + 0.55 * width


def _curves(
    found: Dependence, low: float, high: float, *, is_share: bool
) -> tuple[tuple[Mark, ...], tuple[Word, ...], int]:
    right = PLOT_WIDTH - _RIGHT - (_MISSING if found.missing else 0)
    places = [float(point.at) for point in found.points]
    first, last = places[0], places[-1]

    def x(place: float) -> float:
        return round(_LEFT + (right - _LEFT) * (place - first) / (last - first), 1)

    def y(difference: float) -> float:
        return round(_TOP + (_BOTTOM - _TOP) * (high - difference) / (high - low), 1)

    marks = [
        *_cells(found, _LEFT, right),
        Mark(kind="rule", at=(_LEFT, y(0.0), PLOT_WIDTH - _RIGHT, y(0.0))),
    ]
    for k in range(len(found.average)):
        drawn = [
            (x(place), y(apart(point, found)[k])) for place, point in zip(places, found.points, strict=True)
        ]
        marks.append(Mark(kind="curve", at=tuple(v for pair in drawn for v in pair), series=k))
        if len(drawn) <= 8:
            marks += [Mark(kind="dot", at=pair, series=k) for pair in drawn]
    words = [*_differences(low, high, y, is_share=is_share), *_values(found, first, last, right)]
    if found.missing:
        middle = right + _MISSING / 2 + 6
        marks += [
            Mark(kind="dot", at=(middle, y(one)), series=k)
            for k, one in enumerate(apart(found.missing, found))
        ]
        words.append(Word(text=say("effects.no_value"), at=(middle, _BOTTOM + _CELLS + 22)))
    return tuple(marks), tuple(words), _BOTTOM + _CELLS + 28


def _cells(found: Dependence, left: float, right: float) -> Iterator[Mark]:
    most, width = max(found.spread, default=0), (right - left) / max(len(found.spread), 1)
    for place, rows in enumerate(found.spread):
        if rows:
            height = max(1.0, round(_CELLS * rows / most, 1))
            yield Mark(
                kind="cell",
                at=(
                    round(left + place * width + 0.5, 1),
                    _BOTTOM + 6 + _CELLS - height,
                    round(width - 1, 1),
                    height,
                ),
            )


def _answers(low: float, high: float, y: Callable[[float], float], *, is_share: bool) -> Iterator[Word]:
    for share in (0.08, 0.5, 0.92):
        answer = low + share * (high - low)
        yield Word(text=said_answer(answer, is_share=is_share), at=(_LEFT - 8, y(answer) + 4), anchor="end")


def _differences(low: float, high: float, y: Callable[[float], float], *, is_share: bool) -> Iterator[Word]:
    for share in (0.08, 0.5, 0.92):
        at = low + share * (high - low)
        # A mark that would touch that of 0 leaves it the place.
        if abs(at) > 0.1 * (high - low):
            yield Word(text=said_apart(at, is_share=is_share), at=(_LEFT - 8, y(at) + 4), anchor="end")
    yield Word(text="0", at=(_LEFT - 8, y(0.0) + 4), anchor="end")


def _values(found: Dependence, first: float, last: float, right: float) -> Iterator[Word]:
    base = _BOTTOM + _CELLS + 22
    yield Word(text=said_place(first, found), at=(_LEFT, base), anchor="start")
    is_whole = found.kind == "number" and first.is_integer() and last.is_integer()
    middle = round((first + last) / 2) if is_whole and last - first > 2 else (first + last) / 2
    at = _LEFT + (right - _LEFT) * (middle - first) / (last - first)
    yield Word(text=said_place(middle, found), at=(round(at, 1), base))
    yield Word(text=said_place(last, found), at=(right, base), anchor="end")


def _categories(
    found: Dependence, low: float, high: float, *, is_share: bool
) -> tuple[tuple[Mark, ...], tuple[Word, ...], int]:
    right = PLOT_WIDTH - _VALUE - _DOT
    height = _TOP + _ROW * len(found.points)

    def x(difference: float) -> float:
        return round(_NAME + (right - _NAME) * (difference - low) / (high - low), 1)

    marks = [Mark(kind="rule", at=(x(0.0), _TOP - 4, x(0.0), height))]
    words: list[Word] = []
    for place, point in enumerate(found.points):
        middle = _TOP + _ROW * place + _ROW / 2
        for k, difference in enumerate(apart(point, found)):
            if len(found.average) == 1:
                marks.append(Mark(kind="stem", at=(x(0.0), middle, x(difference), middle), series=k))
            marks.append(Mark(kind="dot", at=(x(difference), middle), series=k))
        words += _row_words(point, found, middle, is_share=is_share)
    return tuple(marks), tuple(words), height + 4


def _row_words(point: Point, found: Dependence, middle: float, *, is_share: bool) -> Iterator[Word]:
    name = str(point.at)
    short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
    yield Word(text=short, at=(_NAME - 10, middle + 4), anchor="end", whole=name)
    differences = apart(point, found)
    told: Text = say("effects.rows", rows=point.rows)
    if len(differences) == 1:
        difference = said_apart(differences[0], is_share=is_share)
        told = say("effects.apart_rows", apart=difference, rows=point.rows)
    yield Word(text=told, at=(PLOT_WIDTH - 2, middle + 4), anchor="end")
