"""What an ONNX file is made of, read from its bytes: as much of it as an explanation needs.

Only bytes that were hashed and let through by `graph.check_graph` come here. Fields are meant by their numbers in
`onnx.proto`.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from linewright.errors import Corrupt
from linewright.model.onnx.session import NUMBERS, PLAIN, fields

_DTYPES: Mapping[int, type] = {1: np.float32, 7: np.int64, 11: np.float64}
"""By the number that a tensor says."""
_INT_OF_INTS = 8 << 3
"""The key before each number of an attribute of whole numbers."""
_DOUBLE = b"\x12\x04\x0a\x02\x08\x0b"
"""In the description of a value: it is a tensor of doubles."""


class Node(NamedTuple):
    """One operator of a graph."""

    operator: str
    attributes: Mapping[str, memoryview]
    """Undecoded, by name."""


class Parts(NamedTuple):
    """A file."""

    name: str
    """Of the graph."""
    nodes: tuple[Node, ...]
    constants: Mapping[str, memoryview]
    """Undecoded tensors, by name."""
    metadata: Mapping[str, bytes]


def read_parts(graph: bytes) -> Parts:
    """Take an ONNX file apart, in time linear in its bytes."""
    name, nodes, constants, metadata = "", list[Node](), dict[str, memoryview](), dict[str, bytes]()
    for number, value in _messages(memoryview(graph)):
        if number == 14:
            pair = dict(_messages(value))
            metadata[_text(pair.get(1))] = bytes(pair.get(2, b""))
        if number != 7:
            continue
        for inner, part in _messages(value):
            match inner:
                case 1:
                    nodes.append(_node(part))
                case 2:
                    name = _text(part)
                case 5:
                    constants[_text(dict(_messages(part)).get(8))] = part
                case _:
                    pass
    return Parts(name, tuple(nodes), constants, metadata)


def _messages(message: memoryview, *, runs: re.Pattern[bytes] | None = None) -> list[tuple[int, memoryview]]:
    """Return the fields that are no numbers."""
    found = fields(message, runs=runs)
    return [(number, value) for number, value in found if isinstance(value, memoryview)]


def _text(value: memoryview | None) -> str:
    return "" if value is None else bytes(value).decode(errors="replace")


def _node(message: memoryview) -> Node:
    operator, attributes = "", dict[str, memoryview]()
    for number, value in _messages(message):
        if number == 4:
            operator = _text(value)
        elif number == 5:
            attributes[_text(dict(_messages(value, runs=PLAIN)).get(1))] = value
    return Node(operator, attributes)


def read_ints(attribute: memoryview) -> NDArray[np.int64]:
    r"""Return the numbers of an attribute of whole numbers, none of them negative.

    Examples
    --------
    >>> read_ints(memoryview(b"\x40\x05\x40\xac\x02")).tolist()
    [5, 300]
    """
    parts = [_decoded(value) for number, value in _messages(attribute, runs=NUMBERS) if number == 0]
    return np.concatenate([np.empty(0, np.int64), *parts])


def _decoded(run: memoryview) -> NDArray[np.int64]:
    """Decode keys and numbers in turn, all at once: seven bits a byte, the lowest first; a last byte is below 128."""
    raw = np.frombuffer(run, np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    keys, stops = ends[0::2], ends[1::2]
    if len(keys) != len(stops) or (raw[keys] != _INT_OF_INTS).any() or (np.diff(ends)[1::2] != 1).any():
        raise Corrupt("an attribute of the graph is not made of whole numbers")
    values = np.zeros(len(stops), np.int64)
    for place in range(int((stops - keys).max(initial=0))):
        at = keys + 1 + place
        inside = at <= stops
        values[inside] |= (raw[at[inside]].astype(np.int64) & 0x7F) << (7 * place)
    return values


def read_texts(attribute: memoryview) -> list[bytes]:
    """Return the texts of an attribute of texts."""
    return [
        bytes(value) for number, value in fields(attribute) if number == 9 and isinstance(value, memoryview)
    ]


def read_tensor(tensor: memoryview) -> NDArray[Any]:
    """Return a tensor of float, double or int64."""
    shape, kind, raw = list[int](), 0, memoryview(b"")
    for number, value in fields(tensor):
        if number == 1 and isinstance(value, int):
            shape.append(value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 9 and isinstance(value, memoryview):
            raw = value
    try:
        return np.frombuffer(raw, _DTYPES[kind]).reshape(shape)
    except (KeyError, ValueError) as error:
        raise Corrupt("a tensor of the graph has another form than its exporter gives it") from error


def tensor_of(attribute: memoryview) -> memoryview:
    """Return the tensor of an attribute of one."""
    found = dict(_messages(attribute)).get(5)
    if found is None:
        raise Corrupt("an attribute of the graph is no tensor")
    return found


def with_output(graph: bytes, name: str) -> bytes:
    """Return a file that also gives a value of doubles from within.

    A message that stands twice in another one is merged by whoever reads protocol buffers, so that a graph which has
    nothing but the output is put behind the file.
    """
    output = _field(12, _field(1, name.encode()) + _DOUBLE)
    return graph + _field(7, output)


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content
