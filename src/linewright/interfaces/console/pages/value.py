"""Goals, and what the decisions of lines were worth."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page


def read(ask: Ask, _values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the goals of the factory, and how each line stands."""
    goals = ask.if_may("goals")
    return {"goals": goals.goals if goals else (), "lines": ask.status.lines}


PAGE = Page(template="goals.html.jinja", read=read)
