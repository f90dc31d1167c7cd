"""One connection that sends requests without end: each client has its share of memory, and no more."""

import json
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from planes import LIVE, PLANES, PREDICT, ROW, hang_up_hard, push, request, rest_of, running

MOST_MB = 64
"""By how much one server may grow, whatever one client sends."""
GRACE_S = 20
"""What SIGTERM promises."""


@pytest.fixture(scope="module", params=PLANES)
def plane(request, tmp_path_factory):
    """Give one server of each plane."""
    with running(request.param, tmp_path_factory.mktemp("planes") / "f") as one:
        yield one


def test_a_hundred_thousand_pipelined_requests_take_no_memory(plane):
    """The uvicorn queue: 14 MB sent by one client took 1.4 GB, and the kernel then chooses whom to kill."""
    assert 200 == plane.ask()[0]
    before, most, sent = plane.memory(), 0.0, 0
    one = b"GET / HTTP/1.1\r\nHost:localhost\r\n\r\n"
    with plane.connect() as greedy:
        for now in push([greedy], one * 100_000, seconds=5.0):
            sent, most = now, max(most, plane.memory() - before)

        assert most < MOST_MB, f"{most:.0f} MB after {sent:,} bytes"
        assert 200 == plane.ask()[0]


def test_pipelined_requests_are_answered_in_their_order(plane):
    """RFC 9112, 9.3.2: a queue that is bounded is still a queue; twenty are well within it."""
    names = [f"/no/{number}" for number in range(20)]
    asked = b"".join(request("GET", name) for name in names)
    answer = plane.say(asked + request("GET", "/no/last", "", "Connection: close")).decode()

    places = [answer.index(name) for name in [*names, "/no/last"]]
    assert 21 == answer.count("HTTP/1.1 404")
    assert sorted(places) == places


def test_more_than_the_queue_holds_is_answered_all_the_same(plane):
    """What waits is left in the network, not refused: no client is told that its request was lost."""
    number = 1_000 if plane.kind == "data" else 300
    asked = b"".join(request("GET", f"/no/{each:05}") for each in range(number))
    answer = plane.say(asked + request("GET", "/no/last", "", "Connection: close"), timeout=60).decode()
    places = [answer.index(f"/no/{each:05}") for each in range(number)]

    assert number + 1 == answer.count("HTTP/1.1 404")
    assert sorted(places) == places


def test_a_body_behind_requests_that_wait_is_whole(tmp_path):
    """Between heads that are taken in parts a large body must lose no byte, and the head behind it must be found."""
    with running("data", tmp_path / "f") as plane:
        many = json.dumps({"rows": [json.loads(ROW)] * 700})
        asks = [request("POST", PREDICT, many, "Content-Type: application/json")] * 3
        heads = request("GET", LIVE["data"]) * 200
        asked = heads + heads.join(asks) + request("GET", "/no/last", "", "Connection: close")
        answer = plane.say(asked, timeout=60).decode()

        assert 3 * 700 == answer.count('"prediction"')
        assert 600 == answer.count('{"live":true}')
        assert "/no/last" in answer.rpartition("HTTP/1.1 404")[2]


def test_a_bad_request_behind_others_takes_no_answer_from_them(plane):
    """A refusal that overtakes an answer would be read as that answer: each client counts."""
    asked = request("GET", "/no/1") * 3 + request("POST", "/no/2", "", "Transfer-Encoding: chunked")
    answer = plane.say(asked.replace(b"Content-Length: 0\r\n", b"") + b"zz\r\n").decode()

    assert 3 == answer.count("HTTP/1.1 404")
    assert "HTTP/1.1 400" not in answer
    assert 1 == answer.lower().count("connection: close")


def test_a_client_that_is_killed_while_its_requests_wait_leaves_no_stack(plane):
    """Eighteen lines of stderr for each cut connection fill the disk on which the log is."""
    for number in range(60):
        connection = plane.connect()
        connection.sendall(request("GET", LIVE[plane.kind]) * 40)
        if number % 2:
            connection.recv(1)
        hang_up_hard(connection)
    assert 200 == plane.ask()[0]

    assert "Traceback" not in plane.said()


@pytest.mark.parametrize("kind", PLANES)
def test_sixty_clients_that_do_not_read_are_bounded_too_and_do_not_outlive_a_stop(tmp_path, kind):
    """They took 2.35 GB, a healthy client waited 9.6 s, and SIGTERM was without effect for 40 s."""
    with running(kind, tmp_path / "f") as plane:
        assert 200 == plane.ask()[0]
        before, most = plane.memory(), 0.0
        greedy = [plane.connect() for _ in range(60)]
        for _ in push(greedy, request("GET", LIVE[kind]) * 1_000, seconds=1.5):
            most = max(most, plane.memory() - before)
        answered = plane.ask()[0]
        took = plane.stop()
        code, said = plane.process.returncode, plane.said()
        for each in greedy:
            each.close()

    assert most < 2 * MOST_MB
    assert (200, 0) == (answered, code)
    assert took < GRACE_S
    assert "Traceback" not in said


def test_a_client_that_goes_on_after_its_last_request_gets_the_answers_before(plane):
    """`Connection: close` ends what is answered; what follows it is no request of ours."""
    asked = request("GET", "/no/1") + request("GET", "/no/2", "", "Connection: close")
    with plane.connect() as connection:
        connection.sendall(asked + request("GET", "/no/3") * 100)
        begun = time.monotonic()
        answer = rest_of(connection).decode()

    assert ("/no/1" in answer, "/no/2" in answer, "/no/3" in answer) == (True, True, False)
    assert time.monotonic() - begun < GRACE_S


def test_however_requests_are_cut_into_packets_each_is_answered_once_and_in_order(plane):
    """Law: heads, bodies and chunks that end anywhere in a packet are the same requests (h11 CVE-2025-43859 class: framing that shifts)."""
    chance = random.Random(21)
    for _ in range(15):
        asked, names = [], []
        for number in range(chance.randint(30, 120)):
            names.append(f"/no/{number:04}")
            body = "x" * chance.choice([0, 1, 700, 2_048, 5_000, 70_000])
            lines = [
                f"{chance.choice(['GET', 'POST'])} {names[-1]} HTTP/1.1",
                "Host: localhost",
                "Content-Type: application/json",
            ]
            if chance.random() < 0.5:
                size = chance.choice([1, 100, 4_000]) if len(body) < 6_000 else 4_000
                parts = [body[at : at + size] for at in range(0, len(body), size)]
                lines.append("Transfer-Encoding: chunked")
                body = (
                    "".join(f"{len(part):x}\r\n{part}\r\n" for part in parts)
                    + "0\r\nHost: evil.example\r\n\r\n"
                )
            else:
                lines.append(f"Content-Length: {len(body)}")
            asked.append("\r\n".join(lines) + "\r\n\r\n" + body)
        sent = "".join(asked).encode() + request("GET", "/no/last", "", "Connection: close")
        answer = in_packets(plane, sent, chance)
        answers = [re.search(r"/no/\w+", each) for each in answer.split("HTTP/1.1 404")[1:]]

        assert [*names, "/no/last"] == [each and each[0] for each in answers]


def in_packets(plane, sent: bytes, chance: random.Random) -> str:
    """Send bytes in packets of any size while the answers are read, and return these."""
    with plane.connect(60) as connection, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(rest_of, connection)
        while sent:
            size = chance.choice([1, 50, 1_000, 2_048, 30_000, 300_000])
            connection.sendall(sent[:size])
            sent = sent[size:]
        return answer.result().decode()
