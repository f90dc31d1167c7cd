"""A prediction: what was sent, what was predicted and by which model, and what turned out to be true."""

from collections.abc import Mapping
from typing import Any

from linewright.errors import NotFound
from linewright.interfaces.console.page import Ask, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a logged answer."""
    shown = ask("show", id=values["id"], line=values["line"] or None)
    if shown.kind != "prediction":
        raise NotFound(
            "no prediction has that id",
            found=values["id"][:80],
            hint=f"it is a {shown.kind}: /evidence/{values['id'][:80]}",
        )
    return {"body": shown.body, "line": shown.body["line"]}


PAGE = Page(
    template="prediction.html.jinja",
    read=read,
    query=("line",),
    title=lambda values: f"Prediction {values['id'][:13]}",
)
