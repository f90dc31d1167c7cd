"""Promotion, rollback and halt reach a running endpoint, and nobody who asks notices."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from linewright.errors import Corrupt
from linewright.model.package.model import load
from linewright.serve.log.segments import read_log
from linewright.serve.models import follow
from linewright.serve.models.follow import Lines
from linewright.serve.rows.scorer import Scorer

ROW = {"Age": 41, "Amount": 12.5, "Insured": True, "Make": "Fiat", "opened": "2026-03-01", "PolicyNumber": 7}
TAKEN_OVER_S = 10.0
"""Longest wait for a change, in seconds; a busy machine needs more than a moment."""


def test_promotions_and_rollbacks_under_load_fail_no_request(claims, start):
    """Each answer names the model that gave it."""
    claims.make(2)
    endpoint = start(claims.state)
    done = threading.Event()
    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(endpoint.ask_until, done) for _ in range(4)]
        for version in (2, 1, 2, 1):
            claims.point(version)
            wanted = f"claims@{version}"
            endpoint.wait_for(lambda: endpoint.predict(ROW)["model"] == wanted)  # noqa: B023
        done.set()
        answers = [each for client in clients for each in client.result()]

    assert {(200, f"claims@{version}", claims.models[version]) for version in (1, 2)} == set(answers)


def test_a_new_line_and_a_lines_end_are_seen(claims, lines, claims_at):
    """Lines come and go without a restart."""
    claims_at(claims.state, line="other")
    wait_for(lambda: "other" in lines.live and lines.live["other"].model)
    (claims.state / "serving" / "other.json").unlink()
    wait_for(lambda: "other" not in lines.live)

    assert "claims@1" == lines.live["claims"].model


def test_a_line_whose_champion_is_taken_away_answers_no_more(claims, lines):
    """The pointer says what serves, also where it says that nothing does."""
    claims.point(None)
    wait_for(lambda: lines.live["claims"].scorer is None)

    assert (None, 2) == (lines.live["claims"].model, lines.live["claims"].generation)


def test_a_halt_holds_and_can_be_lifted(claims, start):
    """A person stops the line at once, whatever else goes on."""
    endpoint = start(claims.state)
    for halt, status in ((True, 503), (False, 200)):
        claims.point(1, halt=halt)
        endpoint.wait_for(
            lambda: endpoint.ask("POST", "/v1/lines/claims/predict", {"rows": [ROW]})[0] == status,  # noqa: B023
            TAKEN_OVER_S,
        )

    assert 3 == [each.record.generation for each in read_log(claims.state / "log" / "claims")][-1]


def test_a_flipped_bit_is_refused_and_the_old_model_serves(claims, start):
    """It never answers anyone, and the operator sees why the promotion did not arrive."""
    claims.flip_a_bit(claims.make(2))
    endpoint = start(claims.state)

    def refusal():
        return endpoint.ask("GET", "/v2/health")[2]["lines"][0]["refused"]

    assert None is refusal() or "Corrupt" in refusal()
    claims.point(2)
    endpoint.wait_for(refusal, TAKEN_OVER_S)

    assert "claims@1" == endpoint.predict(ROW)["model"]
    assert "Corrupt" in refusal()
    assert 'linewright_refused{line="claims"} 1' in endpoint.ask("GET", "/metrics")[2]
    assert "refused" in [json.loads(line)["event"] for line in endpoint.said().splitlines()]
    claims.point(1)
    endpoint.wait_for(lambda: refusal() is None, TAKEN_OVER_S)


@pytest.fixture
def lines(claims):
    """Follow the pointers of `claims` in this process."""
    followed = Lines(claims.state / "serving", claims.artifacts.get, tell=lambda _: None)
    followed.start()
    yield followed
    followed.close()


def test_a_candidate_is_there_from_the_start(claims):
    """A unit that is its would else meet another model for a moment at each start."""
    claims.make(2)
    claims.point(1, canary=2)
    lines = Lines(claims.state / "serving", claims.artifacts.get, tell=lambda _: None)
    try:
        lines.start()
        assert 2 == lines.live["claims"].canary.arm.model
    finally:
        lines.close()


def wait_for(is_so):
    until = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("what", ["package", "graph", "golden", "missing", "other answers", "not a package"])
def test_whatever_part_of_a_package_is_wrong_it_is_refused(claims, lines, what):
    """Also a package that answers otherwise than it did; and a halt beside it still holds."""
    first, digest = claims.package, claims.make(2)
    match what:
        case "package":
            claims.flip_a_bit(digest)
        case "graph":
            claims.flip_a_bit(claims.package.graph)
        case "golden":
            claims.flip_a_bit(claims.package.golden)
        case "missing":
            digest = "sha256:" + "0" * 64
        case "other answers":
            digest = claims.make(3, golden=first.golden)
        case _:
            digest = claims.artifacts.put(b"{}")
    claims.point(2, digest=digest, halt=True)
    wait_for(lambda: lines.live["claims"].refused)

    assert ("claims@1", True, 1) == (
        lines.live["claims"].model,
        lines.live["claims"].halt,
        lines.live["claims"].generation,
    )


@pytest.mark.parametrize(
    "content", [b"{", b"\xff", b'{"line":"other","generation":9,"champion":null}', b"[]", b""]
)
def test_a_pointer_that_cannot_be_read_changes_nothing(claims, lines, content, monkeypatch):
    """The endpoint goes on with what it knows, and says so."""
    monkeypatch.setattr(follow, "ALL_S", 0.1)  # how often it looks for a file that is written in its place
    (claims.state / "serving" / "claims.json").write_bytes(content)
    wait_for(lambda: "pointer cannot be read" in (lines.live["claims"].refused or ""))

    assert "claims@1" == lines.live["claims"].model
    claims.point(1)
    wait_for(lambda: lines.live["claims"].refused is None)


def test_an_endpoint_without_any_good_model_starts_and_is_not_ready(claims, start):
    """A load balancer sends no one there, and the reason can be read."""
    claims.flip_a_bit(claims.models[1])
    endpoint = start(claims.state)
    status, _, answer = endpoint.ask("POST", "/v1/lines/claims/predict", {"rows": [ROW]})

    assert (503, True) == (status, "refused (Corrupt" in answer["message"])
    assert 503 == endpoint.ask("GET", "/v2/health/ready")[0]
    assert 200 == endpoint.ask("GET", "/v2/health/live")[0]


def test_a_model_that_was_rolled_back_while_it_was_loaded_never_serves(claims):
    """The pointer may move on, even back, before a large model is ready."""
    claims.make(2)
    loading, go_on, told = threading.Event(), threading.Event(), []
    get = claims.artifacts.get

    def slow_get(digest):
        if digest == claims.models[2]:
            loading.set()
            go_on.wait(10)
        return get(digest)

    lines = Lines(claims.state / "serving", slow_get, tell=told.append)
    lines.start()
    claims.point(2)
    assert loading.wait(5)
    claims.point(1)
    wait_for(lambda: lines.live["claims"].generation == 3)
    go_on.set()
    wait_for(lambda: not lines._loading)
    lines.close()

    assert ("claims@1", 3) == (lines.live["claims"].model, lines.live["claims"].generation)
    assert [1] == [event["model"] for event in told if event["event"] == "serves"]


def test_restored_bytes_are_taken_over_without_a_new_promotion(claims):
    """Someone who restores a backup need not know of pointers."""
    digest = claims.make(2)
    path = claims.state / "artifacts" / digest[7:9] / digest[9:]
    good = path.read_bytes()
    claims.flip_a_bit(digest)
    lines = Lines(claims.state / "serving", claims.artifacts.get, tell=lambda _: None)
    claims.point(2)
    lines.start()
    assert lines.live["claims"].refused
    path.write_bytes(good)
    lines._retry_at["claims"] = 0.0
    wait_for(lambda: lines.live["claims"].model)
    lines.close()

    assert ("claims@2", None) == (lines.live["claims"].model, lines.live["claims"].refused)


def test_golden_rows_are_really_tried(claims):
    """A graph that was built wrong on this machine is found before it serves."""
    model = load(claims.models[1], claims.artifacts.get)
    Scorer(model).check_golden(claims.artifacts.get)
    other = claims.make(5, golden=claims.package.golden)
    with pytest.raises(Corrupt, match="does not answer as it did"):
        Scorer(load(other, claims.artifacts.get)).check_golden(claims.artifacts.get)
