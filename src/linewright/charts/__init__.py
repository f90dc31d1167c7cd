"""Charts: values that say what is shown, and functions that draw or list them.

`to_svg` draws, `to_html` adds title and table, `to_table` lists, `to_csv` is for those who go on with the data.
"""

from linewright.charts.data import Table, rows_to_csv, to_csv, to_table
from linewright.charts.kinds import (
    Axis,
    Bar,
    BarChart,
    Calibrated,
    Chart,
    Confusion,
    DotChart,
    Histogram,
    Line,
    LineChart,
    Mark,
    Point,
    Quantiles,
    Reference,
    Reliability,
    Ribbon,
    Sample,
    ShareChart,
    Sparkline,
    Waterfall,
)
from linewright.charts.page import to_html
from linewright.charts.svg import to_svg

__all__ = [
    "Axis",
    "Bar",
    "BarChart",
    "Calibrated",
    "Chart",
    "Confusion",
    "DotChart",
    "Histogram",
    "Line",
    "LineChart",
    "Mark",
    "Point",
    "Quantiles",
    "Reference",
    "Reliability",
    "Ribbon",
    "Sample",
    "ShareChart",
    "Sparkline",
    "Table",
    "Waterfall",
    "rows_to_csv",
    "to_csv",
    "to_html",
    "to_svg",
    "to_table",
]
