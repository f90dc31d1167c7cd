"""What the decisions of a line were worth, and what they would be with other amounts: both are worked out apart."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the path of the file that says the amounts."""
    return {"file": ask("line-file", line=values["line"]).path}


PAGE = Page(template="value/line_value.html.jinja", read=read)
