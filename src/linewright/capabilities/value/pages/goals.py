"""Goals, and what the decisions of lines were worth."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page

MOST = 100
"""Accounts that one page shows; a search finds the others."""


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the goals of the factory, and the value accounts of its lines, those that gained most first."""
    goals, wanted = ask.if_may("goals"), values["q"].strip().lower()
    lines = [each for each in ask.status.lines if wanted in each.line]
    counted = sorted((each for each in lines if each.value), key=lambda each: -each.value.account.gain)
    return {
        "goals": goals.goals if goals else (),
        "counted": counted[:MOST],
        "found": len(counted),
        "uncounted": [each.line for each in lines if not each.value],
    }


PAGE = Page(
    at=(Entry("value", "/goals", "view", "Goals and value", "look"),),
    template="value/goals.html.jinja",
    read=read,
    query=("q",),
)
