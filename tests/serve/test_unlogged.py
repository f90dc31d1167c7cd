"""What an endpoint does while its log cannot be written, and whom it tells."""

import asyncio
import json
import resource
import signal
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest

from linewright.model.package.model import load
from linewright.release.facts import Arm
from linewright.serve.http.batching import Together
from linewright.serve.http.predict import Ask, Loaded
from linewright.serve.log.outages import MOST_FILES, Outages, outages_of
from linewright.serve.log.segments import read_log
from linewright.serve.log.writer import PredictionLog
from linewright.serve.rows.scorer import Scorer

ROW = {"Age": 41, "Amount": 12.5, "Insured": True, "Make": "Fiat", "opened": "2026-03-01", "PolicyNumber": 7}
PREDICT, FEEDBACK = "/v1/lines/claims/predict", "/v1/lines/claims/feedback"
INFER = {
    "inputs": [
        {"name": "Age", "datatype": "INT64", "shape": [1], "data": [41]},
        {"name": "PolicyNumber", "datatype": "INT64", "shape": [1], "data": [7]},
    ]
}


@contextmanager
def no_log(state: Path):
    """Stand a file where the folder of the log would be."""
    folder = state / "log" / "claims"
    folder.parent.mkdir(exist_ok=True)
    folder.touch()
    yield
    folder.unlink()


@pytest.fixture
def serving(claims) -> Path:
    return claims.state / "serving"


def metric(endpoint, name: str) -> float:
    text = endpoint.ask("GET", "/metrics")[2]
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name + "{"))


def line_of(endpoint) -> dict:
    return endpoint.ask("GET", "/v2/health")[2]["lines"][0]


def events(endpoint, what: str) -> list[dict]:
    said = [json.loads(line) for line in endpoint.said().splitlines() if line.startswith("{")]
    return [one for one in said if one["event"] == what]


def test_a_line_that_may_answers_without_its_log_and_says_so(claims, serving, start):
    """Some would rather have an answer that nobody can look up than none; whoever gets one knows which it is."""
    claims.point(1, when_log_fails="serve-unlogged")
    endpoint = start(claims.state)
    with no_log(claims.state):
        answers = [endpoint.predict(ROW, ROW), endpoint.predict(*[ROW] * 100)]
        tensors = endpoint.ask("POST", "/v2/models/claims/infer", INFER)[2]
        durable = endpoint.ask("POST", PREDICT, {"rows": [ROW], "durable": True})
        during, (found,) = line_of(endpoint), outages_of(serving, "claims")

        assert 1 == metric(endpoint, "linewright_log_fails")
    again = endpoint.predict(ROW)
    labels = [{"id": one["predictions"][0]["id"], "label": "No"} for one in (answers[0], again)]
    kept = endpoint.ask("POST", FEEDBACK, {"labels": labels})[2]
    (over,) = outages_of(serving, "claims")

    assert ["none", "none"] == [one["durability"] for one in answers]
    assert "none" == tensors["parameters"]["durability"]
    assert (503, "Transient") == (durable[0], durable[2]["error"])
    assert ("File exists", 103, True) == tuple(
        during[name] for name in ("log_fails", "unlogged_rows", "ready")
    )
    assert (False, "write", "File exists", None) == (
        found.is_over,
        found.outage.fault,
        found.outage.because,
        found.outage.until,
    )
    assert "buffered" == again["durability"]
    assert (1, 1) == (kept["accepted"], kept["unknown"])
    assert 103 == metric(endpoint, "linewright_unlogged_rows_total")
    assert 0 == metric(endpoint, "linewright_log_fails")
    assert (True, 103, found.path) == (over.is_over, over.outage.rows, over.path)
    assert over.outage.since < over.outage.until
    assert [("write", "File exists")] == [
        (one["fault"], one["because"]) for one in events(endpoint, "log-fails")
    ]
    assert [103] == [one["unlogged_rows"] for one in events(endpoint, "log-works")]
    assert [again["predictions"][0]["id"]] == [
        one.record.id for one in read_log(claims.state / "log" / "claims")
    ]


def test_a_line_that_may_not_refuses_and_tells_of_it(claims, serving, start):
    """What nobody can look up later is not said, unless the line file allows it."""
    endpoint = start(claims.state)
    with no_log(claims.state):
        status, headers, said = endpoint.ask("POST", PREDICT, {"rows": [ROW]})
        (found,) = outages_of(serving, "claims")

        assert 503 == endpoint.ask("GET", "/v2/models/claims/ready")[0]
    # Nobody asks, and still it is seen that the log works again.
    endpoint.wait_for(lambda: outages_of(serving, "claims")[0].is_over)

    assert (503, "Transient") == (status, said["error"])
    assert headers["Retry-After"]
    assert not found.is_over
    assert 200 == endpoint.ask("GET", "/v2/models/claims/ready")[0]
    assert "buffered" == endpoint.predict(ROW)["durability"]
    assert ["log-works"] == [one["event"] for one in events(endpoint, "log-works")]
    assert [(True, 0)] == [(one.is_over, one.outage.rows) for one in outages_of(serving, "claims")]
    assert 0 == metric(endpoint, "linewright_unlogged_rows_total")


def test_requests_of_one_moment_all_learn_that_no_log_has_their_answers(claims, tmp_path):
    """They are answered as one, and each gets what it would get alone."""
    loaded, counted = _unlogged(claims)
    (tmp_path / "log").touch()

    async def all_at_once():
        together = Together(lambda _: PredictionLog(tmp_path / "log"))
        return await asyncio.gather(*(together.predict(loaded, Ask(rows=[ROW] * n)) for n in (1, 2, 3)))

    answers = [json.loads(one.body) for one in asyncio.run(all_at_once())]

    assert ["none"] * 3 == [one["durability"] for one in answers]
    assert [1, 2, 3] == [len(one["predictions"]) for one in answers]
    assert [6] == counted


def _unlogged(claims) -> tuple[Loaded, list[int]]:
    counted: list[int] = []
    scorer = Scorer(load(claims.models[1], claims.artifacts.get))
    arm = Arm(model=1, package=claims.models[1])
    return Loaded("claims", 1, arm, scorer, unlogged=counted.append), counted


def test_where_not_even_word_of_it_can_be_written_it_is_counted_and_told_afterwards(claims, serving, start):
    """A full disk takes neither the log nor the file that tells of it."""
    claims.point(1, when_log_fails="serve-unlogged")
    endpoint = start(claims.state)
    before = endpoint.predict(ROW)
    hard = resource.prlimit(endpoint.process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(endpoint.process.pid, resource.RLIMIT_FSIZE, (0, hard))
    during = endpoint.predict(ROW)
    counted, told = metric(endpoint, "linewright_unlogged_rows_total"), outages_of(serving, "claims")
    resource.prlimit(endpoint.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    after = endpoint.predict(ROW)
    (found,) = outages_of(serving, "claims")

    assert ["buffered", "none", "buffered"] == [one["durability"] for one in (before, during, after)]
    assert (1, []) == (counted, told)
    assert (True, "File too large", 1) == (found.is_over, found.outage.because, found.outage.rows)
    logged = [one.record.id for one in read_log(claims.state / "log" / "claims")]
    assert [one["predictions"][0]["id"] for one in (before, after)] == logged


def test_a_kill_leaves_no_outage_that_lasts(claims, serving, start):
    """Nobody would end the alert of an endpoint that is no more."""
    endpoint = start(claims.state)
    with no_log(claims.state):
        endpoint.ask("POST", PREDICT, {"rows": [ROW]})
        lasting = outages_of(serving, "claims")
        endpoint.stop(signal.SIGKILL)

    assert [False] == [one.is_over for one in lasting]
    assert [(True, None)] == [(one.is_over, one.outage.until) for one in outages_of(serving, "claims")]


@pytest.fixture
def outages(serving):
    made: list[Outages] = []

    def make(line: str, tell: Callable[[dict[str, object]], None] = lambda _: None) -> Outages:
        made.append(Outages(serving, line, tell=tell))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_an_outage_is_told_once_and_each_fault_is_one_of_its_own(serving, outages):
    """A thousand refused requests are one piece of news."""
    told: list[dict[str, object]] = []
    one = outages("claims", told.append)
    for because in ("full", "full", "broken"):
        one.say("write", because)
    one.say("force", "broken")
    one.say("write", None)
    one.say("write", None)

    assert ["log-fails", "log-fails", "log-works"] == [each["event"] for each in told]
    assert "broken" == one.because
    found = [(each.outage.fault, each.is_over) for each in outages_of(serving, "claims")]
    assert [("write", True), ("force", False)] == found


def test_a_site_is_not_taken_for_its_template(serving, outages):
    """`claims.lyon` is a line of its own."""
    outages("claims.lyon").say("write", "full")

    assert [] == outages_of(serving, "claims")
    assert ["claims.lyon"] == [one.outage.line for one in outages_of(serving, "claims.lyon")]


def test_a_disk_that_comes_and_goes_leaves_no_more_files_than_are_bearable(serving, outages):
    """While nobody looks after the line, nobody takes them away."""
    one = outages("claims")
    for _ in range(MOST_FILES + 5):
        one.say("write", "full")
        one.say("write", None)

    assert MOST_FILES == len(outages_of(serving, "claims"))


@pytest.mark.parametrize("content", [b"", b"{", b'{"line": 1}', b"\xff"])
def test_what_is_no_word_of_an_outage_is_passed_over(serving, content):
    """A file may be half written, or of something else."""
    serving.mkdir(exist_ok=True)
    (serving / "claims.x.outage").write_bytes(content)

    assert [] == outages_of(serving, "claims")
