"""Small networks that read pictures, with weights by chance, as ONNX files."""

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def network(
    *,
    layout: str = "NCHW",
    dtype: int = TensorProto.FLOAT,
    side: Any = "side",
    channels: int = 3,
    classes: int | None = None,
    batch: Any = "n",
    ends: str = "",
    operator: str = "Relu",
    opset: int = 13,
) -> bytes:
    """Return a file: two convolutions whose maps ``maps`` are an output; with `classes` also ``logits``, or what `ends` makes of them."""
    chance = np.random.default_rng(3)
    shape = [batch, channels, side, side] if layout == "NCHW" else [batch, side, side, channels]
    constants, nodes, at = [], [], "picture"

    def constant(values: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(values, f"w{len(constants)}"))
        return f"w{len(constants) - 1}"

    def add(kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        name = out or f"h{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    if dtype == TensorProto.UINT8:
        at = add("Cast", at, to=TensorProto.FLOAT)
        at = add("Div", at, constant(np.array([255], np.float32)))
    if layout == "NHWC":
        at = add("Transpose", at, perm=[0, 3, 1, 2])
    for width, (before, after) in ((3, (channels, 8)), (3, (8, 12))):
        weights = chance.normal(size=(after, before, width, width)).astype(np.float32) / before
        at = add("Conv", at, constant(weights), strides=[2, 2], pads=[1, 1, 1, 1])
        at = add(operator, at, out="maps" if after == 12 else "")
    outputs = [helper.make_tensor_value_info("maps", TensorProto.FLOAT, None)]
    if classes is not None:
        pooled = add("Flatten", add("GlobalAveragePool", at), axis=1)
        head = chance.normal(size=(12, classes)).astype(np.float32)
        at = add("MatMul", pooled, constant(head), out="" if ends else "logits")
        if ends:
            at = add(ends, at, out="answers")
        outputs = [helper.make_tensor_value_info(at, TensorProto.FLOAT, [batch, classes])]
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("picture", dtype, shape)], outputs, constants
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return made.SerializeToString(deterministic=True)


def brightness(
    *, layout: str = "NCHW", dtype: int = TensorProto.FLOAT, ends: str = "", side: Any = 32
) -> bytes:
    """Return a file that tells bright pictures from dark ones: two logits, or what `ends` makes of them. Of floats it reads 0 to 1."""
    shape = ["n", 3, side, side] if layout == "NCHW" else ["n", side, side, 3]
    unit = 255.0 if dtype == TensorProto.UINT8 else 1.0
    weights = np.array([[8.0, -8.0]] * 3, dtype=np.float32) / unit
    constants = [
        numpy_helper.from_array(weights, "w"),
        numpy_helper.from_array(np.array([-12.0, 12.0], dtype=np.float32), "b"),
    ]
    nodes = [helper.make_node("Cast", ["picture"], ["floats"], to=TensorProto.FLOAT)]
    perm = [0, 1, 2, 3] if layout == "NCHW" else [0, 3, 1, 2]
    nodes += [
        helper.make_node("Transpose", ["floats"], ["turned"], perm=perm),
        helper.make_node("GlobalAveragePool", ["turned"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "w", "b"], ["logits"]),
    ]
    output = "logits"
    if ends:
        nodes.append(helper.make_node(ends, ["logits"], ["answers"], axis=1))
        output = "answers"
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("picture", dtype, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", 2])],
        constants,
    )
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="hand"
    )
    return made.SerializeToString(deterministic=True)
