"""The operation that says how far goals are reached."""

import msgspec

from linewright.line.factory import Factory
from linewright.line.value.goals import Goal, goals_of
from linewright.operations.declaration.declare import operation


class Goals(msgspec.Struct, frozen=True, kw_only=True):
    """How far the goals of a factory are reached, in the order of its file."""

    goals: tuple[Goal, ...]


@operation(writes=False)
def goals(factory: Factory, /) -> Goals:
    """Show how far the goals of the factory are reached, line by line.

    Values are those of the value accounts that were kept last; costs are those of now.
    """
    return Goals(goals=tuple(goals_of(factory)))
