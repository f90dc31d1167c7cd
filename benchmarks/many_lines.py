"""Many lines that are trained and serve, of one that really was: `declared.py` and `console.py` begin with them."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec.structs import replace
from swap import LINE, table

from linewright.capabilities.drafts.write import new_line
from linewright.data.profile.roles import GivenRoles
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.runs.execute import execute_inline
from linewright.model.facts import Registered
from linewright.release.facts import Promoted
from linewright.release.promotion import project
from linewright.store.protocols import Pointer

ASKED = 20
"""Rows that the first line predicts."""
QUIET_CORE = 0.15
"""Share of a core below which the worker has ended its first look at all lines."""
PATIENCE_S = 600.0
WATCHED = "watch: {every: 1h}\nretrain: {when: [drift, performance, {labels: 2000}, {every: 7d}]}\n"


def add_line(factory: Factory) -> None:
    """Declare the line `LINE`, train it, and ask it for a few predictions."""
    root, frame = factory.root, table()
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


def copies(many: int) -> list[str]:
    """Return the names of the lines that are copies, if there are so many with the first."""
    return [f"line-{number:04}" for number in range(1, many)]


def grow(root: Path, many: int) -> None:
    """Declare copies until there are so many lines with the first: each has its record, log and labels under its own name."""
    with Factory.open(root) as factory:
        there, state, metadata = set(factory.metadata.lines()), factory.state, factory.metadata
        text = (root / "lines" / f"{LINE}.yaml").read_text()
        happened = [one.event for one in reversed(metadata.history(line=LINE, limit=0))]
        for name in copies(many):
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


def rested(pid: int) -> float:
    """Wait until the worker has ended its first look at all lines, also in its children, and return the CPU seconds that it took itself."""
    end, before, before_below = time.monotonic() + PATIENCE_S, cpu_s(pid), _cpu_s_of_children(pid)
    while True:
        time.sleep(5)
        now, below = cpu_s(pid), _cpu_s_of_children(pid)
        if max(now - before, abs(below - before_below)) < 5 * QUIET_CORE or time.monotonic() > end:
            return now
        before, before_below = now, below


def _cpu_s_of_children(pid: int) -> float:
    with suppress(FileNotFoundError):  # one has just ended
        return sum(map(cpu_s, children(pid)))
    return 0.0


@contextmanager
def worker(root: Path) -> Generator[tuple[int, str]]:
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
        pid = next(
            one
            for one in children(process.pid)
            if b"linewright.capabilities.serving.control_plane" in _words(one)
        )
        yield pid, f"http://127.0.0.1:{_port(pid)}"
    finally:
        process.terminate()
        process.wait(60)


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
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


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
