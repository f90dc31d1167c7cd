"""Isolation forests, as plain arrays of their trees."""

from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest

from linewright.model.families.anomaly.fitted import Isolation
from linewright.model.families.forest import Forest
from linewright.model.families.tree_arrays import to_grown
from linewright.model.tasks.links import Floats, Matrix

TREES = 100
SAMPLE = 256
"""Rows that each tree is grown from."""


def grow(rows: Matrix, *, seed: int) -> Isolation:
    """Grow trees from good rows."""
    sample: Any = min(SAMPLE, len(rows))
    made = IsolationForest(n_estimators=TREES, max_samples=sample, random_state=seed, n_jobs=1)
    made.fit(rows)
    parts = [one.tree_ for one in made.estimators_]
    sizes = [one.node_count for one in parts]
    starts = np.cumsum([0, *sizes[:-1]])
    yes, no, depth = [], [], []
    for tree, start in zip(parts, starts.tolist(), strict=True):
        left, right = tree.children_left, tree.children_right
        yes.append(np.where(left < 0, -1, left + start))
        no.append(np.where(right < 0, -1, right + start))
        level = np.zeros(tree.node_count)
        for node in range(tree.node_count):  # a node stands before those below it
            if left[node] >= 0:
                level[[left[node], right[node]]] = level[node] + 1
        depth.append(level)
    at = np.concatenate([one.threshold for one in parts])
    # Rows are float32: a bound between two such numbers is that of the lower one.
    bound = at.astype(np.float32)
    bound = np.where(bound > at, np.nextafter(bound, np.float32(-np.inf)), bound)
    node_rows = np.concatenate([one.n_node_samples for one in parts])
    is_leaf = np.concatenate(yes) < 0
    splits = np.concatenate(depth) + path_length(node_rows)
    n = int(sum(sizes))
    forest = Forest(
        tree=np.repeat(np.arange(len(sizes)), sizes),
        yes=np.concatenate(yes),
        no=np.concatenate(no),
        column=np.where(is_leaf, 0, np.concatenate([one.feature for one in parts])).astype(np.int64),
        at_most=np.where(is_leaf, 0.0, bound.astype(np.float64)),
        codes={},
        missing_is_yes=np.zeros(n, dtype=np.bool_),
        rows=node_rows.astype(np.float64),
        value=np.where(is_leaf, -splits / TREES, 0.0),
        output=np.zeros(n, dtype=np.int64),
        offset=np.zeros(1),
    )
    native = to_grown(forest, task="anomaly", width=rows.shape[1], link="margin", refuses=())
    return Isolation(trees=native)


def path_length(rows: Floats) -> Floats:
    """Return how many splits it takes on average to part so many rows by chance: those that a leaf still holds.

    Examples
    --------
    >>> path_length(np.array([1.0, 2.0, 256.0])).round(2).tolist()
    [0.0, 1.0, 10.24]
    """
    many = np.maximum(rows, 3.0)
    long = 2 * (np.log(many - 1) + np.euler_gamma) - 2 * (many - 1) / many
    return np.where(rows <= 1, 0.0, np.where(rows <= 2, 1.0, long))
