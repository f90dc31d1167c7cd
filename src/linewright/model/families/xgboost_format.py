"""XGBoost's own document, read without the library, and the trees in it as plain lists of numbers."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.errors import Corrupt
from linewright.model.families.forest import Forest
from linewright.model.tasks.links import IDENTITY, LOGISTIC, SOFTMAX, Floats, Link

_LARGEST_CODE = (1 << 24) - 1


class XGBoostTree(msgspec.Struct, frozen=True, kw_only=True):
    """A tree, one entry a node, the root first. The right side of a split stands behind its left side."""

    left: tuple[int, ...]
    """-1 at a leaf."""
    column: tuple[int, ...]
    bound: tuple[float, ...]
    """At a split, a float32 number: rows below it go left. At a leaf, what it says. Not read where there are codes."""
    is_missing_left: tuple[bool, ...]
    mass: tuple[float, ...]
    """Second derivatives of the loss, added up over the training rows that came there."""
    codes: dict[int, tuple[int, ...]]
    """By split, at least one: rows with one of these codes go right, all others left."""


class _TreeParameters(msgspec.Struct):
    size_leaf_vector: str = "1"


class GrownTree(msgspec.Struct):
    """A tree as XGBoost writes it; what is not read is left out."""

    left_children: list[int]
    right_children: list[int]
    split_indices: list[int]
    split_conditions: list[float]
    default_left: list[int | bool]
    sum_hessian: list[float]
    categories: list[int] = []
    categories_nodes: list[int] = []
    categories_segments: list[int] = []
    categories_sizes: list[int] = []
    tree_param: _TreeParameters = msgspec.field(default_factory=_TreeParameters)


class _Parameters(msgspec.Struct):
    num_parallel_tree: str = "1"


class _Levels(msgspec.Struct):
    """Names of the categories of a column: bytes of UTF-8 with offsets, or numbers without."""

    values: list[int | float] = []
    offsets: list[int] = []
    type: int | None = None


class _Categories(msgspec.Struct):
    enc: list[_Levels] = []


class GrownTrees(msgspec.Struct):
    """All trees, with the output that each adds to, and the names of categories."""

    trees: list[GrownTree]
    tree_info: list[int]
    gbtree_model_param: _Parameters
    cats: _Categories = msgspec.field(default_factory=_Categories)


class _Trained(msgspec.Struct):
    name: str
    model: GrownTrees | None = None


class _Objective(msgspec.Struct):
    name: str


class _Start(msgspec.Struct):
    base_score: str
    num_feature: str = "0"
    num_class: str = "0"
    num_target: str = "1"


class Learner(msgspec.Struct):
    """A model as XGBoost writes it."""

    gradient_booster: _Trained
    objective: _Objective
    learner_model_param: _Start
    feature_names: list[str] = []
    feature_types: list[str] = []
    attributes: dict[str, str] = {}


class Document(msgspec.Struct):
    """A model, and the version of what wrote it."""

    learner: Learner
    version: tuple[int, ...] = ()


SUMS: Mapping[Link, frozenset[str]] = {
    LOGISTIC: frozenset({"binary:logistic"}),
    SOFTMAX: frozenset({"multi:softprob"}),
    IDENTITY: frozenset(
        {"reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror"}
    ),
}
"""Objectives whose sums become answers as ours do."""


def learner_of(data: bytes) -> Learner:
    """Read a document."""
    return msgspec.json.decode(data, type=Document).learner


def rounds_of(learner: Learner, *, outputs: int, rounds: int | None) -> list[GrownTree] | str:
    """Return trees in the order of rounds and outputs, however many a round has of each; or why they are none of ours."""
    name, grown = learner.gradient_booster.name, learner.gradient_booster.model
    if name != "gbtree" or grown is None:
        return f"its booster is {name!r}; trees with one output each (booster gbtree) can be exported"
    if outputs > len(grown.trees):
        return f"it has fewer trees, {len(grown.trees):,}, than answers, {outputs:,}"
    if any(tree.tree_param.size_leaf_vector not in ("0", "1") for tree in grown.trees):
        return "its leaves have several outputs; trees with one output each can be exported"
    many = (
        len(grown.trees)
        if rounds is None
        else rounds * outputs * int(grown.gbtree_model_param.num_parallel_tree)
    )
    by_output: dict[int, list[GrownTree]] = {output: [] for output in range(outputs)}
    for tree, of in zip(grown.trees[:many], grown.tree_info[:many], strict=True):
        by_output.setdefault(of, []).append(tree)
    if len(by_output) != outputs or len({len(trees) for trees in by_output.values()}) != 1:
        return "its trees answer for other classes than it was fitted to"
    return [tree for round_ in zip(*by_output.values(), strict=True) for tree in round_]


def intercept_of(learner: Learner, *, outputs: int) -> tuple[float, ...]:
    """Return the margins that rows start from, one an output; documents have them in the form of the answers."""
    start = np.array([float(word) for word in learner.learner_model_param.base_score.strip("[]").split(",")])
    with np.errstate(divide="ignore", invalid="ignore"):  # of what is no answer there is no margin
        if learner.objective.name in SUMS[LOGISTIC]:
            start = np.log(start) - np.log1p(-start)
        if learner.objective.name in LOGARITHMS:
            start = np.log(start)
    return tuple(np.broadcast_to(start, (outputs,)).tolist())


LOGARITHMS = frozenset({"count:poisson", "reg:gamma", "reg:tweedie"})
"""Objectives whose sums are logarithms of the answers."""


def read_tree(tree: GrownTree, seen: Mapping[int, frozenset[int]]) -> XGBoostTree:
    """Read a tree: nodes are numbered level by level, and a split has the codes of its shorter side.

    XGBoost names those that go right, among them codes below the largest that no training row has; a new code goes left. Here
    all that training did not have go with the longer list, so that they are told alike.
    """
    if min(tree.categories_sizes, default=0) < 0 or sum(tree.categories_sizes) > len(tree.categories):
        raise Corrupt("the categories of splits overlap")
    sets = {
        split: tree.categories[start : start + size]
        for split, start, size in zip(
            tree.categories_nodes, tree.categories_segments, tree.categories_sizes, strict=True
        )
    }
    size = len(tree.left_children)
    order, left, codes, turned = [0], list[int](), dict[int, tuple[int, ...]](), set[int]()
    for node in order:  # which grows
        sides = tree.left_children[node], tree.right_children[node]
        if sides[0] < 0:
            left.append(-1)
            continue
        if node in sets:
            known = seen[tree.split_indices[node]]
            right = known.intersection(sets[node])
            others = known - right
            if 0 < len(others) < len(right):
                turned.add(node)
                sides = sides[::-1]
            codes[len(left)] = tuple(sorted(others if node in turned else right))
        left.append(len(order))
        order += sides
        if len(order) > size:
            raise Corrupt("a node of a tree is below itself, or below two others", where="XGBoost document")
    is_split = [side >= 0 for side in left]
    nodes = list(zip(order, is_split, strict=True))
    return XGBoostTree(
        left=tuple(left),
        column=tuple(tree.split_indices[node] if inner else 0 for node, inner in nodes),
        bound=tuple(0.0 if node in sets else tree.split_conditions[node] for node, _ in nodes),
        is_missing_left=tuple(
            inner and bool(tree.default_left[node]) is not (node in turned) for node, inner in nodes
        ),
        mass=tuple(tree.sum_hessian[node] for node in order),
        codes=codes,
    )


def hangs_together(tree: XGBoostTree, width: int) -> bool:
    """Return whether lists are one tree whose splits read columns of a matrix that is so wide."""
    lists = (tree.left, tree.column, tree.bound, tree.is_missing_left, tree.mass)
    splits = [node for node, left in enumerate(tree.left) if left >= 0]
    return (
        {len(tree.left)} == {len(each) for each in lists}
        and len(tree.left) == 2 * len(splits) + 1
        and all(tree.left[node] == 2 * at + 1 > node for at, node in enumerate(splits))
        and all(0 <= column < width for column in tree.column)
        and all(0 <= split < len(tree.left) and tree.left[split] >= 0 for split in tree.codes)
        and all(tree.codes.values())
        and all(0 <= code <= _LARGEST_CODE for codes in tree.codes.values() for code in codes)
    )


def to_float32(numbers: npt.ArrayLike) -> Floats:
    """Return the float32 numbers that are meant, as doubles: they are written with as few digits as tell them apart."""
    return np.asarray(numbers, dtype=np.float32).astype(np.float64)


def forest_of(trees: Sequence[XGBoostTree], *, intercept: Sequence[float], scale: float) -> Forest:
    """Return trees, whose sum times `scale` is added to `intercept`, as a forest."""
    sizes = [len(tree.left) for tree in trees]
    starts = np.array([0, *accumulate(sizes)][:-1], dtype=np.int64)
    tree = np.repeat(np.arange(len(sizes)), sizes)

    def joined(name: str) -> npt.NDArray[Any]:
        return np.concatenate([np.asarray(getattr(each, name)) for each in trees])

    values = np.concatenate([to_float32(each.bound) for each in trees])
    left = joined("left").astype(np.int64)
    is_leaf = left < 0
    left = np.where(is_leaf, -1, left + starts[tree])
    codes = {
        int(start) + split: np.array(codes, dtype=np.int64)
        for start, each in zip(starts, trees, strict=True)
        for split, codes in each.codes.items()
    }
    # Rows go left where they are below the bound: at most the float32 number before it. Codes go right.
    yes, no = left, np.where(is_leaf, -1, left + 1)
    missing_is_yes = joined("is_missing_left").astype(np.bool_) & ~is_leaf
    for split in codes:
        yes[split], no[split] = no[split], yes[split]
        missing_is_yes[split] = ~missing_is_yes[split]
    with np.errstate(over="ignore"):  # no number is below the lowest
        below = np.nextafter(values.astype(np.float32), np.float32(-np.inf)).astype(np.float64)
    return Forest(
        tree=tree,
        yes=yes,
        no=no,
        column=joined("column").astype(np.int64),
        at_most=np.where(is_leaf, 0.0, below),
        codes=codes,
        missing_is_yes=missing_is_yes,
        rows=to_float32(joined("mass")),
        value=np.where(is_leaf, scale * values, 0.0),
        output=tree % len(intercept),
        offset=np.array(intercept),
    )
