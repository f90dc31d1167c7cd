"""Proposals: changes that wait for somebody's approval."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the proposals of the lines that somebody may see, also those that have ended if that is wanted."""
    listed = ask.of_lines("proposals", all=bool(values["all"]))
    found = [each for one in listed for each in one.proposals]
    return {
        "proposals": sorted(found, key=lambda each: each.at, reverse=True),
        "mine": ask("inbox").proposals,
    }


PAGE = Page(
    at=(Entry("proposals", "/proposals", "view", "Proposals", "decide"),),
    template="proposals/proposals.html.jinja",
    read=read,
    query=("all",),
    is_live=True,
)
