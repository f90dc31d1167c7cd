"""Pages of the console."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page


def _read_proposal(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return one proposal, and whether the viewer may decide about it."""
    one = ask("proposal", proposal=values["proposal"])
    about = ask.if_may("comments", line=one.line, about=one.proposal) if one.line else None
    return {
        "one": one,
        "is_mine": one.proposal in ask("inbox").proposals,
        "comments": about.comments if about else (),
    }


def _read_proposals(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the proposals of the lines that somebody may see, also those that have ended if that is wanted."""
    listed = ask.of_lines("proposals", all=bool(values["all"]))
    found = [each for one in listed for each in one.proposals]
    return {
        "proposals": sorted(found, key=lambda each: each.at, reverse=True),
        "mine": ask("inbox").proposals,
    }


PAGES = (
    Page(
        at=(Entry("proposal", "/proposals/{proposal}", "view", "Proposal"),),
        template="proposals/proposal.html.jinja",
        read=_read_proposal,
        is_live=True,
        title=lambda values: f"Proposal {values['proposal'][:12]}",
    ),
    Page(
        at=(Entry("proposals", "/proposals", "view", "Proposals", "decide"),),
        template="proposals/proposals.html.jinja",
        read=_read_proposals,
        query=("all",),
        is_live=True,
    ),
)
