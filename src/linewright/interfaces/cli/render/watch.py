"""Alerts, and the trainings that they led to."""

from collections.abc import Sequence

from linewright.interfaces.cli.render.dispatch import renderer
from linewright.interfaces.cli.words import short
from linewright.line.loop.waiting import Wait, wait_in_words
from linewright.operations.watch import AlertLine, Alerts, ProposalLine
from linewright.store.clock import said


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
