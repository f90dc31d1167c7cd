"""Whose request it is: what both servers ask of each."""

import hmac
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from linewright.errors import LinewrightError, Unauthenticated
from linewright.serve.access.accounts import ACCESS_FILE, Accounts, public_part, read_accounts, sha256
from linewright.serve.access.control_token import TOKEN_FILE, TOKEN_PATH, read_token
from linewright.serve.access.last_use import EVERY_S, LastUse
from linewright.serve.access.line_tags import UNTAGGED, FollowedTags
from linewright.serve.access.refused import Refused
from linewright.serve.access.rights import Identity, owner
from linewright.store.clock import now_utc
from linewright.store.files.disk import explained

_MOST_KEPT = 1_000
LOOK_S = 0.2
"""How often it is looked whether members and tokens changed: a token that was revoked is of no use after that."""


class _Lasts(NamedTuple):
    """For how long what is known of a token may be used without another look."""

    until: float
    """On the monotonic clock."""
    expires: str
    """When the token expires, by the wall clock: one that jumps ends it at once."""


class Authenticator:
    """Whose a request is, by its token."""

    def __init__(
        self,
        token: str = "",
        *,
        state: Path | None = None,
        actor: str = "owner",
        now: Callable[[], str] = now_utc,
    ) -> None:
        self.state, self.now = state, now
        self._owner, self._digest = owner(actor), sha256(token) if token else ""
        self._accounts, self._seen, self._look_at = Accounts(), list[Any](), 0.0
        self._identities: dict[str, tuple[Identity, _Lasts]] = {}
        """Whose each token is, and for how long, as long as nothing changes."""
        self._admitted: dict[tuple[str, str, str | None], _Lasts] = {}
        """Header, right and line of what was admitted, and for how long, as long as nothing changes."""
        self._uses = None if state is None else LastUse(state)
        self._tags, self._tagged = None if state is None else FollowedTags(state), UNTAGGED
        self.refused = Refused(state, now=now)
        """Takes note of what was refused."""
        self._trouble: LinewrightError | None = None

    @property
    def owner(self) -> Identity:
        """Who the owner is, as the record says it."""
        return self._owner

    @property
    def accounts(self) -> Accounts:
        """The members and tokens, as they are now."""
        if self.state is not None and (now := monotonic()) >= self._look_at:
            self._look_at = now + LOOK_S
            self._follow(self.state)
        if self._trouble is not None:
            raise self._trouble
        return self._accounts

    def _follow(self, state: Path) -> None:
        path = state / ACCESS_FILE
        try:
            with explained(path, "the members and tokens"):
                found = path.stat() if os.path.lexists(path) else None
                seen = (
                    None
                    if found is None
                    else (found.st_mtime_ns, found.st_ino, found.st_size, found.st_mode, found.st_uid)
                )
                if self._seen != [seen]:
                    self._forget()
                    self._accounts, self._seen = read_accounts(state), [seen]
            self._trouble = None
            if self._tags is not None and self._accounts.uses_tags:
                before, self._tagged = self._tagged, self._tags.look()
                if self._tagged is not before:
                    self._forget()
        except LinewrightError as error:
            self._seen, self._trouble = [], error
            self._forget()

    def remembers(self, authorization: str, permission: str, line: str | None) -> bool:
        """Whether this was admitted before, and neither its token nor any right can have ended since; faster than `identify`."""
        known, now = self._admitted.get((authorization, permission, line)), monotonic()
        return known is not None and self._look_at > now and self._is_valid(known, now)

    def remember(self, authorization: str, permission: str, line: str | None) -> None:
        """Keep that a token's holder was admitted, for `remembers`; what the owner may do is not kept."""
        known = self._identities.get(bearer([authorization]))
        if known is not None:
            if len(self._admitted) >= _MOST_KEPT:
                self._admitted.clear()
            self._admitted[authorization, permission, line] = known[1]

    def _forget(self) -> None:
        self._identities.clear()
        self._admitted.clear()

    def identify(self, given: Sequence[str]) -> Identity:
        """Return whose request it is."""
        token = bearer(given)
        is_known = token in self._identities  # then it is somebody's, and not the owner's
        if not is_known and self._digest and hmac.compare_digest(sha256(token), self._digest):
            return self._as_owner()
        accounts = self.accounts
        seen = self._identities.get(token)
        if seen is not None and self._is_valid(seen[1], monotonic()):
            return seen[0]
        public = public_part(token)
        if public not in accounts.tokens:
            self._look_at = 0.0  # it may have been made a moment ago, and a session ends at once
            accounts = self.accounts
        found = accounts.identity(token, self.now(), self._tagged)
        if found is None:
            raise _refused("this token lets nobody in: it is unknown, revoked or expired")
        if public in accounts.sessions:
            return found
        if self._uses is not None:
            self._uses.note(public)
        if len(self._identities) >= _MOST_KEPT:
            self._identities.clear()
        self._identities[token] = found, _Lasts(monotonic() + EVERY_S, accounts.tokens[public].expires)
        return found

    def _is_valid(self, known: "_Lasts", now: float) -> bool:
        return known.until > now and known.expires > self.now()

    def identify_session(self, secret: str) -> Identity | None:
        """Return whose session it is; `None` if none has this secret: a token does not count."""
        self._look_at = 0.0
        accounts, now = self.accounts, self.now()
        return (
            self._as_owner()
            if accounts.is_owners(secret, now)
            else accounts.signed_in(secret, now, self._tagged)
        )

    def _as_owner(self) -> Identity:
        """Let the owner in, also where the members and tokens cannot be read: else nobody could halt a line from afar then."""
        try:
            has_admin = self.accounts.has_admin_token(self.now())
        except LinewrightError:
            has_admin = False
        if has_admin:
            raise Unauthenticated(
                "the owner's token is of no use since an admin has one",
                where="Authorization",
                allowed="Bearer TOKEN",
                hint="`linewright token create` makes one",
            )
        return self._owner


def bearer(given: Sequence[str]) -> str:
    """Return the token in the values of ``Authorization`` headers."""
    scheme, _, token = (given[0] if len(given) == 1 else "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _refused("a token is wanted" if not given else "not a bearer token")
    return token.strip()


def _refused(what: str) -> Unauthenticated:
    return Unauthenticated(
        what,
        where="Authorization",
        allowed="Bearer TOKEN",
        hint=f"`linewright token create` makes one; the owner's is in {TOKEN_PATH} of the factory's folder: "
        f'curl -H @<(echo "Authorization: Bearer $(cat {TOKEN_PATH})") …',
    )


def local_identity(state: Path, token: str, user: str) -> Identity:
    """Return who asks by a command in the factory's folder: whose token is given, else its owner.

    The owner of the folder can do everything to it. A token says who acts, and keeps a program to what it is for; that of the owner, for
    the control plane, says that it is the owner.
    """
    if not token or _is_owners(state, token):
        return owner(user)
    try:
        return Authenticator(state=state).identify([f"Bearer {token}"])
    except Unauthenticated as error:
        raise Unauthenticated(
            error.what,
            where="LINEWRIGHT_TOKEN",
            hint="unset LINEWRIGHT_TOKEN: in the factory's folder a command acts as its owner; `linewright token create` makes a token",
        ) from None


def _is_owners(state: Path, token: str) -> bool:
    """Return whether a token is that of the control plane's owner, whose file only the owner of the folder can read."""
    with suppress(OSError, LinewrightError):
        return hmac.compare_digest(read_token(state / TOKEN_FILE).encode(), token.encode())
    return False
