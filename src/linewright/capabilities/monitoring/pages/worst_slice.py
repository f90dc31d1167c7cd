"""The slice of rows in which what an alert found is worst; looking for it may take some seconds."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Entry, Page


def _apart(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    return {"found": ("worst-slice", {"id": [values["id"]]})}


PAGE = Page(
    at=(Entry("worst-slice", "/alerts/{id}/slice", "view", "The worst slice"),),
    template="monitoring/worst_slice.html.jinja",
    apart=_apart,
)
