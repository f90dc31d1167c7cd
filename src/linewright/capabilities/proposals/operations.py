"""Operations."""

from typing import TypeVar

import msgspec

from linewright.capabilities.lines.operations import PlanResult, planned
from linewright.capabilities.lines.proposed_text import read_proposed
from linewright.capabilities.proposals.comparison import Comparison, compared
from linewright.capabilities.proposals.line_file import difference, may_read, propose_file
from linewright.capabilities.proposals.vote import apply_unless_it_waits
from linewright.capabilities.proposals.vote import approve as approve_proposal
from linewright.capabilities.proposals.vote import decline as decline_proposal
from linewright.errors import RequestError
from linewright.line.erasure import ErasureReport
from linewright.line.factory import Factory
from linewright.line.proposals.record import Look, all_of, find_proposal, look
from linewright.line.proposals.rules import voters
from linewright.model.facts import Certificate
from linewright.model.gates.text import certificate_in_words
from linewright.operations.declare import operation
from linewright.operations.parameter import LineText
from linewright.people.facts import (
    ChangeKind,
    ForgetChange,
    LineChange,
    PromotionChange,
    RestoreChange,
    Voted,
)
from linewright.people.proposals import State


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """What a member said of a proposal."""

    member: str
    at: str
    comment: str


class ProposalLine(msgspec.Struct, frozen=True, kw_only=True):
    """One proposal: an exact change, and how it stands."""

    proposal: str
    """Its id."""
    kind: ChangeKind
    line: str
    change: str
    """Digest of the exact change."""
    state: State
    by: str
    """Who asked."""
    authors: tuple[str, ...]
    """Members whose change it is: they may not approve it."""
    at: str
    expires: str
    because: str
    """The reason that was given."""
    approvers: tuple[str, ...]
    """Roles on the line and names of members; each who is one of them may approve."""
    voters: tuple[str, ...]
    """Names of the members who are one of them as things are, and no author."""
    needed: int
    """How many approvals it takes."""
    approved: tuple[Vote, ...]
    """The approvals that count now, one a member."""
    declined: Vote | None
    withdrawn: Vote | None = None
    """By one of its authors."""
    under: dict[str, str]
    """What it stands on, by name."""
    moved: tuple[str, ...]
    """What of that is another now, so that it is void."""
    model: str | None = None
    """Of a promotion, as LINE@VERSION."""
    forced: bool = False
    """Of a promotion, whether it overrules the gates."""
    certificate: str | None = None
    """Of a promotion, the digest of the certificate; `None` if there is none."""
    verdict: str | None = None
    """What that says, with its reason."""
    diff: str | None = None
    """Of a line file, how it differs from the one in force; `None` where that is another than it was proposed on."""
    removes: dict[str, int] | None = None
    """Of a removal, how many predictions, rows and rows in quarantine there were when it was proposed."""
    backup: str | None = None
    """Of a restore, the digest of the file."""
    next: tuple[str, ...] = ()
    """Commands of which one is fitting now."""


class Waits(ProposalLine, frozen=True, kw_only=True):
    """A proposal that takes the place of the request."""

    @property
    def exit_code(self) -> int:
        """4: the request is not done."""
        return 0 if self.state == "done" else 4


class Approved(ProposalLine, frozen=True, kw_only=True):
    """A proposal that was approved, and what that did."""

    forgot: ErasureReport | None = None
    """What was removed, if this approval removed something."""

    @property
    def exit_code(self) -> int:
        """0, or that of the removal."""
        return 0 if self.forgot is None else self.forgot.exit_code


class Proposals(msgspec.Struct, frozen=True, kw_only=True):
    """Proposals, newest first."""

    proposals: tuple[ProposalLine, ...]


@operation(permission="view", effect="read")
def proposals(factory: Factory, line: str | None = None, /, *, all: bool = False) -> Proposals:  # noqa: A002 -- the word of the command
    """List the changes that wait for somebody's approval.

    Parameters
    ----------
    line
        Name of one line (default: all).
    all
        Also those that are done, declined, withdrawn, expired or void.
    """
    if line is not None:
        factory.require(line)
    looks = [look(factory, one) for one in reversed(all_of(factory, line))]
    return Proposals(
        proposals=tuple(line_of(factory, one, ProposalLine) for one in looks if all or one.is_live)
    )


class ProposalDetail(ProposalLine, frozen=True, kw_only=True):
    """One proposal, with what it changes in figures."""

    comparison: Comparison | None = None
    """Of a promotion, what it replaces by what."""


@operation(permission="view", effect="read", checks_lines=True)
def proposal(factory: Factory, proposal: str, /) -> ProposalDetail:
    """Show one proposed change: what is replaced by what, in figures, and how it stands.

    Parameters
    ----------
    proposal
        Its id, as `proposals` lists it.
    """
    found = look(factory, find_proposal(factory, proposal, permission="view"))
    shown = line_of(factory, found, ProposalDetail)
    if not isinstance(found.change, PromotionChange):
        return shown
    return msgspec.structs.replace(shown, comparison=compared(factory, found.proposed, found.change))


@operation(permission="approve", effect="act", checks_lines=True, expensive=True)
def approve(factory: Factory, proposal: str, /, *, comment: str = "") -> Approved:
    """Approve a proposed change; the last approval that it needs applies it.

    Only a member whom the proposal names, or whose role on the line it names, may approve, and nobody their own change. Nothing is
    changed where anything that the proposal stands on has moved.

    Parameters
    ----------
    proposal
        Its id, as `proposals` lists it.
    comment
        Why, for the record.
    """
    found, forgot = approve_proposal(factory, proposal, comment)
    return msgspec.structs.replace(line_of(factory, found, Approved), forgot=forgot)


@operation(permission="view", effect="act", checks_lines=True)
def decline(factory: Factory, proposal: str, /, *, comment: str = "") -> ProposalLine:
    """Decline a proposed change, which ends the proposal.

    Who may approve it may decline it. An author withdraws it so.

    Parameters
    ----------
    proposal
        Its id, as `proposals` lists it.
    comment
        Why, for the record.
    """
    return line_of(factory, decline_proposal(factory, proposal, comment), ProposalLine)


P = TypeVar("P", bound=ProposalLine)


def line_of(factory: Factory, found: Look, kind: type[P]) -> P:
    """Return a proposal as it is listed."""
    proposed, standing = found.proposed, found.standing
    listed = kind(
        proposal=proposed.id,
        kind=proposed.change_kind,
        line=proposed.line,
        change=proposed.change,
        state=standing.state,
        by=proposed.by,
        authors=proposed.authors,
        at=proposed.at,
        expires=proposed.expires,
        because=proposed.because,
        approvers=proposed.approvers,
        voters=tuple(sorted(voters(factory, proposed))),
        needed=proposed.needed,
        approved=tuple(map(_vote, standing.approved)),
        declined=None if standing.declined is None else _vote(standing.declined),
        withdrawn=None if standing.withdrawn is None else _vote(standing.withdrawn),
        under=proposed.under,
        moved=standing.moved,
        next=_next(found),
    )
    match found.change:
        case PromotionChange() as change:
            certificate = change.certificate and factory.metadata.get(change.certificate, Certificate)
            return msgspec.structs.replace(
                listed,
                model=f"{change.line}@{change.model}",
                forced=change.forced,
                certificate=change.certificate,
                verdict=f"{certificate.verdict}: {certificate_in_words(certificate)}"
                if certificate
                else None,
            )
        case LineChange() as change:
            return msgspec.structs.replace(
                listed, diff=(difference(factory, change) or None) if found.is_live else None
            )
        case ForgetChange() as change:
            removes = {name: getattr(change, name) for name in ("predictions", "rows", "quarantined")}
            return msgspec.structs.replace(listed, removes=removes)
        case RestoreChange() as change:
            return msgspec.structs.replace(listed, backup=change.backup)


def _vote(voted: Voted) -> Vote:
    return Vote(member=voted.member, at=voted.at, comment=voted.because)


def _next(found: Look) -> tuple[str, ...]:
    one, line = found.proposed.id, found.proposed.line
    if found.proposed.change_kind == "restore" and found.standing.state == "approved":
        return (f"linewright restore FILE --approval {one} --of FACTORY --factory NEW-FOLDER",)
    if found.is_live:
        return tuple(f'linewright {word} {one} --comment "why"' for word in ("approve", "decline"))
    if found.standing.state == "done" and found.proposed.change_kind in {"line-change", "autonomy-change"}:
        return (f"linewright run {line}",)
    return (f"linewright status {line}".rstrip(),)


class ProposedFile(ProposalLine, frozen=True, kw_only=True):
    """A line file that was proposed, and what a run of it would change."""

    plan: PlanResult | None = None
    """`None` if it asks a database something else, and who proposes may not train the line: then nothing is read."""


@operation(permission="plan", effect="propose", expensive=True)
def propose(factory: Factory, line: str, file: LineText, /, *, because: str = "") -> ProposedFile:
    """Propose another line file, and say what a run of it would change; nothing else changes until it is approved.

    `changes` of the file in force says who may approve it. The file is checked as `check` does but for the data, and its exact text is
    kept. The approval replaces the file only if it is still the one that this was proposed on. While the line has no model, its author
    needs no approval to change what it does with the same data, and the file is replaced at once; the owner of the factory, who may write to
    the file itself, never needs one. A query that is not in the file in force is only sent for those who may run the line.

    Parameters
    ----------
    line
        Name of the line.
    file
        The file with the new text; over HTTP, the text itself.
    because
        Why, for those who are to approve it.
    """
    if not because.strip():
        raise RequestError(
            "whoever is to approve a change wants to know why", where="--because", hint='add --because "why"'
        )
    spec = read_proposed(factory, line, file)
    plan = planned(factory, spec) if may_read(factory, spec) else None
    look = apply_unless_it_waits(factory, propose_file(factory, spec, file, because=because))
    found = line_of(factory, look, ProposedFile)
    return msgspec.structs.replace(found, plan=plan)
