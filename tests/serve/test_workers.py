"""One endpoint in several processes, and its restart: nobody who asks notices, and what is told is of all."""

import fcntl
import http.client
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import linewright
from linewright.serve.listener import endpoint as address_of
from linewright.serve.log.segments import read_log

ROW = {"Age": 41, "PolicyNumber": 7}
PREDICT = "/v1/lines/claims/predict"
BODY = json.dumps({"rows": [ROW]}).encode()
JSON = {"Content-Type": "application/json"}
HEAD = (
    b"POST /v1/lines/claims/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
)
NO_CACHES = shutil.ignore_patterns("__pycache__")
RESTARTED, NOT_RESTARTED = "endpoint restarted", "endpoint not restarted"


@dataclass
class Seen:
    """What a client saw."""

    ids: list[str] = field(default_factory=list)
    failed: list[object] = field(default_factory=list)
    retried: int = 0
    """Idle connections that were closed before a byte of an answer came, which HTTP lets a client ask again on."""


def ask(address, done: threading.Event, *, keep: bool) -> Seen:
    """Ask until told to stop, on one connection or on a fresh one each time."""
    seen, connection = Seen(), None
    while not done.wait(0.005):
        is_fresh = connection is None
        connection = connection or http.client.HTTPConnection(*address, timeout=30)
        try:
            connection.request("POST", PREDICT, BODY, JSON if keep else {**JSON, "Connection": "close"})
            answer = connection.getresponse()
            said = json.loads(answer.read())
        except http.client.RemoteDisconnected as error:
            if is_fresh:
                seen.failed.append(error)
            seen.retried += not is_fresh
            connection.close()
            connection = None
            continue
        except OSError as error:
            seen.failed.append(error)
            connection.close()
            connection = None
            continue
        if answer.status == 200:
            seen.ids.extend(each["id"] for each in said["predictions"])
        else:
            seen.failed.append(said)
        if not keep or answer.getheader("connection") == "close":
            connection.close()
            connection = None
    if connection is not None:
        connection.close()
    return seen


def series(endpoint) -> dict[tuple, float]:
    """Return the value of each series, by its name and labels, as one process of the endpoint tells it."""
    families = text_string_to_metric_families(fresh(endpoint, "GET", "/metrics")[1])
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def answered(endpoint) -> float:
    key = ("linewright_requests_total", ("line", "claims"), ("status", "200"), ("version", "1"))
    return series(endpoint).get(key, 0)


def fresh(endpoint, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
    """Ask on a connection of its own, which any of the processes may take."""
    with closing(http.client.HTTPConnection(*endpoint.address, timeout=30)) as connection:
        connection.request(method, path, body, JSON if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def restart(endpoint, *, told: str = RESTARTED) -> None:
    before = endpoint.said().count(told)
    endpoint.process.send_signal(signal.SIGHUP)
    endpoint.wait_for(lambda: endpoint.said().count(told) > before, within_s=30)


def processes(endpoint, count: int | None = None) -> set[int]:
    """Return the children that serve, once there are so many."""

    def found() -> set[int]:
        pid = endpoint.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {int(child) for child in children if b"linewright.serve" in commands(child)}

    if count is not None:
        endpoint.wait_for(lambda: len(found()) == count, within_s=30)
    return found()


def commands(pid: str) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def all_serve(endpoint, count: int) -> None:
    endpoint.wait_for(
        lambda: json.loads(fresh(endpoint, "GET", "/v2/health")[1])["processes"] == count, within_s=30
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_restarts_under_load_lose_no_request(claims, start, workers):
    """A new release of the code is no outage, nor does it make counters go back or the log lose an answer."""
    endpoint = start(claims.state, workers=workers)
    all_serve(endpoint, workers)
    done, told = threading.Event(), [answered(endpoint)]
    with ThreadPoolExecutor(6) as pool:
        clients = [pool.submit(ask, endpoint.address, done, keep=number % 3 > 0) for number in range(6)]
        for _ in range(3):
            restart(endpoint)
            told.append(answered(endpoint))
        processes(endpoint, workers)
        told.append(answered(endpoint))
        done.set()
        seen = [client.result() for client in clients]
    ids = [one for each in seen for one in each.ids]
    logged = {each.record.id for each in read_log(claims.state / "log" / "claims")}

    assert [] == [error for each in seen for error in each.failed]
    assert 0 == sum(each.retried for each in seen)
    assert 300 < len(ids) == len(set(ids))
    assert set(ids) == logged
    assert told == sorted(told)
    assert len(ids) == answered(endpoint)
    assert 0 == endpoint.stop()


def test_a_connection_that_was_idle_at_a_restart_gets_its_answer_and_then_ends(claims, start):
    """A request may be on its way when the process is told to leave; closing the connection would lose it."""
    endpoint = start(claims.state, workers=1)
    idle, begun = (socket.create_connection(endpoint.address, timeout=30) for _ in range(2))
    with idle, begun:
        idle.sendall(HEAD + BODY)
        first = idle.recv(65536)
        begun.sendall(HEAD + BODY[:5])
        restart(endpoint)
        endpoint.wait_for(lambda: endpoint.said().count('"serves"') == 2)
        idle.sendall(HEAD + BODY)
        begun.sendall(BODY[5:])
        last = [read_all(idle), read_all(begun)]

    assert b"HTTP/1.1 200" == first[:12]
    assert b"connection: close" not in first
    for answer in last:
        assert b"HTTP/1.1 200" == answer[:12]
        assert b"connection: close" in answer
    endpoint.wait_for(lambda: len(processes(endpoint)) == 1)


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_a_restart_runs_the_code_that_is_on_the_disk_and_only_if_it_comes_up(claims, start, tmp_path):
    """An upgrade takes effect; one that is broken is told, and the old code serves on."""
    shutil.copytree(Path(linewright.__file__).parent, tmp_path / "linewright", ignore=NO_CACHES)
    module = tmp_path / "linewright" / "__init__.py"
    endpoint = start(claims.state, workers=1, path=tmp_path)
    before = module.read_text()
    for version in (
        "7.0.0",
        "10.0.0",
    ):  # of another length: Python knows a changed file by its second and its size
        module.write_text(before.replace(linewright.__version__, version))
        restart(endpoint)
        endpoint.wait_for(lambda: json.loads(fresh(endpoint, "GET", "/v2")[1])["version"] == version)  # noqa: B023
    module.write_text("an upgrade that was cut o")
    restart(endpoint, told=NOT_RESTARTED)

    assert "SyntaxError" in endpoint.said()
    assert "10.0.0" == json.loads(fresh(endpoint, "GET", "/v2")[1])["version"]
    assert "claims@1" == endpoint.predict(ROW)["model"]
    assert 0 == endpoint.stop()


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_restart_that_would_lose_a_model_does_not_happen(claims, start, restarts):
    """The old process has it in memory, and its bytes on the disk are damaged since."""
    endpoint = start(claims.state, workers=1)
    for _ in range(restarts):
        restart(endpoint)
    claims.flip_a_bit(claims.models[1])
    restart(endpoint, told=NOT_RESTARTED)
    endpoint.wait_for(lambda: len(processes(endpoint)) == restarts)

    assert "the fresh processes lack a model that the old ones have" in endpoint.said()
    assert "claims@1" == endpoint.predict(ROW)["model"]


def test_a_worker_that_is_killed_is_started_again_and_what_it_told_is_not_taken_back(claims, start):
    """The others answer meanwhile, and no counter makes monitoring believe that all was restarted."""
    endpoint = start(claims.state, workers=2)
    all_serve(endpoint, 2)
    ids = [json.loads(fresh(endpoint, "POST", PREDICT, BODY)[1])["predictions"][0]["id"] for _ in range(40)]
    before = series(endpoint)
    killed = sorted(processes(endpoint, 2))
    for victim in killed:
        os.kill(victim, signal.SIGKILL)
        endpoint.wait_for(lambda: victim not in processes(endpoint))  # noqa: B023
        ids.append(json.loads(fresh(endpoint, "POST", PREDICT, BODY)[1])["predictions"][0]["id"])
        all_serve(endpoint, 2)
    after = series(endpoint)

    assert 2 == endpoint.said().count("endpoint ended (-9); it starts again in")
    assert set() == set(killed) & processes(endpoint, 2)
    counters = [
        key
        for key in before
        if key[0].endswith(("_total", "_count", "_bucket", "_sum", "start_time_seconds"))
    ]
    assert [] == [key for key in counters if after[key] < before[key]]
    assert before["process_start_time_seconds",] == after["process_start_time_seconds",]
    assert 2 == after["linewright_processes",]
    assert set(ids) == {each.record.id for each in read_log(claims.state / "log" / "claims")}
    assert (
        len(ids)
        == json.loads(fresh(endpoint, "POST", "/v1/lines/claims/feedback", labels_of(ids))[1])["accepted"]
    )


def labels_of(ids: list[str]) -> bytes:
    return json.dumps({"labels": [{"id": each, "label": "Yes"} for each in ids]}).encode()


def test_a_pointer_and_a_halt_reach_every_worker_and_health_tells_of_the_last_one(claims, start):
    """A halt that half of the processes keep is none."""
    endpoint = start(claims.state, workers=2)
    all_serve(endpoint, 2)
    claims.make(2)
    for state in ({"version": 2}, {"version": 2, "halt": True}):
        claims.point(**state)
        endpoint.wait_for(lambda: health(endpoint)["generation"] == claims.generation)
        answers = [fresh(endpoint, "POST", PREDICT, BODY) for _ in range(20)]

        if "halt" not in state:
            assert {"claims@2"} == {json.loads(said)["model"] for _, said in answers}
    assert {503} == {status for status, _ in answers}
    assert (True, False) == (health(endpoint)["halted"], health(endpoint)["ready"])
    assert 1 == series(endpoint)["linewright_halted", ("line", "claims")]
    assert 1 == sum(value for key, value in series(endpoint).items() if key[0] == "linewright_model_info")


def health(endpoint):
    return json.loads(fresh(endpoint, "GET", "/v2/health")[1])["lines"][0]


def test_a_canary_that_one_worker_has_trouble_with_is_dropped_by_all(claims, start):
    """Each process sees a share of the failures only; what one of them knows is enough."""
    claims.make(2, columns=tuple(column for column in claims.package.columns if column.name != "at"))
    claims.point(1, canary=2, share=1.0, salt="s")
    endpoint = start(claims.state, workers=2)
    all_serve(endpoint, 2)
    endpoint.wait_for(lambda: endpoint.said().count('"canary"') == 2)
    row = {**ROW, "at": "2026-03-02T10:00:00Z"}
    for number in range(30):  # each process sees enough of them
        endpoint.come_from(number % 2)
        assert "claims@1" == endpoint.predict(row)["model"]
    endpoint.wait_for(lambda: endpoint.said().count("canary-dropped") == 2)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_answers_what_has_begun_and_refuses_the_rest_at_once(claims, start, workers):
    """Whoever supervises the supervisor sees a clean end, and nobody waits for an endpoint that goes."""
    endpoint = start(claims.state, workers=workers)
    all_serve(endpoint, workers)
    connections = [socket.create_connection(endpoint.address, timeout=30) for _ in range(8)]
    for connection in connections:
        connection.sendall(HEAD + BODY[:5])
    # Each has begun where the process has answered one that came after it.
    assert {200} == {fresh(endpoint, "GET", "/v2/health/live")[0] for _ in range(20)}
    endpoint.process.send_signal(signal.SIGTERM)
    endpoint.wait_for(lambda: refuses(endpoint.address))
    for connection in connections:
        connection.sendall(BODY[5:])
    answers = [read_all(connection) for connection in connections]
    for connection in connections:
        connection.close()

    assert {b"HTTP/1.1 200"} == {answer[:12] for answer in answers}
    assert 0 == endpoint.process.wait(30)
    assert "Traceback" not in endpoint.said()
    assert [] == list((claims.state / "endpoints").iterdir())
    assert None is address_of(claims.state)


def refuses(address) -> bool:
    try:
        socket.create_connection(address, timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("workers", [1, 2])
def test_a_supervisor_that_is_killed_leaves_no_process_and_no_port_behind(claims, start, workers):
    """The next one would find the port taken, or answers of the one before."""
    endpoint = start(claims.state, workers=workers)
    if workers == 1:
        restart(endpoint)
    children = processes(endpoint, workers)
    endpoint.stop(signal.SIGKILL)
    endpoint.wait_for(lambda: not any(commands(str(child))[:1] for child in children), within_s=30)

    assert refuses(endpoint.address)
    assert None is address_of(claims.state)
    again = start(claims.state, workers=workers)
    assert 1 == len([path for path in (claims.state / "endpoints").iterdir() if "." not in path.name])
    assert "claims@1" == again.predict(ROW)["model"]


def test_the_end_of_a_terminal_is_no_restart(claims):
    """It sends the same signal, and whoever closes a window does not want an endpoint to go on behind it."""
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "linewright.serve", str(claims.state), "127.0.0.1", "0"]
    with subprocess.Popen(
        command,
        stdin=terminal,
        stderr=subprocess.DEVNULL,
        preexec_fn=partial(login, terminal),  # noqa: PLW1509
    ) as process:
        try:
            os.close(terminal)
            until = time.monotonic() + 30
            while address_of(claims.state) is None and time.monotonic() < until:
                time.sleep(0.02)
            assert address_of(claims.state)
            os.close(master)

            assert 0 == process.wait(30)
        finally:
            process.kill()


def login(terminal: int) -> None:
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where these tests were started with nohup
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
