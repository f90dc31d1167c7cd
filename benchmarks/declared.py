"""Many lines that are declared and serve, while nobody asks for anything: what the worker and the commands take for them.

It is the second half of `fleet.py`. One line is trained and asked a little; its record, its log and its labels are then those of all
others too, each under its own name. So each has a champion, windows of an hour, and four conditions on which it trains again.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from msgspec.structs import replace
from swap import LINE, table

from linewright.data.profile.roles import GivenRoles
from linewright.interfaces.python.factory import Factory
from linewright.line.new.write import new_line
from linewright.line.predict.batch import predict_file
from linewright.line.runs.execute import execute_inline
from linewright.model.facts import Registered
from linewright.release.facts import Promoted
from linewright.release.promotion import project
from linewright.serve.access import control_token
from linewright.store.protocols import Pointer
from linewright.store.stamps import YOUNG_S

COUNTS = (100, 200, 400, 1000)
ASKED = 20
WATCHED = "watch: {every: 1h}\nretrain: {when: [drift, performance, {labels: 2000}, {every: 7d}]}\n"
IDLE_S = 30.0
"""Seconds over which the worker is watched while nothing happens."""
QUIET_CORE = 0.15
"""Share of a core below which the worker has ended its first look at all lines."""
PATIENCE_S = 600.0


@dataclass
class Cost:
    """What so many lines took."""

    lines: int
    first_s: float
    """CPU s of the worker until it had looked at all of them."""
    idle: float
    """Cores, from then on."""
    status_http_s: float
    status_s: float
    """CPU s of one `status`, over HTTP and by command, of the second one that was asked for."""
    check_s: float
    """CPU s of `check` of one of them."""

    def __str__(self) -> str:
        return (
            f"| {self.lines:,} | {self.first_s:.1f} | {self.idle:.3f} | {self.status_http_s:.2f} | {self.status_s:.2f} "
            f"| {self.check_s:.2f} |"
        )


def measure(folder: Path, lines: int) -> None:
    """Print what the worker and the commands take for more and more lines."""
    root = folder / "declared"
    _make(root)
    print("\n**Worker and commands, when nothing happens**\n")
    print(
        "| lines | worker, first look, CPU s | idle, cores | `status` over HTTP, CPU s | by command | `check LINE` |"
    )
    print("|---:|---:|---:|---:|---:|---:|")
    for many in [each for each in COUNTS if each < lines] + [lines]:
        _grow(root, many)
        print(_cost(root, many), flush=True)


def _make(root: Path) -> None:
    frame = table()
    with Factory.create(root) as factory:
        frame.write_csv(root / "table.csv")
        new_line(root, LINE, root / "table.csv", GivenRoles(label="y", positive="yes", key="key"))
        path = root / "lines" / f"{LINE}.yaml"
        drafted = path.read_text().replace("budget: normal", "budget: quick", 1).splitlines()
        kept = [one for one in drafted if not one.startswith(("# watch:", "# retrain:"))]
        path.write_text("\n".join([*kept, WATCHED]))
        execute_inline(factory, LINE)
        frame.drop("y").head(ASKED).write_csv(root / "asked.csv")
        predict_file(factory, LINE, root / "asked.csv", root / "answers.csv")
        factory.labels_of(LINE).catch_up()


def _grow(root: Path, many: int) -> None:
    """Declare as many lines as there shall be, with all that the first one has."""
    with Factory.open(root) as factory:
        there, state, metadata = set(factory.metadata.lines()), factory.state, factory.metadata
        text = (root / "lines" / f"{LINE}.yaml").read_text()
        happened = [one.event for one in reversed(metadata.history(line=LINE, limit=0))]
        for name in (f"line-{number:04}" for number in range(1, many)):
            if name in there:
                continue
            (root / "lines" / f"{name}.yaml").write_text(text.replace(f"line: {LINE}", f"line: {name}"))
            for event in (replace(one, line=name) for one in happened):
                match event:
                    case Registered():
                        metadata.register(name, event.package, at=event.at, event=lambda _, it=event: it)
                    case Promoted():
                        metadata.move(name, Pointer(generation=1, champion=1), event)
                    case _:
                        metadata.record(event)
            project(metadata, factory.serving, name)
            shutil.copytree(state / "log" / LINE, state / "log" / name)
            shutil.copy(state / "feedback" / f"{LINE}.sqlite", state / "feedback" / f"{name}.sqlite")


def _cost(root: Path, many: int) -> Cost:
    time.sleep(2 * YOUNG_S)  # else files that were just written would be parsed by both commands
    _command(root, "status")
    status_s, check_s = _command(root, "status"), _command(root, "check", LINE)
    with _worker(root) as (pid, url):
        first_s, idle = _settled(pid)
        told = {"Authorization": f"Bearer {control_token(root / '.linewright')}"}
        with httpx.Client(base_url=url, headers=told, timeout=PATIENCE_S) as client:
            for _ in range(2):
                before = _cpu_s(pid)
                answer = client.get("/api/v1/status")
                status_http_s = _cpu_s(pid) - before
                assert len(answer.json()["lines"]) == many, answer.text[:200]
    return Cost(many, first_s, idle, status_http_s, status_s, check_s)


def _command(root: Path, *words: str) -> float:
    """Return the CPU seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = [sys.executable, "-m", "linewright", *words, "--factory", str(root)]
    # As after `make install`: where Python may not write what it compiles, it would compile our files each time.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(program, check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _settled(pid: int) -> tuple[float, float]:
    """Return the CPU seconds of the worker until it rested, and the cores that it took from then on."""
    end, before = time.monotonic() + PATIENCE_S, _cpu_s(pid)
    while True:
        time.sleep(5)
        now = _cpu_s(pid)
        if now - before < 5 * QUIET_CORE or time.monotonic() > end:
            break
        before = now
    first, began = _cpu_s(pid), time.monotonic()
    time.sleep(IDLE_S)
    return first, (_cpu_s(pid) - first) / (time.monotonic() - began)


@contextmanager
def _worker(root: Path) -> Iterator[tuple[int, str]]:
    """Serve the factory, and give the process of its control plane and worker, and where it listens."""
    log = root / "up.log"
    with log.open("wb") as out:
        program = [sys.executable, "-m", "linewright", "up", "--port", "0", "--control-port", "0"]
        process = subprocess.Popen([*program, "--factory", str(root)], stdout=subprocess.DEVNULL, stderr=out)
    try:
        end = time.monotonic() + PATIENCE_S
        while not re.search(r"control plane and worker on ", log.read_text()):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        pid = next(one for one in _children(process.pid) if b"linewright.interfaces.http" in _words(one))
        yield pid, f"http://127.0.0.1:{_port(pid)}"
    finally:
        process.terminate()
        process.wait(60)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(one) for task in tasks for one in (task / "children").read_text().split()]


def _words(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def _port(pid: int) -> int:
    """Return the port that a process listens on."""
    sockets = {str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()}
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = row.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
            return int(fields[1].rpartition(":")[2], 16)
    raise AssertionError(f"process {pid} listens nowhere")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
