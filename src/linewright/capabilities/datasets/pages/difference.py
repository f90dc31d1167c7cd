"""How two dataset versions differ: rows, columns, and what the columns hold."""

from linewright.interfaces.console.page import Entry, Page

PAGE = Page(
    at=(Entry("difference", "/lines/{line}/datasets/diff", "view", "Difference of two versions"),),
    template="datasets/difference.html.jinja",
    apart=lambda values: {
        "found": ("datasets", {"line": [values["line"]], "diff": [values["before"], values["after"]]})
    },
    query=("before", "after"),
)
