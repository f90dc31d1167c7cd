"""A line: what serves, what is tried next to it, what was decided, what waits."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return how one line stands."""
    line = values["line"]
    models = ask("models", line=line).models
    runs = ask("runs", line=line, limit=8).runs
    roles = {each.role: each for each in reversed(models)}
    return {
        "now": ask("status", line=line).lines[0],
        "models": models,
        "champion": roles.get("champion"),
        "challenger": roles.get("challenger"),
        "runs": runs,
        "steps": ask("run-steps", run=runs[0].run).steps if runs else (),
        "history": ask("history", line=line, limit=30).entries,
        "alerts": ask("alerts", line=line, over=False).alerts,
        "proposals": ask("proposals", line=line).proposals,
        "scheduled": ask("schedule", line=line).tasks,
        "comments": ask("comments", line=line, about="").comments,
    }


PAGE = Page(
    at=(Entry("line", "/lines/{line}", "view", "Line", tab="Overview"),),
    template="overview/line.html.jinja",
    read=read,
    is_live=True,
    title=lambda values: values["line"],
)
