"""Proposals: changes that wait for somebody's approval."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the proposals, also those that have ended if that is asked for."""
    return {"proposals": ask("proposals", line=None, all=bool(values["all"])).proposals}


PAGE = Page(template="proposals.html.jinja", read=read, query=("all",), is_live=True)
