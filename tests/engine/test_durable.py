"""Runs that outlive their process: killed at each step, resumed, asked for from another process."""

import hashlib
import json
import logging
import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from interpreter import printed_by

from linewright.engine import durable
from linewright.engine.durable import DurableEngine, EngineClient, is_news
from linewright.engine.lock import ProcessLock
from linewright.engine.protocol import TOGETHER
from linewright.engine.run_notes import may_be_unfinished
from linewright.errors import Conflict, GateRefused, Terminal, Transient
from linewright.store.files import stamps

# Runs the executor of a factory: URL, journal, and the step to die in ("" for none), or "serve" to wait for requests.
EXECUTOR = """
import hashlib, os, signal, sys, threading
from linewright.engine.durable import DurableEngine
from linewright.errors import GateRefused
url, journal, dies_in = sys.argv[1:]

def note(*words):
    descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, (" ".join(words) + "\\n").encode())
    os.fsync(descriptor)
    os.close(descriptor)

def chain(step, request):
    digest = str(request["seed"])
    for name in ("ingest", "train", "gate"):
        def do(name=name, digest=digest):
            note("begin", name)
            if name == dies_in:
                os.kill(os.getpid(), signal.SIGKILL)
            note("end", name)
            return hashlib.sha256(f"{name} {digest}".encode()).hexdigest()
        digest = step(name, do)
    return digest

def refuse(step, request):
    raise GateRefused("not good enough", where="claims@3", found=[1], hint="look", details={"request": request})

engine = DurableEngine(url, {"chain": chain, "refuse": refuse})
if dies_in == "serve":
    print("ready", flush=True)
    sys.stdin.readline()
else:
    engine.start("chain", "run-1", {"seed": 7})
    print(engine.follow("run-1", timeout=60))
engine.close()
"""
STEPS = ("ingest", "train", "gate")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/engine.sqlite"
    return request.getfixturevalue("postgres_database")


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "journal"


def _execute(url, journal, dies_in):
    return subprocess.run(
        [sys.executable, "-c", EXECUTOR, url, str(journal), dies_in],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("kind", "kills"), [("sqlite", STEPS), ("postgresql", STEPS[1:2])], ids=["sqlite", "postgresql"]
)
def test_a_run_killed_in_each_step_in_turn_ends_as_if_nothing_had_been_killed(kind, kills, journal, request):
    """Power fails when it likes; what a run publishes does not depend on it, and no finished step is paid for twice."""
    place = f"sqlite:///{journal.parent}/engine.sqlite"
    url = place if kind == "sqlite" else request.getfixturevalue("postgres_database")
    digest = "7"
    for step in STEPS:
        digest = hashlib.sha256(f"{step} {digest}".encode()).hexdigest()
    codes = [_execute(url, journal, step).returncode for step in kills]
    resumed = _execute(url, journal, "")
    noted = journal.read_text().split("\n")

    assert [-signal.SIGKILL] * len(kills) == codes
    assert (0, f"{digest}\n", "") == (resumed.returncode, resumed.stdout, resumed.stderr)
    assert [1] * len(STEPS) == [noted.count(f"end {step}") for step in STEPS]
    assert [1 + (step in kills) for step in STEPS] == [noted.count(f"begin {step}") for step in STEPS]


def ask(url, workflow, run, request):
    """Ask for a run from beside the executor."""
    with closing(EngineClient(url)) as client:
        client.start(workflow, run, request)


def test_the_notes_of_an_engine_say_whether_anything_is_left_to_finish(url, journal):
    """Who has nothing to do opens no engine, and may not overlook what was interrupted for it."""
    before = may_be_unfinished(url, TOGETHER)
    _execute(url, journal, "train")
    interrupted = [may_be_unfinished(url, group) for group in (TOGETHER, "another")]
    _execute(url, journal, "")

    assert url.startswith("postgresql") == before  # where there is no table yet, only the engine can tell
    assert [True, False] == interrupted
    assert not may_be_unfinished(url, TOGETHER)


def test_of_a_damaged_file_only_the_engine_can_tell(tmp_path):
    """What cannot be read is opened, so that the engine says what is wrong."""
    (tmp_path / "engine.sqlite").write_bytes(b"no database" * 1000)

    assert may_be_unfinished(f"sqlite:///{tmp_path}/engine.sqlite", TOGETHER)


def test_opening_resumes_what_a_kill_interrupted_and_starting_it_again_does_not_double_it(url, journal):
    """Recovery and an impatient user both offer the same run; it is carried out once."""
    _execute(url, journal, "train")
    begun = []

    def chain(step, _request):
        for name in STEPS:
            step(name, lambda: time.sleep(0.05))
        return "resumed"

    engine = DurableEngine(url, {"chain": chain}, lambda _run, step, what: begun.append((step, what)))
    try:
        unfinished = engine.unfinished()
        for _ in range(3):
            engine.start("chain", "run-1", {"seed": 7})

        assert ["run-1"] == unfinished
        assert "resumed" == engine.follow("run-1", timeout=30)
        assert [("train", "start"), ("train", "end"), ("gate", "start"), ("gate", "end")] == begun
        assert [] == engine.unfinished()
    finally:
        engine.close()


def test_another_process_may_ask_for_a_run_and_follow_it(url, journal):
    """`run` beside a living `up` must not wait for it to end, nor run beside it."""
    executor = subprocess.Popen(
        [sys.executable, "-c", EXECUTOR, url, str(journal), "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert "ready\n" == executor.stdout.readline()
        client = EngineClient(url)
        asked = time.monotonic()
        client.start("chain", "run-1", {"seed": 7})
        digest = client.follow("run-1", timeout=30)
        took = time.monotonic() - asked
        done = client.done("run-1")
        ask(url, "refuse", "run-2", "r")
        with pytest.raises(GateRefused, match="claims@3: not good enough") as caught:
            client.follow("run-2", timeout=30)
        client.close()
    finally:
        executor.communicate("stop\n", timeout=60)

    assert 64 == len(digest)
    assert ["ingest", "train", "gate"] == done
    assert took < 2
    assert {"request": "r"} == caught.value.details
    assert 0 == executor.returncode


def test_what_is_asked_for_while_no_executor_lives_waits_for_the_next(url):
    """A request that was accepted is carried out, whoever stops in between."""
    DurableEngine(url, {}).close()
    ask(url, "echo", "run-1", "hello")
    client = EngineClient(url)
    with pytest.raises(Transient, match="has not ended yet: found 'enqueued'") as caught:
        client.follow("run-1", timeout=0)
    client.close()
    engine = DurableEngine(url, {"echo": lambda step, request: step("echo", lambda: request)})
    try:
        assert {"unfinished": "run-1"} == caught.value.details
        assert "hello" == engine.follow("run-1", timeout=30)
    finally:
        engine.close()


def test_an_end_outlives_the_engine(url):
    """Whoever asks tomorrow gets the same answer."""

    def refuse(_step, _request):
        raise GateRefused("not good enough", found=0.1)

    for _ in range(2):
        engine = DurableEngine(url, {"echo": lambda _step, request: request, "refuse": refuse})
        try:
            engine.start("echo", "run-1", "hello")
            engine.start("refuse", "run-2", None)

            assert "hello" == engine.follow("run-1", timeout=30)
            with pytest.raises(GateRefused, match=r"found 0\.1"):
                engine.follow("run-2", timeout=30)
        finally:
            engine.close()


def test_runs_of_a_factory_come_one_at_a_time_in_the_order_in_which_they_were_asked_for(url):
    """Two trainings at once would not fit into the memory that one was planned for."""
    running, most, order = [], [], []

    def work(step, request):
        def do():
            running.append(request)
            order.append(request)
            time.sleep(0.02)
            most.append(len(running))
            running.remove(request)

        step("work", do)

    engine = DurableEngine(url, {"work": work})
    try:
        for number in range(5):
            engine.start("work", f"run-{number}", number)
        for number in range(5):
            engine.follow(f"run-{number}", timeout=30)
    finally:
        engine.close()

    assert [1] * 5 == most
    assert list(range(5)) == order


def test_closing_in_the_middle_of_a_step_leaves_its_run_to_the_next_engine(url):
    """SIGTERM must not wait for a training; the run goes on after the restart."""
    begun, may_end, done = threading.Event(), threading.Event(), []

    def slow(step, _request):
        step("quick", lambda: done.append("quick"))

        def do():
            begun.set()
            may_end.wait(30)
            done.append("slow")

        step("slow", do)
        step("after", lambda: done.append("after"))
        return "ended"

    engine = DurableEngine(url, {"slow": slow})
    engine.start("slow", "run-1", None)
    began = begun.wait(30)
    engine.close(grace=0.0)
    may_end.set()
    engine = DurableEngine(url, {"slow": slow})
    try:
        assert began
        assert "ended" == engine.follow("run-1", timeout=30)
    finally:
        engine.close()
    assert {"quick": 1, "slow": 2, "after": 1} == {
        name: done.count(name) for name in ("quick", "slow", "after")
    }


def test_closing_lets_a_short_step_end_and_begins_no_other(url):
    """What is nearly done is not done again."""
    begun, done = threading.Event(), []

    def work(step, _request):
        def do():
            begun.set()
            time.sleep(0.2)
            done.append("short")

        step("short", do)
        step("next", lambda: done.append("next"))
        return "ended"

    engine = DurableEngine(url, {"work": work})
    engine.start("work", "run-1", None)
    begun.wait(30)
    engine.close()
    at_close = list(done)
    engine = DurableEngine(url, {"work": work})
    try:
        assert "ended" == engine.follow("run-1", timeout=30)
    finally:
        engine.close()
    assert ["short"] == at_close
    assert ["short", "next"] == done


def test_a_process_has_at_most_one_executor(tmp_path):
    """Two would carry out each other's runs."""
    engine = DurableEngine(f"sqlite:///{tmp_path}/one.sqlite", {})
    try:
        with pytest.raises(Conflict, match="this process executes runs already"):
            DurableEngine(f"sqlite:///{tmp_path}/two.sqlite", {})
    finally:
        engine.close()
    engine.close()
    DurableEngine(f"sqlite:///{tmp_path}/two.sqlite", {}).close()


@pytest.mark.parametrize(
    ("place", "kind", "says"),
    [
        ("sqlite:///{}/none/engine.sqlite", Terminal, "cannot be opened.*check that its folder exists"),
        (
            "sqlite:///file:{}/there.sqlite?mode=ro&uri=true",
            Terminal,
            "cannot be written.*let this user write",
        ),
        ("postgresql://nobody:secret@/none?host={}", Transient, "did not answer.*check that the server runs"),
    ],
)
def test_a_database_that_cannot_be_used_says_what_where_and_next(tmp_path, place, kind, says):
    """An executor that cannot start must not hang or show the driver's traceback, nor spoil the next attempt."""
    sqlite3.connect(tmp_path / "there.sqlite").close()

    with pytest.raises(kind, match=f"(?s){says}") as caught:
        DurableEngine(place.format(tmp_path), {})
    assert "secret" not in str(caught.value)
    DurableEngine(f"sqlite:///{tmp_path}/engine.sqlite", {}).close()


def test_asking_before_any_executor_opened_the_factory_is_worth_another_try(url):
    """`run` started in the same second as the first `up`."""
    with pytest.raises(Transient, match="no executor has opened this factory yet"):
        EngineClient(url)


def test_what_is_kept_is_json_under_our_names_in_a_rollback_journal(tmp_path):
    """No pickle is ever read, a resume finds its runs, and the interpreter's SQLite corrupts WAL databases."""

    def break_down(step, _request):
        step("one", lambda: {"digest": "sha256:00"})
        raise KeyError("x")

    engine = DurableEngine(f"sqlite:///{tmp_path}/engine.sqlite", {"break": break_down})
    engine.start("break", "run-1", {"line": "claims"})
    with pytest.raises(Terminal, match="KeyError"):
        engine.follow("run-1", timeout=30)
    files = sorted(path.name for path in tmp_path.iterdir() if "journal" not in path.name)
    engine.close()
    kept = sqlite3.connect(tmp_path / "engine.sqlite")
    run = kept.execute(
        "select status, executor_id, application_version, serialization from workflow_status"
    ).fetchall()
    texts = [
        kept.execute(f"select {column} from {table}").fetchone()[0]  # noqa: S608 -- fixed names
        for table, column in (
            ("workflow_input", "inputs"),
            ("operation_outputs", "output"),
            ("workflow_output", "error"),
        )
    ]
    mode = kept.execute("pragma journal_mode").fetchone()[0]
    kept.close()

    assert [("ERROR", "factory", "linewright-1", "linewright-json")] == run
    assert [
        {"args": ["break", {"line": "claims"}, "-"], "kwargs": {}},
        {"returned": {"digest": "sha256:00"}},
        {"bug": "KeyError: 'x'"},
    ] == [json.loads(text) for text in texts]
    assert ("delete", ["engine.sqlite"]) == (mode, files)


def test_only_the_durable_engine_loads_dbos():
    """It takes most of a second; a command that starts no run must not pay for it."""
    source = Path(__file__).parents[2] / "src" / "linewright"
    importers = [
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if any(
            line.strip().startswith(("import dbos", "from dbos")) for line in path.read_text().splitlines()
        )
    ]
    code = (
        "import sys, linewright.engine.inline, linewright.engine.lock, linewright.engine.context;"
        "print(sorted({'dbos', 'sqlalchemy'} & set(sys.modules)))"
    )
    printed = printed_by(code)

    assert ["engine/durable.py"] == importers
    assert "[]" == printed.strip()


HOLDER = """
import subprocess, sys
from pathlib import Path
from linewright.engine.lock import ProcessLock
print(ProcessLock(Path(sys.argv[1])).acquire(), flush=True)
code = "import sys; print('lives', flush=True); sys.stdin.read()"
child = subprocess.Popen([sys.executable, "-c", code], stdin=sys.stdin)
child.wait()
"""


def test_the_kernel_frees_the_lock_of_a_killed_executor_even_if_its_children_live_on(tmp_path):
    """After kill -9 the next `up` starts at once; nobody has to remove a file by hand."""
    path, lock = tmp_path / "executor.lock", ProcessLock(tmp_path / "executor.lock")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        # Until its child is a program of its own, it has all that the holder has open.
        said = [holder.stdout.readline(), holder.stdout.readline()]
        while_held = lock.acquire()
        named = lock.holder()
        with (
            pytest.raises(Transient, match=rf"found 'process {holder.pid}'\. Next: wait until it ends"),
            lock,
        ):
            pass
        holder.kill()
        holder.wait()

        assert (["True\n", "lives\n"], False, holder.pid) == (said, while_held, named)
        with lock:
            assert os.getpid() == lock.holder()
            assert not ProcessLock(path).acquire()
        assert ProcessLock(path).acquire()


def test_a_lock_that_cannot_be_opened_says_what_to_do(tmp_path):
    """A factory copied without its state folder is explained."""
    with pytest.raises(
        Terminal, match=r"lock cannot be opened: found 'No such file.*check that its folder exists"
    ):
        ProcessLock(tmp_path / "none" / "executor.lock").acquire()


@pytest.mark.parametrize(
    ("words", "error", "is_shown"),
    [
        (
            "Exception encountered when recovering workflow 1:",
            sqlite3.OperationalError("database or disk is full"),
            False,
        ),
        (
            "Exception encountered when recovering workflow 1:",
            sqlite3.OperationalError("no such table: a"),
            True,
        ),
        ("database is locked, trying again", None, False),
        ("Exception encountered in background workflow 1:", ValueError("a bug"), False),
    ],
)
def test_a_traceback_is_shown_only_where_our_own_words_do_not_follow(words, error, is_shown):
    """Whoever is called at night because a disk is full reads one line, and no frames of libraries."""
    record = logging.LogRecord(
        "dbos", logging.ERROR, "", 0, words, None, error and (type(error), error, None)
    )

    assert is_shown == is_news(record)


class Queues:
    """A database that says how often it was asked."""

    def __init__(self):
        self.asked = 0

    def get_queue(self, name, **_):
        self.asked += 1
        return f"{name}, asked {self.asked} times"


def test_a_database_that_stays_as_it_is_is_asked_once(tmp_path, monkeypatch):
    """DBOS asks some questions a second, which for a worker that rests is most of what it takes."""
    monkeypatch.setattr(stamps, "YOUNG_S", 0.0)
    monkeypatch.setattr(durable, "_ASKED_S", math.inf)
    database, file = Queues(), tmp_path / "engine.sqlite"
    file.write_bytes(b"one")
    durable._ask_once(database, str(file))
    rests = [database.get_queue("a") for _ in range(3)] + [database.get_queue("b")]
    file.write_bytes(b"another")

    assert [*["a, asked 1 times"] * 3, "b, asked 2 times"] == rests
    assert "a, asked 3 times" == database.get_queue("a")


def test_what_is_asked_with_other_words_or_in_a_transaction_is_asked(tmp_path, monkeypatch):
    """An answer is kept for the question that it was the answer to; a connection must see what it has written itself."""
    monkeypatch.setattr(stamps, "YOUNG_S", 0.0)
    monkeypatch.setattr(durable, "_ASKED_S", math.inf)
    database, file = Queues(), tmp_path / "engine.sqlite"
    file.write_bytes(b"one")
    durable._ask_once(database, str(file))
    connection = object()
    asked = [
        {"status": "on"},
        {"status": "off"},
        {"status": "on"},
        {"conn": connection},
        {"conn": connection},
    ]

    assert [f"a, asked {times} times" for times in (1, 2, 1, 3, 4)] == [
        database.get_queue("a", **words) for words in asked
    ]


def test_a_database_that_was_just_written_is_asked_each_time(tmp_path):
    """Some file systems stamp by whole seconds: a run that was asked for in the same one would wait."""
    database, file = Queues(), tmp_path / "engine.sqlite"
    file.write_bytes(b"one")
    durable._ask_once(database, str(file))

    assert ["a, asked 1 times", "a, asked 2 times"] == [database.get_queue("a") for _ in range(2)]
