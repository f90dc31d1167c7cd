"""`linewright up` as a process: what it does when it is told to stop, and when something dies under it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import commands
import httpx
import pytest
from control import bearer
from ports import free_port

from linewright.engine.lock import ProcessLock
from linewright.line.factory import Factory


def started(
    folder: Path, port: int, control: int, *more: str, forked: bool = True
) -> "subprocess.Popen[str]":
    """Start `up`, as users do or, but for its endpoint, sparing the imports."""
    command = [sys.executable, "-m", "linewright", "up", "--port", str(port), "--control-port", str(control)]
    begin = commands.begin if forked else subprocess.Popen
    return begin([*command, *more], cwd=folder, stderr=subprocess.PIPE, text=True)


def wait_for(url: str, *, up: bool = True) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            answered = httpx.get(url, timeout=5).status_code < 500
        except httpx.TransportError:
            answered = False
        if answered == up:
            return
        time.sleep(0.05)
    raise AssertionError(f"{url} did not {'come up' if up else 'go down'}")


def news_of(process: "subprocess.Popen[str]") -> str:
    """Return the next line that is not of the endpoint, which comes up meanwhile."""
    assert process.stderr is not None
    return next(line for line in process.stderr if "endpoint on" not in line)


def process_with(module: bytes, port: int) -> int:
    """Wait for the process of ours that carries out a module for a port, and return its id."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for folder in Path("/proc").glob("[0-9]*"):
            arguments = arguments_of(int(folder.name))
            if str(port).encode() in arguments and module in arguments:
                return int(folder.name)
        time.sleep(0.01)
    raise AssertionError(f"nothing of ours is for {port}")


def arguments_of(process: int) -> list[bytes]:
    """Return the words of a process's command; none once it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


@pytest.fixture
def factory(tmp_path: Path) -> Path:
    Factory.create(tmp_path).close()
    return tmp_path


def test_an_endpoint_that_is_killed_is_started_again_and_clients_wait_for_it(factory):
    """Nobody is awake at three in the morning to do it by hand; nobody is refused meanwhile, and it is started as the first was."""
    port, control = free_port(), free_port()
    (factory / "factory.yaml").write_text("format: 1\nmodel_memory: 2GiB\n")
    process = started(factory, port, control, "--model-memory", "64MiB")
    try:
        wait_for(f"http://127.0.0.1:{port}/v2/health/live")
        wait_for(f"http://127.0.0.1:{control}/api/v1/status")
        killed = process_with(b"linewright.serve", port)
        os.kill(killed, signal.SIGKILL)
        while b"linewright.serve" in arguments_of(killed):
            time.sleep(0.01)
        assert 200 == httpx.get(f"http://127.0.0.1:{port}/v2/health/live", timeout=30).status_code
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=40)

    assert 0 == process.returncode
    assert f"linewright_model_memory_budget_bytes {64 * 2**20}\n" in metrics
    for news in (f"endpoint on http://127.0.0.1:{port}", f"http://127.0.0.1:{control}", "it starts again in"):
        assert news in said


def test_a_restart_of_the_endpoint_is_handed_on_and_the_worker_goes_on(factory):
    """A run that is at work is not interrupted by a new endpoint."""
    port, control = free_port(), free_port()
    (factory / "factory.yaml").write_text("format: 1\nmodel_memory: 96MiB\n")
    process = started(factory, port, control, "--workers", "2")
    try:
        wait_for(f"http://127.0.0.1:{port}/v2/health/live")
        wait_for(f"http://127.0.0.1:{control}/api/v1/status")
        worker = process_with(b"linewright.capabilities.serving.control_plane", control)
        process.send_signal(signal.SIGHUP)
        news = next(line for line in process.stderr if "restarted" in line)
        wait_for(f"http://127.0.0.1:{port}/v2/health/ready")
        assert worker == process_with(b"linewright.capabilities.serving.control_plane", control)
        assert b"--model-memory=%d" % (48 * 2**20) in arguments_of(process_with(b"linewright.serve", port))
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=40)

    assert 0 == process.returncode
    assert "endpoint restarted; the old processes end once their clients have gone" in news
    assert "limits and model memory stay as they were" in news


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor cannot be divided")
def test_the_endpoint_has_the_processors_that_are_not_for_runs(factory):
    """A training beside it would else keep each request waiting for a clock tick now and then; so it is after a restart too."""
    port, control = free_port(), free_port()
    (factory / "factory.yaml").write_text("format: 1\nruns: {cores: 1}\n")
    *others, last = sorted(os.sched_getaffinity(0))
    process = started(factory, port, control)
    try:
        wait_for(f"http://127.0.0.1:{port}/v2/health/live")
        wait_for(f"http://127.0.0.1:{control}/api/v1/status")
        endpoint = process_with(b"linewright.serve", port)
        assert {last} == os.sched_getaffinity(
            process_with(b"linewright.capabilities.serving.control_plane", control)
        )
        assert set(others) == os.sched_getaffinity(endpoint)
        os.kill(endpoint, signal.SIGKILL)
        while b"linewright.serve" in arguments_of(endpoint):
            time.sleep(0.01)
        wait_for(f"http://127.0.0.1:{port}/v2/health/live")
        assert set(others) == os.sched_getaffinity(process_with(b"linewright.serve", port))
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=40)


def test_a_worker_that_is_killed_while_it_starts_is_started_again_however_often(factory):
    """Whoever runs out of memory at the start would else be left without an endpoint too, until somebody comes."""
    port, control = free_port(), free_port()
    process = started(factory, port, control, forked=False)
    try:
        for _ in range(4):
            killed = process_with(b"linewright.capabilities.serving.control_plane", control)
            os.kill(killed, signal.SIGKILL)
            while b"linewright.capabilities.serving.control_plane" in arguments_of(killed):
                time.sleep(0.01)
        wait_for(f"http://127.0.0.1:{control}/api/v1/status")
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=40)

    assert 0 == process.returncode
    assert 4 == said.count("control plane and worker ended (-9); it starts again")


def test_a_supervisor_that_is_killed_leaves_no_process_behind(factory):
    """The next `up` would find its ports taken."""
    port, control = free_port(), free_port()
    process = started(factory, port, control, forked=False)
    wait_for(f"http://127.0.0.1:{port}/v2/health/live")
    wait_for(f"http://127.0.0.1:{control}/api/v1/status")

    process.kill()
    process.communicate(timeout=40)

    wait_for(f"http://127.0.0.1:{port}/v2/health/live", up=False)
    wait_for(f"http://127.0.0.1:{control}/api/v1/status", up=False)


def test_a_taken_port_is_said_and_nothing_stays_up(factory):
    """A second `up` by mistake must not fight with the first."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = started(factory, taken.getsockname()[1], free_port())
        _, said = process.communicate(timeout=60)

    assert 2 == process.returncode
    assert "another process has the port" in said
    assert "endpoint on" not in said
    assert "Traceback" not in said


def test_other_machines_are_refused(factory):
    """A fresh install must not be reachable from outside by a slip."""
    process = started(factory, free_port(), free_port(), "--host", "0.0.0.0")
    _, said = process.communicate(timeout=60)

    assert 2 == process.returncode
    assert "0.0.0.0" in said


def test_a_second_up_is_refused_and_the_first_one_is_still_known(factory):
    """Else `status` says that nothing serves while the endpoint answers."""
    port, control = free_port(), free_port()
    process = started(factory, port, control)
    try:
        wait_for(f"http://127.0.0.1:{port}/v2/health/live")
        wait_for(f"http://127.0.0.1:{control}/api/v1/status")
        second = started(factory, free_port(), free_port())
        _, said = second.communicate(timeout=60)
        status = httpx.get(
            f"http://127.0.0.1:{control}/api/v1/status", headers=bearer(factory), timeout=10
        ).json()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=40)

    assert 6 == second.returncode
    assert "this factory is up already" in said
    assert f"http://127.0.0.1:{port}" == status["endpoint"]


def test_the_endpoint_serves_while_a_run_is_at_work_and_the_worker_follows_it(factory):
    """A night's training must not keep the endpoint down, nor a `run` typed just after `up` end it."""
    port, control = free_port(), free_port()
    with ProcessLock(factory / ".linewright" / "executor.lock"):
        process = started(factory, port, control)
        assert f"waits for process {os.getpid()}, which is at work in this factory" in news_of(process)
        wait_for(f"http://127.0.0.1:{port}/v2/health/live")
        second = started(factory, free_port(), free_port())
        _, refused = second.communicate(timeout=60)
        assert process.poll() is None
    wait_for(f"http://127.0.0.1:{control}/api/v1/status")
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=40)

    assert (6, 0) == (second.returncode, process.returncode)
    assert "this factory is up already" in refused
    assert "waits for" not in said


def test_an_up_that_waits_for_a_run_can_be_stopped(factory):
    """The wait has no end of its own."""
    port = free_port()
    with ProcessLock(factory / ".linewright" / "executor.lock"):
        process = started(factory, port, free_port())
        wait_for(f"http://127.0.0.1:{port}/v2/health/live")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=40)

    assert 0 == process.returncode


def test_a_taken_control_port_is_said_before_the_wait_for_a_run(factory):
    """Else the endpoint goes down hours later, when the run ends."""
    with (
        ProcessLock(factory / ".linewright" / "executor.lock"),
        socket.create_server(("127.0.0.1", 0)) as taken,
    ):
        process = started(factory, free_port(), taken.getsockname()[1])
        _, said = process.communicate(timeout=60)

    assert 2 == process.returncode
    assert "cannot listen" in said
