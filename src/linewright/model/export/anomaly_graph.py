"""Models of odd rows as ONNX graphs."""

import msgspec
import numpy as np
from onnx import TensorProto

from linewright.errors import Terminal
from linewright.model.export.onnx_writer import Graph, answer, write_forest
from linewright.model.families.anomaly.empirical_cdf import EmpiricalCdf
from linewright.model.families.anomaly.fitted import NEAREST, Given, Isolation, Nearest, OddityFitted
from linewright.model.families.anomaly.prepared import FAR, LEVEL, Prepared
from linewright.model.families.tree_arrays import GrownFitted
from linewright.model.onnx.anomaly_explanation import ODD, TYPICAL


def oddity_to_onnx(fitted: OddityFitted) -> bytes:
    """Return the graph of a model of odd rows, from the encoded matrix to the two scores."""
    native, graph = fitted.native, Graph()
    method = native.method
    match method:
        case Given():
            parts = graph.add("Cast", graph.columns("x", list(method.parts)), to=TensorProto.DOUBLE)
            oddest, _ = graph.top(parts, method.oddest)
            found = graph.add("ReduceMean", oddest, axes=[1], keepdims=1)
        case Isolation():
            found = write_forest(
                graph, GrownFitted(method.trees).forest(), x=_prepared(graph, native.prepared)
            )
        case Nearest():
            found = _distance(graph, fitted.bank, method.neighbours, _prepared(graph, native.prepared))
        case _:
            raise Terminal(
                "a family that cannot be exported", where="ONNX export", found=type(method).__name__
            )
    odd = _climbed(graph, native.cdf, found)
    both = graph.add("Concat", graph.add("Sub", graph.constant([1.0]), odd), odd, axis=1)
    answer(graph, both, ())
    graph.metadata[TYPICAL] = msgspec.json.encode(native.typical).decode()
    return graph.serialize(width=native.width, outputs=2, name=ODD)


def _prepared(graph: Graph, prepared: Prepared) -> str:
    """Say `Prepared.apply`: float32 [n, width]."""
    rows = graph.add("Cast", "x", to=TensorProto.DOUBLE)
    parts: list[str] = []
    if prepared.numbers:
        numbers = graph.columns(rows, list(prepared.numbers))
        absent = graph.add("IsNaN", numbers)
        centred = graph.add("Sub", numbers, graph.constant(prepared.centre))
        scaled = graph.add("Mul", centred, graph.constant(prepared.factor))
        near = graph.add("Clip", scaled, graph.constant(-FAR), graph.constant(FAR))
        parts.append(graph.add("Where", absent, graph.constant(0.0), near))
        parts.append(graph.add("Cast", absent, to=TensorProto.DOUBLE))
    if prepared.levels:
        codes = graph.columns(rows, [column for column, _ in prepared.levels])
        same = graph.add("Equal", codes, graph.constant([code for _, code in prepared.levels]))
        counted = graph.add("Cast", same, to=TensorProto.DOUBLE)
        parts.append(graph.add("Mul", counted, graph.constant(LEVEL)))
    return graph.add("Cast", graph.add("Concat", *parts, axis=1), to=TensorProto.FLOAT)


def _distance(graph: Graph, bank: np.ndarray, neighbours: int, rows: str) -> str:
    """Say `distances` in double: [n, 1]."""
    own = graph.add("Cast", rows, to=TensorProto.DOUBLE)
    other = graph.add("Cast", graph.constant(bank.T, np.float32), to=TensorProto.DOUBLE)
    axis = graph.constant([1], np.int64)
    squares = graph.add("ReduceSum", graph.add("Mul", own, own), axis, keepdims=1)
    lengths = graph.constant((bank.astype(np.float64) ** 2).sum(axis=1))
    twice = graph.add("Mul", graph.add("MatMul", own, other), graph.constant(2.0))
    near = graph.add("Sub", twice, graph.add("Add", squares, lengths))
    largest, _ = graph.top(near, neighbours)
    apart = graph.add("Max", graph.add("Neg", largest), graph.constant(NEAREST**2))
    return graph.add("ReduceMean", graph.add("Sqrt", apart), axes=[1], keepdims=1)


def _climbed(graph: Graph, cdf: EmpiricalCdf, oddity: str) -> str:
    """Say `EmpiricalCdf.scores`: [n, 1]."""
    past = graph.add("Sub", oddity, graph.constant([cdf.at[-1]]))
    beyond = graph.add("Max", graph.add("Div", past, graph.constant([cdf.scale])), graph.constant(0.0))
    share = graph.add("Div", beyond, graph.add("Add", beyond, graph.constant([1.0])))
    rest = graph.add("Mul", share, graph.constant([1 - cdf.share[-1]]))
    if len(cdf.at) == 1:
        return rest
    start, inverse, rise = cdf.steps()
    done = graph.add("Mul", graph.add("Sub", oddity, graph.constant(start)), graph.constant(inverse))
    inside = graph.add("Clip", done, graph.constant(0.0), graph.constant(1.0))
    return graph.add("Add", graph.add("MatMul", inside, graph.constant(rise[:, np.newaxis])), rest)
