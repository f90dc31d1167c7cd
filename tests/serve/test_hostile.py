"""A small part of `benchmarks/hostile.py`, which asks 20,000 times and holds 400 sockets."""

import importlib.util
import json
import sys
import threading
from pathlib import Path

import pytest

ROW = {"Age": 41, "PolicyNumber": 7}
DEADLINE_S = 0.7


@pytest.fixture(scope="module")
def hostile():
    """Give the benchmark as a module."""
    path = Path(__file__).parents[2] / "benchmarks" / "hostile.py"
    spec = importlib.util.spec_from_file_location("hostile", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["hostile"] = module  # its dataclasses look for themselves there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["hostile"]


@pytest.fixture(scope="module")
def served(tmp_path_factory, claims_at, endpoint_at):
    """One endpoint of short deadlines."""
    state = tmp_path_factory.mktemp("factory") / ".linewright"
    claims_at(state)
    endpoint = endpoint_at(state, body_deadline_s=DEADLINE_S, head_deadline_s=DEADLINE_S, linger_s=1.0)
    yield endpoint
    endpoint.close()


def test_what_nobody_means_well_by_is_answered_in_order(served, hostile):
    """By 200 or 4xx in the form of errors, whatever is wrong with a request; and nothing of it stays in memory."""
    document = served.ask("GET", "/openapi.json")[2]
    served.predict(ROW)
    before, told = hostile.memory(served.process.pid), hostile.Told()
    hostile.ask_corpus(served.address, document, 500, told)
    after = hostile.memory(served.process.pid)

    assert [] == told.wrong
    assert 500 == told.statuses.total()
    assert {200, 400, 404, 405, 422} <= told.statuses.keys()
    assert not [status for status in told.statuses if status >= 500 and status != 503]
    assert 64 > after["VmRSS"] - before["VmRSS"]
    assert "Traceback" not in served.said()


def test_slow_sockets_are_ended_and_hold_up_nobody(served, hostile, monkeypatch):
    """A slow head, a slow body, and slow reading: each has a deadline, also for what the system keeps of an answer."""
    monkeypatch.setattr(hostile, "DROP_S", 0.1)
    body = json.dumps({"rows": [{**ROW, "PolicyNumber": "k" * 500}] * 700}).encode()
    told = []
    holding = threading.Thread(target=hostile.hold, args=(served.address, 30, body, 20.0, told.append))
    holding.start()
    served.wait_for(lambda: told, within_s=20)
    held = hostile.open_files(served.process.pid)
    answered = [len(served.predict(ROW)["predictions"]) for _ in range(20)]
    holding.join()
    slow = told[-1]
    latest = {
        kind: max(each.closed_s or 99.0 for each in slow if each.kind == kind)
        for kind in ("head", "body", "reader")
    }

    assert [1] * 20 == answered
    assert 20 < held
    assert DEADLINE_S + 1 + hostile.MARGIN_S > latest["head"]
    assert DEADLINE_S + hostile.MARGIN_S > latest["body"]
    assert hostile.KEEP_ALIVE_S + 2 * 1.0 + hostile.MARGIN_S > latest["reader"]
    assert {b"HTTP/1.1 408"} == {each.said for each in slow if each.kind != "reader"}
