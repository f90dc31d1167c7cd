"""Clients that hold connections: the idle ones make room, nobody is answered by 500, and files are left for the log."""

import json
import resource
import signal
import time
from contextlib import ExitStack

import pytest
from planes import (
    FEEDBACK,
    LIVE,
    PLANES,
    PREDICT,
    ROW,
    WRITE,
    answer_on,
    ask_on,
    open_files,
    request,
    rest_of,
    running,
    status_of,
)

FEW = (256, 256)
"""Soft and hard limit of files of a process that 300 clients can fill."""
HOLDERS = 300
WAYS = {
    "silent": b"",
    "half a head": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
    "half a body": b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
}


@pytest.fixture(scope="module", params=PLANES)
def plane(request, tmp_path_factory):
    """Give one server of each plane that may open few files."""
    with running(request.param, tmp_path_factory.mktemp("few") / "f", files=FEW) as one:
        yield one


@pytest.mark.parametrize("way", WAYS)
def test_holders_of_connections_take_them_from_nobody(plane, way):
    """With all files taken, answers were 500 and 502 and a halt did not arrive: now the longest idle one goes first."""
    path, body, status = WRITE[plane.kind]
    held = WAYS[way] % path.encode() if "%" in WAYS[way].decode() else WAYS[way]
    with ExitStack() as stack:
        before = stack.enter_context(plane.connect())
        for _ in range(HOLDERS):
            holder = stack.enter_context(plane.connect())
            holder.sendall(held)
        seen = [plane.ask()[0] for _ in range(20)]
        seen += [plane.ask("POST", path, body, "Content-Type: application/json")[0] for _ in range(5)]
        if plane.kind == "data":
            label = '{"labels": [{"key": 7, "label": "Yes"}]}'
            seen.append(plane.ask("POST", FEEDBACK, label, "Content-Type: application/json")[0])
            assert 200 == plane.ask("GET", "/v2/health")[0]
        files = open_files(plane.process.pid)
        late = ask_on(before, plane.port, "GET", LIVE[plane.kind])[0]

    assert {200, status} == set(seen)
    assert files <= FEW[0] - 64
    assert late in {200, 0}  # it was idle for longest, so it may have made room


def test_a_client_that_works_is_not_the_one_that_makes_room(plane):
    """Who asks again and again is never idle for longest, whoever else comes."""
    with ExitStack() as stack:
        busy = stack.enter_context(plane.connect())
        one = request("GET", LIVE[plane.kind], host=f"127.0.0.1:{plane.port}")
        for number in range(HOLDERS):
            stack.enter_context(plane.connect())
            if number % 10 == 0:
                busy.sendall(one)
                assert 200 == answer_on(busy)


def test_who_finds_nobody_idle_is_told_to_come_again(tmp_path):
    """Requests at work are not cut off for newcomers: those get 503 with Retry-After, and after those nobody is even answered."""
    with running("held", tmp_path / "f", files=(96, 96)) as plane, ExitStack() as stack:
        statuses, later = [], []
        for _ in range(90):
            connection = stack.enter_context(plane.connect())
            connection.sendall(request("GET", "/"))
            connection.settimeout(0.05)
            try:
                answer = rest_of(connection)
            except TimeoutError:
                answer = b"waits"
            statuses.append(status_of(answer) or answer)
            later += [b"retry-after" in answer.lower()] * answer.startswith(b"HTTP/1.1 503")
        files = open_files(plane.process.pid)

        assert statuses[0] == b"waits"
        assert 503 in statuses
        assert {b"waits", 503, b""} >= set(statuses)
        assert all(later)
        assert files <= 96 - 16


@pytest.mark.parametrize("kind", PLANES)
def test_the_limit_of_a_shell_is_raised_to_what_is_allowed(tmp_path, kind):
    """Shells give 1,024, which as many idle clients would fill; 64 stands for it here."""
    with running(kind, tmp_path / "f", files=(64, 1024)) as plane, ExitStack() as stack:
        for _ in range(150):
            stack.enter_context(plane.connect())

        assert 200 == plane.ask()[0]
        assert (1024, 1024) == resource.prlimit(plane.process.pid, resource.RLIMIT_NOFILE)
        assert 150 < open_files(plane.process.pid)


def test_no_file_left_is_said_to_pass(plane):
    """EMFILE is nobody's bug: 503 with Retry-After on both planes, never 500 or 502, and all is well once files are free."""
    path, body, status = WRITE[plane.kind]
    label = '{"labels": [{"key": 8, "label": "Yes"}]}'
    asks = {
        "data": [
            ("POST", PREDICT, f'{{"rows": [{ROW}]}}'),
            ("POST", FEEDBACK, label),
            *[
                ("GET", where, "")
                for where in ("/v2/health", "/metrics", "/openapi.json", "/v2/models/claims")
            ],
        ],
        "control": [
            *[("GET", f"/api/v1/{name}", "") for name in ("status", "runs", "check")],
            ("POST", "/api/v1/plan", "{}"),
            ("POST", path, body),
        ],
    }[plane.kind]
    answers = {}
    for method, where, sent in asks:
        headers = ["Content-Type: application/json"] if sent else []
        with plane.connect() as connection:
            connection.sendall(request("GET", LIVE[plane.kind], host=f"127.0.0.1:{plane.port}"))
            answer_on(connection)
            plane.process.send_signal(signal.SIGUSR1)
            while open_files(plane.process.pid) < FEW[0]:
                time.sleep(0.01)
            answers[where] = ask_on(connection, plane.port, method, where, sent, *headers)
        plane.process.send_signal(signal.SIGUSR2)
        until = time.monotonic() + 10
        while open_files(plane.process.pid) > FEW[0] - 64:
            assert time.monotonic() < until
            time.sleep(0.01)

    assert status == plane.ask("POST", path, body, "Content-Type: application/json")[0]
    statuses = {where: found for where, (found, _) in answers.items()}
    assert {200, 503} >= set(statuses.values()), statuses
    assert 503 in statuses.values()
    for found, answer in answers.values():
        if found == 503:
            assert "retry-after" in answer.lower()
            assert json.loads(answer.partition("\r\n\r\n")[2])["message"]


def test_who_does_not_read_makes_room_too(tmp_path):
    """Answers that nobody takes hold a connection as well as requests that nobody ends: such a client is no client at work."""
    with running("large", tmp_path / "f", files=(96, 96)) as plane, ExitStack() as stack:
        for _ in range(80):
            connection = stack.enter_context(plane.connect())
            connection.sendall(request("GET", "/"))
            assert status_of(connection.recv(12)) == 200  # its answer has begun

        assert open_files(plane.process.pid) <= 96 - 32
        assert "Traceback" not in plane.said()
