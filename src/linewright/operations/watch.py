"""Operations about what monitors found."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from linewright.line.factory import Factory
from linewright.line.loop.retraining import waits_in
from linewright.line.loop.waiting import Wait, missing_in_words
from linewright.line.record.alerts import open_alerts, open_proposal, proposal_because
from linewright.operations.declaration.declare import operation
from linewright.watch.facts import Alerted, Cleared, Watched


class AlertLine(msgspec.Struct, frozen=True, kw_only=True):
    """One alert in a list."""

    id: str
    line: str
    monitor: str
    column: str | None
    at: str
    since: str
    because: str
    value: float
    bar: float
    evidence: str
    """Digest of the window or the performance that showed it: `linewright show` prints it."""
    state: Literal["open", "over"]
    over: str | None
    """When it was over."""


class ProposalLine(msgspec.Struct, frozen=True, kw_only=True):
    """A training that monitoring asks for and that has not begun."""

    line: str
    proposal: str
    because: str
    waits_for: str | None
    """What it still waits for; `None` where it begins at once."""


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts, newest first, and the trainings that they led to."""

    alerts: tuple[AlertLine, ...]
    proposals: tuple[ProposalLine, ...]
    troubles: tuple[str, ...]
    """What is wrong with the files of lines: while it is, they are neither watched nor trained."""
    watched: tuple[str, ...]
    """Lines that have closed at least one window, and whose file is right."""
    waits: tuple[Wait, ...] = ()
    """What trainings wait for, and the candidates that came of them, and until when."""


@operation(permission="view", effect="read")
def alerts(factory: Factory, line: str | None = None, /, *, over: bool = False) -> Alerts:
    """List what monitors found and people should know, and the trainings that it led to.

    Parameters
    ----------
    line
        Name of one line (default: all).
    over
        List also the alerts that are over.
    """
    names = factory.names()
    if line is not None:
        factory.path_of(line)
        names = [line]
    waits = {name: waits_in(factory, name) for name in names}
    listed = [alert for name in names for alert in _alerts_of(factory, name, over=over)]
    return Alerts(
        alerts=tuple(sorted(listed, key=lambda alert: alert.at, reverse=True)),
        proposals=tuple(
            one for name in names if (one := _proposal_of(factory, name, waits[name])) is not None
        ),
        troubles=tuple(one for name in names if (one := factory.trouble_with(name)) is not None),
        watched=tuple(
            name
            for name in names
            if factory.trouble_with(name) is None and factory.metadata.events(Watched, line=name, limit=1)
        ),
        waits=tuple(one for found in waits.values() for one in found),
    )


def _alerts_of(factory: Factory, line: str, *, over: bool) -> list[AlertLine]:
    ended = {one.alert: one.at for one in factory.metadata.events(Cleared, line=line)}
    listed = factory.metadata.events(Alerted, line=line) if over else open_alerts(factory, line)
    return [
        AlertLine(
            id=one.id,
            line=line,
            monitor=one.monitor,
            column=one.column,
            at=one.at,
            since=one.since,
            because=one.because,
            value=one.value,
            bar=one.bar,
            evidence=one.evidence,
            state="over" if one.id in ended else "open",
            over=ended.get(one.id),
        )
        for one in listed
    ]


def _proposal_of(factory: Factory, line: str, waits: Sequence[Wait]) -> ProposalLine | None:
    found = open_proposal(factory, line)
    if found is None or factory.trouble_with(line) is not None:
        return None
    missing = next((one.missing for one in waits if one.missing is not None), None)
    return ProposalLine(
        line=line,
        proposal=found[0],
        because=proposal_because(factory.metadata, found[1]),
        waits_for=missing_in_words(missing) if missing is not None else None,
    )
