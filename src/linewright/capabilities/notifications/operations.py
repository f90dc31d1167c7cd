"""Operations about who is told of what happens."""

import msgspec

from linewright.capabilities.notifications.deliveries import Delivery, Tried, deliveries
from linewright.errors import Transient
from linewright.line.factory import Factory
from linewright.operations.declare import operation
from linewright.serve.listener import endpoint


class Deliveries(msgspec.Struct, frozen=True, kw_only=True):
    """How far the destinations have been told."""

    up: bool
    """Whether the factory is up, so that what happens is told by itself."""
    destinations: tuple[Delivery, ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of tries."""

    tried: tuple[Tried, ...]

    @property
    def exit_code(self) -> int:
        """0 where all went well, 6 where a receiver did not take what it was sent."""
        return Transient.exit_code if any(one.trouble for one in self.tried) else 0


@operation(permission="view", effect="read")
def notify_status(factory: Factory, /) -> Deliveries:
    """Show who is told of what happens, what waits to be told, and what goes wrong."""
    return Deliveries(up=endpoint(factory.state) is not None, destinations=tuple(deliveries(factory)))


@operation(permission="manage", effect="act")
def notify_test(factory: Factory, destination: str | None = None, /) -> Outcome:
    """Send a test to those who are told of what happens.

    It says in its own words that nothing has happened. Secrets of `env:` are those of this process.

    Parameters
    ----------
    destination
        Name of one of them (default: all).
    """
    from linewright.capabilities.notifications.send_now import try_out  # noqa: PLC0415 -- `status` imports this module and sends nothing

    return Outcome(tried=tuple(try_out(factory, destination)))


@operation(permission="manage", effect="act")
def notify_send(factory: Factory, destination: str | None = None, /, *, refused: bool = False) -> Outcome:
    """Tell now what waits to be told, without `up` and before the next try.

    Parameters
    ----------
    destination
        Name of one of those who are told (default: all).
    refused
        Send also what was refused before and set aside.
    """
    from linewright.capabilities.notifications.send_now import send_now  # noqa: PLC0415 -- see above

    return Outcome(tried=tuple(send_now(factory, destination, refused=refused)))
