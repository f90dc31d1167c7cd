"""Rows of a dataset version: the data that everything else rests on."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Entry, Page


def _apart(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    given = {
        "line": values["line"],
        "dataset": values["digest"],
        "split": values["split"],
        "part": values["part"],
    }
    given |= {"after": values["after"]}
    if values["column"] and values["value"]:
        given["where"] = f"{values['column']}={values['value']}"
    return {"found": ("rows", {name: [value] for name, value in given.items() if value})}


PAGE = Page(
    at=(Entry("rows", "/lines/{line}/datasets/{digest}/rows", "view-rows", "Rows"),),
    template="datasets/rows.html.jinja",
    apart=_apart,
    query=("split", "part", "column", "value", "after"),
    title=lambda values: f"Rows of {values['digest'].removeprefix('sha256:')[:12]}",
)
