"""What is due is done in a process of its own: predictions, and reads of sources; what fails raises an alert and is tried again."""

import os
import socket
import subprocess
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import commands
import duckdb
import msgspec
import pytest
from small import LINE, make_factory

from linewright.capabilities.lines.operations import check
from linewright.capabilities.releases.halt import halt
from linewright.capabilities.schedules.operations import schedule
from linewright.capabilities.schedules.run_tasks import ScheduledWork, do_in_child, do_task
from linewright.capabilities.schedules.task_state import (
    Task,
    TaskState,
    begin_task_state,
    due_at,
    task_state_of,
    tasks_of,
)
from linewright.capabilities.sources.operations import sources
from linewright.data.history.versions import KNOWN, read_versions
from linewright.data.spec import AtTrigger, EveryTrigger
from linewright.engine.usage import descendants
from linewright.errors import SpecError, Transient
from linewright.line.factory import Factory
from linewright.line.facts import PredictionsMade
from linewright.line.file.checks.schedules import place_of_answers
from linewright.line.record.data.source_histories import history_of, history_store
from linewright.line.record.monitoring.alerts import open_alerts
from linewright.line.spec import TableDestination
from linewright.serve.access.rights import ROLES, Identity, Scope
from linewright.serve.listener import Announced, Announcement
from linewright.store.clock import text_of

JOB = """
predict:
  nightly: {rows: claims, to: {file: out/answers.csv}, when: [{at: "02:30 Europe/Berlin"}, {every: 30d}]}
"""
LONG_AGO = "2026-01-01T00:00:00.000000Z"


@pytest.fixture
def factory(tmp_path_factory, tmp_path):
    root = make_factory(tmp_path_factory, tmp_path / "factory")
    path = root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text() + JOB)
    with Factory.open(root) as factory:
        yield factory


def looked_after_since(factory, since, **failed):
    """Have the predictions be looked after since an instant."""
    (task,) = tasks_of(factory, factory.line(LINE))
    begin_task_state(factory, task)
    file = factory.state / "scheduled" / LINE / "predict.nightly.json"
    file.write_bytes(msgspec.json.encode(TaskState(since=since, **failed)))
    return task


def worked_off(factory):
    """Have what is due done, and wait until it is."""
    with closing(ScheduledWork(lambda: Factory.open(factory.root))) as work:
        until = time.monotonic() + 60
        again = work.look(factory, factory.line(LINE))
        while work.is_busy and time.monotonic() < until:
            time.sleep(0.02)
        assert not work.is_busy
    return again


@pytest.mark.usefixtures("processes")
def test_times_that_were_missed_are_made_up_for_by_one_run(factory):
    task = looked_after_since(factory, LONG_AGO)

    worked_off(factory)

    (answered,) = factory.metadata.events(PredictionsMade, line=LINE)
    due = due_at(task, task_state_of(factory, task))
    assert due > factory.now()
    assert worked_off(factory) == due
    assert factory.metadata.events(PredictionsMade, line=LINE) == [answered]
    (told,) = schedule(factory, LINE).tasks
    assert (told.last, told.rows, told.to, told.next) == (answered.began, 240, "out/answers.csv", due)


def test_new_predictions_begin_at_their_first_time(factory):
    """And not at once, for times that came before anybody looked after them."""
    (task,) = tasks_of(factory, factory.line(LINE))

    with closing(ScheduledWork(lambda: Factory.open(factory.root))) as work:
        due = work.look(factory, factory.line(LINE))

    assert due > factory.now()
    assert due == due_at(task, task_state_of(factory, task))


def test_a_line_that_is_halted_waits(factory):
    looked_after_since(factory, LONG_AGO)
    halt(factory, LINE, because="a test")

    assert worked_off(factory) is None


@pytest.mark.parametrize(("failures", "minutes"), [(1, 1), (2, 2), (4, 8), (7, 60), (10_000, 60)])
def test_what_fails_is_tried_again_ever_later(failures, minutes):
    task = Task(line=LINE, what="predict", name="nightly", when=(EveryTrigger(every="1d"),))
    task_state = TaskState(since=LONG_AGO, failures=failures, failed="2026-01-03T00:00:00.000000Z")

    assert due_at(task, task_state) == text_of(datetime(2026, 1, 3, tzinfo=UTC) + timedelta(minutes=minutes))


def test_a_day_without_the_hour_still_has_a_run():
    task = Task(line=LINE, what="predict", name="nightly", when=(AtTrigger(at="02:30 Europe/Berlin"),))

    assert (
        due_at(task, TaskState(since=LONG_AGO, began="2026-03-28T01:30:04Z")) == "2026-03-29T01:30:00.000000Z"
    )


@pytest.mark.usefixtures("processes")
def test_what_fails_raises_one_alert_which_success_clears(factory):
    (factory.root / "out" / "answers.csv").mkdir(parents=True)
    task = looked_after_since(factory, LONG_AGO)

    worked_off(factory)

    (alert,) = open_alerts(factory, LINE)
    assert (alert.monitor, alert.because) == (
        "schedule",
        "predictions 'nightly' failed; it is tried again. See: linewright schedule claims",
    )
    failed = task_state_of(factory, task)
    assert "this is a folder" in failed.trouble
    looked_after_since(factory, LONG_AGO, failures=1, failed=LONG_AGO, trouble=failed.trouble)
    worked_off(factory)
    assert open_alerts(factory, LINE) == [alert]

    (factory.root / "out" / "answers.csv").rmdir()
    looked_after_since(factory, LONG_AGO, failures=2, failed=LONG_AGO, trouble=failed.trouble)
    worked_off(factory)

    assert not open_alerts(factory, LINE)
    assert task_state_of(factory, task).failures == 0


@pytest.mark.usefixtures("processes")
def test_commands_make_predictions_and_list_what_is_scheduled(factory):
    def run(*words, code=0):
        done = subprocess.run(
            [*commands.python(), "-m", "linewright", *words, "--factory", str(factory.root)],
            env=os.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    assert run("predict-job", LINE, "nightly") == "240 rows predicted by claims@1: out/answers.csv\n"
    assert "out/answers.csv" in run("schedule")
    assert "allowed  nightly" in run("predict-job", LINE, "daily", code=2)

    path = factory.root / "lines" / f"{LINE}.yaml"
    path.write_text(
        path.read_text().replace("02:30 Europe", "25:30 Europe").replace("rows: claims", "rows: claim")
    )
    wrong = run("check", LINE, code=2)

    assert "this is no schedule" in wrong
    assert "did you mean 'claims'" in wrong


def test_a_source_is_read_by_its_schedule_and_rows_are_known_from_then_on(factory, monkeypatch):
    with duckdb.connect(factory.root / "shop.duckdb") as database:
        database.execute(
            "create table claims as select * from read_csv('claims.csv')".replace(
                "claims.csv", str(factory.root / "claims.csv")
            )
        )
        database.execute("alter table claims add column changed timestamp default timestamp '2026-01-01'")
    monkeypatch.setenv("SHOP", "duckdb:///shop.duckdb")
    path = factory.root / "lines" / f"{LINE}.yaml"
    source = "{sql: select * from claims, at: env:SHOP, key: claim, cursor: changed, when: [{every: 1h}]}"
    path.write_text(path.read_text().replace("{file: claims.csv}", source).replace(JOB, ""))
    spec = factory.line(LINE)
    (task,) = tasks_of(factory, spec)
    begin_task_state(factory, task)

    do_task(factory, LINE, "read", "claims")

    with duckdb.connect(factory.root / "shop.duckdb") as database:
        database.execute("insert into claims values ('late', 1, 2, 'no', timestamp '2026-01-02')")
    before = factory.now()
    says = do_task(factory, LINE, "read", "claims")

    assert says == "source 'claims' was read: 1 new version, 241 rows"
    found = task_state_of(factory, task)
    assert (found.rows, found.versions) == (241, 1)
    history = history_of(factory, "claims", spec.sources["claims"])
    *_, last = read_versions(history, history_store(factory), ["claim", KNOWN])
    assert last["claim"][-1] == "late"
    assert text_of(last[KNOWN][-1]) >= before
    (told,) = sources(factory, LINE).sources
    assert told.next_read == due_at(task, found)


def test_sites_do_not_write_the_same_file(factory):
    path = factory.root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text() + "sites: {lyon: {}}\n")
    with pytest.raises(SpecError, match="all sites would write the same file"):
        factory.line(f"{LINE}.lyon")

    path.write_text(path.read_text().replace("out/answers.csv", '"out/{line}.csv"'))
    (task,) = tasks_of(factory, factory.line(f"{LINE}.lyon"))

    assert task.to == f"out/{LINE}.lyon.csv"


@pytest.mark.parametrize(
    ("to", "word"),
    [
        ("{file: ./out/../out/answers.csv}", "file"),
        ("{file: out/answers.parquet}", "file"),  # its quarantine would be that of the other
        ("{table: answers, at: env:SCORES}", "table"),
    ],
)
def test_two_predictions_do_not_write_to_one_place(factory, to, word):
    """Of one line or of two, `check` names both."""
    path = factory.root / "lines" / f"{LINE}.yaml"
    table = "  scores: {rows: claims, to: {table: public.answers, at: env:SCORES}}\n"
    text = path.read_text() + table
    path.write_text(text)
    other = factory.root / "lines" / "other.yaml"
    other.write_text(
        text[: text.index("predict:")].replace(f"line: {LINE}", "line: other")
        + f"predict:\n  more: {{rows: claims, to: {to}}}\n"
    )
    (found,) = check(factory, LINE).lines
    name = "nightly" if word == "file" else "scores"
    assert found.exit_code == 2
    assert f"write the same {word}: other: predict.more" in found.errors[0]["what"]
    assert f"lines/{LINE}.yaml:" in found.errors[0]["where"]

    other.unlink()
    path.write_text(text + f"  more: {{rows: claims, to: {to}}}\n")

    with pytest.raises(SpecError, match=f"'predict.{name}' writes the same {word}"):
        factory.line(LINE)


@pytest.mark.usefixtures("processes")
def test_up_refuses_the_second_writer_of_a_destination(factory):
    """`check` may not have been asked; the answers of one line would replace those of another, by turns. The path is another spelling."""
    (factory.root / "out").mkdir()
    (factory.root / "link").symlink_to("out")
    looked_after_since(factory, LONG_AGO)
    worked_off(factory)
    path = factory.root / "lines" / f"{LINE}.yaml"
    second = "  again: {rows: claims, to: {file: link/answers.parquet}, when: [{every: 30d}]}\n"
    path.write_text(path.read_text() + second)
    first, other = tasks_of(factory, factory.line(LINE))
    for task in (first, other):
        begin_task_state(factory, task)
    for name in ("nightly", "again"):
        file = factory.state / "scheduled" / LINE / f"predict.{name}.json"
        file.write_bytes(msgspec.json.encode(TaskState(since=LONG_AGO)))

    worked_off(factory)

    assert ["nightly", "nightly"] == [one.job for one in factory.metadata.events(PredictionsMade, line=LINE)]
    refused = task_state_of(factory, other)
    assert refused.failures == 1
    assert f"other predictions write the same file: {LINE}: predict.nightly" in refused.trouble
    assert any("again" in alert.because for alert in open_alerts(factory, LINE))
    assert not (factory.root / "out" / "answers.parquet").exists()


def test_the_usual_port_and_capital_letters_do_not_make_another_server(monkeypatch):
    monkeypatch.setenv("ONE", "postgresql://ann:a@DB.example.com/shop")
    monkeypatch.setenv("OTHER", "postgres://bob:b@db.example.com:5432/shop?sslmode=require")

    places = {
        place_of_answers(TableDestination(table=table, at=at), LINE, "/plant")
        for table, at in (("answers", "env:ONE"), ("public.Answers", "env:OTHER"))
    }

    assert 1 == len(places)


@pytest.fixture
def hanging(factory, monkeypatch):
    """Have the line read a database first that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("HANGING", f"postgresql://ann:S3cret@127.0.0.1:{port}/shop")
        path = factory.root / "lines" / f"{LINE}.yaml"
        job = "{rows: {sql: select 1, at: env:HANGING}, to: {file: out/hanging.csv}, when: [{every: 1h}]}"
        path.write_text(path.read_text().replace("predict:\n", f"predict:\n  hanging: {job}\n"))
        (factory.root / "factory.yaml").write_text("format: 1\nhosts: [127.0.0.1]\n")
        yield next(one for one in tasks_of(factory, factory.line(LINE)) if one.name == "hanging")


@pytest.mark.usefixtures("processes")
def test_a_source_that_hangs_delays_no_other_task(factory, hanging):
    tasks = list(tasks_of(factory, factory.line(LINE)))
    for task in tasks:
        begin_task_state(factory, task)
        file = factory.state / "scheduled" / LINE / f"{task.what}.{task.name}.json"
        file.write_bytes(msgspec.json.encode(TaskState(since=LONG_AGO)))

    with closing(ScheduledWork(lambda: Factory.open(factory.root))) as work:
        work.look(factory, factory.line(LINE))
        until = time.monotonic() + 60
        while not factory.metadata.events(PredictionsMade, line=LINE) and time.monotonic() < until:
            time.sleep(0.02)

        state = task_state_of(factory, hanging)
        assert work.is_busy
        assert (state.began, state.failed) == (None, None)
    assert factory.metadata.events(PredictionsMade, line=LINE)


@pytest.mark.usefixtures("processes")
def test_a_task_without_progress_is_ended(factory, hanging):
    with pytest.raises(Transient, match="no progress") as caught:
        do_in_child(factory, msgspec.structs.replace(hanging, idle_s=2.0), is_stopped=lambda: False)

    assert "S3cret" not in str(caught.value)


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("is_up", [False, True])
def test_what_is_scheduled_stands_back_for_the_endpoint_alone(factory, hanging, is_up):
    """Beside any other busy process it took ten times as long, as runs once did."""
    announcement = Announcement(factory.state, Announced(address="127.0.0.1:1", url="http://127.0.0.1:1"))
    seen = set[int]()

    def look() -> bool:
        for pid in descendants(os.getpid()):
            if b"run_tasks" in Path(f"/proc/{pid}/cmdline").read_bytes():
                seen.add(os.getpriority(os.PRIO_PROCESS, pid))
        return True

    if is_up:
        announcement.make()
    own = os.getpriority(os.PRIO_PROCESS, 0)
    with pytest.raises(Transient, match="this process ends"):
        do_in_child(factory, hanging, is_stopped=look)
    announcement.withdraw()

    assert {10 if is_up else own} == seen


def test_why_a_task_failed_is_for_those_who_may_see_rows(factory):
    """Databases and contracts quote them."""
    looked_after_since(factory, LONG_AGO, failures=1, failed=LONG_AGO, trouble="not number: 'S3cret row'")

    factory.identity = Identity(actor="vera", member="vera", scopes=(Scope(permissions=ROLES["viewer"]),))
    (task,) = schedule(factory, LINE).tasks

    assert (task.failures, task.trouble) == (1, "who may see rows sees why")
