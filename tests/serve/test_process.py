"""The endpoint as a process: how it starts, how it ends, and what a kill leaves."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from linewright.errors import Denied, RequestError
from linewright.serve.feedback.store import Feedback
from linewright.serve.http.server import serve
from linewright.serve.listener import endpoint as address_of
from linewright.serve.log.segments import read_log

ROW = {"Age": 41, "PolicyNumber": 7}
BODY = json.dumps({"rows": [ROW]}).encode()
HEAD = (
    b"POST /v1/lines/claims/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
)


def read_all(connection) -> bytes:
    parts = []
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_every_acknowledged_answer_survives_a_kill(claims, start):
    """Under load, what a client has read is in the log, and the log can be read."""
    endpoint = start(claims.state)
    acknowledged: list[str] = []

    def ask():
        connection = http.client.HTTPConnection(*endpoint.address, timeout=30)
        try:
            while True:
                connection.request(
                    "POST", "/v1/lines/claims/predict", BODY, {"Content-Type": "application/json"}
                )
                said = json.loads(connection.getresponse().read())
                acknowledged.extend(each["id"] for each in said["predictions"])
        except (OSError, http.client.HTTPException, ValueError):
            connection.close()

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    endpoint.wait_for(lambda: len(acknowledged) > 300)
    endpoint.stop(signal.SIGKILL)
    for client in clients:
        client.join()
    logged = {each.record.id for each in read_log(claims.state / "log" / "claims")}

    assert set(acknowledged) <= logged
    assert len(acknowledged) == len(set(acknowledged))
    assert None is address_of(claims.state)
    again = start(claims.state)
    labels = {"labels": [{"id": each, "label": "No"} for each in acknowledged]}
    assert len(acknowledged) == again.ask("POST", "/v1/lines/claims/feedback", labels)[2]["accepted"]
    record, truth = Feedback.of(claims.state, "claims").find(acknowledged[-1])
    assert (ROW, "No") == (record.row, truth.label)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_answers_what_has_begun_and_ends_with_zero(claims, start, how):
    """A restart is no outage, and a supervisor sees a clean end."""
    endpoint = start(claims.state)
    connection = socket.create_connection(endpoint.address, timeout=10)
    connection.sendall(HEAD + BODY[:5])
    time.sleep(0.2)
    endpoint.process.send_signal(how)
    time.sleep(0.3)
    connection.sendall(BODY[5:])
    answer = read_all(connection)
    connection.close()

    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer
    assert 0 == endpoint.process.wait(10)
    assert "Traceback" not in endpoint.said()
    assert not (claims.state / "serving" / "endpoint").exists()
    assert 1 == len(list(read_log(claims.state / "log" / "claims")))


def test_the_address_is_announced_while_it_serves(claims, start):
    """`status` shows where to ask; what a killed process left behind is not believed."""
    assert None is address_of(claims.state)
    endpoint = start(claims.state)
    host, port = endpoint.address

    assert f"{host}:{port}" == address_of(claims.state)
    assert "127.0.0.1" == host
    endpoint.stop(signal.SIGKILL)
    assert (claims.state / "serving" / "endpoint").exists()
    assert None is address_of(claims.state)


def test_a_port_in_use_is_said_in_one_sentence(claims, start):
    """Not a stack trace, and not a process that hangs about."""
    endpoint = start(claims.state)
    with pytest.raises(RequestError, match="cannot listen: Address already in use"):
        serve(claims.state, port=endpoint.address[1])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "203.0.113.1"])
def test_only_loopback_is_listened_on(claims, host):
    """A fresh install is not reachable from the network."""
    with pytest.raises(Denied, match="could read what is sent"):
        serve(claims.state, host, 0)


def test_a_host_that_does_not_exist_is_said_in_one_sentence(claims):
    """The message names it."""
    with pytest.raises(RequestError, match="no such address"):
        serve(claims.state, "nowhere.invalid", 0)


def test_an_endpoint_with_nothing_to_serve_starts(tmp_path, start):
    """`up` comes before the first `run`."""
    endpoint = start(tmp_path / ".linewright")

    assert (200, []) == (endpoint.ask("GET", "/v2/health/ready")[0], endpoint.ask("GET", "/")[2]["lines"])


def test_a_disk_that_takes_no_log_refuses_answers_until_it_does(claims, start):
    """An answer that is not in the log must not go out; a full disk is no reason to crash."""
    blocked = claims.state / "log"
    blocked.write_text("in the way")
    endpoint = start(claims.state)
    status, headers, answer = endpoint.ask("POST", "/v1/lines/claims/predict", {"rows": [ROW]})

    assert (503, "2") == (status, headers["retry-after"])
    assert "prediction log cannot be written" in answer["message"]
    blocked.unlink()
    assert "claims@1" == endpoint.predict(ROW)["model"]


def test_two_endpoints_serve_one_factory(claims, start):
    """Each writes its own segments; a label finds the predictions of both."""
    one, other = start(claims.state), start(claims.state)
    ids = [each.predict(ROW)["predictions"][0]["id"] for each in (one, other, one)]
    labels = {"labels": [{"id": each, "label": "Yes"} for each in ids]}

    assert 3 == other.ask("POST", "/v1/lines/claims/feedback", labels)[2]["accepted"]


def test_the_program_ends_with_the_exit_code_of_its_error(claims):
    """A supervisor tells a wrong request from a failure that may pass."""
    command = [sys.executable, "-m", "linewright.serve", str(claims.state), "203.0.113.1", "0"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert (2, "") == (done.returncode, done.stdout)
    assert "could read what is sent" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_client_that_does_not_read_its_answer_is_dropped(claims, start):
    """It holds memory of the endpoint, so it may not do so for ever."""
    endpoint = start(claims.state, linger_s=0.3)
    connection = ask_without_reading(endpoint.address, b"Connection: close\r\n")
    endpoint.wait_for(lambda: 'line="claims",version="1",status="200"' in endpoint.ask("GET", "/metrics")[2])
    answer = read_all(connection)
    connection.close()
    length = int(re.search(rb"content-length: (\d+)", answer)[1])

    assert len(answer) < length


# Answered by more than what the kernel takes off the endpoint's hands.
LARGE = json.dumps({"rows": [{**ROW, "PolicyNumber": "k" * 900}] * 10_000}).encode()


def ask_without_reading(
    address, headers: bytes = b"", body: bytes = LARGE, client: str = "127.0.0.1"
) -> socket.socket:
    connection = socket.socket()
    connection.bind((client, 0))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(10)
    connection.connect(address)
    head = (
        b"POST /v1/lines/claims/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"%sContent-Length: %d\r\n\r\n" % (headers, len(body))
    )
    connection.sendall(head + body)
    return connection


@pytest.mark.parametrize("rows", [700, 10_000])
def test_an_answer_that_is_not_read_is_not_kept_by_the_system_either(claims, start, rows):
    """It would keep what does not fit into the client's window for as long as the client answers its probes."""
    endpoint = start(claims.state, linger_s=1.0)
    body = json.dumps({"rows": [{**ROW, "PolicyNumber": "k" * 500}] * rows}).encode()
    with ask_without_reading(endpoint.address, b"Connection: close\r\n", body) as connection:
        endpoint.wait_for(lambda: unsent_to(connection) > 0)

        endpoint.wait_for(lambda: unsent_to(connection) == 0, within_s=10)
        assert b"HTTP/1.1 200" == connection.recv(12)


def unsent_to(connection: socket.socket) -> int:
    """Return how many bytes the system keeps for a client of this machine."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, _, queues, *_ = line.split()
        if int(remote.partition(":")[2], 16) == connection.getsockname()[1]:
            return int(queues.partition(":")[0], 16)
    return 0


def test_answers_that_nobody_reads_do_not_fill_the_memory(claims, start):
    """Their bytes count until they are sent: what is too much is refused, and small requests go on."""
    endpoint = start(claims.state, linger_s=4.0, body_memory=24 * 2**20)
    slow = [ask_without_reading(endpoint.address, client=f"127.0.0.{each}") for each in (2, 3)]
    rows = 'linewright_rows_total{line="claims",version="1"} 20000'
    endpoint.wait_for(lambda: rows in endpoint.ask("GET", "/metrics")[2])
    status, headers, answer = endpoint.ask("POST", "/v1/lines/claims/predict", LARGE)

    assert (503, "too many large requests at one time") == (status, answer["what"])
    assert "retry-after" in headers
    assert 1 == len(endpoint.predict(ROW)["predictions"])

    endpoint.wait_for(lambda: endpoint.ask("POST", "/v1/lines/claims/predict", LARGE)[0] == 200, within_s=15)
    for each in slow:
        each.close()


def test_damage_in_the_log_is_told_at_the_start_and_stays_in_sight(claims, start):
    """Answers that cannot be read back any more must not be missed by those who rely on them."""
    first = start(claims.state)
    first.predict(*[ROW] * 3)
    first.stop()
    (path,) = (claims.state / "log" / "claims").iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content + b"\x40\x00\x00\x00half a frame")
    for _ in range(2):
        endpoint = start(claims.state)
        endpoint.wait_for(lambda: endpoint.said().count("log-damaged") == 2)  # noqa: B023 -- called at once
        told = [json.loads(text) for text in endpoint.said().splitlines() if "log-damaged" in text]

        assert [(path.name, "the checksum is wrong"), (path.name, "torn")] == [
            (each["segment"], each["why"]) for each in told
        ]
        assert 'linewright_log_damaged{line="claims"} 2' in endpoint.ask("GET", "/metrics")[2]
        assert 2 == endpoint.ask("GET", "/v2/health")[2]["lines"][0]["log_damaged"]
        endpoint.stop()
