"""The Open Inference Protocol's words for a line: one tensor a column, and back.

Beyond the protocol: ``null`` in `data` means a missing value, the output ``id`` holds the prediction ids that feedback
refers to, the request parameter ``durable`` asks for an answer whose record survives power loss, and ``explain`` for what each
column contributed, as further outputs. Of the protocol's own extensions there is ``binary_tensor_data``, see `oip_binary`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from linewright.errors import RequestError
from linewright.model.facts import Package, RequestColumn
from linewright.model.task_facts import has_times, learns_good
from linewright.serve.answers import Datatype, Durability, InferAnswer, Model, Output, OutputName, TensorPlace
from linewright.serve.http import oip_binary
from linewright.serve.http.oip_binary import Blobs
from linewright.serve.http.request import Response, read_json
from linewright.serve.rows.body.reader import MAX_ROWS, Place, check_known
from linewright.serve.rows.body.request_columns import Needs
from linewright.serve.rows.body.scalars import kind_of
from linewright.serve.rows.lookup.known_series import Newest

EXTENSIONS = ("binary_tensor_data", "null-data", "id-output", "durable-parameter", "explain-parameter")
EXPLANATION = ("contributions", "base", "score")
"""Outputs of a request that asks to be explained; the metadata name those alone that every request can get."""


def explanation_of(package: Package) -> tuple[str, ...]:
    """Return the outputs of a request that asks to be explained: of anomalies in pictures a heat map, too."""
    has_map = any(one.grid is not None for one in package.encoder.pictures)
    return (*EXPLANATION, "heat_map") if has_map else EXPLANATION


_ELSEWHERE = ("shared_memory_region", "classification")
"""Parameters of extensions that are not here: what they ask for must not be taken for something else."""

_DATATYPES = {"integer": "INT64", "number": "FP64", "boolean": "BOOL"}
"""By column type; all others are BYTES."""


_FORM = '{"inputs": [{"name": "COLUMN", "datatype": "FP64", "shape": [1], "data": [VALUE]}, ...]}'


class Tensor(msgspec.Struct, kw_only=True):
    """One input: a column."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | UnsetType = UNSET
    """Not there where they are bytes behind the JSON."""
    parameters: dict[str, Any] = {}


class Wanted(msgspec.Struct, kw_only=True):
    """One output that is asked for."""

    name: str
    parameters: dict[str, Any] = {}


class Infer(msgspec.Struct, kw_only=True):
    """A request for inference."""

    inputs: list[Tensor]
    outputs: list[Wanted] | None = None
    id: str | None = None
    parameters: dict[str, Any] = {}


class Asked(NamedTuple):
    """A request as rows."""

    infer: Infer
    rows: list[dict[str, Any]]
    place: Place
    durable: bool
    """Whether the answer has to wait until its record survives power loss."""
    explain: bool
    """Whether further outputs say what each column contributed."""


def read_infer(body: bytes, columns: Sequence[RequestColumn], json_length: str | None = None) -> Asked:
    """Return a request's rows."""
    text, blobs = oip_binary.split(body, json_length)
    infer = read_json(text, Infer, form=_FORM)
    if not infer.inputs:
        raise RequestError("there are no inputs", where="inputs", allowed="one tensor a column")
    names = [tensor.name for tensor in infer.inputs]
    _check_once(names, "inputs")
    # Before any row is made: rows of columns that nobody knows would take forty times the memory of the body.
    check_known(names, columns, _where)
    files = {column.name for column in columns if column.type == "file"}
    read = [_values(tensor, blobs, is_file=tensor.name in files) for tensor in infer.inputs]
    blobs.check_end()
    n = len(read[0])
    for name, column in zip(names, read, strict=True):
        if len(column) != n:
            raise RequestError(
                "tensors of different lengths", where=_where(name), found=len(column), allowed=f"{n} rows"
            )
    rows = [dict(zip(names, values, strict=True)) for values in zip(*read, strict=True)]
    return Asked(infer, rows, _place, durable=_is_set(infer, "durable"), explain=_is_set(infer, "explain"))


def _is_set(infer: Infer, parameter: str) -> bool:
    return _truth(infer.parameters.get(parameter, False), f"parameters.{parameter}")


def _truth(value: object, where: str) -> bool:
    if isinstance(value, bool):
        return value
    raise RequestError("not a truth value", where=where, found=kind_of(value), allowed="true or false")


def _check_once(names: list[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise RequestError(
                "a tensor comes twice", where=where, found=name[:100], allowed="each name once"
            )
        seen.add(name)


def _where(name: str) -> str:
    return f"inputs[{name[:100]}]"


def _place(row: int, column: str) -> str:
    return f"{_where(column)}.data[{row}]"


def _values(tensor: Tensor, blobs: Blobs, *, is_file: bool) -> list[Any]:
    where, shape = _where(tensor.name), tensor.shape
    if not 1 <= len(shape) <= 2 or shape[1:] not in ([], [1]) or not 1 <= shape[0] <= MAX_ROWS:
        raise RequestError(
            "a tensor is one column", where=f"{where}.shape", found=str(shape)[:100], allowed="[n] or [n, 1]"
        )
    _check_parameters(tensor.parameters, where)
    fits, allowed = _check_of(tensor)
    size = tensor.parameters.get(oip_binary.SIZE)
    data = tensor.data
    if isinstance(data, UnsetType) and size is not None:
        return oip_binary.values(blobs.take(size, where), tensor.datatype, shape[0], where, is_file=is_file)
    if isinstance(data, UnsetType) or size is not None:
        raise RequestError(
            "a tensor has its data either as JSON or as bytes",
            where=where,
            found="neither" if size is None else "both",
            allowed=f"one of `data` and `parameters.{oip_binary.SIZE}`",
        )
    if len(shape) == 2 and any(isinstance(value, list) for value in data):
        data = [_inner(value, f"{where}.data[{number}]") for number, value in enumerate(data)]
    if len(data) != shape[0]:
        raise RequestError(
            "the data are not as many as the shape says", where=where, found=len(data), allowed=str(shape[0])
        )
    for number, value in enumerate(data):
        if value is not None and not fits(value):
            raise RequestError(
                f"not a value of {tensor.datatype}",
                where=f"{where}.data[{number}]",
                found=kind_of(value),
                allowed=allowed,
            )
    return data


def _check_parameters(parameters: Mapping[str, Any], where: str) -> None:
    for name in _ELSEWHERE:
        if name in parameters:
            raise RequestError(
                "this extension is not here",
                where=f"{where}.parameters",
                found=name,
                allowed=", ".join(EXTENSIONS),
            )


def _inner(value: Any, where: str) -> Any:
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    raise RequestError("not a row of one value", where=where, found=kind_of(value), allowed="[value]")


def _check_of(tensor: Tensor) -> tuple[Callable[[Any], bool], str]:
    if tensor.datatype not in _CHECKS:
        raise RequestError(
            "unknown datatype",
            where=f"{_where(tensor.name)}.datatype",
            found=tensor.datatype[:100],
            allowed=", ".join(_CHECKS),
        )
    return _CHECKS[tensor.datatype]


def _integers(low: int, high: int) -> tuple[Callable[[Any], bool], str]:
    def fits(value: Any) -> bool:
        return type(value) is int and low <= value <= high

    return fits, f"an integer from {low} to {high}, or null"


def _is_boolean(value: Any) -> bool:
    return type(value) is bool


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_text(value: Any) -> bool:
    return type(value) is str


_NUMBER = (_is_number, "a number, or null")
_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "BOOL": (_is_boolean, "true, false or null"),
    **{f"INT{bits}": _integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": _integers(0, 2**bits - 1) for bits in (8, 16, 32, 64)},
    "FP16": _NUMBER,
    "FP32": _NUMBER,
    "FP64": _NUMBER,
    "BYTES": (_is_text, "a text, or null"),
}


def datatype_of(column: RequestColumn) -> str:
    """Return the datatype that a column's tensor has in the metadata; others whose values fit are taken too."""
    return _DATATYPES.get(column.type, "BYTES")


def output_names(package: Package) -> list[str]:
    """Name the outputs of a model, in their order."""
    return [output["name"] for output in _outputs(package, ids=[], answers=[])]


def _place_of(column: RequestColumn) -> TensorPlace:
    place: TensorPlace = {"name": column.name, "datatype": datatype_of(column), "shape": [-1]}
    if column.optional:
        place["optional"] = True
    return place


def to_metadata(line: str, version: str, package: Package) -> Model:
    """Describe a model: what goes in and what comes out."""
    return {
        "name": line,
        "versions": [version],
        "platform": "linewright_onnx",
        "inputs": [_place_of(column) for column in Needs(package).inputs],
        "outputs": [
            {"name": output["name"], "datatype": output["datatype"], "shape": [-1, *output["shape"][1:]]}
            for output in _outputs(package, ids=[], answers=[])
        ],
    }


def to_answer(
    asked: Infer,
    *,
    line: str,
    version: int,
    digest: str,
    versions: Sequence[int] | None = None,
    package: Package,
    ids: Sequence[str],
    answers: Sequence[Mapping[str, Any]],
    explained: Sequence[Mapping[str, Any]] = (),
    durability: Durability,
) -> InferAnswer:
    """Return the answer to a request; only the outputs that it asked for, all where it did not say."""
    outputs = _outputs(package, ids=ids, answers=answers)
    if explained:
        there = {one["name"] for one in outputs}  # an anomaly has its score anyway
        explanation = _explanation(explained, is_list=bool(package.encoder.items))
        outputs += [one for one in explanation if one["name"] not in there]
    if asked.outputs is not None:
        by_name = {output["name"]: output for output in outputs}
        outputs = [by_name[wanted.name] for wanted in asked.outputs]
    if versions is not None:
        outputs = [*outputs, _output("model_version", "INT64", [len(ids)], list(versions))]
    answer: InferAnswer = {
        "model_name": line,
        "model_version": str(version),
        "parameters": {"model": f"{line}@{version}", "digest": digest, "durability": durability},
        "outputs": outputs,
    }
    return answer if asked.id is None else {"id": asked.id, **answer}


def add_ages(answer: InferAnswer, newest: Mapping[int, Newest]) -> None:
    """Say of rows that named a series alone how old its newest value is: parameters of ``times``, null for other rows."""
    for one in answer["outputs"] if newest else ():
        if one["name"] == "times":
            said = [newest.get(row) for row in range(one["shape"][0])]
            one["parameters"] = {
                "newest": [each and each.newest for each in said],
                "age": [each and each.age for each in said],
            }


def add_features(answer: InferAnswer, features: Sequence[Mapping[str, Any]]) -> None:
    """Say of each row what it got of feature views: a parameter of the answer, left out if no row got any."""
    if features:
        answer["parameters"]["features"] = [dict(one) for one in features]


def to_response(asked: Infer, answer: InferAnswer) -> Response:
    """Return what `to_answer` gave, with the outputs as bytes that were asked for so."""
    return oip_binary.to_response(answer, [_is_binary(asked, output["name"]) for output in answer["outputs"]])


def _is_binary(asked: Infer, name: str) -> bool:
    """Whether an output is wanted as bytes: its own parameter decides, else that of the request."""
    where, wanted = "parameters.binary_data_output", asked.parameters.get("binary_data_output", False)
    for output in asked.outputs or []:
        if output.name == name and "binary_data" in output.parameters:
            where, wanted = f"outputs[{name}].parameters.binary_data", output.parameters["binary_data"]
    return _truth(wanted, where)


def check_inputs(asked: Asked, line: str, needs: Needs) -> None:
    """Refuse a request without inputs that the model needs, in Triton's words."""
    given = [tensor.name for tensor in asked.infer.inputs]
    lacks = needs.shape(frozenset(given)).lacks
    if not lacks:
        return
    optional = sum(1 for column in needs.inputs if column.optional)
    most = len(needs.inputs)
    expected = f"number of inputs between {most - optional} and {most}" if optional else f"{most} inputs"
    names = {column.name for column in needs.inputs} | needs.reads.keys()
    got = [name for name in given if name in names]
    raise RequestError(
        f"expected {expected} but got {len(got)} inputs for model {line!r}. Got input(s) {_few(got)}, but missing "
        f"required input(s) {_few(lacks)}. Please provide all required input(s)",
        where="inputs",
        hint=f"{lacks[0]}: {needs.why(lacks[0])}",
        details={"errors": [{"where": _where(name), "message": "the column is needed"} for name in lacks]},
    )


def _few(names: Sequence[str]) -> str:
    """Return names as Triton lists them, cut to what a message may hold."""
    return f"[{','.join(map(repr, names))}]"[:1000]


def check_outputs(asked: Asked, package: Package) -> None:
    """Refuse outputs that the model does not have, before anything is computed."""
    infer = asked.infer
    wanted = [output.name for output in infer.outputs or []]
    _check_once(wanted, "outputs")
    explanation = explanation_of(package)
    names = [*output_names(package), *(explanation if asked.explain else ())]
    for output in infer.outputs or []:
        if output.name not in names:
            raise _no_output(output.name, names)
        _check_parameters(output.parameters, f"outputs[{output.name}]")
    if asked.explain and infer.outputs is not None and not set(explanation) & set(wanted):
        raise RequestError(
            "an explanation is asked for, and no output that holds one",
            where="outputs",
            found=", ".join(wanted)[:100],
            allowed=", ".join(explanation),
            hint="name one of them too, or leave out `outputs`",
        )
    for name in names:
        _is_binary(infer, name)


def _no_output(name: str, names: Sequence[str]) -> RequestError:
    hint = '`"parameters": {"explain": true}` gives it' if name in EXPLANATION else ""
    return RequestError(
        "no such output", where="outputs", found=name[:100], allowed=", ".join(names), hint=hint
    )


def _outputs(package: Package, *, ids: Sequence[str], answers: Sequence[Mapping[str, Any]]) -> list[Output]:
    classes, n, is_curve = list(package.classes), len(ids), has_times(package.task)
    is_class = bool(classes) and not is_curve
    lists = ("prediction", "scores") if package.encoder.items else ()
    if package.encoder.window is not None:
        lists = ("prediction", "times", "low", "high")
    if lists:
        outputs = [_output(part, "BYTES", [n], _as_json(answers, part)) for part in lists]
        return [*outputs, _output("id", "BYTES", [n], list(ids))]
    predictions = _output(
        "prediction", "BYTES" if is_class else "FP64", [n], [a["prediction"] for a in answers]
    )
    outputs = [predictions, _output("id", "BYTES", [n], list(ids))]
    if is_curve:
        left = [answer["survival"][time] for answer in answers for time in classes]
        times = [float(time) for time in classes]
        outputs[1:1] = [
            _output("survival", "FP64", [n, len(classes)], left, times=times),
            _output("beyond", "BOOL", [n], [answer["beyond"] for answer in answers]),
        ]
        if package.maintenance is not None:
            outputs.insert(3, _output("act_by", "BYTES", [n], _as_json(answers, "act_by")))
    elif learns_good(package.task):
        about = {"classes": classes, "threshold": package.threshold}
        outputs.insert(1, _output("score", "FP64", [n], [answer["score"] for answer in answers], **about))
    elif is_class:
        shares = [answer["probabilities"][name] for answer in answers for name in classes]
        about = {"classes": classes, "threshold": package.threshold}
        outputs.insert(1, _output("probabilities", "FP64", [n, len(classes)], shares, **about))
    elif package.half_width is not None:
        ends = [end for answer in answers for end in answer["interval"][:2]]
        outputs.insert(1, _output("interval", "FP64", [n, 2], ends))
    return outputs


def _as_json(answers: Sequence[Mapping[str, Any]], part: str) -> list[str]:
    """Return what no tensor holds as JSON: a list whose length differs by row, or a number that may be null."""
    return [msgspec.json.encode(answer[part]).decode() for answer in answers]


def _explanation(explained: Sequence[Mapping[str, Any]], *, is_list: bool = False) -> list[Output]:
    """Return what contributed as tensors; a column that the model of a row does not read has contributed nothing to it. Of lists it is JSON."""
    if is_list:
        return [_output(name, "BYTES", [len(explained)], _as_json(explained, name)) for name in EXPLANATION]
    first = explained[0]
    maps: list[Output] = []
    if all("heat_map" in one for one in explained):
        columns = list(first["heat_map"])
        grid = len(first["heat_map"][columns[0]])
        cells = [
            cell for one in explained for name in columns for line in one["heat_map"][name] for cell in line
        ]
        shape = [len(explained), len(columns), grid, grid]
        maps = [_output("heat_map", "FP64", shape, cells, columns=columns)]
    classes = list(first["score"]) if isinstance(first["score"], dict) else []
    by_class = [
        [one["contributions"][name] for name in classes] if classes else [one["contributions"]]
        for one in explained
    ]
    # While a canary runs, rows of two models are here, and each may read columns that the other does not.
    columns = list(dict.fromkeys(name for one in by_class for name in one[0]))
    parts = [each.get(name, 0.0) for one in by_class for each in one for name in columns]
    shape = [len(explained), *([len(classes)] if classes else [])]
    about = {**({"classes": classes} if classes else {}), "score_unit": first["score_unit"]}
    return [
        _output("contributions", "FP64", [*shape, len(columns)], parts, columns=columns, **about),
        _output("base", "FP64", shape, _by_class(explained, "base", classes), **about),
        _output("score", "FP64", shape, _by_class(explained, "score", classes), **about),
        *maps,
    ]


def _by_class(explained: Sequence[Mapping[str, Any]], name: str, classes: Sequence[str]) -> list[float]:
    return (
        [one[name][each] for one in explained for each in classes]
        if classes
        else [one[name] for one in explained]
    )


def _output(
    name: OutputName, datatype: Datatype, shape: list[int], data: list[Any], **parameters: Any
) -> Output:
    output: Output = {"name": name, "datatype": datatype, "shape": shape, "data": data}
    return {**output, "parameters": parameters} if parameters else output
