"""The preferences of the caller: a member's own, or the owner's. A token that is nobody's has none."""

from collections.abc import Callable
from typing import NamedTuple

from linewright.errors import Denied
from linewright.line.factory import Factory
from linewright.people.preferences import OWNER, Preferences, change_preferences, read_preferences
from linewright.serve.access.accounts import read_accounts


class _Whose(NamedTuple):
    member: str
    since: str


def read_own(factory: Factory) -> Preferences:
    """Return what the caller has set; nothing for a token that is nobody's."""
    whose = _whose(factory)
    return Preferences() if whose is None else read_preferences(factory.state, *whose)


def change_own(factory: Factory, change: Callable[[Preferences], Preferences]) -> Preferences:
    """Change what the caller has set, and return it.

    Raises
    ------
    Denied
        If they are neither a member nor the owner of the factory.
    """
    whose = _whose(factory)
    if whose is None:
        raise Denied(
            "a token that is nobody's has no preferences",
            found=factory.identity.actor,
            allowed="a member, or the owner of the factory",
            hint="use a token of a member: linewright token create NAME --kind ROLE --member MEMBER",
        )
    return change_preferences(factory.state, *whose, change)


def _whose(factory: Factory) -> _Whose | None:
    identity = factory.identity
    if identity.is_owner:
        return _Whose(OWNER, "")
    member = read_accounts(factory.state).members.get(identity.member)
    return None if member is None else _Whose(identity.member, member.created)
