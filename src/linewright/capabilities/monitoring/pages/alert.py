"""An alert: then and now side by side, the evidence, and what the factory does about it."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page

_WINDOWS = 120
"""Windows in which the quality before an alert is looked for."""


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return one alert with what it rests on."""
    shown = ask("alert", id=values["id"])
    line = shown.alert.line
    is_quality = shown.alert.monitor == "performance"
    seen = ask("monitors", line=line, windows=_WINDOWS).quality if is_quality else ()
    return {
        "shown": shown,
        "quality": [each for each in seen if each.end <= (shown.alert.over or shown.alert.at)],
        "claim": ask("why", evidence=shown.alert.id),
        "line": line,
        "comments": ask("comments", line=line, about=shown.alert.id).comments,
    }


PAGE = Page(
    at=(Entry("alert", "/alerts/{id}", "view", "Alert"),),
    template="monitoring/alert.html.jinja",
    read=read,
    title=lambda values: f"Alert {values['id'].removeprefix('sha256:')[:12]}",
)
