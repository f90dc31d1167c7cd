"""What a chart shows, in sentences, for those who cannot see it."""

from linewright.charts.data import to_table
from linewright.charts.kinds import Chart, LineChart, Ribbon, Sparkline
from linewright.charts.scales import at_text, value_text

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
