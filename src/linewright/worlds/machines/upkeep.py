"""Policies of maintenance in the world `machines`, and what they cost: the same days, loads and parts for each."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from linewright.worlds.costs import Bools
from linewright.worlds.machines.world import MachinesWorld, Plant

Decide = Callable[[Plant], Bools]
"""Which machines of a plant are maintained this morning."""
INTERVALS = range(20, 76, 5)
"""Days of the fixed intervals that are tried."""
WEARS = (0.5, 0.55, 0.6, 0.65, 0.7)
"""True wears at which the best policy is looked for."""


class Spent(NamedTuple):
    """What a policy cost."""

    by_day: tuple[int, ...]
    """Cents, negative, of all plants by live day."""
    failures: int
    maintained: int

    @property
    def cents(self) -> int:
        """Cents of all days; negative."""
        return sum(self.by_day)


def spend(world: MachinesWorld, decide: Decide, *, days: int | None = None) -> Spent:
    """Live through the live days of all plants with one policy.

    Examples
    --------
    >>> from linewright.worlds.machines.world import draw
    >>> from dataclasses import replace
    >>> world = MachinesWorld(1, parameters=replace(draw(1), machines=4, history_days=60, live_days=30))
    >>> never = spend(world, run_to_failure)
    >>> never.maintained, len(never.by_day), never.cents == -1_200_000 * never.failures
    (0, 30, True)
    """
    last = world.days if days is None else min(world.days, world.go_live + days)
    by_day = np.zeros(last - world.go_live, dtype=np.int64)
    failures = maintained = 0
    for site in world.sites:
        plant, before = world.live(site), 0
        while plant.day < last:
            day = plant.day - world.go_live
            plant.end(decide(plant))
            by_day[day] += plant.cents - before
            before = plant.cents
        failures, maintained = failures + plant.failures, maintained + plant.maintained
    return Spent(tuple(by_day.tolist()), failures, maintained)


def run_to_failure(plant: Plant) -> Bools:
    """Maintain nothing."""
    return np.zeros(plant.wear.size, dtype=bool)


def every(days: int) -> Decide:
    """Maintain each machine so many days after it was last maintained or repaired."""
    return lambda plant: plant.days_run >= days


def at_wear(wear: float) -> Decide:
    """Maintain by the true wear, which only the world knows."""
    return lambda plant: plant.wear >= wear


def best_interval(world: MachinesWorld, *, days: int | None = None) -> tuple[int, Spent]:
    """Return the fixed interval that cost least on these very days, which nobody could have known before, and what it cost."""
    tried = [(interval, spend(world, every(interval), days=days)) for interval in INTERVALS]
    return max(tried, key=lambda found: found[1].cents)


def best_possible(world: MachinesWorld, *, days: int | None = None) -> Spent:
    """Return what it cost to maintain by the true wear, at the limit that was best on these days."""
    return max((spend(world, at_wear(wear), days=days) for wear in WEARS), key=lambda spent: spent.cents)
