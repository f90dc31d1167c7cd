"""Sensors that fail, seen by a line in the rows that it answers: named by column and machine, told from faults of the machine."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from linewright.capabilities.evidence.operations import why
from linewright.capabilities.lines.operations import check
from linewright.capabilities.monitoring.operations import alert
from linewright.capabilities.overview.operations.status import status
from linewright.capabilities.serving.worker import tend_inline
from linewright.errors import SpecError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.file.read import parse_line
from linewright.line.loop.sensors import Readings, sensor_columns
from linewright.line.loop.window import Closing
from linewright.line.predict.batch import predict_file
from linewright.line.record.monitoring.alerts import open_alerts
from linewright.line.runs.execute import execute_inline
from linewright.line.spec import LineSpec
from linewright.model.facts import Package
from linewright.model.package.model import load
from linewright.serve.facts import Prediction
from linewright.watch.facts import Alerted
from linewright.watch.retrain_proposal import SHIFTS
from linewright.watch.spec import WatchSpec
from linewright.worlds.living import Clock
from linewright.worlds.machines.world import START, MachinesWorld, Parameters

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


@pytest.mark.slow
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


@pytest.mark.slow
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


def closing_of(factory: Factory, spec: LineSpec) -> Closing:
    champion = factory.metadata.versions("wear")[0]
    return Closing(
        factory=factory,
        spec=spec,
        watch=spec.watch or WatchSpec(),
        champion=champion,
        model=load(champion.digest, factory.artifacts.get),
        past=(),
        position={},
        start="",
        end="",
    )


@pytest.fixture
def readings(lived: Path) -> Iterator[Readings]:
    """Give the readings of a line as they are when a window is closed, empty."""
    with Factory.open(lived, now=Clock(START + timedelta(days=400))) as factory:
        one = Readings.before(closing_of(factory, factory.line("wear")))
        one.held.clear()
        yield one


def row(**changes: Any) -> Prediction:
    told = {
        "machine": "m1",
        "read_at": "2026-01-01T06:00:00Z",
        "load": 0.5,
        "vibration": 1.5,
        "temperature": 20,
        "pressure": 5,
    }
    return Prediction(
        id="", line="wear", generation=1, model=1, digest="", at="", key=None, row=told | changes, answer={}, threshold=None
    )  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"machine": None},
        {"machine": "m" * 500},
        {"machine": ["m"]},
        {"read_at": None},
        {"read_at": "yesterday"},
        {"read_at": "9999-12-31T00:00:00Z"},
        {"read_at": 7},
        {"vibration": "much"},
        {"vibration": {"x": 1}},
    ],
)
def test_a_row_that_is_no_reading_is_left_out(readings: Readings, changes: dict[str, Any]):
    """Clients send what they like; a window closes all the same."""
    readings.add([row(**changes)])

    assert not readings.held


@pytest.mark.parametrize(
    ("rule", "read_at"),
    [("{type: date}", "2026-01-01"), ('{type: datetime, format: "%d/%m/%Y %H:%M"}', "01/01/2026 06:00")],
)
def test_a_window_closes_whatever_form_times_have(lived: Path, rule: str, read_at: str):
    """Tables of days, or of times as a country writes them, are watched too; a reading of the day after tomorrow is not."""
    text = (lived / "lines" / "wear.yaml").read_text() + f"contract: {{columns: {{read_at: {rule}}}}}\n"
    with Factory.open(lived, now=Clock(START + timedelta(days=400))) as factory:
        read = Readings.before(closing_of(factory, parse_line(text, name="wear")))
    read.add([row(read_at=read_at), row(machine="m2", read_at=read_at.replace("2026", "2027"))])

    assert {"m1"} == set(read.held)


def test_what_is_remembered_is_bounded_whatever_is_sent(readings: Readings):
    """A client that makes up a machine for each row fills no memory."""
    readings.add(row(machine=f"m{number}") for number in range(3_000))
    readings.add(row(read_at=f"2026-01-01T{number // 60:02}:{number % 60:02}:00Z") for number in range(900))

    assert 1_000 == len(readings.held)
    assert 1 == len(readings.held["m0"])
    assert max(map(len, readings.held.values())) <= 120
    assert () == readings.findings()


def test_a_reading_that_is_asked_about_again_and_again_takes_the_place_of_no_other(readings: Readings):
    """A page that asks each minute about machines that are read each hour leaves what was read before in sight."""
    times = [f"2026-01-{day:02}T{hour:02}:00:00Z" for day in range(1, 6) for hour in range(24)]
    readings.add(
        row(
            machine=machine,
            read_at=at,
            vibration=7.25 if machine == "m3" and number >= 60 else 1 + number % 7 / 9,
        )
        for machine in ("m1", "m2", "m3", "m4")
        for number, at in enumerate(times)
        for _ in range(60)
    )
    readings.add(row(machine="m3", read_at=f"2025-12-{day:02}T06:00:00Z") for day in range(1, 31))

    assert {120} == set(map(len, readings.held.values()))
    assert [("vibration", "m3", times[60][:19])] == [
        (one.column, one.group, one.since[:19]) for one in readings.findings()
    ]


@pytest.mark.parametrize(
    ("table", "sensors", "says"),
    [
        ("key: reading, time: read_at", "[vibration]", "the table has no group"),
        ("key: reading, group: machine", "[vibration]", "the table has no time"),
        ("key: reading, time: read_at, group: machine, subject: owner", "[vibration]", "table.subject"),
        ("key: reading, time: read_at, group: machine", "[vibrations]", "no column of numbers.*vibrations"),
        ("key: reading, time: read_at, group: machine", "[machine]", "no column of numbers.*machine"),
    ],
)
def test_sensors_that_cannot_be_watched_are_refused(table: str, sensors: str, says: str):
    """Who believes that sensors are watched must not find out later that they were not."""
    text = LINE.replace("WATCH", f"sensors: {sensors}").replace(
        "key: reading, time: read_at, group: machine", table
    )
    columns = "contract: {columns: {vibration: {type: number}, machine: {type: category}, reading: {type: category}, read_at: {type: datetime}}}\n"

    with pytest.raises(SpecError, match=says):
        parse_line(text + columns, name="lines/wear.yaml")


def test_sensors_are_watched_unless_the_file_says_otherwise(lived: Path):
    with Factory.open(lived) as factory:
        spec = factory.line("wear")
        package = factory.metadata.get(factory.metadata.versions("wear")[0].digest, Package)

        assert ("days_run", "load", "pressure", "temperature", "vibration") == sensor_columns(spec, package)
        for watch, expected in (({"sensors": []}, ()), ({"sensors": ["load"]}, ("load",))):
            asked = spec.model_copy(update={"watch": WatchSpec.model_validate(watch)})
            assert expected == sensor_columns(asked, package)
        people = spec.model_copy(update={"table": spec.table.model_copy(update={"subject": "owner"})})
        assert () == sensor_columns(people, package)


def test_an_alert_about_a_sensor_is_shown_with_its_machine_and_asks_for_no_training(factory: Factory):
    """A model that is trained again does not repair a sensor."""
    told = next(one for one in open_alerts(factory, "wear") if one.monitor == "sensor")
    shown = alert(factory, told.id)

    assert (told.column, told.group) == (shown.alert.column, shown.alert.group)
    assert told.because in result_text(shown)
    assert told.because in result_text(why(factory, told.id))
    assert "sensor" not in SHIFTS
    assert not shown.has_rows
