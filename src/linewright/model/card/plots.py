"""Plots as shares of their width and height, for a template to draw."""

import math
from collections.abc import Iterator, Sequence

from linewright.model.card.parts import Level, LevelPlot, Plot, Statement, Text, say
from linewright.model.facts import Dependence, Point, ReliabilityBin
from linewright.text.numbers import figure, in_words
from linewright.text.times import say_time
from linewright.text.years import are_years, say_year

_TICKS = (0.08, 0.5, 0.92)
_MOST_DOTS = 8
"""Points of a curve that have dots."""
_WHOLE = 0.7
"""A probability from which on the scale goes to 1."""
_ZOOM = 4
"""How many times smaller than that of the widest plot the scale of a plot may be."""


def plot_of(
    found: Dependence, span: tuple[float, float], *, widest: float, is_share: bool
) -> Plot | LevelPlot:
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
    width = max(span[1] - span[0], widest / _ZOOM) or 1.0
    low, width = sum(span) / 2 - 0.55 * width, 1.1 * width

    def up(point: Point) -> tuple[float, ...]:
        return tuple((difference - low) / width for difference in apart(point, found))

    zero, says, curves = -low / width, _says(found, is_share=is_share), found.curves
    if found.kind == "category":
        levels = tuple(
            Level(name=str(point.at), note=_rows(point, found, is_share=is_share), at=up(point))
            for point in found.points
        )
        return LevelPlot(title=found.column, says=says, zero=zero, levels=levels, series=curves)
    # A mark that would touch that of 0 leaves it the place.
    ticks = ((share, low + share * width) for share in _TICKS)
    left = [(at, said_apart(one, is_share=is_share)) for at, one in ticks if abs(one) > 0.1 * width]
    places = _along([float(point.at) for point in found.points])
    heights = [up(point) for point in found.points]
    most = max(found.spread, default=0)
    return Plot(
        title=found.column,
        says=says,
        curves=tuple(
            tuple((x, one[k]) for x, one in zip(places, heights, strict=True))
            for k in range(len(found.average))
        ),
        has_dots=len(places) <= _MOST_DOTS,
        zero=zero,
        left=(*left, (zero, "0")),
        bottom=tuple(_values(found)),
        spread=tuple(rows / most for rows in found.spread),
        missing=up(found.missing) if found.missing else (),
        series=curves,
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
    ticks = tuple((share, said_answer(share * high, is_share=True)) for share in _TICKS)
    return Plot(
        title=say("decisions.came_true"),
        note=say("decisions.dashed", positive=positive),
        says=say("decisions.seen", first=bins[0], last=bins[-1]),
        curves=(tuple((one.answered / high, one.true / high) for one in bins),),
        has_dots=True,
        left=ticks,
        bottom=ticks,
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
    return say("plots.ends", column=found.column, curve=curve, first=first, last=last)


def _along(places: Sequence[float]) -> list[float]:
    first, last = places[0], places[-1]
    return [(place - first) / (last - first) for place in places]


def _values(found: Dependence) -> Iterator[tuple[float, str]]:
    first, last = float(found.points[0].at), float(found.points[-1].at)
    is_whole = found.kind == "number" and first.is_integer() and last.is_integer()
    middle = round((first + last) / 2) if is_whole and last - first > 2 else (first + last) / 2
    places = (first, middle, last)
    return zip(_along(places), (said_place(place, found) for place in places), strict=True)


def _rows(point: Point, found: Dependence, *, is_share: bool) -> Text:
    differences = apart(point, found)
    if len(differences) == 1:
        difference = said_apart(differences[0], is_share=is_share)
        return say("plots.apart_rows", apart=difference, rows=point.rows)
    return say("plots.rows", rows=point.rows)
