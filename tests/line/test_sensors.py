"""Sensors that fail, seen by a line in the rows that it answers: named by column and machine, told from faults of the machine."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from linewright.interfaces.cli.render.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.loop.worker import tend_inline
from linewright.line.predict.batch import predict_file
from linewright.line.record.alerts import open_alerts
from linewright.line.runs.execute import execute_inline
from linewright.operations.check import check
from linewright.operations.status import status
from linewright.watch.facts import Alerted
from linewright.worlds.living import Clock
from linewright.worlds.machines import START, MachinesWorld, Parameters

LINE = """\
line: wear
sources: {readings: {file: history.csv}}
table: {key: reading, time: read_at, group: machine}
label: {column: days, event: failed}
train: {task: rul, budget: {trials: 1}, split: {by: random}, folds: 2}
gates: [{beats: champion}]
watch: {every: 1d, WATCH}
"""
SMALL = Parameters(
    machines=12,
    history_days=240,
    live_days=60,
    life=80,
    parts=0.3,
    risk=0.3,
    noise=1.0,
    calibration=0.05,
    fault_gap=150,
)


def make(root: Path, world: MachinesWorld, watch: str = "drift: {psi: 5}") -> Path:
    """Make a line of a plant's history, whose model serves."""
    (root / "lines").mkdir(parents=True)
    world.history("lyon").write_csv(root / "history.csv")
    (root / "lines" / "wear.yaml").write_text(LINE.replace("WATCH", watch))
    with Factory.create(root, now=Clock(START + timedelta(days=world.go_live))) as factory:
        assert execute_inline(factory, "wear").promoted
    return root


def answer(factory: Factory, clock: Clock, readings: pl.DataFrame, day: int) -> None:
    """Score the readings of a morning, and close the window of the day."""
    asked = factory.root / "asked.csv"
    readings.write_csv(asked)
    clock.at = START + timedelta(days=day)
    predict_file(factory, "wear", asked, factory.root / "answers.csv")
    clock.at = START + timedelta(days=day, hours=18, seconds=1)
    tend_inline(factory, "wear")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Live sixty days with a plant whose sensors fail often."""
    world = MachinesWorld(5, parameters=SMALL)
    root = make(tmp_path_factory.mktemp("sensors") / "factory", world)
    clock = Clock(START)
    with Factory.open(root, now=clock) as factory:
        plant = world.live("lyon")
        while plant.day < world.days:
            morning = plant.morning()
            answer(factory, clock, morning.readings, morning.day)
            plant.end(plant.days_run >= 45)
    return root


@pytest.fixture
def factory(lived: Path) -> Iterator[Factory]:
    with Factory.open(lived) as one:
        yield one


def test_faults_of_sensors_are_told_once_each_by_kind_column_and_machine(factory: Factory):
    """Who repairs a machine whose sensor fails pays twice."""
    world = MachinesWorld(5, parameters=SMALL)
    told = [one for one in factory.metadata.events(Alerted, line="wear") if one.monitor == "sensor"]
    seen = {(one.group, one.column) for one in told}
    true = {
        (one.machine, one.sensor): one
        for one in world.faults("lyon")
        if world.go_live + 25 <= one.start <= world.days - 10
    }

    assert len(true) >= 5
    assert set(true) <= seen
    kinds = {
        "stuck": "is stuck at",
        "missing": "sends no value",
        "spike": "spike",
        "unit": "sends numbers in",
    }
    for one in told:
        episodes = [
            each for each in world.faults("lyon") if (each.machine, each.sensor) == (one.group, one.column)
        ]
        assert any(kinds[each.kind] in one.because for each in episodes), one.because
        assert one.because.endswith("not a machine fault")


def test_status_and_alerts_name_the_sensor(factory: Factory):
    line = status(factory, "wear").lines[0]
    told = [one for one in open_alerts(factory, "wear") if one.monitor == "sensor"]

    assert told
    assert json.loads(json.dumps(line.alerts)) == line.alerts
    assert f"sensor {told[0].column!r} of {told[0].group!r}" in result_text(status(factory, "wear"))


def test_in_a_plant_whose_sensors_work_hardly_any_is_named(tmp_path: Path):
    """An alarm that is not true is one that nobody reads the next time."""
    world = MachinesWorld(6, faults=False, parameters=SMALL)
    root = make(tmp_path / "factory", world)
    clock = Clock(START)
    with Factory.open(root, now=clock) as factory:
        plant = world.live("lyon")
        while plant.day < world.days:
            morning = plant.morning()
            answer(factory, clock, morning.readings, morning.day)
            plant.end(plant.days_run >= 45)

        assert [] == [one.because for one in factory.metadata.events(Alerted) if one.monitor == "sensor"]


def test_the_training_rows_are_looked_at_too(tmp_path: Path):
    """A model that learned from another unit is worse wherever it serves."""
    world = MachinesWorld(5, parameters=SMALL)
    (tmp_path / "lines").mkdir()
    world.history("lyon", every=1).write_csv(tmp_path / "history.csv")
    (tmp_path / "lines" / "wear.yaml").write_text(LINE.replace("WATCH", ""))
    with Factory.create(tmp_path) as factory:
        told = result_text(check(factory, "wear"))

    assert "temperature" in told
    assert "a sensor that fails, and not what it measures" in told
