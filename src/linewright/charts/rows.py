"""Charts of named rows: bars, dots, waterfalls, shares of categories, and the matrix of a confusion."""

from collections.abc import Sequence
from typing import NamedTuple

from linewright.charts.frame import EDGE, LINE, SIZE, Canvas, Key, reference_keys, span
from linewright.charts.kinds import Axis, Bar, BarChart, Confusion, DotChart, Reference, ShareChart, Waterfall
from linewright.charts.palette import REFERENCE_DASHES, SERIES
from linewright.charts.scales import Place, number_ticks, value_text
from linewright.charts.sheet import text_width
from linewright.text.numbers import count, in_words

_STEP = 22.0
_MOST = 40
"""Rows that are drawn; the table has all."""
_WIDE = 400
"""From this width on, numbers of rows are written too."""
_FEW = 6
"""Classes up to which each cell of a matrix says itself at the pointer."""
_SHARE = Axis(label="share of rows", unit="%")
_COUNT, _MONEY = Axis(label=""), Axis(label="", is_signed=True)
_SHORT = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


class Row(NamedTuple):
    """A row of a chart: its name, what is written at its end, and whether it stands out."""

    name: str
    note: str
    says: str
    is_marked: bool = False


class _Grid(NamedTuple):
    along: Place
    tops: list[float]
    bottom: float


def draw_bars(canvas: Canvas, chart: BarChart) -> str:
    """Draw bars from 0 with their intervals."""
    bars = chart.bars[:_MOST]
    if not bars:
        return canvas.nothing()
    is_signed = any((bar.value or 0) < 0 for bar in bars)
    rows = [_row(canvas, bar, chart.axis, is_signed=is_signed) for bar in bars]
    keys = [Key("span", "ink", chart.interval)] if any(bar.low is not None for bar in bars) else []
    canvas.legend([*keys, *reference_keys(chart.references, chart.axis)])
    grid = _grid(canvas, rows, chart.axis, [0.0, *_values(chart)], left_out=len(chart.bars) - len(bars))
    has_mark, at = any(bar.is_marked for bar in bars), grid.along.at
    for bar, row, top in zip(bars, rows, grid.tops, strict=True):
        if bar.value is None:
            continue
        start, end = sorted((at(0), at(bar.value)))
        colour = "soft" if has_mark and not bar.is_marked else "two" if bar.value < 0 else "one"
        size = {"width": max(end - start, 0.5), "height": 12, "rx": 1.5}
        canvas.put("rect", colour, row.says, x=start, y=top + 5, **size)
        _interval(canvas, bar, "ink", grid.along, top + _STEP / 2)
    _references(canvas, chart.references, grid)
    return canvas.to_svg(grid.bottom)


def draw_dots(canvas: Canvas, chart: DotChart) -> str:
    """Draw dots with their intervals; those of one name and several series in one row."""
    series = chart.series()
    found: dict[object, list[Bar]] = {}
    for number, bar in enumerate(chart.bars):
        found.setdefault(bar.name if len(series) > 1 else number, []).append(bar)
    groups = list(found.values())[:_MOST]
    if not groups:
        return canvas.nothing()
    rows = [
        _row(canvas, group[0], chart.axis)
        if len(series) == 1
        else Row(group[0].name, "", "", any(bar.is_marked for bar in group))
        for group in groups
    ]
    keys = [Key("dot", colour, name) for colour, name in zip(SERIES, series, strict=False) if len(series) > 1]
    if any(bar.low is not None for bar in chart.bars):
        keys.append(Key("span", "one" if len(series) == 1 else "soft", chart.interval))
    canvas.legend([*keys, *reference_keys(chart.references, chart.axis)])
    grid = _grid(canvas, rows, chart.axis, _values(chart), left_out=len(found) - len(groups))
    has_mark = len(series) == 1 and any(bar.is_marked for bar in chart.bars)
    for group, top in zip(groups, grid.tops, strict=True):
        for bar in group:
            number = series.index(bar.series)
            colour = "soft" if has_mark and not bar.is_marked else SERIES[number]
            middle = top + _STEP / 2 + 6 * (number - (len(series) - 1) / 2)
            _interval(canvas, bar, colour, grid.along, middle)
            if bar.value is not None:
                says = _row(canvas, bar, chart.axis).says
                size = 4.5 if len(series) == 1 else 3.5
                canvas.put("circle", colour, says, cx=grid.along.at(bar.value), cy=middle, r=size)
    _references(canvas, chart.references, grid)
    return canvas.to_svg(grid.bottom)


def _values(chart: BarChart | DotChart) -> list[float]:
    values = [value for bar in chart.bars for value in (bar.value, bar.low, bar.high) if value is not None]
    return [*values, *(one.value for one in chart.references)]


def _row(canvas: Canvas, bar: Bar, axis: Axis, *, is_signed: bool = False) -> Row:
    value = value_text(bar.value, axis, is_signed=is_signed)
    ends = "" if bar.low is None else f" ({value_text(bar.low, axis)} to {value_text(bar.high, axis)})"
    rows = "" if bar.rows is None else f", {count(bar.rows, 'row')}"
    whose = f"{bar.name}, {bar.series}" if bar.series else bar.name
    note = f"{value}{rows}" if canvas.width >= _WIDE else value
    return Row(bar.name, note, f"{whose}: {value}{ends}{rows}", bar.is_marked)


def _interval(canvas: Canvas, bar: Bar, kind: str, along: Place, middle: float) -> None:
    if bar.low is not None and bar.high is not None:
        canvas.path(f"{kind} line", *span(along.at(bar.low), along.at(bar.high), middle), stroke_width=1.5)


def _references(canvas: Canvas, references: Sequence[Reference], grid: _Grid) -> None:
    for number, one in enumerate(references):
        x = grid.along.at(one.value)
        form = {"stroke_width": 1.5, "stroke_dasharray": REFERENCE_DASHES[number % len(REFERENCE_DASHES)]}
        canvas.path("ink line", "M", x, grid.tops[0], "V", grid.tops[-1] + _STEP, says=one.name, **form)


def _grid(
    canvas: Canvas,
    rows: Sequence[Row],
    axis: Axis,
    values: Sequence[float],
    *,
    left_out: int = 0,
    step: float = _STEP,
) -> _Grid:
    """Draw names at the left, notes at the right and the axis below; return the places of the rest."""
    notes = max(text_width(row.note, SIZE) for row in rows)
    room = max(min(0.38 * canvas.width, canvas.width - notes - 100), 20.0)
    wide = min(max(text_width(row.name, SIZE, is_bold=row.is_marked) for row in rows), room)
    along_start, along_end = EDGE + wide + 14, canvas.width - EDGE - (notes + 14 if notes else 8)
    ticks = number_ticks(values, axis, most=max(int((along_end - along_start) / 70), 2))
    along = Place(ticks[0].value, ticks[-1].value, along_start, max(along_end, along_start + 10))
    tops = [canvas.top + number * step for number in range(len(rows))]
    bottom = canvas.top + len(rows) * step
    end = canvas.along_axis(ticks, str(axis), along, bottom, is_grid=True)
    if along.low <= 0 <= along.high:
        canvas.path("soft line", "M", along.at(0), canvas.top, "V", bottom)
    for row, top in zip(rows, tops, strict=True):
        y = top + step / 2 + 4
        canvas.write(row.name, EDGE + wide, y, anchor="end", room=wide, is_bold=row.is_marked)
        canvas.write(row.note, canvas.width - EDGE, y, kind="soft", anchor="end")
    if left_out:
        canvas.write(f"and {left_out:,} more in the table", EDGE, end + 12, kind="soft")
        end += LINE + 4
    return _Grid(along, tops, end)


def draw_waterfall(canvas: Canvas, chart: Waterfall) -> str:
    """Draw each step from the end of the one before, and the sum."""
    steps = chart.steps[:_MOST]
    if not steps:
        return canvas.nothing()
    ends = chart.sums()
    total = Bar(name=chart.total, value=ends[-1], is_marked=True)
    rows = [
        *(_row(canvas, step, chart.axis, is_signed=True) for step in steps),
        _row(canvas, total, chart.axis),
    ]
    grid = _grid(canvas, rows, chart.axis, [0.0, *ends], left_out=len(chart.steps) - len(steps))
    at = grid.along.at
    for number, (step, row, top) in enumerate(zip(steps, rows, grid.tops, strict=False)):
        start, end = sorted((at(ends[number]), at(ends[number + 1])))
        colour = "two" if (step.value or 0) < 0 else "one"
        canvas.put(
            "rect", colour, row.says, x=start, y=top + 5, width=max(end - start, 0.5), height=12, rx=1.5
        )
        canvas.path("soft line", "M", at(ends[number + 1]), top + 17, "V", top + _STEP + 5)
    start, end = sorted((at(0), at(ends[-1])))
    canvas.put(
        "rect",
        "ink",
        rows[-1].says,
        x=start,
        y=grid.tops[-1] + 5,
        width=max(end - start, 0.5),
        height=12,
        rx=1.5,
    )
    return canvas.to_svg(grid.bottom)


def draw_shares(canvas: Canvas, chart: ShareChart) -> str:
    """Draw a bar for each sample of each category."""
    names = chart.categories[:_MOST]
    if not names:
        return canvas.nothing()
    shares = [sample.shares()[:_MOST] for sample in chart.samples]
    canvas.legend(
        [
            Key("area", colour, sample.name)
            for colour, sample in zip(("one", "two"), chart.samples, strict=False)
        ]
    )
    rows = [
        Row(name, " → ".join(value_text(one[number], _SHARE) for one in shares), name)
        for number, name in enumerate(names)
    ]
    values = [0.0, *(share for one in shares for share in one)]
    grid = _grid(canvas, rows, _SHARE, values, left_out=len(chart.categories) - len(names), step=24.0)
    tall = 16 / len(shares)
    for number, (name, top) in enumerate(zip(names, grid.tops, strict=True)):
        for line, (colour, one, sample) in enumerate(
            zip(("one", "two"), shares, chart.samples, strict=False)
        ):
            says = f"{name}, {sample.name}: {value_text(one[number], _SHARE)}"
            size = {"width": max(grid.along.at(one[number]) - grid.along.at(0), 0.5), "height": tall - 1}
            canvas.put("rect", colour, says, x=grid.along.at(0), y=top + 4 + line * tall, **size)
    return canvas.to_svg(grid.bottom)


def draw_confusion(canvas: Canvas, chart: Confusion) -> str:
    """Draw cells that are darker the more of their actual class they hold, with counts and money."""
    many = len(chart.classes)
    if not many:
        return canvas.nothing()
    about = "columns: predicted class; rows: actual class"
    canvas.write(about, EDGE, canvas.top + 10, kind="soft", room=canvas.width - 2 * EDGE)
    canvas.top += LINE + 6
    names = min(max(text_width(name, SIZE) for name in chart.classes) + 1, 0.3 * canvas.width)
    wide = min((canvas.width - 2 * EDGE - names - 8) / many, 150.0)
    heads, lines = chart.classes, chart.classes
    if any(text_width(name, SIZE) > wide - 6 for name in heads):
        # Classes whose names have no room above a column are numbered.
        heads = tuple(f"{number}" for number in range(1, many + 1))
        lines = tuple(f"{number} {name}" for number, name in zip(heads, chart.classes, strict=True))
    left, tall = EDGE + names + 8, 44.0 if chart.money else 32.0
    for column, name in enumerate(heads):
        if text_width(name, SIZE) <= wide:
            canvas.write(name, left + (column + 0.5) * wide, canvas.top + 10, kind="soft", anchor="middle")
    canvas.top += LINE + 2
    for line, name in enumerate(lines):
        y = canvas.top + line * tall
        canvas.write(name, left - 8, y + tall / 2 + 4, anchor="end", room=names)
        for column in range(many):
            _cell(canvas, chart, (line, column), (left + column * wide, y, wide, tall))
    return canvas.to_svg(canvas.top + many * tall + EDGE)


def _cell(
    canvas: Canvas, chart: Confusion, at: tuple[int, int], box: tuple[float, float, float, float]
) -> None:
    """Draw a cell: `at` is its line and column, `box` its left, top, width and height."""
    (line, column), (x, y, wide, tall) = at, box
    number, rows = chart.counts[line][column], sum(chart.counts[line]) or 1.0
    worth = value_text(chart.money[line][column], _MONEY) if chart.money else ""
    said = f"actual {chart.classes[line]}, predicted {chart.classes[column]}: {in_words(number)} rows, {100 * number / rows:.3g} %"
    form = {"rx": 3, "fill_opacity": f"{0.06 + 0.44 * number / rows:.2f}"}
    size = {"x": x + 1, "y": y + 1, "width": wide - 2, "height": tall - 2}
    says = f"{said}, {worth} {chart.currency}" if worth else said
    says = says if len(chart.classes) <= _FEW else ""
    canvas.put("rect", "one" if line == column else "two", says, **size, **form)
    middle = y + tall / 2 + (-3 if worth else 4)
    canvas.write(_fits(number, _COUNT, wide - 4), x + wide / 2, middle, anchor="middle")
    if worth:
        amount = _fits(chart.money[line][column], _MONEY, wide - 4, chart.currency)
        canvas.write(amount, x + wide / 2, middle + LINE, anchor="middle")


def _fits(value: float, axis: Axis, room: float, unit: str = "") -> str:
    """Return a number with its unit, shortened as far as its room asks; nothing if none has room, never a part."""
    number = value_text(value, axis)
    short = next(
        (
            f"{value_text(float(f'{value / size:.2g}'), axis)}{letter}"
            for size, letter in _SHORT
            if abs(value) >= size
        ),
        number,
    )
    texts = (f"{number} {unit}".strip(), number, short)
    return next((text for text in texts if text_width(text, SIZE) <= room), "")
