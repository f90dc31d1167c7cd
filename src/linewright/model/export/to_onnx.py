"""From a fitted model to the ONNX graph that serves.

Input ``x`` float32 [n, width]; one output ``y`` float32: probabilities [n, classes], or numbers [n, 1]. Trees are
added up by ONNX Runtime's own operator; probabilities come from the sums by one softmax in double, so that small ones
keep their digits, which calibration needs. Equal models give equal bytes.

Beside what it computes, the graph says what an explanation needs (`model.onnx.contributions` reads it): how many training rows came
to each node of a tree, or their weight in XGBoost's loss, as ``nodes_hitrates_as_tensor``, an attribute that runtimes do not
compute with; or the means of a linear model, as metadata.
"""

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from linewright.errors import Terminal
from linewright.model.export.anomaly_graph import oddity_to_onnx
from linewright.model.export.onnx_writer import Graph, answer, write_forest, write_scores
from linewright.model.families.anomaly.fitted import OddityFitted
from linewright.model.families.ensemble import EnsembleFitted, Member
from linewright.model.families.fitted import Fitted
from linewright.model.families.forest import fused
from linewright.model.families.hazard import HazardFitted
from linewright.model.families.lightgbm import BoostedFitted
from linewright.model.families.linear import BEND, FAR, LinearFitted, LinearNative
from linewright.model.families.onnx_model import WholeFitted
from linewright.model.families.trainer import read_native
from linewright.model.families.tree_arrays import OPINION, GrownFitted
from linewright.model.families.xgboost import XGBoostFitted
from linewright.model.onnx.contributions import (
    COEFFICIENTS,
    DESIGN,
    INTERCEPT,
    NAME,
    SHARES,
    Centre,
    Summed,
    to_metadata,
)
from linewright.model.tasks import link_of
from linewright.model.tasks.links import LOGISTIC, Link

Exported = BoostedFitted | GrownFitted | HazardFitted | LinearFitted | XGBoostFitted
"""A fitted model that a graph can say."""


def to_onnx(native: bytes, width: int) -> bytes:
    """Return the ONNX graph of a native model."""
    fitted = read_native(native)
    if fitted.native.width != width:
        raise Terminal(
            "the model and the encoder do not belong together",
            where="ONNX export",
            found=f"a model of {fitted.native.width} columns",
            allowed=f"{width} columns",
        )
    if isinstance(fitted, WholeFitted):
        return fitted.native.graph
    if isinstance(fitted, OddityFitted):
        return oddity_to_onnx(fitted)
    graph = Graph()
    members = fitted.members if isinstance(fitted, EnsembleFitted) else (Member(1.0, fitted),)
    margins, outputs = margins_of(graph, [(_exported(one.fitted), one.weight) for one in members])
    is_share = isinstance(fitted, GrownFitted) and fitted.native.link == "share"
    link = link_of(fitted.native.task)
    outputs = 2 if link is LOGISTIC else outputs
    scores = _shares(graph, margins, link, outputs) if is_share else write_scores(graph, margins, link)
    refuses = fitted.native.refuses if isinstance(fitted, GrownFitted) else ()
    answer(graph, scores, refuses)
    # What shares add up to is no score that an explanation could tell of.
    return graph.serialize(width=width, outputs=outputs, name=SHARES if is_share else NAME)


def _exported(fitted: Fitted) -> Exported:
    if not isinstance(fitted, Exported):
        raise Terminal("a family that cannot be exported", where="ONNX export", found=type(fitted).__name__)
    return (isinstance(fitted, HazardFitted) and fitted.linear()) or fitted


def margins_of(graph: Graph, members: Sequence[tuple[Exported, float]]) -> tuple[str, int]:
    """Say the weighted sum of what models add up. Those of trees become one forest, whose trees run side by side."""
    forests = [(one.forest(), weight) for one, weight in members if not isinstance(one, LinearFitted)]
    parts: list[str] = []
    outputs = 0
    if forests:
        forest = fused(forests)
        parts.append(write_forest(graph, forest))
        outputs = len(forest.offset)
    listed: list[Summed] = []
    for one, weight in members:
        if isinstance(one, LinearFitted):
            suffix = f".{len(listed)}" if listed else ""
            part = _linear(graph, one.native, suffix=suffix)
            parts.append(part if weight == 1 else graph.add("Mul", part, graph.constant(weight)))
            outputs = len(one.native.intercept)
            listed.append(Summed(weight=weight, suffix=suffix))
    if listed and len(members) > 1:
        graph.metadata |= to_metadata(listed)
    total = parts[0]
    for part in parts[1:]:
        total = graph.add("Add", total, part)
    return total, outputs


def _shares(graph: Graph, found: str, link: Link, classes: int) -> str:
    """Say `grown.with_opinion` of probabilities; of two classes that of the positive one is found."""
    if link is LOGISTIC:
        found = graph.add("Concat", graph.add("Sub", graph.constant(1.0), found), found, axis=1)
    return opinion(graph, found, classes)


def opinion(graph: Graph, found: str, classes: int) -> str:
    """Say `grown.with_opinion` of probabilities of so many classes."""
    own = graph.add("Mul", found, graph.constant(1 - OPINION))
    return graph.add("Add", own, graph.constant(OPINION / classes))


def _linear(graph: Graph, native: LinearNative, *, suffix: str) -> str:
    """Say `linear.design` and its product with the coefficients, in double."""
    rows = graph.add("Cast", "x", to=TensorProto.DOUBLE)
    parts: list[str] = []
    straight: list[str] = []
    if native.numbers:
        bent, scaled = _bent(graph, rows, native)
        parts.append(bent)
        if native.straight:
            straight.append(_straight(graph, scaled, native))
    if native.missing:
        absent = graph.add("IsNaN", graph.columns(rows, list(native.missing)))
        parts.append(graph.add("Cast", absent, to=TensorProto.DOUBLE))
    if native.hinges:
        values = graph.columns(parts[0], [place for place, _ in native.hinges])
        above = graph.add("Sub", values, graph.constant([knot for _, knot in native.hinges]))
        parts.append(graph.add("Max", above, graph.constant(0.0)))
    if native.levels:
        codes = graph.columns(rows, [column for column, _ in native.levels])
        same = graph.add("Equal", codes, graph.constant([code for _, code in native.levels]))
        parts.append(graph.add("Cast", same, to=TensorProto.DOUBLE))
    matrix = graph.add("Concat", *parts, *straight, axis=1, output=DESIGN + suffix)
    coefficients = graph.constant(np.asarray(native.coefficients).T, name=COEFFICIENTS + suffix)
    products = graph.add("MatMul", matrix, coefficients)
    if native.means:
        graph.metadata |= Centre(means=native.means, sources=native.sources).to_metadata(suffix)
    return graph.add("Add", products, graph.constant(native.intercept, name=INTERCEPT + suffix))


def _bent(graph: Graph, rows: str, native: LinearNative) -> tuple[str, str]:
    """Return the numbers bent, and scaled as they are."""
    numbers = graph.columns(rows, list(native.numbers))
    centred = graph.add("Sub", numbers, graph.constant(native.centre))
    whole = graph.add("Mul", centred, graph.constant(native.factor))
    scaled = graph.add("Clip", whole, graph.constant(-FAR), graph.constant(FAR))
    share = graph.add("Div", scaled, graph.constant(BEND))
    root = graph.add("Sqrt", graph.add("Add", graph.add("Mul", share, share), graph.constant(1.0)))
    bent = graph.add("Div", scaled, root)
    return graph.add("Where", graph.add("IsNaN", numbers), graph.constant(0.0), bent), whole


def _straight(graph: Graph, whole: str, native: LinearNative) -> str:
    values = graph.columns(whole, [one.place for one in native.straight])
    held = graph.add("Max", values, graph.constant([one.least for one in native.straight]))
    held = graph.add("Min", held, graph.constant([one.most for one in native.straight]))
    known = graph.add("Where", graph.add("IsNaN", values), graph.constant(0.0), held)
    return graph.add("Mul", known, graph.constant([one.factor for one in native.straight]))
