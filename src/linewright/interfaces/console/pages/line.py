"""A line: what serves, what happened, what waits."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return how one line stands."""
    line = values["line"]
    return {
        "now": ask("status", line=line).lines[0],
        "models": ask("models", line=line).models,
        "runs": ask("runs", line=line, limit=20).runs,
        "alerts": ask("alerts", line=line, over=True).alerts,
        "proposals": ask("proposals", line=line).proposals,
    }


PAGE = Page(template="line.html.jinja", read=read, is_live=True, title=lambda values: values["line"])
