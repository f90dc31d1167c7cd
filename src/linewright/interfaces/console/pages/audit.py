"""Audit: the entries of the record, each bound to the one before."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page

SHOWN = 100


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a page of entries."""
    after = int(values["after"]) if values["after"].isdecimal() else 0
    return {"entries": ask("audit entries", after=after, limit=SHOWN)}


PAGE = Page(template="audit.html.jinja", read=read, query=("after",))
