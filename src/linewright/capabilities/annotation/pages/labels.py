"""How far annotation is, how far annotators agree, and what the last labels changed."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Entry, Page, is_known_to_people


def apart(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """Ask for the status, which computes agreement and effect."""
    return {"now": ("annotate status", {"line": [values["line"]]})}


PAGE = Page(
    at=(Entry("labels", "/lines/{line}/labels", "view", "Labels", tab="Labels", fits=is_known_to_people),),
    template="annotation/labels.html.jinja",
    apart=apart,
    is_form=True,
)
