"""The Open Inference Protocol's words for a line: one tensor a column, and back.

Beyond the protocol: ``null`` in `data` means a missing value, the output ``id`` holds the prediction ids that feedback
refers to, and the request parameter ``durable`` asks for an answer whose record survives power loss.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from linewright.errors import RequestError
from linewright.model.facts import Package, RequestColumn
from linewright.serve.request import read_json
from linewright.serve.rows import MAX_ROWS, Place
from linewright.serve.values import kind_of

EXTENSIONS = ("null-data", "id-output", "durable-parameter")

_DATATYPES = {"integer": "INT64", "number": "FP64", "boolean": "BOOL"}
"""By column type; all others are BYTES."""


_FORM = '{"inputs": [{"name": "COLUMN", "datatype": "FP64", "shape": [1], "data": [VALUE]}, ...]}'


class Tensor(msgspec.Struct, kw_only=True):
    """One input: a column."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
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


def read_infer(body: bytes) -> Asked:
    """Return a request's rows.

    Raises
    ------
    RequestError
        If a tensor is not one column of values of its datatype, or the tensors differ in length.
    Refusal
        If the body is not JSON.
    """
    infer = read_json(body, Infer, form=_FORM)
    if not infer.inputs:
        raise RequestError("there are no inputs", where="inputs", allowed="one tensor a column")
    names = [tensor.name for tensor in infer.inputs]
    _check_once(names, "inputs")
    columns = [_values(tensor) for tensor in infer.inputs]
    n = len(columns[0])
    for name, column in zip(names, columns, strict=True):
        if len(column) != n:
            raise RequestError(
                "tensors of different lengths", where=_where(name), found=len(column), allowed=f"{n} rows"
            )
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    return Asked(infer, rows, _place, _is_durable(infer))


def _is_durable(infer: Infer) -> bool:
    durable = infer.parameters.get("durable", False)
    if type(durable) is not bool:
        raise RequestError(
            "not a truth value", where="parameters.durable", found=kind_of(durable), allowed="true or false"
        )
    return durable


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


def _values(tensor: Tensor) -> list[Any]:
    where, shape = _where(tensor.name), tensor.shape
    if not 1 <= len(shape) <= 2 or shape[1:] not in ([], [1]) or not 1 <= shape[0] <= MAX_ROWS:
        raise RequestError(
            "a tensor is one column", where=f"{where}.shape", found=str(shape)[:100], allowed="[n] or [n, 1]"
        )
    data = tensor.data
    if len(shape) == 2 and any(isinstance(value, list) for value in data):
        data = [_inner(value, f"{where}.data[{number}]") for number, value in enumerate(data)]
    if len(data) != shape[0]:
        raise RequestError(
            "the data are not as many as the shape says", where=where, found=len(data), allowed=str(shape[0])
        )
    fits, allowed = _check_of(tensor)
    for number, value in enumerate(data):
        if value is not None and not fits(value):
            raise RequestError(
                f"not a value of {tensor.datatype}",
                where=f"{where}.data[{number}]",
                found=kind_of(value),
                allowed=allowed,
            )
    return data


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


def to_metadata(line: str, version: int, package: Package) -> dict[str, Any]:
    """Describe a model: what goes in and what comes out."""
    return {
        "name": line,
        "versions": [str(version)],
        "platform": "linewright_onnx",
        "inputs": [
            {"name": column.name, "datatype": datatype_of(column), "shape": [-1]}
            for column in package.columns
            if column.role == "feature"
        ],
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
    package: Package,
    ids: Sequence[str],
    answers: Sequence[Mapping[str, Any]],
    durability: str,
) -> dict[str, Any]:
    """Return the answer to a request; only the outputs that it asked for, all where it did not say."""
    outputs = _outputs(package, ids=ids, answers=answers)
    if asked.outputs is not None:
        by_name = {output["name"]: output for output in outputs}
        outputs = [by_name[wanted.name] for wanted in asked.outputs]
    answer: dict[str, Any] = {
        "model_name": line,
        "model_version": str(version),
        "parameters": {"model": f"{line}@{version}", "digest": digest, "durability": durability},
        "outputs": outputs,
    }
    return answer if asked.id is None else {"id": asked.id, **answer}


def check_outputs(asked: Infer, package: Package) -> None:
    """Refuse outputs that the model does not have, before anything is computed.

    Raises
    ------
    RequestError
        If there is no such output, or one is asked for twice.
    """
    _check_once([wanted.name for wanted in asked.outputs or []], "outputs")
    names = output_names(package)
    for wanted in asked.outputs or []:
        if wanted.name not in names:
            raise RequestError(
                "no such output", where="outputs", found=wanted.name[:100], allowed=", ".join(names)
            )


def _outputs(
    package: Package, *, ids: Sequence[str], answers: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    classes, n = list(package.classes), len(ids)
    predictions = _output(
        "prediction", "BYTES" if classes else "FP64", [n], [a["prediction"] for a in answers]
    )
    outputs = [predictions, _output("id", "BYTES", [n], list(ids))]
    if classes:
        shares = [answer["probabilities"][name] for answer in answers for name in classes]
        probabilities = _output("probabilities", "FP64", [n, len(classes)], shares)
        outputs.insert(
            1, {**probabilities, "parameters": {"classes": classes, "threshold": package.threshold}}
        )
    elif package.half_width is not None:
        ends = [end for answer in answers for end in answer["interval"][:2]]
        outputs.insert(1, _output("interval", "FP64", [n, 2], ends))
    return outputs


def _output(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}
