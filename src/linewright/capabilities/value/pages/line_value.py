"""What the decisions of a line were worth, and what they would be with other amounts: both are worked out apart."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page, decides


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the path of the file that says the amounts."""
    return {"file": ask("line-file", line=values["line"]).path}


PAGE = Page(
    at=(Entry("line-value", "/lines/{line}/value", "view", "Value", tab="Value", fits=decides),),
    template="value/line_value.html.jinja",
    read=read,
)
