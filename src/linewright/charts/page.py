"""A chart as a part of an HTML page: its finding, the picture, and the table behind it."""

from html import escape

from linewright.charts.data import to_table
from linewright.charts.kinds import Chart, Sparkline
from linewright.charts.sheet import printable
from linewright.charts.svg import to_svg

_MOST = 200
"""Rows of a table in a page; all are in the CSV."""
_NARROW = 340
"""Of the picture for phones, in pixels."""
_LARGE = 20_000
"""A picture of so many bytes is there once: a page has 100 KB."""


def to_html(chart: Chart, *, width: int = 640, is_standalone: bool = False, summary: str = "Table") -> str:
    """Return a `<figure>` with the title, the picture and its table, which is folded; no style, no script, no id.

    The picture is there twice: the page's style shows `.chart-wide`, or `.chart-narrow` on phones.

    Examples
    --------
    >>> from linewright.charts import Axis, Bar, BarChart
    >>> page = to_html(BarChart(title="a < b", axis=Axis(label="gain"), bars=(Bar(name="b", value=0.4),), names="column"))
    >>> page[:55]
    '<figure class="chart"><figcaption>a &lt; b</figcaption>'
    >>> "<td>b</td><td>0.4</td>" in page
    True
    """
    table = to_table(chart)
    caption = "" if is_standalone else f"<figcaption>{_text(chart.title)}</figcaption>"
    head = "".join(f'<th scope="col">{_text(heading)}</th>' for heading in table.headings)
    rows = "".join(
        f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>\n" for row in table.rows[:_MOST]
    )
    more = len(table.rows) - _MOST
    rest = (
        f'<tr><td colspan="{len(table.headings)}">and {more:,} more in the CSV file</td></tr>\n'
        if more > 0
        else ""
    )
    data = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}{rest}</tbody>\n</table>"
    drawn = to_svg(chart, width=width, is_standalone=is_standalone)
    is_small = len(drawn) < _LARGE and not isinstance(chart, Sparkline)
    if is_small and not is_standalone and width > _NARROW:
        # Shrunk to a phone, letters of the wide picture could not be read; the page's style shows one of the two.
        narrow = to_svg(chart, width=_NARROW)
        drawn = f'<div class="chart-wide">{drawn}</div><div class="chart-narrow">{narrow}</div>'
    return (
        f'<figure class="chart">{caption}\n{drawn}'
        f"<details><summary>{_text(summary)}</summary>\n{data}\n</details>\n</figure>\n"
    )


def _text(text: str) -> str:
    return escape(printable(text))
