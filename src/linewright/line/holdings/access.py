"""Members, tokens and sessions, and the tags by which rights are given: compared with the record and the line files."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from linewright.errors import Corrupt
from linewright.line.factory import Factory
from linewright.line.file.line_tags import wrong_tags
from linewright.line.holding import Archive, Check, Holding
from linewright.people.facts import MemberChanged, MemberInvited, SignedIn, TokenChanged
from linewright.serve.access.accounts import ACCESS_FILE, Accounts, Grant, Session, noted, read_accounts
from linewright.serve.access.line_tags import TAGS_FILE
from linewright.serve.access.sign_in import FIRST_ADMIN

MOVES_S = 0.5
"""Between a change of a small file and its event there is much less."""
_SIGNED_IN = 10_000
"""Newest events that are looked through for sessions of before their digest was noted."""


class Access(Holding):
    """Members, tokens and sessions."""

    name = "members, tokens and sessions"
    files = (ACCESS_FILE,)
    kept = r"access\.json"

    def verify(self, check: Check) -> None:
        """Compare each with its events; look again after a moment, since the file changes before its event is recorded."""
        path = check.factory.state / ACCESS_FILE
        found = check.guarded(lambda: list(_wrong_access(check.factory)))
        if found:
            time.sleep(MOVES_S)
            found = check.guarded(lambda: list(_wrong_access(check.factory)))
        for what, after in found or ():
            check.say(what, str(path), f"find out who wrote the file; {after}")

    def back_up(self, factory: Factory, archive: Archive) -> None:
        """Copy members without tokens and passwords: who has the file of a token would be let in again after it was revoked."""
        if (accounts := read_accounts(factory.state)).members:
            archive.add_bytes(factory.state / ACCESS_FILE, msgspec.json.encode(accounts.without_secrets()))

    def restored(self, state: Path) -> Iterator[str]:
        """Require that it brings no token and no password: they would let somebody in."""
        path = state / ACCESS_FILE
        if path.exists():
            path.chmod(0o600)
        try:
            found = read_accounts(state)
        except Corrupt as error:
            yield f"{ACCESS_FILE}: {error.found}"
            return
        if found != found.without_secrets():
            yield f"{ACCESS_FILE} with tokens or passwords"


class Tags(Holding):
    """Tags of lines, by which rights are given."""

    name = "tags of lines"
    files = (TAGS_FILE,)

    def verify(self, check: Check) -> None:
        """Compare them with the line files."""
        factory = check.factory
        for line in check.guarded(lambda: list(wrong_tags(factory.root, factory.state))) or ():
            check.say(
                f"{line} has other tags than its line file says, and rights by tags follow them",
                str(factory.state / TAGS_FILE),
                "remove the file: `linewright up` writes it again",
            )


def _wrong_access(factory: Factory) -> Iterator[tuple[str, str]]:
    accounts = read_accounts(factory.state)
    # Read after the file: who changes it records it then.
    yield from _wrong_members(factory, accounts)
    yield from _wrong_tokens(factory, accounts)
    yield from _wrong_sessions(factory, accounts)


def _wrong_members(factory: Factory, accounts: Accounts) -> Iterator[tuple[str, str]]:
    recorded = {one.member: one for one in factory.metadata.events(MemberChanged, line="")}
    invited = {one.member for one in factory.metadata.events(MemberInvited, line="")}
    for name in sorted({*accounts.members, *recorded}):
        event, member = recorded.get(name), accounts.members.get(name)
        said = {(one.role, one.lines, one.tags) for one in event.roles} if event is not None else set()
        may = {(one.role, one.lines, one.tags) for one in member.grants} if member is not None else set()
        if name == FIRST_ADMIN and name in invited:  # whom `up` made, with this role, as nobody could sign in
            said, may = said - {_ADMIN}, may - {_ADMIN}
        elif member is not None and (event is None or event.is_removed):
            yield (
                f"member {name} is there, and the record does not say so",
                f"linewright member remove {name}",
            )
            continue
        if said != may:
            yield (
                f"member {name} may do something else than the record says",
                f"linewright member role {name} ROLE says it again",
            )


_ADMIN = ("admin", Grant(role="admin").lines, Grant(role="admin").tags)


def _wrong_tokens(factory: Factory, accounts: Accounts) -> Iterator[tuple[str, str]]:
    recorded = {one.token: one for one in factory.metadata.events(TokenChanged, line="")}
    for public, token in sorted(accounts.tokens.items()):
        event, after = recorded.get(public), f"linewright token revoke {public}"
        if event is None:
            yield f"token {public} is there, and the record does not say so", after
            continue
        said = (event.name, event.role, event.lines, event.tags, event.member, event.expires)
        grant = token.grant
        kept = (token.name, grant.role, grant.lines, grant.tags, token.member, token.expires)
        is_other = bool(event.sha256) and event.sha256 != noted(token.sha256)
        if kept != said or is_other or (event.is_revoked and not token.revoked):
            yield f"token {public} is another one than the record says, or may do something else", after


def _wrong_sessions(factory: Factory, accounts: Accounts) -> Iterator[tuple[str, str]]:
    now, left = factory.now(), dict[str, Session]()
    for public, session in sorted(accounts.sessions.items()):
        if (
            session.expires > now
            and factory.metadata.newest_with(SignedIn, "session", noted(session.sha256)) is None
        ):
            left[public] = session
    if not left:
        return
    events = factory.metadata.events(SignedIn, line="", newest_first=True, limit=_SIGNED_IN)
    # Of before the digest was noted.
    recorded = {(one.member, one.at) for one in events if not one.session}
    for public, session in left.items():
        if (session.member, session.created) not in recorded:
            what = f"session {public} of {session.member or 'the owner'} is there, and the record does not say that they signed in"
            yield what, "sign out everywhere"
