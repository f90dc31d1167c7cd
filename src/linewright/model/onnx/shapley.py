"""What each column contributed to the sum of trees: exact Shapley values, by the rows that trained the trees.

The method
----------
A tree answers without knowing some columns by going both ways at a split on one of them, each way with the share of
training rows that went there [1]_. The Shapley value of a column is by how much knowing it moves that answer, averaged over
all orders in which columns may become known; the values of a row add up to its answer less the answer that knows nothing.

The sum over orders is taken leaf by leaf [2]_. Only columns that its path asks about matter. With z_i the share of rows that
pass the path's splits on column i, and o_i whether this row passes them (1 or 0), the leaf of value v adds

    v (o_j - z_j) * integral from 0 to 1 of prod over i != j of (t o_i + (1 - t) z_i) dt

to column j, for the weight of a set of s among m - 1 others, s! (m - 1 - s)! / m!, is the integral of t^s (1 - t)^(m - 1 - s).
The integrand is a polynomial of degree m - 1 in t, so that Gauss's rule with half as many points is exact. No term is
negative: nothing cancels, as it does where a recurrence is unwound.

References
----------
.. [1] S. M. Lundberg, G. G. Erion and S.-I. Lee, Consistent Individualized Feature Attribution for Tree Ensembles,
   arXiv:1802.03888 (2018), Algorithm 2.
.. [2] J. Yang, Fast TreeSHAP: Accelerating SHAP Value Computation for Trees, arXiv:2109.09847 (2021).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from linewright.model.onnx.trees import Asked, Flags, Floats, Ints, Trees, broken, splits_and_ways

_SMALLEST = 1e-30
"""A share of 0 is taken for this: it is divided by, and no answer moves by a digit."""
_AT_ONCE = 1 << 18
"""Splits on ways to leaves that are looked at together."""


class _Steps(NamedTuple):
    """What is asked on the ways to the leaves, step by step: a step is all that one way asks about one column."""

    split: Ints
    is_yes: Flags
    first: Ints
    """Where among the entries above each step begins."""

    def are_met(self, yes: Flags) -> Flags:
        """Return which rows pass each step, shape (n, steps)."""
        if not len(self.first):
            return np.empty((len(yes), 0), dtype=np.bool_)
        return np.logical_and.reduceat(yes[:, self.split] == self.is_yes, self.first, axis=1)


class _Group(NamedTuple):
    """Ways to leaves of equally many steps, m."""

    steps: slice
    share: Floats
    """Share of rows that pass, shape (m, leaves)."""
    place: Ints
    """Number of column and output, shape (m, leaves)."""
    output: Ints
    value: Floats
    """What each leaf adds, shape (leaves,)."""


class TreeExplainer:
    """Explains sums of trees. Safe to use from several threads.

    Examples
    --------
    One tree that answers 10 where column 0 is at most 0.5, as it is in 1 of 4 training rows, and 20 elsewhere:

    >>> from linewright.model.onnx.trees import Trees
    >>> blank, at = np.zeros(3, np.int64), np.arange(3)
    >>> trees = Trees(
    ...     tree=blank,
    ...     node=at,
    ...     column=blank,
    ...     value=np.array([0.5, 0, 0]),
    ...     is_equal=blank > 0,
    ...     is_leaf=at > 0,
    ...     yes=blank + 1,
    ...     no=blank + 2,
    ...     missing_is_yes=blank > 0,
    ...     rows=np.array([4.0, 1, 3]),
    ...     leaf_tree=blank[:2],
    ...     leaf_node=at[1:],
    ...     leaf_output=blank[:2],
    ...     leaf_value=np.array([10.0, 20.0]),
    ... )
    >>> explainer = TreeExplainer(trees, width=2, outputs=1)
    >>> sums, contributions = explainer.explain(np.array([[0.0, 7.0]], dtype=np.float32))
    >>> explainer.base.tolist(), sums.tolist(), contributions[0, :, 0].tolist()
    ([17.5], [[10.0]], [-7.5, 0.0])
    """

    def __init__(self, trees: Trees, *, width: int, outputs: int) -> None:
        self._width, self._outputs = width, outputs
        if (trees.column >= width).any() or (trees.leaf_output >= outputs).any():
            raise broken()
        self._splits, asked = splits_and_ways(trees)
        self._steps, self._groups = _grouped(trees, asked, outputs)
        alone = np.bincount(asked.leaf, minlength=len(trees.leaf_value)) == 0
        self._constant = np.zeros(outputs)
        np.add.at(self._constant, trees.leaf_output[alone], trees.leaf_value[alone])
        self.base = self._constant.copy()
        """The sums that know no column: means over the training rows, shape (outputs,)."""
        for group in self._groups:
            np.add.at(self.base, group.output, group.value * group.share.prod(axis=0))

    def explain(self, x: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Return the sums of rows, and what each column contributed to them."""
        size = self._width * self._outputs
        sums, contributions = np.empty((len(x), self._outputs)), np.zeros((len(x), size))
        sums[:] = self._constant
        step = max(1, _AT_ONCE // max(1, len(self._steps.split)))
        for start in range(0, len(x), step):
            part = slice(start, start + step)
            met = self._steps.are_met(self._splits.say_yes(x[part].astype(np.float64)))
            for group in self._groups:
                passed = met[:, group.steps].reshape(len(met), *group.share.shape)
                reached = np.where(passed.all(axis=1), group.value, 0.0)
                given = _shapley(passed.astype(np.float64), group.share) * group.value
                for row, at in enumerate(range(start, start + len(met))):
                    sums[at] += np.bincount(group.output, weights=reached[row], minlength=self._outputs)
                    contributions[at] += np.bincount(
                        group.place.ravel(), weights=given[row].ravel(), minlength=size
                    )
        return sums, contributions.reshape(len(x), self._width, self._outputs)


def _shapley(passed: Floats, share: Floats) -> Floats:
    """Return what each step is worth where the leaf is worth 1."""
    total = np.zeros_like(passed)
    for at, weight in _rule(len(share)):
        factors = passed * at
        factors += (1 - at) * share
        product = np.multiply.reduce(factors, axis=1, keepdims=True)
        product *= weight
        total += product / factors
    return total * (passed - share)


@lru_cache(maxsize=256)
def _rule(m: int) -> tuple[tuple[float, float], ...]:
    """Return points and weights that integrate a polynomial of degree m - 1 from 0 to 1 exactly."""
    points, weights = np.polynomial.legendre.leggauss((m + 1) // 2)
    return tuple(zip(((points + 1) / 2).tolist(), (weights / 2).tolist(), strict=True))


def _grouped(trees: Trees, asked: Asked, outputs: int) -> tuple[_Steps, tuple[_Group, ...]]:
    """Join what a way asks about one column to one step, and put ways of equally many steps together.

    Steps stand by how many their way has, then by their place on it, then by leaf: those of a group are one slice.
    """
    order = np.lexsort((asked.column, asked.leaf))
    leaf, column = asked.leaf[order], asked.column[order]
    is_new = np.ones(len(order), dtype=np.bool_)
    is_new[1:] = (np.diff(leaf) != 0) | (np.diff(column) != 0)
    first = np.flatnonzero(is_new)
    share = np.multiply.reduceat(asked.share[order], first) if len(first) else np.empty(0)
    leaf, column = leaf[first], column[first]
    many = np.bincount(leaf, minlength=len(trees.leaf_value))
    place = np.arange(len(first)) - (np.cumsum(many) - many)[leaf]
    sort = np.lexsort((leaf, place, many[leaf]))
    rank = np.empty_like(sort)
    rank[sort] = np.arange(len(sort))
    step = rank[np.cumsum(is_new) - 1]
    by_step = np.argsort(step, kind="stable")
    steps = _Steps(
        asked.split[order][by_step],
        asked.is_yes[order][by_step],
        np.searchsorted(step[by_step], np.arange(len(first))),
    )
    groups: list[_Group] = []
    start = 0
    for m in np.unique(many[many > 0]).tolist():
        leaves = np.flatnonzero(many == m)
        part, shape = slice(start, start + m * len(leaves)), (m, len(leaves))
        output = trees.leaf_output[leaves]
        groups.append(
            _Group(
                steps=part,
                share=np.maximum(share[sort[part]].reshape(shape), _SMALLEST),
                place=column[sort[part]].reshape(shape) * outputs + output,
                output=output,
                value=trees.leaf_value[leaves],
            )
        )
        start = part.stop
    return steps, tuple(groups)
