"""Changes of the accounts by which members get in and out: invitations, passwords, sessions."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from linewright.errors import Conflict, Denied, Unauthenticated
from linewright.serve.access.accounts import (
    Accounts,
    Grant,
    Invitation,
    Member,
    Session,
    new_secret,
    public_part,
    read_accounts,
    sha256,
)
from linewright.serve.access.change_accounts import Change, change, find_member
from linewright.store.clock import later

SESSION_MICROS = 12 * 3_600 * 1_000_000
"""How long a session lasts."""
INVITATION_MICROS = 24 * 3_600 * 1_000_000
"""How long an invitation lasts by default."""
MOST_SESSIONS = 100
"""Of one member; the oldest gives way."""
OWNER = ""
"""Name under which the owner's sessions are kept: no member has it."""
FIRST_ADMIN = "admin"
"""Name of the member that is made where nobody can sign in."""


class Secret(NamedTuple):
    """An invitation or a session that was made."""

    code: str
    """The whole of it, which is kept nowhere."""
    member: str
    expires: str


def invite(state: Path, member: str, now: str, *, micros: int = INVITATION_MICROS) -> Secret:
    """Give a member an invitation, in place of an earlier one."""
    _, code = new_secret()
    expires = later(now, micros)
    change(state, _with_invitation(member, Invitation(sha256=sha256(code), created=now, expires=expires)))
    return Secret(code, member, expires)


def first_invitation(state: Path, now: str) -> str | None:
    """Return an invitation for a first admin, who is added if missing; `None` if a member can sign in.

    The one before ends: the code in the log of an old start is of no use.
    """
    if any(member.password or member.issuer for member in read_accounts(state).members.values()):
        return None
    _, code = new_secret()
    made = Invitation(sha256=sha256(code), created=now, expires=later(now, INVITATION_MICROS))
    role = Grant(role="admin")

    def invite_first(accounts: Accounts) -> Accounts:
        first = accounts.members.get(FIRST_ADMIN) or Member(created=now)
        grants = first.grants if role in first.grants else (*first.grants, role)
        members = {**accounts.members, FIRST_ADMIN: replace(first, grants=grants)}
        return _with_invitation(FIRST_ADMIN, made)(replace(accounts, members=members))

    change(state, invite_first)
    return code


def owner_link(state: Path, now: str) -> Secret:
    """Return what signs the owner in at a browser, once, in place of an earlier one; who can write the state folder is the owner."""
    _, code = new_secret()
    link = Invitation(sha256=sha256(code), created=now, expires=later(now, INVITATION_MICROS))
    change(state, lambda accounts: replace(accounts, owner_link=link))
    return Secret(code, OWNER, link.expires)


def begin_owner_session(
    state: Path, code: str, now: str, *, instead: str = "", first: "Callable[[Secret], None] | None" = None
) -> Secret:
    """Use the owner's link up, and sign the owner in; parameters as of `begin_session`."""
    begun = _Begun.make(OWNER, now, first)

    def add(accounts: Accounts) -> Accounts:
        link = accounts.owner_link
        if link is None or link.sha256 != sha256(code) or link.expires <= now:
            raise Denied(
                "this link lets nobody in: it is unknown, used or expired",
                where="code",
                hint="make another on the machine of the factory: linewright console",
            )
        return begun.added(replace(accounts, owner_link=None), instead=instead)

    change(state, add)
    return begun.secret


class _Begun(NamedTuple):
    """A session that is not kept yet."""

    public: str
    session: Session
    secret: Secret
    first: Callable[[Secret], None] | None

    @classmethod
    def make(cls, member: str, now: str, first: Callable[[Secret], None] | None) -> "_Begun":
        public, code = new_secret()
        made = Session(sha256=sha256(code), member=member, created=now, expires=later(now, SESSION_MICROS))
        return cls(public, made, Secret(code, member, made.expires), first)

    def added(self, accounts: Accounts, *, instead: str) -> Accounts:
        """Return the accounts with it, without the one in whose place it is, and without what has expired."""
        if self.first is not None:
            self.first(self.secret)
        now, member = self.session.created, self.session.member
        lasting = {one: kept for one, kept in _without(accounts, instead).items() if kept.expires > now}
        own = sorted((kept.created, one) for one, kept in lasting.items() if kept.member == member)
        for _, oldest in own[: max(0, len(own) + 1 - MOST_SESSIONS)]:
            del lasting[oldest]
        return replace(accounts, sessions={**lasting, self.public: self.session})


def _with_invitation(name: str, invitation: Invitation) -> Change:
    def add(accounts: Accounts) -> Accounts:
        found = find_member(accounts, name)
        if found.issuer:
            raise Conflict(
                "this member signs in at a provider, and has no password",
                found=f"{name}, of {found.issuer}",
                hint="linewright login URL --browser, or /sign-in in a browser",
            )
        member = replace(found, invitation=invitation)
        return replace(accounts, members={**accounts.members, name: member})

    return add


def invited(accounts: Accounts, code: str, now: str) -> str:
    """Return whom a code invites."""
    digest = sha256(code)
    for name, member in accounts.members.items():
        found = member.invitation
        if found is not None and found.sha256 == digest and found.expires > now:
            return name
    raise Denied(
        "this invitation lets nobody in: it is unknown, used or expired",
        where="invitation",
        hint="an admin makes another: linewright member invite NAME",
    )


def with_password(code: str, password: str, now: str) -> Change:
    """Use an invitation up: its member gets a password, of which this is kept, and has to sign in again."""

    def join(accounts: Accounts) -> Accounts:
        name = invited(accounts, code, now)
        member = replace(accounts.members[name], password=password, invitation=None)
        return replace(accounts, members={**accounts.members, name: member}).signed_out(name)

    return join


def begin_session(
    state: Path,
    member: str,
    now: str,
    *,
    password: str = "",
    vouched: tuple[str, str] = ("", ""),
    instead: str = "",
    first: "Callable[[Secret], None] | None" = None,
) -> Secret:
    """Sign a member in by a session that is new."""
    begun = _Begun.make(member, now, first)

    def add(accounts: Accounts) -> Accounts:
        found = accounts.members.get(member)
        is_same = found is not None and (found.password, found.issuer, found.subject) == (password, *vouched)
        if not is_same or begun.public in accounts.tokens:
            raise wrong_credentials()
        return begun.added(accounts, instead=instead)

    change(state, add)
    return begun.secret


def end_session(state: Path, secret: str) -> bool:
    """End a session; return whether there was one of this secret."""
    if len(_without(before := read_accounts(state), secret)) == len(before.sessions):
        return False
    change(state, lambda accounts: replace(accounts, sessions=_without(accounts, secret)))
    return True


def wrong_credentials() -> Unauthenticated:
    """Return the error of somebody who is not signed in: the same for each name."""
    return Unauthenticated(
        "no member has this name and this password",
        where="sign-in",
        hint="an admin lets a member choose another password: linewright member invite NAME",
    )


def _without(accounts: Accounts, secret: str) -> dict[str, Session]:
    ended = accounts.sessions.get(public := public_part(secret))
    is_right = ended is not None and ended.sha256 == sha256(secret)
    return {one: kept for one, kept in accounts.sessions.items() if not (is_right and one == public)}
