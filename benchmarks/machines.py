"""The world `machines` over seeds: is a bad release halted in the first ring, does planned maintenance pay, are failing sensors named.

    python benchmarks/machines.py [--seeds 20] [--seed-from 1] [--parts sensors,money,rings] [--sites 12]

`sensors`: once a week the newest 120 readings of each machine are looked at, as the monitor does, in a world whose sensors fail and in the
same world where none does. A fault counts if it began after 30 readings, and lasted for a week after 5 readings of it or was looked at before it ended.

`money`: all lines of the template are trained on their histories, and plan maintenance in the 200 days after by `act_by`, machines of which a
sensor is named by their days. Beside them, on the same days: repair what fails, the fixed interval that was best in hindsight for these very days,
and the true wear. The last lines are the mean differences over seeds with their 95 % intervals by Student's t; above 0 is ours.

`rings`: the season of `linewright demo machines`: a release that is bad passes its gates, and is tried in the first ring.
"""

import argparse
import tempfile
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import t as student

from linewright.data.facts import SensorFault
from linewright.data.profile.sensor_faults import find_sensor_faults
from linewright.features.encode import encode
from linewright.features.learn import to_columns
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline
from linewright.model.package.model import Model, load
from linewright.worlds.costs import Bools
from linewright.worlds.living import Clock
from linewright.worlds.machines.living import TEMPLATE, live, planned, write_template
from linewright.worlds.machines.upkeep import (
    Decide,
    Spent,
    best_interval,
    best_possible,
    run_to_failure,
    spend,
)
from linewright.worlds.machines.world import SENSORS, MachinesWorld, Plant, SensorEpisode

LOOKED_BACK, WEEK, FIRST = 120, 7, 30


class Watch:
    """What a plant's monitor of sensors remembers."""

    def __init__(self) -> None:
        self.mornings: list[pl.DataFrame] = []
        self.open: frozenset[tuple[str, str]] = frozenset()

    def look(self, readings: pl.DataFrame) -> list[SensorFault]:
        """Take the readings of a morning; once a week return the faults that go on."""
        self.mornings = [*self.mornings[1 - LOOKED_BACK :], readings]
        if self._day(readings) % WEEK:
            return []
        frame = pl.concat(self.mornings)
        columns = {
            name: frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
            for name in (*SENSORS, "load", "days_run")
        }
        found = find_sensor_faults(
            frame["machine"].to_list(),
            frame["read_at"].dt.epoch("us").to_numpy(),
            columns,
            going_on=self.open,
        )
        told = [one for one in found if one.goes_on]
        self.open = frozenset((one.column, one.group) for one in told)
        return told

    def _day(self, readings: pl.DataFrame) -> int:
        return int(readings["reading"][0].rpartition("-")[2])


def sensors(seed: int, sites: int) -> tuple[Counter[str], Counter[str], int, int]:
    """Return the true faults and the named ones by kind, those that are none, and those that were named in a world without any."""
    true, named, false = Counter[str](), Counter[str](), [0, 0]
    for has_faults in (True, False):
        world = MachinesWorld(seed, faults=has_faults)
        for site in world.sites[:sites]:
            plant, watch = world.live(site), Watch()
            told: dict[tuple[str, str, str, str], SensorFault] = {}
            while plant.day < world.days:
                for one in watch.look(plant.morning().readings):
                    told[one.group, one.column, one.fault, one.since] = one
                plant.end(plant.days_run >= 40)
            episodes = world.faults(site)
            found = [[one for one in episodes if is_about(world, fault, one)] for fault in told.values()]
            false[not has_faults] += len(
                {(key[0], key[1]) for key, those in zip(told, found, strict=True) if not those}
            )
            seen = {(each.machine, each.sensor, each.start) for those in found for each in those}
            for one in episodes:
                last = one.end - (one.end - 1) % WEEK - 1  # the last look before it ended
                if one.start >= world.go_live + FIRST and last - one.start >= 5:
                    true[one.kind] += 1
                    named[one.kind] += (one.machine, one.sensor, one.start) in seen
    return true, named, false[0], false[1]


def is_about(world: MachinesWorld, fault: SensorFault, episode: SensorEpisode) -> bool:
    since, until = ((datetime.fromisoformat(at) - world.start).days for at in (fault.since, fault.until))
    return (
        (fault.group, fault.column, fault.fault) == (episode.machine, episode.sensor, episode.kind)
        and episode.start - 1 <= since
        and until <= episode.end
    )


def by_model(models: dict[str, Model], *, named: bool) -> Decide:
    """Maintain by `act_by` of the model of each site."""
    watches: dict[str, Watch] = {}
    failing: dict[str, set[str]] = {}

    def decide(plant: Plant) -> Bools:
        readings, model = plant.morning().readings, models[plant.site]
        watch = watches.setdefault(plant.site, Watch())
        told = watch.look(readings)
        if plant.day % WEEK == 0:
            failing[plant.site] = {one.group for one in told} if named else set()
        encoder = model.package.encoder
        answers = model.answers(model.scores(encode(encoder, to_columns(readings, encoder.columns))))
        return planned(plant, [one["act_by"] for one in answers], failing.get(plant.site, set()))

    return decide


def money(seed: int) -> dict[str, Spent]:
    world = MachinesWorld(seed)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        write_template(world, root)
        clock = Clock(world.start + timedelta(days=world.go_live))
        with Factory.create(root, now=clock) as factory:
            models: dict[str, Model] = {}
            for site in world.sites:
                ran = execute_inline(factory, f"{TEMPLATE}.{site}")
                assert ran.digest
                models[site] = load(ran.digest, factory.artifacts.get)
    return {
        "planned": spend(world, by_model(models, named=True)),
        "sensors not named": spend(world, by_model(models, named=False)),
        "fixed": best_interval(world)[1],
        "to failure": spend(world, run_to_failure),
        "true wear": best_possible(world),
    }


def print_sensors(seeds: range, sites: int) -> None:
    true, named, false, quiet = Counter[str](), Counter[str](), 0, 0
    for seed in seeds:
        found = sensors(seed, sites)
        true, named, false, quiet = true + found[0], named + found[1], false + found[2], quiet + found[3]
        print(
            f"sensors, seed {seed}: {found[1].total()} of {found[0].total()} named, {found[2]} false, {found[3]} false without faults",
            flush=True,
        )
    for kind in sorted(true):
        print(f"  {kind:<8} {named[kind]:>5} of {true[kind]:>5} named")
    years = sum(MachinesWorld(seed).parameters.machines * sites * 200 / 365 for seed in seeds)
    print(
        f"sensors: {named.total() / max(1, true.total()):.1%} of {true.total()} faults named; false: {false} beside them, {quiet} in a world without faults "
        f"({quiet / years:.4f} a machine and year)"
    )


def print_money(seeds: range) -> None:
    found: list[dict[str, Spent]] = []
    for seed in seeds:
        one = money(seed)
        found.append(one)
        cents = "  ".join(
            f"{name} {spent.cents / 1e5:,.0f} ({spent.failures}+{spent.maintained})"
            for name, spent in one.items()
        )
        print(f"money, seed {seed}, thousand EUR (failures+maintained): {cents}", flush=True)
    for rival in ("fixed", "to failure", "sensors not named"):
        gain = np.array([one["planned"].cents - one[rival].cents for one in found]) / 1e5
        half = (
            student.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / len(gain) ** 0.5
            if len(gain) > 1
            else np.nan
        )
        print(
            f"money: planned less {rival}: {gain.mean():,.1f} thousand EUR ({gain.mean() - half:,.1f} to {gain.mean() + half:,.1f}), {int((gain > 0).sum())} of {len(gain)} seeds"
        )


def print_rings(seeds: range) -> None:
    halted = only = 0
    for seed in seeds:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            season = live(MachinesWorld(seed), Path(scratch) / "factory", report=lambda _: None)
        tried = {one.site for one in season.moments if one.kind == "tried"}
        stopped = [one for one in season.moments if one.kind == "halted"]
        halted += bool(stopped)
        # A site whose first model passed no gate has none.
        only += tried == {"lyon"} and all({*one.models} <= {1} for one in season.sites if one.site != "lyon")
        serving = sum(one.served_from is not None for one in season.sites)
        faults, named = (sum(getattr(site, name) for site in season.sites) for name in ("faults", "named"))
        print(
            f"rings, seed {seed}: tried at {', '.join(sorted(tried)) or 'none'}, halted {[f'{one.site} day {one.day}' for one in stopped]}, "
            f"{serving} of {len(season.sites)} sites have a model, {named} of {faults} sensors named, saved {season.saved / 1e5:,.0f} thousand EUR, {time.monotonic() - begin:.0f} s",
            flush=True,
        )
    print(
        f"rings: halted in {halted} of {len(seeds)}, seen by the first ring alone in {only} of {len(seeds)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--seed-from", type=int, default=1)
    parser.add_argument("--parts", default="sensors,money,rings")
    parser.add_argument("--sites", type=int, default=12)
    asked = parser.parse_args()
    seeds, parts = range(asked.seed_from, asked.seed_from + asked.seeds), asked.parts.split(",")
    if "sensors" in parts:
        print_sensors(seeds, asked.sites)
    if "money" in parts:
        print_money(seeds)
    if "rings" in parts:
        print_rings(seeds)


if __name__ == "__main__":
    main()
