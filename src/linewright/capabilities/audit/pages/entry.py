"""An entry of the record: its fields, and what it is bound to."""

from collections.abc import Mapping
from typing import Any

import msgspec

from linewright.errors import NotFound
from linewright.interfaces.console.page import Ask, Entry, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return one entry."""
    number = int(values["number"]) if values["number"].isdecimal() and len(values["number"]) < 16 else 0
    found = ask("audit find", before=number + 1, limit=1).found
    if not found or found[0].number != number:
        raise NotFound("no entry has that number", found=values["number"][:40], hint="/audit lists them")
    return {"entry": found[0], "event": msgspec.json.decode(found[0].event)}


PAGE = Page(
    at=(Entry("entry", "/audit/{number}", "manage", "Entry"),),
    template="audit/entry.html.jinja",
    read=read,
    title=lambda values: f"Entry {values['number'][:16]}",
)
