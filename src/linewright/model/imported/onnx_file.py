"""An imported model: what its file says about itself, and what it answers.

A file is ONNX, or becomes it (`model.imported.booster_file`).

The file is untrusted. It is looked through before anything parses or runs it, and what runs it is hardened as in serving.
"""

import json
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from linewright.errors import Corrupt, Denied, RequestError
from linewright.features.facts import Encoder
from linewright.model.facts import Adopted, Task
from linewright.model.imported.booster_file import ALLOWED, convert
from linewright.model.onnx.session import DOMAINS, ERRORS, check_graph, open_session
from linewright.model.package.model import Feed
from linewright.model.tasks import link_of
from linewright.model.tasks.links import Floats

MOST_BYTES = 512 * 1024 * 1024
"""A file is read into memory several times; larger ones are refused."""

_DTYPES = {
    TensorProto.FLOAT: "float",
    TensorProto.DOUBLE: "double",
    TensorProto.INT64: "int64",
    TensorProto.BOOL: "bool",
    TensorProto.STRING: "string",
}
_NAMES = ("feature_names", "feature_names_in_", "columns")
"""Metadata that exporters and people use for the names of columns."""
_LABELS = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")
_SURE = 1e-3
"""How far the probabilities of a row may be from a sum of 1."""


class GivenInput(msgspec.Struct, frozen=True, kw_only=True):
    """One input."""

    name: str
    dtype: str
    width: int | None
    """Columns; `None` where the file does not say."""


class GivenOutput(msgspec.Struct, frozen=True, kw_only=True):
    """One output that may hold probabilities or numbers."""

    name: str
    value: str
    """The tensor behind it: the output itself, or what a map of classes is made of."""
    is_map: bool


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says about itself."""

    inputs: tuple[GivenInput, ...]
    outputs: tuple[GivenOutput, ...]
    classes: tuple[str, ...]
    """Classes in the order of its probabilities; empty where it does not say."""
    columns: tuple[str, ...]
    """Names of columns from its metadata; often none."""
    producer: str
    producer_version: str
    library: str = ""
    """Whose file it is; empty for ONNX."""
    objective: str = ""
    """What it was trained for, as its library calls it; empty for ONNX."""
    codes: int = 0
    """So many classes it has, which it calls 0, 1, 2, …; 0 where it says their names, or none."""


def look_at(data: bytes, *, where: str) -> Given:
    """Look at a file."""
    model = parse_given(data, where=where)
    converted = convert(data, where=where)
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_input(value, where) for value in graph.input if value.name not in constants)
    if not inputs:
        raise RequestError("the model reads nothing", where=where, allowed="an input")
    return Given(
        inputs=inputs,
        outputs=_outputs(model),
        classes=_classes(model),
        columns=_columns(model),
        producer=model.producer_name,
        producer_version=model.producer_version,
        library=converted.library if converted else "",
        objective=converted.objective if converted else "",
        codes=converted.classes if converted else 0,
    )


def parse_given(data: bytes, *, where: str) -> ModelProto:
    """Return the parsed file, after it was found safe and able to run; see `look_at` for what is raised."""
    if len(data) > MOST_BYTES:
        raise RequestError(
            "the model is too large", where=where, found=len(data), allowed=f"at most {MOST_BYTES:,} bytes"
        )
    data = as_onnx(data, where)
    if len(data) > MOST_BYTES:
        raise RequestError(
            "the model is too large",
            where=where,
            found=f"{len(data):,} bytes as ONNX",
            allowed=f"at most {MOST_BYTES:,}",
        )
    try:
        check_graph(data)
        model = onnx.load_model_from_string(data)
        open_session(data, where)
    except Denied as error:
        raise Denied(
            error.what, where=where, found=error.found, allowed=error.allowed or _ALLOWED, hint=_HINT
        ) from error
    except (Corrupt, DecodeError) as error:
        raise RequestError(
            "this is not an ONNX file that can run",
            where=where,
            found=error.what if isinstance(error, Corrupt) else str(error),
            allowed=f"{_ALLOWED}; or {ALLOWED.partition(', ')[2]}",
            hint="export the model again, for example with skl2onnx",
        ) from error
    return model


def as_onnx(data: bytes, where: str) -> bytes:
    """Return a file as ONNX, which it is or becomes (`model.imported.booster_file`)."""
    converted = convert(data, where=where)
    return converted.graph if converted else data


_ALLOWED = f"one ONNX file with operators of {', '.join(d.decode() for d in DOMAINS if d)}"
_HINT = "export it whole into one file, with standard operators only"


def _input(value: ValueInfoProto, where: str) -> GivenInput:
    tensor = value.type.tensor_type
    dtype = _DTYPES.get(cast(Any, tensor.elem_type))
    dims = tensor.shape.dim
    is_table = value.type.HasField("tensor_type") and len(dims) == 2 and not dims[0].HasField("dim_value")
    if not is_table or dtype is None:
        shape = [dim.dim_value if dim.HasField("dim_value") else "n" for dim in dims]
        raise RequestError(
            "an input of the model is not made of columns of a table",
            where=f"{where}: input {value.name!r}",
            found=f"{helper.tensor_dtype_to_string(tensor.elem_type)} {shape}",
            allowed=f"{', '.join(_DTYPES.values())} of shape [n, columns], n being free",
        )
    width = dims[1].dim_value if dims[1].HasField("dim_value") else None
    return GivenInput(name=value.name, dtype=dtype, width=width)


def _outputs(model: ModelProto) -> tuple[GivenOutput, ...]:
    maps = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "ZipMap"}
    found: list[GivenOutput] = []
    for value in model.graph.output:
        is_number = value.type.tensor_type.elem_type in (TensorProto.FLOAT, TensorProto.DOUBLE)
        if value.name in maps or is_number:
            behind = maps.get(value.name, value.name)
            found.append(GivenOutput(name=value.name, value=behind, is_map=value.name in maps))
    return tuple(found)


def _classes(model: ModelProto) -> tuple[str, ...]:
    """Return the classes that the file names: beside its map, in its classifier, or where its label is looked up."""
    # The last classifier is the one that answers; those before it may be parts of it.
    nodes = [*reversed(model.graph.node)]
    nodes.sort(key=lambda node: node.op_type != "ZipMap")
    for node in nodes:
        for attribute in node.attribute:
            if attribute.name in _LABELS and (values := helper.get_attribute_value(attribute)):
                return tuple(_spelled(value) for value in values)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in nodes:
        if node.op_type == "ArrayFeatureExtractor" and node.input[0] in constants:
            values = onnx.numpy_helper.to_array(constants[node.input[0]])
            if "class" in node.input[0]:
                return tuple(_spelled(value) for value in values.ravel().tolist())
    return ()


def _spelled(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _columns(model: ModelProto) -> tuple[str, ...]:
    said = {item.key: item.value for item in model.metadata_props}
    text = next((said[name] for name in _NAMES if said.get(name)), "")
    try:
        names = json.loads(text)
    except ValueError:
        names = text.split(",")
    return tuple(str(name).strip() for name in names if str(name).strip()) if isinstance(names, list) else ()


def require_answers(given: Given, task: Task, *, where: str) -> None:
    """Refuse a model whose library says that it answers something else than the task asks for."""
    if given.library and (given.codes == 0) == link_of(task).is_class:
        has, asks = "a number", "the probability of each class"
        if given.codes:
            has, asks = asks, has
        raise RequestError(
            "the model answers something else than the label asks for",
            where=where,
            found=f"{has} ({given.objective})",
            allowed=f"{asks}, as the task is {task}",
            hint="bring a model that was trained for this label; where the label is to be read otherwise, write `task` into `train:` of a line "
            "file that names this model",
        )


def choose_output(given: Given, task: Task, *, wanted: str | None, where: str) -> GivenOutput:
    """Return the output that holds what the task needs."""
    is_class = link_of(task).is_class
    usable = [one for one in given.outputs if is_class or not one.is_map]
    asked = [one for one in usable if one.name == wanted] if wanted is not None else usable
    maps = [one for one in asked if one.is_map]
    if maps:
        return maps[0]
    if len(asked) == 1:
        return asked[0]
    need = "the probability of each class" if is_class else "one number a row"
    raise RequestError(
        f"which output of the model is {need}?" if usable else f"the model has no output that is {need}",
        where=where,
        found=wanted or ", ".join(one.name for one in given.outputs) or "labels alone",
        allowed=", ".join(one.name for one in usable) or need,
        hint="name it as `output`"
        if usable
        else "export it with probabilities"
        if is_class
        else "export a regressor, or correct `train.task`",
    )


def spelled_classes(
    own: Sequence[str], labels: Sequence[str], *, said: Sequence[str], where: str
) -> tuple[str, ...]:
    """Return the model's classes in the order of its probabilities, spelled as in the data."""
    classes = tuple(said or own)
    unknown = sorted(set(labels) - set(classes))
    if unknown or len(set(classes)) != len(classes):
        raise RequestError(
            "the data have labels that are no class of the model"
            if unknown and classes
            else "the model does not say its classes"
            if not classes
            else "a class is named twice",
            where=where,
            found=", ".join(map(repr, unknown or classes)),
            allowed=", ".join(map(repr, classes)) or "its classes",
            hint="write its classes in the order of its probabilities, spelled as in the data, as `classes`",
        )
    return classes


class GivenModel:
    """The file as it was given, ready to answer rows: what a package made of it is compared with."""

    def __init__(
        self, data: bytes, form: Adopted, *, encoder: Encoder, classes: Sequence[str], where: str
    ) -> None:
        data = as_onnx(data, where)
        check_graph(data)
        self._session = open_session(data, where)
        # The runtime gives a map with its classes sorted, which is not always the order of the probabilities.
        self._keys = _classes(onnx.load_model_from_string(data))
        self._form, self._encoder, self._where = form, encoder, where
        self._order = [form.classes.index(name) for name in classes]

    def scores(self, x: npt.NDArray[Any]) -> Floats:
        """Return scores of encoded rows, as `Model.scores` does for its package."""
        raw = self.answers(x)
        if not self._order:
            return self._numbers(raw)
        if raw.shape[1] == 1 and len(self._order) == 2:
            raw = np.column_stack([1 - raw[:, 0], raw[:, 0]])
        if raw.shape[1] != len(self._order):
            raise self._unlike(f"{raw.shape[1]} columns", f"{len(self._order)}, one a class")
        if not np.isfinite(raw).all():
            raise self._no_answer(raw)
        off = np.maximum(np.abs(raw.sum(axis=1) - 1), -raw.min(axis=1))
        if off.max() > _SURE:
            row = raw[int(off.argmax())]
            raise self._unlike(f"{row.round(4).tolist()}", "numbers from 0 to 1 that sum to 1")
        return raw[:, self._order]

    def answers(self, x: npt.NDArray[Any]) -> Floats:
        """Return what the output holds, shape (n, columns)."""
        try:
            found = self._session.run([self._form.output], self._feed(x))[0]
        except ERRORS as error:
            raise RequestError(
                "the model failed on rows of the data", where=self._where, found=str(error)[:500]
            ) from error
        if isinstance(found, list):
            rows = [{str(key): value for key, value in row.items()} for row in found]
            found = [[row[key] for key in self._keys] for row in rows]
        values = np.asarray(found, dtype=np.float64)
        return values.reshape(len(x), -1) if values.size % max(len(x), 1) == 0 else values.reshape(-1, 1)

    def _feed(self, x: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        parts = list(Feed(self._encoder).of(x).values())
        names = [node.name for node in self._session.get_inputs()]
        if not self._encoder.is_raw:
            return {names[0]: parts[0]}
        ends = np.cumsum(self._form.widths).tolist()
        spans = zip(names, self._form.widths, ends, strict=True)
        return {name: np.hstack(parts[end - width : end]) for name, width, end in spans}

    def _numbers(self, raw: Floats) -> Floats:
        if raw.shape[1] != 1:
            raise self._unlike(f"{raw.shape[1]} numbers a row", "one number a row")
        if not np.isfinite(raw).all():
            raise self._no_answer(raw)
        return raw[:, 0]

    def _unlike(self, found: str, allowed: str) -> RequestError:
        return RequestError(
            f"output {self._form.output!r} of the model is not what the task needs",
            where=self._where,
            found=found,
            allowed=allowed,
            hint="name another as `output`, or export the model with "
            + ("probabilities" if self._order else "one number a row"),
        )

    def _no_answer(self, raw: Floats) -> RequestError:
        bad = ~np.isfinite(raw).all(axis=1)
        return RequestError(
            "the model has no finite answer for some rows",
            where=self._where,
            found=f"{int(bad.sum()):,} of {len(raw):,} rows",
            hint="a model that cannot answer where a value is missing needs `nullable: false` in contract.columns, "
            "or a step that fills them",
        )
