"""The inbox: what waits for somebody, newest first."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page

MOST = 200
"""Things that are shown."""


def read(ask: Ask, _values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what waits, and the instant of the newest comment that names the viewer."""
    items = ask("inbox").items
    mentions = [one.at for one in items if one.kind == "mention"]
    return {"items": items[:MOST], "found": len(items), "until": max(mentions, default="")}


PAGE = Page(
    at=(Entry("inbox", "/inbox", "view", "Inbox", "look"),),
    template="inbox/inbox.html.jinja",
    read=read,
    is_live=True,
)
