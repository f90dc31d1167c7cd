"""Charts with a vertical axis of values: lines, ribbons, histograms and reliability."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from itertools import pairwise

from linewright.charts.frame import EDGE, SIZE, Canvas, Key, reference_keys
from linewright.charts.kinds import (
    At,
    Axis,
    Histogram,
    Line,
    LineChart,
    Mark,
    Point,
    Quantiles,
    Reliability,
    Ribbon,
)
from linewright.charts.palette import DASHES, REFERENCE_DASHES, SERIES
from linewright.charts.scales import Place, Tick, at_text, number_ticks, seconds, time_ticks, value_text
from linewright.charts.sheet import text_width
from linewright.text.numbers import count, in_words

_MOST_DOTS = 40
"""Points up to which each has a dot that says its value."""
_SHARE = Axis(label="share of rows", unit="%")
_DAY = 86_400.0


def draw_lines(canvas: Canvas, chart: LineChart) -> str:
    """Draw lines with their bands, and references."""
    points = [point for line in chart.lines for point in line.points]
    values = [v for p in points for v in (p.value, p.low, p.high) if v is not None]
    if not points:
        return canvas.nothing()
    keys = [
        Key("line" if len(line.points) > 1 else "dot", colour, line.name, DASHES[colour])
        for colour, line in zip(SERIES, chart.lines, strict=False)
    ]
    if any(point.low is not None for point in points):
        keys.append(Key("area", "one pale" if len(chart.lines) == 1 else "soft pale", chart.interval))
    canvas.legend(
        [*(keys if len(keys) > 1 or chart.references else []), *reference_keys(chart.references, chart.y)]
    )
    ticks = number_ticks([*values, *(one.value for one in chart.references)], chart.y)
    up, along, bottom = _axes(canvas, ticks, chart.y, chart.x, [point.at for point in points])
    _rows(canvas, chart.rows, along, up)
    _marks(canvas, chart.marks, along, up)
    for number, one in enumerate(chart.references):
        y = up.at(one.value)
        form = {"stroke_width": 1.5, "stroke_dasharray": REFERENCE_DASHES[number % len(REFERENCE_DASHES)]}
        canvas.path("ink line", "M", along.start - 6, y, "H", along.end + 6, says=one.name, **form)
    for colour, line in zip(SERIES, chart.lines, strict=False):
        for run in _runs(line.points, lambda point: point.low is not None):
            _band(canvas, colour, [(p.at, p.low or 0.0, p.high or 0.0) for p in run], along, up)
    for colour, line in zip(SERIES, chart.lines, strict=False):
        _draw_line(canvas, line, colour, along=along, up=up, y=chart.y)
    return canvas.to_svg(bottom)


def _marks(canvas: Canvas, marks: Sequence[Mark], along: Place, up: Place) -> None:
    """Draw a vertical line at each mark, with its name at the top if there is room, else on hover."""
    free = along.start
    for mark in sorted(marks, key=lambda one: seconds(one.at)):
        if not along.low <= seconds(mark.at) <= along.high:
            continue
        x, wide = along.at(seconds(mark.at)), text_width(mark.name, SIZE)
        says = f"{mark.name}, {at_text(mark.at)}"
        canvas.path(
            "soft line", "M", x, up.start, "V", up.end, says=says, stroke_width=1, stroke_dasharray="2 3"
        )
        start = x + 3 if x + 3 + wide <= along.end else x - 3 - wide
        if start >= free:
            canvas.write(mark.name, start, up.end + SIZE, kind="soft")
            free = start + wide + 6


def _axes(
    canvas: Canvas, ticks: Sequence[Tick], y: Axis, x: Axis, places: Sequence[At]
) -> tuple[Place, Place, float]:
    """Draw both axes; return both scales, and the end of the picture."""
    up, left = canvas.value_axis(ticks, y, _height(canvas.width))
    numbers = [seconds(at) for at in places]
    low, high = min(numbers), max(numbers)
    is_time, is_days = isinstance(places[0], date), not isinstance(places[0], datetime)
    if low == high:
        pad = _DAY if is_time else abs(low) / 2 or 1.0
        low, high = low - pad, high + pad
    along = Place(low, high, left + 6, canvas.width - EDGE - 6)
    most = max(int((along.end - along.start) / 78), 3)
    found = (
        time_ticks(low, high, most=most, is_days=is_days)
        if is_time
        else [tick for tick in number_ticks([low, high], x, most=most) if low <= tick.value <= high]
    )
    label = f"{x.label} (UTC)" if is_time and not is_days else str(x)
    return up, along, canvas.along_axis(found, label, along, up.start)


def _height(width: int) -> float:
    return float(min(max(width * 0.36, 130), 240))


def _rows(canvas: Canvas, rows: Sequence[float], along: Place, up: Place) -> None:
    """Draw how many rows there are along the width."""
    most, wide = max(rows, default=0), (along.end - along.start) / max(len(rows), 1)
    for number, one in enumerate(rows):
        if one:
            tall = max(22 * one / most, 1)
            size = {"width": max(wide - 1, 0.5), "height": tall}
            canvas.put(
                "rect",
                "soft pale",
                f"{in_words(one)} rows",
                x=along.start + number * wide,
                y=up.start - tall,
                **size,
            )


def _runs(points: Sequence[Point], is_there: Callable[[Point], bool]) -> Iterator[list[Point]]:
    """Return stretches without gaps."""
    run: list[Point] = []
    for point in points:
        if is_there(point):
            run.append(point)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _band(
    canvas: Canvas, colour: str, ends: Sequence[tuple[At, float, float]], along: Place, up: Place
) -> None:
    upper = [(along.at(seconds(at)), up.at(high)) for at, _, high in ends]
    lower = [(along.at(seconds(at)), up.at(low)) for at, low, _ in reversed(ends)]
    if len(ends) == 1:
        (x, high), (_, low) = upper[0], lower[0]
        canvas.path(f"{colour} line", "M", x, low, "V", high, stroke_width=6, stroke_opacity=".2")
        return
    upper, lower = _thinned(upper), _thinned(lower)
    canvas.path(f"{colour} pale", *_through(upper), "L", *_through(lower)[1:], "Z")


def _through(places: Sequence[tuple[float, float]]) -> list[str | float]:
    return [part for number, (x, y) in enumerate(places) for part in ("L" if number else "M", x, y)]


def _thinned(places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return what can be distinguished: first, last, highest and lowest of each pixel."""
    columns: dict[int, list[tuple[float, float]]] = {}
    for place in places:
        columns.setdefault(int(place[0]), []).append(place)
    if len(places) <= 3 * len(columns):
        return places
    kept: list[tuple[float, float]] = []
    for column in columns.values():
        few = {0, len(column) - 1}
        for pick in (min, max):
            few.add(column.index(pick(column, key=lambda place: place[1])))
        kept += [column[number] for number in sorted(few)]
    return kept


def _draw_line(canvas: Canvas, line: Line, colour: str, *, along: Place, up: Place, y: Axis) -> None:
    has_dots = len(line.points) <= _MOST_DOTS
    for run in _runs(line.points, lambda point: point.value is not None):
        places = [(along.at(seconds(point.at)), up.at(point.value or 0.0)) for point in run]
        if len(run) > 1:
            parts, dash = _through(_thinned(places)), DASHES[colour]
            canvas.path(
                f"{colour} line", *parts, stroke_width=2, stroke_linejoin="round", stroke_dasharray=dash
            )
        for (x, height), point in zip(places, run, strict=True):
            if has_dots or len(run) == 1:
                says = f"{line.name}, {at_text(point.at)}: {value_text(point.value, y)}{_interval(point, y)}"
                canvas.put("circle", colour, says, cx=x, cy=height, r=3 if len(line.points) > 1 else 5)
    for point in line.points:
        if point.value is None and has_dots:
            at = {"transform": f"translate({along.at(seconds(point.at)):.1f} {up.start - 5:.1f})"}
            canvas.path(
                "soft line", "M-3-3L3 3M-3 3L3-3", says=f"{line.name}, {at_text(point.at)}: no value", **at
            )


def _interval(point: Point, axis: Axis) -> str:
    if point.low is None:
        return ""
    return f" ({value_text(point.low, axis)} to {value_text(point.high, axis)})"


def draw_ribbon(canvas: Canvas, chart: Ribbon) -> str:
    """Draw nested bands of quantiles, their middle as a line, and what was observed as dots."""
    if not chart.points:
        return canvas.nothing()
    pairs = [(low, len(chart.levels) - 1 - low) for low in range(len(chart.levels) // 2)]
    width = {
        pair: f"{100 * (chart.levels[pair[1]] - chart.levels[pair[0]]):.3g} % predicted" for pair in pairs
    }
    has_middle = len(chart.levels) % 2 == 1
    keys = [Key("area", "one pale", width[pair]) for pair in pairs[:1]]
    keys += [Key("line", "one", f"quantile {chart.levels[len(pairs)]:g}")] if has_middle else []
    observed = [point for point in chart.points if point.observed is not None]
    keys += [Key("dot", "two", "observed")] if observed else []
    canvas.legend(keys)
    values = [v for p in chart.points for v in (*p.values, *(() if p.observed is None else (p.observed,)))]
    up, along, bottom = _axes(
        canvas, number_ticks(values, chart.y), chart.y, chart.x, [p.at for p in chart.points]
    )
    for low, high in pairs:
        _band(canvas, "one", [(p.at, p.values[low], p.values[high]) for p in chart.points], along, up)
    if has_middle:
        middle = [Point(at=p.at, value=p.values[len(pairs)]) for p in chart.points]
        _draw_line(
            canvas,
            Line(name=f"quantile {chart.levels[len(pairs)]:g}", points=tuple(middle)),
            "one",
            along=along,
            up=up,
            y=chart.y,
        )
    for point in observed:
        _observed(canvas, point, along, up, chart.y)
    return canvas.to_svg(bottom)


def _observed(canvas: Canvas, point: Quantiles, along: Place, up: Place, y: Axis) -> None:
    says = f"observed, {at_text(point.at)}: {value_text(point.observed, y)}"
    canvas.put("circle", "two", says, cx=along.at(seconds(point.at)), cy=up.at(point.observed or 0.0), r=2.5)


def draw_histogram(canvas: Canvas, chart: Histogram) -> str:
    """Draw the first sample as bars and the second as an outline, both as shares."""
    if len(chart.edges) < 2:
        return canvas.nothing()
    canvas.legend(
        [
            Key("area", "one pale", _named(chart, 0)),
            *([Key("line", "two", _named(chart, 1))] if chart.samples[1:] else []),
        ]
    )
    shares = [sample.shares() for sample in chart.samples]
    ticks = number_ticks([0.0, *(share for sample in shares for share in sample)], _SHARE)
    up, along, bottom = _axes(canvas, ticks, _SHARE, chart.x, chart.edges)
    places = [along.at(edge) for edge in chart.edges]
    for number, ((left, right), share) in enumerate(zip(pairwise(places), shares[0], strict=True)):
        low, high = (value_text(edge, chart.x) for edge in chart.edges[number : number + 2])
        says = f"{low} to {high}: " + ", ".join(
            f"{sample.name} {value_text(one[number], _SHARE)}"
            for sample, one in zip(chart.samples, shares, strict=True)
        )
        tall = {"y": up.at(share), "height": up.start - up.at(share)}
        canvas.put("rect", "one pale", says, x=left, width=max(right - left - 0.5, 0.5), **tall)
        canvas.path("one line", "M", left, up.at(share), "H", right, stroke_width=1.5)
    if shares[1:]:
        steps: list[str | float] = ["M", places[0], up.start]
        for right, share in zip(places[1:], shares[1], strict=True):
            steps += ["V", up.at(share), "H", right]
        canvas.path("two line", *steps, "V", up.start, stroke_width=2)
    return canvas.to_svg(bottom)


def _named(chart: Histogram, number: int) -> str:
    sample = chart.samples[number]
    rows = sum(sample.counts)
    return f"{sample.name}, {count(int(rows), 'row')}" if rows == int(rows) else sample.name


def draw_reliability(canvas: Canvas, chart: Reliability) -> str:
    """Draw bins as dots with intervals around the line of equality, and their rows below."""
    if not chart.bins:
        return canvas.nothing()
    keys = [Key("dot", "one", "bin of rows"), Key("line", "soft", "predicted = observed", "4 3")]
    canvas.legend([*keys, Key("area", "soft pale", "rows of the bin")])
    highest = [v for one in chart.bins for v in (one.predicted, one.observed, one.high or 0.0)]
    ticks = number_ticks([0.0, min(max(highest), 1.0)], Axis(label="", unit="%"))
    up, along, bottom = _axes(
        canvas,
        ticks,
        Axis(label="observed", unit="%"),
        Axis(label="predicted probability", unit="%"),
        [0.0, ticks[-1].value],
    )
    canvas.path(
        "soft line dashed", "M", along.at(0), up.at(0), "L", along.at(ticks[-1].value), up.at(ticks[-1].value)
    )
    most = max(one.rows for one in chart.bins) or 1
    for one in chart.bins:
        x, tall = along.at(one.predicted), max(22 * one.rows / most, min(one.rows, 1))
        canvas.put("rect", "soft pale", x=x - 4, y=up.start - tall, width=8, height=tall)
        if one.low is not None:
            canvas.path("one line", "M", x, up.at(one.low), "V", up.at(one.high or 0.0), stroke_width=2)
        share = Axis(label="", unit="%")
        says = f"predicted {value_text(one.predicted, share)}, observed {value_text(one.observed, share)}, {count(one.rows, 'row')}"
        canvas.put("circle", "one", says, cx=x, cy=up.at(one.observed), r=4)
    return canvas.to_svg(bottom)
