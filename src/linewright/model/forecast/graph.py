"""The ONNX graph of a forecast: from an encoded row to the values of the steps ahead and their intervals (`model.tasks.horizons`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from linewright.features.series import FEW, Layout
from linewright.model.export.onnx_writer import Graph, write_forest
from linewright.model.families.forest import Forest
from linewright.model.tasks.horizons import MORE, PARTS

ALLOWED = 1e-4
"""Largest difference between two ways to compute a forecast, in what errors are divided by or in what is said, whichever is larger."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Combination:
    """What forecasts are made of."""

    layout: Layout
    forest: Forest | None
    """Trees over all series, of the columns of `trees_input`; none where Theta alone is better."""
    trees: float
    """Weight of the trees, from 0 to 1; Theta has the rest."""
    widths: Sequence[float]
    """Half-width of the 90 % interval at each step, in the spread of a row."""
    usual: float
    """Usual spread of a row in its unit: of a row of fewer than `FEW` values it is at least that."""

    @property
    def outputs(self) -> int:
        """Columns of the scores."""
        return PARTS * self.layout.horizon + MORE


def tree_columns(layout: Layout) -> int:
    """Return how many columns trees read: the step, Theta, season, what is known ahead, and the shape of the latest values."""
    return 3 + layout.known + layout.shapes


def trees_input(x: np.ndarray, layout: Layout) -> np.ndarray:
    """Return what trees read, one row a step: float32 (n * horizon, `tree_columns`)."""
    n, h = len(x), layout.horizon
    steps = np.broadcast_to(np.arange(1, h + 1, dtype=np.float32), (n, h))
    known = [x[:, layout.of("known")][:, k * h : (k + 1) * h] for k in range(layout.known)]
    of_steps = np.stack([steps, x[:, layout.of("theta")], x[:, layout.of("factor")], *known], axis=2)
    shape = np.broadcast_to(x[:, layout.of("shape")][:, np.newaxis, :], (n, h, layout.shapes))
    return np.concatenate([of_steps, shape], axis=2).reshape(n * h, -1).astype(np.float32)


def to_graph(combination: Combination) -> bytes:
    """Return the graph from encoded rows, float32 [n, width], to scores, float32 [n, outputs]."""
    layout, graph = combination.layout, Graph()
    rows = graph.cast("x", "double")

    def part(name: str, of: str = rows) -> str:
        place = layout.of(name)
        return graph.columns(of, list(range(place.start, place.stop)))

    z = part("theta")
    if combination.forest is not None and combination.trees > 0:
        found = _trees(graph, combination.forest, layout)
        own = graph.add("Mul", z, graph.constant(1 - combination.trees))
        z = graph.add("Add", own, graph.add("Mul", found, graph.constant(combination.trees)))
    floor, spread = part("floor"), part("spread")
    is_few = graph.add("Less", part("values"), graph.constant(float(FEW)))
    least = graph.add("Mul", part("unit"), graph.constant(combination.usual))
    spread = graph.add("Where", is_few, graph.add("Max", spread, least), spread)
    plain = graph.add("Add", part("center"), graph.add("Mul", part("unit"), z))
    seasonal = graph.add("Add", graph.add("Mul", plain, part("factor")), part("added"))
    usable = graph.add("Greater", part("usable"), graph.constant(0.5))
    forecast = graph.add("Max", graph.add("Where", usable, seasonal, part("naive")), floor)
    width = graph.add("Mul", spread, graph.constant([list(combination.widths)]))
    low = graph.add("Max", graph.add("Sub", forecast, width), floor)
    high = graph.add("Add", forecast, width)
    more = [part(name) for name in ("scale", "values", "time")]
    scores = graph.add("Concat", forecast, low, high, part("naive2"), *more, axis=1)
    graph.add("Cast", scores, output="y", to=TensorProto.FLOAT)
    return graph.serialize(width=layout.width, outputs=combination.outputs)


def _trees(graph: Graph, forest: Forest, layout: Layout) -> str:
    """Say what trees add up to at each step, [n, horizon], as `trees_input` has the rows."""
    h = layout.horizon
    ones = graph.constant(np.ones((1, h, 1)), np.float32)

    def stepwise(name: str, skip: int = 0) -> str:
        place = layout.of(name)
        start = place.start + skip
        values = graph.columns("x", list(range(start, start + h)))
        return graph.add("Unsqueeze", values, graph.constant([2], np.int64))

    theta = stepwise("theta")
    zero = graph.add("Mul", theta, graph.constant(0, np.float32))
    steps = graph.add("Add", zero, graph.constant(np.arange(1, h + 1).reshape(1, h, 1), np.float32))
    known = [stepwise("known", k * h) for k in range(layout.known)]
    place = layout.of("shape")
    shape = graph.columns("x", list(range(place.start, place.stop)))
    shape = graph.add("Mul", graph.add("Unsqueeze", shape, graph.constant([1], np.int64)), ones)
    whole = graph.add("Concat", steps, theta, stepwise("factor"), *known, shape, axis=2)
    flat = graph.add("Reshape", whole, graph.constant([-1, tree_columns(layout)], np.int64))
    sums = write_forest(graph, forest, x=flat)
    return graph.add("Reshape", sums, graph.constant([-1, h], np.int64))
