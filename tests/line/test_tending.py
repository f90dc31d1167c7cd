"""Looking after lines while they serve: windows, and the trainings that follow."""

import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from templates import copied

from linewright.capabilities.serving.worker import Tending, tend_inline
from linewright.line.factory import Factory
from linewright.line.loop.close_window import close_window
from linewright.line.predict.batch import predict_file
from linewright.line.record.monitoring.alerts import open_alerts
from linewright.line.runs.execute import execute_inline
from linewright.watch.facts import Alerted, Proposed, RetrainProposal, Watched


class Clock:
    def __init__(self):
        self.at = datetime(2026, 1, 19, 0, 10, tzinfo=UTC)

    def __call__(self):
        return self.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def move(self, **by):
        self.at += timedelta(**by)


class Busy:
    """An engine whose queue is long: it takes runs and carries none out."""

    def __init__(self):
        self.started = []

    def start(self, _workflow, run, _request, *, group):
        assert group
        self.started.append(run)

    def follow(self, run, *, timeout=None):
        raise NotImplementedError

    def unfinished(self):
        return self.started

    def close(self):
        pass


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(scope="module")
def served(tumours_once):
    """Make the factory that each test gets a copy of: its line serves, watches itself in windows of an hour, and trains each week."""
    path = tumours_once.root / "lines" / "tumours.yaml"
    kept = [one for one in path.read_text().splitlines() if not one.startswith(("# watch:", "# retrain:"))]
    path.write_text("\n".join([*kept, "watch: {every: 1h}", "retrain: {when: [{every: 7d}]}", ""]))
    tumours_once.now = Clock()
    assert execute_inline(tumours_once, "tumours").promoted
    tumours_once.close()
    return tumours_once.root


@pytest.fixture
def line(served, tmp_path, clock):
    with Factory.open(copied(served, tmp_path / "factory"), now=clock) as factory:
        yield factory


def ask(factory, rows):
    table = pl.read_csv(factory.root / "cancer.csv").drop("diagnosis").head(rows)
    table.write_csv(factory.root / "ask.csv")
    predict_file(factory, "tumours", factory.root / "ask.csv", factory.root / "answers.csv")


def counted(factory):
    return [one.n for one in factory.metadata.events(Watched, line="tumours")]


def test_answers_of_a_clock_that_was_set_back_are_counted_at_once(line, clock):
    """One answer from next year must not hide all that the same process answers until then."""
    clock.move(days=365)
    ask(line, 5)
    (file,) = line.log_of("tumours").iterdir()
    clock.move(days=-365)
    ask(line, 7)
    # What one process writes is one segment.
    (later,) = set(line.log_of("tumours").iterdir()) - {file}
    file.write_bytes(file.read_bytes() + later.read_bytes())
    later.unlink()
    clock.move(hours=1)
    close_window(line, line.line("tumours"))
    clock.move(hours=1)
    close_window(line, line.line("tumours"))

    assert [12, 0] == counted(line)


def test_a_window_is_closed_once_though_the_clock_goes_back(line, clock):
    ask(line, 5)
    clock.move(hours=2)
    close_window(line, line.line("tumours"))
    clock.move(hours=-1)
    ask(line, 7)
    assert close_window(line, line.line("tumours")) is None
    clock.move(hours=2)
    close_window(line, line.line("tumours"))

    first, second = line.metadata.events(Watched, line="tumours")

    assert first.end == second.start
    assert [5, 7] == counted(line)


def test_a_clock_that_was_far_ahead_is_told(line, clock):
    """Else a line is not watched for a year, and looks as if nothing were wrong with it."""
    clock.move(days=365)
    close_window(line, line.line("tumours"))
    clock.move(days=-365)

    assert close_window(line, line.line("tumours")) is None
    assert ["clock"] == [one.monitor for one in open_alerts(line, "tumours")]


def train(factory):
    """Carry out the training that is due; each is refused, since nothing is new."""
    _, ran = tend_inline(factory, "tumours")
    return ran is not None and not ran.promoted


def test_a_schedule_goes_on_though_its_candidates_are_no_better(line, clock):
    """That is usual for a model that is good; after two weeks the line would have stopped for ever."""
    trained = []
    for _ in range(4):
        clock.move(days=6)
        trained.append(train(line))
        clock.move(days=1)
        trained.append(train(line))

    assert [False, True] * 4 == trained
    assert 4 == len(line.metadata.events(Proposed, line="tumours"))
    assert [] == open_alerts(line, "tumours")


def alert(factory, number):
    found = Alerted(
        at=factory.now(),
        by="test",
        because="it has drifted",
        line="tumours",
        id=f"drift-{number}",
        package=execute_inline(factory, "tumours").digest,
        monitor="drift",
        column="mean_area",
        value=0.4,
        bar=0.2,
        evidence="",
        since=factory.now(),
    )
    factory.metadata.record(found)


def test_a_schedule_waits_for_no_finding(line, clock):
    """After a drift the line waits for labels; where none ever come, it must train each week all the same."""
    path = line.root / "lines" / "tumours.yaml"
    path.write_text(path.read_text().replace("[{every: 7d}]", "[drift, {every: 7d}]"))
    clock.move(days=3)
    alert(line, 1)
    waiting = train(line)
    clock.move(days=4)
    weekly = train(line)

    assert (False, True) == (waiting, weekly)
    assert ["drift", "every"] == [
        line.metadata.get(one.proposal, RetrainProposal).trigger
        for one in line.metadata.events(Proposed, line="tumours")
    ]


def tend_a_while(factory, clock, engine, until):
    """Tend every 10 ms until something is so, and some looks more."""

    def opened():
        return Factory.open(factory.root, now=clock)

    tending = Tending(opened, engine, every_s=0.01)
    try:
        deadline = time.monotonic() + 20
        while not until():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(1.5)
    finally:
        tending.close()
    assert not [one for one in threading.enumerate() if one.name == "tending"]


def test_what_a_time_brings_is_done_though_nothing_was_written(line, clock):
    """A line that rests is left alone; when its window ends, or its week is over, nobody writes anything that tells of it."""
    engine = Busy()

    def after(step, happened):
        time.sleep(0.3)  # it rests
        step()
        deadline = time.monotonic() + 20
        while not happened():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    with closing(Tending(lambda: Factory.open(line.root, now=clock), engine, every_s=0.01)):
        after(lambda: clock.move(hours=1), lambda: counted(line))
        after(lambda: clock.move(days=7), lambda: engine.started and len(counted(line)) == 2)

    assert [0, 0] == counted(line)
    assert 1 == len(engine.started)


def test_a_training_that_waits_in_the_queue_is_planned_once(line, clock):
    """While another line trains for an hour, each look would keep one more plan."""
    engine = Busy()
    clock.move(days=7)
    tend_a_while(line, clock, engine, lambda: engine.started)

    assert 1 == len(engine.started)
    assert 1 == len(line.metadata.events(Proposed, line="tumours"))


def test_a_training_that_cannot_begin_is_told_once_and_the_watch_goes_on(line, clock, capsys):
    """A file that is gone for a night must not fill the disk with messages, nor blind the monitors."""
    engine = Busy()
    (line.root / "cancer.csv").rename(line.root / "moved.csv")
    clock.move(days=7)
    tend_a_while(line, clock, engine, lambda: counted(line))

    assert [] == engine.started
    assert [0] == counted(line)

    (line.root / "moved.csv").rename(line.root / "cancer.csv")
    tend_a_while(line, clock, engine, lambda: engine.started)

    assert 1 == capsys.readouterr().err.count("cancer.csv")


def test_a_line_whose_file_was_mended_is_told_to_be_looked_after_again(line, clock, capsys):
    """Who was told that it is not wants to know when it is."""
    path = line.path_of("tumours")
    whole, told = line.root / "mended.yaml", []
    whole.write_text(path.read_text())
    path.write_text(path.read_text() + "oops: 1\n")

    def mended():
        told.append(capsys.readouterr().err)
        if whole.exists() and "tumours is not looked after now" in "".join(told):
            whole.replace(path)  # half a file would be one more thing that is wrong
        return "again" in "".join(told)

    tend_a_while(line, clock, Busy(), mended)
    told.append(capsys.readouterr().err)

    assert 1 == "".join(told).count("tumours is not looked after now")
    assert "".join(told).endswith("tumours is looked after again\n")
    assert 1 == "".join(told).count("again")
