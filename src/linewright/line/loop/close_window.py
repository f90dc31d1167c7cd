"""Closing a window: what was answered in it is counted, judged, and told where it is news.

Everything is derived from the record: the newest `Watched` event says up to which place of the log every prediction has
been counted, in exactly one window. A kill at any point leaves a window that is closed once, later.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from msgspec.structs import replace

from linewright.line.factory import Factory
from linewright.line.instants import earlier, later
from linewright.line.loop.performance import confirmations_of, performance_of
from linewright.line.loop.reference import (
    MakeReference,
    arrays,
    breaches,
    predictions,
    reference_for,
    seen_by,
)
from linewright.line.loop.sensors import Readings
from linewright.line.loop.window import Closing
from linewright.line.record.monitoring.alerts import WINDOWLESS, newest_of, open_alerts
from linewright.line.record.monitoring.clock_skew import clock_alert, tend_clock
from linewright.line.release.off_policy import value_lists
from linewright.line.spec import LineSpec
from linewright.model.package.model import load
from linewright.release.facts import Promoted
from linewright.serve.facts import Prediction
from linewright.serve.log.segments import read_log
from linewright.serve.rows.scorer import Scorer
from linewright.store.clock import instant_of, micros_of
from linewright.store.protocols import Version
from linewright.text.durations import duration_micros
from linewright.watch.alert_recovery import MANY, Ending
from linewright.watch.alerts import news
from linewright.watch.facts import Alerted, Confirmations, Performance, Reference, Watched, Window
from linewright.watch.histograms import Tally
from linewright.watch.monitors import find
from linewright.watch.spec import WatchSpec

REMEMBERED = 64
"""Closed windows that monitors look back on."""
_LOOKED_BACK = 500
"""Closed windows that are looked at first for the end of an alert."""
_BATCH = 2_000


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """What monitors look at when a window is closed."""

    window: Window
    performance: Performance | None
    confirmations: Confirmations | None


def close_window(
    factory: Factory, spec: LineSpec, *, make_reference: MakeReference | None = None
) -> Watched | None:
    """Close the window that has ended by now, if one has; after a pause, one window holds all that it missed.

    Notes
    -----
    Windows that a clock once ahead has closed stay as they are, and what they counted is not counted again. Those whose end
    lies beyond now do not hold up the next one: it begins where the last window of the past ended, and lasts until a whole
    window's time has gone by since the clock was seen to be back. Where a clock is set back by less than a window, nothing is
    closed until it is there again.
    """
    champion = _champion(factory, spec.line)
    if champion is None or spec.watch is None:
        return None
    newest = newest_of(factory, spec.line, Watched)
    start, end = _start(factory, spec, spec.watch, newest), _floor(factory.now(), spec.watch)
    if start is None or end <= start:
        return None
    closing = Closing(
        factory=factory,
        spec=spec,
        watch=spec.watch,
        champion=champion,
        model=load(champion.digest, factory.artifacts.get, factory.features_of),
        past=closed_windows(factory, spec),
        position=newest.position if newest else {},
        start=start,
        end=end,
    )
    reference = reference_for(factory, spec, champion, make_reference)
    sensors = Readings.before(closing)
    window, position = _count(closing, reference, sensors)
    judged = _Judged(
        window=window, performance=performance_of(closing), confirmations=confirmations_of(closing)
    )
    watched = _record(closing, reference, judged, position, sensors)
    remembered = closing.past[-REMEMBERED].position if len(closing.past) >= REMEMBERED else None
    value_lists(factory, spec, champion, after=remembered)
    return watched


def next_close(factory: Factory, spec: LineSpec, *, after: str) -> str | None:
    """Return the next instant at which a window may have ended; `None` where none will before the file or the record of the line changes."""
    if spec.watch is None or factory.metadata.pointer(spec.line).champion is None:
        return None
    return later(_floor(after, spec.watch), spec.watch.every)


def closed_windows(factory: Factory, spec: LineSpec) -> list[Watched]:
    """Return the closed windows that matter now, oldest first: those that monitors remember, and a label's delay more.

    Of a clock that was once ahead, those are left out that end beyond now, or after a window began that was closed later.
    """
    limit = REMEMBERED
    if spec.watch is not None and spec.label.delay is not None:
        limit += duration_micros(spec.label.delay) // max(1, duration_micros(spec.watch.every)) + 1
    return _in_order(_closed(factory, spec.line, limit), factory.now())


def _closed(factory: Factory, line: str, limit: int) -> list[Watched]:
    return factory.metadata.events(Watched, line=line, newest_first=True, limit=limit)[::-1]


def _since(factory: Factory, line: str, alerts: Sequence[Alerted]) -> list[Watched]:
    """Return the closed windows that may end an alert, oldest first: all since the oldest began, or rows that are enough."""
    limit, began = _LOOKED_BACK, min(one.since for one in alerts)
    while True:
        found = _closed(factory, line, limit)
        if len(found) < limit or found[0].start <= began or sum(one.n for one in found) >= 10 * MANY:
            return _in_order(found, factory.now())
        limit *= 2


def _in_order(windows: Sequence[Watched], now: str) -> list[Watched]:
    """Return those of closed windows, in the order of their closing, that follow each other in time up to now."""
    kept: list[Watched] = []
    for one in reversed(windows):
        if one.end <= (kept[-1].start if kept else now):
            kept.append(one)
    return kept[::-1]


def _record(
    closing: Closing,
    reference: Reference,
    judged: _Judged,
    position: Mapping[str, int],
    sensors: Readings,
) -> Watched:
    window, performance, confirmations = judged.window, judged.performance, judged.confirmations
    factory, past = closing.factory, closing.past
    context, metadata, line = factory.context, factory.metadata, closing.spec.line
    windows = [*(metadata.get(one.window, Window) for one in past[-REMEMBERED:]), window]
    findings = (
        *find(reference, windows, closing.watch, performance, confirmations),
        *sensors.findings(),
    )
    watched = Watched(
        at=context.now(),
        by=context.actor,
        because=f"{window.n:,} predictions, {len(findings)} findings",
        line=line,
        window=metadata.keep(window),
        package=reference.package,
        performance=metadata.keep(performance) if performance else None,
        confirmations=metadata.keep(confirmations) if confirmations else None,
        start=window.start,
        end=window.end,
        n=window.n,
        findings=findings,
        position=dict(position),
    )
    found = [one for one in _by_now(factory, line) if one.monitor not in WINDOWLESS]
    delay = closing.spec.label.delay
    ending = Ending(
        metadata=metadata,
        reference=reference,
        watch=closing.watch,
        ripe=earlier(window.end, delay) if delay else window.end,
    )
    told = news(
        found,
        [*(_since(factory, line, found) if found else past), watched],
        windows=closing.watch.drift.windows,
        is_over=ending.is_over,
    )
    for event in (*told.cleared, *told.alerted):
        metadata.record(event)
    # Last: what a kill leaves out is found again, and an open alert is not told twice.
    metadata.record(watched)
    return watched


def _by_now(factory: Factory, line: str) -> list[Alerted]:
    """Return the open alerts; those of a clock once ahead as of the instant at which it was seen to be back, or no window could end them."""
    told, now = clock_alert(factory, line), factory.now()
    return [
        replace(one, since=told.since) if told is not None and one.since > now else one
        for one in open_alerts(factory, line)
    ]


# Counting


def _count(closing: Closing, reference: Reference, sensors: Readings) -> tuple[Window, dict[str, int]]:
    spec, model = closing.spec, closing.model
    position = dict(closing.position)
    seen = seen_by(model.package.encoder)
    tally, scorer = Tally(reference, seen=seen), Scorer(model, answered=True)
    records = _until(closing.factory, spec.line, position, closing.end)
    while batch := list(islice(records, _BATCH)):
        sensors.add(batch)
        ours = [one for one in batch if one.digest == model.digest and one.is_judged]
        if ours:
            columns = scorer.read([one.row for one in ours])
            tally.add(
                arrays(columns, model),
                predictions([one.answer for one in ours], model.package),
                breaches=breaches(columns, spec.contract),
            )
    return tally.window(spec.line, closing.start, closing.end), position


def _until(factory: Factory, line: str, position: dict[str, int], end: str) -> Iterator[Prediction]:
    """Iterate over the records after `position` that came before `end`, and move `position` along.

    A record from the future is of a clock that was set back since: it is counted now, not when its time comes, since all
    that is behind it in its segment would wait with it.
    """
    done: set[str] = set()
    for one in read_log(factory.log_of(line), dict(position), sealed=factory.sealed_of(line)):
        if one.segment in done:
            continue
        if end <= one.record.at <= factory.now():
            done.add(one.segment)
            continue
        position[one.segment] = one.end
        yield one.record


# Time


def _start(factory: Factory, spec: LineSpec, watch: WatchSpec, newest: Watched | None) -> str | None:
    """Return where the next window begins; `None` while a clock that was set back is not there again, or was not seen for long enough."""
    start = (
        newest.end
        if newest
        else _floor(factory.metadata.events(Promoted, line=spec.line, limit=1)[0].at, watch)
    )
    if start <= factory.now():
        return start
    tend_clock(factory, spec.line)
    told = clock_alert(factory, spec.line)
    # Shorter than a whole window, it would have few rows, since others have counted the rest: that is no news of the traffic.
    if told is None or earlier(_floor(factory.now(), watch), watch.every) < told.since:
        return None
    return _last_end(factory, spec.line, told.since) or _floor(told.since, watch)


def _last_end(factory: Factory, line: str, instant: str) -> str | None:
    """Return the end of the window that was closed last of those that ended by an instant; `None` where none did."""
    limit = REMEMBERED
    while True:
        found = factory.metadata.events(Watched, line=line, newest_first=True, limit=limit)
        ends = (one.end for one in found if one.end <= instant)
        if (end := next(ends, None)) is not None or len(found) < limit:
            return end
        limit *= 4


def _champion(factory: Factory, line: str) -> Version | None:
    champion = factory.metadata.pointer(line).champion
    return next((one for one in factory.metadata.versions(line) if one.version == champion), None)


def _floor(at: str, watch: WatchSpec) -> str:
    """Return the last end of a window at or before an instant: windows are counted from 1970, UTC."""
    micros = micros_of(at)
    return instant_of(micros - micros % max(1, duration_micros(watch.every)))
