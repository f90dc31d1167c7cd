"""Pages of the console."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any
from urllib.parse import quote, urlencode

from linewright.charts import Axis, Confusion, Line, LineChart, Mark, Point
from linewright.interfaces.console.page import Ask, Entry, Page, Rows, decides
from linewright.text.numbers import in_words

_BEGINS = ("promoted", "rolled_back")
"""Kinds of entries with which a version begins to serve."""
_MOST_ENTRIES = 1000


def _apart_account(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """Work the account out, which reads the prediction log."""
    return {"account": ("value", {"line": [values["line"]]})}


def _read_account(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
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


MOST = 100
"""Accounts that one page shows; a search finds the others."""


def _read_goals(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the goals of the factory, and the value accounts of its lines, those that gained most first."""
    goals, wanted = ask.if_may("goals"), values["q"].strip().lower()
    lines = [each for each in ask.status.lines if wanted in each.line]
    counted = sorted((each for each in lines if each.value), key=lambda each: -each.value.account.gain)
    return {
        "goals": goals.goals if goals else (),
        "counted": counted[:MOST],
        "found": len(counted),
        "uncounted": [each.line for each in lines if not each.value],
    }


def _read_line_value(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the path of the file that says the amounts."""
    return {"file": ask("line-file", line=values["line"]).path}


_WORDS = ("true_positive", "false_positive", "false_negative", "true_negative")
_LEAST_SPAN = 100.0


def _apart_what_if(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """Ask what the amounts would change, which answers the test rows again."""
    asked = {name: [values[name]] for name in (*_WORDS, "currency") if values[name]}
    return {"found": ("what-if", {"line": [values["line"]], **asked})}


def _read_what_if(_ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return how amounts are filled in, and how the answer is drawn."""

    def amounts(found: Any) -> Mapping[str, str]:
        """Return the amounts in question, else those that were found in the line file."""
        return {
            word: values[word] or ("" if found is None else _written(getattr(found.amounts, word)))
            for word in _WORDS
        }

    return {"amounts": amounts, "span": _span, "matrix": _matrix, "curve": _curve, "reason": _reason}


def _written(amount: float | str) -> str:
    return amount if isinstance(amount, str) else f"{amount:g}"


def _span(shown: Mapping[str, Any]) -> float:
    """Return how far sliders reach on either side of 0: three times the largest amount, in one significant digit."""
    sizes = [_LEAST_SPAN / 3]
    for amount in shown.values():
        with suppress(ValueError):
            sizes.append(abs(float(amount)))
    return float(f"{3 * max(sizes):.1g}")


def _reason(found: Any, says: Mapping[str, str], texts: Mapping[str, str]) -> str:
    """Return why these amounts may be proposed: what they change, in numbers, and the address that shows it."""
    changed = {
        word: getattr(found.amounts, word)
        for word in _WORDS
        if found.declared is None or getattr(found.amounts, word) != getattr(found.declared, word)
    }
    counts = [
        texts["each"].format(
            what=says[word], now=f"{getattr(found.now, word):,}", then=f"{getattr(found.then, word):,}"
        )
        for word in _WORDS
        if getattr(found.now, word) != getattr(found.then, word)
    ]
    address = f"/lines/{quote(found.line)}/value/what-if?{urlencode({word: _written(amount) for word, amount in changed.items()})}"
    change = texts["change"].format(
        amounts=", ".join(f"{says[word]} {_written(amount)}" for word, amount in changed.items()),
        now=in_words(found.now.threshold, beside=found.then.threshold),
        then=in_words(found.then.threshold, beside=found.now.threshold),
    )
    gained = texts["rows"].format(
        gain=f"{found.gain:+,.0f}",
        currency=found.currency,
        low=f"{found.gain_low:,.0f}",
        high=f"{found.gain_high:,.0f}",
        n=f"{found.n:,}",
    )
    return "; ".join([change, gained, *counts, address])


def _matrix(found: Any, decisions: Any, title: str) -> Confusion:
    """Return how many test rows a threshold decides in which way, and what they are worth."""
    worth: dict[str, float] = dict(zip(_WORDS, decisions.worth, strict=True))

    def rows(values: Mapping[str, float]) -> tuple[tuple[float, float], tuple[float, float]]:
        return (
            (values["true_negative"], values["false_positive"]),
            (values["false_negative"], values["true_positive"]),
        )

    return Confusion(
        title=title,
        classes=(found.other, found.positive),
        counts=rows({word: float(getattr(decisions, word)) for word in _WORDS}),
        money=rows(worth),
        currency=found.currency,
    )


def _curve(found: Any, title: str, worth: str, now: str, then: str) -> LineChart:
    """Return what the test rows are worth by threshold, with both thresholds on it."""
    marks = ((now, found.now), (then, found.then))
    return LineChart(
        title=title,
        x=Axis(label="threshold"),
        y=Axis(label=worth, unit=found.currency),
        lines=(
            Line(name=worth, points=tuple(Point(at=one.threshold, value=one.total) for one in found.curve)),
            *(Line(name=name, points=(Point(at=one.threshold, value=one.total),)) for name, one in marks),
        ),
    )


PAGES = (
    Page(
        at=(Entry("account", "/lines/{line}/value/account", "view", "What decisions were worth"),),
        template="value/account.html.jinja",
        read=_read_account,
        apart=_apart_account,
        is_form=True,
    ),
    Page(
        at=(Entry("value", "/goals", "view", "Goals and value", "look"),),
        template="value/goals.html.jinja",
        read=_read_goals,
        query=("q",),
    ),
    Page(
        at=(Entry("line-value", "/lines/{line}/value", "view", "Value", tab="Value", fits=decides),),
        template="value/line_value.html.jinja",
        read=_read_line_value,
    ),
    Page(
        at=(Entry("what-if", "/lines/{line}/value/what-if", "view", "What other amounts would change"),),
        template="value/what_if.html.jinja",
        read=_read_what_if,
        apart=_apart_what_if,
        query=(*_WORDS, "currency"),
        is_form=True,
    ),
)
