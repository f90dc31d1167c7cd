"""Trees, read from the graph that answers by them.

A split of ONNX asks about one code, so that a set of codes is a chain of splits; here it is one split again, as it was when
the trees were trained.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from linewright.errors import Corrupt
from linewright.model.onnx.reader import Node, read_ints, read_tensor, read_texts, tensor_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

ROWS = "nodes_hitrates_as_tensor"
"""The attribute that says how many training rows came to each node."""
_OF_LEAVES = 4
"""Fields of `Trees`, the last, that have one entry a leaf."""


@dataclass(frozen=True, kw_only=True)
class Trees:
    """Trees as ONNX has them: arrays with one entry a node, then arrays with one entry a leaf.

    A split asks whether a column is at most a value or, where `is_equal`, whether it is that value. Sets are chains of the
    latter: where a split says no, the next one asks about the same column and leads to the same node if it says yes.
    """

    tree: Ints
    node: Ints
    """Number within the tree; the root is 0."""
    column: Ints
    value: Floats
    is_equal: Flags
    is_leaf: Flags
    yes: Ints
    no: Ints
    missing_is_yes: Flags
    rows: Floats
    """Training rows that came there; each link of a chain has those of the first."""
    leaf_tree: Ints
    leaf_node: Ints
    leaf_output: Ints
    leaf_value: Floats


def read_trees(node: Node) -> Trees:
    """Return the trees of a ``TreeEnsembleRegressor`` that `export.to_onnx` made."""
    attributes = node.attributes
    try:
        ints = {name: read_ints(attributes[name]) for name in attributes if name.endswith(("ids", "_true"))}
        modes = np.array(read_texts(attributes["nodes_modes"]))
        doubles = {
            name: read_tensor(tensor_of(attributes[name])).astype(np.float64)
            for name in ("nodes_values_as_tensor", "target_weights_as_tensor", ROWS)
        }
        trees = Trees(
            tree=ints["nodes_treeids"],
            node=ints["nodes_nodeids"],
            column=ints["nodes_featureids"],
            value=doubles["nodes_values_as_tensor"],
            is_equal=modes == b"BRANCH_EQ",
            is_leaf=modes == b"LEAF",
            yes=ints["nodes_truenodeids"],
            no=ints["nodes_falsenodeids"],
            missing_is_yes=ints["nodes_missing_value_tracks_true"] == 1,
            rows=doubles[ROWS],
            leaf_tree=ints["target_treeids"],
            leaf_node=ints["target_nodeids"],
            leaf_output=ints["target_ids"],
            leaf_value=doubles["target_weights_as_tensor"],
        )
    except KeyError as error:
        raise Corrupt("the trees of the graph lack a part", found=error.args[0]) from error
    if not np.isin(modes, [b"BRANCH_LEQ", b"BRANCH_EQ", b"LEAF"]).all():
        raise Corrupt("the trees of the graph ask what no tree of ours does")
    lengths = [len(part) for part in vars(trees).values()]
    if {*lengths[:-_OF_LEAVES]} != {len(modes)} or len({*lengths[-_OF_LEAVES:]}) != 1:
        raise broken()
    return trees


class Splits(NamedTuple):
    """What is asked at each split; a set is one split."""

    column: Ints
    value: Floats
    is_equal: Flags
    missing_is_yes: Flags
    first: Ints
    """Where among the entries above each split begins."""

    def say_yes(self, x: Floats) -> Flags:
        """Return which rows each split sends on as yes, shape (n, splits)."""
        if not len(self.first):
            return np.empty((len(x), 0), dtype=np.bool_)
        found = x[:, self.column]
        yes = np.where(self.is_equal, found == self.value, found <= self.value)
        yes |= np.isnan(found) & self.missing_is_yes
        return np.logical_or.reduceat(yes, self.first, axis=1)


class Asked(NamedTuple):
    """What is asked on the ways to the leaves: one entry a leaf and a split on its way."""

    leaf: Ints
    split: Ints
    column: Ints
    is_yes: Flags
    """Whether the way goes on where the split says yes."""
    share: Floats
    """Of the training rows that came to the split, those that went this way; 0 where none came."""


def splits_and_ways(trees: Trees) -> tuple[Splits, Asked]:
    """Return the splits of trees, and what is asked on the way to each leaf."""
    find = _Finder(trees)
    yes, no = (np.where(trees.is_leaf, 0, find(trees.tree, side)) for side in (trees.yes, trees.no))
    first, last = _chains(trees, yes, no)
    heads = np.flatnonzero(~trees.is_leaf & (first == np.arange(len(first))))
    members = np.flatnonzero(~trees.is_leaf)
    members = members[np.argsort(first[members], kind="stable")]
    splits = Splits(
        column=trees.column[members],
        value=trees.value[members],
        is_equal=trees.is_equal[members],
        missing_is_yes=trees.missing_is_yes[members],
        first=np.searchsorted(first[members], heads),
    )
    above, is_yes = np.full(len(first), -1), np.zeros(len(first), dtype=np.bool_)
    children = np.concatenate([yes[heads], no[last[heads]]])
    if len(np.unique(children)) != len(children) or (trees.node[children] == 0).any():
        raise broken()
    above[children], is_yes[yes[heads]] = np.concatenate([heads, heads]), True
    leaves = find(trees.leaf_tree, trees.leaf_node)
    if len(np.unique(leaves)) != len(leaves) or not trees.is_leaf[leaves].all():
        raise broken()
    steps = [np.stack(level) for level in _climb(leaves, above, longest=len(heads))]
    leaf, below = np.concatenate([np.empty((2, 0), np.int64), *steps], axis=1)
    split = above[below]
    share = np.divide(
        trees.rows[below], trees.rows[split], out=np.zeros(len(split)), where=trees.rows[split] > 0
    )
    numbers = np.searchsorted(heads, split)
    return splits, Asked(leaf, numbers, trees.column[split], is_yes[below], share)


class _Finder:
    """Finds nodes by tree and number."""

    def __init__(self, trees: Trees) -> None:
        self._span = int(trees.node.max(initial=0)) + 1
        keys = trees.tree * self._span + trees.node
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def __call__(self, tree: Ints, node: Ints) -> Ints:
        """Return where the nodes stand among all."""
        wanted = tree * self._span + node
        at = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        if (node >= self._span).any() or (self._keys[at] != wanted).any():
            raise broken()
        return self._order[at]


def _chains(trees: Trees, yes: Ints, no: Ints) -> tuple[Ints, Ints]:
    """Return the first and the last link of the chain that each node is in; itself, where it is in none."""
    goes_on = ~trees.is_leaf & ~trees.is_leaf[no] & trees.is_equal & trees.is_equal[no]
    goes_on &= (trees.column == trees.column[no]) & (yes == yes[no])
    first, last = np.arange(len(no)), np.arange(len(no))
    starts = goes_on.copy()
    starts[no[goes_on]] = False
    heads = links = np.flatnonzero(starts)
    while len(links):
        links = no[links]
        first[links], last[heads] = heads, links
        more = goes_on[links]
        heads, links = heads[more], links[more]
    return first, last


def _climb(leaves: Ints, above: Ints, *, longest: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield, level by level, the numbers of the leaves that are not at their root yet, and the node on their path."""
    number, at = np.arange(len(leaves)), leaves
    for _ in range(longest + 1):
        inner = above[at] >= 0
        number, at = number[inner], at[inner]
        if not len(at):
            return
        yield number, at
        at = above[at]
    raise broken()


def broken() -> Corrupt:
    """Return what is wrong where nodes do not hang together."""
    return Corrupt("the nodes of the graph do not hang together as trees")
