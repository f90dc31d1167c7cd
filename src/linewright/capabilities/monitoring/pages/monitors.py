"""Monitors: drift by column, traffic and quality of a line, window by window."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page

WINDOWS = 28
"""Windows that are shown: more would be too much for one page."""


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what monitors saw, and the alerts of the line."""
    line = values["line"]
    return {
        "found": ask("monitors", line=line, windows=WINDOWS),
        "alerts": ask("alerts", line=line, over=True).alerts,
    }


PAGE = Page(
    at=(Entry("monitors", "/lines/{line}/monitors", "view", "Monitors", tab="Monitors"),),
    template="monitoring/monitors.html.jinja",
    read=read,
)
