"""What is news: people are told of a finding once, and once more when it is over."""

from collections.abc import Sequence
from dataclasses import dataclass

from linewright.store.values import digest_of
from linewright.watch.facts import Alerted, Cleared, Finding, Monitor, Watched


@dataclass(frozen=True, kw_only=True)
class News:
    """Events to record, in this order."""

    cleared: tuple[Cleared, ...] = ()
    alerted: tuple[Alerted, ...] = ()


def news(open_alerts: Sequence[Alerted], watched: Sequence[Watched], *, windows: int) -> News:
    """Return which alerts are new and which are over, now that the newest window has been closed.

    An alert stays open until its monitor has not found it in `windows` windows in a row, or another model serves. Windows
    that say nothing count neither way: without rows, or (of performance) without a judgement. So a line without any
    traffic stays an open alert.

    Parameters
    ----------
    open_alerts
        Alerts of the line that were not cleared.
    watched
        Closed windows of the line, oldest first, the newest last: at least the last `windows` that have rows.
    windows
        Windows in a row that must be quiet.

    Returns
    -------
    News
        `at` and `by` are those of the newest window.
    """
    newest = watched[-1]
    over = [
        (alert, because)
        for alert in open_alerts
        if (because := _why_over(alert, watched, windows)) is not None
    ]
    closed = {alert.id for alert, _ in over}
    told = {_about(alert) for alert in open_alerts if alert.id not in closed}
    return News(
        cleared=tuple(_clear(alert, because, newest) for alert, because in over),
        alerted=tuple(_alert(finding, newest) for finding in newest.findings if _about(finding) not in told),
    )


def alert_id(line: str, package: str, finding: Finding) -> str:
    """Return the id of the alert that a finding becomes: the same in any folder and after any resume."""
    return digest_of([line, package, finding.monitor, finding.column, finding.since])


def _about(what: Alerted | Finding) -> tuple[str, str | None]:
    return what.monitor, what.column


def _why_over(alert: Alerted, watched: Sequence[Watched], windows: int) -> str | None:
    if watched[-1].package != alert.package:
        return "another model serves"
    last = [each for each in watched if _tells(each, alert)][-windows:]
    if len(last) < windows or any(
        _about(finding) == _about(alert) for each in last for finding in each.findings
    ):
        return None
    times = "1 window" if windows == 1 else f"{windows} windows in a row"
    return f"not found in {times}"


def _tells(watched: Watched, alert: Alerted) -> bool:
    if watched.package != alert.package or watched.start < alert.since:
        return False
    return watched.performance is not None if alert.monitor == "performance" else watched.n > 0


def _clear(alert: Alerted, because: str, newest: Watched) -> Cleared:
    return Cleared(
        at=newest.at,
        by=newest.by,
        because=because,
        line=newest.line,
        alert=alert.id,
        evidence=_evidence(alert.monitor, newest),
    )


def _alert(finding: Finding, newest: Watched) -> Alerted:
    return Alerted(
        at=newest.at,
        by=newest.by,
        because=finding.says,
        line=newest.line,
        id=alert_id(newest.line, newest.package, finding),
        package=newest.package,
        monitor=finding.monitor,
        column=finding.column,
        value=finding.value,
        bar=finding.bar,
        evidence=_evidence(finding.monitor, newest),
        since=finding.since,
    )


def _evidence(monitor: Monitor, watched: Watched) -> str:
    own = {"performance": watched.performance, "calibration": watched.confirmations}
    return own.get(monitor) or watched.window
