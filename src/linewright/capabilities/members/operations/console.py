"""The way of a factory's owner into its console, without a password."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from linewright.errors import Denied
from linewright.line.factory import Factory
from linewright.operations.declare import operation
from linewright.serve.access.sign_in import owner_link


class ConsoleLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that was made."""

    is_secret: ClassVar[bool] = True

    link: str
    """Address with the code, which is stored nowhere."""


def console_link(factory: Factory, url: str) -> str:
    """Return an address of the console that signs the owner in, once, in place of an earlier one.

    Parameters
    ----------
    factory
        Whose console it is.
    url
        Address of its control plane.
    """
    return f"{url}/sign-in?code={owner_link(factory.state, factory.now()).code}"


@operation(permission="manage", effect="act", local=True)
def console(factory: Factory, *, control_port: Annotated[int, Meta(ge=1, le=65535)] = 8080) -> ConsoleLink:
    """Print a link that opens the console, signed in as the owner of the factory.

    The factory has to be `up`. The link is used once, within 24 hours; an earlier one ends. Members sign in with their password.

    Parameters
    ----------
    control_port
        Port of the control plane, as `up` was given it.

    Raises
    ------
    Denied
        If a token is used: a member has no more rights in a browser than elsewhere.
    """
    if not factory.identity.is_owner:
        raise Denied(
            "the link is the owner's, who runs commands without a token",
            found=factory.identity.actor,
            hint=f"sign in with your password: http://127.0.0.1:{control_port}/sign-in",
        )
    return ConsoleLink(link=console_link(factory, f"http://127.0.0.1:{control_port}"))
