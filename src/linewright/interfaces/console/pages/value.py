"""Goals, and what the decisions of lines were worth."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page


def read(ask: Ask, _values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the goals of the factory, and how each line stands."""
    return {"goals": ask("goals").goals, "lines": ask("status").lines}


PAGE = Page(template="goals.html.jinja", read=read)
