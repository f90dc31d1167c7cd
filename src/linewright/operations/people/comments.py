"""Operations by which people talk about lines: comments, and what waits for somebody."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.line.proposals.record import all_of, look
from linewright.line.proposals.rules import voters
from linewright.operations.declaration.declare import operation
from linewright.people.facts import Commented
from linewright.serve.access.accounts import read_accounts
from linewright.store.clock import uuid7
from linewright.watch.facts import Alerted, Cleared

LONGEST = 4_000
"""Characters of a comment."""
_MENTION = re.compile(r"(?<![\w@.])@([\w.+-]+(?:@[\w-]+(?:\.[\w-]+)+)?)")
_ABOUT = r"^[A-Za-z0-9:_.-]{0,100}$"
Text = Annotated[str, Meta(min_length=1, max_length=LONGEST)]
About = Annotated[str, Meta(pattern=_ABOUT)]


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody said."""

    id: str
    line: str
    at: str
    by: str
    text: str
    about: str = ""
    """Version of a model, or the id of an alert, a dataset, a run or a proposal; empty for the line itself."""
    mentions: tuple[str, ...] = ()


class Comments(msgspec.Struct, frozen=True, kw_only=True):
    """Comments, oldest first."""

    line: str
    comments: tuple[Comment, ...]


class Inbox(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for somebody."""

    proposals: tuple[str, ...]
    """Ids of the proposals that they may approve or decline."""
    mentions: tuple[Comment, ...]
    """Comments that name them, newest first."""
    alerts: int
    """Open alerts of the lines that they may see."""


@operation(permission="view", effect="act")
def comment(factory: Factory, line: str, text: Text, /, *, about: About = "") -> Comment:
    """Say something about a line, or about a model, an alert, a dataset or a run of it.

    Names of members after an @ are mentions. A comment stays in the record: write nothing personal into it.

    Parameters
    ----------
    line
        Name of the line.
    text
        What to say, at most 4,000 characters.
    about
        Version of a model, or the id of an alert, a dataset, a run or a proposal (default: the line itself).
    """
    factory.require(line)
    if not text.strip():
        raise RequestError("a comment says something", where="text", found=text)
    members = read_accounts(factory.state).members
    named = tuple(sorted({name for name in _MENTION.findall(text) if name in members}))
    said = Commented(
        at=factory.now(),
        by=factory.actor,
        because=text.strip(),
        line=line,
        id=uuid7(),
        about=about,
        mentions=named,
    )
    factory.metadata.record(said)
    return _comment(said)


@operation(permission="view", effect="read")
def comments(factory: Factory, line: str, /, *, about: About | None = None) -> Comments:
    """List what people said about a line.

    Parameters
    ----------
    line
        Name of the line.
    about
        Only what is about this (default: all).
    """
    factory.require(line)
    said = factory.metadata.events(Commented, line=line)
    return Comments(
        line=line, comments=tuple(_comment(one) for one in said if about is None or one.about == about)
    )


@operation(permission="view", effect="read", checks_lines=True)
def inbox(factory: Factory) -> Inbox:
    """List what waits for you: proposals to decide about, comments that name them, open alerts."""
    identity = factory.identity
    lines = identity.lines("view")

    def sees(line: str) -> bool:
        return lines is None or line in lines

    waiting = [look(factory, one) for one in all_of(factory, None)]
    mine = tuple(
        one.proposed.id
        for one in reversed(waiting)
        if one.is_live and (identity.is_owner or identity.member in voters(factory, one.proposed))
    )
    named = factory.metadata.events(Commented, newest_first=True)
    over = {one.alert for one in factory.metadata.events(Cleared)}
    return Inbox(
        proposals=mine,
        mentions=tuple(
            _comment(one)
            for one in named
            if identity.member and identity.member in one.mentions and sees(one.line)
        ),
        alerts=sum(one.id not in over and sees(one.line) for one in factory.metadata.events(Alerted)),
    )


def _comment(said: Commented) -> Comment:
    return Comment(
        id=said.id,
        line=said.line,
        at=said.at,
        by=said.by,
        text=said.because,
        about=said.about,
        mentions=said.mentions,
    )
