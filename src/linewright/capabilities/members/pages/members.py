"""People and tokens: who may do what."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page


def read(ask: Ask, _values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the members and the tokens."""
    return {"members": ask("member list").members, "tokens": ask("token list").tokens}


PAGE = Page(
    at=(Entry("people", "/people", "manage", "People and tokens", "care"),),
    template="members/members.html.jinja",
    read=read,
)
