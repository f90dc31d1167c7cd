"""Pages of the console."""

from collections.abc import Mapping
from typing import Any

import msgspec

from linewright.errors import NotFound
from linewright.interfaces.console.page import Ask, Entry, Page

SHOWN = 100


def _read_audit(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a page of the entries that are looked for."""
    wanted = {name: values[name].strip() or None for name in ("actor", "line", "kind", "since", "until")}
    before = int(values["before"]) if values["before"].isdecimal() else None
    found = ask("audit find", **wanted, before=before, limit=SHOWN)
    because = [msgspec.json.decode(each.event).get("because", "") for each in found.found]
    return {"found": found, "because": because, "withheld": ask.status.withheld}


def _apart_audit_verify(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    against = values["against"].strip()
    return {"found": ("audit verify", {"against": [against]} if against else {})}


def _read_audit_verify(ask: Ask, _values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return when it is looked at."""
    return {"now": ask.factory.now()}


def _read_entry(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return one entry."""
    number = int(values["number"]) if values["number"].isdecimal() and len(values["number"]) < 16 else 0
    found = ask("audit find", before=number + 1, limit=1).found
    if not found or found[0].number != number:
        raise NotFound("no entry has that number", found=values["number"][:40], hint="/audit lists them")
    return {"entry": found[0], "event": msgspec.json.decode(found[0].event)}


PAGES = (
    Page(
        at=(Entry("audit", "/audit", "manage", "Audit", "care"),),
        template="audit/audit.html.jinja",
        read=_read_audit,
        query=("actor", "line", "kind", "since", "until", "before"),
    ),
    Page(
        at=(Entry("audit-verify", "/audit/verify", "view", "Record", "care", instead_of="audit"),),
        template="audit/audit_verify.html.jinja",
        apart=_apart_audit_verify,
        read=_read_audit_verify,
        query=("against",),
    ),
    Page(
        at=(Entry("entry", "/audit/{number}", "manage", "Entry"),),
        template="audit/entry.html.jinja",
        read=_read_entry,
        title=lambda values: f"Entry {values['number'][:16]}",
    ),
)
