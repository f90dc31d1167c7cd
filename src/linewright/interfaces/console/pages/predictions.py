"""Predictions: the answers that a line gave last, and the search for one."""

from collections.abc import Mapping
from typing import Any

from linewright.errors import RequestError
from linewright.interfaces.console.page import Ask, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a page of answers."""
    by = values["model"]
    if by and not by.isdecimal():
        raise RequestError("not a version", where="model", found=by[:40], allowed="a number, such as 3")
    return {
        "listed": ask(
            "predictions",
            line=values["line"],
            key=values["key"].strip() or None,
            by=int(by) if by else None,
            before=values["before"] or None,
        ),
        "models": ask("models", line=values["line"]).models,
    }


PAGE = Page(template="predictions.html.jinja", read=read, query=("key", "model", "before"))
