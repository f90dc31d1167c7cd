"""A model that answers copies of rows delays no answer, changes none and breaks none, whatever is wrong with it."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from linewright.release.facts import Arm
from linewright.serve.facts import Prediction
from linewright.serve.log.segments import read_log
from linewright.serve.models.canary import SAMPLE, Guard
from linewright.serve.models.canary_failure import trouble_with
from linewright.serve.models.shadow import Mirrors
from linewright.serve.models.state import Canary, Shadow
from linewright.testing.graphs import endless, greedy

ROW = {"Age": 41, "Amount": 12.5, "Insured": True, "Make": "Fiat", "opened": "2026-03-01", "PolicyNumber": 7}


def of(policy: int) -> dict:
    return {**ROW, "Age": 20 + policy % 50, "PolicyNumber": policy}


def copies(claims) -> list[Prediction]:
    return [one.record for one in read_log(claims.state / "shadow" / "claims")]


def logged(claims) -> list[Prediction]:
    return [one.record for one in read_log(claims.state / "log" / "claims")]


def changed(claims, change) -> str:
    """Make claims@2 with a graph that was changed."""
    graph = change(claims.artifacts.get(claims.package.graph))
    digest = claims.artifacts.put(graph)
    return claims.make(2, graph=digest, graph_bytes=len(graph), golden=claims.package.golden)


def events(endpoint, name: str) -> list[dict]:
    told = [json.loads(line) for line in endpoint.said().splitlines()]
    return [one for one in told if one["event"] == name]


def said_of(answer: dict) -> list[dict]:
    """Return an answer without its ids, which are new each time."""
    return [{k: v for k, v in one.items() if k != "id"} for one in answer["predictions"]]


def metric(endpoint, name: str) -> dict[str, float]:
    """Return what a metric says, by its label `outcome`."""
    lines = endpoint.ask("GET", "/metrics")[2].splitlines()
    return {
        line.partition('outcome="')[2].partition('"')[0]: float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith(name + "{")
    }


def test_a_shadow_answers_the_same_rows_under_the_same_ids_in_a_log_of_its_own(claims, start):
    claims.make(2)
    claims.point(1, shadow=2)
    endpoint = start(claims.state)
    one = endpoint.predict(of(1))
    many = endpoint.predict(*[of(policy) for policy in range(200)])
    endpoint.wait_for(lambda: len(copies(claims)) == 201, 30.0)
    seen = copies(claims)
    claims.point(2)
    endpoint.wait_for(lambda: endpoint.predict(of(1))["model"] == "claims@2")
    alone = endpoint.predict(*[of(policy) for policy in range(200)])

    assert ("claims@1", "claims@1") == (one["model"], many["model"])
    assert {("shadow", 2, claims.models[2])} == {(each.arm, each.model, each.digest) for each in seen}
    assert [each["id"] for each in one["predictions"] + many["predictions"]] == [each.id for each in seen]
    assert {()} == {tuple(each.row) for each in seen}
    assert [each["probabilities"] for each in alone["predictions"]] == [
        each.answer["probabilities"] for each in seen[1:]
    ]
    assert {"champion"} == {each.arm for each in logged(claims)}
    assert all(each.unit == each.key for each in logged(claims)[:201])


@pytest.mark.parametrize("change", [endless, greedy], ids=["hangs", "takes-all-memory"])
def test_a_shadow_that_cannot_answer_changes_no_answer_and_is_taken_out_of_service(claims, start, change):
    """The champion's answers are the same with and without it, none is missing, and those who decide get word."""
    digest = changed(claims, change)
    rows = [of(policy) for policy in range(20)]
    endpoint = start(claims.state, computes_s=0.5)
    before = said_of(endpoint.predict(*rows))
    claims.point(1, shadow=2)
    endpoint.wait_for(lambda: 'arm="shadow"' in endpoint.ask("GET", "/metrics")[2])
    during = []
    for number in range(30):
        endpoint.come_from(number % 2)
        during.append(said_of(endpoint.predict(*rows)))
    endpoint.wait_for(lambda: events(endpoint, "canary-dropped"), 60.0)
    after = said_of(endpoint.predict(*rows))
    counts = metric(endpoint, "linewright_mirrored_rows_total")

    assert [before] * 30 == during
    assert before == after
    assert [] == copies(claims)
    assert 32 * 20 == len(logged(claims))
    assert (600.0, 120.0) == (sum(counts.values()), counts["failed"])
    assert "6 requests failed" in (trouble_with(claims.state / "serving", "claims", digest) or "")


def test_requests_are_answered_while_the_child_is_stopped_and_copies_beyond_the_queue_are_dropped(
    claims, start
):
    """A process that neither answers nor ends is the worst that can happen: 3,000 answers go out beside it."""
    claims.make(2)
    claims.point(1, shadow=2)
    endpoint = start(claims.state)
    endpoint.predict(of(0))
    endpoint.wait_for(lambda: copies(claims), 30.0)
    (child,) = children_of(endpoint.process.pid)
    os.kill(child, signal.SIGSTOP)
    rows = [{**of(policy), "Fraud": "x" * 2_000} for policy in range(500)]
    answers = [endpoint.predict(*rows) for _ in range(6)]
    dropped = metric(endpoint, "linewright_mirrored_rows_total")["dropped"]
    os.kill(child, signal.SIGCONT)
    endpoint.wait_for(lambda: len(copies(claims)) == 1 + 3_000 - dropped, 30.0)

    assert [500] * 6 == [len(one["predictions"]) for one in answers]
    assert 1_500.0 == dropped  # three requests of 1.2 MB fit in 4 MiB
    assert ["it does not keep up"] == [one["because"] for one in events(endpoint, "copies-dropped")]
    assert None is trouble_with(claims.state / "serving", "claims", claims.models[2])


def test_each_trial_has_copies_of_its_own_and_a_child_that_is_stopped_is_ended_by_the_clock(claims):
    """Also where the same model gets them: what an earlier trial left may be removed under it at any moment."""
    claims.make(2)
    told: list[dict] = []
    guard = Guard()
    mirrors = Mirrors(claims.state, guard, tell=told.append, patience_s=8.0)
    first, second = (
        Shadow(arm=Arm(model=2, package=claims.models[2], share=0.0), unit=None, trial=trial)
        for trial in ("first", "second")
    )
    other = Canary(arm=Arm(model=3, package="sha256:00"), scorer=None, salt="", unit=None)  # type: ignore[arg-type]
    record = Prediction(
        id="0",
        line="claims",
        generation=1,
        model=1,
        digest=claims.models[1],
        at="",
        key=None,
        row=ROW,
        answer={},
        threshold=None,
    )
    folder = claims.state / "shadow" / "claims"
    try:
        mirrors.offer("claims", first, first, [record], size=100)
        wait_until(lambda: [*read_log(folder / "first")])
        shutil.rmtree(folder / "first")
        mirrors.offer("claims", second, other, [record], size=100)
        wait_until(lambda: [*read_log(folder / "second")])
        wait_until(lambda: ("claims", "sha256:00") in guard._seen)
        took = guard._seen["claims", "sha256:00"]
        (child,) = children_of(os.getpid())
        os.kill(child, signal.SIGSTOP)
        mirrors.offer("claims", second, other, [record], size=100)
        wait_until(lambda: told)
        wait_until(lambda: not is_running(child))
    finally:
        mirrors.close()

    assert [("copies-failed", "it did not answer copies of rows within 8 s")] == [
        (one["event"], one["because"]) for one in told
    ]
    assert (1, 0) == (
        took.champion.noted,
        took.tried.noted,
    )  # what the shadow takes is the champion's time here


def wait_until(is_so: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_child_that_is_killed_is_started_again(claims, start):
    claims.make(2)
    claims.point(1, shadow=2)
    endpoint = start(claims.state)
    endpoint.predict(of(0))
    # Not only logged: a child that is killed before it could say so has failed those rows too.
    endpoint.wait_for(lambda: metric(endpoint, "linewright_mirrored_rows_total").get("answered"), 30.0)
    os.kill(children_of(endpoint.process.pid)[0], signal.SIGKILL)
    endpoint.predict(of(1))
    endpoint.wait_for(lambda: events(endpoint, "copies-failed"), 30.0)
    endpoint.predict(of(2))
    endpoint.wait_for(lambda: len(copies(claims)) == 2, 30.0)

    assert ["0", "2"] == [each.key for each in copies(claims)]


def test_the_child_ends_with_its_endpoint_however_that_ends(claims, start):
    """Nothing is left of an endpoint that is killed in the middle of a trial, and the next one goes on with it."""
    claims.make(2)
    claims.point(1, shadow=2)
    endpoint = start(claims.state)
    endpoint.predict(of(0))
    endpoint.wait_for(lambda: copies(claims), 30.0)
    (child,) = children_of(endpoint.process.pid)
    endpoint.stop(signal.SIGKILL)
    endpoint.wait_for(lambda: not is_running(child), 30.0)
    second = start(claims.state)
    second.predict(of(1))
    second.wait_for(lambda: len(copies(claims)) == 2, 30.0)
    (child,) = children_of(second.process.pid)

    assert 0 == second.stop()
    assert not is_running(child)


def test_all_rows_go_over_at_once_and_the_old_model_gets_the_copies(claims, start):
    """Under load nothing fails, whatever the pointer says next: over, back, over, and alone."""
    claims.make(2)
    endpoint = start(claims.state)
    done, seen = threading.Event(), []
    with ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(endpoint.ask_until, done) for _ in range(3)]
        try:
            for champion, tried in ((1, OVER), (1, {}), (1, OVER), (2, {})):
                claims.point(champion, **tried)
                wanted = "claims@2" if tried or champion == 2 else "claims@1"
                endpoint.wait_for(lambda: endpoint.predict(ROW)["model"] == wanted, 10.0)  # noqa: B023
                rows = [of(policy) for policy in range(60)]
                seen.append(endpoint.predict(*rows)["model"])
        finally:
            done.set()
        answers = [each for client in clients for each in client.result()]
    endpoint.wait_for(lambda: copies(claims), 30.0)
    by_id = {one.id: one for one in logged(claims)}

    assert ["claims@2", "claims@1", "claims@2", "claims@2"] == seen
    assert {200} == {status for status, _, _ in answers}
    assert {("claims@1", claims.models[1]), ("claims@2", claims.models[2])} == {one[1:] for one in answers}
    assert {(1, "shadow")} == {(one.model, one.arm) for one in copies(claims)}
    assert {(2, "canary")} == {(by_id[one.id].model, by_id[one.id].arm) for one in copies(claims)}


OVER = {"canary": 2, "share": 1.0, "shadow": 1}


def test_a_row_that_the_new_model_fails_is_answered_by_the_old_one_which_then_answers_alone(claims, start):
    """Its contract lacks a column that clients send: three requests of each of two find it out, and nobody else does."""
    claims.make(2, columns=tuple(column for column in claims.package.columns if column.name != "at"))
    claims.point(1, **OVER)
    endpoint = start(claims.state)
    endpoint.wait_for(lambda: events(endpoint, "canary"))
    version = endpoint.ask("GET", "/v2/models/claims")[2]["versions"]
    rows = [{**of(policy), "at": "2026-03-02T10:00:00Z"} for policy in range(10)]
    answers = []
    for number, row in enumerate(rows):
        endpoint.come_from(number % 2)
        answers.append(endpoint.predict(row)["model"])
    told = trouble_with(claims.state / "serving", "claims", claims.models[2])

    assert ["2"] == version
    assert ["claims@1"] * 10 == answers
    assert "claims@1" == endpoint.predict(of(1))["model"]
    assert "rows[0].at: the contract has no such column" in (told or "")
    assert [] == copies(claims)


def test_an_old_model_that_cannot_answer_copies_does_not_end_the_trial_of_the_new_one(claims, start):
    """Nobody is worse off: the candidate answers, and is only compared no more."""
    claims.make(2)
    endpoint = start(claims.state, computes_s=0.5)
    claims.point(1, **OVER)
    endpoint.wait_for(lambda: endpoint.predict(ROW)["model"] == "claims@2", 10.0)
    claims.flip_a_bit(claims.models[1])
    for number in range(8):
        endpoint.come_from(number % 2)
        endpoint.predict(ROW)
    endpoint.wait_for(lambda: len(events(endpoint, "copies-failed")) >= 3, 30.0)

    assert "claims@2" == endpoint.predict(ROW)["model"]
    assert [] == events(endpoint, "canary-dropped")


def test_one_client_cannot_end_a_shadow_or_its_comparison(claims, start):
    """Three copies that the candidate refuses ended the trial, whoever sent them."""
    claims.make(2, columns=tuple(column for column in claims.package.columns if column.name != "at"))
    claims.point(1, shadow=2)
    endpoint = start(claims.state)
    endpoint.come_from(1)
    for policy in range(12):
        endpoint.predict({**of(policy), "at": "2026-03-02T10:00:00Z"})
    endpoint.wait_for(lambda: len(events(endpoint, "copies-failed")) == 12, 30.0)
    endpoint.come_from(2)
    endpoint.predict(of(12))
    endpoint.wait_for(lambda: copies(claims), 30.0)

    assert [] == events(endpoint, "canary-dropped")
    assert None is trouble_with(claims.state / "serving", "claims", claims.models[2])


def test_a_shadow_that_is_much_slower_is_found_out():
    """By processor time for a row: the child has to wait for its turn, which says nothing of the model."""
    dropped: list[str] = []
    guard = Guard(lambda _line, _package, because: dropped.append(because))
    shadow = Shadow(arm=Arm(model=2, package="sha256:00", share=0.0), unit=None)
    for number in range(SAMPLE):
        client = f"client {number % 5}"
        guard.took("claims", shadow, 1, 0.001, client=client, champion=True)
        guard.took("claims", shadow, 1, 0.05, client=client)

    assert ["it takes 50 ms a row, the champion 1 ms"] == dropped


def children_of(process: int) -> list[int]:
    """Return the processes that answer copies for a process."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and is_running(int(entry.name)):
            with suppress(OSError):
                parent = int(Path(entry.path, "stat").read_text().rpartition(")")[2].split()[1])
                command = Path(entry.path, "cmdline").read_bytes()
                if parent == process and b"linewright.serve.models.shadow" in command:
                    found.append(int(entry.name))
    return found


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
