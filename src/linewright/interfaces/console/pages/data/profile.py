"""A profile: what the columns of a dataset version hold."""

from linewright.interfaces.console.page import Page

PAGE = Page(
    template="data/profile.html.jinja",
    apart=lambda values: {"found": ("profile", {"line": [values["line"]], "dataset": [values["digest"]]})},
    title=lambda values: f"Profile of {values['digest'].removeprefix('sha256:')[:12]}",
)
