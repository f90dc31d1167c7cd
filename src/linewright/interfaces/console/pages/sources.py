"""Sources: what lines read, when they read it last, and how that went."""

from linewright.interfaces.console.page import Page

PAGE = Page(
    template="sources.html.jinja",
    apart=lambda values: {"found": ("sources", {"line": [values["line"]]} if values["line"] else {})},
    query=("line",),
)
