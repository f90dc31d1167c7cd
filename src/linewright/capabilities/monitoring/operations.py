"""Operations about what monitors found."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from linewright.line.factory import Factory
from linewright.line.loop.retraining import waits_in
from linewright.line.loop.waiting import Wait, missing_in_words
from linewright.line.loop.watched import (
    OF_ROWS,
    Cell,
    Confirmed,
    MonitorSeen,
    Quality,
    RequestedTraining,
    SeenIn,
    Traffic,
    confirmed_in,
    history_of,
    seen_of,
    then_and_now,
    trainings_for,
)
from linewright.line.personal import hidden_columns
from linewright.line.record.checked_files import CheckedFiles
from linewright.line.record.monitoring.alerts import (
    find_visible_alert,
    may_wait,
    newest_of,
    open_alerts,
    open_proposal,
    proposal_because,
)
from linewright.operations.declare import operation
from linewright.watch.facts import Alerted, Cleared, Confirmations, Performance, Watched

_AROUND = 30
"""Windows before an alert whose history is shown."""


class AlertLine(msgspec.Struct, frozen=True, kw_only=True):
    """One alert in a list."""

    id: str
    line: str
    monitor: str
    column: str | None
    group: str | None = None
    """Of a sensor, what it is a sensor of: a value of the column `table.group`."""
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
    """What it still waits for; `None` if it begins at once."""


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
    asked, factory = factory, factory.at_once(names)
    # Most lines wait for nothing, and to look closer takes long.
    some = names if line is not None else [name for name in names if may_wait(factory, name)]
    closer = asked.at_once(some)
    waits = {name: waits_in(closer, name) for name in some}
    files = CheckedFiles(factory)
    troubles = {name: trouble for name in names if (trouble := files.trouble_with(name)) is not None}
    files.keep()
    listed = [alert for name in names for alert in _alerts_of(factory, name, over=over)]
    return Alerts(
        alerts=tuple(sorted(listed, key=lambda alert: alert.at, reverse=True)),
        proposals=tuple(
            one for name in names if (one := _proposal_of(factory, name, waits.get(name, ()))) is not None
        ),
        troubles=tuple(troubles.values()),
        watched=tuple(name for name in names if name not in troubles and newest_of(factory, name, Watched)),
        waits=tuple(one for found in waits.values() for one in found),
    )


def _alerts_of(factory: Factory, line: str, *, over: bool) -> list[AlertLine]:
    ended = _ended(factory, line)
    listed = factory.metadata.events(Alerted, line=line) if over else open_alerts(factory, line)
    return [_alert_line(one, ended) for one in listed]


def _ended(factory: Factory, line: str) -> Mapping[str, str]:
    return {one.alert: one.at for one in factory.metadata.events(Cleared, line=line)}


def _alert_line(one: Alerted, ended: Mapping[str, str]) -> AlertLine:
    return AlertLine(
        id=one.id,
        line=one.line,
        monitor=one.monitor,
        column=one.column,
        group=one.group,
        at=one.at,
        since=one.since,
        because=one.because,
        value=one.value,
        bar=one.bar,
        evidence=one.evidence,
        state="over" if one.id in ended else "open",
        over=ended.get(one.id),
    )


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


class AlertShown(msgspec.Struct, frozen=True, kw_only=True):
    """One alert: what was, what came, and what the factory does about it."""

    alert: AlertLine
    has_rows: bool
    """Whether its monitor looks at rows, so that `worst-slice` finds where they are worst."""
    model: str | None
    """Whose answers it is about, as LINE@VERSION; `None` where that version is gone."""
    cells: tuple[Cell, ...]
    """How the rows of its column were spread before serving, and in the windows that showed it; empty if no column moved."""
    history: tuple[SeenIn, ...]
    """What its monitor saw in windows around it, oldest first."""
    performance: Performance | None
    """What was evaluated, where answers got worse."""
    confirmed: tuple[Confirmed, ...]
    """By window, if more positives came than the model expects."""
    trainings: tuple[RequestedTraining, ...]
    """Those that it asked for, oldest first."""
    waits: tuple[Wait, ...]
    """What the line's next training waits for now."""


class Monitors(msgspec.Struct, frozen=True, kw_only=True):
    """What monitors saw of a line in its last windows, oldest first."""

    line: str
    every: str | None
    """Length of a window; `None` if the line file has no section `watch`, or is wrong."""
    windows: tuple[Traffic, ...]
    monitors: tuple[MonitorSeen, ...]
    """Of data: those with an open alert first, then those that moved most."""
    left_out: int
    """Further ones, that moved less."""
    quality: tuple[Quality, ...]
    """By stretches of time whose labels have come."""
    confirmed: tuple[Confirmed, ...]
    """Positives by window, as the model expects them and as they are confirmed, of two classes."""


@operation(permission="view", effect="read")
def monitors(
    factory: Factory, line: str, /, *, windows: Annotated[int, msgspec.Meta(ge=1, le=500)] = 60
) -> Monitors:
    """Show what monitors saw of a line, window by window: drift by column, traffic, quality.

    Parameters
    ----------
    line
        Name of the line.
    windows
        Most of the last closed windows.
    """
    factory.path_of(line)
    seen = seen_of(factory, line, windows)
    watch = factory.line(line).watch if factory.trouble_with(line) is None else None
    return Monitors(
        line=line,
        every=watch.every if watch else None,
        windows=seen.traffic,
        monitors=seen.monitors,
        left_out=seen.left_out,
        quality=seen.quality,
        confirmed=seen.confirmed,
    )


@operation(permission="view", effect="read", checks_lines=True)
def alert(factory: Factory, id: str, /) -> AlertShown:  # noqa: A002 -- the word of the interface contract
    """Show one alert: what was and what came, side by side, and what the factory does about it.

    Parameters
    ----------
    id
        The alert's id, or its beginning.
    """
    found = find_visible_alert(factory, id)
    kinds = dict(factory.metadata.find(found.evidence))
    kind = kinds.get(found.evidence)
    versions = factory.metadata.versions(found.line)
    model = next((one.version for one in versions if one.digest == found.package), None)
    return AlertShown(
        alert=_alert_line(found, _ended(factory, found.line)),
        has_rows=found.monitor in OF_ROWS,
        model=None if model is None else f"{found.line}@{model}",
        cells=() if found.column in hidden_columns(factory, found.line) else then_and_now(factory, found),
        history=history_of(factory, found, _AROUND),
        performance=factory.metadata.get(found.evidence, Performance) if kind == "performance" else None,
        confirmed=confirmed_in(factory.metadata.get(found.evidence, Confirmations))
        if kind == "confirmations"
        else (),
        trainings=trainings_for(factory, found),
        waits=waits_in(factory, found.line),
    )
