"""An alert: then and now side by side, the evidence, and what the factory does about it."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return one alert with what it rests on."""
    shown = ask("alert", id=values["id"])
    line = shown.alert.line
    return {
        "shown": shown,
        "claim": ask("why", evidence=shown.alert.id),
        "line": line,
        "comments": ask("comments", line=line, about=shown.alert.id).comments,
    }


PAGE = Page(
    template="alert.html.jinja",
    read=read,
    title=lambda values: f"Alert {values['id'].removeprefix('sha256:')[:12]}",
)
