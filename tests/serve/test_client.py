"""The Python client: what the endpoint says, as values and errors."""

import socket
import threading
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

import linewright
from linewright.client import Client
from linewright.errors import Conflict, NotFound, RequestError, Terminal, Transient

pytestmark = pytest.mark.usefixtures("processes")

ROW = {
    "Age": 41,
    "Amount": 12.5,
    "Insured": True,
    "Make": "Fiat",
    "opened": date(2026, 3, 1),
    "PolicyNumber": 7,
}


@pytest.fixture(scope="module")
def address(tmp_path_factory, claims_at, endpoint_at):
    state = tmp_path_factory.mktemp("factory") / ".linewright"
    claims_at(state)
    endpoint = endpoint_at(state)
    yield "http://{}:{}".format(*endpoint.address)
    endpoint.close()


@pytest.fixture
def client(address):
    with linewright.Client(address) as opened:
        yield opened


def test_rows_are_answered_and_the_truth_is_kept(client):
    """What a program does with a model, in three calls."""
    answer = client.predict("claims", [ROW, {"Age": 17, "Amount": float("nan")}])
    first, second = answer.predictions
    kept = client.feedback("claims", [{"id": first.id, "label": "Yes"}, {"key": "nobody", "label": "No"}])

    assert ("claims@1", "buffered") == (answer.model, answer.durability)
    assert ("Yes", "7", 0.4) == (first.prediction, first.key, first.threshold)
    assert 1 == pytest.approx(sum(second.probabilities.values()))
    assert (1, 0, 1) == (kept.accepted, kept.repeated, kept.unknown)
    assert "labels[1]" == kept.unknown_first[0]["where"]


class Stamp(datetime):
    """A time as pandas has it: a kind of datetime."""


class NAType:
    """What pandas has for no value."""


class Records:
    """A table that gives its rows as pandas does."""

    def __init__(self, *rows):
        self.rows, self.columns = rows, list(rows[0])

    def to_dict(self, orient="dict"):
        return list(self.rows) if orient == "records" else {}


NUMPY = {
    "Age": np.int64(41),
    "Amount": np.float32(12.5),
    "Insured": np.bool_(True),
    "Make": np.str_("Fiat"),
    "opened": np.datetime64("2026-03-01", "D"),
    "PolicyNumber": np.int32(7),
}


@pytest.mark.parametrize(
    "rows",
    [
        [NUMPY],
        [{**NUMPY, "opened": np.datetime64("2026-03-01T00:00:00", "ns")}],
        [{**NUMPY, "opened": Stamp(2026, 3, 1), "Amount": Decimal("12.5")}],
        Records({**NUMPY, "opened": Stamp(2026, 3, 1)}),
        pl.DataFrame([ROW]),
        pl.DataFrame([ROW]).to_arrow(),
    ],
)
def test_rows_may_come_as_notebooks_have_them(client, rows):
    """Whoever holds a DataFrame must not write a loop first, nor learn what a numpy scalar is."""
    plain = client.predict("claims", [ROW]).predictions[0]
    (asked,) = client.predict("claims", rows).predictions

    assert (plain.prediction, plain.probabilities, plain.key) == (
        asked.prediction,
        asked.probabilities,
        asked.key,
    )
    assert plain.warnings == asked.warnings


def test_every_spelling_of_no_value_is_none(client):
    """Each library has its own."""
    missing = [None, float("nan"), np.float64("nan"), NAType()]
    answers = client.predict("claims", [{"Age": 17, "Amount": one} for one in missing]).predictions

    assert 1 == len({one.probabilities["Yes"] for one in answers})


def test_labels_may_be_a_table(client):
    asked = client.predict("claims", [{**ROW, "PolicyNumber": f"t-{number}"} for number in range(2)])
    labels = pl.DataFrame({"id": [one.id for one in asked.predictions], "label": ["Yes", "No"]})

    assert 2 == client.feedback("claims", labels).accepted


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (float("inf"), r"rows\[1\]\.Amount: not a finite number: found 'inf'"),
        (np.float32("-inf"), "not a finite number"),
        (object(), "the client cannot send a object"),
    ],
)
def test_what_json_has_no_form_for_is_refused_before_it_is_sent(client, value, says):
    """Infinity would be written as null, and answered as a missing value without a word."""
    with pytest.raises(RequestError, match=says):
        client.predict("claims", [ROW, {**ROW, "Amount": value}])


def test_an_answer_may_be_wanted_durably(client):
    assert "durable" == client.predict("claims", [ROW], durable=True).durability


def test_labels_that_are_sent_again_under_their_key_get_the_same_answer(client):
    (one,) = client.predict("claims", [{**ROW, "PolicyNumber": "k-1"}]).predictions
    labels = [{"id": one.id, "label": "No"}]

    first = client.feedback("claims", labels, idempotency_key="batch-1")

    assert first == client.feedback("claims", labels, idempotency_key="batch-1")
    assert 1 == first.accepted


def test_which_model_serves_is_said(client):
    assert "claims@1" == client.model("claims")


def test_a_schema_says_what_a_row_is(client):
    assert "Age" in client.schema("claims")["properties"]


@pytest.mark.parametrize(
    ("ask", "kind", "where"),
    [
        (lambda client: client.predict("claims", [ROW, {"Age": "old"}]), RequestError, "rows[1].Age"),
        (lambda client: client.predict("../claims", [ROW]), NotFound, "/v1/lines/../claims/predict"),
        (
            lambda client: client.feedback("claims", [{"key": 7, "label": "perhaps"}]),
            RequestError,
            "labels[0].label",
        ),
    ],
)
def test_a_refusal_is_raised_as_the_error_that_it_is(client, ask, kind, where):
    with pytest.raises(kind) as caught:
        ask(client)

    assert where == caught.value.where


def test_a_contradiction_is_a_conflict(client):
    (one,) = client.predict("claims", [{**ROW, "PolicyNumber": "c-1"}]).predictions
    client.feedback("claims", [{"id": one.id, "label": "No"}])

    with pytest.raises(Conflict):
        client.feedback("claims", [{"id": one.id, "label": "Yes"}])


def test_an_idle_connection_that_was_closed_is_opened_again(client):
    """An endpoint closes it after some seconds; a program that asks now and then must not see that."""
    client.predict("claims", [ROW])
    client._connection.sock.shutdown(socket.SHUT_RDWR)

    assert "Yes" == client.predict("claims", [ROW]).predictions[0].prediction


def test_where_nothing_listens_trying_again_may_help():
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Transient, match="cannot be reached"):
            Client(f"http://127.0.0.1:{taken.getsockname()[1]}").predict("claims", [ROW])


def test_what_is_no_endpoint_is_named():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def answer() -> None:
            connection = server.accept()[0]
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with (
            Client(f"http://127.0.0.1:{server.getsockname()[1]}") as client,
            pytest.raises(Terminal, match="no endpoint of Linewright"),
        ):
            client.predict("claims", [ROW])
        thread.join()


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://"])
def test_an_address_is_one_of_http(address):
    with pytest.raises(RequestError, match="not an address"):
        Client(address)
