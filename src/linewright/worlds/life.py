"""A line's life in a world: what happened day by day, and what its decisions were worth."""

from typing import Literal

import msgspec


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One live day. Money is in whole cents; losses are negative."""

    day: int
    """Counted from the first live day, 0."""
    date: str
    """ISO 8601."""
    payments: int
    frauds: int
    model: str
    """What answered, as LINE@VERSION."""
    value: int
    """Worth of the decisions that the line made, by what turned out to be true."""
    never: int
    """Worth of the decisions of the first model, had it served on: never retraining."""
    best: int
    """Worth of the best decisions, by the world's true probabilities: nobody can do better on average."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened on a live day."""

    day: int
    kind: Literal["attack", "alert", "proposed", "trained", "promoted", "refused"]
    says: str
    """One sentence for people."""
    evidence: str | None = None
    """Digest of what it rests on."""


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a line while it served in a world."""

    world: str
    seed: int
    is_attacked: bool
    line: str
    currency: str
    days: tuple[Day, ...]
    moments: tuple[Moment, ...]
    """In the order in which they happened; an attack is the world's doing, the others are the line's."""
