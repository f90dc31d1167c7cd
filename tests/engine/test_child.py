"""A child process: what it sends arrives, and however it ends its parent goes on and knows how."""

import os
import sys
import time
from pathlib import Path

import pytest

from linewright.engine.child import Child, ChildEnded

PROGRAM = """
import os, sys, time, signal
from linewright.engine.child import parent

channel = parent(sys.argv[-1])
match channel.receive():
    case {"echo": value}:
        channel.send(value)
    case "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    case "abort":
        os.abort()
    case "exit":
        os._exit(0)
    case "hang":
        time.sleep(60)
    case "memory":
        held = bytearray(2**30)
    case "memory, and ends slowly":
        import atexit
        atexit.register(time.sleep, 60)
        atexit.register(channel.close)
        held = bytearray(2**30)
    case "fork":
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        os._exit(0)
    case "grandchild":
        channel.send(os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "60"))
        time.sleep(60)
    case "session":
        import subprocess
        away = "import subprocess; print(subprocess.Popen(['sleep', '60'], start_new_session=True, stdout=subprocess.DEVNULL).pid)"
        channel.send(int(subprocess.check_output([sys.executable, "-c", away])))
        time.sleep(60)
    case "family":
        import subprocess
        hold = "import time; held = bytearray(200 * 2**20); time.sleep(60)"
        for _ in range(3):
            subprocess.Popen([sys.executable, "-c", hold])
        time.sleep(60)
    case "cores":
        channel.send(sorted(os.sched_getaffinity(0)))
    case "wait":
        time.sleep(60)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "program_of_a_child.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "program_of_a_child"


def test_what_a_child_sends_arrives(module):
    """Values go both ways, also those that are longer than a pipe holds."""
    with Child(module) as child:
        child.send({"echo": ["x" * 1_000_000]})

        assert child.receive(idle_s=30) == ["x" * 1_000_000]


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ("kill", "signal SIGKILL"),
        ("abort", "signal SIGABRT"),
        ("exit", "exit code 0 before it was done"),
        ("hang", "no progress within the deadline"),
        ("memory", "more memory than allowed"),
        ("memory, and ends slowly", "more memory than allowed"),
        ("fork", "exit code 0 before it was done"),
    ],
)
def test_the_parent_learns_how_a_child_ended(module, order, says):
    """A run whose process died must be able to say of what."""
    with Child(module, memory=2**29, shows_errors=False) as child:
        child.send(order)

        with pytest.raises(ChildEnded, match=says):
            child.receive(idle_s=1 if order == "hang" else 30)


def test_what_a_child_started_counts_as_its_memory(module):
    """Six processes of less than the limit each are more than the limit."""
    with Child(module, memory=2**29, shows_errors=False) as child:
        child.send("family")

        with pytest.raises(ChildEnded, match="more memory than allowed"):
            child.receive(idle_s=30)


@pytest.mark.parametrize("order", ["grandchild", "session"])
def test_what_a_child_started_ends_with_it(module, order):
    """A training that started programs leaves none of them behind, also where they left its session and their parent."""
    with Child(module) as child:
        child.send(order)
        pid = child.receive(idle_s=30)
    until = time.monotonic() + 10
    while _is_alive(pid) and time.monotonic() < until:
        time.sleep(0.05)

    assert not _is_alive(pid)


def test_a_child_ends_with_its_parent(module):
    """A worker that is killed leaves no training behind that would write beside its successor."""
    code = f"""
import sys, time
from linewright.engine.child import Child
child = Child({module!r})
child.send("wait")
print(child.pid, flush=True)
time.sleep(60)
"""
    import subprocess

    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as said:
        pid = int(said.readline())
    process.kill()
    process.wait()
    until = time.monotonic() + 10
    while _is_alive(pid) and time.monotonic() < until:
        time.sleep(0.05)

    assert not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no such limit on this system")
@pytest.mark.parametrize("most", [1, 10_000, None])
def test_a_child_keeps_to_its_cores(module, most):
    """The others are left to the endpoint."""
    with Child(module, cores=most) as child:
        child.send("cores")
        assert sorted(os.sched_getaffinity(0))[-(most or 10_000) :] == child.receive()


def test_a_parent_that_waits_is_asked_now_and_then(module):
    """Whoever follows a child can see meanwhile that it was cancelled."""

    class CancelledError(Exception):
        pass

    def quiet(seconds: float) -> None:
        if seconds > 0.1:
            raise CancelledError

    with Child(module) as child:
        child.send("wait")
        with pytest.raises(CancelledError):
            child.receive(quiet=quiet)

    assert not _is_alive(child.pid)
    assert os.getpid() != child.pid
