"""From a fitted model to the ONNX graph that serves.

Input ``x`` float32 [n, width]; one output ``y`` float32: probabilities [n, classes], or numbers [n, 1]. Trees are
added up by ONNX Runtime's own operator; probabilities come from the sums by one softmax in double, so that small ones
keep their digits, which calibration needs. Equal models give equal bytes.

Beside what it computes, the graph says what an explanation needs (`model.explain` reads it): how many training rows came
to each node of a tree, as ``nodes_hitrates_as_tensor``, an attribute that runtimes do not compute with; or the means of a
linear model, as metadata.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxmltools.convert import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from linewright.errors import Terminal
from linewright.model.boosted import BoostedFitted, Shape, shapes_of
from linewright.model.ensemble import EnsembleFitted
from linewright.model.explain import (
    COEFFICIENTS,
    DESIGN,
    INTERCEPT,
    NAME,
    OFFSET,
    SCALE,
    Centre,
    Part,
    to_metadata,
)
from linewright.model.facts import Task
from linewright.model.fitted import Fitted
from linewright.model.linear import BEND, FAR, LinearFitted, LinearNative
from linewright.model.trainers import read_native

_OPSETS: Mapping[str, int] = {"": 17, "ai.onnx.ml": 3}
_IR_VERSION = 8
_CONVERTER_OPSET = 15


def to_onnx(native: bytes, width: int) -> bytes:
    """Return the ONNX graph of a native model.

    Parameters
    ----------
    native
        What `Fitted.to_native` returned.
    width
        Columns of the matrix that the encoder makes.

    Returns
    -------
    bytes
        A serialized ONNX model, the same in any process. Its scores differ from those of the native model by float32
        rounding only; `parity` measures it.

    Raises
    ------
    Corrupt
        If `native` is not a native model.
    Terminal
        If it cannot be said in ONNX with equal answers; the message says why.
    """
    fitted = read_native(native)
    if fitted.native.width != width:
        raise Terminal(
            "the model and the encoder do not belong together",
            where="ONNX export",
            found=f"a model of {fitted.native.width} columns",
            allowed=f"{width} columns",
        )
    graph = _Graph()
    if isinstance(fitted, EnsembleFitted):
        margins, outputs = _members(graph, fitted)
    else:
        margins, outputs = _margins(graph, fitted)
    _scores(graph, margins, fitted.native.task)
    return graph.serialize(width=width, outputs=2 if fitted.native.task == "binary" else outputs)


class _Graph:
    """A graph in the making; names count up, so that equal graphs have equal bytes."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self.metadata: dict[str, str] = {}
        self.suffix = ""
        """Behind the names of what an explanation reads, where there is more than one of it."""

    def add(self, operator: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any) -> str:
        output = output or f"v{len(self._nodes)}"
        node = helper.make_node(operator, inputs, [output], name=f"n{len(self._nodes)}", domain=domain)
        node.attribute.extend(helper.make_attribute(key, attributes[key]) for key in sorted(attributes))
        self._nodes.append(node)
        return output

    def constant(self, values: npt.ArrayLike, kind: npt.DTypeLike = np.float64, *, name: str = "") -> str:
        name = name or f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    def columns(self, matrix: str, places: list[int]) -> str:
        return self.add("Gather", matrix, self.constant(places, np.int64), axis=1)

    def serialize(self, *, width: int, outputs: int) -> bytes:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", width])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", outputs])
        graph = helper.make_graph(self._nodes, NAME, [x], [y], initializer=self._constants)
        opsets = [helper.make_opsetid(domain, number) for domain, number in _OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        model.producer_name = NAME
        helper.set_model_props(model, self.metadata)
        return model.SerializeToString(deterministic=True)


def _members(graph: _Graph, fitted: EnsembleFitted) -> tuple[str, int]:
    """Sum what the members add up, each with its weight; say in the metadata which they are, for explanations."""
    parts: list[Part] = []
    sums: list[str] = []
    outputs = 1
    for place, (weight, one) in enumerate(fitted.members):
        graph.suffix = f".{place}"
        margins, outputs = _margins(graph, one)
        parts.append(Part(trees=isinstance(one, BoostedFitted), weight=weight, suffix=graph.suffix))
        sums.append(graph.add("Mul", margins, graph.constant(weight)))
    graph.metadata |= to_metadata(parts)
    return graph.add("Sum", *sums), outputs


def _margins(graph: _Graph, fitted: Fitted) -> tuple[str, int]:
    if isinstance(fitted, BoostedFitted):
        return _trees(graph, fitted)
    if isinstance(fitted, LinearFitted):
        return _linear(graph, fitted.native), len(fitted.native.intercept)
    raise Terminal("a family that cannot be exported", where="ONNX export", found=type(fitted).__name__)


def _scores(graph: _Graph, margins: str, task: Task) -> None:
    if task == "binary":
        # Log-odds of two classes are the margins 0 and x.
        margins = graph.add("Pad", margins, graph.constant([0, 1, 0, 0], np.int64), graph.constant(0.0))
    if task != "regression":
        margins = graph.add("Softmax", margins, axis=1)
    graph.add("Cast", margins, output="y", to=TensorProto.FLOAT)


def _trees(graph: _Graph, fitted: BoostedFitted) -> tuple[str, int]:
    native = fitted.native
    converted = convert_lightgbm(
        fitted.booster,
        name=NAME,
        initial_types=[("x", FloatTensorType([None, native.width]))],
        target_opset=_CONVERTER_OPSET,
        zipmap=False,
    )
    ensemble = _ensemble(converted)
    rows_at = numpy_helper.from_array(_rows_at_nodes(ensemble, shapes_of(native.text)), "nodes_hitrates")
    outputs = max(ensemble["target_ids"]) + 1
    # Double all through: over a thousand trees, sums in float32 would be off by what `parity` allows.
    rows = graph.add("Cast", "x", to=TensorProto.DOUBLE)
    sums = graph.add(
        "TreeEnsembleRegressor",
        rows,
        domain="ai.onnx.ml",
        n_targets=outputs,
        nodes_hitrates_as_tensor=rows_at,
        **ensemble,
    )
    margins = graph.add("Cast", sums, to=TensorProto.DOUBLE)
    if native.task == "regression":
        scaled = graph.add("Mul", margins, graph.constant(native.scale, name=SCALE + graph.suffix))
        margins = graph.add("Add", scaled, graph.constant(native.offset, name=OFFSET + graph.suffix))
    return margins, outputs


def _ensemble(converted: ModelProto) -> dict[str, Any]:
    """Take the trees out of the converter's graph, leaving its labels and links behind."""
    found = [node for node in converted.graph.node if node.op_type.startswith("TreeEnsemble")]
    if len(found) != 1:
        raise Terminal("the converter did not make one tree ensemble", where="ONNX export", found=len(found))
    attributes = {item.name: helper.get_attribute_value(item) for item in found[0].attribute}
    ensemble = {
        name.replace("class_", "target_"): value
        for name, value in attributes.items()
        if name.startswith(("nodes_", "class_", "target_")) and name != "nodes_hitrates"
    }
    for name in ("nodes_values", "target_weights"):
        numbers = np.asarray(ensemble.pop(name), dtype=np.float64)
        ensemble[f"{name}_as_tensor"] = numpy_helper.from_array(numbers, name)
    return ensemble


def _rows_at_nodes(ensemble: Mapping[str, Any], shapes: Sequence[Shape]) -> npt.NDArray[np.float64]:
    """Return how many training rows came to each node.

    LightGBM asks at one split whether a code is in a set; the converter makes a chain of comparisons with one code each,
    all of which lead to the same node. Each link gets the rows of the split.
    """
    place = {
        node: at
        for at, node in enumerate(zip(ensemble["nodes_treeids"], ensemble["nodes_nodeids"], strict=True))
    }
    yes, no, modes = (ensemble[f"nodes_{name}"] for name in ("truenodeids", "falsenodeids", "modes"))
    rows = np.zeros(len(place))
    for tree, shape in enumerate(shapes):
        ahead = [(0, 0 if shape.left else -1)]
        while ahead:
            node, split = ahead.pop()
            at = place[tree, node]
            if (modes[at] == b"LEAF") != (split < 0):
                raise Terminal("the converter made other trees than the model has", where="ONNX export")
            if split < 0:
                rows[at] = shape.rows_at_leaves[-1 - split] if shape.left else 0
                continue
            rows[at] = shape.rows_at_splits[split]
            following = place[tree, no[at]]
            while modes[at] == modes[following] == b"BRANCH_EQ" and yes[at] == yes[following]:
                at = following
                rows[at] = shape.rows_at_splits[split]
                following = place[tree, no[at]]
            ahead += [(yes[at], shape.left[split]), (no[at], shape.right[split])]
    return rows


def _linear(graph: _Graph, native: LinearNative) -> str:
    """Say `linear.design` and its product with the coefficients, in double."""
    rows = graph.add("Cast", "x", to=TensorProto.DOUBLE)
    parts: list[str] = []
    if native.numbers:
        parts.append(_bent(graph, rows, native))
    if native.missing:
        absent = graph.add("IsNaN", graph.columns(rows, list(native.missing)))
        parts.append(graph.add("Cast", absent, to=TensorProto.DOUBLE))
    if native.hinges:
        values = graph.columns(parts[0], [place for place, _ in native.hinges])
        above = graph.add("Sub", values, graph.constant([knot for _, knot in native.hinges]))
        parts.append(graph.add("Max", above, graph.constant(0.0)))
    if native.levels:
        codes = graph.columns(rows, [column for column, _ in native.levels])
        same = graph.add("Equal", codes, graph.constant([code for _, code in native.levels]))
        parts.append(graph.add("Cast", same, to=TensorProto.DOUBLE))
    matrix = graph.add("Concat", *parts, axis=1, output=DESIGN + graph.suffix)
    coefficients = graph.constant(np.asarray(native.coefficients).T, name=COEFFICIENTS + graph.suffix)
    products = graph.add("MatMul", matrix, coefficients)
    if native.means:
        graph.metadata |= Centre(means=native.means, sources=native.sources).to_metadata(graph.suffix)
    return graph.add("Add", products, graph.constant(native.intercept, name=INTERCEPT + graph.suffix))


def _bent(graph: _Graph, rows: str, native: LinearNative) -> str:
    numbers = graph.columns(rows, list(native.numbers))
    centred = graph.add("Sub", numbers, graph.constant(native.centre))
    scaled = graph.add("Mul", centred, graph.constant(native.factor))
    scaled = graph.add("Clip", scaled, graph.constant(-FAR), graph.constant(FAR))
    share = graph.add("Div", scaled, graph.constant(BEND))
    root = graph.add("Sqrt", graph.add("Add", graph.add("Mul", share, share), graph.constant(1.0)))
    bent = graph.add("Div", scaled, root)
    return graph.add("Where", graph.add("IsNaN", numbers), graph.constant(0.0), bent)
