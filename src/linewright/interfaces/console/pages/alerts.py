"""Alerts: what monitors found, and what the factory does about it."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the alerts, also those that are over if that is wanted."""
    over, line = bool(values["over"]), values["line"]
    if line or not over:
        # Of a thousand lines few have an alert, and the others need not be looked at.
        lines = [line] if line else [each.line for each in ask.status.lines if each.alerts]
        listed = [ask("alerts", line=each, over=over) for each in lines]
    else:
        listed = ask.of_lines("alerts", over=over)
    found = [each for one in listed for each in one.alerts]
    return {"alerts": sorted(found, key=lambda each: each.at, reverse=True)}


PAGE = Page(template="alerts.html.jinja", read=read, query=("line", "over"), is_live=True)
