"""Both servers do what their OpenAPI documents say: what these allow, what they forbid, and what is at their limits is asked on loopback."""

import importlib.util
import random
from collections.abc import Mapping
from pathlib import Path

import claims
import httpx
import pytest
from api_fuzz import misfits
from control import control_here

from linewright import errors
from linewright.interfaces.http.app import control_app
from linewright.interfaces.http.describe import RESPONSES
from linewright.interfaces.http.expensive import DEADLINE_S, Expensive
from linewright.interfaces.http.replies import SqliteReplies
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline
from linewright.model.tasks import links
from linewright.operations.declare import load
from linewright.operations.table import OPERATIONS
from linewright.serve.access.accounts import Grant, Member
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.change_accounts import change, new_token, with_member, with_token
from linewright.serve.http import openapi
from linewright.store.clock import now_utc

spec = importlib.util.spec_from_file_location(
    "made_by_hand", Path(__file__).parents[1] / "serve" / "conftest.py"
)
assert spec is not None
assert spec.loader is not None
hand = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hand)

TRAINS = {"POST /api/v1/run", "POST /api/v1/retrain"}
"""They answer when their runs have ended: no schema says when that is."""
PUMPS = """\
line: pumps
sources: {s: {file: history.csv}}
table: {key: key}
label: {column: hours, event: failed}
train: {task: survival, budget: quick, folds: 2, split: {by: random}}
gates: [{metric: concordance, at_least: 0.5}]
"""
NEVER = "2999-01-01T00:00:00.000000Z"
MADE_UP = 3
"""Requests for each operation, beside those at the limits of its schema."""


@pytest.fixture
def examples(request) -> int:
    """Say how many requests are made up for each operation: `--most-examples` beyond those of `make test` asks for more."""
    most = request.config.getoption("most_examples") or 20
    return MADE_UP if most <= 20 else most // 2


def member_token(state: Path, role: str) -> dict[str, str]:
    """Return the header of a member's token."""
    now = now_utc()
    grant = Grant(role=role)
    change(state, with_member("ada", Member(created=now, grants=(grant,))))
    made = new_token(name="fuzz", grant=grant, member="ada", created=now, expires=NEVER)
    change(state, with_token(made))
    return {"Authorization": f"Bearer {made.token}"}


def cost(operation) -> bool:
    return operation.expensive or operation.waits


@pytest.mark.parametrize(("role", "apart"), [("engineer", False), ("admin", True)])
def test_the_control_plane_does_what_its_document_says(tmp_path, examples, role, apart):
    """No unforeseen error, no undocumented status, form or header, nothing accepted that is forbidden, nothing without a token.

    What is expensive is carried out here by one of the two, since a process for each of thousands of requests would take an hour; the
    other has the routes of files, which are there with such processes alone.
    """
    root = tmp_path / "factory"
    with claims.make(root, rows=40) as factory:
        headers = member_token(factory.state, role)
    app = control_app(
        lambda asked: Factory.open(root, identity=asked),
        OPERATIONS,
        authenticator=Authenticator(state=root / ".linewright"),
        expensive=Expensive(root, report=lambda _: None) if apart else None,
        root=root,
        replies=SqliteReplies(root / ".linewright" / "replies.sqlite"),
    )
    loaded = [load(name, OPERATIONS) for name in OPERATIONS]
    without = {f"{one.method} {one.path}" for one in loaded if cost(one)} if apart else TRAINS
    with control_here(root, app) as up:
        document = up_document(up.control, headers)
        url = f"http://127.0.0.1:{up.control}"
        found, asked = misfits(
            document, url, examples=examples, timeout_s=DEADLINE_S, headers=headers, without=without
        )
    known = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}

    assert not found, "\n".join(found)
    assert known - without == set(asked)


def up_document(port: int, headers: dict[str, str]) -> dict:
    return httpx.get(f"http://127.0.0.1:{port}/openapi.json", headers=headers).json()


@pytest.mark.usefixtures("processes")
def test_the_endpoint_does_what_its_document_says(tmp_path, examples):
    """As the control plane, with a line of two classes and one of numbers, and a member's token that is needed."""
    state = tmp_path / ".linewright"
    for line, task in (("claims", "binary"), ("cost", "regression")):
        made = hand.Claims(state, line=line)
        made.make(1, task=task)
        made.point(1)
    found, asked = endpoint_misfits(state, examples, "claims", "cost")

    assert not found, "\n".join(found)
    assert {"POST /v1/lines/claims/predict", "POST /v1/lines/cost/feedback"} <= set(asked)


@pytest.mark.usefixtures("processes")
def test_the_endpoint_of_a_line_of_times_does_what_its_document_says(tmp_path, examples):
    """Its answers are curves, explained in a unit of their own, and its labels are times with whether they ended."""
    root = tmp_path / "factory"
    (root / "lines").mkdir(parents=True)
    (root / "lines" / "pumps.yaml").write_text(PUMPS)
    chance = random.Random(5)
    rows = [
        (f"p{key}", heat := chance.gauss(0, 1), 120 * chance.weibullvariate(1, 1.5) / 2**heat, key % 3 > 0)
        for key in range(400)
    ]
    text = "\n".join(f"{key},{heat:.3f},{hours + 0.1:.1f},{ended:d}" for key, heat, hours, ended in rows)
    (root / "history.csv").write_text(f"key,heat,hours,failed\n{text}\n")
    with Factory.create(root) as factory:
        assert execute_inline(factory, "pumps").promoted

    found, asked = endpoint_misfits(root / ".linewright", examples, "pumps")

    assert not found, "\n".join(found)
    assert {"POST /v1/lines/pumps/predict", "POST /v1/lines/pumps/feedback"} <= set(asked)


def endpoint_misfits(state: Path, examples: int, *lines: str) -> tuple[list[str], Mapping[str, int]]:
    """Serve lines, ask for all that the document has, and return what misfits and what was asked for."""
    headers = member_token(state, "engineer")
    endpoint = hand.Endpoint(state, limits={"needs_token": True})
    try:
        document = endpoint.ask("GET", "/openapi.json", **headers)[2]
        return misfits(
            document,
            "http://{}:{}".format(*endpoint.address),
            examples=examples,
            timeout_s=60,
            headers=headers,
            # The model's version has the same schema as the model.
            without={f"POST /v2/models/{line}/versions/1/infer" for line in lines},
            is_excused=is_other_spelling,
        )
    finally:
        endpoint.close()


def is_other_spelling(operation: str, check: str, failure: Exception) -> bool:
    """Excuse values that are sent in another spelling than the schema of a row has.

    That is its plainest form, as the document says: a date may be in the format of the line file or blank for none, and a text may be what
    is spelled so, which no word of JSON Schema says.
    """
    return (
        check == "negative_data_rejection"
        and operation.endswith("/predict")
        and "in body - rows -> Array with invalid items" in str(failure)
    )


@pytest.mark.parametrize("method", ["TRACE", "PATCH", "DELETE", "PUT", "POST"])
def test_a_method_that_is_not_served_is_answered_405_with_those_that_are(tmp_path, method):
    """On both planes, whatever is sent with it: 415 said that another body would do."""
    root = tmp_path / "factory"
    with claims.make(root, rows=40) as factory:
        headers = member_token(factory.state, "engineer")
    app = control_app(
        lambda asked: Factory.open(root, identity=asked),
        OPERATIONS,
        authenticator=Authenticator(state=root / ".linewright"),
        root=root,
    )
    with control_here(root, app) as up:
        answer = httpx.request(method, f"http://127.0.0.1:{up.control}/api/v1/status", headers=headers)
    made = hand.Claims(tmp_path / "served" / ".linewright")
    made.make(1)
    made.point(1)
    endpoint = hand.Endpoint(made.state)
    try:
        status, told, _ = endpoint.ask(method, "/v1/lines/claims/schema")
    finally:
        endpoint.close()

    assert (405, "GET, HEAD") == (answer.status_code, answer.headers["allow"])
    assert (405, "GET, HEAD") == (status, told["allow"])


def test_each_status_that_an_error_has_is_in_the_document_of_the_control_plane():
    """An error class that is added is not forgotten in the document."""
    of_errors = {
        one.http_status
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, errors.LinewrightError)
    }

    assert {str(status) for status in of_errors} - {"500"} <= set(RESPONSES)


def test_the_units_of_explanations_are_those_that_models_have():
    """A line of times said `log-odds of the hazard`, which its document did not know."""
    said = openapi._EXPLAINED["score_unit"]["enum"]

    assert {one.unit for one in vars(links).values() if isinstance(one, links.Link)} == set(said)


def test_what_takes_long_says_how_long():
    """Whoever waits for `doctor` or `predict-job` knows when to give up, and that `retrain` waits for its run."""
    document = control_app(lambda _: None, OPERATIONS, authenticator=Authenticator("t" * 55)).openapi()
    paths = document["paths"]

    assert DEADLINE_S == paths["/api/v1/doctor"]["get"]["x-deadline-s"]
    assert DEADLINE_S == paths["/api/v1/predict-job"]["post"]["x-deadline-s"]
    assert paths["/api/v1/retrain"]["post"]["x-waits-for-runs"]
    assert "401" in paths["/api/v1/doctor"]["get"]["responses"]
