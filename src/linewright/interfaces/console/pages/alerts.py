"""Alerts: what monitors found, and what the factory does about it."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the alerts, also those that are over if that is wanted."""
    over, line = bool(values["over"]), values["line"]
    listed = [ask("alerts", line=line, over=over)] if line else ask.of_lines("alerts", over=over)
    return {"alerts": [each for one in listed for each in one.alerts]}


PAGE = Page(template="alerts.html.jinja", read=read, query=("line", "over"), is_live=True)
