"""Proposals: changes that wait for somebody's approval."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the proposals of the lines that somebody may see, also those that have ended if that is asked for."""
    lines = ask.identity.lines("view")
    asked = [None] if lines is None else sorted(lines)
    found = [
        each for line in asked for each in ask("proposals", line=line, all=bool(values["all"])).proposals
    ]
    return {
        "proposals": sorted(found, key=lambda each: each.at, reverse=True),
        "mine": ask("inbox").proposals,
    }


PAGE = Page(template="proposals.html.jinja", read=read, query=("all",), is_live=True)
