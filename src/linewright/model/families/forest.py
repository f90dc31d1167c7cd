"""Sums of trees as plain arrays: what a model of trees becomes, whichever library grew it, before it is exported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from linewright.model.tasks.links import Floats

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

LARGEST = float(np.finfo(np.float32).max)
"""The largest float32 number."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Forest:
    """Trees, one after the other, each from its root: arrays with one entry a node.

    A split sends a row on as yes if its number is at most a bound or, where it has codes, if its code is one of them. What
    the leaves of a row say is added up, output by output, and the offset is added to that.
    """

    tree: Ints
    """Number of the node's tree, ascending from 0."""
    yes: Ints
    """Where the next node stands among all; -1 at a leaf."""
    no: Ints
    column: Ints
    """Of the matrix; 0 at a leaf."""
    at_most: Floats
    """A float32 number, or -inf where no number is meant; not read where the split has codes."""
    codes: Mapping[int, Ints]
    """By where the split stands: at least one."""
    missing_is_yes: Flags
    rows: Floats
    """Training rows that came there, as the library counts them: by number, or by weight in its loss."""
    value: Floats
    """What a leaf says."""
    output: Ints
    """What the node's tree adds to."""
    offset: Floats
    """Shape (outputs,)."""

    def cuts(self) -> dict[int, npt.NDArray[np.float32]]:
        """Return each numeric column's bounds, ascending."""
        is_number = (self.yes >= 0) & np.isfinite(self.at_most)
        is_number[list(self.codes)] = False
        columns, bounds = self.column[is_number], self.at_most[is_number].astype(np.float32)
        return {column: np.unique(bounds[columns == column]) for column in np.unique(columns).tolist()}


def fused(members: Sequence[tuple[Forest, float]]) -> Forest:
    """Return the weighted sum of forests as one.

    Examples
    --------
    >>> stump = Forest(
    ...     tree=np.zeros(3, np.int64),
    ...     yes=np.array([1, -1, -1]),
    ...     no=np.array([2, -1, -1]),
    ...     column=np.zeros(3, np.int64),
    ...     at_most=np.array([0.5, 0, 0]),
    ...     codes={},
    ...     missing_is_yes=np.zeros(3, np.bool_),
    ...     rows=np.array([4.0, 1, 3]),
    ...     value=np.array([0.0, 10, 20]),
    ...     output=np.zeros(3, np.int64),
    ...     offset=np.array([1.0]),
    ... )
    >>> both = fused([(stump, 0.25), (stump, 0.75)])
    >>> both.yes.tolist(), both.value.tolist(), both.offset.tolist()
    ([1, -1, -1, 4, -1, -1], [0.0, 2.5, 5.0, 0.0, 7.5, 15.0], [1.0])
    """
    forests = [forest for forest, _ in members]
    nodes = np.cumsum([0, *(len(forest.tree) for forest in forests)]).tolist()
    trees = np.cumsum([0, *(trees_in(forest) for forest in forests)]).tolist()

    def moved(nodes_of: Ints, by: int) -> Ints:
        return np.where(nodes_of < 0, nodes_of, nodes_of + by)

    return Forest(
        tree=np.concatenate([one.tree + by for one, by in zip(forests, trees, strict=False)]),
        yes=np.concatenate([moved(one.yes, by) for one, by in zip(forests, nodes, strict=False)]),
        no=np.concatenate([moved(one.no, by) for one, by in zip(forests, nodes, strict=False)]),
        column=np.concatenate([one.column for one in forests]),
        at_most=np.concatenate([one.at_most for one in forests]),
        codes=MappingProxyType(
            {
                split + by: codes
                for one, by in zip(forests, nodes, strict=False)
                for split, codes in one.codes.items()
            }
        ),
        missing_is_yes=np.concatenate([one.missing_is_yes for one in forests]),
        rows=np.concatenate([one.rows for one in forests]),
        value=np.concatenate([weight * one.value for one, weight in members]),
        output=np.concatenate([one.output for one in forests]),
        offset=np.sum([weight * one.offset for one, weight in members], axis=0),
    )


def trees_in(forest: Forest) -> int:
    """Return the number of trees."""
    return int(forest.tree[-1]) + 1 if len(forest.tree) else 0


def hangs_together(forest: Forest, width: int) -> bool:
    """Return whether arrays are trees that read columns of a matrix which is so wide.

    Each node but a root is below just one other, of its own tree; roots stand first; what leaves say and rows count are numbers; and codes are
    at least one. What a file of somebody else was read as has to be looked at before anything follows its nodes.
    """
    size, splits = len(forest.tree), forest.yes >= 0
    below = np.concatenate([forest.yes[splits], forest.no[splits]])
    if size == 0 or (below < 0).any() or (below >= size).any() or (forest.no[~splits] >= 0).any():
        return False
    above = np.concatenate([np.flatnonzero(splits)] * 2)
    roots = np.searchsorted(forest.tree, np.arange(trees_in(forest)))
    reached, here = np.bincount(below, minlength=size) + np.isin(np.arange(size), roots), roots
    if (reached != 1).any() or (forest.tree[below] != forest.tree[above]).any():
        return False
    seen = 0
    while len(here):  # nobody stands above a root, so that no way from it comes back
        seen += len(here)
        here = here[splits[here]]
        here = np.concatenate([forest.yes[here], forest.no[here]])
    return bool(
        seen == size
        and (forest.column >= 0).all()
        and (forest.column < width).all()
        and np.isfinite(forest.value).all()
        and np.isfinite(forest.rows).all()
        and not np.isnan(forest.at_most).any()
        and np.isfinite(forest.offset).all()
        and all(len(codes) for codes in forest.codes.values())
    )
