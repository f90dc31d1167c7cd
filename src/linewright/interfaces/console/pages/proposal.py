"""A proposal: the exact change, what it stands on, and the votes."""

from collections.abc import Mapping
from typing import Any

from linewright.errors import NotFound
from linewright.interfaces.console.page import Ask, Page


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return one proposal.

    Raises
    ------
    NotFound
        If there is none of that id on the lines that somebody may see.
    """
    for listed in ask.of_lines("proposals", all=True):
        for each in listed.proposals:
            if each.proposal.startswith(values["proposal"]):
                about = ask.if_may("comments", line=each.line, about=each.proposal) if each.line else None
                is_mine = each.proposal in ask("inbox").proposals
                return {"one": each, "is_mine": is_mine, "comments": about.comments if about else ()}
    raise NotFound("no proposal has that id", found=values["proposal"], hint="/proposals lists them")


PAGE = Page(
    template="proposal.html.jinja",
    read=read,
    is_live=True,
    title=lambda values: f"Proposal {values['proposal'][:12]}",
)
