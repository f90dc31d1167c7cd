"""Audit: the entries of the record, each bound to the one before; who did what, to which line, when."""

from collections.abc import Mapping
from typing import Any

import msgspec

from linewright.interfaces.console.page import Ask, Page

SHOWN = 50
_SAID = frozenset({"kind", "version", "at", "by", "line", "because"})
"""Fields of an event that have a place of their own."""


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a page of the entries that are looked for."""
    wanted = {name: values[name].strip() or None for name in ("actor", "line", "kind", "since", "until")}
    before = int(values["before"]) if values["before"].isdecimal() else None
    found = ask("audit find", **wanted, before=before, limit=SHOWN)
    events = [msgspec.json.decode(each.event) for each in found.found]
    return {
        "found": found,
        "events": [
            {
                "because": event.get("because", ""),
                "fields": {name: event[name] for name in event if name not in _SAID},
            }
            for event in events
        ],
        "withheld": ask.status.withheld,
    }


PAGE = Page(
    template="audit.html.jinja", read=read, query=("actor", "line", "kind", "since", "until", "before")
)
