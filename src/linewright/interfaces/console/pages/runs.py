"""Runs: what was trained and evaluated, newest first."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page

SHOWN = 100


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the newest runs, of one line if one is named."""
    return {
        "runs": ask("runs", line=values["line"] or None, limit=SHOWN).runs,
        "names": sorted(each.line for each in ask.status.lines),
        "shown": SHOWN,
    }


PAGE = Page(template="runs.html.jinja", read=read, query=("line",), is_live=True)
