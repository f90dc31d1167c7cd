"""Notifications: what each destination was sent, and what waits."""

from linewright.interfaces.cli.render.dispatch import renderer
from linewright.interfaces.cli.render.lines.status import delivery_text
from linewright.line.notify.send_now import Tried
from linewright.operations.care.notify import Deliveries, Outcome
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
