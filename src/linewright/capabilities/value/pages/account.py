"""The value account of a line: by day and in all, with what its decisions are held against."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from linewright.charts import Axis, Line, LineChart, Mark, Point
from linewright.interfaces.console.page import Ask, Entry, Page, Rows

_BEGINS = ("promoted", "rolled_back")
"""Kinds of entries with which a version begins to serve."""
_MOST_ENTRIES = 1000


def apart(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """Work the account out, which reads the prediction log."""
    return {"account": ("value", {"line": [values["line"]]})}


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return when versions began to serve, and how days are drawn."""
    entries = ask("history", line=values["line"], limit=_MOST_ENTRIES).entries
    begins = [
        Mark(at=date.fromisoformat(each.at[:10]), name=each.model)
        for each in entries
        if each.kind in _BEGINS and each.model
    ]
    return {"begins": tuple(reversed(begins)), "draw_gain": _draw_gain, "draw": _draw, "rows": _rows}


def _matured(worth: Any) -> list[tuple[date, Any]]:
    return [(date.fromisoformat(one.since), one) for one in worth.days if one.since and one.matured]


def _draw_gain(worth: Any, begins: Sequence[Mark], title: str, gain: str, interval: str) -> LineChart:
    """Return what the decisions of each day gained, and on which days versions began to serve."""
    return LineChart(
        title=title,
        x=Axis(label="day"),
        y=Axis(label=gain, unit=worth.total.currency, holds=(0.0,)),
        lines=(
            Line(
                name=gain,
                points=tuple(
                    Point(at=day, value=one.gain)
                    if one.low is None
                    else Point(
                        at=day, value=one.gain, low=min(one.low, one.gain), high=max(one.high, one.gain)
                    )
                    for day, one in _matured(worth)
                ),
            ),
        ),
        marks=tuple(begins),
        interval=interval,
    )


def _draw(worth: Any, title: str, decided: str, against: str) -> LineChart:
    """Return the value of each day's answers next to that of what they are held against."""
    days = _matured(worth)
    return LineChart(
        title=title,
        x=Axis(label="day"),
        y=Axis(label="value", unit=worth.total.currency),
        lines=(
            Line(name=decided, points=tuple(Point(at=day, value=one.value) for day, one in days)),
            Line(name=against, points=tuple(Point(at=day, value=one.against) for day, one in days)),
        ),
    )


def _rows(worth: Any) -> Rows:
    """Return the account by day as rows."""
    return Rows(
        (
            "day",
            "answers",
            "answers that count",
            "worth",
            "held against",
            "gain",
            "gain low",
            "gain high",
            "currency",
        ),
        [
            (
                one.since,
                one.answers,
                one.matured,
                one.value,
                one.against,
                one.gain,
                one.low,
                one.high,
                one.currency,
            )
            for one in worth.days
        ],
    )


PAGE = Page(
    at=(Entry("account", "/lines/{line}/value/account", "view", "What decisions were worth"),),
    template="value/account.html.jinja",
    read=read,
    apart=apart,
    is_form=True,
)
