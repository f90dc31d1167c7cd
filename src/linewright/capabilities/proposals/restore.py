"""Proposals that a backup is restored: the vote permits it, and `restore` uses the approval once."""

from linewright.errors import Conflict, Denied, RequestError
from linewright.line.factory import Factory
from linewright.line.file.factory_file import FACTORY_FILE
from linewright.line.proposals.record import Look, find_proposal, look, one_at_a_time, propose
from linewright.line.proposals.rules import restore_rule
from linewright.people.facts import Applied, RestoreChange


def propose_restoring(factory: Factory, backup: str, *, because: str) -> Look:
    """Propose that a backup is restored."""
    rule = restore_rule(factory.file())
    if rule is None:
        raise RequestError(
            "nobody is named who may approve a restore",
            where=f"{factory.root / FACTORY_FILE}: approve.restore",
            hint="name roles or members there; a backup made before does not ask for approval",
        )
    change = RestoreChange(backup=backup)
    return propose(factory, "restore", change, rule, because=because, authors=[factory.identity.member])


def use_approval_of(factory: Factory, proposal: str, *, backup: str, head: str) -> Look:
    """Use the approval of a restore, which can be used once, and return the proposal."""
    with one_at_a_time(factory):
        found = look(factory, find_proposal(factory, proposal, permission="manage"))
        change, standing = found.change, found.standing
        if not isinstance(change, RestoreChange):
            raise Denied("this proposal is about no backup", where=proposal, found=found.proposed.change_kind)
        if change.backup != backup:
            raise Denied(
                "this proposal is about another backup",
                where=proposal,
                found=backup,
                allowed=change.backup,
                hint=f"propose this one: linewright propose-restore {backup}",
            )
        if standing.state != "approved":
            raise Conflict(
                f"the proposal is {standing.state}",
                where=proposal,
                found=f"{len(standing.approved)} of {found.proposed.needed} approvals",
                allowed="a proposal that is approved, and was not used",
                hint=f"linewright approve {proposal}"
                if standing.state == "open"
                else f"propose it again: linewright propose-restore {backup}",
            )
        if not factory.metadata.contains(head):
            raise Denied(
                "this backup is none of this factory: its record has another history",
                where=proposal,
                found=head,
                hint="name the factory that made the backup with --of",
            )
        factory.metadata.record(
            Applied(
                at=factory.now(),
                by=factory.actor,
                because=found.proposed.because,
                line="",
                proposal=proposal,
                change=found.proposed.change,
            )
        )
        return look(factory, found.proposed)
