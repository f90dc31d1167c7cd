"""Members and tokens, in one file of the state that both servers read: an endpoint must know a token without any database.

Nothing in it lets anybody in: of tokens, invitations and sessions, which are 256 random bits each, it has the SHA-256, and of a
password what Argon2 makes of it.
"""

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import msgspec
from msgspec.structs import replace

from linewright.errors import Corrupt
from linewright.serve.access.line_tags import UNTAGGED, Tagged
from linewright.serve.access.rights import ROLES, TOKEN_KINDS, Identity, Scope
from linewright.store.files.rights import read_owned

ACCESS_FILE = "access.json"
"""In the state folder."""
_MOST_BYTES = 16 << 20
"""More members and tokens than that nobody looks after."""
_RANDOM_BYTES = 32
"""256 bits: nobody guesses them, however often they ask."""


class Grant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A role, on the whole factory or on some lines."""

    role: str
    lines: tuple[str, ...] = ()
    """Names of lines; with no tags either it is the whole factory."""
    tags: tuple[str, ...] = ()
    """It is for the lines that have one of these tags too."""

    def scope(self, tagged: Tagged) -> Scope:
        """Return what it permits: nothing for an unknown role, and by tags only lines that have one now.

        Examples
        --------
        >>> Grant(role="viewer", tags=("eu",)).scope(Tagged({"claims": ("eu",)})).lines
        frozenset({'claims'})
        >>> Grant(role="viewer", tags=("eu",)).scope(UNTAGGED).lines, Grant(role="viewer").scope(UNTAGGED).lines
        (frozenset(), None)
        """
        permitted = ROLES.get(self.role) or TOKEN_KINDS.get(self.role) or frozenset[str]()
        is_whole = not self.lines and not self.tags
        return Scope(permissions=permitted, lines=None if is_whole else tagged.lines(self.lines, self.tags))


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """What lets a member choose a password, once."""

    sha256: str
    """Of the whole code, hexadecimal."""
    created: str
    expires: str


class Member(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person with roles."""

    created: str
    grants: tuple[Grant, ...] = ()
    password: str = ""
    """What Argon2 made of it, with its parameters and salt; empty where none was chosen yet."""
    invitation: Invitation | None = None
    issuer: str = ""
    """Provider that vouches for them; empty for a member who signs in with a password."""
    subject: str = ""
    """What the provider calls them: it never changes, and with the issuer says who it is."""


class Token(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a program sends in place of a person."""

    sha256: str
    """Of the whole token, hexadecimal."""
    name: str
    grant: Grant
    created: str
    expires: str
    """An instant; RFC 3339, UTC, with microseconds."""
    member: str = ""
    """Whose it is: it can do what both it and the member may. Empty for nobody's."""
    revoked: str = ""
    """When; empty as long as it is not."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What a member sends after signing in, until they sign out."""

    sha256: str
    """Of the whole secret, hexadecimal."""
    member: str
    """Empty for the owner's."""
    created: str
    expires: str


class Accounts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """All members, tokens and sessions of a factory."""

    version: int = 1
    members: Mapping[str, Member] = {}
    tokens: Mapping[str, Token] = {}
    """By the public part of the token."""
    sessions: Mapping[str, Session] = {}
    """By the public part of the secret."""
    owner_link: Invitation | None = None
    """What signs the owner in at a browser, once."""

    @cached_property
    def admins(self) -> tuple[str, ...]:
        """Names of the members who are admin of the whole factory, sorted."""
        whole = Grant(role="admin")
        return tuple(sorted(name for name, member in self.members.items() if whole in member.grants))

    @cached_property
    def uses_tags(self) -> bool:
        """Whether a grant is by tags."""
        return any(grant.tags for grant in self._grants())

    def _grants(self) -> Iterator[Grant]:
        for member in self.members.values():
            yield from member.grants
        for token in self.tokens.values():
            yield token.grant

    def identity(self, token: str, now: str, tagged: Tagged = UNTAGGED) -> Identity | None:
        """Return whose token or session this is; `None` if it is unknown, revoked, expired, or its member is gone."""
        found = self.tokens.get(public_part(token))
        if found is None:
            return self.signed_in(token, now, tagged)
        # Digests are compared: how long it takes says nothing about the token.
        return self._holder(found, now, tagged) if found.sha256 == sha256(token) else None

    def signed_in(self, secret: str, now: str, tagged: Tagged = UNTAGGED) -> Identity | None:
        """Return whose session this is, with the rights that they have now; `None` if there is none of that secret."""
        found = self._session(secret, now)
        member = None if found is None else self.members.get(found.member)
        if found is None or member is None:
            return None
        scopes = tuple(grant.scope(tagged) for grant in member.grants)
        return Identity(actor=found.member, member=found.member, scopes=scopes, admins=self.admins)

    def is_owners(self, secret: str, now: str) -> bool:
        """Whether this is a session of the owner, whom no member stands for."""
        found = self._session(secret, now)
        return found is not None and not found.member

    def _session(self, secret: str, now: str) -> Session | None:
        found = self.sessions.get(public_part(secret))
        return found if found is not None and found.sha256 == sha256(secret) and found.expires > now else None

    def signed_out(self, member: str) -> "Accounts":
        """Return the accounts without the sessions of a member."""
        sessions = {public: one for public, one in self.sessions.items() if one.member != member}
        return replace(self, sessions=sessions)

    def without_secrets(self) -> "Accounts":
        """Return the members alone, as a backup has them: who has it must not be let in by what was revoked since."""
        members = {name: replace(one, password="", invitation=None) for name, one in self.members.items()}
        return Accounts(members=members)

    def has_admin_token(self, now: str) -> bool:
        """Whether a token lets an admin of the whole factory in, so that the owner's is not needed."""
        holders = (self._holder(token, now, UNTAGGED) for token in self.tokens.values())
        return any(holder is not None and holder.allows("manage") for holder in holders)

    def _holder(self, token: Token, now: str, tagged: Tagged) -> Identity | None:
        member = self.members.get(token.member)
        if token.revoked or token.expires <= now or (token.member and member is None):
            return None
        scope = token.grant.scope(tagged)
        if member is None:
            return Identity(actor=f"token {token.name}", scopes=(scope,))
        return Identity(
            actor=f"{token.member} (token {token.name})",
            member=token.member,
            scopes=tuple(both(scope, grant.scope(tagged)) for grant in member.grants),
            admins=self.admins,
        )


def both(one: Scope, other: Scope) -> Scope:
    """Return what two scopes permit both.

    Examples
    --------
    >>> admin = Scope(permissions=ROLES["admin"])
    >>> both(admin, Scope(permissions=frozenset({"view"}), lines=frozenset({"claims"}))).lines
    frozenset({'claims'})
    """
    named = [scope.lines for scope in (one, other) if scope.lines is not None]
    lines = frozenset.intersection(*named) if named else None
    return Scope(permissions=one.permissions & other.permissions, lines=lines)


def public_part(token: str) -> str:
    """Return what names a token, and lets nobody in.

    Examples
    --------
    >>> public_part("lw_0a1b2c3d_secret"), public_part("something")
    ('0a1b2c3d', '')
    """
    prefix, _, rest = token.partition("_")
    return rest.partition("_")[0] if prefix == "lw" else ""


def new_secret() -> tuple[str, str]:
    """Make a secret of 256 random bits; return its public part, and the whole of it.

    Examples
    --------
    >>> public, secret = new_secret()
    >>> len(secret), public_part(secret) == public
    (55, True)
    """
    public = secrets.token_hex(4)
    return public, f"lw_{public}_{secrets.token_urlsafe(_RANDOM_BYTES)}"


def sha256(secret: str) -> str:
    """Return the SHA-256 of a secret of 256 random bits, hexadecimal: nothing slower is needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def noted(kept: str) -> str:
    """Return what the record says of a secret whose SHA-256 is kept: a digest of that, so that no entry of the file is made from a record."""
    return sha256(kept)


def read_accounts(state: Path) -> Accounts:
    """Return the members and tokens of a factory; empty without such a file."""
    path = state / ACCESS_FILE
    try:
        held = read_owned(
            path,
            _MOST_BYTES,
            what="others may read or change who may ask",
            hint="remove members and tokens that you do not know; then chmod 600",
        )
    except FileNotFoundError:
        return Accounts()
    try:
        accounts = msgspec.json.decode(held, type=Accounts)
    except msgspec.MsgspecError as error:
        raise Corrupt(
            "the file of members and tokens is damaged", where=str(path), found=str(error)
        ) from error
    if accounts.version != 1:
        raise Corrupt(
            "a newer Linewright wrote the members and tokens",
            where=str(path),
            found=str(accounts.version),
            allowed="1",
        )
    return accounts
