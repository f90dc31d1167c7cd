"""A proposal: the exact change, what it stands on, and the votes."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return one proposal, and whether the viewer may decide about it."""
    one = ask("proposal", proposal=values["proposal"])
    about = ask.if_may("comments", line=one.line, about=one.proposal) if one.line else None
    return {
        "one": one,
        "is_mine": one.proposal in ask("inbox").proposals,
        "comments": about.comments if about else (),
    }


PAGE = Page(
    at=(Entry("proposal", "/proposals/{proposal}", "view", "Proposal"),),
    template="proposals/proposal.html.jinja",
    read=read,
    is_live=True,
    title=lambda values: f"Proposal {values['proposal'][:12]}",
)
