"""How far one destination has been told."""

from linewright.line.notify.deliveries import Delivery
from linewright.store.clock import said
from linewright.text.numbers import count


def delivery_text(one: Delivery) -> str:
    """Say it in one line."""
    told = f"{one.destination} ({one.by}): "
    last = f", last on {said(one.delivered_at)}" if one.delivered_at else ""
    told += f"{count(one.delivered, 'event')} told{last}; {one.waiting:,} waiting"
    if one.refused:
        told += f"; {one.refused:,} refused and set aside: linewright notify send {one.destination} --refused"
    if one.failures:
        told += f"\n  fails since {said(one.failing_since or '')}, {count(one.failures, 'try', 'tries')}: {one.trouble}"
        told += f"; next try {said(one.next_at)}" if one.next_at else ""
    return told
