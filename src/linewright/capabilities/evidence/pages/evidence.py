"""Evidence: what an id stands for, what it says, and what that rests on."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page

_NO_CLAIM = frozenset({"artifact", "column", "prediction", "run"})
"""Kinds that rest on nothing that has an id."""


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what an id stands for, and what that rests on."""
    shown = ask("show", id=values["id"])
    return {
        "shown": shown,
        "claim": None if shown.kind in _NO_CLAIM else ask("why", evidence=shown.id),
    }


PAGE = Page(
    at=(Entry("evidence", "/evidence/{id}", "view", "Evidence"),),
    template="evidence/evidence.html.jinja",
    read=read,
    query=("line",),
    title=lambda values: f"Evidence {values['id'].removeprefix('sha256:')[:12]}",
)
