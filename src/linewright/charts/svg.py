"""Charts as SVG: for pages under a strict content policy, and as files that stand alone."""

from collections.abc import Callable
from typing import Any

from linewright.charts.describe import description
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
from linewright.charts.scales import Place
from linewright.charts.sheet import Sheet
from linewright.errors import RequestError

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
