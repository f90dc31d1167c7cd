"""Operations."""

import re
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from linewright.capabilities.annotation.questions import annotator
from linewright.errors import Denied, RequestError
from linewright.line.factory import Factory
from linewright.line.facts import Finished
from linewright.line.personal import because_of
from linewright.line.proposals.record import all_of, look
from linewright.line.proposals.rules import voters
from linewright.line.record.comments import WhyGone, put_words, words_of
from linewright.line.record.monitoring.alerts import newest_of
from linewright.operations.declare import operation
from linewright.people.annotations import Annotations
from linewright.people.facts import Commented
from linewright.people.preferences import (
    MOST_ADDRESS,
    MOST_NAME,
    OWNER,
    Preferences,
    SavedView,
    change_preferences,
    read_preferences,
)
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


class _Whose(NamedTuple):
    member: str
    since: str


def read_own(factory: Factory) -> Preferences:
    """Return what the caller has set; nothing for a token that is nobody's."""
    whose = _whose(factory)
    return Preferences() if whose is None else read_preferences(factory.state, *whose)


def change_own(factory: Factory, change: Callable[[Preferences], Preferences]) -> Preferences:
    """Change what the caller has set, and return it.

    Raises
    ------
    Denied
        If they are neither a member nor the owner of the factory.
    """
    whose = _whose(factory)
    if whose is None:
        raise Denied(
            "a token that is nobody's has no preferences",
            found=factory.identity.actor,
            allowed="a member, or the owner of the factory",
            hint="use a token of a member: linewright token create NAME --kind ROLE --member MEMBER",
        )
    return change_preferences(factory.state, *whose, change)


def _whose(factory: Factory) -> _Whose | None:
    identity = factory.identity
    if identity.is_owner:
        return _Whose(OWNER, "")
    member = read_accounts(factory.state).members.get(identity.member)
    return None if member is None else _Whose(identity.member, member.created)


Kind = Literal["proposal", "mention", "alert", "failed-run", "questions"]
"""What waits: a proposal to decide about, a comment that names somebody, an open alert, the last run of a line, which failed, or questions
to label."""
Until = Annotated[str, Meta(pattern=r"^$|^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}Z$")]


class InboxItem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that waits for somebody."""

    kind: Kind
    id: str
    """Of the proposal, the comment, the alert or the run; of questions the line."""
    line: str
    at: str
    by: str
    says: str
    """The comment, or why there is a proposal, an alert or a failure; of questions how many there are."""


class Inbox(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for somebody."""

    proposals: tuple[str, ...]
    """Ids of the proposals that they may approve or decline."""
    mentions: tuple[Comment, ...]
    """Comments that name them, newest first."""
    alerts: int
    """Open alerts of the lines that they may see."""
    items: tuple[InboxItem, ...] = ()
    """All of it, newest first: without comments that they have read, and with the failed runs of lines that they may run."""


@operation(permission="view", effect="read", checks_lines=True)
def inbox(factory: Factory) -> Inbox:
    """List what waits for you: proposals to decide about, comments that name you, open alerts, failed runs, questions to label."""
    proposals, alerts = tuple(_proposals(factory)), tuple(_alerts(factory))
    member, read = factory.identity.member, read_own(factory).read
    named = tuple(
        to_comment(factory, one)
        for one in factory.metadata.events(Commented, newest_first=True)
        if member and member in one.mentions and factory.may("view", one.line)
    )
    unread = (
        InboxItem(kind="mention", id=one.id, line=one.line, at=one.at, by=one.by, says=one.text)
        for one in named
        if one.at > read
    )
    items = sorted(
        [*proposals, *alerts, *unread, *_failed_runs(factory), *_questions(factory)], key=lambda one: one.at
    )
    return Inbox(
        proposals=tuple(one.id for one in proposals),
        mentions=named,
        alerts=len(alerts),
        items=tuple(reversed(items)),
    )


@operation(permission="view", effect="act", checks_lines=True)
def inbox_read(factory: Factory, /, *, until: Until = "") -> Inbox:
    """Mark the comments that name you as read: they leave your inbox, and stay where they were said.

    Parameters
    ----------
    until
        Instant of the newest that you have read, RFC 3339 in UTC (default: now).
    """
    now = factory.now()
    read = min(until, now) if until else now
    change_own(factory, lambda before: replace(before, read=max(before.read, read)))
    return inbox(factory)


def _proposals(factory: Factory) -> Iterator[InboxItem]:
    """Iterate over the proposals that wait for the caller, newest first."""
    identity, now = factory.identity, factory.now()
    for one in reversed(all_of(factory, None)):
        # Most have ended long ago, and to look at one closer takes longer.
        if one.expires <= now or not (identity.is_owner or identity.member in voters(factory, one)):
            continue
        if look(factory, one).is_live:
            yield InboxItem(kind="proposal", id=one.id, line=one.line, at=one.at, by=one.by, says=one.because)


def _alerts(factory: Factory) -> Iterator[InboxItem]:
    over = {one.alert for one in factory.metadata.events(Cleared)}
    for one in factory.metadata.events(Alerted):
        if one.id not in over and factory.may("view", one.line):
            yield InboxItem(kind="alert", id=one.id, line=one.line, at=one.at, by=one.by, says=one.because)


def _questions(factory: Factory) -> Iterator[InboxItem]:
    by = annotator(factory)
    for line in sorted(Annotations.queued(factory.state).intersection(factory.names())):
        if not factory.may("annotate", line):
            continue
        with Annotations.of(factory.state, line).reading() as held:
            waiting = held.waiting_for(by)
            newest = held.batches()[-1] if waiting else None
        if newest is not None:
            yield InboxItem(
                kind="questions", id=line, line=line, at=newest.at, by=newest.by, says=str(waiting)
            )


def _failed_runs(factory: Factory) -> Iterator[InboxItem]:
    lines = [one for one in factory.names() if factory.may("run", one)]
    record = factory.at_once(lines)
    for line in lines:
        last = newest_of(record, line, Finished)
        if last is not None and last.outcome == "failed":
            yield InboxItem(
                kind="failed-run",
                id=last.run,
                line=line,
                at=last.at,
                by=last.by,
                says=because_of(factory, last),
            )


_PAGES = "linewright.interfaces.console.table"
"""Knows which addresses pages have. It stands above operations, so that it is loaded by name, and only to save a view."""
Name = Annotated[str, Meta(min_length=1, max_length=MOST_NAME)]
Address = Annotated[str, Meta(min_length=1, max_length=MOST_ADDRESS)]


class Views(msgspec.Struct, frozen=True, kw_only=True):
    """The saved views of the caller, by name."""

    views: tuple[SavedView, ...]


@operation(permission="view", effect="read", checks_lines=True)
def views(factory: Factory) -> Views:
    """List the pages that you have saved; nobody else can read them."""
    return Views(views=read_own(factory).views)


@operation(permission="view", effect="act", checks_lines=True)
def save_view(factory: Factory, name: Name, page: Address, /) -> Views:
    """Save a page of the console with its filters under a name, for yourself.

    Saving the same page again renames it; saving another page under the same name replaces it. You may save 20.

    Parameters
    ----------
    name
        What to call it, at most 60 characters.
    page
        Its path and query, as in ``/?q=fraud&need=alert``.
    """
    name = name.strip()
    if not name or not name.isprintable():
        allowed = f"1 to {MOST_NAME} printable characters, not blanks alone"
        raise RequestError(
            "this cannot be the name of a view", where="name", found=name[:80], allowed=allowed
        )
    view = SavedView(name=name, address=import_module(_PAGES).view_address(page))
    return Views(views=change_own(factory, lambda now: now.with_view(view)).views)


@operation(permission="view", effect="act", checks_lines=True)
def delete_view(factory: Factory, name: Name, /) -> Views:
    """Delete one of your saved views.

    Parameters
    ----------
    name
        Name of the view.
    """
    return Views(views=change_own(factory, lambda now: now.without_view(name)).views)
