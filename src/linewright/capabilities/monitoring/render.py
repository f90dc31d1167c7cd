"""Alerts, the trainings that they led to, and what monitors saw."""

from collections.abc import Sequence

from linewright.capabilities.monitoring.operations import (
    AlertLine,
    Alerts,
    AlertShown,
    Monitors,
    ProposalLine,
)
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.words import grid, short
from linewright.line.loop.waiting import Wait, wait_in_words
from linewright.line.loop.worst_slice import WorstSlice
from linewright.line.loop.worst_slice_text import worst_slice_in_words
from linewright.store.clock import said
from linewright.text.numbers import count


@renderer.register
def alerts_text(found: Alerts) -> str:
    """Say what was found, since when, and what the line does about it."""
    troubles = [f"neither watched nor trained, since its file is wrong: {one}" for one in found.troubles]
    if not found.alerts and not found.proposals and not found.waits:
        is_told = bool(troubles) and not found.watched
        return "\n".join([*troubles, "No alerts." if is_told else _quiet(found)])
    return "\n".join(
        [
            *troubles,
            *(_alert_text(alert) for alert in found.alerts),
            *(_proposal_text(one, found.waits) for one in found.proposals),
            *(f"{one.line}  {wait_in_words(one)}" for one in found.waits if one.reason != "labels"),
        ]
    )


def _quiet(found: Alerts) -> str:
    return (
        f"No alerts; watched: {', '.join(found.watched)}."
        if found.watched
        else "No alerts, and no window has been closed yet: a line with a 'watch' section is watched under `linewright up`."
    )


def _alert_text(alert: AlertLine) -> str:
    state = "open" if alert.over is None else f"over since {said(alert.over)}"
    return (
        f"{alert.line}  {alert.monitor}  {state}: {alert.because}\n"
        f"  since {said(alert.since)}, told {said(alert.at)}, evidence {short(alert.evidence)}, alert {short(alert.id)}"
    )


def _proposal_text(proposal: ProposalLine, waits: Sequence[Wait]) -> str:
    own = [one for one in waits if one.line == proposal.line and one.reason != "approval"]
    labels = next((wait_in_words(one) for one in own if one.reason == "labels"), None)
    told = labels or f"a training is proposed{'' if own else ' and begins now'}"
    return f"{proposal.line}  {told}\n  because {proposal.because}"


@renderer.register
def alert_text(found: AlertShown) -> str:
    """Say it, with what was and what came."""
    told = [_alert_text(found.alert)]
    if found.cells:
        rows = [[one.name, f"{one.then:,}", f"{one.now:,}"] for one in found.cells]
        told += [f"  {row}" for row in grid(("rows with", "then", "now"), rows, numbers=(1, 2))]
    for one in found.trainings:
        became = "waits" if one.run is None else f"run {one.run}: {one.outcome or 'running'}"
        told.append(f"  training asked for {said(one.at)}, {became}{', promoted' if one.promoted else ''}")
    told += [f"  {wait_in_words(one)}" for one in found.waits]
    return "\n".join(told)


@renderer.register
def monitors_text(found: Monitors) -> str:
    """Show the newest windows, and where columns stand."""
    if not found.windows:
        return f"{found.line}: no window has been closed yet"
    newest = found.windows[-1]
    head = ("monitor", "column", "newest PSI", "largest", "bar", "")
    rows = [
        [
            one.monitor,
            one.column or "",
            f"{one.windows[-1].value:.3f}" if one.windows else "",
            f"{max(each.value for each in one.windows):.3f}" if one.windows else "",
            f"{one.bar:g}",
            "alert" if one.alert else "",
        ]
        for one in found.monitors
    ]
    quality = [
        f"  {one.metric} {one.value:.4g} on {one.labelled:,} labels, {said(one.start)} to {said(one.end)}"
        for one in found.quality[-3:]
        if one.value is not None
    ]
    return "\n".join(
        [
            f"{found.line}  {len(found.windows)} windows to {said(newest.end)}, {newest.n:,} answers in the newest",
            *grid(head, rows, numbers=(2, 3, 4)),
            *quality,
        ]
    )


@renderer.register
def slice_text(found: WorstSlice) -> str:
    """Say which slice is worst, and how the rows there are spread."""
    lines = [worst_slice_in_words(found)]
    if found.worst is not None:
        lines.append(
            f"  measured on {found.worst.then:,} rows before and {found.worst.now:,} now; {count(found.looked_at, 'slice')} looked at"
        )
        lines += [f"  {one.name}: {one.then:,} before, {one.now:,} now" for one in found.worst.cells]
    return "\n".join(lines)
