"""What `check` finds of a line's file and its data, with what fixes it."""

from collections.abc import Mapping
from typing import Any

from linewright.data.breach_text import breach_in_words
from linewright.interfaces.console.page import Entry, Page
from linewright.interfaces.console.remedies import with_remedies


def apart(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """Check the line, which reads its data."""
    return {"checked": ("check", {"lines": [values["line"]]})}


def read(_ask: object, _values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return how findings and breaches are said."""
    return {"with_remedies": with_remedies, "say": breach_in_words}


PAGE = Page(
    at=(Entry("file-check", "/lines/{line}/file/check", "plan", "What the data say"),),
    template="lines/file_check.html.jinja",
    read=read,
    apart=apart,
)
