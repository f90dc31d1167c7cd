"""The ONNX graph of a recommender: from the codes of a history to a ranked list (`model.tasks.item_lists`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from linewright.model.export.onnx_writer import Graph
from linewright.model.list_loss import CUT
from linewright.model.recommend.candidates import Weights
from linewright.model.tasks.explore import POOL
from linewright.model.tasks.item_lists import MORE

LOOKED_AT = 256
"""The best items, among which those of a category are counted."""
_NEVER = -1e30
_TIE = 1e-4
"""What popularity adds to what a history says, so that it decides between items of which that says nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lists:
    """What lists are made of."""

    shares: NDArray[np.float32]
    """The share of users who took each item, shape (items,)."""
    length: int
    """Items of a history that are read."""
    shown: int
    """Items that an answer lists."""
    again: bool
    """Whether items of the history may be listed."""
    categories: Sequence[str] = ()
    """The category of each item, if a list may have few of one."""
    at_most: int = 0
    """How many of one category; 0 for any number. Items of no known category, the empty text, count as one each."""
    allowed: NDArray[np.bool_] | None = None
    """Which items may be listed, shape (items,); `None` if all may."""

    @property
    def ranks(self) -> int:
        """How long ranked lists are: a list is drawn from `POOL` times as many items as it shows, and metrics look at `CUT` ranks."""
        return max(1, min(max(self.shown * POOL, CUT), len(self.shares)))

    @property
    def outputs(self) -> int:
        """Columns of the scores."""
        return 3 * self.ranks + MORE


def to_graph(weights: Weights, lists: Lists) -> bytes:
    """Return the graph from codes, float32 [n, length], to ranked lists, float32 [n, outputs].

    Items have codes from 1; code 0, nothing, has a row and a column that add nothing and are never listed. Of equal scores the
    item of the lower code comes first.
    """
    graph, items = Graph(), len(lists.shares)
    shares = np.concatenate([[np.float32(0)], lists.shares]).astype(np.float32)
    base = shares.copy()
    barred = np.zeros(len(base), dtype=np.bool_)
    barred[0] = True
    if lists.allowed is not None:
        barred[1:] = ~lists.allowed
    base[barred] = _NEVER
    whole = graph.add("Cast", "x", to=TensorProto.INT64)
    is_read = graph.cast(graph.add("Greater", whole, graph.constant(0, np.int64)), "float")
    used = graph.add("ReduceSum", is_read, graph.constant([1], np.int64), keepdims=1)
    # Items stand at the front: what no history has is not added up.
    longest = graph.add("ReduceMax", used, axes=[0, 1], keepdims=0)
    longest = graph.add("Max", longest, graph.constant(1, np.float32))
    end = graph.add(
        "Unsqueeze", graph.add("Cast", longest, to=TensorProto.INT64), graph.constant([0], np.int64)
    )
    first, second = graph.constant([0], np.int64), graph.constant([1], np.int64)
    codes, is_item = (graph.add("Slice", one, first, end, second) for one in (whole, is_read))
    nothing = graph.add("Mul", used, graph.constant(0, np.float32))
    popular = graph.add("Add", nothing, graph.constant(base[np.newaxis], np.float32))
    total = _by_history(graph, codes, is_item, nothing, weights)
    if total is None:
        scores = popular
    else:
        tie = (_TIE * shares / max(float(shares.max()), 1e-9)).astype(np.float32)
        tie[barred] = _NEVER
        own = graph.add("Add", total, graph.constant(tie[np.newaxis], np.float32))
        scores = graph.add("Where", graph.add("Greater", used, graph.constant(0, np.float32)), own, popular)
    if not lists.again:
        never = graph.add(
            "Add",
            graph.add("Mul", is_item, graph.constant(0, np.float32)),
            graph.constant(_NEVER, np.float32),
        )
        scores = graph.add("ScatterElements", scores, codes, never, axis=1)
    values, places = _ranked(graph, scores, lists)
    is_listed = graph.cast(graph.add("Greater", values, graph.constant(_NEVER / 2, np.float32)), "float")
    listed = graph.add("Mul", graph.cast(places, "float"), is_listed)
    of_listed = graph.add(
        "Gather", graph.constant(shares, np.float32), graph.add("Cast", listed, to=TensorProto.INT64)
    )
    graph.add(
        "Concat",
        listed,
        graph.add("Mul", values, is_listed),
        of_listed,
        used,
        *(graph.add("Add", nothing, graph.constant(count, np.float32)) for count in (items, lists.shown)),
        axis=1,
        output="y",
    )
    return graph.serialize(width=lists.length, outputs=lists.outputs)


def _by_history(graph: Graph, codes: str, is_item: str, nothing: str, weights: Weights) -> str | None:
    """Add up what the items of a history say, [n, items + 1]."""
    if weights.dense is not None:
        items = len(weights.dense)
        rows = np.zeros((items + 1, items + 1), dtype=np.float32)
        rows[1:, 1:] = weights.dense
        said = graph.add("Gather", graph.constant(rows, np.float32, name="weights"), codes, axis=0)
        # A product adds rows up in a third of the time that a sum over them takes.
        one = graph.constant([1], np.int64)
        return graph.add("Squeeze", graph.add("MatMul", graph.add("Unsqueeze", is_item, one), said), one)
    if weights.neighbours is not None:
        places, numbers = weights.neighbours
        items = len(places)
        shape = graph.constant([0, -1], np.int64)
        none = np.zeros((1, places.shape[1]))
        near = graph.constant(np.concatenate([none, places + 1]), np.int64, name="neighbours")
        alike = graph.constant(np.concatenate([none, numbers]), np.float32, name="weights")
        where, what = (
            graph.add("Reshape", graph.add("Gather", table, codes, axis=0), shape) for table in (near, alike)
        )
        empty = graph.add("Add", nothing, graph.constant(np.zeros((1, items + 1)), np.float32))
        return graph.add("ScatterElements", empty, where, what, axis=1, reduction="add")
    return None


def _ranked(graph: Graph, scores: str, lists: Lists) -> tuple[str, str]:
    if not lists.at_most:
        return graph.top(scores, lists.ranks)
    most = max(lists.ranks, min(LOOKED_AT, len(lists.shares)))
    values, places = graph.top(scores, most)
    known = {name: number for number, name in enumerate(sorted({*lists.categories} - {""}), start=1)}
    # Items of no category get one number each.
    numbers = [known.get(name, -1 - place) for place, name in enumerate(lists.categories)]
    category = graph.add("Gather", graph.constant([0, *numbers], np.int64), places)
    down, across = (graph.add("Unsqueeze", category, graph.constant([axis], np.int64)) for axis in (2, 1))
    same = graph.cast(graph.add("Equal", down, across), "float")
    before = graph.constant(np.tril(np.ones((most, most)), -1)[np.newaxis], np.float32)
    better = graph.add("ReduceSum", graph.add("Mul", same, before), graph.constant([2], np.int64), keepdims=0)
    may = graph.add("Less", better, graph.constant(lists.at_most, np.float32))
    kept = graph.add("Where", may, values, graph.constant(_NEVER, np.float32))
    best, chosen = graph.top(kept, lists.ranks)
    return best, graph.add("GatherElements", places, chosen, axis=1)
