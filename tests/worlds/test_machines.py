"""The world of machines: the same from the same seed, its truth is true, and a season in it goes as a plant's would."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from polars.testing import assert_frame_equal
from scipy.stats import norm

from linewright.capabilities.overview.operations.status import status
from linewright.errors import RequestError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.worlds.demo.operations import MachinesDemo
from linewright.worlds.machines.living import live
from linewright.worlds.machines.season import Moment, Season
from linewright.worlds.machines.season_picture import caption, tell, to_svg
from linewright.worlds.machines.upkeep import (
    at_wear,
    best_interval,
    best_possible,
    every,
    run_to_failure,
    spend,
)
from linewright.worlds.machines.world import RANGES, SENSORS, SITES, MachinesWorld, Parameters, Ranges, draw

SMALL = replace(draw(1), machines=12, history_days=200, live_days=60)
FEW = ("lyon", "turin", "gent")


def small(seed: int = 1, **changes) -> MachinesWorld:
    return MachinesWorld(seed, **{"parameters": SMALL, "sites": FEW, **changes})


def test_the_ranges_are_those_that_were_committed():
    """Nobody moves them after a policy was tried."""
    assert RANGES == Ranges()
    assert [14, 18, 420, 420, 200, 200] == [
        bound
        for name in ("machines", "history_days", "live_days")
        for bound in (getattr(RANGES, name).low, getattr(RANGES, name).high)
    ]
    assert (75, 95) == (RANGES.life.low, RANGES.life.high)
    assert (1500, 2500) == (RANGES.fault_gap.low, RANGES.fault_gap.high)


def test_a_world_is_the_same_from_the_same_seed_whatever_was_asked_before():
    first, second = small(), small()
    second.history("turin")
    second.live("lyon")

    assert_frame_equal(first.history("lyon"), second.history("lyon"))
    assert first.faults("gent") == second.faults("gent")
    assert not first.history("lyon").equals(small(2).history("lyon"))


def test_without_faults_of_sensors_machines_live_and_fail_as_with_them():
    """What a sensor sends changes no machine."""
    with_faults, without = small(), small(faults=False)

    assert () == without.faults("lyon")
    assert_frame_equal(with_faults.history("lyon").drop(*SENSORS), without.history("lyon").drop(*SENSORS))


def test_the_true_hazard_is_how_often_machines_fail():
    """A world whose truth is off judges nobody."""
    expected = variance = failed = 0.0
    for seed in range(1, 5):
        world = small(seed)
        for site in FEW:
            plant = world.plant(site)
            while plant.day < world.days:
                hazard = plant.morning().hazard
                expected, variance = expected + hazard.sum(), variance + (hazard * (1 - hazard)).sum()
                failed += plant.end(plant.days_run >= 80).sum()

    # The wear of a day is drawn, and the hazard is convex in it: the mean of the hazard lies above that of the mean.
    assert failed > 100
    assert norm.cdf((failed - 1.2 * expected) / variance**0.5) < 0.999
    assert norm.cdf((failed - expected) / variance**0.5) > 0.001


def test_true_lives_are_those_that_come_if_nobody_maintains():
    world = small()
    plant = world.live("lyon")
    lives, came = plant.lives(), np.zeros(SMALL.machines, dtype=int)
    for day in range(1, SMALL.live_days + 1):
        failed = plant.end(np.zeros(SMALL.machines, dtype=bool))
        came[(came == 0) & failed] = day

    ended = came > 0
    assert ended.any()
    assert came[ended].tolist() == lives[ended].tolist()


def test_machines_that_are_maintained_before_they_fail_are_censored():
    rows = small().history("lyon", every=1)
    last = rows.group_by("machine", "failed").len()

    assert SMALL.machines * SMALL.history_days == rows.height
    assert 0.2 < rows["failed"].mean() < 0.9
    assert (rows["days"] >= 1).all()
    assert 2 * SMALL.machines >= last.height > SMALL.machines


def test_policies_meet_the_same_days_and_the_true_wear_is_the_best():
    world = small()
    interval, fixed = best_interval(world)

    assert spend(world, every(interval)) == fixed
    assert best_possible(world).cents > fixed.cents > spend(world, run_to_failure).cents
    assert spend(world, at_wear(0.6)) == spend(world, at_wear(0.6))


def test_what_the_world_does_not_have_is_refused_with_what_it_has():
    with pytest.raises(RequestError, match=r"no such site.*lyon, turin, gent"):
        small().plant("rome")
    plant = small(parameters=replace(SMALL, history_days=5, live_days=1)).plant("lyon")
    for _ in range(6):
        plant.end(np.zeros(SMALL.machines, dtype=bool))
    with pytest.raises(RequestError, match="the world has ended"):
        plant.morning()
    assert 12 == len(SITES)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Season]:
    """Live six weeks at three sites, with a bad release."""
    root = tmp_path_factory.mktemp("season") / "factory"
    world = MachinesWorld(
        3,
        parameters=Parameters(**{**vars(SMALL), "history_days": 301, "fault_gap": 200}),
        sites=FEW,
    )
    return root, live(world, root, report=lambda _: None, days=57, release=35)


@pytest.mark.slow
def test_a_bad_release_is_halted_in_the_first_ring_and_no_other_site_sees_it(lived: tuple[Path, Season]):
    """It passed its gates: the rows that judged it were wrong in the same way."""
    root, season = lived
    halted = [one for one in season.moments if one.kind == "halted"]

    assert ["lyon"] == [one.site for one in halted]
    assert {"lyon"} == {one.site for one in season.moments if one.kind == "tried"}
    assert {"lyon": (1, 2), "turin": (1,), "gent": (1,)} == {one.site: one.models for one in season.sites}
    assert ["its answers are worse" in one.says for one in halted] == [True]
    with Factory.open(root) as factory:
        text = result_text(status(factory, sites=True))
    assert "halted at ring 1" in text
    assert "sensors" in text


def test_sensors_that_fail_are_named_at_each_site(lived: tuple[Path, Season]):
    _, season = lived
    faults, named, false = (
        sum(getattr(one, name) for one in season.sites) for name in ("faults", "named", "false")
    )

    assert faults >= 3
    assert named == faults
    assert 0 == false


@pytest.mark.parametrize(
    ("kinds", "says"),
    [
        ([], "No release was bad."),
        (["released"], "The bad release was not halted; 1 of 0 sites tried it."),
        (["released", "halted"], "The bad release was halted on day 38; 1 of 0 sites tried it."),
    ],
)
def test_what_the_demo_tells_of_a_release_is_what_happened(kinds: list[Any], says: str):
    """Without an attack no release is bad, and none had to be halted."""
    moments = tuple(Moment(day=38, kind=kind, site="", says="so") for kind in kinds)
    season = Season(
        seed=1, currency="EUR", days=(), interval=30, fixed=(), never=0, best=0, failures=0, maintained=0, sites=(), moments=moments
    )  # fmt: skip
    demo = MachinesDemo(
        factory="f", picture="life.svg", currency="EUR", spent=0, fixed=0, never=0, best=0,
        halted_day=38 if "halted" in kinds else None, seen_by=1, faults=1, named=1, false=2, season=season, seconds=1.0,
    )  # fmt: skip
    text = result_text(demo)

    assert says in text
    assert "Sensors: 1 fault, 1 of them named; 2 false alarms." in text


def test_the_picture_shows_the_season_and_equal_seasons_have_equal_pictures(lived: tuple[Path, Season]):
    root, season = lived
    demo = MachinesDemo(
        factory=str(root), picture="life.svg", currency="EUR", spent=sum(season.days), fixed=sum(season.fixed), never=season.never,
        best=season.best, halted_day=38, seen_by=1, faults=3, named=3, false=0, season=season, seconds=60.0,
    )  # fmt: skip

    assert to_svg(season) == to_svg(season)
    assert "bad release halted at lyon" in caption(season)
    assert all(one.says in tell(season) for one in season.moments)
    text = result_text(demo)
    assert "planned by remaining life" in text
    assert max(map(len, text.splitlines())) <= 120
    assert season.never < season.best < 0
