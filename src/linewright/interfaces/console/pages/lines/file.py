"""A line file: read, changed, checked while it is changed, and proposed."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page
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


PAGE = Page(template="lines/file.html.jinja", read=read)
