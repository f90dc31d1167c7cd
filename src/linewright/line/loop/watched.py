"""What monitors saw of a line: window by window, and of one alert what was and what came."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import msgspec

from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished
from linewright.line.record.monitoring.alerts import open_alerts
from linewright.watch.facts import (
    Alerted,
    Confirmations,
    Counts,
    Monitor,
    OpenAlerts,
    Performance,
    Proposed,
    Reference,
    RetrainProposal,
    Summary,
    Watched,
    Window,
)
from linewright.watch.histograms import pooled
from linewright.watch.monitors import Watching, shifts_by_monitor
from linewright.watch.spec import DriftSpec

MOST_SHOWN = 24
"""Monitors of data that are followed through all windows: those that moved most in the last ones, and those of open alerts."""
_RECENT = 3
_OF_DATA: frozenset[Monitor] = frozenset({"drift", "missing", "unseen", "prediction", "contract"})
OF_ROWS = _OF_DATA | frozenset[Monitor]({"performance", "calibration"})
"""Monitors that look at rows: of data, or of how good answers turned out to be."""


class SeenIn(msgspec.Struct, frozen=True, kw_only=True):
    """What a monitor saw in a window."""

    start: str
    end: str
    value: float
    """The PSI, less what chance adds."""


class MonitorSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One monitor of data, through the windows."""

    monitor: Monitor
    column: str | None
    """`None` if it looks at the predictions."""
    bar: float
    """The PSI that is worth naming."""
    windows: tuple[SeenIn, ...]
    """Those with rows of the model, oldest first."""
    alert: str | None = None
    """Id of its open alert."""


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """A closed window."""

    window: str
    """Digest."""
    start: str
    end: str
    n: int
    """Answers of the model that was champion."""
    model: str
    """As LINE@VERSION."""
    findings: int


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """How good the answers of a stretch of time turned out to be."""

    performance: str
    """Digest."""
    start: str
    end: str
    model: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    """95 % interval."""
    labelled: int
    predictions: int
    certified: float | None
    promised: float | None
    """The worse end of the certificate's interval."""
    greater_is_better: bool


class Confirmed(msgspec.Struct, frozen=True, kw_only=True):
    """Positives of a window: those that the model expects, and those that are confirmed by now."""

    start: str
    end: str
    expected: float
    positives: int


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What monitors saw of a line, oldest first."""

    traffic: tuple[Traffic, ...]
    monitors: tuple[MonitorSeen, ...]
    """Those that moved most in the last windows first."""
    left_out: int
    """Monitors that are not shown: they moved less."""
    quality: tuple[Quality, ...]
    confirmed: tuple[Confirmed, ...]


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of a distribution."""

    name: str
    then: int
    """Rows of the reference."""
    now: int
    """Rows of the windows that showed it."""
    low: float | None = None
    high: float | None = None
    """Of numbers: the cell holds ``low <= x < high``; `None` if it is open."""


class RequestedTraining(msgspec.Struct, frozen=True, kw_only=True):
    """A training that monitoring asked for, and its run."""

    proposal: str
    at: str
    run: str | None
    outcome: str | None
    """``done``, ``failed`` or ``cancelled``; `None` while it has not ended."""
    promoted: bool


def seen_of(factory: Factory, line: str, windows: int) -> Seen:
    """Return what monitors saw in the last closed windows of a line."""
    closed = factory.metadata.events(Watched, line=line, newest_first=True, limit=windows)[::-1]
    names = {one.digest: f"{line}@{one.version}" for one in factory.metadata.versions(line)}
    alerts: dict[Watching, str] = {(one.monitor, one.column): one.id for one in open_alerts(factory, line)}
    monitors, left_out = _monitors(factory, line, closed, alerts)
    return Seen(
        traffic=tuple(
            Traffic(
                window=one.window,
                start=one.start,
                end=one.end,
                n=one.n,
                model=names.get(one.package, one.package),
                findings=len(one.findings),
            )
            for one in closed
        ),
        monitors=monitors,
        left_out=left_out,
        quality=tuple(_quality(factory, closed, names)),
        confirmed=_confirmed(factory, closed),
    )


def bar_of(factory: Factory, line: str) -> float:
    """Return the PSI that is worth naming, as the line file has it; the usual one if the file is wrong."""
    watch = factory.line(line).watch if factory.trouble_with(line) is None else None
    return watch.drift.psi if watch is not None else DriftSpec().psi


def _monitors(
    factory: Factory, line: str, closed: Sequence[Watched], alerts: Mapping[Watching, str]
) -> tuple[tuple[MonitorSeen, ...], int]:
    groups = list(_by_reference(factory, closed))
    if not groups:
        return (), 0
    reference, windows = groups[-1]
    recent = shifts_by_monitor(reference, windows[-_RECENT:])
    moved = {name: max((index for _, index in seen), default=0.0) for name, seen in recent.items()}
    # Nothing is missing or unseen in most columns: what never moved is not news.
    details = [
        name for name in moved if moved[name] > 0 or name in alerts or name[0] in {"drift", "prediction"}
    ]
    details.sort(key=lambda name: (name not in alerts, -moved[name], name[0], name[1] or ""))
    shown, bar = details[:MOST_SHOWN], bar_of(factory, line)
    found: dict[Watching, list[SeenIn]] = {name: [] for name in shown}
    for base, part in groups:
        for name, seen in shifts_by_monitor(base, part, set(shown)).items():
            found[name] += [SeenIn(start=one.start, end=one.end, value=index) for one, index in seen]
    monitors = (
        MonitorSeen(
            monitor=name[0], column=name[1], bar=bar, windows=tuple(found[name]), alert=alerts.get(name)
        )
        for name in shown
    )
    return tuple(monitors), len(details) - len(shown)


def _by_reference(factory: Factory, closed: Sequence[Watched]) -> Iterator[tuple[Reference, list[Window]]]:
    windows = (factory.metadata.get(one.window, Window) for one in closed)
    for digest, part in groupby(windows, key=lambda one: one.reference):
        yield factory.metadata.get(digest, Reference), list(part)


def _quality(factory: Factory, closed: Sequence[Watched], names: Mapping[str, str]) -> Iterator[Quality]:
    for digest in dict.fromkeys(one.performance for one in closed if one.performance):
        found = factory.metadata.get(digest, Performance)
        yield Quality(
            performance=digest,
            start=found.start,
            end=found.end,
            model=names.get(found.package, found.package),
            metric=found.metric,
            value=found.value,
            low=found.low,
            high=found.high,
            labelled=found.labelled,
            predictions=found.predictions,
            certified=found.certified,
            promised=found.promised,
            greater_is_better=found.greater_is_better,
        )


def _confirmed(factory: Factory, closed: Sequence[Watched]) -> tuple[Confirmed, ...]:
    digest = next((one.confirmations for one in reversed(closed) if one.confirmations), None)
    return () if digest is None else confirmed_in(factory.metadata.get(digest, Confirmations))


def confirmed_in(found: Confirmations) -> tuple[Confirmed, ...]:
    """Return the windows of confirmations, oldest first."""
    return tuple(
        Confirmed(start=one.start, end=one.end, expected=one.expected, positives=one.positives)
        for one in found.windows
    )


# One alert


def history_of(factory: Factory, alert: Alerted, windows: int) -> tuple[SeenIn, ...]:
    """Return what the monitor of an alert saw in windows around it, oldest first; nothing of monitors that count no cells."""
    if alert.monitor not in _OF_DATA:
        return ()
    closed = factory.metadata.events(Watched, line=alert.line)
    last = next((i for i, one in enumerate(closed) if one.at >= alert.at), len(closed) - 1)
    around = closed[max(0, last + 1 - windows) : last + 1 + windows // 3]
    name: Watching = (alert.monitor, alert.column)
    return tuple(
        SeenIn(start=one.start, end=one.end, value=index)
        for base, part in _by_reference(factory, around)
        for one, index in shifts_by_monitor(base, part, {name}).get(name, [])
    )


def then_and_now(factory: Factory, alert: Alerted) -> tuple[Cell, ...]:
    """Return how the rows of an alert's column were spread in the reference, and in the windows that showed it; nothing if no cells are counted."""
    if alert.monitor not in _OF_DATA:
        return ()
    showed = [
        factory.metadata.get(one.window, Window)
        for one in factory.metadata.events(Watched, line=alert.line)
        if alert.since <= one.start and one.at <= alert.at and one.package == alert.package and one.n
    ]
    if not showed:
        return ()
    showed = [one for one in showed if one.reference == showed[-1].reference]
    reference, window = factory.metadata.get(showed[-1].reference, Reference), pooled(showed)
    if alert.monitor == "contract":
        return tuple(_breaches(alert.column or "", reference, window))
    if alert.column is None:
        return cells_of_summary(reference.prediction, reference.prediction.counts, window.prediction)
    place = next((i for i, one in enumerate(reference.columns) if one.name == alert.column), None)
    if place is None:
        return ()
    return cells_of_summary(reference.columns[place], reference.columns[place].counts, window.columns[place])


def _breaches(column: str, reference: Reference, window: Window) -> Iterator[Cell]:
    then, now = reference.breaches.get(column, 0), window.breaches.get(column, 0)
    yield Cell(name="out of the contract", then=then, now=now)
    yield Cell(name="within it", then=reference.n - then, now=window.n - now)


def cells_of_summary(summary: Summary, then: Counts, now: Counts) -> tuple[Cell, ...]:
    """Return the cells of a column with the rows in each: its bins or listed values, then other, unseen and missing ones if there are some."""
    bins = zip(
        _named(summary),
        [None, *summary.edges] if summary.kind == "number" else [None] * len(summary.values),
        [*summary.edges, None] if summary.kind == "number" else [None] * len(summary.values),
        then.counts,
        now.counts,
        strict=True,
    )
    cells = [
        Cell(name=name, then=before, now=after, low=low, high=high) for name, low, high, before, after in bins
    ]
    for name, before, after in (
        ("other values", then.other, now.other),
        ("never seen before", then.unseen, now.unseen),
        ("missing", then.missing, now.missing),
    ):
        if before or after:
            cells.append(Cell(name=name, then=before, now=after))
    return tuple(cells)


def _named(summary: Summary) -> list[str]:
    if summary.kind == "category":
        return list(summary.values)
    if not summary.edges:
        return ["all"]
    details = [f"{edge:.4g}" for edge in summary.edges]
    between = [f"{low} to {high}" for low, high in pairwise(details)]
    return [f"below {details[0]}", *between, f"{details[-1]} or more"]


def trainings_for(factory: Factory, alert: Alerted) -> tuple[RequestedTraining, ...]:
    """Return the trainings that an alert asked for, oldest first, each with its run."""
    runs = {
        one.proposal: one.run for one in factory.metadata.events(Accepted, line=alert.line) if one.proposal
    }
    ended = {one.run: one for one in factory.metadata.events(Finished, line=alert.line)}
    return tuple(
        RequestedTraining(
            proposal=one.proposal,
            at=one.at,
            run=(run := runs.get(one.proposal)),
            outcome=ended[run].outcome if run in ended else None,
            promoted=run in ended and ended[run].promoted,
        )
        for one in factory.metadata.events(Proposed, line=alert.line)
        if one.at >= alert.at and _is_about(factory.metadata.get(one.proposal, RetrainProposal), alert)
    )


def _is_about(proposal: RetrainProposal, alert: Alerted) -> bool:
    return isinstance(proposal.reason, OpenAlerts) and alert.id in proposal.reason.alerts
