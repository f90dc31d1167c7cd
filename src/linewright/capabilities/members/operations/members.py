"""Operations about members: who may sign in, and what they may do."""

import msgspec

from linewright.line.factory import Factory
from linewright.line.file.line_tags import keep_tags, require_tags
from linewright.operations.declare import operation
from linewright.people.facts import Granted, MemberChanged
from linewright.people.preferences import remove_preferences
from linewright.people.spec import Role
from linewright.serve.access.accounts import Grant, Member, read_accounts
from linewright.serve.access.change_accounts import (
    Change,
    change,
    find_member,
    with_grants,
    with_member,
    without_member,
)


class MemberLine(msgspec.Struct, frozen=True, kw_only=True):
    """One member in a list."""

    member: str
    roles: tuple[str, ...]
    """Each role, with the lines that it is for: ``engineer`` or ``engineer on claims, parts and tags eu``."""
    created: str
    tokens: int
    """Tokens of theirs that are not revoked."""
    has_password: bool
    """Whether they have used an invitation, so that they can sign in."""
    provider: str
    """Issuer of the provider at which they sign in; empty for a password."""


class Members(msgspec.Struct, frozen=True, kw_only=True):
    """Who may sign in, by name."""

    members: tuple[MemberLine, ...]


@operation(permission="manage", effect="act")
def member_add(
    factory: Factory,
    name: str,
    /,
    *,
    role: Role,
    lines: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
) -> MemberLine:
    """Add a member with a role.

    Parameters
    ----------
    name
        How the record names them; also an address of e-mail.
    role
        What they may do: a viewer sees what lines do; an annotator labels too; an analyst sees rows, predicts and plans; an engineer
        also trains, promotes and halts; an approver approves; an admin looks after members, tokens and stored bytes.
    lines
        Names of the lines that the role is for (default: the whole factory).
    tags
        The role is for the lines that have one of these tags, too; without `lines`, for these alone.
    """
    grant = grant_of(factory, role, lines, tags)
    member = Member(created=factory.now(), grants=(grant,))
    return _changed(factory, name, with_member(name, member), "asked for")


@operation(permission="manage", effect="act")
def member_role(
    factory: Factory,
    name: str,
    role: Role,
    /,
    *,
    lines: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
    off: bool = False,
) -> MemberLine:
    """Give a member a role, or take it away; their tokens have it at once, and they sign in again.

    Parameters
    ----------
    name
        Name of the member.
    role
        The role.
    lines
        Names of the lines that it is for (default: the whole factory).
    tags
        It is for the lines that have one of these tags, too; without `lines`, for these alone.
    off
        Take exactly this role on exactly these lines and tags away.
    """
    grant = grant_of(factory, role, lines, tags)

    def grants(before: tuple[Grant, ...]) -> tuple[Grant, ...]:
        others = tuple(one for one in before if one != grant)
        return others if off else (*others, grant)

    return _changed(factory, name, with_grants(name, grants), "asked for")


@operation(permission="manage", effect="act")
def member_remove(factory: Factory, name: str, /) -> Members:
    """Remove a member with their saved views, sign them out and revoke their tokens.

    Parameters
    ----------
    name
        Name of the member.
    """
    at = factory.now()
    change(factory.state, without_member(name, at))
    remove_preferences(factory.state, name)
    factory.metadata.record(
        MemberChanged(at=at, by=factory.actor, because="asked for", line="", member=name, is_removed=True)
    )
    return member_list(factory)


@operation(permission="manage", effect="read")
def member_list(factory: Factory, /) -> Members:
    """List who may sign in, and what they may do."""
    accounts = read_accounts(factory.state)
    return Members(members=tuple(_line(factory, name) for name in sorted(accounts.members)))


def _changed(factory: Factory, name: str, how: Change, because: str) -> MemberLine:
    accounts = change(factory.state, how)
    roles = tuple(
        Granted(role=one.role, lines=one.lines, tags=one.tags) for one in find_member(accounts, name).grants
    )
    factory.metadata.record(
        MemberChanged(at=factory.now(), by=factory.actor, because=because, line="", member=name, roles=roles)
    )
    return _line(factory, name)


def _line(factory: Factory, name: str) -> MemberLine:
    accounts = read_accounts(factory.state)
    member = find_member(accounts, name)
    return MemberLine(
        member=name,
        roles=tuple(map(grant_in_words, member.grants)),
        created=member.created,
        tokens=sum(token.member == name and not token.revoked for token in accounts.tokens.values()),
        has_password=bool(member.password),
        provider=member.issuer,
    )


def grant_of(factory: Factory, role: str, lines: tuple[str, ...], tags: tuple[str, ...]) -> Grant:
    """Return a role on some lines.

    Raises
    ------
    NotFound
        If a line does not exist. A tag that no line has gives no right.
    RequestError
        If a tag is empty or too long.
    """
    for line in lines:
        factory.require(line)
    require_tags(tags)
    if tags:
        keep_tags(factory.root, factory.state)
    return Grant(role=role, lines=tuple(sorted(set(lines))), tags=tuple(sorted(set(tags))))


def grant_in_words(grant: Grant) -> str:
    """Return a role, with the lines that it is for.

    Examples
    --------
    >>> grant_in_words(Grant(role="engineer", lines=("claims", "parts")))
    'engineer on claims, parts'
    >>> grant_in_words(Grant(role="engineer", lines=("claims",), tags=("eu", "retail")))
    'engineer on claims and tags eu, retail'
    """
    tags = [f"tags {', '.join(grant.tags)}"] if grant.tags else []
    where = " and ".join([*([", ".join(grant.lines)] if grant.lines else []), *tags])
    return f"{grant.role} on {where}" if where else grant.role
