"""Graphs that no check of their bytes finds fault with, and that must not come near what serves."""

from collections.abc import Sequence

from onnx import NodeProto, TensorProto, helper, load_from_string


def endless(graph: bytes) -> bytes:
    """Return a graph that adds nothing to the answer of another, some quintillion times."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["still"]),
            helper.make_node("Add", ["before", "nothing"], ["after"]),
        ],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            value("before", TensorProto.FLOAT, None),
        ],
        [value("still", TensorProto.BOOL, []), value("after", TensorProto.FLOAT, None)],
    )
    loop = helper.make_node("Loop", ["times", "", "good"], ["y"], body=body)
    times = helper.make_tensor("times", TensorProto.INT64, [], [2**62])
    return _extended(graph, [loop], [times, helper.make_tensor("nothing", TensorProto.FLOAT, [1], [0.0])])


def greedy(graph: bytes) -> bytes:
    """Return a graph that makes a terabyte of zeros on the way to the answer of another."""
    nodes = [
        helper.make_node("ConstantOfShape", ["many"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["good", "nothing"], ["y"]),
    ]
    return _extended(graph, nodes, [helper.make_tensor("many", TensorProto.INT64, [1], [2**38])])


def _extended(graph: bytes, nodes: Sequence[NodeProto], constants: Sequence[TensorProto]) -> bytes:
    """Put nodes between the answer of a graph, renamed to ``good``, and its output ``y``."""
    model = load_from_string(graph)
    for node in model.graph.node:
        node.output[:] = ["good" if name == "y" else name for name in node.output]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(constants)
    return model.SerializeToString()
