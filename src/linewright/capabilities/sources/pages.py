"""Pages of the console."""

from collections.abc import Mapping

from linewright.interfaces.console.page import Entry, Page

_MOST = 10
"""Lines of a page: their files are parsed for it."""


def _asked(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, list[str]]]]:
    if values["line"]:
        return {"found": ("sources", {"line": [values["line"]]})}
    return {"found": ("sources", {"after": [values["after"]], "limit": [str(_MOST)]})}


PAGES = (
    Page(
        at=(Entry("sources", "/sources", "view", "Sources", "look"),),
        template="sources/sources.html.jinja",
        apart=_asked,
        query=("line", "after"),
    ),
)
