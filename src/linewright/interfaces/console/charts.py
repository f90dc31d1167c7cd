"""Charts of what operations answer: each function makes one, or nothing if there is nothing to draw. Titles come from the pages."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from linewright.charts import (
    Axis,
    Bar,
    BarChart,
    Chart,
    Histogram,
    Line,
    LineChart,
    Point,
    Reference,
    Sample,
    ShareChart,
    Sparkline,
    to_svg,
)

_FEWEST = 2
"""Points that make a line."""
MOST_BARS = 15
"""Bars of one chart; the table under it has as many rows."""


def quality(found: Sequence[Any], title: str) -> Chart | None:
    """Draw the realised metric over time, with its interval, with what the newest certificate promised."""
    known = [one for one in found if one.value is not None]
    if len(known) < _FEWEST:
        return None
    newest = known[-1]
    bars = (("certified", newest.certified), ("promised at least", newest.promised))
    return LineChart(
        title=title,
        x=Axis(label="end of the predictions"),
        y=Axis(label=newest.metric),
        lines=(_line(newest.metric, [(one.end, one.value, one.low, one.high) for one in known]),),
        references=tuple(Reference(name=name, value=value) for name, value in bars if value is not None),
        interval="95 % interval",
    )


def drift(monitor: Any, title: str) -> Chart | None:
    """Draw the PSI over windows that one monitor saw, with its bar."""
    return _psi(_named(monitor), monitor.windows, monitor.bar, title)


def traffic(windows: Sequence[Any], title: str) -> Chart | None:
    """Draw the answers by window."""
    return _over_time(title, "answers", {"answers": [(one.end, float(one.n)) for one in windows]})


def confirmed(windows: Sequence[Any], title: str) -> Chart | None:
    """Draw the positives by window, as they are expected and as they are confirmed."""
    points = {
        "confirmed": [(one.end, float(one.positives)) for one in windows],
        "expected": [(one.end, one.expected) for one in windows],
    }
    return _over_time(title, "positives", points)


def history(shown: Any, title: str) -> Chart | None:
    """Draw what the monitor of an alert saw, window by window, with its bar."""
    return _psi(_named(shown.alert), shown.history, shown.alert.bar, title)


def cells(shown: Any, title: str) -> Chart | None:
    """Draw the shares of rows in each cell, then and now."""
    if not shown.cells or not any(one.now for one in shown.cells):
        return None
    most = sorted(shown.cells, key=lambda one: -(one.then + one.now))[:MOST_BARS]
    kept = [one for one in shown.cells if one in most]
    return ShareChart(
        title=title,
        categories=tuple(one.name or "(empty)" for one in kept),
        samples=(
            Sample(name="then", counts=tuple(float(one.then) for one in kept)),
            Sample(name="now", counts=tuple(float(one.now) for one in kept)),
        ),
        names=shown.alert.column or "answer",
    )


def importance(explanation: Mapping[str, Any], title: str) -> Chart | None:
    """Draw how much the loss rises when each column is shuffled."""
    bars = [
        Bar(name=", ".join(one["columns"]), value=one["rise"], low=low, high=high)
        for one in explanation["shuffled"][:MOST_BARS]
        for low, high in [_ends(one["rise"], one["low"], one["high"])]
    ]
    return _bars(bars, title, f"rise of {explanation['loss']}", interval="95 % interval")


def weak(explanation: Mapping[str, Any], title: str) -> Chart | None:
    """Draw the loss of weak slices."""
    bars = [
        Bar(name=" and ".join(one["where"]), value=one["loss"], rows=one["rows"])
        for one in explanation["slices"]
    ]
    return _bars(bars[:MOST_BARS], title, explanation["loss"], names="slice")


def contributions(parts: Iterable[tuple[str, float]], title: str, unit: str) -> Chart | None:
    """Draw what each column contributed to an answer."""
    return _bars([Bar(name=name, value=value) for name, value in parts][:MOST_BARS], title, unit)


def curve(left: Mapping[str, float], label: str, title: str) -> Chart:
    """Draw the share that is left by time, as one answer says it."""
    points = (Point(at=0.0, value=1.0), *(Point(at=float(at), value=share) for at, share in left.items()))
    return LineChart(
        title=title,
        x=Axis(label=label),
        y=Axis(label="left", unit="%", holds=(0.0, 1.0)),
        lines=(Line(name="left", points=points),),
        references=(Reference(name="half", value=0.5),),
    )


def worth(days: Sequence[Any], title: str) -> Chart | None:
    """Draw what the decisions of each day gained, with its interval."""
    known = [one for one in days if one.since and one.matured]
    if len(known) < _FEWEST:
        return None
    points = [(f"{one.since}T00:00:00Z", one.gain, one.low, one.high) for one in known]
    return LineChart(
        title=title,
        x=Axis(label="day"),
        y=Axis(label="gain", unit=known[0].currency),
        lines=(_line("gain", points),),
        interval="95 % interval",
    )


def spread(column: Any, title: str) -> Chart | None:
    """Draw how the values of a column are spread."""
    if not column.edges or any(right <= left for left, right in pairwise(column.edges)):
        return None
    counts = Sample(name="rows", counts=tuple(float(one) for one in column.counts))
    return Histogram(title=title, x=Axis(label=column.name), edges=column.edges, samples=(counts,))


def spark(monitor: Any, title: str) -> Markup:
    """Draw what a monitor saw, as small as a word."""
    values = tuple(one.value for one in monitor.windows)
    return Markup(to_svg(Sparkline(title=title, values=values, reference=monitor.bar)))  # noqa: S704 -- each text of it is escaped there


def _psi(name: str, windows: Sequence[Any], bar: float, title: str) -> Chart | None:
    if len(windows) < _FEWEST:
        return None
    return LineChart(
        title=title,
        x=Axis(label="window"),
        y=Axis(label="PSI"),
        lines=(_line(name, [(one.end, one.value) for one in windows]),),
        references=(Reference(name="bar", value=bar),),
    )


def _named(one: Any) -> str:
    return (
        one.monitor
        if one.column is None
        else one.column
        if one.monitor == "drift"
        else f"{one.column}: {one.monitor}"
    )


def _line(name: str, points: Sequence[Sequence[Any]]) -> Line:
    """Return a line through points (instant, value, and the ends of an interval if there are some); of one instant the last counts."""
    details = {datetime.fromisoformat(at): rest for at, *rest in points}
    return Line(name=name, points=tuple(_point(at, *rest) for at, rest in sorted(details.items())))


def _point(at: datetime, value: float | None, low: float | None = None, high: float | None = None) -> Point:
    low, high = _ends(value, low, high)
    return Point(at=at, value=value, low=low, high=high)


def _ends(value: float | None, low: float | None, high: float | None) -> tuple[float | None, float | None]:
    """Return the ends of an interval that a chart can draw: one that does not hold its value is widened to it."""
    if value is None or low is None or high is None:
        return None, None
    return min(low, value), max(high, value)


def _over_time(title: str, label: str, lines: Mapping[str, Sequence[Sequence[Any]]]) -> Chart | None:
    if any(len(points) < _FEWEST for points in lines.values()):
        return None
    drawn = tuple(_line(name, points) for name, points in lines.items())
    return LineChart(title=title, x=Axis(label="window"), y=Axis(label=label), lines=drawn)


def _bars(
    bars: Sequence[Bar], title: str, label: str, *, names: str = "column", interval: str = "interval"
) -> Chart | None:
    if not bars:
        return None
    return BarChart(title=title, axis=Axis(label=label), bars=tuple(bars), names=names, interval=interval)
