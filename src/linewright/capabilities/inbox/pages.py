"""Pages of the console."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page

MOST = 200
"""Things that are shown."""


def _read_inbox(ask: Ask, _values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what waits, and the instant of the newest comment that names the viewer."""
    items = ask("inbox").items
    mentions = [one.at for one in items if one.kind == "mention"]
    return {"items": items[:MOST], "found": len(items), "until": max(mentions, default="")}


def _read_views(ask: Ask, _values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the saved views of the viewer."""
    return {"views": ask("views").views}


PAGES = (
    Page(
        at=(Entry("inbox", "/inbox", "view", "Inbox", "look"),),
        template="inbox/inbox.html.jinja",
        read=_read_inbox,
        is_live=True,
    ),
    Page(
        at=(Entry("views", "/views", "view", "Saved views"),),
        template="inbox/views.html.jinja",
        read=_read_views,
    ),
)
