"""Charts of how the answer goes with a column, and of how reliable probabilities are."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from linewright.charts import (
    Axis,
    Bar,
    BarChart,
    Calibrated,
    DotChart,
    Line,
    LineChart,
    Reference,
    Reliability,
)
from linewright.charts import Point as DrawnPoint
from linewright.model.card.parts import Plot, Statement, say
from linewright.model.facts import Dependence, Point, ReliabilityBin
from linewright.text.numbers import figure, in_words
from linewright.text.times import say_time
from linewright.text.years import are_years, say_year

_ZOOM = 4
"""How many times smaller than that of the widest plot the scale of a plot may be."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS = (datetime.min.replace(tzinfo=UTC) - _EPOCH, datetime.max.replace(tzinfo=UTC) - _EPOCH)
_UNTITLED = "a plot"
"""Until its words are known: `Plot.says`."""


def plot_of(found: Dependence, span: tuple[float, float], *, widest: float, is_share: bool) -> Plot:
    """Draw by how much the answer differs from the average one as a column changes."""
    unit = 100 if is_share else 1
    middle, half = sum(span) / 2, max(span[1] - span[0], widest / _ZOOM) / 2
    holds = (unit * (middle - half), unit * (middle + half))
    axis = Axis(label="points" if is_share else "", holds=holds, is_signed=True)
    draw = _levels if found.kind == "category" else _curves
    return Plot(title=found.column, says=_says(found, is_share=is_share), chart=draw(found, axis, unit))


def _levels(found: Dependence, axis: Axis, unit: int) -> BarChart | DotChart:
    bars = tuple(
        Bar(name=str(point.at), value=unit * value, rows=point.rows, series=series)
        for point in found.points
        for series, value in zip(found.curves or ("",), apart(point, found), strict=True)
    )
    kind = DotChart if found.curves else BarChart
    return kind(title=_UNTITLED, axis=axis, bars=bars)


def _curves(found: Dependence, axis: Axis, unit: int) -> LineChart:
    numbers, heights = (
        [float(point.at) for point in found.points],
        [apart(point, found) for point in found.points],
    )
    spans = [timedelta(microseconds=number) for number in numbers] if _is_time(found, numbers) else []
    places = [_EPOCH + span for span in spans] or numbers
    missing = apart(found.missing, found) if found.missing else ()
    return LineChart(
        title=_UNTITLED,
        x=Axis(label="", is_year=are_years(found.column, numbers)),
        y=axis,
        lines=tuple(
            Line(
                name=name,
                points=tuple(
                    DrawnPoint(at=at, value=unit * one[k]) for at, one in zip(places, heights, strict=True)
                ),
            )
            for k, name in enumerate(found.curves or ("answer",))
        ),
        references=(
            Reference(name="average", value=0),
            *(
                Reference(name=" ".join((*found.curves[k : k + 1], "no value")), value=unit * value)
                for k, value in enumerate(missing)
            ),
        ),
        rows=found.spread,
    )


def _is_time(found: Dependence, numbers: Sequence[float]) -> bool:
    """Return whether places are instants that a calendar has."""
    first, last = (span.total_seconds() * 1e6 for span in _YEARS)
    return found.kind == "time" and first < numbers[0] and numbers[-1] < last


def reliability_plot(bins: Sequence[ReliabilityBin], positive: str | None) -> Plot:
    """Draw the share that came true against the predicted probability, and the line on which both are equal."""
    return Plot(
        title=say("decisions.came_true"),
        note=say("decisions.dashed", positive=positive),
        says=say("decisions.seen", first=bins[0], last=bins[-1]),
        chart=Reliability(
            title=_UNTITLED,
            bins=tuple(Calibrated(predicted=one.answered, observed=one.true, rows=one.rows) for one in bins),
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
    return say("plots.ends", column=found.column, curve=curve, first=first, last=last)
