"""Notifications: what each destination was sent, and what waits."""

from linewright.capabilities.notifications.deliveries import Delivery, Tried
from linewright.capabilities.notifications.operations import Deliveries, Outcome
from linewright.interfaces.cli.dispatch import renderer
from linewright.store.clock import said
from linewright.text.numbers import count


def _tried_text(one: Tried) -> str:
    """Say it in one line."""
    taken = f"{one.destination}: {count(one.delivered, 'event')} delivered"
    return f"{taken}; {one.trouble}" if one.trouble else taken


@renderer.register
def deliveries_text(result: Deliveries) -> str:
    """Say it line by line."""
    if not result.destinations:
        return (
            "No notifications are sent: name destinations under `notify:` in factory.yaml or in a line file."
        )
    down = (
        ()
        if result.up
        else ("the factory is not up: `linewright up` tells what waits, or `linewright notify send`",)
    )
    return "\n".join([*map(delivery_text, result.destinations), *down])


@renderer.register
def outcome_text(result: Outcome) -> str:
    """Say it line by line."""
    return "\n".join(map(_tried_text, result.tried))


def delivery_text(one: Delivery) -> str:
    """Say how many events one destination was sent and how many wait, in a line or two."""
    words = f"{one.destination} ({one.by}): "
    last = f", last on {said(one.delivered_at)}" if one.delivered_at else ""
    words += f"{count(one.delivered, 'event')} told{last}; {one.waiting:,} waiting"
    if one.refused:
        words += f"; {one.refused:,} refused and kept: linewright notify send {one.destination} --refused"
    if one.failures:
        words += f"\n  fails since {said(one.failing_since or '')}, {count(one.failures, 'try', 'tries')}: {one.trouble}"
        words += f"; next try {said(one.next_at)}" if one.next_at else ""
    return words
