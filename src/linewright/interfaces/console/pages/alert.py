"""An alert: then and now side by side, the evidence, and what the factory does about it."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return one alert with what it rests on."""
    shown = ask("alert", id=values["id"])
    return {"shown": shown, "claim": ask("why", evidence=shown.alert.id), "line": shown.alert.line}


PAGE = Page(
    template="alert.html.jinja",
    read=read,
    title=lambda values: f"Alert {values['id'].removeprefix('sha256:')[:12]}",
)
