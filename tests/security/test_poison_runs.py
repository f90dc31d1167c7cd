"""A run that kills its process, hangs, or takes all memory ends as a recorded failure, and no other line notices."""

import csv
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from control import factory_up

from linewright.capabilities.care.operations.maintenance import verify
from linewright.capabilities.evidence.operations import show
from linewright.capabilities.overview.operations.history import runs
from linewright.capabilities.runs.operations import cancel
from linewright.engine.durable import EngineClient
from linewright.engine.fair_share import Turns
from linewright.engine.lock import ProcessLock
from linewright.errors import Conflict, LinewrightError, NotFound, RequestError, UserCodeError
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, AttemptEnded, Finished
from linewright.line.runs import attempts
from linewright.line.runs.execute import execute, open_executor
from linewright.line.runs.plan import make_plan
from linewright.line.runs.record import WORKFLOW, prepare
from linewright.serve.listener import Announced, Announcement

pytestmark = pytest.mark.usefixtures("forked")
SEED = 21
LINE = """
line: {name}
sources: {{rows: {{file: rows.csv}}}}
label: {{column: bad, positive: "yes"}}
train: {{{train}, split: {{by: random, test: 0.3}}}}
gates:
  - {{metric: roc_auc, at_least: 0.6}}
"""
POISON = """
import os, signal, sys, time

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def leave():
    os._exit(0)

def exit_by_exception():
    sys.exit(0)

class PanicException(BaseException):
    pass

def panic():
    raise PanicException("called `Option::unwrap()` on a `None` value")

def hang():
    time.sleep(120)

def think():
    until = time.process_time() + 4
    while time.process_time() < until:
        pass
    from sklearn.linear_model import LogisticRegression
    return LogisticRegression()

def think_for_ever():
    while True:
        pass

def wait_for_word():
    open(f"{os.getpid()}.begun", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.01)
    from sklearn.linear_model import LogisticRegression
    return LogisticRegression()

def memory():
    held = []
    while True:
        held.append(bytearray(64 * 2**20))

def kill_once():
    if not os.path.exists("was-here"):
        open("was-here", "w").close()
        until = time.process_time() + 0.5
        while time.process_time() < until:
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    from sklearn.linear_model import LogisticRegression
    return LogisticRegression()
"""


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Factory]:
    """Make a factory with a sound line, `sound`, and one whose own code does what its name says."""
    monkeypatch.chdir(tmp_path)
    chance = random.Random(SEED)
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["size", "speed", "bad"])
        for _ in range(300):
            size = chance.random()
            writer.writerow(
                [
                    f"{size:.4f}",
                    f"{chance.random():.4f}",
                    "yes" if size + 0.3 * chance.random() > 0.75 else "no",
                ]
            )
    (tmp_path / "poison.py").write_text(POISON)
    with Factory.create(tmp_path) as made:
        declare(made, "sound", "budget: {trials: 1}")
        yield made


def declare(factory: Factory, name: str, train: str) -> None:
    (factory.root / "lines" / f"{name}.yaml").write_text(LINE.format(name=name, train=train))


def limit(factory: Factory, runs: str) -> None:
    (factory.root / "factory.yaml").write_text(f"format: 1\nruns: {runs}\n")


@contextmanager
def executor_elsewhere(factory: Factory) -> Iterator[EngineClient]:
    """Have another thread's factory hold the lock and carry out runs, as `up` does; give a client of it."""
    lock = ProcessLock(factory.state / "executor.lock")
    assert lock.acquire()
    try:
        with (
            Factory.open(factory.root) as other,
            open_executor(other),
            closing(EngineClient(factory.engine_url)) as client,
        ):
            yield client
    finally:
        lock.release()


def ask(factory: Factory, client: EngineClient, line: str) -> str:
    """Ask for a run, and return its id without waiting for it."""
    spec = factory.line(line)
    run, request = prepare(factory, spec, make_plan(factory, spec))
    client.start(WORKFLOW, run, request, group=line)
    return run


def until(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("does", "how", "attempt"),
    [
        ("kill", "signal SIGKILL", 3),
        ("leave", "exit code 0 before it was done", 2),
        ("hang", "no progress within the deadline", 2),
        ("think_for_ever", "no progress within the deadline", 1),
    ],
)
def test_a_run_whose_process_ends_each_time_at_one_step_fails_and_says_how(
    factory, monkeypatch, does, how, attempt
):
    """It was resumed for ever, and with `os._exit(0)` it ended with 0 without having run."""
    limits = {"hang": "{idle_s: 4}", "think_for_ever": "{idle_s: 2, busy_s: 8}"}
    limit(factory, limits.get(does, "{}"))
    # The number is looked at where it is the usual one; each attempt costs the imports of a process.
    if does == "kill":
        assert attempt == attempts.MOST_ATTEMPTS
    monkeypatch.setattr(attempts, "MOST_ATTEMPTS", attempt)
    declare(factory, "poison", f'python: "poison.py:{does}"')

    with pytest.raises(
        UserCodeError, match=rf"the process of the run ended {attempt} times at step train: found '{how}"
    ):
        execute(factory, "poison")

    (ended,) = factory.metadata.events(Finished, line="poison")
    ends = factory.metadata.events(AttemptEnded, line="poison")
    assert ["failed", *["train"] * attempt] == [ended.outcome, *(one.step for one in ends)]
    assert list(range(1, attempt + 1)) == [one.attempt for one in ends]
    assert ends[0].because == f"train: {how}"
    assert attempt == len(show(factory, ended.run).body["attempts"])
    assert pytest.approx(sum(one.usage.cpu_s for one in ends)) == ended.usage.cpu_s
    if does == "kill":
        assert execute(factory, "sound").promoted
    assert () == verify(factory).problems


def test_a_run_that_says_nothing_but_computes_is_not_ended(factory):
    """A long fit tells of nothing until it is done; on a busy machine it was ended, and did its work again."""
    limit(factory, "{idle_s: 2}")
    declare(factory, "poison", 'python: "poison.py:think"')

    execute(factory, "poison")

    assert [] == list(factory.metadata.events(AttemptEnded, line="poison"))


@pytest.mark.parametrize(
    ("priority", "is_up", "below"),
    [("auto", False, 0), ("auto", True, 10), ("normal", True, 0), ("low", False, 10)],
)
def test_a_run_stands_back_for_its_own_endpoint_alone(factory, priority, is_up, below):
    """Beside any other busy process a run that always stands back takes ten times as long, for nobody's good."""
    limit(factory, f"{{priority: {priority}}}")
    declare(factory, "poison", 'python: "poison.py:wait_for_word"')
    announcement = Announcement(factory.state, Announced(address="127.0.0.1:1", url="http://127.0.0.1:1"))
    if is_up:
        announcement.make()
    seen = list[int]()

    def look() -> None:
        until(lambda: list(factory.root.glob("*.begun")))
        (begun,) = factory.root.glob("*.begun")
        seen.append(os.getpriority(os.PRIO_PROCESS, int(begun.stem)))
        (factory.root / "go").touch()

    looking = threading.Thread(target=look)
    looking.start()
    try:
        execute(factory, "poison")
    finally:
        looking.join()
        announcement.withdraw()

    assert [below or os.getpriority(os.PRIO_PROCESS, 0)] == seen


def test_a_run_stands_back_from_when_its_endpoint_starts(factory):
    """A training of hours would slow the answers of an endpoint that was started a minute after it."""
    declare(factory, "poison", 'python: "poison.py:wait_for_word"')
    announcement = Announcement(factory.state, Announced(address="127.0.0.1:1", url="http://127.0.0.1:1"))
    seen = list[int]()

    def look() -> None:
        until(lambda: list(factory.root.glob("*.begun")))
        (begun,) = factory.root.glob("*.begun")
        announcement.make()
        with suppress(AssertionError):
            until(lambda: os.getpriority(os.PRIO_PROCESS, int(begun.stem)) == 10)
        seen.append(os.getpriority(os.PRIO_PROCESS, int(begun.stem)))
        (factory.root / "go").touch()

    looking = threading.Thread(target=look)
    looking.start()
    try:
        execute(factory, "poison")
    finally:
        looking.join()
        announcement.withdraw()

    assert [10] == seen


@pytest.mark.slow
@pytest.mark.usefixtures("started_as_users_do")
def test_a_run_that_takes_more_memory_than_allowed_fails_and_says_so(factory):
    """The kernel would choose whom to end, and may choose the worker."""
    limit(factory, "{memory: 3GiB}")
    declare(factory, "poison", 'python: "poison.py:memory"')

    with pytest.raises(LinewrightError, match="memory") as caught:
        execute(factory, "poison")

    assert caught.value.exit_code in {5, 7}
    assert "failed" == factory.metadata.events(Finished, line="poison")[0].outcome


def test_code_that_would_end_its_process_is_a_failure_of_the_run(factory):
    """`sys.exit(0)` in a function is no success."""
    declare(factory, "poison", 'python: "poison.py:exit_by_exception"')

    with pytest.raises(LinewrightError, match=r"sys.exit\(0\)|SystemExit"):
        execute(factory, "poison")

    assert "failed" == factory.metadata.events(Finished, line="poison")[0].outcome


def test_a_panic_of_a_native_library_is_a_failure_of_the_run(factory):
    """It is no `Exception`: the request hung, the run never ended, and each restart panicked again."""
    declare(factory, "poison", 'python: "poison.py:panic"')

    with pytest.raises(LinewrightError, match="gave up: found 'PanicException"):
        execute(factory, "poison")

    (ended,) = factory.metadata.events(Finished, line="poison")
    assert "failed" == ended.outcome
    assert [] == factory.metadata.events(AttemptEnded, line="poison")


def test_a_run_whose_process_was_killed_once_comes_to_its_end(factory):
    """The kernel ended it where memory was short for a moment; what it had done is not done again."""
    declare(factory, "poison", 'python: "poison.py:kill_once"')

    ran = execute(factory, "poison")

    (attempt,) = factory.metadata.events(AttemptEnded, line="poison")
    assert ran.promoted
    assert ("train", "signal", "SIGKILL") == (attempt.step, attempt.how, attempt.signal)
    assert 1 == len(factory.metadata.events(Accepted, line="poison"))
    (ended,) = factory.metadata.events(Finished, line="poison")
    assert 0.5 <= attempt.usage.cpu_s < ended.usage.cpu_s, "what was killed has cost something too"
    assert attempt.usage.wall_s < ended.usage.wall_s
    assert 0 < attempt.usage.peak_bytes <= ended.usage.peak_bytes


def test_another_line_neither_resumes_nor_waits_for_a_run_that_hangs(factory):
    """`linewright run` of any line first resumed the poison, and hung or died with it."""
    declare(factory, "poison", 'python: "poison.py:hang"')
    with executor_elsewhere(factory) as client:
        poison = ask(factory, client, "poison")
        until(lambda: "split" in client.done(poison))
        began = time.monotonic()
        beside = execute(factory, "sound")
        took = time.monotonic() - began
    # The executor has ended in the middle of it; what `run` opens carries out its own line alone.
    (factory.root / "rows.csv").write_text((factory.root / "rows.csv").read_text() + "0.5,0.5,no\n")
    alone = execute(factory, "sound")

    assert beside.promoted
    assert took < 60
    assert alone.run != beside.run
    assert [poison] == [one.run for one in factory.metadata.events(Accepted, line="poison")]
    assert "unfinished" == runs(factory, "poison").runs[0].state


def test_two_runs_that_hang_do_not_keep_a_third_line_waiting(factory, monkeypatch):
    """There are as many turns as `runs.at_once` says, and whoever hangs must not keep them."""
    monkeypatch.setattr(attempts, "QUIET_S", 1.0)
    limit(factory, "{at_once: 1}")
    for name in ("first", "second"):
        declare(factory, name, 'python: "poison.py:hang"')
    with executor_elsewhere(factory) as client:
        for name in ("first", "second"):
            ask(factory, client, name)
        ran = execute(factory, "sound")

    assert ran.promoted


def test_a_run_that_is_cancelled_ends_at_once_and_the_record_says_by_whom(factory):
    """There was no way out of a training that hangs but an update of the engine's tables by hand."""
    declare(factory, "poison", 'python: "poison.py:hang"')
    with executor_elsewhere(factory) as client:
        run = ask(factory, client, "poison")
        until(lambda: "split" in client.done(run))
        said = cancel(factory, run, because="it hangs")
        with pytest.raises(Conflict, match=r"the run was cancelled by .*: it hangs"):
            client.follow(run, timeout=30)
        again = cancel(factory, run)

    (ended,) = factory.metadata.events(Finished, line="poison")
    assert ("cancelled", "cancelled") == (said.state, ended.outcome)
    assert ended.usage.cpu_s > 0
    assert ended.usage.peak_bytes > 0
    assert again.state == "cancelled"
    assert "cancelled" == runs(factory, "poison").runs[0].state
    assert () == verify(factory).problems
    assert not list((factory.state / "cancel").iterdir())


def test_a_run_is_cancelled_also_where_no_process_carries_out_runs(factory):
    """The worker was stopped because of it; it must not come back with the worker."""
    declare(factory, "poison", 'python: "poison.py:hang"')
    with executor_elsewhere(factory) as client:
        run = ask(factory, client, "poison")
        until(lambda: "split" in client.done(run))
    said = cancel(factory, run)
    with executor_elsewhere(factory) as client, pytest.raises(Conflict, match="the run was cancelled"):
        client.follow(run, timeout=30)

    assert "cancelled" == said.state
    assert 1 == len(factory.metadata.events(Finished, line="poison"))


def test_what_is_no_run_cannot_be_cancelled(factory):
    """An id becomes a path, so it must be an id."""
    with pytest.raises(NotFound, match="no such run was accepted"):
        cancel(factory, "00000000-0000-8000-8000-000000000000")
    with pytest.raises(RequestError, match="not the id of a run"):
        cancel(factory, "../../serving/sound")


def test_one_lines_many_runs_do_not_starve_anothers(factory):
    """A script that asks for one line a hundred times must not keep the others from being trained tonight."""
    limit(factory, "{at_once: 1}")
    declare(factory, "busy", "budget: {trials: 1}")
    order: list[str] = []
    lock = ProcessLock(factory.state / "executor.lock")
    assert lock.acquire()

    def observe(run: str, step: str, what: str) -> None:
        if (step, what) == ("ingest", "start"):
            order.append(lines[run])

    lines: dict[str, str] = {}
    with (
        Factory.open(factory.root) as other,
        open_executor(other, observe) as engine,
        closing(EngineClient(factory.engine_url)) as client,
    ):
        spec = factory.line("busy")
        plan = make_plan(factory, spec)
        for _ in range(6):
            run, request = prepare(factory, spec, plan)
            lines[run] = "busy"
            client.start(WORKFLOW, run, request, group="busy")
        until(lambda: order)
        spec = factory.line("sound")
        run, request = prepare(factory, spec, make_plan(factory, spec))
        lines[run] = "sound"
        client.start(WORKFLOW, run, request, group="sound")
        engine.follow(run, timeout=120)
    lock.release()

    assert "sound" in order[:3]


def test_what_a_schedule_asks_for_lets_a_persons_run_pass():
    """A person waits; the night's retraining has the night."""
    turns, order = Turns(1), list[str]()

    def work(name: str, *, is_urgent: bool) -> None:
        with turns.take(is_urgent=is_urgent):
            order.append(name)

    with turns.take():
        waiting = []
        for name, is_urgent in (("schedule", False), ("person", True)):
            waiting.append(threading.Thread(target=work, args=(name,), kwargs={"is_urgent": is_urgent}))
            waiting[-1].start()
            time.sleep(0.1)
    for one in waiting:
        one.join()

    assert ["person", "schedule"] == order


@pytest.mark.slow
def test_the_control_plane_outlives_a_run_that_kills_its_process(factory):
    """It was there for two seconds of every twelve: schedules, canaries and monitors of all lines stood still."""
    declare(factory, "poison", 'python: "poison.py:kill"')
    with factory_up(factory.root, forked=True) as up:
        before = up.worker()
        killed = up.post("/api/v1/run", {"lines": ["poison"]}, timeout=120)
        ran = up.post("/api/v1/run", {"lines": ["sound"]}, timeout=120)
        after = up.worker()
        told = up.log.read_text()

    assert before == after
    assert (422, "UserCodeError") == (killed.status_code, killed.json()["error"])
    assert (200, True) == (ran.status_code, ran.json()["promoted"]), ran.text
    assert "control plane and worker ended" not in told


@pytest.mark.usefixtures("started_as_users_do")
def test_an_executor_that_is_killed_takes_its_runs_processes_along(factory):
    """A training that goes on without its executor would write beside its successor."""
    declare(factory, "poison", 'python: "poison.py:hang"')
    command = [sys.executable, "-m", "linewright", "run", "poison"]
    run = subprocess.Popen(command, cwd=factory.root, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        until(lambda: _children_of(run.pid))
        (child,) = _children_of(run.pid)
    finally:
        os.kill(run.pid, signal.SIGKILL)
        run.wait()

    until(lambda: not Path(f"/proc/{child}").exists() or _is_zombie(child))


def _children_of(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(one) for one in task.read_text().split()]
    return found


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
