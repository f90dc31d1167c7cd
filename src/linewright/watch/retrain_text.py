"""Why a training is proposed, in a sentence for people."""

from collections.abc import Mapping
from typing import assert_never

from linewright.store.clock import said
from linewright.watch.facts import NewLabels, OpenAlerts, RetrainProposal, TimeCame, TimePassed

_TOLD = 2
"""Alerts that are told; the others are in the evidence of the proposal."""


def proposal_in_words(proposal: RetrainProposal, alerts: Mapping[str, str]) -> str:
    """Say why a training is proposed.

    Examples
    --------
    >>> since = "2026-11-18T00:00:00Z"
    >>> weekly = RetrainProposal(line="claims", trigger="every", reason=TimePassed(every="7d"), since=since, trained=since)
    >>> proposal_in_words(weekly, {})
    '7d or more have passed since the last training began, at 2026-11-18 00:00:00Z'
    """
    reason = proposal.reason
    match reason:
        case NewLabels():
            return f"{reason.labels:,} new labels, at least {reason.at_least:,}"
        case TimePassed():
            return (
                f"{reason.every} or more have passed since the last training began, at {said(proposal.since)}"
            )
        case TimeCame():
            return f"it is due by its schedule, {reason.schedule}, since {said(reason.at)}"
        case OpenAlerts():
            more = len(reason.alerts) - _TOLD
            told = "; ".join(alerts.get(one, f"alert {one}") for one in reason.alerts[:_TOLD])
            return f"{told}; and {more} more" if more > 0 else told
        case _:
            assert_never(reason)
