"""The card of a version: what it is, sentence by sentence, each with its evidence."""

from linewright.interfaces.console.page import Entry, Page

PAGE = Page(
    at=(Entry("card", "/lines/{line}/versions/{version}/card", "view", "Card"),),
    template="evidence/card.html.jinja",
    apart=lambda values: {"card": ("card", {"model": [f"{values['line']}@{values['version']}"]})},
    title=lambda values: f"Card of {values['line']}@{values['version']}",
)
