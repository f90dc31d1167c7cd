"""Saved views: pages with their filters that somebody keeps for themselves."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page


def read(ask: Ask, _values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the saved views of the viewer."""
    return {"views": ask("views").views}


PAGE = Page(
    at=(Entry("views", "/views", "view", "Saved views"),), template="inbox/views.html.jinja", read=read
)
