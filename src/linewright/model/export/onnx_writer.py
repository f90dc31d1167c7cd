"""Writing ONNX graphs: operators one by one, trees as one of them, and what becomes of their sums.

Equal calls give equal bytes. No library that trains is needed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from linewright.errors import Terminal
from linewright.model.families.forest import Forest, trees_in
from linewright.model.onnx.contributions import NAME, OFFSET
from linewright.model.tasks.links import HAZARD, LOGISTIC, Link

OPSETS: Mapping[str, int] = {"": 17, "ai.onnx.ml": 3}
"""Versions of the operators that graphs are made of."""
_IR_VERSION = 8


class Graph:
    """A graph in the making; names count up, so that equal graphs have equal bytes."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self.metadata: dict[str, str] = {}

    def add(self, operator: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any) -> str:
        """Add an operator, and return the name of its output."""
        output = self._prefix + (output or f"v{len(self._nodes)}")
        node = helper.make_node(operator, inputs, [output], name=f"n{len(self._nodes)}", domain=domain)
        node.attribute.extend(helper.make_attribute(key, attributes[key]) for key in sorted(attributes))
        self._nodes.append(node)
        return output

    def constant(self, values: npt.ArrayLike, kind: npt.DTypeLike = np.float64, *, name: str = "") -> str:
        """Add numbers, and return their name."""
        name = self._prefix + (name or f"c{len(self._constants)}")
        self._constants.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    def cast(self, values: str, kind: str) -> str:
        """Take values as ``"double"`` or ``"float"`` numbers, and return their name."""
        return self.add("Cast", values, to=TensorProto.DOUBLE if kind == "double" else TensorProto.FLOAT)

    def include(self, model: ModelProto, inputs: Mapping[str, str], kind: str) -> list[str]:
        """Add the operators of another graph, which reads `inputs`, and return the names of its outputs.

        Names inside it get a prefix, so that none is one of ours. It has no graphs within its operators. ``Imputer``, which runtimes
        have for float32 alone, is said otherwise where `kind` is ``"double"``.
        """
        for one in model.opset_import:
            if one.version > OPSETS.get(one.domain, 0):
                raise Terminal(
                    "a graph has newer operators, or operators outside of the ONNX standard",
                    where="ONNX export",
                    found=f"{one.domain or 'ai.onnx'} {one.version}",
                )
        start = len(self._nodes)
        names = {"": "", **inputs}

        def named(name: str) -> str:
            return names.setdefault(name, f"g{start}_{len(names)}")

        for tensor in model.graph.initializer:
            copy = TensorProto()
            copy.CopyFrom(tensor)
            copy.name = named(tensor.name)
            self._constants.append(copy)
        for node in model.graph.node:
            copy = NodeProto()
            copy.CopyFrom(node)
            copy.name = f"n{len(self._nodes)}"
            copy.input[:] = [named(name) for name in node.input]
            copy.output[:] = [named(name) for name in node.output]
            if node.op_type == "Imputer" and kind == "double":
                self._impute(copy)
            else:
                self._nodes.append(copy)
        return [named(value.name) for value in model.graph.output]

    def _impute(self, node: NodeProto) -> None:
        told = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        if not np.isnan(told.get("replaced_value_float", np.nan)):
            raise Terminal(
                "a step fills in for something else than missing numbers",
                where="ONNX export",
                found=float(told["replaced_value_float"]),
                allowed="NaN",
            )
        (values,) = node.input
        absent = self.add("IsNaN", values)
        filled = self.constant([told["imputed_value_floats"]])
        self.add("Where", absent, filled, values, output=node.output[0])

    def top(self, values: str, count: int) -> tuple[str, str]:
        """Take the `count` largest of each row and their places; of equal ones the first. Return the names of both."""
        names = [f"{self._prefix}v{len(self._nodes)}{part}" for part in ("", "places")]
        wanted = self.constant([count], np.int64)
        self._nodes.append(helper.make_node("TopK", [values, wanted], names, name=f"n{len(self._nodes)}"))
        return names[0], names[1]

    def columns(self, matrix: str, places: list[int]) -> str:
        """Take columns of a matrix, and return their name."""
        return self.add("Gather", matrix, self.constant(places, np.int64), axis=1)

    def serialize(self, *, width: int, outputs: int, name: str = NAME) -> bytes:
        """Return the graph from ``x``, float32 [n, width], to ``y``, float32 [n, outputs], as bytes."""
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", width])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", outputs])
        return self.between([x], [y], name=name, producer=(NAME, ""))

    def between(
        self,
        inputs: Sequence[ValueInfoProto],
        outputs: Sequence[ValueInfoProto],
        *,
        name: str,
        producer: tuple[str, str],
    ) -> bytes:
        """Return the graph between inputs and outputs as bytes, with the name and the version of who made it."""
        graph = helper.make_graph(self._nodes, name, inputs, outputs, initializer=self._constants)
        opsets = [helper.make_opsetid(domain, number) for domain, number in OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        model.producer_name = producer[0]
        if producer[1]:
            model.producer_version = producer[1]
        helper.set_model_props(model, self.metadata)
        return model.SerializeToString(deterministic=True)


def write_forest(graph: Graph, forest: Forest, *, x: str = "x") -> str:
    """Add up trees in double: over a thousand of them, sums in float32 would be off by what `parity` allows."""
    rows = graph.add("Cast", x, to=TensorProto.DOUBLE)
    ensemble = _ensemble(forest)
    outputs = len(forest.offset)
    sums = graph.add("TreeEnsembleRegressor", rows, domain="ai.onnx.ml", n_targets=outputs, **ensemble)
    margins = graph.add("Cast", sums, to=TensorProto.DOUBLE)
    if not forest.offset.any():
        return margins
    return graph.add("Add", margins, graph.constant(forest.offset, name=OFFSET))


def _ensemble(forest: Forest) -> dict[str, Any]:
    """Return the attributes of a ``TreeEnsembleRegressor``.

    A forest asks at one split whether a code is in a set; ONNX gets a chain of comparisons with one code each, all of which
    lead to the same node. Each link gets the rows of the split.
    """
    links = np.ones(len(forest.tree), dtype=np.int64)
    splits = sorted(forest.codes)
    links[splits] = [len(forest.codes[split]) for split in splits]
    starts = np.cumsum(links) - links
    roots = np.searchsorted(forest.tree, np.arange(trees_in(forest)))
    number = starts - starts[roots][forest.tree]  # within the tree
    node = np.repeat(np.arange(len(links)), links)
    link = np.arange(len(node)) - starts[node]
    is_leaf, is_last = forest.yes[node] < 0, link == links[node] - 1
    has_codes = np.zeros(len(links), dtype=np.bool_)
    has_codes[splits] = True
    values = np.where(is_leaf, 0.0, forest.at_most[node])
    values[has_codes[node]] = np.concatenate([np.empty(0), *(forest.codes[split] for split in splits)])
    leaf = np.flatnonzero(is_leaf)
    after = np.where(is_last, number[forest.no[node]], number[node] + link + 1)
    integers = {
        "nodes_treeids": forest.tree[node],
        "nodes_nodeids": number[node] + link,
        "nodes_featureids": np.where(is_leaf, 0, forest.column[node]),
        "nodes_truenodeids": np.where(is_leaf, 0, number[forest.yes[node]]),
        "nodes_falsenodeids": np.where(is_leaf, 0, after),
        "nodes_missing_value_tracks_true": np.where(is_leaf, 0, forest.missing_is_yes[node]),
        "target_treeids": forest.tree[node[leaf]],
        "target_nodeids": number[node[leaf]],
        "target_ids": forest.output[node[leaf]],
    }
    doubles = {
        "nodes_values": values,
        "nodes_hitrates": forest.rows[node],
        "target_weights": forest.value[node[leaf]],
    }
    modes = np.select([is_leaf, has_codes[node]], ["LEAF", "BRANCH_EQ"], "BRANCH_LEQ")
    return {
        **{name: numbers.tolist() for name, numbers in integers.items()},
        **{f"{name}_as_tensor": numpy_helper.from_array(each, name) for name, each in doubles.items()},
        "nodes_modes": modes.tolist(),
    }


def write_scores(graph: Graph, margins: str, link: Link) -> str:
    """Say what margins are as scores: probabilities of all classes, numbers, or what is left at the end of each interval."""
    if link is LOGISTIC:
        # Log-odds of two classes are the margins 0 and x.
        margins = graph.add("Pad", margins, graph.constant([0, 1, 0, 0], np.int64), graph.constant(0.0))
    if link.is_class:
        margins = graph.add("Softmax", margins, axis=1)
    if link is HAZARD:
        # What is left is the product of 1 - hazard: the exponential of a sum of log(1 + exp(margin)), written so that no exponential overflows.
        small = graph.add("Exp", graph.add("Neg", graph.add("Abs", margins)))
        log = graph.add("Log", graph.add("Add", small, graph.constant(1.0)))
        lost = graph.add("Add", graph.add("Max", margins, graph.constant(0.0)), log)
        summed = graph.add("CumSum", lost, graph.constant(1, np.int64))
        margins = graph.add("Exp", graph.add("Neg", summed))
    return margins


def answer(graph: Graph, scores: str, refuses: Sequence[int]) -> None:
    """Say that scores are the answer, and that there is none where one of some columns has no number."""
    if refuses:
        numbers = graph.add("Cast", graph.columns("x", list(refuses)), to=TensorProto.DOUBLE)
        nothing = graph.add("Mul", numbers, graph.constant(0.0))
        total = graph.add("ReduceSum", nothing, graph.constant([1], np.int64), keepdims=1)
        scores = graph.add("Add", scores, total)
    graph.add("Cast", scores, output="y", to=TensorProto.FLOAT)
