"""A canary answers its share of the units and harms nobody: where it fails, the champion answers."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from math import sqrt

import pytest
from msgspec.structs import replace

import linewright
from linewright.model.facts import RequestColumn
from linewright.model.package.model import Golden
from linewright.release.facts import Arm
from linewright.serve.log.segments import read_log
from linewright.serve.models.canary import ALONE_FAILURES, ALONE_S, SAMPLE, Evidence, Guard, is_canary
from linewright.serve.models.canary_failure import trouble_with
from linewright.serve.models.state import Canary
from linewright.store.values import canonical_json

ROW = {"Age": 41, "Amount": 12.5, "Insured": True, "Make": "Fiat", "opened": "2026-03-01", "PolicyNumber": 7}
TAKEN_OVER_S = 3.0


def of(policy: int) -> dict:
    return {**ROW, "PolicyNumber": policy}


def models(answer: dict) -> list[str]:
    return [one.get("model", answer["model"]) for one in answer["predictions"]]


@pytest.fixture
def tried(claims, start):
    """Start an endpoint where claims@2 is a canary for a quarter of the policies."""
    claims.make(2)
    claims.point(1, canary=2, salt="s")
    endpoint = start(claims.state)
    endpoint.wait_for(lambda: said(endpoint, "canary"))
    return endpoint


def said(endpoint, event: str) -> list[dict]:
    told = [json.loads(line) for line in endpoint.said().splitlines()]
    return [one for one in told if one["event"] == event]


def test_a_canary_answers_its_share_and_a_unit_stays_with_its_model(claims, tried):
    """20,000 policies, each asked for twice: the share is as wanted with 99.9 % confidence, and no policy flips."""
    first, again = [], []
    for start in range(0, 20_000, 500):
        rows = [of(policy) for policy in range(start, start + 500)]
        for told in (first, again):
            status, _, answer = tried.ask("POST", "/v1/lines/claims/predict", {"rows": rows})
            assert 200 == status
            told.extend(models(answer))
    logged = [one.record for one in read_log(claims.state / "log" / "claims")]

    assert abs(first.count("claims@2") - 5_000) < 3.29 * sqrt(20_000 * 0.25 * 0.75)
    assert first == again
    assert {("champion", 1, claims.models[1]), ("canary", 2, claims.models[2])} == {
        (one.arm, one.model, one.digest) for one in logged
    }
    assert [f"claims@{one.model}" for one in logged[:500]] == first[:500]
    assert all(one.unit == one.key for one in logged)


def test_each_answer_names_the_model_that_gave_it(tried):
    """One row, or rows of both: the digest is that of the package that answers so."""
    single = [tried.predict(of(policy)) for policy in range(40)]
    with linewright.Client("http://{}:{}".format(*tried.address)) as client:
        typed = client.predict("claims", [of(policy) for policy in range(40)])
    _, _, mixed = tried.ask(
        "POST", "/v1/lines/claims/predict", {"rows": [of(policy) for policy in range(40)]}
    )

    assert {"claims@1", "claims@2"} == {one["model"] for one in single}
    assert [one["model"] for one in single] == models(mixed)
    assert models(mixed) == [one.model or typed.model for one in typed.predictions]
    assert [one["digest"] for one in single] == [
        one.get("digest", mixed["digest"]) for one in mixed["predictions"]
    ]
    assert [one["predictions"][0]["probabilities"] for one in single] == [
        one["probabilities"] for one in mixed["predictions"]
    ]
    assert "claims@1" == mixed["model"]


def test_tensors_are_parted_too(tried):
    """Where two models answered, one output more says which."""
    policies = list(range(40))
    inputs = [
        {"name": name, "datatype": kind, "shape": [40], "data": [ROW[name]] * 40}
        for name, kind in (("Age", "INT64"), ("Amount", "FP64"), ("Insured", "BOOL"), ("Make", "BYTES"))
    ]
    inputs.append({"name": "PolicyNumber", "datatype": "INT64", "shape": [40], "data": policies})
    inputs.append({"name": "opened", "datatype": "BYTES", "shape": [40], "data": [ROW["opened"]] * 40})
    status, _, answer = tried.ask("POST", "/v2/models/claims/infer", {"inputs": inputs})
    outputs = {one["name"]: one for one in answer["outputs"]}

    assert (200, "1") == (status, answer["model_version"])
    assert [2 if is_canary("s", str(policy), 0.25) else 1 for policy in policies] == outputs["model_version"][
        "data"
    ]


def test_the_unit_can_be_another_column_and_a_row_without_one_is_left_to_chance(claims, start):
    claims.make(2)
    claims.point(1, canary=2, share=0.5, salt="s", unit="Make")
    endpoint = start(claims.state)
    endpoint.wait_for(lambda: said(endpoint, "canary"))
    rows = [{**of(i), "Make": make} for i in range(50) for make in ("Ford", "Fiat", None)]
    _, _, answer = endpoint.ask("POST", "/v1/lines/claims/predict", {"rows": rows})
    by_make = {make: set(models(answer)[i::3]) for i, make in enumerate(("Ford", "Fiat", None))}

    assert {1} == {len(by_make[make]) for make in ("Ford", "Fiat")}
    assert 2 == len(by_make[None])


def test_steps_a_promotion_and_a_withdrawal_under_load_fail_no_request(claims, tried):
    done = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(tried.ask_until, done) for _ in range(3)]
        for champion, canary in ((1, {"canary": 2, "share": 0.9}), (2, {}), (1, {"canary": 2}), (1, {})):
            claims.point(champion, salt="s", **canary)
            wanted = claims.generation
            tried.wait_for(
                lambda: tried.ask("GET", "/v2/health")[2]["lines"][0]["generation"] == wanted,  # noqa: B023
                TAKEN_OVER_S,
            )
        done.set()
        answers = [each for client in clients for each in client.result()]

    assert {200} == {status for status, _, _ in answers}
    assert {(f"claims@{version}", claims.models[version]) for version in (1, 2)} >= {
        (model, digest) for _, model, digest in answers
    }


def test_a_canary_that_refuses_what_the_champion_takes_is_dropped_and_nobody_notices(claims, start):
    """Its contract lacks a column that clients send."""
    claims.make(2, columns=tuple(column for column in claims.package.columns if column.name != "at"))
    claims.point(1, canary=2, share=0.99, salt="s")
    endpoint = start(claims.state)
    endpoint.wait_for(lambda: said(endpoint, "canary"))
    answers = []
    for policy in range(20):
        endpoint.come_from(policy % 2)
        answers.append(endpoint.predict({**of(policy), "at": "2026-03-02T10:00:00Z"}))
    wrong, _, _ = endpoint.ask("POST", "/v1/lines/claims/predict", {"rows": [{"Age": "old"}]})

    assert {"claims@1"} == {one["model"] for one in answers}
    assert 422 == wrong
    assert "rows[0].at: the contract has no such column" in (
        trouble_with(claims.state / "serving", "claims", claims.models[2]) or ""
    )
    assert ["claims"] == [one["line"] for one in said(endpoint, "canary-dropped")]


def test_one_client_cannot_end_a_canary_with_rows_that_only_it_sends(claims, start):
    """The candidate reads a number that the champion only carries, so the champion takes a boolean there. Others go on with it."""
    new = RequestColumn(name="Km", type="number", optional=True)
    first, second, *rest = claims.package.encoder.encodings
    encoder = replace(claims.package.encoder, encodings=(first, replace(second, column="Km"), *rest))
    untried = claims.artifacts.put(canonical_json(Golden(rows=(), predictions=())))
    claims.make(2, columns=(*claims.package.columns, new), encoder=encoder, golden=untried)
    claims.point(1, canary=2, share=0.5, salt="s", known=("Km",))
    endpoint = start(claims.state)
    endpoint.wait_for(lambda: said(endpoint, "canary"))
    seen = set()
    for policy in range(120):
        endpoint.come_from(2)
        assert "claims@1" == endpoint.predict({**of(policy), "Km": True})["model"]
        if policy % 10 == 0:
            endpoint.come_from(policy % 20 // 10)
            seen.add(endpoint.predict({**of(policy), "Km": 3.5})["model"])

    assert [] == said(endpoint, "canary-dropped")
    assert {"claims@1", "claims@2"} == seen
    assert None is trouble_with(claims.state / "serving", "claims", claims.models[2])


def test_what_the_champion_refuses_too_counts_for_neither(tried):
    """A boolean where a number stands is refused by both, whoever sends it and however often."""
    statuses = set()
    for policy in range(60):
        tried.come_from(policy % 3)
        rows = {"rows": [{**of(policy), "Amount": True}]}
        statuses.add(tried.ask("POST", "/v1/lines/claims/predict", rows)[0])

    assert {422} == statuses
    assert [] == said(tried, "canary-dropped")


def test_failures_count_by_client_and_as_a_share_of_what_the_others_send():
    """Whichever client is left out, the others must show the same; a mistake now and then is no trouble."""
    rare, often, many = Evidence(), Evidence(), Evidence()
    for number in range(1_000):
        for evidence in (rare, often):
            evidence.succeeded(f"client {number % 7}")
    flood = [many.failed("mallory") for _ in range(5_000)]

    assert not any(flood)
    assert [False] * 12 == [rare.failed(client) for client in ("ada",) * 5 + ("bob",) * 7]
    assert [False, False, True] == [many.failed("ada") for _ in range(3)]
    assert [True] == [often.failed(client) for client in ("ada", "bob") * 14][-1:]


def test_a_client_that_sends_all_requests_is_the_traffic():
    """A line with one client is guarded too, but not within the first minutes: others may be about to come."""
    seconds = [0.0]
    evidence = Evidence(lambda: seconds[0])
    early = [evidence.failed("ada") for _ in range(3 * ALONE_FAILURES)]
    seconds[0] = ALONE_S
    late = evidence.failed("ada")
    evidence.succeeded("bob")

    assert not any(early)
    assert late
    assert not evidence.failed("ada")


def test_a_canary_that_cannot_be_loaded_is_told_and_the_champion_serves(claims, start):
    claims.flip_a_bit(claims.make(2))
    claims.point(1, canary=2, share=0.99, salt="s")
    endpoint = start(claims.state)
    endpoint.wait_for(lambda: said(endpoint, "canary-dropped"))

    assert "claims@1" == endpoint.predict(ROW)["model"]
    assert "cannot be loaded: Corrupt" in (
        trouble_with(claims.state / "serving", "claims", claims.models[2]) or ""
    )
    assert None is trouble_with(claims.state / "serving", "claims", claims.models[1])


CANARY = Canary(arm=Arm(model=2, package="sha256:00"), scorer=None, salt="s", unit=None)  # type: ignore[arg-type]


def test_a_canary_that_is_much_slower_is_dropped():
    """Once both have answered several clients often enough; a little slower is no reason."""
    dropped: list[str] = []
    guard = Guard(lambda _line, _package, because: dropped.append(because))
    for seconds in (0.002, 0.05):
        for number in range(SAMPLE):
            client = f"client {number % 5}"
            guard.took("claims", CANARY, 1, 0.001, client=client, champion=True)
            guard.took("claims", CANARY, 1, seconds, client=client)

    assert ["it takes 50 ms a row, the champion 1 ms"] == dropped


@pytest.mark.parametrize("others", [0, 1, 7])
def test_no_client_alone_makes_a_canary_slow(others):
    """However many costly rows it sends to the candidate, and cheap ones to the champion, before others come or among them."""
    dropped: list[str] = []
    guard = Guard(lambda _line, _package, because: dropped.append(because), clock=lambda: 0.0)
    for number in range(20 * SAMPLE):
        guard.took("claims", CANARY, 1, 0.001, client="mallory", champion=True)
        guard.took("claims", CANARY, 1, 0.05, client="mallory")
        if others and number % 10 == 0:
            client = f"client {number // 10 % others}"
            guard.took("claims", CANARY, 1, 0.02, client=client, champion=True)
            guard.took("claims", CANARY, 1, 0.02, client=client)

    assert [] == dropped


def test_no_client_alone_hides_that_a_canary_is_slow():
    """Its rows that take no time are left out too."""
    dropped: list[str] = []
    guard = Guard(lambda _line, _package, because: dropped.append(because))
    for _ in range(SAMPLE):
        for _ in range(20):
            guard.took("claims", CANARY, 1, 0.001, client="mallory")
        for client in ("ada", "bob", "cyd"):
            guard.took("claims", CANARY, 1, 0.001, client=client, champion=True)
            guard.took("claims", CANARY, 1, 0.05, client=client)

    assert "it takes 50 ms a row, the champion 1 ms" in dropped


def test_a_client_that_sends_all_requests_finds_a_canary_slow_after_a_while():
    """A line with one client is guarded too."""
    dropped: list[str] = []
    seconds = [0.0]
    guard = Guard(lambda _line, _package, because: dropped.append(because), clock=lambda: seconds[0])
    for at in (0.0, ALONE_S):
        assert [] == dropped
        seconds[0] = at
        for _ in range(2 * SAMPLE):
            guard.took("claims", CANARY, 1, 0.001, client="ada", champion=True)
            guard.took("claims", CANARY, 1, 0.05, client="ada")

    assert ["it takes 50 ms a row, the champion 1 ms"] == dropped[:1]
