"""How far one destination has been words."""

from linewright.line.notify.deliveries import Delivery
from linewright.store.clock import said
from linewright.text.numbers import count


def delivery_text(one: Delivery) -> str:
    """Say it in one line."""
    words = f"{one.destination} ({one.by}): "
    last = f", last on {said(one.delivered_at)}" if one.delivered_at else ""
    words += f"{count(one.delivered, 'event')} told{last}; {one.waiting:,} waiting"
    if one.refused:
        words += (
            f"; {one.refused:,} refused and set aside: linewright notify send {one.destination} --refused"
        )
    if one.failures:
        words += f"\n  fails since {said(one.failing_since or '')}, {count(one.failures, 'try', 'tries')}: {one.trouble}"
        words += f"; next try {said(one.next_at)}" if one.next_at else ""
    return words
