"""The data plane's description of itself: complete, true of what is answered, and bounded."""

from dataclasses import replace
from urllib.parse import unquote

import pytest

from linewright.model.facts import Package, RequestColumn
from linewright.model.package.model import Model, load
from linewright.release.facts import Arm
from linewright.serve.http import oip
from linewright.serve.http.app import _ROUTES
from linewright.serve.http.openapi import MOST_LINES, OPERATIONS, Document, to_openapi
from linewright.serve.http.predict import Body, Labels
from linewright.serve.models.state import Live
from linewright.serve.rows.scorer import Scorer

ROW = {"Age": 41, "Amount": 12.5, "Insured": True, "Make": "Fiat", "opened": "2026-03-01", "PolicyNumber": 7}
AGE = {"name": "Age", "shape": [1], "datatype": "INT64", "data": [41]}
TYPES = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}


def resolved(document, schema):
    """Follow references, as RFC 6901 says."""
    while "$ref" in schema:
        schema, path = document, schema["$ref"].removeprefix("#/").split("/")
        for part in path:
            schema = schema[unquote(part).replace("~1", "/").replace("~0", "~")]
    return schema


def misfits(document, schema, value, where="$"):
    """List where `value` is not what `schema` says, for the words of JSON Schema that our document uses."""
    schema = resolved(document, schema)
    found = []
    if "anyOf" in schema:
        fits = any(not misfits(document, each, value) for each in schema["anyOf"])
        return [] if fits else [f"{where}: {value!r} is none of the forms"]
    kinds = schema.get("type", list(TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not any(isinstance(value, TYPES[kind]) for kind in kinds):
        return [f"{where}: {value!r} is not {kinds}"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is not in {schema['enum']}")
    if isinstance(value, dict):
        found += [f"{where}: no {name}" for name in schema.get("required", ()) if name not in value]
        parts = schema.get("properties", {})
        found += [f"{where}: {name} is not described" for name in value if parts and name not in parts]
        for name in value.keys() & parts.keys():
            found += misfits(document, parts[name], value[name], f"{where}.{name}")
    if isinstance(value, list):
        for number, each in enumerate(value):
            found += misfits(document, schema.get("items", {}), each, f"{where}[{number}]")
    return found


def references(value):
    if isinstance(value, dict):
        yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


@pytest.fixture(scope="module")
def served(tmp_path_factory, claims_at, endpoint_at):
    """One endpoint: a line of two classes, one of numbers, one without a model."""
    state = tmp_path_factory.mktemp("factory") / ".linewright"
    claims_at(state)
    claims_at(state, line="cost", task="regression")
    claims_at(state, line="empty").point(None)
    endpoint = endpoint_at(state)
    yield endpoint
    endpoint.close()


@pytest.fixture
def live(claims):
    """Give a line as it is served."""
    scorer = Scorer(load(claims.models[1], claims.artifacts.get))
    return Live(line="claims", arm=Arm(model=1, package=claims.models[1]), generation=1, scorer=scorer)


def with_columns(live, *more):
    """Return a line whose model has further columns."""
    model = live.scorer.model
    parts = {name: getattr(model.package, name) for name in model.package.__struct_fields__}
    package = Package(**parts | {"columns": (*model.package.columns, *more)})
    return replace(live, scorer=Scorer(Model(package, digest=model.digest, graph=model._graph)))


def test_each_route_is_described_and_nothing_else():
    """A route that is added is not forgotten in the document."""
    described = {(operation.path, operation.method.upper()) for operation in OPERATIONS}

    assert {(path, method) for path, method, _, _ in _ROUTES} == described


def test_each_line_that_serves_is_described_with_its_own_columns(served):
    """Columns differ, so a path with a placeholder would say nothing about them."""
    status, headers, document = served.ask("GET", "/openapi.json")
    paths, schemas = document["paths"], document["components"]["schemas"]

    assert (200, "application/json", "3.1.0") == (status, headers["content-type"], document["openapi"])
    assert {"/v1/lines/claims/predict", "/v1/lines/cost/predict"} == {
        path for path in paths if path.endswith("/predict")
    }
    assert {"post"} == set(paths["/v2/models/claims/versions/1/infer"])
    assert not any("empty" in path or "{line}" in path for path in paths)
    assert served.ask("GET", "/v1/lines/claims/schema")[2] == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schemas["claims.Row"],
    }
    assert ["No", "Yes"] == schemas["claims.Class"]["enum"]
    assert "cost.Class" not in schemas
    identities = [each["operationId"] for path in paths.values() for each in path.values()]
    assert len(set(identities)) == len(identities)
    assert all(resolved(document, {"$ref": found}) for found in references(document))


def test_one_line_can_be_asked_for(served):
    """Where there are more lines than one document describes."""
    _, _, document = served.ask("GET", "/openapi.json?line=cost")

    assert "/v1/lines/cost/predict" in document["paths"]
    assert "/v1/lines/claims/predict" not in document["paths"]
    assert "/metrics" in document["paths"]


@pytest.mark.parametrize(
    ("query", "status", "where"),
    [
        ("line=nobody", 404, ""),
        ("line=empty", 503, "empty"),
        ("line=", 404, ""),
        ("lines=claims", 422, "query"),
        ("line=claims&line=cost", 422, "query"),
        ("line=claims&x", 422, "query"),
        ("a&b&c&d", 422, "query"),
        ("line=%ff%00", 404, ""),
    ],
)
def test_a_wrong_query_is_refused_with_its_place(served, query, status, where):
    """Like every other mistake of a client."""
    found, _, answer = served.ask("GET", f"/openapi.json?{query}")

    assert (status, where) == (found, answer["where"])


def test_answers_are_what_the_document_says(served):
    """Clients are generated from it."""
    document = served.ask("GET", "/openapi.json")[2]
    labels = {"labels": [{"id": "x", "label": "Yes"}, {"key": 9, "label": "No"}]}
    asked = [
        ("get", "/", None, 200),
        ("get", "/openapi.json", None, 200),
        ("get", "/v2", None, 200),
        ("get", "/v2/health", None, 200),
        ("get", "/v2/health/live", None, 200),
        ("get", "/v2/health/ready", None, 200),
        ("get", "/v2/models/claims", None, 200),
        ("get", "/v2/models/claims/ready", None, 200),
        ("get", "/v2/models/claims/versions/1", None, 200),
        ("get", "/v2/models/claims/versions/1/ready", None, 200),
        ("post", "/v2/models/claims/infer", {"inputs": [AGE], "id": "a"}, 200),
        ("post", "/v2/models/claims/versions/1/infer", {"inputs": [AGE]}, 200),
        ("post", "/v2/models/cost/infer", {"inputs": [AGE]}, 200),
        ("post", "/v1/lines/claims/predict", {"rows": [ROW, {"Age": 5}]}, 200),
        ("post", "/v1/lines/cost/predict", {"rows": [ROW]}, 200),
        ("post", "/v1/lines/claims/feedback", labels, 200),
        ("post", "/v1/lines/claims/predict", {"rows": [{}]}, 422),
        ("post", "/v1/lines/claims/predict", b"{", 400),
        ("post", "/v2/models/claims/infer", {"inputs": []}, 422),
    ]
    for method, path, body, expected in asked:
        status, headers, answer = served.ask(method.upper(), path, body)
        response = resolved(document, document["paths"][path][method]["responses"][str(status)])
        schema = response["content"][headers["content-type"]]["schema"]

        assert expected == status
        assert (path, []) == (path, misfits(document, schema, answer))


@pytest.mark.parametrize(
    ("part", "form"),
    [("Ask", Body), ("Labels", Labels), ("Infer", oip.Infer)],
)
def test_a_body_is_described_with_the_fields_of_its_form(live, part, form):
    """What a line says of a field is said of one that the reader knows."""
    schema = to_openapi({"claims": live})["components"]["schemas"][f"claims.{part}"]

    assert set(form.__struct_fields__) == set(schema["properties"])
    assert bool(form.__struct_config__.forbid_unknown_fields) == ("additionalProperties" in schema)


def test_the_document_is_bounded_and_its_first_line_is_always_there(live):
    """A factory of a thousand lines does not make a document that no tool opens."""
    many = {f"line-{number:04}": replace(live, line=f"line-{number:04}") for number in range(MOST_LINES + 5)}
    wide = with_columns(live, *(RequestColumn(name=f"c{number}", type="number") for number in range(10_000)))
    broad = {name: replace(wide, line=name) for name in ("a", "b")}

    assert MOST_LINES == sum(path.endswith("/predict") for path in to_openapi(many)["paths"])
    assert ["/v1/lines/a/predict"] == [
        path for path in to_openapi(broad)["paths"] if path.endswith("/predict")
    ]


def test_any_name_of_a_column_can_be_referred_to(live):
    """Names come from people's tables."""
    odd = RequestColumn(name="a/b ~1 %2F 'ü\"", type="number")
    document = to_openapi({"claims": with_columns(live, odd)})
    tensors = document["components"]["schemas"]["claims.Infer"]["properties"]["inputs"]["items"]["oneOf"]

    assert odd.name == tensors[-1]["properties"]["name"]["const"]
    assert "number" in resolved(document, tensors[-1]["properties"]["data"]["items"])["type"]


def test_the_document_is_built_anew_only_when_a_line_has_changed(live):
    """It costs milliseconds, and somebody may ask for it again and again."""
    document, lines = Document(), {"claims": live}
    first = document.body(lines)

    assert first is document.body(lines)
    assert first != document.body({"claims": replace(live, arm=Arm(model=2, package="sha256:00"))})
