"""A client that leaves, whenever it does, is no bug of ours: its leaving writes no stack into the log, and the next one is answered."""

import time
from pathlib import Path

import pytest
from planes import LIVE, PREDICT, ROW, Plane, hang_up_hard, request, running

HOST = "127.0.0.1"
TIMES = 6
"""How often it leaves at each point: by turns in order, and as a process that is killed does."""
JSON = "Content-Type: application/json"
ROWS = f'{{"rows": [{", ".join([ROW] * 2_000)}]}}'
PART = bytes(1 << 20)


def put(path: str, length: int, sent: bytes) -> bytes:
    head = f"PUT {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
    return head.encode() + sent


LEAVES: dict[str, dict[str, tuple[bytes, int]]] = {
    "data": {
        "silent": (b"", 0),
        "head": (b"POST %b HTTP/1.1\r\nHost: localhost\r\nX: " % PREDICT.encode(), 0),
        "body": (request("POST", PREDICT, ROWS, JSON)[:4_000], 0),
        "before the answer": (request("POST", PREDICT, ROWS, JSON), 0),
        "within the answer": (request("POST", PREDICT, ROWS, JSON), 10),
        "within a read": (request("GET", "/metrics"), 10),
        "among others": (request("GET", LIVE["data"]) * 40, 10),
    },
    "console": {
        "silent": (b"", 0),
        "head": (b"POST /api/v1/comment HTTP/1.1\r\nHost: localhost\r\nX: ", 0),
        "body": (request("POST", "/api/v1/comment", "x" * 900, JSON)[:700], 0),
        "before the answer": (request("GET", LIVE["console"]), 0),
        "before a page": (request("GET", "/runs", "", "Accept: text/html"), 0),
        "within a page": (request("GET", "/", "", "Accept: text/html"), 10),
        "within a document": (request("GET", "/openapi.json"), 10),
        "body of a form": (
            request("POST", "/do/save-view", "x" * 900, "Content-Type: application/x-www-form-urlencoded")[
                :700
            ],
            0,
        ),
        "event stream": (request("GET", "/runs", "", "Accept: text/event-stream"), 10),
        "before an event": (request("GET", "/runs", "", "Accept: text/event-stream"), 0),
        "part of a file": (put("/api/v1/feedback/files/x.csv", 4 << 20, PART), 0),
        "part that came": (put("/api/v1/feedback/files/x.csv", len(PART), PART), 0),
        "what is expensive": (request("GET", "/api/v1/doctor"), 0),
    },
}


@pytest.fixture(scope="module", params=LEAVES)
def plane(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp("leave") / "f") as one:
        yield one


def leave(plane: Plane, sent: bytes, read: int, *, hard: bool) -> None:
    connection = plane.connect()
    connection.sendall(sent)
    if read:
        connection.recv(read)
    if hard:
        hang_up_hard(connection)
    else:
        connection.close()


def test_a_client_that_leaves_writes_no_stack_into_the_log(plane: Plane):
    """Whoever wants to fill the disk on which the log is needs nothing but to connect."""
    told: list[str] = []
    before = ""
    for way, (sent, read) in LEAVES[plane.kind].items():
        for number in range(TIMES):
            leave(plane, sent, read, hard=bool(number % 2))
        assert 200 == plane.ask()[0], way
        time.sleep(0.3)  # what is noticed later is told before the process ends, at the latest
        told += [way] * ("Traceback" in plane.said().removeprefix(before))
        before = plane.said()

    assert [] == told, before


def test_a_client_that_leaves_within_a_download_writes_no_stack(tmp_path: Path):
    """A file goes out in pieces, and the last one may be hours after the first."""
    with running("console", tmp_path / "f") as plane:
        folder = "0" * 32
        sent = plane.say(
            put("/api/v1/predict/files/x.csv", 8 << 20, bytes(8 << 20)).replace(
                b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1
            )
        )
        folder = sent.partition(b'"id":"')[2].partition(b'"')[0].decode()
        for number in range(TIMES):
            leave(
                plane, request("GET", f"/api/v1/predict/files/x.csv?id={folder}"), 10, hard=bool(number % 2)
            )
        whole = plane.ask("GET", f"/api/v1/predict/files/x.csv?id={folder}")
        plane.stop()

        assert (200, 8 << 20) == (whole[0], len(whole[1].partition("\r\n\r\n")[2]))
        assert "Traceback" not in plane.said()
