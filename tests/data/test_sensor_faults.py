"""Faults of sensors: named where they are, and nowhere else."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewright.data.facts import SensorFault
from linewright.data.profile.sensor_faults import find_sensor_faults

HOUR = 3_600_000_000
MACHINES, READINGS = 12, 80
Table = np.ndarray
"""One row a machine, one column a reading."""


def find(table: Table) -> list[SensorFault]:
    groups = [f"m{row:02}" for row in range(len(table)) for _ in range(table.shape[1])]
    micros = np.tile(np.arange(table.shape[1]) * HOUR, len(table))
    return find_sensor_faults(groups, micros, {"x": table.ravel()})


def noise(seed: int = 1, *, level: float = 40.0) -> Table:
    return np.random.default_rng(seed).normal(level, 2.0, (MACHINES, READINGS)).round(2)


def worn(seed: int) -> Table:
    """Machines that wear, each from its own time on, and are as new after it."""
    rng = np.random.default_rng(seed)
    wear = (np.arange(READINGS)[None, :] + rng.integers(0, 50, (MACHINES, 1))) % 50 / 50
    return (1.5 + 5 * wear**3 + rng.normal(0, 0.2, (MACHINES, READINGS))).round(3)


SOUND: dict[str, Callable[[np.random.Generator], Table]] = {
    "constant": lambda _: np.full((MACHINES, READINGS), 7.0),
    "constant in each machine": lambda rng: np.tile(rng.normal(size=(MACHINES, 1)), (1, READINGS)),
    "a counter": lambda _: np.tile(np.arange(READINGS, dtype=float), (MACHINES, 1)),
    "a counter that begins anew": lambda rng: (
        (np.arange(READINGS)[None, :] + rng.integers(20, 45, (MACHINES, 1))) % 55
    ).astype(float),
    "mostly zero": lambda rng: np.where(rng.random((MACHINES, READINGS)) < 0.05, 5.0, 0.0),
    "a setting that is changed at times": lambda rng: np.repeat(
        rng.integers(0, 5, (MACHINES, READINGS // 20)), 20, axis=1
    ).astype(float),
    "amounts": lambda rng: np.exp(rng.normal(3, 1.5, (MACHINES, READINGS))).round(2),
    "very heavy tails": lambda rng: rng.standard_cauchy((MACHINES, READINGS)),
    "two levels": lambda rng: (
        np.where(np.arange(READINGS) % 40 < 20, 20.0, 200.0)[None, :] + rng.normal(0, 2, (MACHINES, READINGS))
    ),
    "often missing": lambda rng: np.where(
        rng.random((MACHINES, READINGS)) < 0.4, np.nan, rng.normal(size=(MACHINES, READINGS))
    ),
    "missing": lambda _: np.full((MACHINES, READINGS), np.nan),
    "machines of several sizes": lambda rng: (
        10.0 ** (np.arange(MACHINES) % 3)[:, None] * rng.normal(5, 0.5, (MACHINES, READINGS))
    ),
    "wear": lambda rng: worn(int(rng.integers(1000))),
    "one machine that gets worse and worse": lambda rng: np.concatenate(
        [rng.normal(2, 0.2, (MACHINES - 1, READINGS)), 2 * np.exp(np.arange(READINGS) / 18)[None, :]]
    ),
    "one machine that breaks at once": lambda rng: np.concatenate(
        [
            rng.normal(2, 0.2, (MACHINES - 1, READINGS)),
            rng.normal(np.where(np.arange(READINGS) < 50, 2, 7), 0.5)[None, :],
        ]
    ),
}


@pytest.mark.parametrize("kind", SOUND)
def test_columns_without_a_fault_have_none(kind: str):
    """Who is told of faults that are none looks away."""
    for seed in range(8):
        assert [] == find(SOUND[kind](np.random.default_rng([3, seed])))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("conversion", ["celsius-fahrenheit", "bar-psi", "mm-inch"])
def test_another_unit_is_named_with_its_conversion(conversion: str, seed: int):
    factor, added = {"celsius-fahrenheit": (1.8, 32), "bar-psi": (14.5037738, 0), "mm-inch": (1 / 25.4, 0)}[
        conversion
    ]
    table = noise(seed) if conversion == "celsius-fahrenheit" else worn(seed)
    table[3, 50:] = table[3, 50:] * factor + added
    (found,) = find(table)

    assert ("unit", "m03", conversion) == (found.fault, found.group, found.conversion)
    assert "1970-01-03T02:00:00.000000Z" == found.since
    assert found.goes_on


def test_faults_of_several_sensors_are_told_apart():
    table = noise()
    table[1, 40:] = table[1, 39]
    table[4, 60:75] = np.nan
    table[7, [20, 33, 41]] = 390.0
    found = {(one.group, one.fault, one.readings, one.goes_on) for one in find(table)}

    assert {("m01", "stuck", 41, True), ("m04", "missing", 15, False), ("m07", "spike", 3, False)} == found


def test_what_fails_everywhere_at_once_is_no_sensor():
    """A gateway that is down is not a dozen sensors."""
    table = noise()
    table[:, 50:] = np.nan

    assert [] == find(table)


def test_a_reading_that_is_sent_again_is_not_stuck():
    """Clients try again; of readings of one time the last counts."""
    table = noise()
    groups = [f"m{row:02}" for row in range(MACHINES) for _ in range(READINGS)]
    micros = np.tile(np.arange(READINGS) * HOUR, MACHINES)
    many = find_sensor_faults(groups * 30, np.tile(micros, 30), {"x": np.tile(table.ravel(), 30)})

    assert [] == many


def test_a_unit_that_is_known_to_be_wrong_stays_so_when_nobody_remembers_the_right_one():
    """A fault is not over because it has lasted for longer than is looked back."""
    table = noise()
    table[3] = table[3] * 1.8 + 32
    groups = [f"m{row:02}" for row in range(MACHINES) for _ in range(READINGS)]
    micros = np.tile(np.arange(READINGS) * HOUR, MACHINES)

    assert [] == find(table)
    (found,) = find_sensor_faults(groups, micros, {"x": table.ravel()}, going_on=frozenset({("x", "m03")}))
    assert "celsius-fahrenheit" == found.conversion


@pytest.mark.parametrize("large", [1e300, 1.7e308, -1.7e308])
@pytest.mark.parametrize("level", [1.0, 1e-200])
def test_numbers_that_nothing_measures_end_in_no_error(large: float, level: float):
    """A tail through them is so heavy that its power law exceeds what a float holds."""
    table = noise(level=0.0) * level
    table[:, ::20], table[:, ::40] = large, -large
    assert find(table) == []


def test_the_order_of_rows_says_nothing():
    table = noise()
    table[1, 40:] = table[1, 39]
    groups = np.array([f"m{row:02}" for row in range(MACHINES) for _ in range(READINGS)])
    micros = np.tile(np.arange(READINGS) * HOUR, MACHINES)
    mixed = np.random.default_rng(2).permutation(len(groups))

    assert find(table) == find_sensor_faults(
        groups[mixed].tolist(), micros[mixed], {"x": table.ravel()[mixed]}
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(
            st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)), min_size=1, max_size=40
        ),
        max_size=5,
    )
)
def test_whatever_is_sent_is_looked_at(values: list[list[float | None]]):
    """Readings come from clients; none may keep a window open."""
    groups = [f"m{row}" for row, of in enumerate(values) for _ in of]
    flat = np.array([np.nan if x is None else x for of in values for x in of], dtype=np.float64)
    micros = np.array([k for of in values for k in range(len(of))], dtype=np.int64)

    assert all(one.group in groups for one in find_sensor_faults(groups, micros, {"x": flat}))
