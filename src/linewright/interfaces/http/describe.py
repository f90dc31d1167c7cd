"""What OpenAPI says of the control plane: each operation's arguments, results and refusals."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from linewright.operations.declaration.declare import Operation, to_json
from linewright.operations.declaration.parameter import Parameter

_JSON = "application/json"
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


def components(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the schemas that the routes refer to, by name."""
    results = [kind for each in operations for kind in each.result_kinds]
    return _schemas([Problem, *results])[1]


def route_of(operation: Operation) -> dict[str, Any]:
    """Return what OpenAPI says of a route beside its summary."""
    kinds = [_schema_of(kind) for kind in operation.result_kinds]
    answers = {
        "200": {"description": "The result.", "content": {_JSON: {"schema": _any_of(kinds)}}},
        "default": {"description": "Why not.", "content": {_JSON: {"schema": _schema_of(Problem)}}},
    }
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
        return {"parameters": parameters, "responses": answers}
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
        "schema": {"type": "string"},
        "description": "The same key with the same body gets the same answer, and is carried out once.",
    }
    return {
        "parameters": [key],
        "requestBody": {"required": True, "content": {_JSON: {"schema": body}}},
        "responses": answers,
    }


def body_of(body: Any, result: Any) -> dict[str, Any]:
    """Return what OpenAPI says of a route outside the operations, given the types of its body, `None` for an empty object, and result."""
    sent = {"type": "object"} if body is None else _inline(body)
    answers = {"200": {"description": "The result.", "content": {_JSON: {"schema": _inline(result)}}}}
    return {"requestBody": {"required": True, "content": {_JSON: {"schema": sent}}}, "responses": answers}


def _inline(kind: type) -> dict[str, Any]:
    return _schemas([kind])[1][kind.__name__]


def _schema(parameter: Parameter) -> dict[str, Any]:
    schema = _schema_of(parameter.type)
    return (
        schema
        if parameter.required
        else {**schema, "default": msgspec.json.decode(to_json(parameter.default))}
    )


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
