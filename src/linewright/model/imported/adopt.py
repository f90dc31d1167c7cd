"""From the ONNX file that somebody brings to the graph of a package.

The file's own operators stay as they are. Before them stands what hands over the package's rows, after them what puts
the answers into the form that every package has: one output ``y``, probabilities in the order of the classes.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from linewright.errors import Terminal
from linewright.features.facts import Encoder
from linewright.model.facts import Adopted, Parity
from linewright.model.families.reference_outputs import unit_of
from linewright.model.imported.onnx_file import parse_given
from linewright.model.package.model import Model, inputs_of
from linewright.model.tasks.links import Floats

ALLOWED = 1e-5
"""Largest allowed difference in a probability, or relative to the size of a number."""

OURS = "given_"
"""Put before every name in the file, so that none is one of the package's."""
_ALONE = 64
_OPSET, _LEAST_IR = 9, 4
_KINDS = {
    "float": TensorProto.FLOAT,
    "double": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
    "string": TensorProto.STRING,
}


def to_package_graph(
    data: bytes, form: Adopted, *, encoder: Encoder, classes: Sequence[str], columns: int, where: str
) -> bytes:
    """Return the graph of a package that answers as the file does."""
    model = parse_given(data, where=where)
    graph = model.graph
    maps = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "ZipMap"}
    constants = {tensor.name for tensor in graph.initializer}
    names = [value.name for value in graph.input if value.name not in constants]
    kept = [node for node in graph.node if node.op_type != "ZipMap"]
    del graph.node[:]
    graph.node.extend(kept)
    rename(graph)
    entry = list(_entry([OURS + name for name in names], form.widths, encoder))
    order = [form.classes.index(name) for name in classes]
    ends = _Ending(OURS + maps.get(form.output, form.output))
    ends.to_scores(order, columns)
    body = list(graph.node)
    whole = helper.make_graph(
        [*entry, *body, *ends.nodes],
        "adopted",
        [helper.make_tensor_value_info(name, _KINDS[kind], ["n", k]) for name, kind, k in inputs_of(encoder)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", len(classes) or 1])],
        [*graph.initializer, *ends.constants],
        sparse_initializer=list(graph.sparse_initializer),
    )
    return serialize(model, whole)


def serialize(model: ModelProto, graph: GraphProto) -> bytes:
    """Return a graph as a file, with the versions of the standard of the one that it was made of."""
    opsets = list(model.opset_import)
    if all(one.domain not in ("", "ai.onnx") for one in opsets):
        opsets.append(helper.make_opsetid("", _OPSET))
    whole = helper.make_model(graph, opset_imports=opsets, ir_version=max(model.ir_version, _LEAST_IR))
    whole.producer_name, whole.producer_version = model.producer_name, model.producer_version
    return whole.SerializeToString(deterministic=True)


def rename(graph: GraphProto) -> None:
    """Put our prefix before the name of each value, in inner graphs too; what is nameless stays so."""
    for node in graph.node:
        node.input[:] = [name and OURS + name for name in node.input]
        node.output[:] = [name and OURS + name for name in node.output]
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                rename(inner)
    sparse = [tensor.values for tensor in graph.sparse_initializer]
    for named in (*graph.initializer, *sparse, *graph.input, *graph.output):
        named.name = OURS + named.name
    del graph.value_info[:]
    del graph.quantization_annotation[:]


def _entry(names: Sequence[str], widths: Sequence[int], encoder: Encoder) -> Iterable[NodeProto]:
    """Yield what hands the package's inputs over to those of the file."""
    if not encoder.is_raw:
        yield helper.make_node("Identity", ["x"], [names[0]])
        return
    at = 0
    for name, width in zip(names, widths, strict=True):
        parts = [f"x{i}" for i in range(at, at + width)]
        at += width
        if width == 1:
            yield helper.make_node("Identity", parts, [name])
        else:
            yield helper.make_node("Concat", parts, [name], axis=1)


class _Ending:
    """What stands after the file's operators."""

    def __init__(self, value: str) -> None:
        self._at = value
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def to_scores(self, order: Sequence[int], columns: int) -> None:
        self._add("Cast", to=TensorProto.FLOAT)
        self._add("Reshape", self._constant([-1, columns], np.int64))
        if columns == 1 and len(order) == 2:
            positive = self._at
            self.nodes.append(
                helper.make_node("Sub", [self._constant([[1.0]], np.float32), positive], ["other"])
            )
            self.nodes.append(helper.make_node("Concat", ["other", positive], ["both"], axis=1))
            self._at = "both"
        self._add("Gather", self._constant(list(order) or [0], np.int64), axis=1, output="y")

    def _add(self, operator: str, *more: str, output: str = "", **attributes: Any) -> None:
        output = output or f"end{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, [self._at, *more], [output], **attributes))
        self._at = output

    def _constant(self, values: npt.ArrayLike, kind: npt.DTypeLike) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name


class Asked(Protocol):
    """Whose answers a package has to have."""

    def scores(self, x: npt.NDArray[Any]) -> Floats:
        """Return scores of encoded rows."""
        ...


def adopted_parity(given: Asked, model: Model, x: npt.NDArray[Any]) -> Parity:
    """Compare the answers of a package with those of the file that it was made of, or of the library whose file it is.

    Rows are asked together, and some of them one by one: a model whose answer to a row depends on the rows beside it,
    or on chance, is refused too.
    """
    together, alone = given.scores(x), min(len(x), _ALONE)
    singly = np.concatenate([model.scores(x[i : i + 1]) for i in range(alone)])
    unit = (
        np.ones_like(together) if model.package.classes else np.maximum(unit_of(together), np.abs(together))
    )
    pairs = {"rows": (model.scores(x), together, unit), "single": (singly, together[:alone], unit[:alone])}
    apart = {kind: float((np.abs(a - b) / unit).max()) for kind, (a, b, unit) in pairs.items()}
    worst = max(apart, key=lambda kind: apart[kind])
    if not apart[worst] <= ALLOWED:
        raise Terminal(
            "the package does not answer as the model that was given",
            where=f"package {model.digest}",
            found=f"a difference of {apart[worst]:.3g} in {worst} rows",
            allowed=f"{ALLOWED:g}",
            hint="a model must answer a row alike, whatever rows stand beside it",
        )
    return Parity(package=model.digest, rows=len(x) + alone, largest=apart[worst], allowed=ALLOWED, flips=0)
