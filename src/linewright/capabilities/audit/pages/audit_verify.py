"""The record, verified: each entry against the one before."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page


def _apart(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    against = values["against"].strip()
    return {"found": ("audit verify", {"against": [against]} if against else {})}


def read(ask: Ask, _values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return when it is looked at."""
    return {"now": ask.factory.now()}


PAGE = Page(
    at=(Entry("audit-verify", "/audit/verify", "view", "Record", "care", instead_of="audit"),),
    template="audit/audit_verify.html.jinja",
    apart=_apart,
    read=read,
    query=("against",),
)
