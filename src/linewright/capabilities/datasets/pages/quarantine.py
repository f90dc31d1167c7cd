"""Quarantine: the rows that the contract kept out, each with its place in the source and the rule."""

from linewright.interfaces.console.page import Entry, Page

PAGE = Page(
    at=(Entry("quarantine", "/lines/{line}/quarantine", "view-rows", "Quarantine"),),
    template="datasets/quarantine.html.jinja",
    apart=lambda values: {"found": ("datasets", {"line": [values["line"]], "quarantine": ["true"]})},
)
