"""How far destinations have been told, and what keeps them from it: for people who ask."""

from collections.abc import Collection
from contextlib import closing

import msgspec

from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.notify.destinations import Declared, Destination, chosen
from linewright.line.notify.notify import Courier
from linewright.people.messages import probe_message
from linewright.people.outbox import Outbox, Place
from linewright.people.send import Undelivered
from linewright.store.clock import said
from linewright.text.numbers import count


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """How far one destination has been told."""

    destination: str
    """NAME of `factory.yaml`, or LINE/NAME; of e-mail with /RECIPIENT behind it."""
    by: str
    """`webhook`, `slack` or `email`."""
    waiting: int
    """Events that it has not been told yet."""
    delivered: int
    """Events that it took."""
    delivered_at: str | None
    """When it took one last."""
    failures: int
    """Tries in a row that failed."""
    failing_since: str | None
    next_at: str | None
    """When `linewright up` tries again."""
    trouble: str
    """What went wrong the last time; empty where nothing did."""
    refused: int
    """Events that it refused again and again, and that were set aside: `linewright notify send NAME --refused` tries them."""

    @property
    def is_well(self) -> bool:
        """Whether it takes what it is told."""
        return not self.failures and not self.refused

    def to_text(self) -> str:
        """Say it in one line."""
        told = f"{self.destination} ({self.by}): "
        last = f", last on {said(self.delivered_at)}" if self.delivered_at else ""
        told += f"{count(self.delivered, 'event')} told{last}; {self.waiting:,} waiting"
        if self.refused:
            told += f"; {self.refused:,} refused and set aside: linewright notify send {self.destination} --refused"
        if self.failures:
            told += f"\n  fails since {said(self.failing_since or '')}, {count(self.failures, 'try', 'tries')}: {self.trouble}"
            told += f"; next try {said(self.next_at)}" if self.next_at else ""
        return told


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one try."""

    destination: str
    delivered: int
    """Events that it took."""
    trouble: str
    """Why it took no more; empty where nothing went wrong."""

    def to_text(self) -> str:
        """Say it in one line."""
        taken = f"{self.destination}: {count(self.delivered, 'event')} delivered"
        return f"{taken}; {self.trouble}" if self.trouble else taken


def deliveries(factory: Factory, *, lines: Collection[str] | None = None) -> list[Delivery]:
    """Return how far each destination has been told; of files that are wrong, what they named is left out.

    Parameters
    ----------
    lines
        Whose files are looked at (default: all).
    """
    outbox = Outbox(factory.state)
    places, declared = outbox.places(), Declared(factory).read(lines=lines)
    return [_delivery(factory, outbox, declared[name], places.get(name)) for name in sorted(declared)]


def undelivered(factory: Factory) -> list[Delivery]:
    """Return the destinations that do not take what they are told. Where all do, no line file is read."""
    outbox = Outbox(factory.state)
    ill = {name for name, place in outbox.places().items() if place.failures} | outbox.refusing()
    if not ill:
        return []
    return [
        one for one in deliveries(factory, lines={name.partition("/")[0] for name in ill}) if not one.is_well
    ]


def try_out(factory: Factory, name: str | None) -> list[Tried]:
    """Send a test to destinations, whatever they are told of otherwise; nothing of it is kept."""
    tried: list[Tried] = []
    for one in chosen(factory, name):
        message = probe_message(id=factory.context.new_id(), at=factory.now(), destination=one.name)
        try:
            with closing(one.open(factory)) as sender:
                sender.send([message])
        except (Undelivered, LinewrightError) as error:
            tried.append(Tried(destination=one.name, delivered=0, trouble=str(error)))
        else:
            tried.append(Tried(destination=one.name, delivered=1, trouble=""))
    return tried


def send_now(factory: Factory, name: str | None, *, refused: bool) -> list[Tried]:
    """Tell destinations now what waits, whatever went wrong before.

    Parameters
    ----------
    refused
        Whether what they refused is tried again too, before the rest.
    """
    outbox, tried = Outbox(factory.state), list[Tried]()
    for one in chosen(factory, name):
        outbox.begin(one.name, one.first(factory))
        again, trouble = _send_refused(factory, outbox, one) if refused else (0, "")
        courier = Courier(factory, outbox, one, outbox.places()[one.name])
        taken = courier.deliver()
        tried.append(Tried(destination=one.name, delivered=again + taken, trouble=courier.trouble or trouble))
    return tried


def _send_refused(factory: Factory, outbox: Outbox, to: Destination) -> tuple[int, str]:
    taken = 0
    try:
        for seq in outbox.refused(to.name):
            # What it is told of no more is not there, and needs no sending.
            message = next(to.messages(factory, after=seq - 1), None)
            if message is not None and message.seq == seq:
                with closing(to.open(factory)) as sender:
                    sender.send([message])
                taken += 1
            outbox.taken(to.name, [seq])
    except (Undelivered, LinewrightError) as error:
        return taken, str(error)
    return taken, ""


def _delivery(factory: Factory, outbox: Outbox, to: Destination, place: Place | None) -> Delivery:
    return Delivery(
        destination=to.name,
        by=next(iter(type(to.spec).model_fields.keys() & {"webhook", "slack", "email"})),
        waiting=sum(1 for _ in to.messages(factory, after=place.seq if place else to.first(factory))),
        delivered=place.delivered if place else 0,
        delivered_at=place.delivered_at if place else None,
        failures=place.failures if place else 0,
        failing_since=place.failing_since if place else None,
        next_at=place.next_at if place else None,
        trouble=place.trouble if place else "",
        refused=len(outbox.refused(to.name)) if place else 0,
    )
