"""Members for whom a provider vouches: who they are, and what the groups that it names let them do."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from linewright.errors import Conflict, Denied, RequestError
from linewright.serve.access.accounts import Accounts, Grant, Member
from linewright.serve.access.change_accounts import require_name


class Begun(NamedTuple):
    """What a sign-in is known by at the provider; nothing of it is ever shown."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str


class Vouched(NamedTuple):
    """Whom a provider vouches for."""

    issuer: str
    """The provider."""
    subject: str
    """What it calls them, for ever."""
    name: str
    """What the record is to call them, if they are new; as the provider wrote it."""
    groups: tuple[str, ...]


class Entered(NamedTuple):
    """What becomes of somebody for whom a provider vouches."""

    accounts: Accounts
    """With them as a member, if they may enter; without their roles and sessions, if they had some and may not."""
    name: str
    """What the record calls them; empty if they have no account."""
    grants: tuple[Grant, ...]
    """What they may do; none lets nobody in."""
    is_changed: bool
    """Whether they are new, or could do something else before."""


def enter(accounts: Accounts, vouched: Vouched, roles: Mapping[str, Grant], now: str) -> Entered:
    """Return the accounts as they are once somebody came from a provider.

    A member who was here before keeps the name that they had then. Sessions end that have other roles.
    """
    grants = grants_of(vouched.groups, roles)
    name = member_of(accounts, vouched)
    if name:
        member = accounts.members[name]
        if set(member.grants) == set(grants):
            return Entered(accounts, name, member.grants, is_changed=False)
        members = {**accounts.members, name: replace(member, grants=grants)}
        return Entered(replace(accounts, members=members).signed_out(name), name, grants, is_changed=True)
    if not grants:
        return Entered(accounts, "", (), is_changed=False)
    name = member_name(vouched.name)
    if name in accounts.members:
        raise Conflict(
            "a member of this name is somebody else",
            where="sign-in",
            found=name,
            hint="an admin frees the name: linewright member remove NAME",
        )
    new = Member(created=now, grants=grants, issuer=vouched.issuer, subject=vouched.subject)
    members = {**accounts.members, name: new}
    return Entered(replace(accounts, members=members), name, grants, is_changed=True)


def member_of(accounts: Accounts, vouched: Vouched) -> str:
    """Return the name of the member who it is; empty if they are none."""
    who = (vouched.issuer, vouched.subject)
    return next((name for name, one in accounts.members.items() if (one.issuer, one.subject) == who), "")


def member_name(given: str) -> str:
    """Return the name of a member that a provider's name for them becomes.

    Examples
    --------
    >>> member_name("Ada@Example.org")
    'ada@example.org'
    """
    # Letters beyond ASCII are refused before: some become ASCII as small letters, and two names would be one.
    name = given.lower() if given.isascii() else given
    try:
        require_name(name, "sign-in")
    except RequestError as error:
        raise RequestError(
            "the provider's name for this person cannot be the name of a member",
            where="sign-in",
            found=given[:80],
            allowed=error.allowed,
            hint="sign_in: oidc: name_claim in factory.yaml names another claim",
        ) from error
    return name


def grants_of(groups: Collection[str], roles: Mapping[str, Grant]) -> tuple[Grant, ...]:
    """Return what the members of some groups may do, each role once.

    Examples
    --------
    >>> [one.role for one in grants_of(["b", "c"], {"a": Grant(role="admin"), "b": Grant(role="viewer")})]
    ['viewer']
    """
    return tuple(dict.fromkeys(grant for group, grant in roles.items() if group in groups))


def no_group(member: str = "") -> Denied:
    """Return the error of somebody who is in no group that has a role; a member who was here before is named in its details."""
    return Denied(
        "the provider names no group of yours that has a role here",
        where="sign-in",
        hint="sign_in: oidc: groups in factory.yaml says which have one",
        details={"member": member},
    )
