"""Operations by which people talk about lines."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.line.record.comments import WhyGone, put_words, words_of
from linewright.operations.declare import operation
from linewright.people.facts import Commented
from linewright.serve.access.accounts import read_accounts
from linewright.store.clock import uuid7

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
    gone: WhyGone | None = None
    """Why the text is empty; else `None`."""


class Comments(msgspec.Struct, frozen=True, kw_only=True):
    """Comments, oldest first."""

    line: str
    comments: tuple[Comment, ...]


@operation(permission="view", effect="act")
def comment(factory: Factory, line: str, text: Text, /, *, about: About = "") -> Comment:
    """Say something about a line, or about a model, an alert, a dataset or a run of it.

    Names of members after an @ are mentions. The record has the digest of a comment; `forget` removes one that names the person.

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
        because="",
        line=line,
        id=uuid7(),
        about=about,
        mentions=named,
        text=put_words(factory.artifacts, text.strip()),
    )
    factory.metadata.record(said)
    return to_comment(factory, said)


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
        line=line,
        comments=tuple(to_comment(factory, one) for one in said if about is None or one.about == about),
    )


def to_comment(factory: Factory, said: Commented) -> Comment:
    """Return what somebody said."""
    words = words_of(factory, said)
    return Comment(
        id=said.id,
        line=said.line,
        at=said.at,
        by=said.by,
        text=words.text,
        about=said.about,
        mentions=said.mentions,
        gone=words.gone,
    )
