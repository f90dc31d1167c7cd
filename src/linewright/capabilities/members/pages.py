"""Pages of the console."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page


def _read_members(ask: Ask, _values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the members and the tokens."""
    return {"members": ask("member list").members, "tokens": ask("token list").tokens}


PAGES = (
    Page(
        at=(Entry("people", "/people", "manage", "People and tokens", "care"),),
        template="members/members.html.jinja",
        read=_read_members,
    ),
)
