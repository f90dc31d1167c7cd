"""Trees that another library grew, kept as plain arrays of numbers.

Leaves say what is added up: margins, as boosting does, or shares of the classes, as forests do. Nothing of the library is
needed to answer.
"""

from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.errors import Corrupt
from linewright.model.facts import Task
from linewright.model.families.forest import Forest, trees_in
from linewright.model.families.reference_outputs import Witness
from linewright.model.tasks import link_of
from linewright.model.tasks.links import LOGISTIC, Floats, Matrix

OPINION = 1e-6
"""Share of each answer that is no opinion: every class gets a part of it, so that none is impossible and logarithms exist. It keeps
the order of answers."""

_AT_ONCE = 1 << 20
"""Leaves that are found at once."""


class GrownNative(msgspec.Struct, frozen=True, kw_only=True, tag="trees", tag_field="family"):
    """Trees as plain data: arrays with one entry a node, little-endian, as `Forest` explains them."""

    task: Task
    width: int
    """Columns of the matrix that they read."""
    link: Literal["margin", "share"]
    """What is added up: what `Link.to_scores` takes; or probabilities, for two classes that of the positive one."""
    tree: bytes
    """int32, as yes, no, column and output are."""
    yes: bytes
    no: bytes
    column: bytes
    output: bytes
    at_most: bytes
    """float64, as rows and value are."""
    rows: bytes
    value: bytes
    missing_is_yes: bytes
    """uint8."""
    offset: tuple[float, ...]
    """One for each output."""
    refuses: tuple[int, ...] = ()
    """Columns without whose number it does not answer."""
    witness: Witness | None = None
    """What the library itself answered to a few rows."""


def to_grown(
    forest: Forest,
    *,
    task: Task,
    width: int,
    link: Literal["margin", "share"],
    refuses: tuple[int, ...],
    witness: Witness | None = None,
) -> GrownNative:
    """Return a forest without codes as plain data."""
    return GrownNative(
        task=task,
        width=width,
        link=link,
        **{name: np.asarray(getattr(forest, name)).astype(kind).tobytes() for name, kind in _KINDS.items()},
        offset=tuple(forest.offset.tolist()),
        refuses=refuses,
        witness=witness,
    )


_KINDS = {
    "tree": "<i4",
    "yes": "<i4",
    "no": "<i4",
    "column": "<i4",
    "output": "<i4",
    "at_most": "<f8",
    "rows": "<f8",
    "value": "<f8",
    "missing_is_yes": "<u1",
}


class GrownFitted:
    """Trees, ready to answer; a `Fitted`."""

    rounds = 0

    def __init__(self, native: GrownNative) -> None:
        self.native = native
        self._forest = _forest(native)

    def scores(self, x: Matrix) -> Floats:
        """Return probabilities, shape (n, classes), or numbers, shape (n,); NaN where it does not answer."""
        native, forest, link = self.native, self._forest, link_of(self.native.task)
        sums = np.zeros((len(x), len(forest.offset)))
        step = max(1, _AT_ONCE // max(1, trees_in(forest)))
        for start in range(0, len(x), step):
            part = slice(start, start + step)
            sums[part] = added_up(forest, x[part])
        if native.link == "share":
            both = np.column_stack([1 - sums[:, 0], sums[:, 0]]) if link is LOGISTIC else sums
            found = with_opinion(both)
        else:
            found = link.to_scores(sums)
        found[np.isnan(x[:, list(native.refuses)]).any(axis=1)] = np.nan
        return found

    def cuts(self) -> dict[int, npt.NDArray[np.float32]]:
        """Return each column's bounds, ascending."""
        return self._forest.cuts()

    def forest(self) -> Forest:
        """Return the trees; their sum is the margin, or the shares."""
        return self._forest

    def to_native(self) -> bytes:
        """Return the model as bytes that `read_native` reads."""
        return msgspec.json.encode(self.native)


def with_opinion(shares: Floats) -> Floats:
    """Return probabilities none of which is 0, from shares of the classes that sum to about 1.

    Examples
    --------
    >>> with_opinion(np.array([[0.0, 1.0]])).round(7).tolist()
    [[5e-07, 0.9999995]]
    """
    return (1 - OPINION) * shares + OPINION / shares.shape[1]


def added_up(forest: Forest, x: Matrix) -> Floats:
    """Return what the leaves of rows say, added up: shape (n, outputs). The forest has no codes."""
    rows = x.astype(np.float64)
    roots = np.searchsorted(forest.tree, np.arange(trees_in(forest)))
    at = np.broadcast_to(roots, (len(x), len(roots))).copy()
    here = np.arange(len(x))[:, None]
    while (inner := forest.yes[at] >= 0).any():
        number = rows[here, forest.column[at]]
        says_yes = np.where(np.isnan(number), forest.missing_is_yes[at], number <= forest.at_most[at])
        at = np.where(inner, np.where(says_yes, forest.yes[at], forest.no[at]), at)
    sums = np.tile(forest.offset, (len(x), 1))
    said, output = forest.value[at], forest.output[roots]
    for k in range(len(forest.offset)):
        sums[:, k] += said[:, output == k].sum(axis=1)
    return sums


def _forest(native: GrownNative) -> Forest:
    try:
        parts = {name: np.frombuffer(getattr(native, name), dtype=kind) for name, kind in _KINDS.items()}
    except ValueError as error:
        raise _broken() from error
    if not parts["tree"].size or len({len(part) for part in parts.values()}) != 1:
        raise _broken()
    forest = Forest(
        tree=parts["tree"].astype(np.int64),
        yes=parts["yes"].astype(np.int64),
        no=parts["no"].astype(np.int64),
        column=parts["column"].astype(np.int64),
        at_most=parts["at_most"].astype(np.float64),
        codes={},
        missing_is_yes=parts["missing_is_yes"].astype(np.bool_),
        rows=parts["rows"].astype(np.float64),
        value=parts["value"].astype(np.float64),
        output=parts["output"].astype(np.int64),
        offset=np.asarray(native.offset, dtype=np.float64),
    )
    if not _hangs_together(forest, native.width, native.refuses):
        raise _broken()
    return forest


def _hangs_together(forest: Forest, width: int, refuses: tuple[int, ...]) -> bool:
    """Return whether each walk stays in its tree and ends."""
    at = np.arange(len(forest.tree))
    inner = (forest.yes >= 0) | (forest.no >= 0)
    sides = np.stack([forest.yes[inner], forest.no[inner]])
    return bool(
        forest.tree[0] == 0
        and np.isin(np.diff(forest.tree), (0, 1)).all()
        and (sides > at[inner]).all()
        and (sides < len(at)).all()
        and (forest.tree[sides] == forest.tree[at[inner]]).all()
        and ((forest.column >= 0) & (forest.column < width)).all()
        and ((forest.output >= 0) & (forest.output < len(forest.offset))).all()
        and all(0 <= column < width for column in refuses)
    )


def _broken() -> Corrupt:
    return Corrupt("not a model of trees: its parts do not fit together", where="native model")
