"""Who may approve what, and how many it takes: what the files in force say, and what members are."""

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Declared
from linewright.line.file.factory_file import FactoryFile
from linewright.line.spec import LineSpec
from linewright.people.facts import ChangeKind, ChangeProposed
from linewright.people.spec import ChangesSpec
from linewright.serve.access.accounts import Member, read_accounts
from linewright.serve.access.line_tags import UNTAGGED, Tagged


class Rule(NamedTuple):
    """Who may approve a change."""

    approvers: tuple[str, ...]
    """Roles on the line, and names of members."""
    needed: int


def promotion_rule(factory: Factory, line: str) -> Rule | None:
    """Return who may approve a promotion; `None` if the line wants no approval."""
    spec = spec_in_force(factory, line)
    if spec is None or not spec.release.approve:
        return None
    return Rule(spec.release.approve, spec.release.approvals)


def line_rule(factory: Factory, line: str, kind: ChangeKind) -> Rule:
    """Return who may approve a change of a line file."""
    spec = spec_in_force(factory, line)
    changes = spec.changes if spec else ChangesSpec()
    is_autonomy = kind == "autonomy-change" and changes.autonomy is not None
    return Rule((changes.autonomy or ()) if is_autonomy else changes.approve, changes.approvals)


def forget_rule(factory: Factory) -> Rule | None:
    """Return who may approve that data about a person go; `None` if the factory wants no approval."""
    approve = factory.file().approve
    return Rule(approve.forget, approve.approvals) if approve.forget else None


def restore_rule(spec: FactoryFile) -> Rule | None:
    """Return who may approve that a backup is restored; `None` if the file wants no approval."""
    approve = spec.approve
    return Rule(approve.restore, approve.approvals) if approve.restore else None


def is_free(factory: Factory) -> bool:
    """Return whether who asks needs nobody's approval: the owner, and anybody while there is no member who could give it."""
    return factory.identity.is_owner or not has_members(factory)


def has_members(factory: Factory) -> bool:
    """Return whether anybody could approve anything."""
    return bool(read_accounts(factory.state).members)


def spec_in_force(factory: Factory, line: str) -> LineSpec | None:
    """Return what a line file says; while it is wrong or gone, what the latest run was accepted with, if there was one."""
    try:
        return factory.line(line)
    except LinewrightError:
        accepted = factory.metadata.events(Accepted, line=line, newest_first=True, limit=1)
        kept = [factory.metadata.get(one.declared, Declared).spec for one in accepted]
        return LineSpec.model_validate(kept[0]) if kept else None


def may_approve(
    member: Member, name: str, line: str, approvers: tuple[str, ...], tagged: Tagged = UNTAGGED
) -> bool:
    """Return whether a member has the right to approve on a line, and is one of the approvers by name or by a role there.

    Examples
    --------
    >>> from linewright.serve.access.accounts import Grant
    >>> ada = Member(created="", grants=(Grant(role="approver", lines=("claims",)), Grant(role="engineer")))
    >>> may_approve(ada, "ada", "claims", ("approver",)), may_approve(ada, "ada", "parts", ("approver",))
    (True, False)
    >>> may_approve(ada, "ada", "claims", ("engineer",)), may_approve(ada, "ada", "claims", ("bob",))
    (True, False)
    """
    scopes = [(one.role, one.scope(tagged)) for one in member.grants]
    here = [(role, scope) for role, scope in scopes if scope.lines is None or line in scope.lines]
    has_right = any(scope.allows("approve", line) for _, scope in here)
    return has_right and (name in approvers or any(role in approvers for role, _ in here))


def voters(factory: Factory, proposed: ChangeProposed) -> Mapping[str, str]:
    """Return the members who may approve a proposal as things are, each with the time since when they are members."""
    lines = (proposed.line,)
    if proposed.change_kind in {"line-change", "autonomy-change"}:
        with suppress(LinewrightError):  # of a line that is gone
            lines = factory.lines_of_file(proposed.line)
    found = [approvers_of(factory, line, proposed.approvers) for line in lines]
    return {
        name: created
        for name, created in found[0].items()
        if name not in proposed.authors and all(name in others for others in found)
    }


def approvers_of(factory: Factory, line: str, approvers: tuple[str, ...]) -> dict[str, str]:
    """Return the members who may approve on a line as things are, each with the time since when they are members."""
    members, tagged = read_accounts(factory.state).members, _tagged(factory, line)
    return {
        name: member.created
        for name, member in members.items()
        if may_approve(member, name, line, approvers, tagged)
    }


def _tagged(factory: Factory, line: str) -> Tagged:
    """Return the tags of a line as its file is; none if it is wrong."""
    with suppress(LinewrightError):
        return Tagged({line: factory.line(line).tags})
    return UNTAGGED
