"""The data plane from outside: every route, and everything that a client can get wrong."""

import gzip
import http.client
import json
import math
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewright.model.facts import Limit
from linewright.model.package.model import load
from linewright.serve.log.segments import read_log
from linewright.serve.rows.scorer import Scorer

PREDICT = "/v1/lines/claims/predict"
INFER = "/v2/models/claims/infer"
FEEDBACK = "/v1/lines/claims/feedback"
ROW = {"Age": 41, "Amount": 12.5, "Insured": True, "Make": "Fiat", "opened": "2026-03-01", "PolicyNumber": 7}


@pytest.fixture(scope="module")
def served(tmp_path_factory, claims_at, endpoint_at):
    """One endpoint for the tests that leave no trace: a line `claims`, a line without a model, a halted line."""
    state = tmp_path_factory.mktemp("factory") / ".linewright"
    claims = claims_at(state)
    for line in ("empty", "halted"):
        other = claims_at(state, line=line)
        other.point(None if line == "empty" else 1, halt=line == "halted")
    (state.parent / "lines").mkdir()
    (state.parent / "lines" / "declared.yaml").write_text("line: declared\n")
    endpoint = endpoint_at(state, body_deadline_s=0.7, head_deadline_s=0.7)
    endpoint.claims = claims
    yield endpoint
    endpoint.close()


def probability(row) -> float:
    """Compute the hand-made model by hand: softmax of (0, z)."""
    make = {"Ford": 2, "Fiat": 3, None: 1}.get(row.get("Make"), 0)
    month = int(row["opened"][5:7]) if row.get("opened") else 0
    x = [row["Age"], row.get("Amount") or 0, row.get("Insured") or 0, make, month]
    z = float(np.dot(x, (0.05, -0.01, 0.5, 0.3, 0.02))) + (-2.0 + 1 / 10)
    return 1 / (1 + math.exp(-z))


def test_an_answer_has_the_documented_form(served):
    """Programs rely on it."""
    answer = served.predict(ROW, {"Age": 17})
    first, second = answer["predictions"]

    assert {"model", "digest", "durability", "predictions"} == set(answer)
    assert ("claims@1", served.claims.models[1], "buffered") == (
        answer["model"],
        answer["digest"],
        answer["durability"],
    )
    assert {"id", "key", "prediction", "probabilities", "threshold"} == set(first)
    assert {"id", "prediction", "probabilities", "threshold"} == set(second)
    assert ("7", "7") == (first["key"], first["id"][14])
    assert "Yes" == first["prediction"]
    assert pytest.approx(probability(ROW), abs=1e-6) == first["probabilities"]["Yes"]
    assert pytest.approx(probability({"Age": 17}), abs=1e-6) == second["probabilities"]["Yes"]


def test_one_row_many_rows_and_batch_scoring_give_the_same_bits(served):
    """The endpoint and batch scoring are one path; a row's answer does not depend on its neighbours."""
    rows = [{"Age": 16 + number % 80, "Amount": number / 7, "Make": "Ford"} for number in range(500)]
    many = served.predict(*rows)["predictions"]
    scorer = Scorer(load(served.claims.models[1], served.claims.artifacts.get))

    assert scorer.score(rows) == [
        {name: part for name, part in each.items() if name != "id"} for each in many
    ]
    assert [scorer.score([row])[0] for row in rows[:20]] == scorer.score(rows)[:20]


def test_every_answer_is_in_the_log_with_what_was_asked(served):
    """Each answer can be recomputed from the log."""
    row = {**ROW, "PolicyNumber": "p-1", "Fraud": "Yes"}
    answer = served.predict(row)["predictions"][0]
    record = next(
        each.record for each in read_log(served.state / "log" / "claims") if each.record.id == answer["id"]
    )

    assert (1, "claims", 1, 1, "p-1") == (
        record.version,
        record.line,
        record.model,
        record.generation,
        record.key,
    )
    assert (row, served.claims.models[1], 0.4) == (record.row, record.digest, record.threshold)
    assert {name: answer[name] for name in ("prediction", "probabilities", "threshold")} == record.answer
    assert ("champion", "endpoint", "buffered") == (record.arm, record.via, record.durability)
    assert record.at.endswith("Z")


def test_an_answer_that_is_asked_for_durably_says_so_and_so_does_its_record(served):
    """By either protocol; who does not ask for it does not pay for it."""
    body = {"rows": [{**ROW, "PolicyNumber": "d-1"}], "durable": True}
    one = served.ask("POST", PREDICT, body)[2]
    tensor = {"name": "Age", "datatype": "INT64", "shape": [1], "data": [41]}
    two = served.ask("POST", INFER, {"inputs": [tensor], "parameters": {"durable": True}})[2]
    ids = {one["predictions"][0]["id"], two["outputs"][-1]["data"][0]}
    records = [each.record for each in read_log(served.state / "log" / "claims") if each.record.id in ids]

    assert ("durable", "durable") == (one["durability"], two["parameters"]["durability"])
    assert ["durable", "durable"] == [each.durability for each in records]


def test_a_durability_that_is_no_truth_value_is_refused(served):
    tensor = {"name": "Age", "datatype": "INT64", "shape": [1], "data": [41]}
    one, _, why = served.ask("POST", PREDICT, {"rows": [ROW], "durable": "yes"})
    two, _, also = served.ask("POST", INFER, {"inputs": [tensor], "parameters": {"durable": 1}})

    assert (422, "durable") == (one, why["where"])
    assert (422, "parameters.durable") == (two, also["where"])


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/", {"lines": ["claims", "empty", "halted"]}),
        (
            "/v2",
            {
                "name": "linewright",
                "extensions": [
                    "binary_tensor_data",
                    "null-data",
                    "id-output",
                    "durable-parameter",
                    "explain-parameter",
                ],
            },
        ),
        ("/v2/health", {"live": True, "ready": True}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/claims", {"name": "claims", "versions": ["1"]}),
        ("/v2/models/claims/ready", {"name": "claims", "ready": True}),
        ("/v2/models/claims/versions/1", {"name": "claims", "versions": ["1"]}),
        ("/v2/models/claims/versions/1/ready", {"name": "claims", "ready": True}),
        ("/v1/lines/claims/schema", {"title": "A row of claims@1", "required": ["Age"]}),
    ],
)
def test_what_can_be_read(served, path, part):
    """The protocol's routes, and ours."""
    status, _, answer = served.ask("GET", path)
    head, headers, nothing = served.ask("HEAD", path)

    assert 200 == status
    assert part == {name: answer[name] for name in part}
    assert (200, "") == (head, nothing)
    assert "json" in headers["content-type"]


def test_tensors_give_the_same_answer_as_rows(served):
    """The protocol is another spelling of the same request."""
    rows = [
        ROW,
        {"Age": 17, "Amount": None, "Insured": None, "Make": None, "opened": None, "PolicyNumber": None},
    ]
    kinds = {"Age": "INT64", "Amount": "FP64", "Insured": "BOOL", "Make": "BYTES", "opened": "BYTES"}
    flat = [
        {
            "name": name,
            "shape": [2],
            "datatype": kinds.get(name, "INT32"),
            "data": [row[name] for row in rows],
        }
        for name in ROW
    ]
    nested = [{**tensor, "shape": [2, 1], "data": [[value] for value in tensor["data"]]} for tensor in flat]
    expected = served.predict(*rows)["predictions"]
    for inputs, path in ((flat, INFER), (nested, "/v2/models/claims/versions/1/infer")):
        status, _, answer = served.ask("POST", path, {"id": "mine", "inputs": inputs})
        outputs = {output["name"]: output for output in answer["outputs"]}

        assert (200, "mine", "claims", "1") == (
            status,
            answer["id"],
            answer["model_name"],
            answer["model_version"],
        )
        assert served.claims.models[1] == answer["parameters"]["digest"]
        assert [each["prediction"] for each in expected] == outputs["prediction"]["data"]
        assert [p for each in expected for p in each["probabilities"].values()] == outputs["probabilities"][
            "data"
        ]
        assert ([2, 2], ["No", "Yes"]) == (
            outputs["probabilities"]["shape"],
            outputs["probabilities"]["parameters"]["classes"],
        )
        assert 2 == len(set(outputs["id"]["data"]))


def test_only_the_outputs_that_are_asked_for_are_given(served):
    """As the protocol says."""
    inputs = [{"name": "Age", "shape": [1], "datatype": "INT8", "data": [41]}]
    _, _, answer = served.ask(
        "POST", INFER, {"inputs": inputs, "outputs": [{"name": "id"}, {"name": "prediction"}]}
    )

    assert ["id", "prediction"] == [output["name"] for output in answer["outputs"]]


AGE = {"name": "Age", "shape": [1], "datatype": "INT64", "data": [41]}


@pytest.mark.parametrize(
    ("inputs", "where"),
    [
        ([], "inputs"),
        ([AGE, AGE], "inputs"),
        ([{**AGE, "shape": [2]}], "inputs[Age]"),
        ([{**AGE, "shape": [1, 2]}], "inputs[Age].shape"),
        ([{**AGE, "shape": []}], "inputs[Age].shape"),
        ([{**AGE, "shape": [-1]}], "inputs[Age].shape"),
        ([{**AGE, "shape": [0], "data": []}], "inputs[Age].shape"),
        ([{**AGE, "shape": [10**9]}], "inputs[Age].shape"),
        ([{**AGE, "shape": [1, 1], "data": [[1, 2]]}], "inputs[Age].data[0]"),
        ([{**AGE, "datatype": "INT8", "data": [128]}], "inputs[Age].data[0]"),
        ([{**AGE, "datatype": "UINT8", "data": [-1]}], "inputs[Age].data[0]"),
        ([{**AGE, "datatype": "BOOL"}], "inputs[Age].data[0]"),
        ([{**AGE, "datatype": "FLOAT"}], "inputs[Age].datatype"),
        ([{**AGE, "data": [None]}], "inputs[Age].data[0]"),
        ([AGE, {"name": "Fuel", "shape": [1], "datatype": "BYTES", "data": ["gas"]}], "inputs[Fuel]"),
        ([AGE, {"name": "Make", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}], "inputs[Make]"),
    ],
)
def test_a_wrong_tensor_is_refused_with_its_place(served, inputs, where):
    """A client of the protocol gets the same care."""
    status, _, answer = served.ask("POST", INFER, {"inputs": inputs})

    assert (422, where) == (status, answer["where"])


@pytest.mark.parametrize("outputs", [[{"name": "loss"}], [{"name": "id"}, {"name": "id"}]])
def test_an_output_that_is_not_there_is_refused_before_anything_is_computed(served, outputs):
    """And none twice: an answer's size is bounded by its request's."""
    status, _, answer = served.ask("POST", INFER, {"inputs": [AGE], "outputs": outputs})

    assert (422, "outputs") == (status, answer["where"])


def rows(*values):
    return {"rows": list(values)}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "where"),
    [
        ("GET", "/nowhere", None, 404, "/nowhere"),
        ("GET", "/v1/lines/claims", None, 404, "/v1/lines/claims"),
        ("GET", "/" + "a" * 5000, None, 404, None),
        ("POST", "/v1/lines/nobody/predict", rows(ROW), 404, ""),
        ("POST", "/v1/lines/..%2F..%2Fetc/predict", rows(ROW), 404, None),
        ("GET", "/v2/models/claims/versions/2", None, 404, "claims"),
        ("POST", "/v2/models/claims/versions/2/infer", rows(), 404, "claims"),
        ("GET", PREDICT, None, 405, PREDICT),
        ("DELETE", PREDICT, None, 405, PREDICT),
        ("POST", "/metrics", rows(), 405, "/metrics"),
        ("POST", PREDICT, b"", 400, "byte 0"),
        ("POST", PREDICT, b'{"rows": [', 400, "byte 10"),
        ("POST", PREDICT, b'{"rows": [1}', 400, "byte 11"),
        ("POST", PREDICT, b'{"rows": [{"Age": NaN}]}', 400, "byte 18"),
        ("POST", PREDICT, b'{"rows": [{"Age": Infinity}]}', 400, "byte 18"),
        ("POST", PREDICT, b"{'rows': []}", 400, "byte 1"),
        ("POST", PREDICT, b'{"rows": []} x', 400, None),
        ("POST", PREDICT, b'\xff\xfe{"rows"', 400, None),
        ("POST", PREDICT, b'{"rows": [{"Make": "\xff"}]}', 400, "byte 20"),
        ("POST", PREDICT, b"[" * 100_000, 422, "body"),
        ("POST", PREDICT, b'{"rows": [{"Make": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]}", 400, "body"),
        ("POST", PREDICT, [], 422, "body"),
        ("POST", PREDICT, 5, 422, "body"),
        ("POST", PREDICT, {}, 422, "body"),
        ("POST", PREDICT, {"rows": {}}, 422, "rows"),
        ("POST", PREDICT, {"rows": []}, 422, "rows"),
        ("POST", PREDICT, {"rows": [1]}, 422, "rows[0]"),
        ("POST", PREDICT, {"rows": [ROW], "extra": 1}, 422, "body"),
        ("POST", PREDICT, {"rows": [ROW], "explain": "yes"}, 422, "explain"),
        ("POST", PREDICT, {"rows": [ROW], "explain": True}, 422, "explain"),
        ("POST", PREDICT, rows(ROW, {}), 422, "rows[1].Age"),
        ("POST", PREDICT, rows(ROW, {"Age": None}), 422, "rows[1].Age"),
        ("POST", PREDICT, rows({"Age": "41"}), 422, "rows[0].Age"),
        ("POST", PREDICT, rows({"Age": 41.5}), 422, "rows[0].Age"),
        ("POST", PREDICT, rows({"Age": 2**63}), 422, "rows[0].Age"),
        ("POST", PREDICT, rows({"Age": 10**1000}), 422, "rows[0].Age"),
        ("POST", PREDICT, b'{"rows": [{"Age": 1}, {"Age": 1, "Amount": 1e999}]}', 422, "rows[1].Amount"),
        ("POST", PREDICT, b'{"rows": [{"Age": 1, "PolicyNumber": 1e999}]}', 422, "rows[0].PolicyNumber"),
        ("POST", PREDICT, rows({"Age": 1, "Insured": "perhaps"}), 422, "rows[0].Insured"),
        ("POST", PREDICT, rows({"Age": 1, "Make": ["Fiat"]}), 422, "rows[0].Make"),
        ("POST", PREDICT, rows({"Age": 1, "Make": "x" * 70_000}), 422, "rows[0].Make"),
        ("POST", PREDICT, rows({"Age": 1, "opened": "31.12.2026"}), 422, "rows[0].opened"),
        ("POST", PREDICT, rows({"Age": 1, "Fuel": "gas"}), 422, "rows[0].Fuel"),
        ("POST", PREDICT, rows({"Age": 1, "PolicyNumber": {}}), 422, "rows[0].PolicyNumber"),
        ("POST", PREDICT, rows(*[{"Age": 1}] * 10_001), 422, "rows"),
        ("POST", FEEDBACK, {"labels": [{"id": "x", "label": "Maybe"}]}, 422, "labels[0].label"),
        ("POST", FEEDBACK, {"labels": []}, 422, "labels"),
        ("POST", FEEDBACK, {"label": []}, 422, "body"),
        ("POST", INFER, {"inputs": [{"name": "Age"}]}, 422, "inputs[0]"),
        ("POST", INFER, {"inputs": 5}, 422, "inputs"),
    ],
)
def test_a_wrong_request_is_refused_with_its_place(served, method, path, body, status, where):  # noqa: PLR0917
    """Nothing that a client sends is answered by 5xx, and each refusal says what and where."""
    found, headers, answer = served.ask(method, path, body)

    assert status == found, answer
    assert {"error", "message", "where"} <= set(answer)
    assert where in (None, answer["where"])
    assert (status == 405) == ("allow" in headers)


@pytest.mark.parametrize(
    ("path", "body", "hint"),
    [
        (PREDICT, rows({"Age": "41"}), 'send 41, not "41"'),
        (PREDICT, rows({"Age": 1, "Amount": " 12.50 "}), 'send 12.50, not "12.50"'),
        (PREDICT, rows({"Age": True}), "send 1, not true"),
        (PREDICT, rows({"Age": "old"}), ""),
        (PREDICT, rows({"Age": 1, "Insured": "perhaps"}), "send true or false, without quotes"),
        (PREDICT, rows({"Age": 1, "opened": "31.12.2026"}), 'send it as ISO 8601, e.g. "2026-01-31"'),
        (PREDICT, ROW, 'leave it out; send {"rows": [{"COLUMN": VALUE, ...}]}'),
        (PREDICT, [ROW], 'send {"rows": [{"COLUMN": VALUE, ...}]}'),
        (PREDICT, b"{'rows': []}", 'send {"rows": [{"COLUMN": VALUE, ...}]}'),
        (FEEDBACK, {"label": "Yes"}, "did you mean 'labels'?"),
        (FEEDBACK, {"labels": 3}, 'send {"labels": [{"id": "ID of the answer", "label": VALUE}]}'),
        (
            INFER,
            rows(ROW),
            'send {"inputs": [{"name": "COLUMN", "datatype": "FP64", "shape": [1], "data": [VALUE]}, ...]}',
        ),
    ],
)
def test_a_refusal_shows_the_right_form(served, path, body, hint):
    """Whoever has seen it need not look for the page that says it."""
    assert hint == served.ask("POST", path, body)[2]["hint"]


def test_a_value_beyond_the_contract_or_the_model_is_answered_with_a_warning(tmp_path, claims_at, start):
    """The answer is a guess there, and whoever decides by it should know."""
    claims = claims_at(tmp_path / ".linewright")
    claims.limits = (
        Limit(column="Age", min=16, max=110),
        Limit(column="Make", allowed=("Ford", "Fiat", "Seat")),
        Limit(column="Amount", min=0.0),
    )
    claims.point(1)
    endpoint = start(claims.state)
    said = endpoint.predict(
        ROW,
        {"Age": 16, "Amount": 0, "Make": None},
        {"Age": 111, "Amount": -0.5, "Make": "Ford"},
        {"Age": 15, "Make": "Opel"},
        {"Age": 110, "Make": " Seat "},
    )["predictions"]

    assert [
        None,
        None,
        [
            "Age: 111 is above what the contract allows, 110",
            "Amount: -0.5 is below what the contract allows, 0",
        ],
        [
            "Age: 15 is below what the contract allows, 16",
            "Make: 'Opel' is not a value that the contract allows",
        ],
        ["Make: ' Seat ' is new to the model, or was too rare to learn from"],
    ] == [each.get("warnings") for each in said]


def test_a_row_without_a_readable_time_is_told_that_the_time_of_the_answer_counts(tmp_path, claims_at, start):
    """It decides whether the row trains or tests, so nobody should learn of it from a split."""
    claims = claims_at(tmp_path / ".linewright")
    claims.limits = (Limit(column="at", is_time=True),)
    claims.point(1)
    endpoint = start(claims.state)
    times = [{"at": "2026-03-01T10:00:00Z"}, {}, {"at": None}, {"at": ""}, {"at": "yesterday"}, {"at": 7}]
    said = endpoint.predict(*({**ROW, **time} for time in times))["predictions"]
    schema = endpoint.ask("GET", "/v1/lines/claims/schema")[2]["properties"]

    assert [
        None,
        *[["at: no value, so the time of the answer counts"]] * 3,
        ["at: 'yesterday' cannot be read, so the time of the answer counts"],
        ["at: 7 cannot be read, so the time of the answer counts"],
    ] == [each.get("warnings") for each in said]
    assert ["string", "null"] == schema["at"]["type"]
    assert "when it happened; the time of the answer counts without it" == schema["at"]["description"]
    assert "the model does not use it" in schema["Fraud"]["description"]


def test_what_no_training_row_had_is_warned_of_also_where_the_model_reads_nothing_of_it(claims):
    """A value that nothing was learned about makes the answer a guess, whether it is new or missing."""
    model = load(claims.models[1], claims.artifacts.get)
    complete = [Limit(column=name, is_complete=True) for name in ("Amount", "Make", "opened")]
    scorer = Scorer(model, (*complete, Limit(column="Fraud", seen=("No",))))
    whole = {"Age": 20, "Amount": 1.0, "Make": "Ford", "opened": "2026-03-01"}
    rows = [
        whole,
        {**whole, "Insured": None, "Fraud": "No"},
        {**whole, "Amount": None},
        {**whole, "Make": " "},
        {"Age": 20, "Amount": 1.0, "Make": "Ford"},
        {**whole, "Fraud": "Perhaps"},
    ]
    none = "no value, and no training row was without one"

    assert {
        2: [f"Amount: {none}"],
        3: [f"Make: {none}"],
        4: [f"opened: {none}"],
        5: ["Fraud: 'Perhaps' is new to the model, or was too rare to learn from"],
    } == scorer.warnings(scorer.encode(scorer.read(rows)), rows)


def test_values_that_the_model_knows_and_the_contract_does_not_allow_are_warned_of(claims):
    """A contract that only warns lets them into training."""
    model = load(claims.models[1], claims.artifacts.get)
    scorer = Scorer(model, (Limit(column="Make", allowed=("Fiat",)),))
    rows = [{"Age": 20, "Make": "Ford"}, {"Age": 20, "Make": "Fiat"}, {"Age": 20, "Make": ""}]
    x = scorer.encode(scorer.read(rows))

    assert {0: ["Make: 'Ford' is not a value that the contract allows"]} == scorer.warnings(x, rows)


@pytest.mark.parametrize(
    ("headers", "status", "where"),
    [
        ({"Host": "rebound.example:8000"}, 403, "Host"),
        ({"Host": "127.0.0.1.example"}, 403, "Host"),
        ({"Host": ""}, 403, "Host"),
        ({"Host": "localhost", "Origin": "http://evil.example"}, 403, "Origin"),
        ({"Host": "localhost:8000", "Origin": "http://localhost:3000"}, 403, "Origin"),
        ({"Host": "localhost", "Origin": "null"}, 403, "Origin"),
        ({"Host": "localhost", "Sec-Fetch-Site": "cross-site"}, 403, "Origin"),
        (
            {"Host": "localhost:8000", "Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"},
            200,
            None,
        ),
        ({"Host": "[::1]:8000"}, 200, None),
        ({"Host": "localhost", "Sec-Fetch-Site": "none"}, 200, None),
    ],
)
def test_a_page_of_another_site_gets_nothing(served, headers, status, where):
    """The endpoint trusts whoever can reach it, so a browser that a stranger steers must not."""
    found, _, answer = served.ask("POST", PREDICT, rows(ROW), **headers)

    assert (status, where) == (found, answer.get("where"))


def test_a_name_that_is_not_ours_may_not_even_read(served):
    """A page that rebinds its name to this machine would read answers as its own."""
    assert 403 == served.ask("GET", "/v2/models/claims", Host="rebound.example")[0]


def test_a_program_that_names_no_host_is_answered(served):
    """Health checks of proxies speak HTTP/1.0; a browser never does."""
    assert raw(served, b"GET /v2/health/live HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/csv"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Content-Type": "Application/JSON"}, 200),
    ],
)
def test_only_plain_json_is_read(served, headers, status):
    """Also keeps forms of other sites from posting here."""
    body = json.dumps(rows(ROW)).encode()
    content = gzip.compress(body) if "Content-Encoding" in headers else body

    assert status == served.ask("POST", PREDICT, content, **headers)[0]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit_is_refused(served, chunked):
    """With a stated length and without; the client can still read why."""
    connection = http.client.HTTPConnection(*served.address, timeout=30)
    size = 11 * 2**20
    body = iter([b"x" * 2**20] * 11) if chunked else b"x" * size
    connection.request(
        "POST", PREDICT, body=body, headers={"Content-Type": "application/json"}, encode_chunked=chunked
    )
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()

    assert (413, "body") == (answer.status, said["where"])


def raw(served, data: bytes, *, wait_s: float = 5.0) -> bytes:
    """Send bytes and return all that comes back until the endpoint hangs up."""
    with socket.create_connection(served.address, timeout=wait_s) as connection:
        connection.sendall(data)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


HEAD = b"POST /v1/lines/claims/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def test_a_client_that_waits_for_leave_to_send_is_refused_at_once(served):
    """It need not send what would be thrown away."""
    answer = raw(served, HEAD + b"Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 413")


def test_a_body_that_does_not_come_is_refused_at_the_deadline(served):
    """A slow client holds neither memory nor a connection for ever; the deadline is absolute."""
    begun = time.monotonic()
    with socket.create_connection(served.address, timeout=5) as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        for _ in range(4):
            connection.sendall(b" ")
            time.sleep(0.2)
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 408")
    assert 3 > time.monotonic() - begun


@pytest.mark.parametrize(
    ("first", "status"), [(b"", b""), (b"GET /a", b"HTTP/1.1 408"), (b"\r\n", b"HTTP/1.1 408")]
)
def test_a_head_that_does_not_come_is_refused_at_the_deadline(served, first, status):
    """A byte now and then, also between requests, does not hold a connection."""
    before = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for opening in (b"", before) if first else (b"",):
        begun = time.monotonic()
        with socket.create_connection(served.address, timeout=5) as connection:
            connection.sendall(opening)
            before_it = b""
            while opening and not before_it.endswith(b"}"):
                before_it += connection.recv(65536)
            connection.sendall(first)
            time.sleep(0.3)
            connection.sendall(b"X" if first.startswith(b"GET") else first)
            answer = connection.recv(65536)

        assert answer.startswith(status)
        assert 3 > time.monotonic() - begun


def answer_on(connection: socket.socket) -> bytes:
    """Return one whole answer, which is a JSON object."""
    answer = b""
    while not answer.endswith(b"}}"):
        part = connection.recv(65536)
        assert part, answer
        answer += part
    return answer


def test_a_request_that_is_answered_before_its_body_came_costs_no_connection(served):
    """The rest of a body is no head of another request: its deadline and its size have nothing to do with it."""
    head = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    with socket.create_connection(served.address, timeout=5) as connection:
        for size in (7, 200_000, 7):
            connection.sendall(head % size)
            answer = answer_on(connection)
            connection.sendall(b"x" * size)
            time.sleep(1.0)  # longer than a head may take here

            assert answer.startswith(b"HTTP/1.1 404")
        connection.sendall(head % 7)
        answer_on(connection)
        connection.sendall(b"x")

        assert b"" == connection.recv(
            65536
        )  # a body whose rest never comes is waited for no longer than a head


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-A: " + b"a" * 200_000,
        b"GET / HTTP/1.1\r\n" + b"X-A: a\r\n" * 20_000,
        HEAD + b"Connection: close\r\nContent-Length: 18446744073709551615\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_and_the_connection_closed(served, data):
    """With a 4xx, and no trace in the process."""
    answer = raw(served, data)

    assert answer.startswith(b"HTTP/1.1 4")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["rows", "explain", "inputs", "labels", "Age", "Make", "name", "id"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from([PREDICT, INFER, FEEDBACK]),
    value=st.dictionaries(
        st.sampled_from(["rows", "inputs", "labels", "explain"]), st.lists(JSON, max_size=3)
    )
    | JSON,
    cut=st.none() | st.integers(0, 40),
)
def test_nothing_that_a_client_sends_is_answered_by_5xx(served, path, value, cut):
    """Law: any body is answered by 200 or 4xx, in JSON."""
    body = json.dumps(value).encode()
    status, _, answer = served.ask("POST", path, body if cut is None else body[:cut])

    assert status == 200 or (400 <= status < 500 and answer["message"])


def test_requests_on_one_connection_are_answered_in_order(served):
    """Pipelining is part of HTTP/1.1."""
    one = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = raw(served, one * 3 + last)

    assert 3 == answer.count(b"HTTP/1.1 200")
    assert answer.rindex(b"HTTP/1.1 404") > answer.rindex(b"HTTP/1.1 200")


def test_a_line_without_a_model_says_what_to_run(served):
    """Declared or pointed at, it is not an error of the client."""
    for line in ("empty", "declared"):
        status, headers, answer = served.ask("POST", f"/v1/lines/{line}/predict", rows(ROW))

        assert (503, "2") == (status, headers["retry-after"])
        assert f"linewright run {line}" in answer["message"]


def test_a_halted_line_says_that_a_person_halted_it(served):
    """It is no outage, and the way back is named; labels are still taken."""
    status, headers, answer = served.ask("POST", "/v1/lines/halted/predict", rows(ROW))
    infer, _, _ = served.ask("POST", "/v2/models/halted/infer", {"inputs": [AGE]})
    ready, _, _ = served.ask("GET", "/v2/models/halted/ready")
    labels, _, counts = served.ask(
        "POST", "/v1/lines/halted/feedback", {"labels": [{"key": "a", "label": "Yes"}]}
    )

    assert (503, 503, 503) == (status, infer, ready)
    assert "a person halted this line" in answer["message"]
    assert "retry-after" in headers
    assert (200, 1) == (labels, counts["unknown"])


def test_feedback_through_the_endpoint_keeps_the_laws(served):
    """Once, never against itself, and the same answer for the same idempotency key."""
    first, second = (each["id"] for each in served.predict(ROW, {"Age": 5})["predictions"])
    body = {"labels": [{"id": first, "label": "Yes"}, {"id": second, "label": "No"}]}

    assert (200, {"accepted": 2, "repeated": 0, "unknown": 0}) == served.ask(
        "POST", FEEDBACK, body, **{"Idempotency-Key": "one"}
    )[::2]
    assert {"accepted": 2, "repeated": 0, "unknown": 0} == served.ask(
        "POST", FEEDBACK, body, **{"Idempotency-Key": "one"}
    )[2]
    assert {"accepted": 0, "repeated": 2, "unknown": 0} == served.ask("POST", FEEDBACK, body)[2]
    other = {"labels": [{"id": first, "label": "No"}]}
    status, _, answer = served.ask("POST", FEEDBACK, other)
    reused, _, _ = served.ask("POST", FEEDBACK, other, **{"Idempotency-Key": "one"})

    assert (409, True) == (status, first in answer["message"])
    assert 409 == reused


def test_large_requests_do_not_hold_up_small_ones(served):
    """Large ones are computed beside the loop."""
    large = json.dumps(rows(*[ROW] * 10_000)).encode()

    def ask_large(_):
        connection = http.client.HTTPConnection(*served.address, timeout=30)
        connection.request("POST", PREDICT, body=large, headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, len(json.loads(body)["predictions"])

    with ThreadPoolExecutor(3) as pool:
        answers = pool.map(ask_large, range(3))
        time.sleep(0.05)
        slowest = 0.0
        for _ in range(20):
            begun = time.perf_counter()
            served.predict(ROW)
            slowest = max(slowest, time.perf_counter() - begun)

        assert [(200, 10_000)] * 3 == list(answers)
    assert 2.0 > slowest


def test_metrics_name_lines_versions_and_statuses_only(served):
    """What a client sends never becomes a label, or a scanner would fill the memory of the monitoring."""
    served.predict(ROW)
    served.ask("GET", "/v1/lines/<script>/schema")
    served.ask("POST", PREDICT, rows({}))
    status, headers, text = served.ask("GET", "/metrics")
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    named = dict(line.rsplit(" ", 1) for line in samples)

    assert (200, True) == (status, headers["content-type"].startswith("text/plain; version=0.0.4"))
    assert "script" not in text
    assert 1 <= int(named['linewright_requests_total{line="claims",version="1",status="200"}'])
    assert 1 <= int(named['linewright_requests_total{line="claims",version="1",status="422"}'])
    assert 1 <= int(named['linewright_requests_total{line="",version="",status="404"}'])
    assert served.claims.models[1] in next(name for name in named if name.startswith("linewright_model_info"))
    assert "1" == named['linewright_halted{line="halted"}']
    assert 0 < int(named['linewright_log_bytes{line="claims"}'])
    buckets = [
        int(count)
        for name, count in named.items()
        if name.startswith('linewright_request_seconds_bucket{line="claims",version="1"')
    ]
    assert sorted(buckets) == buckets
    assert str(buckets[-1]) == named['linewright_request_seconds_count{line="claims",version="1"}']


def test_the_endpoint_does_not_say_what_it_is_made_of(served):
    """No server header."""
    _, headers, _ = served.ask("GET", "/")

    assert headers["server"] is None


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_the_other_tasks_answer_in_their_form(tmp_path, claims_at, start, task):
    """A class with its probabilities, or a number with its interval; labels are checked by the task."""
    endpoint = start(claims_at(tmp_path / ".linewright", task=task).state)
    answer = endpoint.predict(ROW)["predictions"][0]
    _, _, tensors = endpoint.ask("POST", INFER, {"inputs": [AGE]})
    wrong, _, _ = endpoint.ask("POST", FEEDBACK, {"labels": [{"id": answer["id"], "label": "Yes"}]})
    right, _, _ = endpoint.ask(
        "POST", FEEDBACK, {"labels": [{"id": answer["id"], "label": answer["prediction"]}]}
    )

    assert (422, 200) == (wrong, right)
    if task == "multiclass":
        assert ["a", "b", "c"] == list(answer["probabilities"])
        assert "threshold" not in answer
        assert ["prediction", "probabilities", "id"] == [output["name"] for output in tensors["outputs"]]
    else:
        assert [answer["prediction"] - 2.5, answer["prediction"] + 2.5, 0.9] == answer["interval"]
        assert ["prediction", "interval", "id"] == [output["name"] for output in tensors["outputs"]]
