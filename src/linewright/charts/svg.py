"""Charts as SVG: for pages under a strict content policy, and as files that stand alone."""

from collections.abc import Callable
from typing import Any

from linewright.charts.data import to_table
from linewright.charts.frame import Canvas
from linewright.charts.kinds import (
    BarChart,
    Chart,
    Confusion,
    DotChart,
    Histogram,
    LineChart,
    Reliability,
    Ribbon,
    ShareChart,
    Sparkline,
    Waterfall,
)
from linewright.charts.palette import paint
from linewright.charts.plots import draw_histogram, draw_lines, draw_reliability, draw_ribbon
from linewright.charts.rows import draw_bars, draw_confusion, draw_dots, draw_shares, draw_waterfall
from linewright.charts.scales import Place, at_text, value_text
from linewright.charts.sheet import Sheet
from linewright.errors import RequestError

_MOST = 6
_KINDS = {
    "LineChart": "Lines",
    "BarChart": "Bars",
    "DotChart": "Dots",
    "Waterfall": "Steps to a total",
    "Histogram": "Shares of rows in bins",
    "ShareChart": "Shares of rows in categories",
    "Reliability": "Observed shares by predicted probability",
    "Confusion": "Actual against predicted classes",
    "Sparkline": "A small line",
    "Ribbon": "Predicted quantiles",
}


def description(chart: Chart) -> str:
    """Return a short text: the kind of the chart, and first and last values, or the first rows of its table."""
    table = to_table(chart)
    kind = _KINDS[type(chart).__name__]
    if not table.rows:
        return f"{kind}; nothing to show yet."
    if isinstance(chart, LineChart):
        return f"{kind} of {chart.y} by {chart.x}. {' '.join(_ends(chart))}"
    is_along = isinstance(chart, Sparkline | Ribbon)
    few = [table.rows[0], *table.rows[1:][-1:]] if is_along else table.rows[:_MOST]
    details = ". ".join(
        ", ".join(f"{heading} {cell}" for heading, cell in zip(table.headings, row, strict=True) if cell)
        for row in few
    )
    more = len(table.rows) - len(few)
    return f"{kind}. {details}{f'; {more:,} more in the table' if more > 0 else ''}."


def _ends(chart: LineChart) -> list[str]:
    found: list[str] = []
    for line in chart.lines:
        there = [point for point in line.points if point.value is not None]
        if not there:
            found.append(f"{line.name}: no value.")
            continue
        first, last = (
            f"{value_text(one.value, chart.y)} at {at_text(one.at)}" for one in (there[0], there[-1])
        )
        found.append(f"{line.name}: {first}." if len(there) == 1 else f"{line.name}: {first}, {last}.")
    found += [f"{one.name}: {value_text(one.value, chart.y)}." for one in chart.references]
    return [*found, *(f"{one.name} at {at_text(one.at)}." for one in chart.marks)]


_WIDTHS = (240, 2000)


_DRAW: dict[type, Callable[[Canvas, Any], str]] = {
    LineChart: draw_lines,
    BarChart: draw_bars,
    DotChart: draw_dots,
    Waterfall: draw_waterfall,
    Histogram: draw_histogram,
    ShareChart: draw_shares,
    Reliability: draw_reliability,
    Confusion: draw_confusion,
    Ribbon: draw_ribbon,
}


def to_svg(chart: Chart, *, width: int = 640, is_standalone: bool = False) -> str:
    """Draw a chart.

    Examples
    --------
    >>> from linewright.charts import Axis, Bar, BarChart
    >>> chart = BarChart(title="age matters most", axis=Axis(label="gain"), bars=(Bar(name="<age>", value=0.4),), names="column")
    >>> drawn = to_svg(chart, width=320)
    >>> drawn.startswith("<svg "), "&lt;age&gt;" in drawn, "style" in drawn
    (True, True, False)
    """
    if not _WIDTHS[0] <= width <= _WIDTHS[1]:
        raise RequestError(
            "a chart has a wrong width", found=width, allowed=f"{_WIDTHS[0]} to {_WIDTHS[1]} pixels"
        )
    if isinstance(chart, Sparkline):
        return _sparkline(chart)
    canvas = Canvas(chart, width, description(chart), is_standalone=is_standalone)
    return _DRAW[type(chart)](canvas, chart)


def _sparkline(chart: Sparkline) -> str:
    sheet = Sheet(
        120, 24, title=chart.title, says=description(chart), paint=paint, root={"class": "linewright-chart"}
    )
    there = [value for value in (*chart.values, chart.reference) if value is not None]
    up = Place(min(there, default=0.0), max(there, default=0.0), 21, 3)
    along = Place(0, max(len(chart.values) - 1, 1), 3, 117)
    if chart.reference is not None:
        sheet.path("ink line dashed", "M", 3, up.at(chart.reference), "H", 117)
    parts: list[str | float] = []
    for number, value in enumerate(chart.values):
        if value is not None:
            is_joined = number and chart.values[number - 1] is not None
            parts += ["L" if is_joined else "M", along.at(number), up.at(value)]
    if parts:
        sheet.path("one line", *parts, stroke_width=1.5, stroke_linejoin="round", stroke_linecap="round")
    if chart.values and chart.values[-1] is not None:
        sheet.put("circle", "one", cx=along.at(len(chart.values) - 1), cy=up.at(chart.values[-1]), r=2.5)
    return sheet.to_svg()
