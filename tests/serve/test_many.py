"""Requests of many rows: logged together, each row answered and found as if it had come alone."""

import json

import pytest

import linewright
from linewright.serve.feedback.store import Feedback
from linewright.serve.http.predict import MANY
from linewright.serve.log.records import count_of
from linewright.serve.log.segments import read_frames, read_log

PREDICT = "/v1/lines/claims/predict"
ROW = {"Age": 41, "Amount": 12.5, "Insured": True, "Make": "Fiat", "opened": "2026-03-01", "PolicyNumber": 7}
ROWS = [{**ROW, "Age": 20 + number % 40, "PolicyNumber": number} for number in range(300)]
FEW = MANY - 1


def counts(claims) -> list[int]:
    """Return how many records each frame of the log holds."""
    return [count_of(frame.payload) for frame in read_frames(claims.state / "log" / "claims")]


def logged(claims) -> dict:
    return {one.record.id: one.record for one in read_log(claims.state / "log" / "claims")}


def told(answer: dict) -> list[tuple]:
    return [(one["key"], one["prediction"], one["probabilities"]) for one in answer["predictions"]]


def test_they_are_answered_and_logged_as_rows_that_come_alone(claims, start):
    """Whether many rows come at once is the client's affair."""
    endpoint = start(claims.state)
    together = endpoint.predict(*ROWS)
    in_parts = [endpoint.predict(*ROWS[at : at + FEW]) for at in range(0, len(ROWS), FEW)]
    records = logged(claims)

    assert [300, *[1] * 300] == counts(claims)
    assert told(together) == [one for part in in_parts for one in told(part)]
    assert len(records) == 600
    for answer in (together, *in_parts):
        for one in answer["predictions"]:
            record = records[one["id"]]
            assert ROWS[int(one["key"])] == record.row
            assert (one["key"], one["probabilities"], one["threshold"]) == (
                record.key,
                record.answer["probabilities"],
                record.threshold,
            )
            assert (1, claims.models[1], "champion", None) == (
                record.model,
                record.digest,
                record.arm,
                record.unit,
            )


def test_a_few_rows_are_logged_one_by_one(claims, start):
    endpoint = start(claims.state)
    endpoint.predict(*ROWS[:FEW])
    endpoint.predict(*ROWS[:MANY])

    assert [*[1] * FEW, MANY] == counts(claims)


@pytest.mark.parametrize("n", [MANY, 300], ids=["small", "large"])
@pytest.mark.parametrize(
    "first",
    [
        {**ROW, "Age": " 41"},
        {**ROW, "Make": 3},
        {**ROW, "Insured": "yes"},
        {**ROW, "Age": 41.0, "opened": None},
    ],
    ids=["refused", "a number for a text", "a text for a boolean", "usual"],
)
def test_an_unusual_row_among_them_is_answered_or_refused_as_it_is_alone(claims, start, first, n):
    endpoint = start(claims.state)
    alone, _, said = endpoint.ask("POST", PREDICT, {"rows": [first]})
    status, _, answer = endpoint.ask("POST", PREDICT, {"rows": [*ROWS[: n - 1], first]})

    assert alone == status
    if status == 200:
        assert said["predictions"][0]["probabilities"] == answer["predictions"][-1]["probabilities"]
        assert [1, n] == counts(claims)
    else:
        assert answer["where"] == f"rows[{n - 1}].Age"
        assert [] == counts(claims)


def test_one_that_has_to_be_durable_or_is_explained_says_so_in_each_record(claims, start):
    endpoint = start(claims.state)
    body = {"rows": ROWS[:50], "durable": True}
    _, _, durable = endpoint.ask("POST", PREDICT, body)
    refused, _, _ = endpoint.ask("POST", PREDICT, {"rows": ROWS, "explain": True})

    assert "durable" == durable["durability"]
    assert {"durable"} == {one.durability for one in logged(claims).values()}
    assert 422 == refused
    assert [50] == counts(claims)


def test_rows_are_logged_one_by_one_while_a_candidate_is_tried(claims, start):
    """Each has its unit and its arm."""
    claims.make(2)
    claims.point(1, canary=2, salt="s")
    endpoint = start(claims.state)
    endpoint.wait_for(lambda: '"canary"' in endpoint.said())
    endpoint.predict(*ROWS)

    assert [1] * 300 == counts(claims)
    assert {"champion", "canary"} == {one.arm for one in logged(claims).values()}


def test_labels_by_id_and_by_key_find_them(claims, start):
    """Through a restart, which forgets what the process had in memory."""
    first = start(claims.state)
    answer = first.predict(*ROWS)
    ids = [one["id"] for one in answer["predictions"]]
    assert 0 == first.stop()
    endpoint = start(claims.state)
    with linewright.Client("http://{}:{}".format(*endpoint.address)) as client:
        by_id = client.feedback("claims", [{"id": one, "label": "No"} for one in ids[:100]])
        by_key = client.feedback("claims", [{"key": number, "label": "Yes"} for number in range(100, 200)])
        again = client.feedback("claims", [{"key": number, "label": "No"} for number in range(100)])
    labels = Feedback.of(claims.state, "claims")
    found = [labels.find(one) for one in ids]

    assert (100, 100, 100) == (by_id.accepted, by_key.accepted, again.repeated)
    assert [ROWS[number] for number in range(300)] == [record.row for record, _ in found]
    assert [*["No"] * 100, *["Yes"] * 100, *[None] * 100] == [truth and truth.label for _, truth in found]
    assert (300, 200) == labels.counts()
    assert [] == labels.audit().wrong


def test_what_a_client_writes_around_its_rows_is_kept(claims, start):
    """The log has what was received."""
    endpoint = start(claims.state)
    body = (
        json.dumps({"durable": False, "rows": ROWS[:20]}, indent=2).replace('"rows"', '"r\\u006fws"').encode()
    )
    status, _, answer = endpoint.ask("POST", PREDICT, body)
    (frame,) = read_frames(claims.state / "log" / "claims")

    assert 200 == status
    assert body in frame.payload
    assert ROWS[:20] == [logged(claims)[one["id"]].row for one in answer["predictions"]]
