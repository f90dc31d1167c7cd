"""How two dataset versions differ: rows, columns, and what the columns hold."""

from linewright.interfaces.console.page import Page

PAGE = Page(
    template="data/difference.html.jinja",
    apart=lambda values: {
        "found": ("datasets", {"line": [values["line"]], "diff": [values["before"], values["after"]]})
    },
    query=("before", "after"),
)
