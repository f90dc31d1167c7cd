"""The siege and the soak are run by hand for long; what they conclude from what they measured has to be right."""

import importlib
import math
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def siege(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("siege")


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("soak")


def seen(siege: ModuleType, **other: Any) -> Any:
    """Return what is seen where nothing is missed."""
    size = {"endpoint": 90.0, "worker": 200.0, "run": 0.0, "check": 0.0}
    ran = [siege.Answered("run", 200, 3.0, "")]
    fine = {
        "before": size,
        "peak": dict(size),
        "p99": 2.0,
        "halt_s": 1.0,
        "halt_code": 0,
        "runs": ran,
        "asked": [],
        "statuses": Counter({200: 10}),
        "runs_s": 3.0,
    }
    return siege.Seen(**{**fine, **other})


@pytest.mark.parametrize(
    ("statuses", "seconds"),
    [("...hhh", 4.0), ("h.hh", 3.0), ("hhh", 1.0), ("....", math.inf), ("hh.", math.inf), ("", math.inf)],
)
def test_a_halt_has_arrived_once_no_other_answer_comes(siege, statuses, seconds):
    """One process of an endpoint may know of it and another not yet: that line is not stopped."""
    heard = [
        siege.Asked(began=9.0 + i, ended=11.0 + i, status=503 if one == "h" else 200, is_halted=one == "h")
        for i, one in enumerate(statuses)
    ]

    assert seconds == siege.halted_after_s([siege.Asked(0.0, 1.0, 200, False), *heard], 10.0)


def test_the_time_that_one_in_a_hundred_waits_longer_than(siege):
    """What was asked before the attack, or after the halt, says nothing of it."""
    asked = [siege.Asked(i, i + (i + 1) / 1000, 200, False) for i in range(100)]

    assert 99.0 == pytest.approx(siege.p99_ms([*asked, siege.Asked(200.0, 300.0, 200, False)], 0.0, 150.0))
    assert math.isnan(siege.p99_ms(asked, 500.0, 600.0))


def test_what_is_compared_with_is_measured_too(siege):
    """A ratio to a figure of another day or machine is none."""
    assert ["quiet", "poison"] == siege.cells_of(["poison"])
    assert ["quiet", "idle"] == siege.cells_of(["idle"])
    assert list(siege.CELLS) == siege.cells_of([])


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"p99": 6.5}, "p99 is 3.2 times"),
        ({"p99": math.nan}, "p99 is nan times"),
        ({"halt_s": 2.1}, "the halt took 2.10 s"),
        ({"halt_s": math.inf}, "the halt took inf s"),
        ({"halt_code": 6}, "the command ended with 6"),
        ({"odd": Counter({0: 1})}, "answers that nobody should get"),
        ({"peak": {"endpoint": 900.0, "worker": 200.0, "run": 0.0, "check": 0.0}}, "grew by 810 MB"),
        ({"peak": {"endpoint": 90.0, "worker": 200.0, "run": 9e3, "check": 0.0}}, "had 9,000 MB"),
    ],
)
def test_each_wanted_figure_that_is_missed_is_told(siege, other, why):
    """The exit code says whether the factory stood it."""
    quiet = seen(siege)

    assert [] == list(siege.missed("idle", quiet, {"quiet": quiet}))
    (told,) = siege.missed("idle", seen(siege, **other), {"quiet": quiet})
    assert why in told


def test_a_healthy_run_that_was_not_done_is_told(siege):
    """It is what every other line's owner asks about."""
    ran = [siege.Answered("run", status, 3.0, "") for status in (200, 503)]
    quiet = seen(siege)

    (told,) = siege.missed("idle", seen(siege, runs=ran), {"quiet": quiet})
    assert "1 of 2 healthy runs were done" == told
    assert "| 1 of 2 | 3 | 1.00 |" in siege.row("idle", seen(siege, runs=ran), {"quiet": quiet})
    assert siege.row("disk-full", None, {}).count("|") == siege.row("quiet", quiet, {}).count("|")


def test_the_end_of_an_hour_is_held_against_its_tenth_minute(soak):
    """Before that caches fill; of a short try it is a third."""
    hour = [
        soak.Sample(float(minute), 12_000 * minute, {"disk MB: log": float(minute)})
        for minute in range(1, 61)
    ]

    assert 10 == soak.settled_of(hour, 60).minute
    assert 1 == soak.settled_of(hour[:3], 3).minute
    assert "| disk MB: log | 10.0 | 60.0 | 50.0 | 6.00 | 60.0 | 85.3 kB |" in soak.table(hour, 60)
