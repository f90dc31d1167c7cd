"""A member approves or declines a proposal; the last approval that is needed applies it."""

from typing import assert_never

from linewright.capabilities.proposals.line_file import replace_file
from linewright.errors import Conflict, Denied
from linewright.line.erasure import ErasureReport
from linewright.line.factory import Factory
from linewright.line.proposals.pending_subject import drop_subject
from linewright.line.proposals.preconditions import preconditions_of
from linewright.line.proposals.record import Look, find_proposal, look, one_at_a_time
from linewright.line.proposals.rules import voters
from linewright.line.record.registry import declared_before, judged, registration_of
from linewright.line.release.rollout import begin_trial, is_tried_first
from linewright.operations.table import CAPABILITIES
from linewright.people.facts import (
    Applied,
    ChangeProposed,
    ForgetChange,
    LineChange,
    PromotionChange,
    RestoreChange,
    Vote,
    Voted,
)
from linewright.release import promotion


def apply_change(factory: Factory, approved: Look) -> ErasureReport | None:
    """Apply an approved change; the caller holds `one_at_a_time`."""
    proposed, change = approved.proposed, approved.change
    forgot = None
    match change:
        case PromotionChange():
            _promote(factory, proposed, change)
            return None  # the promotion names the proposal: both are in the record or neither
        case LineChange():
            replace_file(factory, change)
        case ForgetChange():
            kept_by = next(each for each in CAPABILITIES if "forget" in each.changes)
            forgot = kept_by.load(kept_by.changes["forget"])(factory, proposed, change)
        case RestoreChange():
            return None  # `restore` makes another folder, and uses the approval
        case _:
            assert_never(change)
    factory.metadata.record(
        Applied(
            at=factory.now(),
            by=factory.actor,
            because=proposed.because,
            line=proposed.line,
            proposal=proposed.id,
            change=proposed.change,
        )
    )
    return forgot


def _promote(factory: Factory, proposed: ChangeProposed, change: PromotionChange) -> None:
    # The pointer is read before the look at what is under the change, and the promotion swaps exactly this pointer.
    line, on = change.line, factory.metadata.pointer(change.line)
    moved = [
        name for name, now in preconditions_of(factory, change).items() if proposed.under.get(name) != now
    ]
    if moved:
        raise Conflict(
            f"another {', '.join(moved)} than when it was proposed",
            where=proposed.id,
            hint="propose it again",
        )
    factory.artifacts.get(change.package)  # corrupt bytes are refused before anything moves
    if not change.forced and is_tried_first(factory, factory.line(line)):
        _try(factory, proposed, change)
    else:
        promotion.promote(
            factory.context,
            factory.serving,
            promotion.Candidate(
                line=change.line,
                model=change.model,
                package=change.package,
                certificate=None if change.forced else change.certificate,
            ),
            because=proposed.because,
            forced=change.forced,
            declared=declared_before(factory.metadata, change.line, change.package),
            proposal=proposed.id,
            on=on,
        )


def _try(factory: Factory, proposed: ChangeProposed, change: PromotionChange) -> None:
    found = judged(factory, change.line)[change.package]
    begin_trial(
        factory,
        factory.line(change.line),
        found.certificate,
        found.digest,
        registration_of(factory.metadata, change.line, change.package).run,
        because=proposed.because,
        proposal=proposed.id,
    )


def approve(factory: Factory, proposal: str, comment: str) -> tuple[Look, ErasureReport | None]:
    """Approve a proposal, and apply it if that was the last approval that it needed. Twice is once."""
    with one_at_a_time(factory):
        found = look(factory, find_proposal(factory, proposal, permission="approve"))
        _require_voter(factory, found)
        mine = any(one.member == factory.identity.member for one in found.standing.approved)
        if found.standing.state == "done" and mine:
            return found, None
        _require_live(found)
        if not mine:
            _record(factory, found, "approve", comment)
            found = look(factory, found.proposed)
        if found.standing.state != "approved":
            return found, None
        forgot = apply_change(factory, found)
        return look(factory, found.proposed), forgot


def apply_unless_it_waits(factory: Factory, proposed: Look) -> Look:
    """Apply a proposal that needs no approval, and return how it stands then; one that waits stays as it is."""
    if proposed.proposed.needed:
        return proposed
    with one_at_a_time(factory):
        found = look(factory, proposed.proposed)
        if found.standing.state == "approved":
            apply_change(factory, found)
        return look(factory, proposed.proposed)


def decline(factory: Factory, proposal: str, comment: str) -> Look:
    """Decline a proposal, or withdraw it as one of its authors, which ends it. Twice is once."""
    with one_at_a_time(factory):
        found = look(factory, find_proposal(factory, proposal, permission="view"))
        vote: Vote = "withdraw" if _is_author(factory, found.proposed) else "decline"
        if vote == "decline":
            factory.identity.require("approve", [found.proposed.line] if found.proposed.line else ())
            _require_voter(factory, found)
        before = found.standing.withdrawn if vote == "withdraw" else found.standing.declined
        if before is not None and before.member == factory.identity.member:
            return found
        _require_live(found)
        _record(factory, found, vote, comment)
        drop_subject(factory, found.proposed.id)
        return look(factory, found.proposed)


def _is_author(factory: Factory, proposed: ChangeProposed) -> bool:
    """Return whether who asks is an author, and has a right to ask for or decide such a change: a narrow token has none."""
    asks = ("manage",) if proposed.change_kind in {"forget", "restore"} else ("run", "release")
    is_able = any(factory.may(each, proposed.line) for each in (*asks, "approve"))
    return is_able and factory.identity.member in proposed.authors


def _record(factory: Factory, found: Look, vote: Vote, comment: str) -> None:
    factory.metadata.record(
        Voted(
            at=factory.now(),
            by=factory.actor,
            because=comment,
            line=found.proposed.line,
            proposal=found.proposed.id,
            change=found.proposed.change,
            vote=vote,
            member=factory.identity.member,
        )
    )


def _require_voter(factory: Factory, found: Look) -> None:
    proposed, name = found.proposed, factory.identity.member
    if not name:
        raise Denied(
            "only a member can decide about a proposal: nobody else is known to be somebody",
            where=proposed.id,
            found=factory.actor,
            allowed=", ".join(proposed.approvers),
            hint="act as a member: LINEWRIGHT_TOKEN=$(cat TOKEN) linewright ...",
        )
    if name in proposed.authors:
        raise Denied(
            "nobody approves their own change", where=proposed.id, found=name, hint="ask somebody else"
        )
    if name not in voters(factory, proposed):
        raise Denied(
            "this member is none of those who may decide about this proposal",
            where=proposed.id,
            found=name,
            allowed=", ".join(proposed.approvers),
        )


def _require_live(found: Look) -> None:
    if not found.is_live:
        standing = found.standing
        raise Conflict(
            f"the proposal is {standing.state}",
            where=found.proposed.id,
            found=f"another {', '.join(standing.moved)}" if standing.state == "void" else standing.state,
            allowed="a proposal that is open",
            hint=f"`linewright proposals {found.proposed.line or '--all'}` shows how it ended; if it is still wanted, propose it again",
        )
