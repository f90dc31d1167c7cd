"""Pages of the console."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Entry, Page

_WINDOWS = 120
"""Windows in which the quality before an alert is looked for."""


def _read_alert(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return one alert with what it rests on."""
    shown = ask("alert", id=values["id"])
    line = shown.alert.line
    is_quality = shown.alert.monitor == "performance"
    seen = ask("monitors", line=line, windows=_WINDOWS).quality if is_quality else ()
    return {
        "shown": shown,
        "quality": [each for each in seen if each.end <= (shown.alert.over or shown.alert.at)],
        "claim": ask("why", evidence=shown.alert.id),
        "line": line,
        "comments": ask("comments", line=line, about=shown.alert.id).comments,
    }


_FEW = 5
"""Lines that are looked at one by one: to look at all of a thousand at once takes as long as six."""


def _read_alerts(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the alerts, also those that are over if that is wanted."""
    over, line = bool(values["over"]), values["line"]
    # Of a thousand lines few have an alert, and the others need not be looked at.
    lines = (
        [line]
        if line
        else [each.line for each in ask.status.lines if each.alerts or (over and each.alerts_over)]
    )
    if len(lines) > _FEW:
        listed = ask.of_lines("alerts", over=over)
    else:
        listed = [ask("alerts", line=each, over=over) for each in lines]
    found = [each for one in listed for each in one.alerts]
    return {"alerts": sorted(found, key=lambda each: each.at, reverse=True)}


WINDOWS = 28
"""Windows that are shown: more would be too much for one page."""


def _read_monitors(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what monitors saw, and the alerts of the line."""
    line = values["line"]
    return {
        "found": ask("monitors", line=line, windows=WINDOWS),
        "alerts": ask("alerts", line=line, over=True).alerts,
    }


def _apart_worst_slice(values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    return {"found": ("worst-slice", {"id": [values["id"]]})}


PAGES = (
    Page(
        at=(Entry("alert", "/alerts/{id}", "view", "Alert"),),
        template="monitoring/alert.html.jinja",
        read=_read_alert,
        title=lambda values: f"Alert {values['id'].removeprefix('sha256:')[:12]}",
    ),
    Page(
        at=(Entry("alerts", "/alerts", "view", "Alerts", "look"),),
        template="monitoring/alerts.html.jinja",
        read=_read_alerts,
        query=("line", "over"),
        is_live=True,
    ),
    Page(
        at=(Entry("monitors", "/lines/{line}/monitors", "view", "Monitors", tab="Monitors"),),
        template="monitoring/monitors.html.jinja",
        read=_read_monitors,
    ),
    Page(
        at=(Entry("worst-slice", "/alerts/{id}/slice", "view", "The worst slice"),),
        template="monitoring/worst_slice.html.jinja",
        apart=_apart_worst_slice,
    ),
)
