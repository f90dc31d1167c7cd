"""What a process takes: bills are made of it, so nothing that it did for others may be in it, and nothing that was killed may be missing."""

import resource
import subprocess
import time
from pathlib import Path

import pytest

from linewright.engine.child import Child, ChildEnded
from linewright.engine.usage import Meter, Usage, descendants

PROGRAM = r"""
import os, signal, subprocess, sys, time
from linewright.engine.child import parent

BURN = "import sys, time\nwhile time.process_time() < float(sys.argv[1]): pass"

def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass

channel = parent(sys.argv[-1])
while True:
    asked = channel.receive()
    match asked:
        case {"burn": seconds}:
            burn(seconds)
        case {"hold": size}:
            held = b"x" * size
            del held
        case {"others": seconds}:
            subprocess.run([sys.executable, "-S", "-c", BURN, str(seconds)])
        case {"left": seconds}:
            code = BURN + "\nprint(flush=True)\ntime.sleep(60)"
            left = subprocess.Popen([sys.executable, "-S", "-c", code, str(seconds)], stdout=subprocess.PIPE)
            left.stdout.readline()
        case {"die": size}:
            held = b"x" * size
            os.kill(os.getpid(), signal.SIGKILL)
    channel.send("done")
"""
MIB = 2**20


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "program_that_works.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Child("program_that_works") as started:
        yield started


def ask(child: Child, what: str, amount: float) -> None:
    child.send({what: amount})

    assert "done" == child.receive(idle_s=60)


def test_what_a_child_did_before_is_not_counted(child):
    """One process carries out the runs of several lines, one after another, and none pays for another."""
    ask(child, "burn", 0.5)
    ask(child, "hold", 200 * MIB)
    child.measure()
    ask(child, "burn", 0.1)

    assert 0.08 <= child.usage.cpu_s < 0.5
    assert 0 < child.usage.peak_bytes < 200 * MIB


@pytest.mark.parametrize("what", ["others", "left"])
def test_what_a_child_starts_counts_as_its_own(child, what):
    """Training code may leave its work to processes of its own, whether it waits for them or leaves them behind."""
    child.measure()
    ask(child, what, 0.3)

    assert 0.28 <= child.usage.cpu_s
    child.kill()
    assert 0.28 <= child.usage.cpu_s


def test_a_child_that_was_killed_has_taken_what_it_took(child):
    """Who is ended by the kernel for want of memory has cost as much as who comes to an end, and its memory says why."""
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    size = ours + 64 * MIB
    child.measure()
    ask(child, "burn", 0.2)
    child.send({"die": size})
    with pytest.raises(ChildEnded, match="SIGKILL"):
        child.receive(idle_s=60)

    assert 0.18 <= child.usage.cpu_s
    assert size <= child.usage.peak_bytes


def test_a_child_that_is_not_measured_says_nothing(child):
    """Most children answer questions, and nobody asks what these cost."""
    ask(child, "burn", 0.05)

    assert Usage() == child.usage


def test_a_process_knows_what_it_takes_itself():
    """Runs in the process of a world or a notebook are measured too."""
    meter = Meter()
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    first, second = meter.read(), meter.read()

    assert 0.05 <= first.cpu_s <= second.cpu_s
    assert 0 < first.peak_bytes <= second.peak_bytes
    assert first.wall_s <= second.wall_s


def test_what_is_gone_takes_nothing():
    """Numbers of processes that have ended are read now and then."""
    with subprocess.Popen(["true"]) as gone:
        pid = gone.pid

    assert {} == descendants(pid)
    assert (0.0, 0) == ((usage := Meter(pid).read()).cpu_s, usage.peak_bytes)
