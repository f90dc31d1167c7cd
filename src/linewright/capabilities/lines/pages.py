"""Pages of the console."""

from collections.abc import Mapping
from typing import Any

from linewright.data.breach_text import breach_in_words
from linewright.interfaces.console.page import Ask, Entry, Page
from linewright.interfaces.console.remedies import with_remedies


def _read_file(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the file of a line, and the changes of it that wait for approval."""
    line = values["line"]
    waiting = ask("proposals", line=line).proposals
    return {
        "file": ask("line-file", line=line),
        "waiting": [each for each in waiting if each.diff is not None],
        "with_remedies": with_remedies,
    }


def _apart_file_check(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """Check the line, which reads its data."""
    return {"checked": ("check", {"lines": [values["line"]]})}


def _read_file_check(_ask: object, _values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return how findings and breaches are said."""
    return {"with_remedies": with_remedies, "say": breach_in_words}


PAGES = (
    Page(
        at=(Entry("file", "/lines/{line}/file", "view", "Line file", tab="Line file"),),
        template="lines/file.html.jinja",
        read=_read_file,
    ),
    Page(
        at=(Entry("file-check", "/lines/{line}/file/check", "plan", "What the data say"),),
        template="lines/file_check.html.jinja",
        read=_read_file_check,
        apart=_apart_file_check,
    ),
)
