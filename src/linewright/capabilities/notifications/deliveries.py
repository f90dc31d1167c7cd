"""How far destinations have been told, and what keeps them from it: for people who ask."""

from collections.abc import Collection

import msgspec

from linewright.capabilities.notifications.destinations import Declared, Destination
from linewright.line.factory import Factory
from linewright.people.outbox import Outbox, Place


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """How far one destination has been told."""

    destination: str
    """NAME of `factory.yaml`, or LINE/NAME; of e-mail with /RECIPIENT behind it."""
    by: str
    """`webhook`, `slack`, `email` or `openlineage`."""
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


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one try."""

    destination: str
    delivered: int
    """Events that it took."""
    trouble: str
    """Why it took no more; empty where nothing went wrong."""


def deliveries(factory: Factory, *, lines: Collection[str] | None = None) -> list[Delivery]:
    """Return how far each destination has been told; of files that are wrong, what they named is left out."""
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


def _delivery(factory: Factory, outbox: Outbox, to: Destination, place: Place | None) -> Delivery:
    return Delivery(
        destination=to.name,
        by=next(iter(type(to.spec).model_fields.keys() & {"webhook", "slack", "email", "openlineage"})),
        waiting=sum(1 for _ in to.messages(factory, after=place.seq if place else to.first(factory))),
        delivered=place.delivered if place else 0,
        delivered_at=place.delivered_at if place else None,
        failures=place.failures if place else 0,
        failing_since=place.failing_since if place else None,
        next_at=place.next_at if place else None,
        trouble=place.trouble if place else "",
        refused=len(outbox.refused(to.name)) if place else 0,
    )
