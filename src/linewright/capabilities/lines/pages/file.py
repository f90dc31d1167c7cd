"""A line file: read, changed, checked while it is changed, and proposed."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page
from linewright.interfaces.console.remedies import with_remedies


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the file of a line, and the changes of it that wait for approval."""
    line = values["line"]
    waiting = ask("proposals", line=line).proposals
    return {
        "file": ask("line-file", line=line),
        "waiting": [each for each in waiting if each.diff is not None],
        "with_remedies": with_remedies,
    }


PAGE = Page(
    at=(Entry("file", "/lines/{line}/file", "view", "Line file", tab="Line file"),),
    template="lines/file.html.jinja",
    read=read,
)
