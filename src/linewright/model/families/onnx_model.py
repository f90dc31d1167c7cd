"""An estimator that went to ONNX as a whole: its graph is the model, since nothing plainer says it.

The graph already has the form of a package's: ``x`` float32 [n, width] in, ``y`` float32 [n, classes] or [n, 1] out.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.model.facts import Task
from linewright.model.families.reference_outputs import Witness
from linewright.model.onnx.session import open_graph
from linewright.model.tasks import link_of
from linewright.model.tasks.links import Floats, Matrix


class WholeNative(msgspec.Struct, frozen=True, kw_only=True, tag="onnx", tag_field="family"):
    """A graph as plain data."""

    task: Task
    width: int
    outputs: int
    """Classes, or 1."""
    graph: bytes
    """The ONNX file."""
    refuses: tuple[int, ...]
    """Columns without whose number it does not answer."""
    witness: Witness
    """What the library itself answered to a few rows."""


class WholeFitted:
    """A graph, ready to answer; a `Fitted`."""

    rounds = 0

    def __init__(self, native: WholeNative) -> None:
        self.native = native
        inputs = [("x", "float", native.width)]
        self._graph = open_graph(native.graph, inputs=inputs, outputs=native.outputs, where="native model")

    def scores(self, x: Matrix) -> Floats:
        """Return probabilities, shape (n, classes), or numbers, shape (n,); NaN where it does not answer."""
        is_class = link_of(self.native.task).is_class
        if not len(x):  # some operators have no answer to no rows
            return np.zeros((0, self.native.outputs)) if is_class else np.zeros(0)
        y = self._graph.run({"x": np.ascontiguousarray(x)}, len(x)).astype(np.float64)
        return y / y.sum(axis=1, keepdims=True) if is_class else y[:, 0]

    def cuts(self) -> dict[int, npt.NDArray[np.float32]]:
        """Return nothing: where its answers jump is not known."""
        return {}

    def to_native(self) -> bytes:
        """Return the model as bytes that `read_native` reads."""
        return msgspec.json.encode(self.native)
