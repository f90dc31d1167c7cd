"""Audit: the entries of the record, each bound to the one before; who did what, to which line, when."""

from collections.abc import Mapping
from typing import Any

import msgspec

from linewright.interfaces.console.page import Ask, Entry, Page

SHOWN = 100


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a page of the entries that are looked for."""
    wanted = {name: values[name].strip() or None for name in ("actor", "line", "kind", "since", "until")}
    before = int(values["before"]) if values["before"].isdecimal() else None
    found = ask("audit find", **wanted, before=before, limit=SHOWN)
    because = [msgspec.json.decode(each.event).get("because", "") for each in found.found]
    return {"found": found, "because": because, "withheld": ask.status.withheld}


PAGE = Page(
    at=(Entry("audit", "/audit", "manage", "Audit", "care"),),
    template="audit/audit.html.jinja",
    read=read,
    query=("actor", "line", "kind", "since", "until", "before"),
)
