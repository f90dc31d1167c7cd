"""A line's life in a world: what happened day by day, and what its decisions were worth."""

from typing import Literal

import msgspec

from linewright.model.facts import ListValue


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


class ShopDay(msgspec.Struct, frozen=True, kw_only=True):
    """One live day. Values are true ones: the mean number of items that are taken of a list, by the world's probabilities."""

    day: int
    """Counted from the first live day, 0."""
    date: str
    """ISO 8601."""
    lists: int
    """How many were shown."""
    drawn: int
    """How many of them were drawn."""
    taken: int
    """Items that were taken of them."""
    model: str
    """What served, as LINE@VERSION."""
    value: float
    """Of the lists of the line, as they were shown."""
    popular: float
    """Of a list of the items that were bought most before."""
    best: float
    """Of the best lists: nobody can do better."""


class ShopLife(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a line while it served in the shop. Values are true ones, as in `ShopDay`."""

    world: str
    seed: int
    line: str
    days: tuple[ShopDay, ...]
    champion: str
    """What serves at the end, as LINE@VERSION."""
    estimate: ListValue | None
    """What the line itself found of the lists of its champion, by those that were shown and what was taken of them."""
    true_value: float
    """The true value of the champion's lists for the same visits."""
