"""When a line should train again: a pure decision, which does nothing by itself."""

from collections.abc import Sequence
from datetime import datetime

from linewright.store.clock import text_of
from linewright.text.durations import duration_micros
from linewright.text.schedule import read_schedule
from linewright.watch.facts import (
    Alerted,
    Monitor,
    NewLabels,
    OpenAlerts,
    RetrainProposal,
    TimeCame,
    TimePassed,
    Trigger,
)
from linewright.watch.spec import AtTrigger, EveryTrigger, LabelsTrigger, RetrainSpec

_MONITORS: dict[str, frozenset[Monitor]] = {
    "drift": frozenset({"drift", "prediction", "unseen", "missing"}),
    "performance": frozenset({"performance", "calibration"}),
}

SHIFTS = frozenset[Monitor]().union(*_MONITORS.values())
"""Monitors whose findings mean that new rows, or their truth, are not like those before."""


def propose(
    line: str,
    retrain: RetrainSpec,
    *,
    now: str,
    trained: str | None,
    labels: int = 0,
    open_alerts: Sequence[Alerted] = (),
) -> RetrainProposal | None:
    """Return the training that is due, by the first of `retrain.when` that holds; `None` where none is.

    Examples
    --------
    >>> weekly = RetrainSpec.model_validate({"when": [{"every": "7d"}]})
    >>> due = propose("claims", weekly, now="2026-11-25T00:00:00Z", trained="2026-11-18T00:00:00Z")
    >>> due.trigger, due.reason
    ('every', TimePassed(every='7d'))
    >>> propose("claims", weekly, now="2026-11-25T00:00:00Z", trained="2026-11-24T00:00:00Z") is None
    True
    """
    is_cooling = trained is not None and _micros(trained, now) < duration_micros(retrain.cooldown)
    asked = {one for condition in retrain.when if isinstance(condition, str) for one in _MONITORS[condition]}
    relevant = [alert for alert in open_alerts if alert.monitor in asked]
    for condition in retrain.when:
        if is_cooling and not isinstance(condition, AtTrigger):
            continue
        proposal = _proposal(line, condition, now=now, trained=trained, labels=labels, open_alerts=relevant)
        if proposal is not None:
            return proposal
    return None


def _proposal(
    line: str,
    condition: str | LabelsTrigger | EveryTrigger | AtTrigger,
    *,
    now: str,
    trained: str | None,
    labels: int,
    open_alerts: Sequence[Alerted],
) -> RetrainProposal | None:
    match condition:
        case LabelsTrigger() if labels >= condition.labels:
            return RetrainProposal(
                line=line,
                trigger="labels",
                reason=NewLabels(labels=labels, at_least=condition.labels),
                since=trained or now,
                trained=trained,
            )
        case EveryTrigger() if trained and _micros(trained, now) >= duration_micros(condition.every):
            return RetrainProposal(
                line=line,
                trigger="every",
                reason=TimePassed(every=condition.every),
                since=trained,
                trained=trained,
            )
        case AtTrigger() if trained and (came := _came(condition.at, trained, now)):
            return RetrainProposal(
                line=line,
                trigger="every",
                reason=TimeCame(schedule=condition.at, at=came),
                since=came,
                trained=trained,
            )
        case "drift" | "performance":
            return _alerted(line, condition, trained, open_alerts)
        case _:
            return None


def _came(schedule: str, trained: str, now: str) -> str | None:
    """Return the newest time of a schedule, if the last training began before it."""
    came = read_schedule(schedule).last(datetime.fromisoformat(now))
    return text_of(came) if came is not None and came > datetime.fromisoformat(trained) else None


def _alerted(
    line: str, trigger: Trigger, trained: str | None, open_alerts: Sequence[Alerted]
) -> RetrainProposal | None:
    own = [alert for alert in open_alerts if alert.monitor in _MONITORS[trigger]]
    if not own:
        return None
    reasons = sorted(open_alerts, key=lambda alert: (alert.at, alert.id))
    # Answers that got worse are told before columns that moved, whichever was found first.
    told = sorted(reasons, key=lambda alert: alert.monitor not in _MONITORS["performance"])
    return RetrainProposal(
        line=line,
        trigger=trigger,
        reason=OpenAlerts(alerts=tuple(alert.id for alert in told)),
        evidence=tuple(dict.fromkeys(alert.evidence for alert in reasons)),
        since=min(alert.rows_since for alert in own),
        trained=trained,
    )


def _micros(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() * 1e6
