"""Other amounts: sliders, and what the test rows of the champion would be worth with the threshold that they ask for."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

from linewright.charts import Axis, Confusion, Line, LineChart, Point
from linewright.interfaces.console.page import Ask, Entry, Page
from linewright.text.numbers import in_words

_WORDS = ("true_positive", "false_positive", "false_negative", "true_negative")
_LEAST_SPAN = 100.0


def apart(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """Ask what the amounts would change, which answers the test rows again."""
    asked = {name: [values[name]] for name in (*_WORDS, "currency") if values[name]}
    return {"found": ("what-if", {"line": [values["line"]], **asked})}


def read(_ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
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


PAGE = Page(
    at=(Entry("what-if", "/lines/{line}/value/what-if", "view", "What other amounts would change"),),
    template="value/what_if.html.jinja",
    read=read,
    apart=apart,
    query=(*_WORDS, "currency"),
    is_form=True,
)
