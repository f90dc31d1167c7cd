"""A clock that was once ahead: events of a line that lie in the future, and the alert ``clock`` about them.

Recorded events are never changed. That there are future ones is seen by the newest event of each kind, and later by the alert, which
stays open until the latest of these times has come.
"""

from datetime import datetime, timedelta

from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished
from linewright.line.instants import later
from linewright.line.record.monitoring.alerts import newest_of, open_alerts
from linewright.line.record.registry import find_model
from linewright.release.facts import Deployed, Promoted
from linewright.store.clock import said, text_of
from linewright.watch.facts import Alerted, Cleared, Watched

AHEAD_S = 2.0
"""Seconds that are no skew: clocks are corrected by so much in daily life, which harms nothing."""
_KINDS = (Alerted, Cleared, Accepted, Finished, Promoted, Deployed)


def ahead_until(factory: Factory, line: str) -> str | None:
    """Return the latest time of the events of a line where that is more than `AHEAD_S` seconds in the future, else `None`."""
    newest, told = [newest_of(factory, line, kind) for kind in _KINDS], clock_alert(factory, line)
    watched = newest_of(factory, line, Watched)
    instants = [one.at for one in newest if one is not None]
    instants += [max(watched.at, watched.end)] if watched else []
    instants += [_until(told)] if told else []
    latest = max(instants, default="")
    return latest if latest > later(factory.now(), f"{AHEAD_S:g}s") else None


def clock_alert(factory: Factory, line: str) -> Alerted | None:
    """Return the open alert ``clock`` of a line; its `since` is when the skew was seen."""
    return next((one for one in open_alerts(factory, line) if one.monitor == "clock"), None)


def tend_clock(factory: Factory, line: str) -> Alerted | Cleared | None:
    """Open the alert where a line has events in the future, clear it once their time has come, and return what was recorded.

    It may be called at any time, again and again: there is one alert for one skew.
    """
    until, told = ahead_until(factory, line), clock_alert(factory, line)
    if told is None and until is not None and factory.metadata.pointer(line).champion is not None:
        news = _alert(factory, line, until)
    elif told is not None and until is None:
        news = _clear(factory, told, f"the time has come that the record reached up to, {said(_until(told))}")
    elif told is not None and until is not None and until > _until(told):
        news = _clear(factory, told, f"the clock was ahead again: the record reaches up to {said(until)}")
    else:
        return None
    factory.metadata.record(news)
    return news


def _alert(factory: Factory, line: str, until: str) -> Alerted:
    context, watched = factory.context, newest_of(factory, line, Watched)
    package, now = find_model(factory, line).digest, factory.now()
    beyond = datetime.fromisoformat(until) - datetime.fromisoformat(now)
    return Alerted(
        at=now,
        by=context.actor,
        because=f"the clock of this machine was once ahead: the record reaches up to {said(until)}, {beyond.total_seconds():,.0f} s beyond now. "
        "Windows are closed again from now on; what waits for a time, as a cooldown does, may wait until then",
        line=line,
        id=f"clock:{until}",
        package=package,
        monitor="clock",
        column=None,
        value=beyond.total_seconds(),
        bar=AHEAD_S,
        evidence=watched.window if watched else package,
        since=now,
    )


def _until(told: Alerted) -> str:
    return text_of(datetime.fromisoformat(told.since) + timedelta(seconds=told.value))


def _clear(factory: Factory, told: Alerted, because: str) -> Cleared:
    context = factory.context
    return Cleared(
        at=context.now(),
        by=context.actor,
        because=because,
        line=told.line,
        alert=told.id,
        evidence=told.evidence,
    )
