"""Worlds: simulators with known truth, which a line meets as it would meet its own data.

A world draws everything from its seed, says what it does not model (``docs/explanation/worlds.md``), and knows of each row what no
user can know: its true probability. A module is imported when its world is used.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

from linewright.errors import NotFound


class Entry(NamedTuple):
    """Where a world lives, and what it is in one line."""

    module: str
    kind: str
    """Name of its class in that module."""
    summary: str


WORLDS: Mapping[str, Entry] = {
    "fraud": Entry(
        module="linewright.worlds.fraud.world",
        kind="FraudWorld",
        summary="Card payments; from one day on a new kind of fraud, which no model has seen.",
    ),
    "machines": Entry(
        module="linewright.worlds.machines.world",
        kind="MachinesWorld",
        summary="Twelve plants whose machines wear out, and whose sensors fail by themselves.",
    ),
    "shop": Entry(
        module="linewright.worlds.shop.world",
        kind="ShopWorld",
        summary="Customers with tastes who are shown lists; items have seasons, and new ones arrive.",
    ),
}
"""Name of each world → where it lives."""


def load(name: str) -> type[Any]:
    """Return the class of a world.

    Examples
    --------
    >>> load("fraud")(1).days
    110
    """
    if name not in WORLDS:
        raise NotFound("there is no such world", found=name, allowed=", ".join(WORLDS))
    entry = WORLDS[name]
    return getattr(import_module(entry.module), entry.kind)
