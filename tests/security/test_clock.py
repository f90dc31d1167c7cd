"""A clock that was once ahead: it is seen, and what watches a line sees again."""

import random
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from linewright.capabilities.care.doctor import Needs, examine
from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.overview.operations.status import status
from linewright.capabilities.serving.worker import Tending, tend_inline
from linewright.data.profile.roles import GivenRoles
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.record.monitoring.alerts import open_alerts
from linewright.line.runs.execute import execute_inline
from linewright.watch.facts import Alerted, Watched

LINE = "leavers"
BEGIN = datetime(2026, 1, 19, 0, 10, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.at = BEGIN

    def __call__(self):
        return self.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def move(self, **by):
        self.at += timedelta(**by)


class Idle:
    """An engine that is asked for nothing."""

    def close(self):
        pass


def people(first, rows, *, shop):
    chance = random.Random(first)
    ages = [chance.randint(18, 80) for _ in range(rows)]
    return pl.DataFrame(
        {
            "id": [f"C{first + number}" for number in range(rows)],
            "age": ages,
            "shop": [("south" if chance.random() < shop else "north") for _ in range(rows)],
            "left": ["yes" if age + chance.gauss(0, 8) > 50 else "no" for age in ages],
        }
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make a line that serves and is watched in windows of an hour."""
    root = tmp_path_factory.mktemp("clock") / "factory"
    root.mkdir()
    people(1, 400, shop=0.1).write_csv(root / "people.csv")
    new_line(root, LINE, root / "people.csv", GivenRoles(label="left", positive="yes", key="id"))
    path = root / "lines" / f"{LINE}.yaml"
    text = path.read_text().replace("budget: normal", "budget: quick")
    path.write_text(f"{text}\nwatch: {{every: 1h, drift: {{windows: 1}}}}\n")
    with Factory.create(root, now=Clock()) as factory:
        assert execute_inline(factory, LINE).promoted
    return root


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def line(made, clock, tmp_path):
    shutil.copytree(made, tmp_path / "factory")
    with Factory.open(tmp_path / "factory", now=clock) as factory:
        yield factory


def ask(factory, rows, *, shop=0.1):
    """Have rows answered; return how many."""
    first = 10_000 + 1_000 * len(list(factory.root.glob("asked*.csv")))
    file = factory.root / f"asked{first}.csv"
    people(first, rows, shop=shop).drop("left").write_csv(file)
    predict_file(factory, LINE, file, factory.root / "answers.csv")
    return rows


def live(factory, clock, hours, *, rows=5, **asked):
    """Live through hours with answers in each, as `up` does; return the windows that were closed."""
    closed = []
    for _ in range(hours):
        ask(factory, rows, **asked)
        for _ in range(3):
            watched, _ = tend_inline(factory, LINE)
            closed += [watched] if watched else []
        clock.move(hours=1)
    return closed


def be_ahead(factory, clock, **by):
    """Put the clock ahead while something is answered and looked at, and back."""
    clock.move(**by)
    ask(factory, 3)
    tend_inline(factory, LINE)
    clock.move(**{unit: -number for unit, number in by.items()})


def open_monitors(factory):
    return [one.monitor for one in open_alerts(factory, LINE)]


def test_windows_are_closed_again_once_the_clock_is_right(line, clock):
    """A day ahead for a moment closed no window for a day: rows that had drifted wholly were seen by nobody."""
    live(line, clock, 3)
    be_ahead(line, clock, days=1)

    closed = live(line, clock, 5)

    assert 3 <= len(closed)
    # The first one holds what no window had counted of the time ahead, and two hours since: a whole window's time has gone by.
    assert [3 + 2 * 5, 5, 5] == [one.n for one in closed[:3]]
    assert all(one.end <= clock() for one in closed)
    assert [one.start for one in closed[1:]] == [one.end for one in closed[:-1]]


def test_each_answer_is_counted_once(line, clock):
    """What a window counted that lies in the future stays counted: else a jump would weigh rows twice."""
    live(line, clock, 2)
    be_ahead(line, clock, days=1)
    live(line, clock, 6)
    tend_inline(line, LINE)

    assert 2 * 5 + 3 + 6 * 5 == sum(one.n for one in line.metadata.events(Watched, line=LINE))


def test_drift_is_found_on_the_day_of_the_jump(line, clock):
    """Monitors are never silenced unseen."""
    be_ahead(line, clock, days=1)

    live(line, clock, 4, rows=300, shop=0.9)

    assert "drift" in open_monitors(line)


def test_windows_are_closed_again_after_a_whole_day_ahead(line, clock):
    """A machine that began with a wrong clock has closed a window for each hour that then comes a second time."""
    clock.move(days=1)
    live(line, clock, 24)
    clock.move(days=-1)

    closed = live(line, clock, 6)

    assert 3 <= len(closed)
    assert [5 + 2 * 5, 5, 5] == [one.n for one in closed[:3]]


def test_an_alert_of_the_time_ahead_can_end(line, clock):
    """It would else stay open until that time comes, and hide the next one about the same column."""
    clock.move(days=1)
    live(line, clock, 3, rows=300, shop=0.9)
    assert "drift" in open_monitors(line)
    clock.move(days=-1, hours=-3)

    live(line, clock, 8, rows=600)

    assert "drift" not in open_monitors(line)


def test_status_doctor_and_an_alert_tell_of_it(line, clock):
    """Only stderr told; `status` and `doctor` said that all is well."""
    live(line, clock, 2)
    be_ahead(line, clock, days=1)
    before = status(line, LINE)
    tend_inline(line, LINE)
    live(line, clock, 3)

    (told,) = [one for one in open_alerts(line, LINE) if one.monitor == "clock"]
    now = status(line, LINE)
    found = examine(line, Needs(free_bytes=0, ports=()))

    # With and without a worker that has looked meanwhile; the window of that hour ends at its full hour.
    assert ["2026-01-20T02:10:00.000000Z"] * 2 == [
        before.lines[0].clock_ahead_until,
        now.lines[0].clock_ahead_until,
    ]
    assert "the clock was once ahead: the record reaches up to 2026-01-20 02:10:00Z" in result_text(now)
    assert "reaches up to 2026-01-20 02:10:00Z, 86,400 s beyond now" in told.because
    (problem,) = [one for one in found.problems if "behind the record" in one.what]
    assert (f"line {LINE}", 6) == (problem.where, found.exit_code)


def test_it_is_over_when_that_time_has_come(line, clock):
    """An alert that never ends is one that nobody reads."""
    live(line, clock, 2)
    be_ahead(line, clock, hours=6)
    live(line, clock, 4)
    assert "clock" in open_monitors(line)

    live(line, clock, 4)

    assert "clock" not in open_monitors(line)
    assert status(line, LINE).lines[0].clock_ahead_until is None
    assert 1 == sum(one.monitor == "clock" for one in line.metadata.events(Alerted, line=LINE))


def test_a_clock_that_is_put_right_by_a_second_is_no_news(line, clock):
    """Clocks are put right each day."""
    live(line, clock, 2)
    be_ahead(line, clock, seconds=1)
    live(line, clock, 2)

    assert [] == [one for one in line.metadata.events(Alerted, line=LINE) if one.monitor == "clock"]


def test_nothing_recorded_is_changed(line, clock):
    """The record proves what happened; a wrong time is part of that."""
    live(line, clock, 2)
    be_ahead(line, clock, days=1)
    before = list(line.metadata.links())
    live(line, clock, 4)

    assert before == list(line.metadata.links())[: len(before)]


def test_the_worker_tells_of_it_once(line, clock):
    """Who looks at the output of `up` learns it there, and not twice a second."""
    live(line, clock, 2)
    be_ahead(line, clock, days=1)
    told, enough = [], threading.Event()

    def report(progress):
        told.append(progress.step)
        if told.count("looked") >= 4:
            enough.set()

    def now():
        report_of_look()
        return clock()

    looks = iter(range(10**9))

    def report_of_look():
        if next(looks) % 50 == 0:
            report(type("Look", (), {"step": "looked"}))

    root = Path(line.root)
    tending = Tending(lambda: Factory.open(root, report=report, now=now), Idle(), every_s=0.02)
    assert enough.wait(20)
    tending.close()

    assert 1 == told.count("clock")
