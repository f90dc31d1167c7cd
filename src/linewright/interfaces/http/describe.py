"""What OpenAPI says of the control plane: each operation's arguments, results and refusals."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from linewright import __version__
from linewright.errors import LinewrightError
from linewright.interfaces.http.client_files import FILE_ID, FILE_NAME, Kept
from linewright.interfaces.http.expensive import DEADLINE_S, LONG_S
from linewright.operations.declare import Operation, to_json
from linewright.operations.parameter import Parameter

_JSON = "application/json"
_BYTES = "application/octet-stream"
_REF = "#/components/schemas/{name}"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What was wrong with a request, or went wrong with it."""

    error: str
    """Class of the error."""
    message: str
    """The whole in one sentence."""
    what: str = ""
    where: str = ""
    found: str | int | float | bool | None = None
    allowed: str = ""
    hint: str = ""
    """What to do next."""
    details: dict[str, Any] = {}


_REFUSALS: Mapping[int, str] = {
    400: "What came is not HTTP, or the body ended early.",
    401: "It does not say who asks, or the token or session has ended.",
    403: "It is not allowed; or `Host` is not ours, or a page of another site asks.",
    404: "Nothing has that name or id.",
    408: "The head or the body did not come in time.",
    409: "It contradicts what is there, the data broke its contract, a gate refused it, or the `Idempotency-Key` belongs to another request.",
    413: "The body is too large.",
    415: "The body is of another type.",
    422: "A value is wrong: `where`, `found`, `allowed` and `hint` say which, and what to send.",
    429: "Too many requests of this client.",
    431: "The head is too large.",
    502: "Something outside failed for good, what is stored is damaged, or it did not end by its deadline; trying again will not help.",
    503: "It cannot be done now; try again.",
}
_OF_HEAD, _OF_BODY = frozenset({400, 408, 431}), frozenset({413, 415})
"""What is said of a request before an operation sees it."""


def _statuses() -> frozenset[int]:
    """Return the statuses of the errors that an operation may raise: of all that the factory can explain."""
    found, waiting = set[int](), LinewrightError.__subclasses__()
    while waiting:
        one = waiting.pop()
        found.add(one.http_status)
        waiting += one.__subclasses__()
    return frozenset(found)


def _refusals(*, sends: bool, is_open: bool = False) -> dict[str, Any]:
    """Return the refusals of a route, given whether it takes a body, and whether it needs no right."""
    statuses = _statuses() | _OF_HEAD | (_OF_BODY if sends else frozenset())
    statuses -= {401} if is_open and not sends else frozenset()  # who signs in may be refused so
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)}


def _response(status: int, says: str) -> dict[str, Any]:
    said: dict[str, Any] = {
        "description": says,
        "content": {_JSON: {"schema": {"$ref": _REF.format(name="Problem")}}},
    }
    if status in {429, 503}:
        seconds = {"type": "integer", "minimum": 1}
        said["headers"] = {"Retry-After": {"description": "Seconds.", "required": True, "schema": seconds}}
    if status == 401:
        said["headers"] = {"WWW-Authenticate": {"schema": {"const": "Bearer"}}}
    return said


RESPONSES = {str(status): _response(status, says) for status, says in _REFUSALS.items()}
"""The refusals that routes refer to, by status."""


class DescribedRoute(Route):
    """A route with one method, and what OpenAPI says of it."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[[Request], Awaitable[Response]],
        method: str,
        said: Mapping[str, Any],
    ) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.method, self.said = method.lower(), said


def document(routes: Iterable[BaseRoute], operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the whole description."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if isinstance(route, DescribedRoute):
            paths.setdefault(route.path, {})[route.method] = dict(route.said)
    results = [kind for each in operations for kind in each.result_kinds]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Linewright control plane", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": _schemas([Problem, *results])[1],
            "responses": RESPONSES,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def route_of(operation: Operation) -> dict[str, Any]:
    """Return what OpenAPI says of the route of an operation."""
    head = {"summary": operation.summary}
    head |= {"description": operation.description} if operation.description else {}
    kinds = [_schema_of(kind) for kind in operation.result_kinds]
    answers = {
        "200": {"description": "The result.", "content": {_JSON: {"schema": _any_of(kinds)}}},
        **_refusals(sends=operation.writes),
    }
    head |= {"operationId": _id_of(operation), "responses": answers, **_time_of(operation)}
    if not operation.writes:
        parameters = [
            {
                "name": p.name,
                "in": "query",
                "required": p.required,
                "description": p.help,
                "schema": _schema(p),
            }
            for p in operation.parameters
        ]
        return {**head, "parameters": parameters}
    body = {
        "type": "object",
        "additionalProperties": False,
        "properties": {p.name: {"description": p.help, **_schema(p)} for p in operation.parameters},
        "required": [p.name for p in operation.parameters if p.required],
    }
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
        "description": "The same key with the same body gets the same answer, and is carried out once.",
    }
    return {
        **head,
        "parameters": [] if operation.secret else [key],
        "requestBody": {"required": True, "content": {_JSON: {"schema": body}}},
    }


def _id_of(operation: Operation) -> str:
    return operation.name.replace(" ", "-")


def _time_of(operation: Operation) -> dict[str, Any]:
    """Return how long an answer may take, where that is long."""
    if operation.expensive:
        most = LONG_S if operation.files else DEADLINE_S
        text = f"The answer comes within {DEADLINE_S:g} s" + (
            f", with large files {most:g} s" if operation.files else ""
        )
        says = f"{text}; a client that leaves ends it."
        return {"description": f"{operation.description}\n\n{says}".strip(), "x-deadline-s": most}
    if operation.waits:
        says = "The answer comes when the runs have ended, however long that takes. A client that leaves ends none: `runs` shows them."
        return {"description": f"{operation.description}\n\n{says}".strip(), "x-waits-for-runs": True}
    return {}


def route_of_files(operation: Operation, method: str) -> dict[str, Any]:
    """Return what OpenAPI says of the routes by which clients send and take files."""

    def given(name: str, place: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
        return {"name": name, "in": place, "required": required, "schema": schema}

    is_sent = method == "PUT"
    summary = (
        f"Send a part of a file for {operation.name}: its bytes, at `offset` of the file `id`."
        if is_sent
        else f"Take a file that {operation.name} wrote, by its `id`."
    )
    parameters = [
        given("name", "path", {"type": "string", "title": "Name"}, required=True),
        given("name", "path", {"type": "string", "pattern": FILE_NAME}, required=True),
        given("id", "query", {"type": "string", "pattern": FILE_ID}, required=not is_sent),
    ]
    content: dict[str, Any] = {_BYTES: {"schema": {"type": "string", "format": "binary"}}}
    answer = {_JSON: {"schema": _inline(Kept)}} if is_sent else content
    said: dict[str, Any] = {
        "summary": summary,
        "operationId": f"{_id_of(operation)}-{method.lower()}-file",
        "parameters": parameters,
        "responses": {
            "200": {"description": "The result.", "content": answer},
            **_refusals(sends=False),
        },
    }
    if is_sent:
        parameters.append(given("offset", "query", {"type": "integer", "minimum": 0}, required=False))
        said["requestBody"] = {"required": True, "content": content}
    return said


def route_outside(name: str, summary: str, *kinds: str, is_open: bool = False) -> dict[str, Any]:
    """Return what OpenAPI says of a read outside the operations, given the media types of its answer."""
    content: dict[str, Any] = {kind: {"schema": {}} for kind in kinds}
    answers = {
        "200": {"description": "The result.", "content": content},
        **_refusals(sends=False, is_open=is_open),
    }
    said = {"summary": summary, "operationId": name, "responses": answers}
    return said | ({"security": []} if is_open else {})


def route_with_body(name: str, summary: str, body: Any, result: Any) -> dict[str, Any]:
    """Return what OpenAPI says of an open route outside the operations, given the types of its body, `None` for an empty object, and result."""
    sent = {"type": "object"} if body is None else _inline(body)
    answers = {
        "200": {"description": "The result.", "content": {_JSON: {"schema": _inline(result)}}},
        **_refusals(sends=True),
    }
    return {
        "summary": summary,
        "operationId": name,
        "requestBody": {"required": True, "content": {_JSON: {"schema": sent}}},
        "responses": answers,
        "security": [],
    }


def _inline(kind: type) -> dict[str, Any]:
    return _schemas([kind])[1][kind.__name__]


def _schema(parameter: Parameter) -> dict[str, Any]:
    schema = _schema_of(parameter.type)
    if parameter.required or parameter.default is None:
        return schema
    return {**schema, "default": msgspec.json.decode(to_json(parameter.default))}


@cache
def _schema_of(kind: Any) -> dict[str, Any]:
    return _schemas([kind])[0][0]


def _schemas(kinds: list[Any]) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    return msgspec.json.schema_components(kinds, schema_hook=_path_schema, ref_template=_REF)


def _path_schema(kind: type) -> dict[str, Any]:
    if kind is Path:
        return {"type": "string", "format": "path"}
    raise NotImplementedError(f"{kind} has no JSON schema")


def _any_of(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
