"""A profile: what the columns of a dataset version hold."""

from linewright.interfaces.console.page import Entry, Page

PAGE = Page(
    at=(Entry("profile", "/lines/{line}/datasets/{digest}/profile", "view", "Profile"),),
    template="datasets/profile.html.jinja",
    apart=lambda values: {"found": ("profile", {"line": [values["line"]], "dataset": [values["digest"]]})},
    title=lambda values: f"Profile of {values['digest'].removeprefix('sha256:')[:12]}",
)
