"""The data behind a chart: one row for each mark, as a table for people and as CSV."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import NamedTuple, assert_never

from linewright.charts.kinds import (
    Axis,
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
from linewright.charts.scales import at_text, value_text

Value = str | float | date | None
_PLAIN = Axis(label="")
_SHARE = Axis(label="share", unit="%")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 -- spreadsheets read the wide ones too


class Column(NamedTuple):
    """A column of the data: its field, its heading, and the axis of its numbers."""

    field: str
    heading: str
    axis: Axis = _PLAIN


class Data(NamedTuple):
    """What a chart shows: columns, and rows of raw values."""

    columns: tuple[Column, ...]
    rows: list[tuple[Value, ...]]


class Table(NamedTuple):
    """Text for an HTML table; not escaped."""

    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]


def to_table(chart: Chart) -> Table:
    """Return the data of a chart as a person reads it: numbers in about three digits, times in UTC.

    Examples
    --------
    >>> from linewright.charts import Axis, Bar, BarChart
    >>> bars = (Bar(name="age", value=0.4123, low=0.3, high=0.5), Bar(name="sex", value=None))
    >>> to_table(BarChart(title="age matters", axis=Axis(label="gain"), bars=bars, names="column"))
    Table(headings=('column', 'gain', 'interval, low', 'interval, high'), rows=[('age', '0.412', '0.3', '0.5'), ('sex', 'no value', '', '')])
    """
    data = _data_of(chart)
    return Table(
        tuple(column.heading for column in data.columns),
        [
            tuple(_cell(value, column) for value, column in zip(row, data.columns, strict=True))
            for row in data.rows
        ],
    )


def to_csv(chart: Chart) -> str:
    """Return the data of a chart with all digits (RFC 4180); a text that a spreadsheet would run has `'` before it.

    Examples
    --------
    >>> from linewright.charts import Axis, Bar, BarChart
    >>> chart = BarChart(title="t", axis=Axis(label="gain"), bars=(Bar(name="=1+1", value=-0.125),))
    >>> to_csv(chart).splitlines()
    ['name,gain', "'=1+1,-0.125"]
    """
    data = _data_of(chart)
    return rows_to_csv([column.heading for column in data.columns], data.rows)


def rows_to_csv(headings: Iterable[str], rows: Iterable[Iterable[Value]]) -> str:
    """Return rows as CSV, as `to_csv` does.

    Examples
    --------
    >>> rows_to_csv(["key", "n"], [("=1+1", 2), (None, -3)]).splitlines()
    ['key,n', "'=1+1,2", ',-3']
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_harmless(heading) for heading in headings])
    for row in rows:
        writer.writerow([_harmless(value) if isinstance(value, str) else _plain(value) for value in row])
    return out.getvalue()


def _plain(value: Value) -> str | float | None:
    """Return a value as CSV holds it: times as ISO 8601 in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value


def _harmless(text: str) -> str:
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _cell(value: Value, column: Column) -> str:
    if value is None:
        return "no value" if column.field == "value" else ""
    if isinstance(value, str):
        return value
    return at_text(value) if isinstance(value, date) else value_text(value, column.axis)


def _data_of(chart: Chart) -> Data:
    """Return the data of a chart; columns of intervals and rows are there if some mark has them."""
    match chart:
        case LineChart():
            columns = (
                Column("at", chart.x.label, chart.x),
                Column("series", "line"),
                Column("value", str(chart.y), chart.y),
            )
            rows = [(p.at, line.name, p.value, p.low, p.high) for line in chart.lines for p in line.points]
            return _trimmed((*columns, *_ends(chart.interval, chart.y)), rows)
        case BarChart() | DotChart():
            columns = (
                Column("name", chart.names),
                Column("series", "series"),
                Column("value", str(chart.axis), chart.axis),
            )
            rows = [
                (bar.name, bar.series or None, bar.value, bar.low, bar.high, bar.rows) for bar in chart.bars
            ]
            return _trimmed((*columns, *_ends(chart.interval, chart.axis), Column("rows", "rows")), rows)
        case Waterfall():
            return _waterfall(chart)
        case Histogram() | ShareChart():
            return _shares(chart)
        case Reliability():
            columns = (
                Column("predicted", "predicted", _SHARE),
                Column("observed", "observed", _SHARE),
                Column("rows", "rows"),
            )
            rows = [(one.predicted, one.observed, one.rows, one.low, one.high) for one in chart.bins]
            return _trimmed((*columns, *_ends(chart.interval, _SHARE)), rows)
        case Confusion():
            return _trimmed(
                (
                    Column("actual", "actual"),
                    Column("predicted", "predicted"),
                    Column("rows", "rows"),
                    Column("money", f"worth {chart.currency}".strip()),
                ),
                list(_cells(chart)),
            )
        case Sparkline():
            return Data(
                (Column("at", "place"), Column("value", "value")),
                [(n, v) for n, v in enumerate(chart.values, 1)],
            )
        case Ribbon():
            levels = [
                Column(f"q{number}", f"quantile {level:g}", chart.y)
                for number, level in enumerate(chart.levels)
            ]
            rows = [(point.at, *point.values, point.observed) for point in chart.points]
            return _trimmed(
                (Column("at", chart.x.label, chart.x), *levels, Column("observed", "observed", chart.y)), rows
            )
        case _:
            assert_never(chart)


def _ends(interval: str, axis: Axis) -> tuple[Column, Column]:
    return Column("low", f"{interval}, low", axis), Column("high", f"{interval}, high", axis)


def _trimmed(columns: tuple[Column, ...], rows: "list[tuple[Value, ...]]") -> Data:
    """Leave out the optional columns that no row fills."""
    optional = {"series", "low", "high", "rows", "money", "observed"}
    kept = [
        number
        for number, column in enumerate(columns)
        if column.field not in optional or any(row[number] is not None for row in rows)
    ]
    return Data(
        tuple(columns[number] for number in kept), [tuple(row[number] for number in kept) for row in rows]
    )


def _waterfall(chart: Waterfall) -> Data:
    columns = (
        Column("name", chart.names),
        Column("value", str(chart.axis), chart.axis),
        Column("start", "from", chart.axis),
        Column("end", "to", chart.axis),
    )
    sums = chart.sums()
    rows: list[tuple[Value, ...]] = [
        (step.name, step.value, sums[number], sums[number + 1]) for number, step in enumerate(chart.steps)
    ]
    return Data(columns, [*rows, (chart.total, sums[-1], 0.0, sums[-1])])


def _shares(chart: Histogram | ShareChart) -> Data:
    if isinstance(chart, Histogram):
        places = tuple(zip(chart.edges, chart.edges[1:], strict=False))
        first = (Column("start", f"{chart.x.label} from", chart.x), Column("end", "to", chart.x))
    else:
        places, first = tuple((name,) for name in chart.categories), (Column("name", chart.names),)
    rows: list[tuple[Value, ...]] = [
        (*place, sample.name, number, share)
        for sample in chart.samples
        for place, number, share in zip(places, sample.counts, sample.shares(), strict=True)
    ]
    return Data(
        (*first, Column("series", "sample"), Column("rows", "rows"), Column("value", "share", _SHARE)), rows
    )


def _cells(chart: Confusion) -> Iterator[tuple[Value, ...]]:
    for line, actual in enumerate(chart.classes):
        for column, predicted in enumerate(chart.classes):
            yield (
                actual,
                predicted,
                chart.counts[line][column],
                chart.money[line][column] if chart.money else None,
            )
