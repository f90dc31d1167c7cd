"""A package that never ends, takes all memory or lies is found out in a process of its own."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from linewright.errors import Corrupt, LinewrightError
from linewright.serve.models.probe import Probe
from linewright.testing.graphs import endless, greedy

ROW = {"Age": 41, "Amount": 12.5, "Insured": True, "Make": "Fiat", "opened": "2026-03-01", "PolicyNumber": 7}


def replaced(claims, change) -> str:
    """Keep a package whose graph was changed, and return its digest."""
    good = claims.package
    graph = change(claims.artifacts.get(good.graph))
    digest = claims.artifacts.put(graph)
    return claims.make(2, graph=digest, graph_bytes=len(graph), golden=good.golden)


@pytest.fixture
def probe(claims):
    one = Probe(claims.state, patience_s=3.0)
    yield one
    one.close()


def test_a_sound_package_passes_and_its_child_stays_a_while(claims, probe):
    probe(claims.models[1])
    first = probe._child.pid
    probe(claims.make(2))

    assert first == probe._child.pid


def test_one_that_never_ends_is_refused_and_not_tried_again(claims, probe):
    digest = replaced(claims, endless)
    with pytest.raises(Corrupt, match="did not answer its golden rows within 3 s"):
        probe(digest)
    began = time.monotonic()
    with pytest.raises(Corrupt, match="within 3 s"):
        probe(digest)

    assert time.monotonic() - began < 1
    probe(claims.models[1])


def test_one_that_takes_all_memory_is_refused(claims, probe):
    with pytest.raises(LinewrightError):
        probe(replaced(claims, greedy))
    probe(claims.models[1])


def test_one_that_answers_otherwise_is_refused_with_what_it_said(claims, probe):
    first = claims.package
    with pytest.raises(Corrupt, match="does not answer as it did"):
        probe(claims.make(3, golden=first.golden))


def test_whoever_stops_does_not_wait_for_one_that_hangs(claims):
    """An endpoint ends on SIGTERM, whatever it is trying."""
    probe, digest, found = Probe(claims.state, patience_s=60.0), replaced(claims, endless), []

    def ask():
        with pytest.raises(Corrupt) as refused:
            probe(digest)
        found.append(str(refused.value))

    asking = threading.Thread(target=ask)
    asking.start()
    while probe._child is None:
        time.sleep(0.01)
    time.sleep(0.5)
    began = time.monotonic()
    probe.close()
    asking.join()

    assert time.monotonic() - began < 5
    assert "ended the process that tried it" in found[0]


def test_one_whose_process_is_killed_is_refused(claims):
    """As the system does when memory is short."""
    probe, digest = Probe(claims.state, patience_s=60.0), replaced(claims, endless)
    probe(claims.models[1])
    killing = threading.Timer(1.0, os.kill, (probe._child.pid, signal.SIGKILL))
    killing.start()
    with pytest.raises(Corrupt, match=r"ended the process that tried it \(signal SIGKILL\)"):
        probe(digest)
    probe(claims.make(3))
    probe.close()


def test_a_process_that_was_killed_while_it_waited_costs_no_package(claims, probe):
    """Where memory is short it goes first: a sound model must not be refused for that."""
    probe(claims.models[1])
    os.kill(probe._child.pid, signal.SIGKILL)
    while not probe._child.has_ended():
        time.sleep(0.01)
    probe(claims.make(2))


def test_one_that_never_ends_does_not_outlive_a_killed_endpoint(claims):
    """It would take a processor for ever, and nobody would know whose it was."""
    digest = replaced(claims, endless)
    code = f"from pathlib import Path; from linewright.serve.models.probe import Probe; Probe(Path({str(claims.state)!r}), patience_s=60.0)({digest!r})"
    endpoint = subprocess.Popen([sys.executable, "-c", code])
    while not (children := tried_by(endpoint.pid)):
        time.sleep(0.05)
    time.sleep(1.0)
    endpoint.kill()
    endpoint.wait()
    until = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < until:
        time.sleep(0.05)

    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def tried_by(pid: int) -> list[int]:
    """Return the children of a process."""
    return [
        int(one) for path in Path(f"/proc/{pid}/task").glob("*/children") for one in path.read_text().split()
    ]


def test_the_endpoint_serves_on_while_a_package_hangs(claims, start):
    digest = replaced(claims, endless)
    endpoint = start(claims.state, patience_s=3.0)
    claims.point(2, digest=digest)
    answers = []
    until = time.monotonic() + 2
    while time.monotonic() < until:
        answers.append(endpoint.predict(ROW)["model"])

    assert {"claims@1"} == set(answers)
    claims.make(3)
    claims.point(3)
    endpoint.wait_for(lambda: endpoint.predict(ROW)["model"] == "claims@3", 10.0)
