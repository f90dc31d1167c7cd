"""What is news: people are told of a finding once, and once more when it is over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from linewright.store.values import digest_of
from linewright.watch.facts import Alerted, Cleared, Finding, Monitor, Watched
from linewright.watch.finding_text import finding_in_words

OF_NO_MODEL: Monitor = "sensor"
"""Monitor whose findings are about rows, whichever model answers them."""


@dataclass(frozen=True, kw_only=True)
class News:
    """Events to record, in this order."""

    cleared: tuple[Cleared, ...] = ()
    alerted: tuple[Alerted, ...] = ()


def news(
    open_alerts: Sequence[Alerted],
    watched: Sequence[Watched],
    *,
    windows: int,
    is_over: Callable[[Alerted, Sequence[Watched]], bool],
) -> News:
    """Return which alerts are new and which are over, now that the newest window has been closed.

    An alert stays open until its monitor has not found it in `windows` windows in a row that were able to, or another
    model serves. Windows that say nothing count neither way: without rows, or (of performance) without a judgement. So a
    line without any traffic stays an open alert.
    """
    newest = watched[-1]
    over = [
        (alert, because)
        for alert in open_alerts
        if (because := _why_over(alert, watched, windows, is_over)) is not None
    ]
    closed = {alert.id for alert, _ in over}
    told = {_about(alert) for alert in open_alerts if alert.id not in closed}
    return News(
        cleared=tuple(_clear(alert, because, newest) for alert, because in over),
        alerted=tuple(_alert(finding, newest) for finding in newest.findings if _about(finding) not in told),
    )


def alert_id(line: str, package: str, finding: Finding) -> str:
    """Return the id of the alert that a finding becomes: the same in any folder and after any resume."""
    about = [line, package, finding.monitor, finding.column, finding.since]
    return digest_of(about if finding.group is None else [*about, finding.group])


def _about(what: Alerted | Finding) -> tuple[str, str | None, str | None]:
    return what.monitor, what.column, what.group


def _why_over(
    alert: Alerted,
    watched: Sequence[Watched],
    windows: int,
    is_over: Callable[[Alerted, Sequence[Watched]], bool],
) -> str | None:
    if watched[-1].package != alert.package and alert.monitor != OF_NO_MODEL:
        return "another model serves"
    quiet = _quiet(alert, watched)
    if len(quiet) < windows or not is_over(alert, quiet):
        return None
    times = "1 window" if len(quiet) == 1 else f"{len(quiet)} windows in a row"
    return f"not found in {times}"


def _quiet(alert: Alerted, watched: Sequence[Watched]) -> list[Watched]:
    """Return the windows that tell of an alert since it was found last, oldest first."""
    quiet: list[Watched] = []
    for each in reversed(watched):
        if any(_about(finding) == _about(alert) for finding in each.findings):
            break
        if _tells(each, alert):
            quiet.append(each)
    return quiet[::-1]


def _tells(watched: Watched, alert: Alerted) -> bool:
    if alert.monitor == OF_NO_MODEL:
        return watched.n > 0 and watched.end > alert.since
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
        because=finding_in_words(finding),
        line=newest.line,
        id=alert_id(newest.line, newest.package, finding),
        package=newest.package,
        monitor=finding.monitor,
        column=finding.column,
        group=finding.group,
        value=finding.value,
        bar=finding.bar,
        evidence=_evidence(finding.monitor, newest),
        since=finding.since,
        made=finding.made,
    )


def _evidence(monitor: Monitor, watched: Watched) -> str:
    own = {"performance": watched.performance, "calibration": watched.confirmations}
    return own.get(monitor) or watched.window
