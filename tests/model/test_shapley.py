"""Shapley values of trees: against all subsets, and where trees are large or broken."""

from dataclasses import replace
from itertools import combinations
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewright.errors import Corrupt
from linewright.model.onnx.shapley import TreeExplainer
from linewright.model.onnx.trees import Trees

WIDTH = 4
LEAVES = st.tuples(st.floats(-10, 10), st.integers(0, 20))
SPLITS = st.tuples(
    st.integers(0, WIDTH - 1),
    st.floats(-2, 2, width=32) | st.sets(st.integers(0, 3), min_size=1, max_size=3).map(tuple),
    st.booleans(),
)
TREES = st.recursive(LEAVES, lambda inner: st.tuples(SPLITS, inner, inner), max_leaves=10)
CELLS = st.sampled_from([0.0, 1.0, 2.0, -1.5, np.nan]) | st.floats(-3, 3, width=32)


def rows_of(tree) -> float:
    return tree[1] if len(tree) == 2 else rows_of(tree[1]) + rows_of(tree[2])


def goes_yes(split, row) -> bool:
    column, bound, missing_is_yes = split
    value = row[column]
    if np.isnan(value):
        return missing_is_yes
    return value in bound if isinstance(bound, tuple) else bool(value <= bound)


def answer(tree, row, known: frozenset[int]) -> float:
    """Answer as [1] does where some columns are not known: both ways, by the rows that went there."""
    if len(tree) == 2:
        return tree[0]
    split, yes, no = tree
    if split[0] in known:
        return answer(yes if goes_yes(split, row) else no, row, known)
    rows = rows_of(tree)
    shares = (rows_of(side) / rows if rows else 0.0 for side in (yes, no))
    return sum(share * answer(side, row, known) for share, side in zip(shares, (yes, no), strict=True))


def by_subsets(tree, row) -> list[float]:
    """Return the Shapley values by their definition."""
    values = []
    for column in range(WIDTH):
        others = [each for each in range(WIDTH) if each != column]
        total = 0.0
        for size in range(WIDTH):
            weight = factorial(size) * factorial(WIDTH - 1 - size) / factorial(WIDTH)
            for known in map(frozenset, combinations(others, size)):
                total += weight * (answer(tree, row, known | {column}) - answer(tree, row, known))
        values.append(total)
    return values


def flat(*trees) -> Trees:
    """Write trees as ONNX has them: sets become chains."""
    names = ("tree", "node", "column", "value", "is_equal", "is_leaf", "yes", "no", "missing_is_yes", "rows")
    nodes, leaves = {name: [] for name in names}, []

    def put(number, **parts) -> int:
        node = sum(tree == number for tree in nodes["tree"])
        blank = dict.fromkeys(names, 0) | {"tree": number, "node": node}
        for name, value in (blank | parts).items():
            nodes[name].append(value)
        return node

    def patch(number, node, **parts) -> None:
        at = list(zip(nodes["tree"], nodes["node"], strict=True)).index((number, node))
        for name, value in parts.items():
            nodes[name][at] = value

    def write(number, tree) -> int:
        rows = rows_of(tree)
        if len(tree) == 2:
            node = put(number, is_leaf=True, rows=rows)
            leaves.append((number, node, tree[0]))
            return node
        (column, bound, missing_is_yes), yes, no = tree
        parts = {"column": column, "missing_is_yes": missing_is_yes, "rows": rows}
        is_set = isinstance(bound, tuple)
        links = [
            put(number, value=value, is_equal=is_set, **parts) for value in (bound if is_set else (bound,))
        ]
        ends = write(number, yes), write(number, no)
        for link, after in zip(links, [*links[1:], ends[1]], strict=True):
            patch(number, link, yes=ends[0], no=after)
        return links[0]

    for number, tree in enumerate(trees):
        write(number, tree)
    flags, doubles = {"is_equal", "is_leaf", "missing_is_yes"}, {"value", "rows"}
    kinds = {name: bool if name in flags else np.float64 if name in doubles else np.int64 for name in names}
    number, node, value = zip(*leaves, strict=True)
    return Trees(
        **{name: np.array(nodes[name], dtype=kinds[name]) for name in names},
        leaf_tree=np.array(number),
        leaf_node=np.array(node),
        leaf_output=np.zeros(len(leaves), dtype=np.int64),
        leaf_value=np.array(value, dtype=np.float64),
    )


@settings(max_examples=200, deadline=None)
@given(
    trees=st.lists(TREES, min_size=1, max_size=3),
    rows=st.lists(st.lists(CELLS, min_size=WIDTH, max_size=WIDTH), min_size=1, max_size=3),
)
def test_contributions_are_the_shapley_values(trees, rows):
    """Law: as by all subsets, whatever is asked and however often; with the base they add up to the answer."""
    x = np.array(rows, dtype=np.float32)
    explainer = TreeExplainer(flat(*trees), width=WIDTH, outputs=1)
    sums, contributions = explainer.explain(x)
    everything = frozenset(range(WIDTH))

    for row, total, given_ in zip(x, sums[:, 0], contributions[:, :, 0], strict=True):
        np.testing.assert_allclose(
            np.sum([by_subsets(tree, row) for tree in trees], axis=0), given_, atol=1e-9
        )
        assert pytest.approx(sum(answer(tree, row, everything) for tree in trees)) == total
        assert pytest.approx(total, abs=1e-9) == explainer.base[0] + given_.sum()


@pytest.mark.parametrize("depth", [3, 64, 200])
def test_a_long_way_to_a_leaf_loses_no_digit(depth):
    """Each split asks about a column of its own; recurrences that are unwound lose all digits here."""
    tree = (1.0, 1)
    for column in range(depth):
        tree = ((column, 0.0, False), tree, (float(column % 7), 1 + column % 3))
    x = np.random.default_rng(1).normal(-1, 1, (5, depth)).astype(np.float32)
    explainer = TreeExplainer(flat(tree), width=depth, outputs=1)
    sums, contributions = explainer.explain(x)

    np.testing.assert_allclose(sums[:, 0], explainer.base[0] + contributions[:, :, 0].sum(axis=1), atol=1e-11)


def test_a_way_that_no_training_row_went_counts_as_good_as_nothing():
    """LightGBM has none, but a share of 0 must not become a NaN."""
    tree = ((0, 0.0, False), (5.0, 0), ((1, 0.0, False), (1.0, 0), (2.0, 8)))
    explainer = TreeExplainer(flat(tree), width=2, outputs=1)
    sums, contributions = explainer.explain(np.array([[-1, -1], [1, -1], [1, 1]], dtype=np.float32))

    assert [5, 1, 2] == sums[:, 0].tolist()
    np.testing.assert_allclose([[3.5, -0.5], [0, -1], [0, 0]], contributions[:, :, 0], atol=1e-12)
    assert pytest.approx(2.0) == explainer.base[0]


def test_trees_without_a_split_are_their_base():
    """A model may have learned nothing."""
    explainer = TreeExplainer(flat((3.0, 0), (4.0, 9)), width=2, outputs=1)
    sums, contributions = explainer.explain(np.zeros((2, 2), dtype=np.float32))

    assert ([7.0], [[7.0], [7.0]], 0) == (explainer.base.tolist(), sums.tolist(), np.abs(contributions).sum())


def test_no_rows_are_explained_like_any():
    explainer = TreeExplainer(flat(((0, 0.0, False), (5.0, 1), (1.0, 1))), width=2, outputs=1)
    sums, contributions = explainer.explain(np.empty((0, 2), dtype=np.float32))

    assert ((0, 1), (0, 2, 1)) == (sums.shape, contributions.shape)


@pytest.mark.parametrize(
    "change",
    [
        {"no": [1, 0, 0]},  # both sides are one node
        {"no": [0, 0, 0]},  # back to the root
        {"no": [9, 0, 0]},  # a node that is not there
        {"column": [7, 0, 0]},
        {"leaf_node": [1, 1]},
        {"leaf_node": [0, 1]},
        {"leaf_output": [0, 3]},
    ],
)
def test_nodes_that_are_no_tree_are_refused(change):
    """The bytes are verified, what they say is not."""
    trees = flat(((0, 0.0, False), (5.0, 1), (1.0, 1)))
    broken = replace(trees, **{name: np.array(values) for name, values in change.items()})

    with pytest.raises(Corrupt, match="do not hang together"):
        TreeExplainer(broken, width=2, outputs=1)


def test_a_circle_is_refused():
    """Two splits that lead to each other, away from the root, must not be followed for ever."""
    inner = ((0, 1.0, False), (1.0, 1), ((1, 1.0, False), (2.0, 1), (3.0, 1)))
    trees = flat((((0, 0.0, False)), (4.0, 1), inner))
    no = trees.no.copy()
    splits = np.flatnonzero(~trees.is_leaf)
    root, one, two = splits.tolist()
    no[root], no[two] = trees.no[two], trees.node[one]

    with pytest.raises(Corrupt, match="do not hang together"):
        TreeExplainer(replace(trees, no=no), width=2, outputs=1)
