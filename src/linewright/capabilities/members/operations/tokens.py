"""Operations about tokens: what programs send in place of a person."""

from typing import ClassVar, Literal

import msgspec

from linewright.capabilities.members.operations.members import grant_in_words, grant_of
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.operations.declare import operation
from linewright.operations.parameter import Duration
from linewright.people.facts import TokenChanged
from linewright.serve.access.accounts import Accounts, Token, noted, read_accounts
from linewright.serve.access.change_accounts import change, find_token, new_token, with_token, without_token
from linewright.serve.access.last_use import last_use
from linewright.store.clock import later
from linewright.text.durations import duration_micros

Kind = Literal[
    "predict",
    "feedback",
    "push",
    "metrics",
    "agent",
    "viewer",
    "annotator",
    "analyst",
    "engineer",
    "approver",
    "admin",
]
LONGEST_DAYS = 730


class TokenLine(msgspec.Struct, frozen=True, kw_only=True):
    """One token in a list."""

    name: str
    id: str
    """Its public part."""
    may: str
    """Its kind, with the lines that it is for."""
    member: str
    """Whose it is; empty for nobody's."""
    created: str
    expires: str
    state: str
    """``valid``, ``expired`` or ``revoked``."""
    last_use: str | None
    """To the minute; `None` if never."""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """All tokens, by name."""

    tokens: tuple[TokenLine, ...]


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was made."""

    is_secret: ClassVar[bool] = True

    token: str
    """The token itself, which is stored nowhere."""
    name: str
    id: str
    may: str
    expires: str


@operation(permission="manage", effect="act")
def token_create(
    factory: Factory,
    name: str,
    /,
    *,
    kind: Kind,
    lines: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
    member: str | None = None,
    expires: Duration = "90d",
) -> NewToken:
    """Make a token, and print it this once.

    Programs send it as ``Authorization: Bearer TOKEN``; commands take it from ``LINEWRIGHT_TOKEN``.

    Parameters
    ----------
    name
        How lists and the record name it.
    kind
        What it may do: predict, send labels (feedback), send rows of sources (push), read metrics, look and predict (agent), or what a role may.
    lines
        Names of the lines that it is for (default: the whole factory).
    tags
        It is for the lines that have one of these tags, too; without `lines`, for these alone.
    member
        Whose it is: then it can do no more than this member (default: nobody's).
    expires
        After how long it lets nobody in any more, at most 730d.
    """
    micros = duration_micros(expires)
    if not 0 < micros <= duration_micros(f"{LONGEST_DAYS}d"):
        raise RequestError(
            "a token cannot last so long", where="expires", found=expires, allowed=f"up to {LONGEST_DAYS}d"
        )
    grant = grant_of(factory, kind, lines, tags)
    at = factory.now()
    made = new_token(
        name=name,
        grant=grant,
        member=member or "",
        created=at,
        expires=later(at, micros),
    )

    def add(accounts: Accounts) -> Accounts:
        with_it = with_token(made)(accounts)
        # First: a kill in between leaves no token of which the record has nothing.
        _record(factory, at, made.id, made.kept)
        return with_it

    change(factory.state, add)
    return NewToken(
        token=made.token,
        name=name,
        id=made.id,
        may=grant_in_words(made.kept.grant),
        expires=made.kept.expires,
    )


@operation(permission="manage", effect="act")
def token_revoke(factory: Factory, name: str, /) -> TokenLine:
    """Revoke a token: within a second it lets nobody in.

    Parameters
    ----------
    name
        Its name, or its public part.
    """
    at = factory.now()
    public = find_token(read_accounts(factory.state), name)
    accounts = change(factory.state, without_token(public, at))
    _record(factory, at, public, accounts.tokens[public])
    return _line(factory, public, accounts.tokens[public])


@operation(permission="manage", effect="read")
def token_list(factory: Factory, /) -> Tokens:
    """List all tokens, with what they may do and their last use."""
    accounts = read_accounts(factory.state).tokens
    lines = [_line(factory, public, token) for public, token in accounts.items()]
    return Tokens(tokens=tuple(sorted(lines, key=lambda line: (line.name, line.created))))


def _line(factory: Factory, public: str, token: Token) -> TokenLine:
    state = "revoked" if token.revoked else "expired" if token.expires <= factory.now() else "valid"
    return TokenLine(
        name=token.name,
        id=public,
        may=grant_in_words(token.grant),
        member=token.member,
        created=token.created,
        expires=token.expires,
        state=state,
        last_use=last_use(factory.state, public),
    )


def _record(factory: Factory, at: str, public: str, token: Token) -> None:
    factory.metadata.record(
        TokenChanged(
            at=at,
            by=factory.actor,
            because="asked for",
            line="",
            token=public,
            name=token.name,
            role=token.grant.role,
            lines=token.grant.lines,
            tags=token.grant.tags,
            member=token.member,
            expires=token.expires,
            is_revoked=bool(token.revoked),
            sha256=noted(token.sha256),
        )
    )
