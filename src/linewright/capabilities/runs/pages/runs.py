"""Runs: what was trained and evaluated, newest first."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page

SHOWN = 100


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the newest runs that somebody may see, of one line if one is named."""
    line = values["line"]
    listed = [ask("runs", line=line, limit=SHOWN)] if line else ask.of_lines("runs", limit=SHOWN)
    found = [each for one in listed for each in one.runs]
    return {
        "runs": sorted(found, key=lambda each: each.at, reverse=True)[:SHOWN],
        "names": sorted(each.line for each in ask.status.lines),
        "shown": SHOWN,
    }


PAGE = Page(
    at=(Entry("runs", "/runs", "view", "Runs", "look"),),
    template="runs/runs.html.jinja",
    read=read,
    query=("line",),
    is_live=True,
)
