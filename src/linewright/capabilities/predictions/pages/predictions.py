"""Predictions: the answers that a line gave last, and the search for some of them."""

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from linewright.errors import RequestError
from linewright.interfaces.console.page import Ask, Entry, Page, Rows

SHOWN = 50
"""Answers of one page."""
MOST_ROWS = 10_000
"""Answers of one CSV file."""
_QUERY = ("key", "model", "answer", "since", "until", "least", "most", "order")


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a page of answers, and the same with more of them for a file."""
    by, line = values["model"], values["line"]
    if by and not by.isdecimal():
        raise RequestError("not a version", where="model", found=by[:40], allowed="a number, such as 3")
    found = ask(
        "predictions",
        line=line,
        key=values["key"].strip() or None,
        by=int(by) if by else None,
        answer=values["answer"] or None,
        between=_ends(values["since"], values["until"]),
        probability=_ends(values["least"], values["most"]),
        order=values["order"] or "newest",
        before=values["before"] or None,
        limit=MOST_ROWS if values["all"] else SHOWN,
    )
    some = found.predictions or ask("predictions", line=line, limit=1).predictions
    answer = some[0].answer if some else {}
    classes = tuple(answer.get("probabilities", ()))
    positive = classes[-1] if classes and "threshold" in answer else None
    return {
        "listed": found,
        "answers": found.predictions[:SHOWN],
        "models": ask("models", line=line).models,
        "classes": classes,
        "positive": positive,
        "is_scored": "score" in answer,
        "rows": _rows(found.predictions, positive),
        "most_rows": MOST_ROWS,
        "is_filtered": any(values[name] for name in _QUERY),
        "address": partial(_address, values),
    }


def _ends(low: str, high: str) -> str | None:
    return f"{low.strip()}/{high.strip()}" if low.strip() or high.strip() else None


def _address(values: Mapping[str, str], **changes: str) -> str:
    changed = {**values, **changes}
    kept = {name: changed[name] for name in (*_QUERY, "before", "all") if changed[name]}
    return f"/lines/{quote(values['line'])}/predictions?{urlencode(kept)}"


def _rows(found: tuple[Any, ...], positive: str | None) -> Rows:
    return Rows(
        (
            *("id", "at", "key", "model", "arm", "answer"),
            f"probability of {positive}" if positive else "probability",
            "label",
        ),
        [
            (
                *(each.id, each.at, each.key, each.model, each.arm),
                _cell(each.answer.get("prediction")),
                _probability(each.answer, positive),
                None if each.label is None else each.label.label,
            )
            for each in found
        ],
    )


def _probability(answer: Mapping[str, Any], positive: str | None) -> float | None:
    shares = answer.get("probabilities")
    return shares.get(positive or answer.get("prediction")) if shares else None


def _cell(said: Any) -> str | float | None:
    return said if said is None or isinstance(said, str | int | float) else str(said)


PAGE = Page(
    at=(Entry("predictions", "/lines/{line}/predictions", "view-rows", "Predictions", tab="Predictions"),),
    template="predictions/predictions.html.jinja",
    read=read,
    query=(*_QUERY, "before", "all"),
)
