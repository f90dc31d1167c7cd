"""Changes of members and tokens: each as a whole or not at all, one at a time."""

import fcntl
import os
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from linewright.errors import Conflict, NotFound, RequestError
from linewright.serve.access.accounts import (
    ACCESS_FILE,
    Accounts,
    Grant,
    Member,
    Token,
    new_secret,
    read_accounts,
    sha256,
)
from linewright.serve.access.rights import ROLES, TOKEN_KINDS
from linewright.store.files.rights import write_owned

Change = Callable[[Accounts], Accounts]
NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,62}")
"""Of members and tokens: also an address of e-mail."""


def change(state: Path, change: Change) -> Accounts:
    """Change the members and tokens of a factory, and return them as they are then."""
    state.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(state / "access.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        accounts = change(read_accounts(state))
        write_owned(state / ACCESS_FILE, msgspec.json.format(msgspec.json.encode(accounts)) + b"\n")
        return accounts
    finally:
        os.close(lock)


class Made(NamedTuple):
    """A new token."""

    id: str
    """Its public part, by which it is revoked."""
    token: str
    """The whole of it, which is kept nowhere."""
    kept: Token


def new_token(*, name: str, grant: Grant, member: str, created: str, expires: str) -> Made:
    """Make a token of 256 random bits.

    Examples
    --------
    >>> made = new_token(name="ci", grant=Grant(role="predict"), member="", created="2026-01-01", expires="2027-01-01")
    >>> len(made.token), made.kept.sha256 == sha256(made.token), made.id in made.token
    (55, True, True)
    """
    require_name(name, "name")
    _require_role(grant.role, {**ROLES, **TOKEN_KINDS})
    public, token = new_secret()
    kept = Token(
        sha256=sha256(token), name=name, grant=grant, member=member, created=created, expires=expires
    )
    return Made(public, token, kept)


def with_token(made: Made) -> Change:
    """Add a token."""

    def add(accounts: Accounts) -> Accounts:
        if made.kept.member:
            find_member(accounts, made.kept.member)
        same = [
            public
            for public, one in accounts.tokens.items()
            if one.name == made.kept.name and not one.revoked
        ]
        if same or made.id in accounts.tokens or made.id in accounts.sessions:
            raise Conflict(
                "a token has that name",
                found=made.kept.name,
                hint=f"linewright token revoke {made.kept.name}",
            )
        return replace(accounts, tokens={**accounts.tokens, made.id: made.kept})

    return add


def find_token(accounts: Accounts, name: str) -> str:
    """Return the public part of a token by its name, or by that part."""
    named = [public for public, one in accounts.tokens.items() if one.name == name and not one.revoked]
    if named or name in accounts.tokens:
        return named[0] if named else name
    there = sorted(one.name for one in accounts.tokens.values() if not one.revoked)
    raise NotFound("no token has that name", found=name, allowed=", ".join(there) or "(none yet)")


def without_token(name: str, at: str) -> Change:
    """Revoke a token, which stays in the list."""

    def revoke(accounts: Accounts) -> Accounts:
        public = find_token(accounts, name)
        kept = accounts.tokens[public]
        revoked = kept if kept.revoked else replace(kept, revoked=at)
        return replace(accounts, tokens={**accounts.tokens, public: revoked})

    return revoke


def with_member(name: str, member: Member) -> Change:
    """Add a member."""

    def add(accounts: Accounts) -> Accounts:
        require_name(name, "name")
        if name in accounts.members:
            raise Conflict(
                "there is a member of that name", found=name, hint=f"linewright member role {name} ROLE"
            )
        return replace(accounts, members={**accounts.members, name: member})

    return add


def with_grants(name: str, grants: Callable[[tuple[Grant, ...]], tuple[Grant, ...]]) -> Change:
    """Change what a member may do; they have to sign in again."""

    def set_grants(accounts: Accounts) -> Accounts:
        member = find_member(accounts, name)
        if member.issuer:
            raise Conflict(
                "the roles of this member come from the groups that a provider names",
                found=f"{name}, of {member.issuer}",
                hint="change the groups there, or sign_in: oidc: groups in factory.yaml",
            )
        changed = replace(member, grants=grants(member.grants))
        for grant in changed.grants:
            _require_role(grant.role, ROLES)
        after = replace(accounts, members={**accounts.members, name: changed})
        return _with_an_admin(accounts, after.signed_out(name))

    return set_grants


def without_member(name: str, at: str) -> Change:
    """Remove a member with their sessions, and revoke their tokens."""

    def remove(accounts: Accounts) -> Accounts:
        find_member(accounts, name)
        members = {one: member for one, member in accounts.members.items() if one != name}
        tokens = {
            public: replace(one, revoked=at) if one.member == name and not one.revoked else one
            for public, one in accounts.tokens.items()
        }
        after = replace(accounts, members=members, tokens=tokens)
        return _with_an_admin(accounts, after.signed_out(name))

    return remove


def find_member(accounts: Accounts, name: str) -> Member:
    """Return a member."""
    member = accounts.members.get(name)
    if member is None:
        raise NotFound(
            "no member has that name",
            found=name,
            allowed=", ".join(sorted(accounts.members)) or "(none yet)",
            hint=f"linewright member add {name} --role ROLE",
        )
    return member


def _with_an_admin(before: Accounts, after: Accounts) -> Accounts:
    if before.admins and not after.admins:
        raise Conflict(
            "nobody would be admin any more",
            found=", ".join(before.admins),
            hint="make another member admin first: linewright member role NAME admin",
        )
    return after


def require_name(name: str, where: str) -> None:
    """Refuse what cannot be the name of a member or a token."""
    if not NAME.fullmatch(name):
        allowed = "1 to 63 of a-z, 0-9 and . _ @ + -, beginning with a letter or a digit"
        raise RequestError("this cannot be a name", where=where, found=name[:80], allowed=allowed)


def _require_role(role: str, roles: Collection[str]) -> None:
    if role not in roles:
        raise RequestError("unknown role", where="role", found=role[:80], allowed=", ".join(roles))
