"""A model that somebody brings is tried in a process of its own before anything else meets it.

What is wrong with a file may be such that no look at its bytes sees it: a graph that never ends or takes all memory, already when
the runtime makes it ready. The child looks at the file, lets it answer made-up rows, and says what the file says about itself.

``python -m linewright.model.imported.sandbox FILE WHERE PICTURES CHANNEL``
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from linewright.engine.child import Child, ChildEnded, end_in_words, parent
from linewright.engine.machine import memory
from linewright.errors import LinewrightError, RequestError, from_json
from linewright.model.imported.network import OTHERWISE, Network, backbone_of, look_at_network
from linewright.model.imported.onnx_file import Given, GivenInput, as_onnx, look_at
from linewright.model.onnx.session import ERRORS, open_session
from linewright.model.spec import PicturesSpec

PATIENCE_S = 15.0
"""A model that has not answered by then is refused, as an endpoint would refuse it."""
_BYTES_S = 1 << 20
"""Bytes of a file that are read and looked through in a second, at the slowest: a large one gets time for that as well."""
_START_S = 60.0
"""Seconds in which the child has loaded its libraries."""
_MEMORY = 8 * 2**30
"""Bytes of memory that it may have, and at most half of what this process could have."""
_NO_MEMORY = ("bad_alloc", "allocate memory")
"""What onnxruntime says where there is none."""
_ROWS = 2


def tried(data: bytes, *, where: str, patience_s: float | None = None) -> Given:
    """Return what a file says about itself, after it answered in a process of its own."""
    return msgspec.convert(_said_of(data, where, "", patience_s), Given)


def tried_backbone(data: bytes, asked: PicturesSpec, *, side: int | None, where: str) -> None:
    """Have a network read a picture, in a separate process."""
    how = _Pictures(asked=asked.model_dump(mode="json"), side=side)
    _said_of(data, where, msgspec.json.encode(how).decode(), None)


def tried_network(data: bytes, *, where: str) -> Network:
    """Return what a network says about itself, after it read a picture, in any scale, in a separate process."""
    how = _Pictures(asked={}, side=None, is_guessed=True)
    return msgspec.convert(_said_of(data, where, msgspec.json.encode(how).decode(), None), Network)


class _Pictures(msgspec.Struct, frozen=True):
    """How a network is to read pictures."""

    asked: dict[str, Any]
    side: int | None
    is_guessed: bool = False
    """Whether any scale will do, and all outputs."""


def _said_of(data: bytes, where: str, pictures: str, patience_s: float | None) -> Any:
    patience_s = PATIENCE_S if patience_s is None else patience_s
    with tempfile.NamedTemporaryFile(prefix="linewright-model-") as file:
        file.write(data)
        file.flush()
        said = _said(Path(file.name), where, pictures, patience_s, patience_s + len(data) / _BYTES_S)
    if "error" in said:
        raise from_json(said["error"])
    return said["given"]


def _said(file: Path, where: str, pictures: str, patience_s: float, idle_s: float) -> dict[str, Any]:
    most = min(_MEMORY, memory() // 2)
    try:
        with Child(
            "linewright.model.imported.sandbox", [str(file), where, pictures], memory=most, shows_errors=False
        ) as child:
            child.receive(idle_s=_START_S)
            return child.receive(idle_s=idle_s)
    except ChildEnded as ended:
        because = {
            "deadline": f"it did not answer within {patience_s:g} s",
            "memory": f"it takes more than {most / 2**30:.1f} GiB of memory",
        }.get(ended.end.how, f"it ended the process that tried it ({end_in_words(ended.end)})")
        raise _refused(because, where) from ended


def _refused(because: str, where: str) -> RequestError:
    return RequestError(
        f"the model was refused: {because}",
        where=where,
        hint="bring a model that answers at once, with the memory of a small machine",
    )


def main(file: str, where: str, pictures: str, word: str) -> None:
    """Try a file, and send what it says, or what is wrong with it."""
    channel = parent(word)
    channel.send({"ready": True})
    data = Path(file).read_bytes()
    try:
        said = {"given": _read_pictures(data, pictures, where) if pictures else _read_table(data, where)}
    except LinewrightError as error:
        said = {"error": error.to_json()}
    channel.send(said)


def _read_table(data: bytes, where: str) -> Any:
    given = look_at(data, where=where)
    _answer(as_onnx(data, where), given, where)
    return msgspec.to_builtins(given)


def _read_pictures(data: bytes, pictures: str, where: str) -> Any:
    how = msgspec.json.decode(pictures, type=_Pictures)
    network = look_at_network(data, where=where)
    asked = PicturesSpec.model_validate(how.asked, strict=False)
    problem: RequestError | None = None
    for output in network.outputs if how.is_guessed else asked.outputs[:1] or (None,):
        if output is not None and how.is_guessed:
            scale = "bytes" if network.dtype == "uint8" else "unit"
            asked = PicturesSpec(backbone=where, scale=scale, outputs=(output,))
        try:
            backbone_of(data, asked, side=how.side, otherwise=OTHERWISE, where=where)
        except RequestError as error:
            problem = error
        else:
            return msgspec.to_builtins(network)
    raise problem or RequestError("the network gives no numbers", where=where)


def _answer(graph: bytes, given: Given, where: str) -> None:
    """Have it answer rows of nothing. That it fails on them says little: they are none of its data."""
    session = open_session(graph, where)
    try:
        session.run(None, {one.name: _rows(one) for one in given.inputs})
    except ERRORS as error:
        if any(words in str(error) for words in _NO_MEMORY):
            raise _refused("it takes more memory than it may have", where) from error


def _rows(one: GivenInput) -> np.ndarray:
    shape = (_ROWS, one.width or 1)
    if one.dtype == "string":
        return np.full(shape, "", dtype=object)
    return np.zeros(
        shape,
        dtype={"float": np.float32, "double": np.float64, "int64": np.int64, "bool": np.bool_}[one.dtype],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
