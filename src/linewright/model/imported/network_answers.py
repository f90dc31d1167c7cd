"""What a network that reads pictures answers, as scores of a task: by the file itself, and by the graph of a package."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

from linewright.errors import RequestError
from linewright.model.facts import AnswerForm
from linewright.model.imported.network import GREY, MEANS_AND_SPREADS, look_at_network, scale_of
from linewright.model.onnx.session import ERRORS, open_session
from linewright.model.pictures import decoded, decoder
from linewright.model.spec import Scale
from linewright.model.tasks.links import Floats

_SURE = 1e-3
"""How far the probabilities of a row may be from a sum of 1."""
_OPSET, _IR = 13, 8


def form_of_answers(raw: npt.NDArray[Any], *, classes: int, where: str) -> AnswerForm:
    """Return whether rows of a network are probabilities, logits, or a number.

    Examples
    --------
    >>> form_of_answers(np.array([[0.25, 0.75]]), classes=2, where="net")
    'probabilities'
    >>> form_of_answers(np.array([[-3.0, 2.0]]), classes=2, where="net")
    'logits'
    """
    width = raw.shape[1]
    bad = ~np.isfinite(raw).all(axis=1)
    if bad.any():
        raise RequestError(
            "the network has no finite answer for some rows",
            where=where,
            found=f"{int(bad.sum()):,} of {len(raw):,} rows",
            hint="look at its scale; a row without a picture has no answer: contract.columns: {file: {type: file, nullable: false}}",
        )
    if width != max(classes, 1) and not (classes == 2 and width == 1):
        raise RequestError(
            "the network gives something else than the task asks for",
            where=where,
            found=f"{width} numbers for a picture",
            allowed=f"{classes}, one a class" if classes else "one number",
            hint="name another output, or say all of its classes as `classes`",
        )
    if not classes:
        return "number"
    is_between = bool((raw >= -_SURE).all() and (raw <= 1 + _SURE).all())
    if width > 1 and is_between and (np.abs(raw.sum(axis=1) - 1) > _SURE).any():
        raise RequestError(
            "the answers of the network are neither probabilities nor logits",
            where=where,
            found=f"numbers between 0 and 1 that sum to {float(raw[0].sum()):.4g}",
            allowed="one class a picture: a softmax, or what stands before it",
            hint="name the output before its last layer as `output`",
        )
    return "probabilities" if is_between else "logits"


def to_scores(raw: npt.NDArray[Any], form: AnswerForm, order: Sequence[int]) -> Floats:
    """Return scores of rows, shape (n, classes) in the order of the task, or (n,) of numbers.

    Examples
    --------
    >>> to_scores(np.array([[0.0]]), "logits", [1, 0]).tolist()
    [[0.5, 0.5]]
    """
    found = np.asarray(raw, dtype=np.float64)
    if form == "number":
        return found[:, 0]
    if form == "logits":
        if found.shape[1] == 1:
            found = 1 / (1 + np.exp(-np.clip(found, -700, 700)))
        else:
            powers = np.exp(found - found.max(axis=1, keepdims=True))
            found = powers / powers.sum(axis=1, keepdims=True)
    if found.shape[1] == 1:
        found = np.concatenate([1 - found, found], axis=1)
    return found[:, list(order)]


def to_head(form: AnswerForm, order: Sequence[int], *, before: int, width: int) -> bytes:
    """Return the graph from the numbers of a picture to what `to_scores` makes of them: ``x``, float32 (n, before + width), to ``y``."""
    nodes: list[Any] = []
    constants = [
        numpy_helper.from_array(np.arange(before, before + width), "places"),
        numpy_helper.from_array(np.asarray(list(order) or [0], dtype=np.int64), "order"),
        numpy_helper.from_array(np.ones((1, 1), dtype=np.float32), "one"),
    ]
    at = "x"

    def add(operator: str, *inputs: str, output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    at = add("Gather", at, "places", output="given", axis=1)
    if form == "logits":
        at = add("Sigmoid", at, output="bent") if width == 1 else add("Softmax", at, output="bent", axis=1)
    if form != "number" and width == 1:
        other = add("Sub", "one", at, output="other")
        at = add("Concat", other, at, output="both", axis=1)
    add("Gather", at, "order", output="y", axis=1)
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", before + width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", len(order) or 1])],
        constants,
    )
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR, producer_name="linewright"
    )
    return made.SerializeToString(deterministic=True)


class GivenNetwork:
    """The file as it was given, ready to answer pictures: what a package made of it is compared with."""

    def __init__(self, data: bytes, *, output: str, side: int, scale: Scale | None, where: str) -> None:
        self._network = look_at_network(data, where=where)
        self._scale: Scale = scale_of(self._network, scale, where=where)
        self._session = open_session(data, where)
        self._output, self._side, self._where = output, side, where

    def answers(self, files: Sequence[bytes]) -> npt.NDArray[np.float32]:
        """Return what the output holds for pictures, shape (n, width)."""
        found: list[npt.NDArray[Any]] = []
        for data in files:
            feed = {self._network.input: self._read(decoded(data, self._where).pixels)}
            try:
                found.append(np.asarray(self._session.run([self._output], feed)[0]).reshape(1, -1))
            except ERRORS as error:
                raise RequestError(
                    "the network failed on pictures of the data", where=self._where, found=str(error)[:500]
                ) from error
        return np.concatenate(found) if found else np.empty((0, 1), dtype=np.float32)

    def _read(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        network = self._network
        square = decoder().scaled(pixels, self._side).astype(np.float64)
        mean, spread = (np.array(one) for one in MEANS_AND_SPREADS[self._scale])
        if network.channels == 1:
            square = (square @ np.array(GREY))[..., np.newaxis]
            mean, spread = mean.mean(keepdims=True), spread.mean(keepdims=True)
        scaled = (square - mean) / spread
        whole = (
            np.floor(scaled + 0.5).astype(np.uint8) if network.dtype == "uint8" else scaled.astype(np.float32)
        )
        return (whole.transpose(2, 0, 1) if network.layout == "NCHW" else whole)[np.newaxis]
