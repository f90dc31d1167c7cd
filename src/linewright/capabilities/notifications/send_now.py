"""Telling destinations now: a test, or what waits for them."""

from contextlib import closing

from linewright.capabilities.notifications.deliveries import Tried
from linewright.capabilities.notifications.destinations import Destination, chosen
from linewright.capabilities.notifications.send_events import Courier, opened
from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.people.messages import probe_message
from linewright.people.outbox import Outbox
from linewright.people.send import Undelivered


def try_out(factory: Factory, name: str | None) -> list[Tried]:
    """Send a test to destinations, whatever they are told of otherwise; nothing of it is kept."""
    tried: list[Tried] = []
    for one in chosen(factory, name):
        message = probe_message(id=factory.context.new_id(), at=factory.now(), destination=one.name)
        try:
            with closing(opened(one, factory)) as sender:
                sender.send([message])
        except (Undelivered, LinewrightError) as error:
            tried.append(Tried(destination=one.name, delivered=0, trouble=str(error)))
        else:
            tried.append(Tried(destination=one.name, delivered=1, trouble=""))
    return tried


def send_now(factory: Factory, name: str | None, *, refused: bool) -> list[Tried]:
    """Tell destinations now what waits, whatever went wrong before."""
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
                with closing(opened(to, factory)) as sender:
                    sender.send([message])
                taken += 1
            outbox.taken(to.name, [seq])
    except (Undelivered, LinewrightError) as error:
        return taken, str(error)
    return taken, ""
