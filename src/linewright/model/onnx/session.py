"""An ONNX file: looked through before anything runs it, then run.

An ONNX file is a protocol-buffer message (`onnx.proto` of the ONNX project has its fields by number). It can name data
in other files, or at an address in memory, and operators that a runtime was extended with. A model of ours needs
neither, so both are refused here, by reading the bytes: an endpoint does not load the `onnx` package.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import (
    onnxruntime_pybind11_state as onnx_errors,  # pyright: ignore[reportAttributeAccessIssue] -- compiled
)

from linewright.errors import Corrupt, Denied, Terminal

DOMAINS = (b"", b"ai.onnx", b"ai.onnx.ml")
"""Domains of operators that a graph may use: those of the ONNX standard."""

_DEEPEST = 32

# By kind of message: the fields that hold messages which must be looked through, by number.
_INNER = {
    "model": {7: "graph", 8: "opset"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse tensor",
        23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "opset": {},
    "tensor": {},
}
_REFUSED = {
    ("model", 20): "training graphs",
    ("model", 25): "functions of its own",
    ("tensor", 13): "data outside of the file",
}
_DOMAIN_FIELDS = {("node", 7), ("opset", 1)}
_LOCATION_FIELD = ("tensor", 14)

_NUMBER = (
    rb"[\x08\x10\x18\x20\x28\x30\x38\x40\x48\x50\x58\x60\x68\x70\x78][\x80-\xff]{0,9}+[\x00-\x7f]"
    rb"|[\x0d\x15\x1d\x25\x2d\x35\x3d\x45\x4d\x55\x5d\x65\x6d\x75\x7d].{4}"
)
_TEXT = rb"J(?:" + b"|".join(re.escape(bytes([length])) + b".{%d}" % length for length in range(64)) + b")"
NUMBERS = re.compile(rb"(?s:" + _NUMBER + rb")++")
"""A run of numbers in an attribute (fields below 16): a tree ensemble has millions of them."""
PLAIN = re.compile(rb"(?s:" + _NUMBER + rb"|" + _TEXT + rb")++")
"""A run of numbers and of short texts in an attribute (field 9): a tree ensemble has one of these for each of its nodes."""


ROWS_AT_ONCE = 256
"""Rows that a graph computes at one time: what it computes on the way to its answers stays in the processor's cache."""

LISTS_AT_ONCE = 4
"""Rows of histories that a graph ranks at one time: each takes a number for each item of the history and each item there is."""

ERRORS = (
    onnx_errors.EPFail,
    onnx_errors.Fail,
    onnx_errors.InvalidArgument,
    onnx_errors.InvalidGraph,
    onnx_errors.InvalidProtobuf,
    onnx_errors.NoSuchFile,
    onnx_errors.NotImplemented,
    onnx_errors.RuntimeException,
    RuntimeError,
    ValueError,
)
"""What onnxruntime raises: its errors have no common class, and text that is not UTF-8 is a `ValueError`."""


class Graph:
    """A graph that is ready to run. Made by `open_graph`; safe to use from several threads."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        *,
        data: bytes,
        outputs: int,
        where: str,
        at_once: int = ROWS_AT_ONCE,
    ) -> None:
        self._session, self._outputs, self._where, self._at_once = session, outputs, where, at_once
        self.data = data
        """The bytes that it was made of."""

    def run(self, feed: Mapping[str, NDArray[Any]], n: int) -> NDArray[np.float32]:
        """Return what the graph computes for the `n` rows of its inputs: shape (n, outputs)."""
        if n <= self._at_once:
            return self._run(feed, n)
        y = np.empty((n, self._outputs), dtype=np.float32)
        for start in range(0, n, self._at_once):
            part = slice(start, min(start + self._at_once, n))
            y[part] = self._run({name: values[part] for name, values in feed.items()}, part.stop - start)
        return y

    def _run(self, feed: Mapping[str, NDArray[Any]], n: int) -> NDArray[np.float32]:
        try:
            y = cast("NDArray[np.float32]", self._session.run(["y"], dict(feed))[0])
        except ERRORS as error:
            raise Terminal(f"the model's graph failed: {error}", where=self._where) from error
        if y.shape != (n, self._outputs):
            raise Terminal(
                "the model's graph answers in another shape than its package says",
                where=self._where,
                found=str(y.shape),
                allowed=str((n, self._outputs)),
            )
        return y


Input = tuple[str, str, int]
"""Name, type and columns of an input."""


def open_graph(
    graph: bytes,
    *,
    inputs: Sequence[Input],
    outputs: int | None,
    where: str = "",
    at_once: int = ROWS_AT_ONCE,
) -> Graph:
    """Make an ONNX file ready to run, on one thread, equal rows giving equal bits."""
    check_graph(graph)
    session = open_session(graph, where)
    if outputs is None:
        shape = session.get_outputs()[0].shape
        outputs = shape[-1] if isinstance(shape[-1], int) else 0
    for side, nodes, wanted in (
        ("input", session.get_inputs(), inputs),
        ("output", session.get_outputs(), [("y", "float", outputs)]),
    ):
        found = [_signature(node) for node in nodes]
        allowed = [(name, f"tensor({kind})", ["n", columns]) for name, kind, columns in wanted]
        if found != allowed:
            raise Corrupt(
                f"the {side} of the graph is not what its package says",
                where=where,
                found=found,
                allowed=str(allowed),
            )
    return Graph(session, data=graph, outputs=outputs, where=where, at_once=at_once)


def open_session(graph: bytes, where: str, *, all_rewrites: bool = False) -> onnxruntime.InferenceSession:
    """Make the bytes of an ONNX file that `check_graph` has let through ready to run."""
    options = onnxruntime.SessionOptions()
    # One thread and one order: equal rows get equal bits, and an endpoint's processes do not fight for cores.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    # An arena keeps what the largest request ever took, one arena a graph, and an endpoint has a thousand graphs.
    options.enable_cpu_mem_arena = False
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if all_rewrites else levels.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    # `check_graph` has read the bytes as ONNX; they must not be read as anything else.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        # Its fallback would print to stdout and try the same once more.
        return onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except ERRORS as error:
        raise Corrupt(f"not an ONNX graph that can run: {error}", where=where) from error


def _signature(node: Any) -> tuple[str, str, list[int | str]]:
    # A dimension without a fixed size has a name of the exporter's choice, or none.
    shape = [size if isinstance(size, int) else "n" for size in node.shape]
    return node.name, node.type, shape


@lru_cache(maxsize=2)  # what was let through may be opened again and again, as each time a window is closed
def check_graph(graph: bytes) -> None:
    """Refuse an ONNX file that could reach outside of itself."""
    _check("model", memoryview(graph), depth=0)


def _check(kind: str, message: memoryview, depth: int) -> None:
    if depth > _DEEPEST:
        raise Corrupt("an ONNX graph is nested too deeply", allowed=f"{_DEEPEST} messages")
    for number, value in fields(message, runs=PLAIN if kind == "attribute" else None):
        if (kind, number) in _REFUSED:
            raise Denied(f"the model has {_REFUSED[kind, number]}", where=f"ONNX {kind}")
        if (kind, number) == _LOCATION_FIELD and value != 0:
            raise Denied("the model has data outside of the file", where="ONNX tensor")
        if (kind, number) in _DOMAIN_FIELDS:
            _check_domain(value)
        if number in _INNER[kind]:
            _check(_INNER[kind][number], _as_bytes(value), depth + 1)


def _check_domain(value: memoryview | int) -> None:
    domain = bytes(_as_bytes(value))
    if domain not in DOMAINS:
        raise Denied(
            "the model uses operators outside of the ONNX standard",
            found=domain.decode(errors="replace"),
            allowed="ai.onnx, ai.onnx.ml",
            hint="export it without custom operators",
        )


def _as_bytes(value: memoryview | int) -> memoryview:
    if isinstance(value, int):
        raise Corrupt("not an ONNX graph: a number stands where a message should")
    return value


def fields(
    message: memoryview, *, runs: re.Pattern[bytes] | None = None
) -> Iterator[tuple[int, memoryview | int]]:
    r"""Yield the fields of a protocol-buffer message.

    Examples
    --------
    >>> [(number, bytes(value)) for number, value in fields(memoryview(b"\x0a\x02hi"))]
    [(1, b'hi')]
    """
    at = 0
    while at < len(message):
        if runs is not None and (run := runs.match(message, at)):
            yield 0, message[at : run.end()]
            at = run.end()
            continue
        key, at = _varint(message, at)
        if key >> 32:
            # Some readers cut such a key to 32 bits and would see another field than we do.
            raise Corrupt("not an ONNX graph: a field number is too large")
        number, wire = key >> 3, key & 7
        match wire:
            case 0:
                value, at = _varint(message, at)
                yield number, value
            case 2:
                length, at = _varint(message, at)
                yield number, _slice(message, at, length)
                at += length
            case 1 | 5:
                width = 8 if wire == 1 else 4
                _slice(message, at, width)
                at += width
                yield number, 0
            case _:
                raise Corrupt("not an ONNX graph: unknown wire type", found=wire)


def _slice(message: memoryview, at: int, length: int) -> memoryview:
    if at + length > len(message):
        raise Corrupt("not an ONNX graph: it ends too early")
    return message[at : at + length]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise Corrupt("not an ONNX graph: it ends too early")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise Corrupt("not an ONNX graph: a number is too long")
