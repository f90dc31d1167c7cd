"""How a proposal stands: computed from what was proposed, voted and done, and from how things are; never stored."""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from linewright.people.facts import ChangeProposed, Voted

State = Literal["open", "approved", "declined", "withdrawn", "expired", "void", "done"]
"""``open``: it can be approved; ``approved``: by all it needs, and not applied yet; ``declined``: somebody was against it;
``withdrawn``: an author took it back; ``expired``: its time is over; ``void``: what it stands on is another; ``done``: it was applied."""
DAYS = 7
"""For how long a proposal can be approved."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a proposal stands at an instant."""

    state: State
    approved: tuple[Voted, ...] = ()
    """The approvals that count, one a member, oldest first."""
    declined: Voted | None = None
    withdrawn: Voted | None = None
    moved: tuple[str, ...] = ()
    """What it stands on that is another now, sorted."""


def standing_of(
    proposed: ChangeProposed,
    votes: Iterable[Voted],
    *,
    now: str,
    since: Mapping[str, str],
    under: Mapping[str, str],
    is_done: bool,
) -> Standing:
    """Return how a proposal stands."""
    mine = [one for one in votes if (one.proposal, one.change) == (proposed.id, proposed.change)]
    counted = {
        one.member: one
        for one in reversed(mine)
        if one.vote == "approve"
        and one.member not in proposed.authors
        and one.member in since
        and since[one.member] <= one.at < proposed.expires
    }
    approved = tuple(sorted(counted.values(), key=lambda one: (one.at, one.member)))
    declined = next((one for one in mine if one.vote == "decline"), None)
    withdrawn = next((one for one in mine if one.vote == "withdraw" and one.member in proposed.authors), None)
    moved = tuple(sorted(name for name, was in proposed.under.items() if under.get(name) != was))
    return Standing(
        state=_state(
            proposed,
            is_done=is_done,
            ended="declined" if declined else "withdrawn" if withdrawn else None,
            now=now,
            has_moved=bool(moved),
            approvals=len(approved),
        ),
        approved=approved,
        declined=declined,
        withdrawn=withdrawn,
        moved=() if is_done else moved,
    )


def _state(
    proposed: ChangeProposed,
    *,
    is_done: bool,
    ended: State | None,
    now: str,
    has_moved: bool,
    approvals: int,
) -> State:
    if is_done:
        return "done"
    if ended is not None:
        return ended
    if now >= proposed.expires:
        return "expired"
    if has_moved:
        return "void"
    return "approved" if approvals >= proposed.needed else "open"
