"""The data plane's description of itself: OpenAPI 3.1, with the real columns of each line that serves.

A table of operations; all else is derived from it, from the forms of bodies and answers, and from the packages that answer. A test
compares it with the routes.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote

import msgspec

from linewright import __version__
from linewright.errors import LinewrightError, RequestError
from linewright.model.facts import Package, RequestColumn
from linewright.model.task_facts import has_times, learns_good
from linewright.serve import answers
from linewright.serve.feedback.parse import MAX_LABELS
from linewright.serve.http import oip, oip_binary
from linewright.serve.http.predict import Body, Labels, Similar
from linewright.serve.models.state import Live
from linewright.serve.rows.body.push_request import PushRequest
from linewright.serve.rows.body.reader import MAX_ROWS, to_schema
from linewright.serve.rows.body.request_columns import Needs
from linewright.serve.rows.scorer import RequestForm
from linewright.store.pushed_rows import SOURCE

MOST_LINES = 100
MOST_COLUMNS = 10_000
"""Lines, and columns of theirs, that one document describes; the first line is described however many it has."""

Schema = dict[str, Any]
FormOf = Callable[[Live], RequestForm | None]

_ABOUT = f"""\
The data plane of a Linewright factory: rows or tensors in, logged answers out.

Described are the lines that serve now, each with the columns of the model that answers: the first {MOST_LINES} by name, or \
as many as have {MOST_COLUMNS:,} columns together. `/openapi.json?line=NAME` describes one line, whichever it is. A row's \
schema is its plainest form; a text column, say, also takes a number by its spelling. Fields may be added to answers."""

_REFUSALS: Mapping[int, str] = {
    400: "The body is not JSON, with the byte; or what came is not HTTP.",
    401: "A token is needed here, or the one that came lets nobody in.",
    403: "The token is not for this; `Host` is not this machine's name, or a page of another site asks.",
    404: "No such line, version or source is here.",
    408: "The head or the body did not come in time.",
    409: "A label contradicts one that is kept, or the `Idempotency-Key` came with other labels; nothing is kept.",
    413: "The body is larger than 10 MiB.",
    415: "The body is of another type, or compressed.",
    422: "A value, a column or a form is wrong: `where`, `found`, `allowed` and `hint` say which, and what to send.",
    429: "More is asked for than the limits of `factory.yaml` allow: requests at one time, rows a second, or bytes of log a day.",
    431: "The head is too large.",
    502: "What is stored here is damaged or may not be written; trying again will not help.",
    503: "No model serves yet, or it is still being loaded, a person halted the line, too much at one time, or the disk is full; try again.",
}
_READING = (400, 403, 408, 431)
_OF_LINE = (*_READING, 404, 503)
_WRITING = (*_OF_LINE, 413, 415, 422, 429)
_OPEN = frozenset({"index", "server", "live", "ready"})
"""Operations that ask for no token."""


class Operation(NamedTuple):
    """One route, as the document tells of it."""

    method: str
    path: str
    """As the routes spell it, with ``{line}`` and ``{version}``."""
    name: str
    summary: str
    answer: str
    """Name of the schema of its answer; those that begin with a dot are of each line."""
    asks: str | None = None
    """Name of the schema of its body."""
    also: tuple[int, ...] = ()
    """Statuses of refusals beside those that all such operations have."""
    media_type: str = "application/json"

    @property
    def is_of_line(self) -> bool:
        """Whether there is one for each line."""
        return "{line}" in self.path

    @property
    def refusals(self) -> tuple[int, ...]:
        """Statuses of its refusals."""
        usual = _WRITING if self.asks else _OF_LINE if self.is_of_line else _READING
        return tuple(sorted(usual + self.also + (() if self.is_open else (401,))))

    @property
    def is_open(self) -> bool:
        """Whether it asks for no right."""
        return self.name in _OPEN


_MODEL, _VERSION, _LINE = "/v2/models/{line}", "/v2/models/{line}/versions/{version}", "/v1/lines/{line}"
_TENSORS = """\
Answers tensors, one a column; all have as many values as the shape says, each name comes once, and what a row needs is there."""
_VERSION_TENSORS = "Answers tensors, if this version serves."
_COUNTED = "Counts and times for Prometheus."
_ROWS = "Answers rows; the answers are logged before they are sent."
_SIMILAR = "Says which items go with some items, if the line recommends; nothing is logged."
_PUSHED = "Takes rows of a source; all rows are kept, or none, before they are acknowledged."
_TRUTHS = "Takes the truth about answers; all labels are kept, or none."
OPERATIONS = (
    Operation("get", "/", "index", "Version, lines and routes.", "Index"),
    Operation("get", "/openapi.json", "openapi", "This document.", "OpenAPI", also=(404, 422, 503)),
    Operation("get", "/metrics", "metrics", _COUNTED, "Metrics", media_type="text/plain"),
    Operation("get", "/v2", "server", "The server and its extensions of the protocol.", "Server"),
    Operation("get", "/v2/health", "health", "How each line is.", "Health"),
    Operation("get", "/v2/health/live", "live", "Whether the process runs.", "Live"),
    Operation("get", "/v2/health/ready", "ready", "Whether requests should come here.", "Ready"),
    Operation("get", _MODEL, "model", "What goes in and what comes out.", "Model"),
    Operation("get", f"{_MODEL}/ready", "model-ready", "Whether the line answers.", "ModelReady"),
    Operation("post", f"{_MODEL}/infer", "infer", _TENSORS, "InferAnswer", ".Infer"),
    Operation("get", _VERSION, "version", "What goes in and what comes out.", "Model"),
    Operation(
        "get",
        f"{_VERSION}/ready",
        "version-ready",
        "Whether the line answers with this version.",
        "ModelReady",
    ),
    Operation("post", f"{_VERSION}/infer", "version-infer", _VERSION_TENSORS, "InferAnswer", ".Infer"),
    Operation("post", f"{_LINE}/predict", "predict", _ROWS, ".Answer", ".Ask"),
    Operation("post", f"{_LINE}/similar", "similar", _SIMILAR, "SimilarAnswer", "Similar"),
    Operation("post", f"{_LINE}/feedback", "feedback", _TRUTHS, "FeedbackAnswer", ".Labels", (409, 502)),
    Operation("post", "/v1/sources/{source}/rows", "push", _PUSHED, "PushAnswer", "PushRequest", (502,)),
    Operation(
        *("get", f"{_LINE}/schema", "schema", "The JSON Schema of a row.", "RowSchema"),
        media_type="application/schema+json",
    ),
)


def loaded_form(live: Live) -> RequestForm | None:
    """Return the form of requests to a line whose model is in memory."""
    return live.scorer and live.scorer.form


class Document:
    """The document of all lines as bytes, built when it is first asked for after a line has changed."""

    def __init__(self, *, needs_token: bool = False) -> None:
        self._needs_token = needs_token
        self._kept: tuple[list[object], bytes] | None = None

    def body(self, lines: Mapping[str, Live], form: FormOf = loaded_form) -> bytes:
        """Return it; see `to_openapi`. That a line's models come or go is no change."""
        # What a line's part is made of: one comparison of a thousand objects, mostly with themselves.
        made_of: list[object] = [(name, live.arm, live.wanted) for name, live in sorted(lines.items())]
        kept = self._kept  # read once: another thread may replace it
        if kept is None or kept[0] != made_of:
            kept = self._kept = (made_of, to_body(lines, form, needs_token=self._needs_token))
        return kept[1]


def to_body(lines: Mapping[str, Live], form: FormOf = loaded_form, *, needs_token: bool = False) -> bytes:
    """Return `to_openapi` as JSON."""
    return msgspec.json.encode(to_openapi(lines, form, needs_token=needs_token))


def line_of(query: bytes) -> str | None:
    """Return the one line that a query asks for, or `None` where it asks for all.

    Examples
    --------
    >>> line_of(b"line=claims"), line_of(b"")
    ('claims', None)
    >>> line_of(b"lines=claims")
    Traceback (most recent call last):
        ...
    linewright.errors.RequestError: query: not what may be asked for: found 'lines=claims', allowed: line=NAME
    """
    if not query:
        return None
    text = query.decode("latin-1")
    try:
        asked = parse_qs(text, keep_blank_values=True, strict_parsing=True, max_num_fields=2)
    except ValueError:
        asked = {}
    if list(asked) != ["line"] or len(asked["line"]) != 1:
        raise RequestError(
            "not what may be asked for", where="query", found=text[:100], allowed="line=NAME"
        ) from None
    return asked["line"][0]


def to_openapi(
    lines: Mapping[str, Live], form: FormOf = loaded_form, *, needs_token: bool = False
) -> answers.OpenAPI:
    """Describe the data plane, with the lines of `lines` that have a model.

    Examples
    --------
    >>> document = to_openapi({})
    >>> document["openapi"], sorted(document["paths"])[:3]
    ('3.1.0', ['/', '/metrics', '/openapi.json'])
    """
    described = list(_described(lines, form))
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = _fixed_schemas()
    for operation in OPERATIONS:
        if not operation.is_of_line:
            paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    for live, its_form in described:
        name = live.line
        schemas |= {f"{name}.{part}": schema for part, schema in _schemas_of(live, its_form)}
        version = str(live.arm.model) if live.arm else ""
        for operation in OPERATIONS:
            if operation.is_of_line:
                path = operation.path.format(line=quote(name, safe=""), version=version)
                paths.setdefault(path, {})[operation.method] = _operation(operation, name)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Linewright data plane", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": _RESPONSES,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}] if needs_token else [{}, {"token": []}],
    }


def _described(lines: Mapping[str, Live], form_of: FormOf) -> Iterator[tuple[Live, RequestForm]]:
    number = columns = 0
    for _, live in sorted(lines.items()):
        form = None
        with suppress(LinewrightError):  # asked for its schema, the line says what is wrong with it
            form = form_of(live)
        if form is None:
            continue
        number, columns = number + 1, columns + len(form.package.columns)
        if number > MOST_LINES or (number > 1 and columns > MOST_COLUMNS):
            return
        yield live, form


def row_schema(form: RequestForm, model: str) -> Schema:
    """Return the JSON Schema of a row of a model, LINE@VERSION, as ``/v1/lines/LINE/schema`` gives it."""
    needs = Needs(form.package)
    schema = to_schema(form.columns, title=f"A row of {model}", time=form.time, needs=needs)
    said, looked_up = dict[str, str](), set[str]()
    for view in form.package.views:
        columns = {column.name for column in view.columns}
        looked_up |= columns
        said |= dict.fromkeys(view.entity, f"feature view {view.view!r} is looked up by it")
        said |= dict.fromkeys(
            columns, f"of feature view {view.view!r}; may be sent instead of being looked up"
        )
    of_row = schema["properties"]
    return {
        **schema,
        "properties": {
            name: {**one, "description": said[name]} if name in said else one for name, one in of_row.items()
        },
        "required": [name for name in schema["required"] if name not in looked_up],
    }


# Operations


def _operation(operation: Operation, line: str = "") -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": f"{operation.name}-{line}" if line else operation.name,
        "summary": operation.summary,
        "tags": [line or "server"],
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {operation.media_type: {"schema": _named(operation.answer, line)}},
            },
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in operation.refusals},
        },
    }
    if operation.is_open:
        said["security"] = []
    if operation.answer in {"Ready", "ModelReady"}:
        # It says no in its own form; a line without a model does in the form of errors.
        forms = {"anyOf": [_named(operation.answer, line), _named("Error", line)]}
        content = {"application/json": {"schema": forms}}
        said["responses"]["503"] = {"description": "Not ready.", "content": content}
    if operation.asks is not None:
        schema = _named(operation.asks, line)
        content = {"application/json": {"schema": schema}}
        if operation.asks == ".Infer":
            content[oip_binary.MEDIA_TYPE] = said["responses"]["200"]["content"][oip_binary.MEDIA_TYPE] = (
                _BYTES
            )
        said["requestBody"] = {"required": True, "content": content}
    if parameter := _PARAMETERS.get(operation.name):
        said["parameters"] = [parameter]
    return said


def _named(name: str, line: str) -> Schema:
    return {"$ref": f"#/components/schemas/{line if name.startswith('.') else ''}{name}"}


_JSON_LENGTH: dict[str, Any] = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "description": "Where tensors come as bytes: bytes of the JSON before them.",
    "schema": {"type": "integer", "minimum": 0},
}
_PARAMETERS: Mapping[str, dict[str, Any]] = {
    "push": {
        "name": "source",
        "in": "path",
        "required": True,
        "description": "What a line file has behind `push`.",
        "schema": {"type": "string", "pattern": f"^{SOURCE}$"},
    },
    "openapi": {
        "name": "line",
        "in": "query",
        "description": "Describe this line alone.",
        "schema": {"type": "string"},
    },
    "infer": _JSON_LENGTH,
    "version-infer": _JSON_LENGTH,
    "feedback": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "For 7 days the same labels under the same key get the same answer.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    },
}


_BYTES: dict[str, Any] = {
    "schema": {"description": "JSON, and behind it tensors as bytes: the extension binary_tensor_data."}
}


def _response(status: int, says: str) -> dict[str, Any]:
    said: dict[str, Any] = {
        "description": says,
        "content": {"application/json": {"schema": _named("Error", "")}},
    }
    if status in {429, 503}:
        said["headers"] = {
            "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
        }
    return said


_RESPONSES = {str(status): _response(status, says) for status, says in _REFUSALS.items()}

# Schemas

_TEXT: Schema = {"type": "string"}
_TRUTH: Schema = {"type": "boolean"}
_NULL: Schema = {"type": "null"}
_ANY: Schema = {"type": "object"}
_SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_SCORE: Schema = {"type": ["number", "object"]}
"""A number, or one for each of several classes."""
_EXPLAINED: Mapping[str, Schema] = {
    "score": {
        **_SCORE,
        "description": "Base and contributions together; there where it is asked to be explained.",
    },
    "score_unit": {
        "enum": ["log-odds", "log-odds of the hazard", "log-weight", "value", "share of good rows"]
    },
    "base": _SCORE,
    "contributions": {"type": "object", "additionalProperties": _SCORE, "description": "By column."},
    "occlusion": {
        "type": "object",
        "additionalProperties": {"type": "object"},
        "description": "By column of pictures: `of`, the predicted class, and `patches`, rows of parts from the top, with by how "
        "much its probability is less without the part.",
    },
}
_KEY: Schema = {"type": ["string", "integer"], "pattern": r"\S", "minimum": -(2**63), "maximum": 2**63 - 1}
_JSON_TYPES: Mapping[str, str] = {"BOOL": "boolean", "FP64": "number", "INT64": "integer", "BYTES": "string"}
_SHAPE: Schema = {
    "type": "array",
    "prefixItems": [{"type": "integer", "minimum": 1, "maximum": MAX_ROWS}, {"const": 1}],
    "minItems": 1,
    "maxItems": 2,
    "description": "[n] or [n, 1]: n values.",
}
_ANSWERS = (
    *(answers.Error, answers.Index, answers.OpenAPI, answers.Server, answers.Live, answers.Ready),
    *(answers.ModelReady, answers.Health, answers.Model, answers.InferAnswer, answers.FeedbackAnswer),
    *(answers.SimilarAnswer, Similar, answers.PushAnswer, PushRequest),
)


def _fixed_schemas() -> dict[str, Schema]:
    """Return the schemas that are the same for all lines."""
    return {
        **msgspec.json.schema_components(_ANSWERS, ref_template="#/components/schemas/{name}")[1],
        "Metrics": {**_TEXT, "description": "Text format 0.0.4 of Prometheus."},
        "RowSchema": _object({"title": _TEXT, "type": {"const": "object"}, "properties": _ANY}),
    }


@cache
def _schema_of(form: type) -> Schema:
    return msgspec.json.schema_components([form])[1][form.__name__]


def _filled(form: type, /, **parts: Schema) -> Schema:
    """Return the schema of a body, with what a line says of some of its fields, and without the form's own name and words."""
    schema = {name: part for name, part in _schema_of(form).items() if name not in {"title", "description"}}
    return {**schema, "properties": {**schema["properties"], **parts}}


def _object(properties: Mapping[str, Schema], *optional: str, closed: bool = False) -> Schema:
    required = [name for name in properties if name not in optional]
    schema: Schema = {"type": "object", "properties": dict(properties), "required": required}
    return {**schema, "additionalProperties": False} if closed else schema


def _list(items: Schema, most: int | None = None) -> Schema:
    schema: Schema = {"type": "array", "items": items}
    return schema if most is None else {**schema, "minItems": 1, "maxItems": most}


def _schemas_of(live: Live, form: RequestForm) -> Iterator[tuple[str, Schema]]:
    """Give the schemas of one line, by the part of their name behind the line's."""
    package, line = form.package, live.line
    row = row_schema(form, live.model or "")
    yield "Row", {name: part for name, part in row.items() if name != "$schema"}
    yield "Ask", _filled(Body, rows=_list(_named(".Row", line), MAX_ROWS))
    if _is_class(package):
        yield "Class", {"enum": list(package.classes), "description": "As spelled in the training data."}
    yield "Prediction", _prediction(package, line)
    predictions = {**_list(_named(".Prediction", line)), "description": "One a row, in their order."}
    yield "Answer", _filled(answers.Answer, predictions=predictions)
    yield "Labels", _filled(Labels, labels=_list(_label(package, line), MAX_LABELS))
    yield "Infer", _infer(package, line)


def _prediction(package: Package, line: str) -> Schema:
    properties: dict[str, Schema] = {"id": {**_TEXT, "description": "Feedback refers to it."}}
    optional = [
        "key",
        "warnings",
        "model",
        "digest",
        "newest",
        "age",
        "series",
        "values",
        "features",
        *_EXPLAINED,
    ]
    if package.key is not None:
        properties["key"] = {**_TEXT, "description": f"The row's {package.key}."}
    if _is_class(package):
        properties["prediction"] = _named(".Class", line)
        properties |= _of_classes(package)
    elif has_times(package.task):
        properties["prediction"] = {"type": "number", "description": "How long until it happens."}
        properties["beyond"] = {**_TRUTH, "description": "Whether more than half is left at the last time."}
        left = _object(dict.fromkeys(package.classes, _SHARE))
        if package.maintenance is not None:
            properties["act_by"] = {
                "type": ["number", "null"],
                "description": "The time at which coming before a failure costs least, 0 is now; null: not before the last time.",
            }
        properties["survival"] = {**left, "description": "The share that is left, by time; it never rises."}
    elif package.encoder.items:
        properties["prediction"] = {**_list(_TEXT), "description": "Items, the best first."}
        properties["scores"] = {**_list({"type": "number"}), "description": "What they were ranked by."}
        properties["history_used"] = {
            "type": "integer",
            "minimum": 0,
            "description": "Items of the history that the model knows; of none, items are ranked by popularity.",
        }
        said = "How likely each item was shown at its position; there if the line explores."
        properties["propensities"] = {**_list(_SHARE), "description": said}
        properties["explored"] = {**_TRUTH, "description": "Whether the list was drawn."}
        properties["explore"] = {**_SHARE, "description": "The share of the lists that is drawn."}
        optional += ["propensities", "explored", "explore"]
    elif package.encoder.window is not None:
        properties |= _steps(len(package.encoder.window.steps))
    else:
        properties["prediction"] = {"type": "number"}
    if package.threshold is not None:
        positive = package.classes[-1] if package.classes else ""
        properties["threshold"] = {
            **_SHARE,
            "description": f"The class is {positive} at and above it.",
        }
    if package.half_width is not None:
        properties["interval"] = {
            **_list({"type": "number"}),
            "minItems": 3,
            "maxItems": 3,
            "description": "Low, high, and the share of rows that lie between such ends.",
        }
    properties |= _of_views(package)
    properties["warnings"] = {
        **_list(_TEXT),
        "description": "What the contract does not allow or the model does not know in the row, and of which feature views it got nothing.",
    }
    canary = "Where another model answered this row than the request's first: a canary is tried."
    properties |= {"model": {**_TEXT, "description": canary}, "digest": _TEXT, **_EXPLAINED}
    if not learns_good(package.task):
        return _object(properties, *optional)
    properties |= _of_anomaly(package)
    return _object(properties, *(name for name in (*optional, "heat_map") if name != "score"))


def _of_views(package: Package) -> dict[str, Schema]:
    if not package.views:
        return {}
    return {"features": _object(dict.fromkeys((one.view for one in package.views), _RECORD))}


def _of_classes(package: Package) -> dict[str, Schema]:
    if learns_good(package.task):
        return {}
    return {"probabilities": _object(dict.fromkeys(package.classes, _SHARE))}


def _of_anomaly(package: Package) -> dict[str, Schema]:
    """Return what an answer says in addition to its class; of pictures an explanation has a heat map."""
    score = {**_SHARE, "description": "The share of good training rows that are less odd."}
    maps = {one.column: _list(_list(_SHARE)) for one in package.encoder.pictures if one.grid is not None}
    return {"score": score} | ({"heat_map": _object(maps)} if maps else {})


_RECORD: Schema = {
    **_object(
        {
            "age": {"type": "number", "minimum": 0},
            "record": {"type": ["string", "null"]},
            "defaulted": _TRUTH,
            "missing": {"type": "string", "enum": ["view-absent", "view-old", "view-empty", "view-damaged"]},
        },
        "defaulted",
        "missing",
    ),
    "description": "What the row got of a feature view: seconds since what counted was known, and the digest of it; null: nothing was known; whether it got nulls, as that was too old; and why it got nothing.",
}
_NUMBER: Schema = {"type": "number"}
_TIME: Schema = {
    "description": "A time; with a + behind it, or event false, if it had not happened by then.",
    "oneOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^[0-9.eE+-]+$", "examples": ["12.5", "12.5+"]},
        {
            "type": "object",
            "properties": {"time": {"type": "number", "minimum": 0}, "event": {"enum": [True, False, 0, 1]}},
            "required": ["time", "event"],
            "additionalProperties": False,
        },
    ],
}


def _steps(horizon: int) -> dict[str, Schema]:
    """Return what an answer says of each step ahead."""

    def one(kind: Schema, description: str) -> Schema:
        return {**_list(kind), "minItems": horizon, "maxItems": horizon, "description": description}

    return {
        "prediction": one(_NUMBER, "The values of the next steps, the next first."),
        "times": one({"type": ["string", "integer"]}, "When they are."),
        "low": one(_NUMBER, "Lower ends of their intervals."),
        "high": one(_NUMBER, "Upper ends of their intervals."),
        "level": {**_SHARE, "description": "Share of the values that intervals are made to hold."},
        "naive": one(_NUMBER, "The newest value with its season, for comparison."),
        "scale": {**_NUMBER, "description": "What scaled errors are divided by."},
        "recent_used": {"type": "integer", "minimum": 0, "description": "Recent values that were read."},
        "newest": {
            "type": ["string", "integer"],
            "description": "If the row named a series alone: the time of its newest known value.",
        },
        "age": {"type": ["integer", "null"], "description": "Steps since then; null for plain numbers."},
        "series": {
            "type": "integer",
            "minimum": 1,
            "description": "If the row asked for a sum: of how many series.",
        },
        "values": {**_TEXT, "description": "Of a sum: digest of the values that it was made from."},
    }


def _is_class(package: Package) -> bool:
    return bool(package.classes) and not has_times(package.task)


def _label(package: Package, line: str) -> Schema:
    known = _named(".Class", line) if _is_class(package) else _TIME if has_times(package.task) else _NUMBER
    if package.encoder.items:
        known = {**_list(_KEY), "description": "The items that were taken; none where nothing was."}
    if package.encoder.window is not None:
        steps = _list({"type": ["number", "null"]}, len(package.encoder.window.steps))
        known = {**steps, "description": "The values that came, the next first; null where none is known."}
    label = _object(
        {
            "id": {
                "type": ["string", "null"],
                "maxLength": 100,
                "description": "Of the prediction that it is about.",
            },
            "key": {"anyOf": [_KEY, _NULL], "description": "Of the rows that it is about."},
            "label": known,
            "at": {"type": ["string", "null"], "format": "date-time", "description": "When it became true."},
            "corrects": {
                "anyOf": [known, _NULL],
                "description": "The label that is kept now, which this one replaces; null: it corrects none.",
            },
        },
        *("id", "key", "at", "corrects"),
        closed=True,
    )
    if package.key is None:
        del label["properties"]["key"]
        label["properties"]["id"]["type"] = "string"
        return {**label, "required": ["id", "label"]}
    # Null is as good as left out.
    by_id = {"required": ["id"], "properties": {"id": _TEXT, "key": _NULL}}
    by_key = {"required": ["key"], "properties": {"key": _KEY, "id": _NULL}}
    return {**label, "oneOf": [by_id, by_key]}


def _infer(package: Package, line: str) -> Schema:
    output = _filled(
        oip.Wanted,
        name={"enum": [*dict.fromkeys([*oip.output_names(package), *oip.explanation_of(package)])]},
    )
    tensors = [_tensor(column, line) for column in package.columns]
    parameters = ("durable", "explain", "binary_data_output")
    return _filled(
        oip.Infer,
        inputs={**_list({"oneOf": tensors}), "minItems": 1},
        outputs=_list(output),
        parameters=_object(dict.fromkeys(parameters, _TRUTH), *parameters),
    )


def _tensor(column: RequestColumn, line: str) -> Schema:
    tensor = _filled(
        oip.Tensor,
        name={"const": column.name},
        datatype={"const": oip.datatype_of(column)},
        shape=_SHAPE,
        data=_list(_value(column, line), MAX_ROWS),
    )
    return {**tensor, "required": [*tensor["required"], "data"]}  # they are bytes in the other form alone


def _value(column: RequestColumn, line: str) -> Schema:
    if column.role != "feature":
        return {"type": [_JSON_TYPES[oip.datatype_of(column)], "null"]}
    pointer = quote(column.name.replace("~", "~0").replace("/", "~1"), safe="~")
    return {"$ref": f"#/components/schemas/{line}.Row/properties/{pointer}"}
