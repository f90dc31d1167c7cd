"""Tensors as bytes: another project's client works as it is, and each mistake is refused with its place."""

import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import InferenceServerException

from linewright.errors import RequestError
from linewright.serve.http import oip_binary
from linewright.serve.http.oip_binary import HEADER

INFER = "/v2/models/claims/infer"
ROWS = [
    {"Age": 41, "Amount": 12.5, "Insured": True, "Make": "Fiat", "opened": "2026-03-01"},
    {"Age": 17, "Amount": 3.0, "Insured": False, "Make": "Škoda", "opened": "2020-12-31"},
]


@pytest.fixture(scope="module")
def served(tmp_path_factory, claims_at, endpoint_at):
    """One endpoint with a line of two classes and one of numbers."""
    state = tmp_path_factory.mktemp("factory") / ".linewright"
    claims_at(state)
    claims_at(state, line="cost", task="regression")
    endpoint = endpoint_at(state)
    yield endpoint
    endpoint.close()


@pytest.fixture
def client(served):
    """Give the client of Triton, unchanged."""
    with triton.InferenceServerClient("{}:{}".format(*served.address)) as client:
        yield client


def inputs(shape=(2,), **settings):
    """Return the rows as that client's tensors."""
    made = []
    for name, datatype, dtype in (
        ("Age", "INT64", np.int64),
        ("Amount", "FP32", np.float32),
        ("Insured", "BOOL", np.bool_),
        ("Make", "BYTES", np.object_),
        ("opened", "BYTES", np.object_),
    ):
        made.append(triton.InferInput(name, list(shape), datatype))
        made[-1].set_data_from_numpy(
            np.array([row[name] for row in ROWS], dtype=dtype).reshape(shape), **settings
        )
    return made


def test_the_client_of_another_project_reads_what_is_served(client):
    """Server, models and whether they are ready."""
    model = client.get_model_metadata("claims")

    assert (True, True) == (client.is_server_live(), client.is_server_ready())
    assert (True, True, False) == tuple(
        client.is_model_ready(*model) for model in (("claims",), ("claims", "1"), ("nobody",))
    )
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert ["Age", "Amount", "Insured", "Make", "opened"] == [each["name"] for each in model["inputs"]]


def test_the_client_of_another_project_shows_what_is_wrong(client):
    """It shows `error` and nothing else."""
    unknown = triton.InferInput("Aeg", [1], "INT64")
    unknown.set_data_from_numpy(np.array([41]))

    with pytest.raises(InferenceServerException, match=r"contract has no such column.*did you mean 'Age'"):
        client.infer("claims", [unknown])


@pytest.mark.parametrize("settings", [{}, {"binary_data": False}])
@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_the_client_of_another_project_gets_the_answer_that_rows_get(served, client, settings, shape):
    """With its defaults, which are bytes both ways, and with JSON."""
    expected = served.predict(*ROWS)["predictions"]
    answer = client.infer("claims", inputs(shape, **settings), request_id="mine")
    shares = [list(each["probabilities"].values()) for each in expected]

    assert "mine" == answer.get_response()["id"]
    assert [each["prediction"].encode() for each in expected] == answer.as_numpy("prediction").tolist()
    assert shares == answer.as_numpy("probabilities").tolist()
    assert {7} == {int(chr(each[14])) for each in answer.as_numpy("id")}
    assert ["No", "Yes"] == answer.get_output("probabilities")["parameters"]["classes"]


def test_each_output_may_be_asked_for_in_its_own_form(client):
    """Its own parameter decides, else the request's."""
    wanted = [triton.InferRequestedOutput("id", binary_data=False), triton.InferRequestedOutput("prediction")]
    answer = client.infer("claims", inputs(), model_version="1", outputs=wanted)

    assert ["id", "prediction"] == [each["name"] for each in answer.get_response()["outputs"]]
    assert [True, False] == ["data" in each for each in answer.get_response()["outputs"]]
    assert (2,) == answer.as_numpy("prediction").shape == answer.as_numpy("id").shape


def test_numbers_come_as_bytes_too(served, client):
    """Predictions of a regression, with their intervals."""
    expected = served.predict(*ROWS, line="cost")["predictions"]
    answer = client.infer("cost", inputs())

    assert [each["prediction"] for each in expected] == answer.as_numpy("prediction").tolist()
    assert [each["interval"][:2] for each in expected] == answer.as_numpy("interval").tolist()


def tensor(name, datatype, data: bytes, /, *, n=1, **more):
    """Return a tensor and its bytes."""
    return {
        "name": name,
        "datatype": datatype,
        "shape": [n],
        "parameters": {"binary_data_size": len(data)},
    } | more, data


AGE = tensor("Age", "INT64", struct.pack("<q", 41))
MAKE = tensor("Make", "BYTES", b"\x04\x00\x00\x00Fiat")


def ask(served, *tensors, length=0, more=b"", **headers):
    """Ask for tensors as bytes; `length` is added to what the header says."""
    text = json.dumps({"inputs": [each for each, _ in tensors]}).encode()
    body = text + b"".join(data for _, data in tensors) + more
    headers = {"Content-Type": "application/octet-stream", HEADER: str(len(text) + length), **headers}
    return served.ask("POST", INFER, body, **headers)


@pytest.mark.parametrize(
    ("tensors", "settings", "where"),
    [
        ([AGE, MAKE], {}, None),
        ([tensor("Age", "INT64", b"\0" * 7)], {}, "inputs[Age].parameters.binary_data_size"),
        ([tensor("Age", "INT64", b"\0" * 8, n=2)], {}, "inputs[Age].parameters.binary_data_size"),
        ([AGE, tensor("Insured", "BOOL", b"\2")], {}, "inputs[Insured].data[0]"),
        ([AGE, tensor("Amount", "FP64", struct.pack("<d", float("nan")))], {}, "inputs[Amount].data[0]"),
        ([AGE, tensor("Amount", "FP32", struct.pack("<f", float("inf")))], {}, "inputs[Amount].data[0]"),
        ([AGE, tensor("Amount", "BF16", b"\0\0")], {}, "inputs[Amount].datatype"),
        ([tensor("Age", "UINT64", b"\xff" * 8)], {}, "inputs[Age].data[0]"),
        ([tensor("Age", "FP64", struct.pack("<d", 41.5))], {}, "inputs[Age].data[0]"),
        ([AGE, tensor("Make", "BYTES", b"\x05\0\0\0Fiat")], {}, "inputs[Make].data[0]"),
        ([AGE, tensor("Make", "BYTES", b"\x04\0\0")], {}, "inputs[Make].data[0]"),
        ([AGE, tensor("Make", "BYTES", b"\xff\xff\xff\xff")], {}, "inputs[Make].data[0]"),
        ([AGE, tensor("Make", "BYTES", b"")], {}, "inputs[Make].data[0]"),
        ([AGE, tensor("Make", "BYTES", b"\1\0\0\0\xff")], {}, "inputs[Make].data[0]"),
        ([AGE, tensor("Make", "BYTES", b"\1\0\0\0a\0")], {}, "inputs[Make].parameters.binary_data_size"),
        ([AGE], {"more": b"\0"}, "body"),
        ([AGE], {"length": 100}, HEADER),
        ([AGE], {HEADER: "-1"}, HEADER),
        ([AGE], {HEADER: "0x10"}, HEADER),
        ([AGE], {HEADER: "9" * 30}, HEADER),
        ([AGE], {HEADER: ""}, HEADER),
        ([tensor("Age", "INT64", AGE[1], parameters={})], {}, "inputs[Age]"),
        ([tensor("Age", "INT64", AGE[1], data=[41])], {}, "inputs[Age]"),
        (
            [tensor("Age", "INT64", AGE[1], parameters={"binary_data_size": -1})],
            {},
            "inputs[Age].parameters.binary_data_size",
        ),
        (
            [tensor("Age", "INT64", AGE[1], parameters={"binary_data_size": 9})],
            {},
            "inputs[Age].parameters.binary_data_size",
        ),
        (
            [tensor("Age", "INT64", AGE[1], parameters={"binary_data_size": True})],
            {},
            "inputs[Age].parameters.binary_data_size",
        ),
        (
            [tensor("Age", "INT64", AGE[1], parameters={"binary_data_size": 8.0})],
            {},
            "inputs[Age].parameters.binary_data_size",
        ),
        (
            [tensor("Age", "INT64", AGE[1], parameters={"shared_memory_region": "mine"})],
            {},
            "inputs[Age].parameters",
        ),
        ([tensor("Fuel", "INT64", b"\0" * 8)], {}, "inputs[Fuel]"),
    ],
)
def test_each_mistake_in_bytes_is_refused_with_its_place(served, tensors, settings, where):
    """Nothing is guessed, and nothing left over."""
    status, _, answer = ask(served, *tensors, **settings)

    assert (200, 422)[where is not None] == status, answer
    assert where == answer.get("where")


def test_a_header_within_the_json_is_refused_as_broken_json(served):
    """What is before it is no JSON then."""
    status, _, answer = ask(served, AGE, length=-3)

    assert (400, True) == (status, answer["where"].startswith("byte"))


def test_a_size_without_the_header_is_told_what_is_lacking(served):
    """The next step of whoever writes a client."""
    status, _, answer = served.ask("POST", INFER, {"inputs": [AGE[0]]})

    assert (422, True) == (status, HEADER in answer["hint"])


@pytest.mark.parametrize(
    "body",
    [
        {"parameters": {"binary_data_output": 1}},
        {"outputs": [{"name": "id", "parameters": {"binary_data": "yes"}}]},
        {"outputs": [{"name": "id", "parameters": {"classification": 2}}]},
        {"outputs": [{"name": "id", "parameters": {"shared_memory_region": "x"}}]},
    ],
)
def test_a_form_of_outputs_that_is_not_here_is_refused(served, body):
    """It would be answered in another form than was asked for."""
    age = {"name": "Age", "shape": [1], "datatype": "INT64", "data": [41]}

    assert 422 == served.ask("POST", INFER, {"inputs": [age], **body})[0]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (INFER, {"Content-Type": ""}, 200),
        (INFER, {"Content-Type": "text/plain"}, 415),
        (INFER, {"Content-Type": "", "Origin": "http://evil.example", "Host": "localhost"}, 403),
        (INFER, {"Content-Type": "", "Sec-Fetch-Site": "cross-site", "Host": "localhost"}, 403),
        ("/v1/lines/claims/predict", {"Content-Type": ""}, 415),
        ("/v1/lines/claims/predict", {"Content-Type": "application/octet-stream"}, 415),
    ],
)
def test_only_tensors_may_come_without_a_type_and_not_from_a_page(served, path, headers, status):
    """The protocol's clients send none; what a browser sends without one says where it is from."""
    age = {"name": "Age", "shape": [1], "datatype": "INT64", "data": [41]}
    body = json.dumps({"inputs": [age]} if path == INFER else {"rows": [{"Age": 41}]}).encode()

    assert status == served.ask("POST", path, body, **headers)[0]


@pytest.mark.parametrize("binary", [True, False])
def test_columns_that_nobody_knows_do_not_fill_the_memory(served, binary):
    """Ten megabytes of small values would be hundreds of megabytes of rows."""
    peak = peak_of(served)
    n, tensors = 10_000, 900
    many = [tensor(f"c{number}", "INT8", b"\1" * n, n=n) for number in range(tensors)]
    if binary:
        status, _, answer = ask(served, *many)
    else:
        data = {"datatype": "INT8", "shape": [n // 2], "data": [1] * (n // 2)}
        inputs = [{"name": each["name"], **data} for each, _ in many]
        text = json.dumps({"inputs": inputs}, separators=(",", ":")).encode()
        status, _, answer = served.ask("POST", INFER, text)

    assert (422, "inputs[c0]") == (status, answer["where"])
    assert 150 > peak_of(served) - peak


def peak_of(served) -> float:
    """Return the peak of its resident memory, in MB."""
    lines = Path(f"/proc/{served.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


KINDS = {
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}


@given(st.sampled_from(sorted(KINDS)), st.integers(1, 9), st.data())
def test_numbers_are_read_as_the_protocol_says(datatype, n, data):
    """Law: what `struct` packs little-endian is what is read, as plain numbers of Python."""
    size = struct.calcsize(KINDS[datatype])
    blob = data.draw(st.binary(min_size=n * size, max_size=n * size))
    found = oip_binary.values(memoryview(blob), datatype, n, "x")

    assert blob == struct.pack(f"<{n}{KINDS[datatype]}", *found) or any(map(math.isnan, found))
    assert {type(each) for each in found} <= {int, float}


@given(st.lists(st.text(max_size=5), min_size=1, max_size=6))
def test_texts_survive_the_way_there_and_back(texts):
    """Law: what an output packs is what an input reads."""
    output = {"name": "id", "datatype": "BYTES", "shape": [len(texts)], "data": texts}
    response = oip_binary.to_response({"outputs": [output]}, [True])
    length = int(response.headers[HEADER])

    assert texts == oip_binary.values(memoryview(response.body)[length:], "BYTES", len(texts), "x")


@given(st.binary(max_size=40), st.integers(1, 4))
def test_any_bytes_are_texts_or_refused(blob, n):
    """Law: there is no third way out, and a length beyond the end is never read."""
    try:
        found = oip_binary.values(memoryview(blob), "BYTES", n, "inputs[x]")
    except RequestError as error:
        found = [error.where.startswith("inputs[x]")] * n

    assert n == len(found)
