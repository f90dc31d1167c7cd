"""Whose request it is: what both servers ask of each."""

import hmac
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from time import monotonic

from linewright.errors import LinewrightError, Unauthenticated
from linewright.serve.access.control_token import TOKEN_PATH
from linewright.serve.access.known import ACCESS_FILE, Known, public_part, read_known, sha256
from linewright.serve.access.last_use import EVERY_S, LastUse
from linewright.serve.access.rights import Identity, owner
from linewright.store.clock import now_utc

_MOST_KEPT = 1_000
LOOK_S = 0.2
"""How often it is looked whether members and tokens changed: a token that was revoked is of no use after that."""


class Access:
    """Whose a request is, by its token.

    Parameters
    ----------
    token
        What `control_token` returned; it is the owner's until an admin has a token. Its digest alone is kept. Empty where the owner's
        is not taken.
    state
        State folder of the factory, whose members and tokens are followed; `None` for none.
    actor
        What the record says of the owner.
    now
        The time, for tokens that expire.
    """

    def __init__(
        self,
        token: str = "",
        *,
        state: Path | None = None,
        actor: str = "owner",
        now: Callable[[], str] = now_utc,
    ) -> None:
        self._state, self._now = state, now
        self._owner, self._digest = owner(actor), sha256(token) if token else ""
        self._known, self._seen, self._look_at = Known(), None, 0.0
        self._identities: dict[str, tuple[Identity, float]] = {}
        """Whose each header is, and until when on the monotonic clock, as long as nothing changes."""
        self._uses = None if state is None else LastUse(state)
        self._trouble: LinewrightError | OSError | None = None

    @property
    def known(self) -> Known:
        """The members and tokens, as they are now.

        Raises
        ------
        LinewrightError, OSError
            If they cannot be read: nobody is let in then.
        """
        if self._state is not None and (now := monotonic()) >= self._look_at:
            self._look_at = now + LOOK_S
            self._follow(self._state)
        if self._trouble is not None:
            raise self._trouble
        return self._known

    def _follow(self, state: Path) -> None:
        try:
            found = (state / ACCESS_FILE).stat()
            seen = found.st_mtime_ns, found.st_ino, found.st_size, found.st_mode, found.st_uid
        except FileNotFoundError:
            seen = ()
        except OSError as error:
            self._seen, self._trouble = None, error
            return
        if seen == self._seen:
            return
        self._identities.clear()
        try:
            self._known, self._seen, self._trouble = read_known(state), seen, None
        except (LinewrightError, OSError) as error:
            self._seen, self._trouble = None, error

    def identify(self, given: Sequence[str]) -> Identity:
        """Return whose request it is.

        Parameters
        ----------
        given
            The values of its ``Authorization`` headers.

        Raises
        ------
        Unauthenticated
            If there is not exactly one, or it is not ``Bearer`` with a token that lets somebody in.
        """
        known, header = self.known, given[0] if len(given) == 1 else ""
        seen = self._identities.get(header)
        if seen is not None and seen[1] > monotonic():
            return seen[0]
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise _refused("a token is wanted" if not given else "not a bearer token")
        if self._digest and hmac.compare_digest(sha256(token), self._digest):
            if not known.has_admin_token:
                return self._owner
            raise _refused("the owner's token is of no use since an admin has one")
        found = known.identity(token, self._now())
        if found is None:
            self._look_at = 0.0  # it may have been made a moment ago
            known = self.known
            found = known.identity(token, self._now())
        if found is None:
            raise _refused("this token lets nobody in: it is unknown, revoked or expired")
        public = public_part(token)
        if self._uses is not None:
            self._uses.note(public)
        if len(self._identities) >= _MOST_KEPT:
            self._identities.clear()
        left = datetime.fromisoformat(known.tokens[public].expires) - datetime.fromisoformat(self._now())
        self._identities[header] = found, monotonic() + min(left.total_seconds(), EVERY_S)
        return found


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

    The owner of the folder can do everything to it. A token says who acts, and keeps a program to what it is for.

    Raises
    ------
    Unauthenticated
        If the token lets nobody in.
    """
    return Access(state=state).identify([f"Bearer {token}"]) if token else owner(user)
