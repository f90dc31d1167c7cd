"""One endpoint in several processes, and its restart: nobody who asks notices, and what is told is of all."""

import http.client
import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from linewright.serve.log import read_log

ROW = {"Age": 41, "PolicyNumber": 7}
PREDICT = "/v1/lines/claims/predict"
BODY = json.dumps({"rows": [ROW]}).encode()
JSON = {"Content-Type": "application/json"}
HEAD = (
    b"POST /v1/lines/claims/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
)
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
    while not done.is_set():
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
