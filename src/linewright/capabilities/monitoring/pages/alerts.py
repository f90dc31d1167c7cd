"""Alerts: what monitors found, and what the factory does about it."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page

_FEW = 5
"""Lines that are looked at one by one: to look at all of a thousand at once takes as long as six."""


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the alerts, also those that are over if that is wanted."""
    over, line = bool(values["over"]), values["line"]
    # Of a thousand lines few have an alert, and the others need not be looked at.
    lines = (
        [line]
        if line
        else [each.line for each in ask.status.lines if each.alerts or (over and each.alerts_over)]
    )
    if len(lines) > _FEW:
        listed = ask.of_lines("alerts", over=over)
    else:
        listed = [ask("alerts", line=each, over=over) for each in lines]
    found = [each for one in listed for each in one.alerts]
    return {"alerts": sorted(found, key=lambda each: each.at, reverse=True)}


PAGE = Page(
    at=(Entry("alerts", "/alerts", "view", "Alerts", "look"),),
    template="monitoring/alerts.html.jinja",
    read=read,
    query=("line", "over"),
    is_live=True,
)
