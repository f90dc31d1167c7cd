"""The Python client: what the endpoint says, as values and errors."""

import socket
import threading
from contextlib import closing
from datetime import date

import pytest

import linewright
from linewright.client import Client
from linewright.errors import Conflict, NotFound, RequestError, Terminal, Transient

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
