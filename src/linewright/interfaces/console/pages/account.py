"""The value account of a line: by day and in all, with what its decisions are held against."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from linewright.charts import Axis, Line, LineChart, Point
from linewright.interfaces.console.page import Page


def apart(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """Work the account out, which reads the prediction log."""
    return {"account": ("value", {"line": [values["line"]]})}


def read(_ask: object, _values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return how days are drawn."""
    return {"draw": _draw}


def _draw(worth: Any, title: str, decided: str, against: str) -> LineChart:
    """Return the value of each day's answers next to that of what they are held against."""
    days = [(date.fromisoformat(one.since), one) for one in worth.days if one.since and one.matured]
    return LineChart(
        title=title,
        x=Axis(label="day"),
        y=Axis(label="value", unit=worth.total.currency),
        lines=(
            Line(name=decided, points=tuple(Point(at=day, value=one.value) for day, one in days)),
            Line(name=against, points=tuple(Point(at=day, value=one.against) for day, one in days)),
        ),
    )


PAGE = Page(template="account.html.jinja", read=read, apart=apart, is_form=True)
