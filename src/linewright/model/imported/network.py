"""A network that reads pictures, from the ONNX file that somebody brings: looked through, and put behind the pixels that pictures have here.

The file is untrusted. It may have the operators of networks alone, one input, and no data elsewhere; then its own operators stay as they
are. Before them stands what makes their input of pixels, after them what makes one row of numbers of their outputs.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, cast

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from linewright.errors import RequestError
from linewright.model.imported.adopt import OURS, rename, serialize
from linewright.model.imported.onnx_file import parse_given
from linewright.model.onnx.session import ERRORS, open_session
from linewright.model.spec import PicturesSpec, Scale

LEAST_SIDE, MOST_SIDE = 8, 1_024
"""Of the squares that pictures are scaled to, in pixels."""
OTHERWISE = 224
"""The side for networks that read pictures of any size, where nothing says it."""
MOST_NUMBERS = 4_096
"""That a picture becomes."""
_NAMES = """
Abs Add And ArgMax AveragePool BatchNormalization Cast CastLike Ceil Clip Concat Constant ConstantOfShape Conv ConvTranspose CumSum
DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements
GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GroupNormalization HardSigmoid HardSwish Identity
InstanceNormalization LRN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax MatMul MatMulInteger Max MaxPool Mean Min Mish Mod
Mul Neg Not OneHot Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear Range Reciprocal ReduceL1 ReduceL2 ReduceMax ReduceMean
ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round Selu Shape Sigmoid Sign Size Slice Softmax Softplus Softsign
SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile TopK Transpose Trilu Unsqueeze Upsample Where
"""
OPERATORS = frozenset(_NAMES.split())
"""What a network may be made of: nothing that repeats, branches or draws by chance."""
MEANS_AND_SPREADS: Mapping[Scale, tuple[Sequence[float], Sequence[float]]] = MappingProxyType(
    {
        "bytes": ((0.0,) * 3, (1.0,) * 3),
        "unit": ((0.0,) * 3, (255.0,) * 3),
        "signed": ((127.5,) * 3, (127.5,) * 3),
        "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    }
)
"""What is taken from the pixels of red, green and blue, and what they are divided by then."""
GREY = (0.299, 0.587, 0.114)
"""How much of red, green and blue is in a grey, as in JPEG."""
_SCALES = ", ".join(MEANS_AND_SPREADS)
_TYPES = {TensorProto.UINT8: "uint8", TensorProto.FLOAT: "float"}
_EPSILON = 1e-12


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says about itself."""

    input: str
    dtype: Literal["uint8", "float"]
    layout: Literal["NCHW", "NHWC"]
    channels: Literal[1, 3]
    side: int | None
    """Of the squares that it reads; `None` if any will do."""
    outputs: tuple[str, ...]
    """Those that hold numbers."""
    producer: str
    producer_version: str


def look_at_network(data: bytes, *, where: str) -> Network:
    """Look at a file."""
    return _seen(parse_given(data, where=where), where)


def _seen(model: ModelProto, where: str) -> Network:
    graph = model.graph
    strange = sorted({node.op_type for node in graph.node} - OPERATORS)
    # With a third input it may draw by chance, as in training.
    strange += [
        "Dropout of training" for node in graph.node if node.op_type == "Dropout" and len(node.input) > 2
    ]
    if strange:
        raise RequestError(
            "the network has operators that are not read",
            where=where,
            found=", ".join(strange[:5]),
            allowed="layers of networks, without loops, branches and chance",
            hint="export it for inference",
        )
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise RequestError(
            "the network reads something else than one picture",
            where=where,
            found=f"{len(inputs)} inputs",
            allowed="1 input",
        )
    outputs = tuple(
        value.name for value in graph.output if value.type.tensor_type.elem_type == TensorProto.FLOAT
    )
    if not outputs:
        raise RequestError("the network gives no numbers", where=where, allowed="an output of type float")
    return _of_input(inputs[0], outputs, model, where)


def _of_input(value: ValueInfoProto, outputs: tuple[str, ...], model: ModelProto, where: str) -> Network:
    tensor = value.type.tensor_type
    dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    dtype = _TYPES.get(cast(Any, tensor.elem_type))
    form = _layout(dims)
    if form is None or dtype is None:
        raise RequestError(
            "the input of the network is not a picture",
            where=f"{where}: input {value.name!r}",
            found=f"{helper.tensor_dtype_to_string(tensor.elem_type)} {['n' if one is None else one for one in dims]}",
            allowed="uint8 or float of shape [n, 3, side, side] or [n, side, side, 3], or with 1 for grey; n is free or 1",
            hint="export it for one square picture at a time",
        )
    layout, channels, side = form
    return Network(
        input=value.name,
        dtype=cast(Any, dtype),
        layout=cast(Any, layout),
        channels=cast(Any, channels),
        side=side,
        outputs=outputs,
        producer=model.producer_name,
        producer_version=model.producer_version,
    )


def _layout(dims: Sequence[int | None]) -> tuple[str, int, int | None] | None:
    """Return layout, channels and side; `None` if these are no squares."""
    if len(dims) != 4 or dims[0] not in {None, 0, 1}:
        return None
    for layout, channel, sides in (("NCHW", 1, dims[2:]), ("NHWC", 3, dims[1:3])):
        if (
            dims[channel] in {1, 3}
            and sides[0] == sides[1]
            and (sides[0] is None or LEAST_SIDE <= sides[0] <= MOST_SIDE)
        ):
            return layout, cast(int, dims[channel]), sides[0]
    return None


def side_of(network: Network, asked: int | None, *, where: str, otherwise: int) -> int:
    """Return the side of the squares that a network gets."""
    if network.side is not None and asked not in {None, network.side}:
        raise RequestError(
            "the network reads pictures of one size",
            where=where,
            found=asked,
            allowed=str(network.side),
            hint="leave the size out",
        )
    return network.side or asked or otherwise


def scale_of(network: Network, asked: Scale | None, *, where: str) -> Scale:
    """Return how pixels become the numbers that a network reads."""
    if network.dtype == "uint8":
        if asked not in {None, "bytes"}:
            raise RequestError(
                "the network reads bytes, which are not scaled", where=where, found=asked, allowed="bytes"
            )
        return "bytes"
    if asked is None:
        raise RequestError(
            "nothing says how pixels become the numbers that the network reads",
            where=where,
            allowed=_SCALES,
            hint="write what it was trained with: bytes is 0 to 255, unit 0 to 1, signed -1 to 1, imagenet the means of ImageNet taken off",
        )
    return asked


def outputs_of(network: Network, asked: Sequence[str], *, where: str) -> tuple[str, ...]:
    """Return the outputs that are read: those that are named, or the one that there is."""
    unknown = [name for name in asked if name not in network.outputs]
    if unknown or (not asked and len(network.outputs) > 1):
        raise RequestError(
            "the network has no such output" if unknown else "which of its outputs are read?",
            where=where,
            found=unknown[0] if unknown else f"{len(network.outputs)} outputs",
            allowed=", ".join(network.outputs),
        )
    return tuple(asked) or network.outputs


class Backbone(NamedTuple):
    """A network behind pixels."""

    graph: bytes
    """``pixels``, uint8 of shape (n, side, side, 3) in RGB, to ``features``, float32 of shape (n, width)."""
    side: int
    width: int


def backbone_of(
    data: bytes, asked: PicturesSpec, *, side: int | None, otherwise: int, where: str
) -> Backbone:
    """Return the backbone that a line file requests."""
    network = look_at_network(data, where=where)
    found = side_of(network, side, where=where, otherwise=otherwise)
    return to_backbone(
        data,
        side=found,
        scale=scale_of(network, asked.scale, where=where),
        outputs=outputs_of(network, asked.outputs, where=where),
        where=where,
    )


def to_backbone(
    data: bytes, *, side: int, scale: Scale, outputs: Sequence[str], where: str, is_pooled: bool = True
) -> Backbone:
    """Return a graph from pixels to numbers.

    Of an output of several places, maps or tokens, the mean, the largest and the standard deviation of each channel are taken.
    """
    model = parse_given(data, where=where)
    network = _seen(model, where)
    ranks = _ranks(model, network, outputs, side, where)
    if not is_pooled and ranks != [2] * len(ranks):
        raise RequestError(
            "an output of the network is not a row of predictions",
            where=where,
            found=", ".join(outputs),
            allowed="shape [n, classes], or [n, 1] for a number",
            hint="name another output",
        )
    graph = model.graph
    rename(graph)
    body, made = list(graph.node), _Nodes()
    entry = made.entry(network, scale)
    body = [*made.take(), helper.make_node("Identity", [entry], [OURS + network.input]), *body]
    parts = [
        made.pooled(OURS + name, rank, network.layout) for name, rank in zip(outputs, ranks, strict=True)
    ]
    made.add("Concat", *parts, output="features", axis=1)
    whole = helper.make_graph(
        [*body, *made.take()],
        "network",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", side, side, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", "numbers"])],
        [*graph.initializer, *made.constants],
        sparse_initializer=list(graph.sparse_initializer),
    )
    found = serialize(model, whole)
    return Backbone(found, side, _width(found, side, where))


def _ranks(model: ModelProto, network: Network, outputs: Sequence[str], side: int, where: str) -> list[int]:
    shape = (
        (1, network.channels, side, side) if network.layout == "NCHW" else (1, side, side, network.channels)
    )
    blank = np.zeros(shape, np.uint8 if network.dtype == "uint8" else np.float32)
    found = _outputs(model.SerializeToString(), {network.input: blank}, outputs, where)
    for name, one in zip(outputs, found, strict=True):
        if one.ndim not in {2, 3, 4} or one.shape[0] != 1:
            raise RequestError(
                "an output of the network is not a row of numbers",
                where=f"{where}: output {name!r}",
                found=f"shape {list(one.shape)} for one picture",
                allowed="[n, numbers], maps [n, channels, height, width], or tokens [n, tokens, numbers]",
            )
    return [one.ndim for one in found]


def _width(graph: bytes, side: int, where: str) -> int:
    chance = np.random.Generator(np.random.PCG64(0))
    pixels = chance.integers(0, 256, (1, side, side, 3)).astype(np.uint8)
    (numbers,) = _outputs(graph, {"pixels": pixels}, ["features"], where)
    if not np.isfinite(numbers).all():
        raise RequestError(
            "the network has no finite answer", where=where, hint="look at the scale of its input"
        )
    if numbers.shape[1] > MOST_NUMBERS:
        raise RequestError(
            "a picture becomes too many numbers",
            where=where,
            found=f"{numbers.shape[1]:,}",
            allowed=f"at most {MOST_NUMBERS:,}",
            hint="read another output, such as the last before its classes",
        )
    return int(numbers.shape[1])


def _outputs(
    graph: bytes, feed: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str], where: str
) -> list[npt.NDArray[Any]]:
    try:
        return [np.asarray(one) for one in open_session(graph, where).run(list(outputs), dict(feed))]
    except ERRORS as error:
        raise RequestError(
            "the network fails on a picture",
            where=where,
            found=str(error)[:500],
            hint="name the size that it reads",
        ) from error


class _Nodes:
    """Makes nodes and their constants; all of them exist, and mean the same, in each version of the standard from 9 on."""

    def __init__(self) -> None:
        self.constants: list[TensorProto] = []
        self._nodes: list[onnx.NodeProto] = []
        self._names = 0

    def take(self) -> list[onnx.NodeProto]:
        """Return the nodes that were made since."""
        made, self._nodes = self._nodes, []
        return made

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add one, and return the name of its output."""
        self._names += 1
        name = output or f"net{self._names}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, values: npt.ArrayLike, kind: npt.DTypeLike) -> str:
        """Add a constant, and return its name."""
        name = f"netconstant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    def entry(self, network: Network, scale: Scale) -> str:
        """Make of pixels what a network reads."""
        at, channels = self.add("Cast", "pixels", to=TensorProto.FLOAT), network.channels
        mean, spread = (np.array(one) for one in MEANS_AND_SPREADS[scale])
        if channels == 1:
            at = self.add("MatMul", at, self.constant(np.array(GREY).reshape(3, 1), np.float32))
            mean, spread = mean.mean(keepdims=True), spread.mean(keepdims=True)
        if network.dtype == "uint8":
            # A half more, since a cast cuts what is behind the point off.
            at = self.add("Add", at, self.constant([0.5], np.float32)) if channels == 1 else at
            at = self.add("Cast", at, to=TensorProto.UINT8)
        elif scale != "bytes":
            at = self.add("Sub", at, self.constant(mean, np.float32))
            at = self.add("Div", at, self.constant(spread, np.float32))
        return self.add("Transpose", at, perm=[0, 3, 1, 2]) if network.layout == "NCHW" else at

    def pooled(self, at: str, rank: int, layout: str) -> str:
        """Make one row of an output."""
        if rank == 2:
            return at
        if rank == 3:
            at = self.add("Transpose", at, perm=[0, 2, 1])
            at = self.add("Reshape", at, self.constant([0, 0, 0, 1], np.int64))
        elif layout == "NHWC":
            at = self.add("Transpose", at, perm=[0, 3, 1, 2])
        mean = self.add("GlobalAveragePool", at)
        apart = self.add("Sub", at, mean)
        spread = self.add("GlobalAveragePool", self.add("Mul", apart, apart))
        spread = self.add("Sqrt", self.add("Add", spread, self.constant([_EPSILON], np.float32)))
        parts = (mean, self.add("GlobalMaxPool", at), spread)
        return self.add("Concat", *(self.add("Flatten", one, axis=1) for one in parts), axis=1)
