"""Attack a factory that is up, and see what a client, the other lines and the stop button notice of it.

    python benchmarks/siege.py [--only CELL]... [--seconds N]

Each cell has a factory and an `up` of its own. A client on one kept connection asks for predictions the whole time, in a process of its
own; memory is looked at ten times a second. After N seconds of the attack healthy lines are run by the control plane (in the cells
`lines` and `poison` from the beginning, and for as long as they take), and while the attack goes on `linewright halt` is started:
its seconds are from there to the first answer that says so, and after which no other came. Where a run is not possible meanwhile (the
disk is full, the record locked) it is asked for once the attack is over.

`quiet` is what p99 is compared with, and is always run. The factory leaves one processor to the endpoint (`runs: {cores: N}`), and the
attackers, who would be on other machines, keep off it too. `shared` shows what twenty lines cost a client without that: no p99 is wanted
of it. Exit code 1 where a wanted figure is missed.
"""

import argparse
import fcntl
import gzip
import http.client
import json
import math
import multiprocessing
import os
import platform
import random
import resource
import selectors
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.parquet as pq

PROGRAM = (sys.executable, "-m", "linewright")
LINE = "steady"
"""Answers the healthy client."""
HEALTHY = tuple(f"healthy-{number:02}" for number in range(1, 21))
ROW = {"size": 0.4, "speed": 0.5}

# What is wanted
MOST_P99 = 3.0
"""Times its quiet value."""
MOST_HALT_S = 2.0
MOST_ENDPOINT_MB, MOST_WORKER_MB = 192.0, 256.0
"""More than before the attack. The endpoint's includes the process in which it tries a new model, some 80 MB for a moment."""
RUN_MEMORY_GIB = 3
MOST_RUN_MB = RUN_MEMORY_GIB * 1024 + 512.0
"""What the factory allows a run, and what it maps from files (libraries), which that does not count."""
MOST_CHECK_MB = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20 / 4 + 512.0
"""A quarter of the machine is what the control plane allows an expensive operation; and libraries again."""

# How it is attacked
REQUESTS = 100_000
SIXTY = 60
IDLE, FILES = 2_000, 1_024
REOPENED_PER_S = 200
"""Idle connections that were closed are opened anew at most so fast: this is no flood."""
IDLE_S = 20
"""Without progress for so long, an attempt of a run is ended; three times, and the run fails."""
DISK_BYTES = 192 * 2**20
SHARED = (0x40000002, 510)
"""Where SQLite's shared lock lies in a file: its first byte, and how many."""

# How it is measured
LEAST_FREE_MB = 2_000
"""With less left in the machine, all processes of the factory are killed, and its cell goes on without them."""
PAUSE_S = 0.005
LOOK_S = 0.1
ANSWER_S = 10.0
START_S, RUN_S, RUNS_S = 60.0, 90.0, 300.0
"""Longest waits: for servers or an attack to begin, for one healthy run, for twenty or for what an attack asked."""
SETTLE_S = 2.0
AFTER_S = 3.0
"""For so long after `halt` had ended the client goes on asking: no answer may come any more."""
FINE = {200, 429, 503}

FACTORY_FILE = f"""\
format: 1
runs:
  memory: {RUN_MEMORY_GIB}GiB
  idle_s: {IDLE_S}
  at_once: 2
"""
LINE_FILE = """\
line: {name}
sources: {{rows: {{file: rows.csv}}}}
label: {{column: bad, positive: "yes"}}
train: {{{train}, split: {{by: random, test: 0.3}}}}
gates:
  - {{metric: roc_auc, at_least: 0.6}}
"""
POISON = """\
import os, signal

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def abort():
    os.abort()

def loop():
    while True:
        pass

def memory():
    held = []
    while True:
        held.append(b"x" * 2**26)
"""
POISONS = ("kill", "abort", "loop", "memory")
HOSTILE_LINES = {
    "parquet-bomb": "sources: {s: {file: bomb.parquet}}\nlabel: {column: b}\n",
    "gzip-bomb": "sources: {s: {file: bomb.csv.gz}}\nlabel: {column: b}\n",
    "endless-sql": "sources: {rows: {file: rows.csv}}\nlabel: {column: bad}\ntable:\n  sql: >-\n    select size, bad from rows, "
    "(select sum(a.range * b.range) as s from range(10000000) a, range(10000000) b) where s > 0\n",
    "tokenizer": "sources:\n  s:\n    sqlite: tokens.db\n    query: >-\n      select fts3_tokenizer('simple', x'4141414141414141') is null as k,\n"
    "      (select x from f where docid = t.rowid) as x from t\nlabel: {column: k}\n",
}


# A factory


def make_factory(root: Path) -> None:
    """Make a factory with a line that serves, and twenty that can be run."""
    (root / "lines").mkdir(parents=True)
    (root / "factory.yaml").write_text(FACTORY_FILE + f"  cores: {CORES}\n")
    chance = random.Random(21)  # noqa: S311 -- no secret
    rows = ["size,speed,bad"]
    for _ in range(300):
        size, speed = chance.random(), chance.random()
        rows.append(f"{size:.4f},{speed:.4f},{'yes' if size + 0.3 * chance.random() > 0.75 else 'no'}")
    (root / "rows.csv").write_text("\n".join(rows) + "\n")
    for name in (LINE, *HEALTHY):
        declare(root, name, "budget: {trials: 1}")
    steady = root / "lines" / f"{LINE}.yaml"
    # So that it goes on where its log cannot be written: then a halt alone ends its answers.
    steady.write_text(steady.read_text() + "release: {when_log_fails: serve-unlogged}\n")
    done = subprocess.run([*PROGRAM, "run", LINE], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the first model was not made: {done.stdout}{done.stderr}")


def declare(root: Path, name: str, train: str) -> None:
    (root / "lines" / f"{name}.yaml").write_text(LINE_FILE.format(name=name, train=train))


def make_hostile(root: Path) -> None:
    """Write files that are small and hold much, and a database whose query reaches for native code, each with its line."""
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 300_000, pa.int32()), pa.array(["x" * 1_000_000]))
    label = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 150_000, pa.int32()), pa.array(["u", "v"]))
    table = pa.table({"a": long, "b": label})
    pq.write_table(table, root / "bomb.parquet", compression="zstd", store_schema=False)
    (root / "bomb.csv.gz").write_bytes(
        gzip.compress(b"a,b\n", mtime=0) + gzip.compress(b"x" * 2**20, mtime=0) * 4096
    )
    with closing(sqlite3.connect(root / "tokens.db", isolation_level=None)) as database:
        database.executescript(
            "create virtual table evil using fts4(x, tokenize=simple); insert into evil values('hello world');"
            "create virtual table f using fts4(x, tokenize=porter); insert into f values('hello world');"
            "create table t(a); insert into t values('hello'); drop table f_content; pragma writable_schema=1;"
            "create view f_content as select docid, x as c0x from evil;"
        )
    for name, text in HOSTILE_LINES.items():
        (root / "lines" / f"{name}.yaml").write_text(f"line: {name}\n{text}")


# The processes that are attacked


@dataclass(frozen=True)
class Answered:
    """What the control plane said."""

    what: str
    status: int
    """0 where there was no answer."""
    seconds: float
    says: str


@dataclass
class Up:
    """A factory that is up."""

    root: Path
    port: int
    control: int
    process: "subprocess.Popen[bytes]"

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where both servers listen."""
        return [("127.0.0.1", self.port), ("127.0.0.1", self.control)]

    def ask(self, method: str, path: str, body: Any = None, *, timeout_s: float = RUNS_S) -> Answered:
        """Ask the control plane, as whoever has the token, and wait for its answer."""
        began, headers = time.monotonic(), {"Content-Type": "application/json"} if body is not None else {}
        with suppress(FileNotFoundError):
            token = (self.root / ".linewright" / "control.token").read_text().strip()
            headers["Authorization"] = f"Bearer {token}"
        sent = None if body is None else json.dumps(body)
        what = f"{method} {path}" if body is None else f"{method} {path} {sent}"
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.control, timeout=timeout_s)
            with closing(connection):
                connection.request(method, path, sent, headers)
                answer = connection.getresponse()
                status, said = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            return Answered(what, 0, time.monotonic() - began, f"{type(error).__name__}: {error}")
        return Answered(what, status, time.monotonic() - began, _message(said))

    def run(self, name: str, *, timeout_s: float = RUNS_S) -> Answered:
        """Have a line run, and wait for its end."""
        return self.ask("POST", "/api/v1/run", {"lines": [name]}, timeout_s=timeout_s)

    def check(self, name: str) -> Answered:
        """Have a line checked."""
        return self.ask("GET", f"/api/v1/check?{urlencode({'lines': name})}")

    def memory(self) -> dict[str, float]:
        """Return MB of resident memory: of the endpoint, the worker, and the largest child of each kind."""
        found = dict.fromkeys(("endpoint", "worker", "run", "check"), 0.0)
        for pid, kind in self.processes():
            size = resident_mb(pid)
            is_child = kind in {"run", "check"}
            found[kind] = max(found[kind], size) if is_child else found[kind] + size
        return found

    def processes(self) -> list[tuple[int, str]]:
        """Return the processes with what each is: ``endpoint``, ``worker``, ``run`` or ``check``."""
        found = list[tuple[int, str]]()
        for part in children_of(self.process.pid):
            words = words_of(part)
            if "linewright.serve" in words:
                found += [(pid, "endpoint") for pid in tree(part)]
            elif "linewright.capabilities.serving.control_plane" in words:
                found.append((part, "worker"))
                for child in children_of(part):
                    kind = "run" if "linewright.line.runs.attempt" in words_of(child) else "check"
                    found += [(pid, kind) for pid in tree(child)]
        return found


def _message(said: bytes) -> str:
    try:
        found = json.loads(said)
    except ValueError:
        return said.decode(errors="replace")
    return str(found.get("message", "")) if isinstance(found, dict) else ""


def children_of(pid: int) -> list[int]:
    """Return the children of a process; none where it has ended."""
    found = list[int]()
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def tree(pid: int) -> list[int]:
    return [pid, *(deeper for child in children_of(pid) for deeper in tree(child))]


def words_of(pid: int) -> list[str]:
    """Return the words of a process's command; none once it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    return []


def status_of(pid: int) -> dict[str, str]:
    """Return what the kernel says of a process; nothing once it has ended."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {}


def resident_mb(pid: int) -> float:
    return int(status_of(pid).get("VmRSS", "0 kB").split()[0]) / 1024


@contextmanager
def up(root: Path, *, files: int | None = None) -> Iterator[Up]:
    """Hold a factory up, with so many open files as its soft and hard limit; give it once both servers answer.

    What it says goes to `up.txt` beside the factory.
    """
    one = Up(root, free_port(), free_port(), process=None)  # type: ignore[arg-type]  # set below
    command = [*PROGRAM, "up", "--port", str(one.port), "--control-port", str(one.control)]
    if files is not None:
        command = ["bash", "-c", f'ulimit -n {files}; exec "$@"', "bash", *command]
    with (root.parent / "up.txt").open("wb") as says:
        one.process = subprocess.Popen(command, cwd=root, stdout=says, stderr=says, start_new_session=True)
    try:
        deadline = time.monotonic() + START_S
        while not (_answers(one.port, f"/v2/models/{LINE}/ready") and _answers(one.control, "/")):
            if one.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"up does not answer: {(root.parent / 'up.txt').read_text()[-2000:]}")
            time.sleep(0.1)
        yield one
    finally:
        one.process.terminate()
        try:
            one.process.wait(60)
        except subprocess.TimeoutExpired:
            print("up did not end within 60 s of SIGTERM")
            one.process.kill()
            one.process.wait()


def _answers(port: int, path: str) -> bool:
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", path)
            return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def free_mb() -> float:
    """Return what the machine could still give to processes."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable:"))


class Memory:
    """Looks at the memory of a factory until it is left, and keeps the peaks."""

    def __init__(self, of: Up) -> None:
        self._of = of
        self.before = of.memory()
        self.peak = dict(self.before)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._stop.wait(LOOK_S):
            for kind, size in self._of.memory().items():
                self.peak[kind] = max(self.peak[kind], size)
            if (
                free_mb() < LEAST_FREE_MB
            ):  # before the kernel chooses, which may choose somebody else's process
                os.killpg(self._of.process.pid, signal.SIGKILL)
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


# The healthy client


class Asked(NamedTuple):
    """One request of the healthy client."""

    began: float
    """By the monotonic clock, which all processes share."""
    ended: float
    status: int
    """0 where the connection broke or no answer came in time."""
    is_halted: bool


class Client:
    """A client that asks over one kept connection, in a process of its own, until it is told to stop."""

    def __init__(self, port: int) -> None:
        self._pipe, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=keep_asking, args=(port, theirs), daemon=True)
        self._process.start()
        if not self._pipe.poll(START_S):
            raise RuntimeError("the healthy client does not begin")
        self._pipe.recv()

    def stop(self) -> list[Asked]:
        """Stop it, and return what it asked."""
        self._pipe.send("stop")
        asked = self._pipe.recv()
        self._process.join()
        return asked


SPAWN = multiprocessing.get_context("spawn")
CORES = max(1, len(os.sched_getaffinity(0)) - 1)
"""Processors of runs, control plane and attackers."""


def keep_asking(port: int, pipe: Connection) -> None:
    """Ask for a prediction, again and again, and send what came of it in the end."""
    # It would be on another machine: where it may, it waits for no processor here.
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    body, path = json.dumps({"rows": [ROW]}), f"/v1/lines/{LINE}/predict"
    asked = list[Asked]()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    while not pipe.poll(PAUSE_S):
        began, status, said = time.monotonic(), 0, b""
        try:
            if connection.sock is None:
                connection.connect()
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            status, said = answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
        asked.append(Asked(began, time.monotonic(), status, status == 503 and b"halted" in said))
        if len(asked) == 1:
            pipe.send("begun")
    pipe.send(asked)


def p99_ms(asked: Sequence[Asked], began: float, ended: float) -> float:
    """Return the 99th percentile of the waiting times of what was asked between two moments, in ms."""
    times = sorted(one.ended - one.began for one in asked if began <= one.began <= ended)
    return 1000 * times[math.ceil(0.99 * len(times)) - 1] if times else math.nan


def halted_after_s(asked: Sequence[Asked], started: float) -> float:
    """Return the seconds until an answer said that the line is halted, after which no other came; infinite where that never was."""
    after = [one for one in asked if one.ended >= started]
    last_other = max((i for i, one in enumerate(after) if not one.is_halted), default=-1)
    return after[last_other + 1].ended - started if last_other + 1 < len(after) else math.inf


# Attacks

Attack = Callable[[Up], AbstractContextManager[list["Future[Answered]"]]]
"""Goes on while it is entered; gives what it asked of the control plane, which is waited for when it is left."""


@contextmanager
def in_a_process(what: Callable[..., None], *arguments: Any) -> Iterator[None]:
    process = SPAWN.Process(target=what, args=arguments, daemon=True)
    process.start()
    # They would be on other machines too: here they must not take the processors from those whose answers are measured.
    os.setpriority(os.PRIO_PROCESS, process.pid or 0, 10)
    os.sched_setaffinity(process.pid or 0, sorted(os.sched_getaffinity(0))[-CORES:])
    try:
        yield
    finally:
        process.terminate()
        process.join()


@contextmanager
def pipelining(of: Up, connections: int) -> Iterator[list["Future[Answered]"]]:
    """Send requests over connections to both servers, and read nothing."""
    with in_a_process(pipeline, of.addresses, connections):
        yield []


def pipeline(addresses: list[tuple[str, int]], connections: int) -> None:
    """Send requests as fast as they are taken, hold what has sent all, and open anew what is closed."""
    block = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1_000
    whole = REQUESTS // 1_000 * len(block)
    selector, sent, held = selectors.DefaultSelector(), dict[socket.socket, int](), list[socket.socket]()

    def begin(address: tuple[str, int]) -> None:
        with suppress(OSError):
            connection = socket.create_connection(address, timeout=ANSWER_S)
            connection.setblocking(False)
            sent[connection] = 0
            selector.register(connection, selectors.EVENT_WRITE, address)

    for address in addresses * connections:
        begin(address)
    while True:
        for key, _ in selector.select(1.0):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            try:
                sent[connection] += connection.send(memoryview(block)[sent[connection] % len(block) :])
            except BlockingIOError:
                continue
            except OSError:
                selector.unregister(connection)
                connection.close()
                time.sleep(1 / REOPENED_PER_S)
                begin(key.data)
                continue
            if sent[connection] >= whole:
                selector.unregister(connection)
                held.append(connection)
        if not selector.get_map():
            time.sleep(1.0)


@contextmanager
def idle(of: Up) -> Iterator[list["Future[Answered]"]]:
    """Hold idle connections to both servers."""
    ours, theirs = SPAWN.Pipe()
    with in_a_process(hold, of.addresses, IDLE, theirs):
        ours.poll(START_S)
        yield []


def hold(addresses: list[tuple[str, int]], connections: int, pipe: Connection) -> None:
    """Hold so many connections to each address, every second with half a head; those that end are opened anew."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    selector, missing = selectors.DefaultSelector(), deque(addresses * connections)

    def begin(number: int) -> None:
        address = missing.popleft()
        try:
            connection = socket.create_connection(address, timeout=1.0)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " if number % 2 else b"")
        except OSError:
            missing.append(address)
            return
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ, address)

    for number in range(len(missing)):
        begin(number)
    pipe.send("all were opened")
    number, last = 0, time.monotonic()
    while True:
        now = time.monotonic()
        for _ in range(min(len(missing), int((now - last) * REOPENED_PER_S))):
            begin(number := number + 1)
        last = now
        time.sleep(0.05)
        for key, _ in selector.select(0):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            with suppress(OSError):
                if connection.recv(65536):
                    continue
            selector.unregister(connection)
            connection.close()
            missing.append(key.data)


@contextmanager
def asking(calls: Sequence[Callable[[], Answered]]) -> Iterator[list["Future[Answered]"]]:
    """Make calls at once, each in a thread of its own, and wait for them at the end."""
    with ThreadPoolExecutor(max(1, len(calls))) as threads:
        yield [threads.submit(call) for call in calls]


@contextmanager
def poison(of: Up) -> Iterator[list["Future[Answered]"]]:
    """Run lines whose own code ends its process, or does not end."""
    (of.root / "poison.py").write_text(POISON)
    for name in POISONS:
        declare(of.root, name, f'python: "poison.py:{name}"')
    with asking([lambda name=name: of.run(name) for name in POISONS]) as asked:
        yield asked


@contextmanager
def hostile(of: Up) -> Iterator[list["Future[Answered]"]]:
    """Check and run lines whose files and queries are bombs."""
    make_hostile(of.root)
    calls = [lambda name=name, do=do: do(name) for do in (of.check, of.run) for name in HOSTILE_LINES]
    with asking(calls) as asked:
        yield asked


@contextmanager
def full(of: Up) -> Iterator[list["Future[Answered]"]]:
    """Leave no byte on the disk of the factory, however much is freed there meanwhile."""
    filler, stop = of.root.parent / "filler", threading.Event()

    def fill() -> None:
        with filler.open("ab", buffering=0) as file:
            while True:
                for size in (2**20, 4096, 1):
                    with suppress(OSError):
                        while file.write(bytes(size)):
                            pass
                if stop.wait(LOOK_S):
                    return

    filling = threading.Thread(target=fill)
    filling.start()
    try:
        yield []
    finally:
        stop.set()
        filling.join()
        filler.unlink()


@contextmanager
def locked(of: Up) -> Iterator[list["Future[Answered]"]]:
    """Have another process hold the record as one who reads it, which keeps out who writes."""
    ours, theirs = SPAWN.Pipe()
    with in_a_process(hold_lock, of.root / ".linewright" / "metadata.sqlite", theirs):
        ours.poll(START_S)
        yield []


def hold_lock(path: Path, pipe: Connection) -> None:
    """Hold SQLite's shared lock of a file until this process ends."""
    with path.open("rb") as file:
        fcntl.lockf(file, fcntl.LOCK_SH, SHARED[1], SHARED[0])
        pipe.send("held")
        threading.Event().wait()


@contextmanager
def quiet(_: Up) -> Iterator[list["Future[Answered]"]]:
    """Attack nothing."""
    yield []


# Cells


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One attack, and what is asked of the factory beside it."""

    attack: Attack
    runs: int = 1
    """How many healthy lines are run."""
    when: str = "within"
    """When they are: ``along`` is from its beginning, and then p99 is of the time that they take; ``within`` is later in the attack;
    ``after`` is once it is over."""
    is_shared: bool = False
    """Whether the endpoint has no processor to itself; then no p99 is wanted."""
    files: int | None = None
    """Open files that its processes may have; `None` is as many as here."""
    is_on_small_disk: bool = False


CELLS = {
    "quiet": Cell(attack=quiet),
    "lines": Cell(attack=quiet, runs=len(HEALTHY), when="along"),
    "shared": Cell(attack=quiet, runs=len(HEALTHY), when="along", is_shared=True),
    "pipelining": Cell(attack=lambda of: pipelining(of, 1)),
    "pipelining-60": Cell(attack=lambda of: pipelining(of, SIXTY)),
    "idle": Cell(attack=idle, files=FILES),
    "poison": Cell(attack=poison, runs=len(HEALTHY), when="along"),
    "hostile": Cell(attack=hostile),
    "disk-full": Cell(attack=full, when="after", is_on_small_disk=True),
    "locked": Cell(attack=locked, when="after"),
}
WORDS = {
    "quiet": "quiet",
    "lines": "twenty lines train",
    "shared": "the same where the endpoint shares all processors",
    "pipelining": f"{REQUESTS:,} requests pipelined over one connection to each server",
    "pipelining-60": f"the same over {SIXTY}",
    "idle": f"{IDLE:,} idle connections to each server, {FILES:,} files",
    "poison": "twenty lines train beside runs that kill themselves, abort, loop, take all memory",
    "hostile": "bombs of Parquet and gzip, endless SQL, SQL to native code: checked and run",
    "disk-full": "disk full",
    "locked": "metadata locked",
}


@dataclass
class Seen:
    """What was seen in a cell."""

    before: dict[str, float]
    peak: dict[str, float]
    p99: float
    """In ms."""
    halt_s: float
    halt_code: int
    """Exit code of the command."""
    runs: list[Answered]
    asked: list[Answered]
    """What the attack asked of the control plane."""
    statuses: Counter[int]
    """Of the healthy client, before the halt."""
    runs_s: float
    """From the first healthy run's being asked for to the last one's end."""
    odd: Counter[int] = field(default_factory=Counter[int])
    """Of the healthy client and the healthy runs, statuses that nobody should see."""

    @property
    def done(self) -> int:
        """Healthy runs that came to their end."""
        return sum(one.status == 200 for one in self.runs)


def besiege(cell: Cell, root: Path, seconds: float) -> Seen:
    """Attack a factory, and return what was seen."""
    runs, runs_s = list[Answered](), 0.0

    def run_all() -> None:
        nonlocal runs, runs_s
        began, most_s = time.monotonic(), RUNS_S if cell.when == "along" else RUN_S
        calls = [lambda name=name: of.run(name, timeout_s=most_s) for name in HEALTHY[: cell.runs]]
        with asking(calls) as asked:
            runs = [one.result() for one in asked]
        runs_s = time.monotonic() - began

    with up(root, files=cell.files) as of:
        client = Client(of.port)
        time.sleep(SETTLE_S)
        with Memory(of) as memory:
            with cell.attack(of) as asked:
                began = time.monotonic()
                if cell.when == "along":
                    run_all()
                else:
                    time.sleep(seconds)
                ended = time.monotonic()
                if cell.when == "within":
                    run_all()
                started, code = halt(of)
                time.sleep(AFTER_S)
                heard = client.stop()
            if cell.when == "after":
                run_all()
            told = [one.result() for one in asked]
    before_halt = [one for one in heard if one.ended < started]
    odd = Counter(one.status for one in heard if one.status not in FINE)
    odd.update(one.status for one in runs if one.status not in FINE)
    return Seen(
        before=memory.before,
        peak=memory.peak,
        p99=p99_ms(heard, began, ended),
        halt_s=halted_after_s(heard, started),
        halt_code=code,
        runs=runs,
        asked=told,
        statuses=Counter(one.status for one in before_halt),
        runs_s=runs_s,
        odd=odd,
    )


def halt(of: Up) -> tuple[float, int]:
    """Halt the line by the command; return when it was started, and its exit code."""
    started = time.monotonic()
    command = [*PROGRAM, "halt", LINE, "--because", "a siege"]
    done = subprocess.run(
        command, cwd=of.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    return started, done.returncode


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a small disk; give nothing where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    is_possible = os.getuid() == 0 and shutil.which("mount") is not None
    if not is_possible or subprocess.run(mount, check=False, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


# The table

HEAD = (
    "cell | endpoint MB | worker MB | run MB | check MB | p99 ms | ÷ quiet | ÷ twenty lines | healthy runs done | in s | "
    "halt s | answered 200 | statuses other than 200, 503, 429"
)


def row(name: str, seen: Seen | None, all_: dict[str, Seen | None]) -> str:
    if seen is None:
        return f"| {WORDS[name]} | not here" + " | " * 11 + " |"
    sizes = [f"{seen.before[kind]:,.0f} → {seen.peak[kind]:,.0f}" for kind in ("endpoint", "worker")]
    sizes += [f"{seen.peak[kind]:,.0f}" if seen.peak[kind] else "-" for kind in ("run", "check")]
    ratios = [
        f"{seen.p99 / one.p99:.1f}" if (one := all_.get(other)) else "-" for other in ("quiet", "lines")
    ]
    answered = seen.statuses[200] / max(1, seen.statuses.total())
    odd = ", ".join(f"{status or 'none'} x {n}" for status, n in sorted(seen.odd.items())) or "none"
    return (
        f"| {WORDS[name]} | {' | '.join(sizes)} | {seen.p99:.1f} | {' | '.join(ratios)} | {seen.done} of {len(seen.runs)} "
        f"| {seen.runs_s:.0f} | {seen.halt_s:.2f} | {answered:.2%} | {odd} |"
    )


def missed(name: str, seen: Seen, all_: dict[str, Seen | None]) -> Iterator[str]:
    """Yield the wanted figures that were missed."""
    for kind, most in (("endpoint", MOST_ENDPOINT_MB), ("worker", MOST_WORKER_MB)):
        if (grew := seen.peak[kind] - seen.before[kind]) > most:
            yield f"the {kind} grew by {grew:,.0f} MB, at most {most:,.0f} is wanted"
    for kind, most in (("run", MOST_RUN_MB), ("check", MOST_CHECK_MB)):
        if seen.peak[kind] > most:
            yield f"a child ({kind}) had {seen.peak[kind]:,.0f} MB, at most {most:,.0f} is wanted"
    base = all_["quiet"]
    if base is not None and not CELLS[name].is_shared and not seen.p99 <= MOST_P99 * base.p99:
        yield f"p99 is {seen.p99 / base.p99:.1f} times that of 'quiet', at most {MOST_P99:g} is wanted"
    if seen.done < len(seen.runs):
        yield f"{seen.done} of {len(seen.runs)} healthy runs were done"
    if seen.halt_s > MOST_HALT_S:
        yield f"the halt took {seen.halt_s:.2f} s, at most {MOST_HALT_S:g} is wanted"
    if seen.halt_code:
        yield f"the command ended with {seen.halt_code}"
    if seen.odd:
        yield "there were answers that nobody should get"


def cells_of(only: Sequence[str]) -> list[str]:
    """Return the cells to see, in order: the chosen ones, and the one that they are held against.

    >>> cells_of(["poison"])
    ['quiet', 'poison']
    """
    wanted = {"quiet", *(only or CELLS)}
    return [name for name in CELLS if name in wanted]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", choices=CELLS, action="append", default=[], metavar="CELL", help=", ".join(CELLS)
    )
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="of each attack before runs and halt (default: 20)"
    )
    given = parser.parse_args()
    began, all_ = time.monotonic(), dict[str, Seen | None]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_factory(folder / "fresh")
        for cell in cells_of(given.only):
            sys.stderr.write(f"{time.monotonic() - began:.0f} s: {WORDS[cell]}\n")
            with ExitStack() as stack:
                here = folder / cell
                disk = small_disk(here) if CELLS[cell].is_on_small_disk else nullcontext(here)
                place = stack.enter_context(disk)
                if place is not None:
                    root = Path(shutil.copytree(folder / "fresh", place / "factory"))
                    if CELLS[cell].is_shared:
                        (root / "factory.yaml").write_text(FACTORY_FILE)
                    all_[cell] = besiege(CELLS[cell], root, given.seconds)
                else:
                    all_[cell] = None
    print(
        f"Python {platform.python_version()}, {platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"{time.strftime('%Y-%m-%d')}; {given.seconds:g} s an attack, {time.monotonic() - began:.0f} s in all\n"
    )
    print(f"| {HEAD} |\n|---|{'---:|' * 11}---|")
    for cell, seen in all_.items():
        print(row(cell, seen, all_))
    print(
        f"\nWanted: endpoint at most {MOST_ENDPOINT_MB:g} MB above its value before, worker {MOST_WORKER_MB:g}; the largest run at most "
        f"{MOST_RUN_MB:,.0f} MB, the largest check {MOST_CHECK_MB:,.0f}; p99 at most {MOST_P99:g} times that of `quiet` (but for "
        f"`shared`); all healthy runs done; halt at most {MOST_HALT_S:g} s; no other status.\n"
    )
    print(
        "| asked by the attack, or a healthy run that was not done | status | s | says |\n|---|---:|---:|---|"
    )
    for seen in filter(None, all_.values()):
        for one in (*seen.asked, *(run for run in seen.runs if run.status != 200)):
            says = one.says.replace("|", "/").replace("\n", " ")
            print(f"| {one.what} | {one.status or 'none'} | {one.seconds:.1f} | {says[:160]} |")
    wrong = [f"{cell}: {what}" for cell, seen in all_.items() if seen for what in missed(cell, seen, all_)]
    print("\n" + ("\n".join(f"missed: {one}" for one in wrong) or "Nothing that is wanted was missed."))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
