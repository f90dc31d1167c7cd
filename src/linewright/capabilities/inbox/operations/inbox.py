"""Operations about what waits for somebody: proposals, comments that name them, alerts, failed runs."""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from linewright.capabilities.annotation.questions import annotator
from linewright.capabilities.inbox.operations.comments import Comment, to_comment
from linewright.capabilities.inbox.operations.own_preferences import change_own, read_own
from linewright.line.factory import Factory
from linewright.line.facts import Finished
from linewright.line.personal import because_of
from linewright.line.proposals.record import all_of, look
from linewright.line.proposals.rules import voters
from linewright.line.record.monitoring.alerts import newest_of
from linewright.operations.declare import operation
from linewright.people.annotations import Annotations
from linewright.people.facts import Commented
from linewright.watch.facts import Alerted, Cleared

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
