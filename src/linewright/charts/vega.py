"""Charts as Vega-Lite specs, with their data inside: what an analyst takes along and goes on with."""

from collections.abc import Sequence
from datetime import date
from typing import Any, assert_never

from linewright.charts.data import Data, data_of, plain
from linewright.charts.describe import description
from linewright.charts.kinds import (
    At,
    Axis,
    BarChart,
    Chart,
    Confusion,
    DotChart,
    Histogram,
    LineChart,
    Reference,
    Reliability,
    Ribbon,
    ShareChart,
    Sparkline,
    Waterfall,
)
from linewright.charts.palette import COLOURS, SERIES

Spec = dict[str, Any]
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
_SHARE = Axis(label="share of rows", unit="%")
_DASHED = {"type": "rule", "strokeDash": [4, 3], "color": COLOURS["ink"][0]}


def to_spec(chart: Chart, *, width: int = 640) -> Spec:
    """Return a chart as a Vega-Lite 5 spec with its data inside; nothing is loaded from elsewhere.

    Parameters
    ----------
    chart
        What is shown.
    width
        Of the plot, in pixels.

    Examples
    --------
    >>> from linewright.charts import Axis, Bar, BarChart
    >>> spec = to_spec(BarChart(title="age matters", axis=Axis(label="gain"), bars=(Bar(name="age", value=0.4),)))
    >>> spec["title"]["text"], spec["data"]["values"]
    ('age matters', [{'name': 'age', 'value': 0.4}])
    """
    data = data_of(chart)
    fields = [column.field for column in data.columns]
    return {
        "$schema": SCHEMA,
        "title": {"text": chart.title, "anchor": "start"},
        "description": description(chart),
        "width": width,
        "data": {
            "values": [
                {field: plain(value) for field, value in zip(fields, row, strict=True)} for row in data.rows
            ]
        },
        **_drawn(chart, data),
        "config": {"range": {"category": [COLOURS[name][0] for name in SERIES]}},
    }


def _drawn(chart: Chart, data: Data) -> Spec:
    match chart:
        case LineChart():
            return _lines(chart, data)
        case BarChart() | DotChart():
            return _rows(chart, data)
        case Waterfall():
            y = _names(chart.names)
            return {
                "mark": "bar",
                "encoding": {"y": y, "x": _number("start", chart.axis), "x2": {"field": "end"}},
            }
        case Histogram():
            x = {**_number("start", chart.x), "bin": {"binned": True}}
            y = {**_number("value", _SHARE), "stack": None}
            encoding = {"x": x, "x2": {"field": "end"}, "y": y, "color": _series("sample")}
            return {"mark": {"type": "bar", "opacity": 0.5}, "encoding": encoding}
        case ShareChart():
            offset = {"yOffset": {"field": "series", "sort": None}, "color": _series("sample")}
            return {
                "mark": "bar",
                "encoding": {"y": _names(chart.names), "x": _number("value", _SHARE), **offset},
            }
        case Reliability():
            return _reliability(data)
        case Confusion():
            return _confusion(data)
        case Sparkline():
            y = {"field": "value", "type": "quantitative", "axis": None, "scale": {"zero": False}}
            encoding = {"x": {"field": "at", "type": "quantitative", "axis": None}, "y": y}
            return {"height": 60, "mark": "line", "encoding": encoding}
        case Ribbon():
            return _ribbon(chart, data)
        case _:
            assert_never(chart)


def _lines(chart: LineChart, data: Data) -> Spec:
    encoding = {
        "x": _along(chart.x, [point.at for line in chart.lines for point in line.points]),
        "y": _number("value", chart.y, has_zero=False),
        "color": _series("line"),
    }
    band = [
        {
            "mark": {"type": "area", "opacity": 0.2},
            "encoding": {"y": _number("low", chart.y, has_zero=False), "y2": {"field": "high"}},
        }
    ]
    lines = {"mark": {"type": "line", "point": True}}
    return {
        "encoding": {"x": encoding["x"]},
        "layer": [
            *(
                {**one, "encoding": {**one["encoding"], "color": encoding["color"]}}
                for one in band
                if _has(data, "low")
            ),
            {**lines, "encoding": {"y": encoding["y"], "color": encoding["color"]}},
            *_references(chart.references, "y"),
        ],
    }


def _rows(chart: BarChart | DotChart, data: Data) -> Spec:
    is_bar = isinstance(chart, BarChart)
    x = _number("value", chart.axis, has_zero=is_bar)
    y: Spec = {"y": _names(chart.names)}
    if _has(data, "series"):
        y |= {"yOffset": {"field": "series", "sort": None}, "color": _series("series")}
    span = {"mark": "rule", "encoding": {**y, "x": {**x, "field": "low"}, "x2": {"field": "high"}}}
    mark = "bar" if is_bar else {"type": "point", "filled": True, "size": 70}
    return {
        "layer": [
            {"mark": mark, "encoding": {**y, "x": x}},
            *([span] if _has(data, "low") else []),
            *_references(chart.references, "x"),
        ]
    }


def _reliability(data: Data) -> Spec:
    x, y = (
        _number("predicted", Axis(label="predicted probability", unit="%")),
        _number("observed", Axis(label="observed", unit="%")),
    )
    ends = [{"predicted": 0, "observed": 0}, {"predicted": 1, "observed": 1}]
    dots = {"type": "point", "filled": True}
    size = {"field": "rows", "type": "quantitative"}
    span = {"mark": "rule", "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}}}
    return {
        "layer": [
            {
                "data": {"values": ends},
                "mark": {"type": "line", "strokeDash": [4, 3]},
                "encoding": {"x": x, "y": y},
            },
            *([span] if _has(data, "low") else []),
            {"mark": dots, "encoding": {"x": x, "y": y, "size": size}},
        ]
    }


def _confusion(data: Data) -> Spec:
    rows = {"field": "rows", "type": "quantitative"}
    encoding: Spec = {
        "x": {
            "field": "predicted",
            "type": "nominal",
            "sort": None,
            "axis": {"orient": "top", "labelAngle": 0},
        },
        "y": {"field": "actual", "type": "nominal", "sort": None},
    }
    money = {"mark": {"type": "text", "dy": 16}, "encoding": {"text": {"field": "money", "format": "+,.0f"}}}
    return {
        "encoding": encoding,
        "layer": [
            {"mark": "rect", "encoding": {"color": {**rows, "scale": {"scheme": "teals"}}}},
            {"mark": "text", "encoding": {"text": {**rows, "format": ","}}},
            *([money] if _has(data, "money") else []),
        ],
    }


def _ribbon(chart: Ribbon, data: Data) -> Spec:
    many = len(chart.levels)
    areas = [
        {
            "mark": {"type": "area", "opacity": 0.2},
            "encoding": {
                "y": _number(f"q{low}", chart.y, has_zero=False),
                "y2": {"field": f"q{many - 1 - low}"},
            },
        }
        for low in range(many // 2)
    ]
    middle = [{"mark": "line", "encoding": {"y": _number(f"q{many // 2}", chart.y, has_zero=False)}}]
    dots = {"type": "point", "filled": True, "color": COLOURS["two"][0]}
    observed = [{"mark": dots, "encoding": {"y": _number("observed", chart.y, has_zero=False)}}]
    return {
        "encoding": {"x": _along(chart.x, [point.at for point in chart.points])},
        "layer": [*areas, *(middle if many % 2 else []), *(observed if _has(data, "observed") else [])],
    }


def _number(field: str, axis: Axis, *, has_zero: bool = True) -> Spec:
    found: Spec = {"field": field, "type": "quantitative", "title": str(axis), "scale": {"zero": has_zero}}
    return {**found, "axis": {"format": "~%"}} if axis.unit == "%" else found


def _along(axis: Axis, places: Sequence[At]) -> Spec:
    if not any(isinstance(at, date) for at in places):
        return _number("at", axis, has_zero=False)
    return {"field": "at", "type": "temporal", "title": axis.label, "scale": {"type": "utc"}}


def _names(heading: str) -> Spec:
    return {"field": "name", "type": "nominal", "sort": None, "title": heading}


def _series(heading: str) -> Spec:
    return {"field": "series", "type": "nominal", "sort": None, "title": heading}


def _references(references: Sequence[Reference], channel: str) -> list[Spec]:
    return [
        {"mark": _DASHED, "encoding": {channel: {"datum": one.value}, "tooltip": {"value": one.name}}}
        for one in references
    ]


def _has(data: Data, field: str) -> bool:
    return any(column.field == field for column in data.columns)
