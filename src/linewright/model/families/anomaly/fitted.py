"""A fitted model of how odd rows are."""

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.errors import Corrupt
from linewright.model.facts import Task
from linewright.model.families.anomaly.empirical_cdf import EmpiricalCdf
from linewright.model.families.anomaly.prepared import Prepared
from linewright.model.families.tree_arrays import GrownFitted, GrownNative, added_up
from linewright.model.tasks.links import ODDITY, Floats, Matrix

NEAREST = 1e-3
"""Distances below it count as that: rounding of smaller ones would move a score."""
_AT_ONCE = 1 << 22


class Isolation(msgspec.Struct, frozen=True, kw_only=True, tag="isolation_forest", tag_field="kind"):
    """Trees that split at random [1]_: odd rows are alone after few splits. A leaf says, without a sign, how many there are.

    References
    ----------
    .. [1] F. T. Liu, K. M. Ting and Z.-H. Zhou, Isolation forest, ICDM 2008.
    """

    trees: GrownNative
    """Their leaves say less the mean number of splits."""


class Nearest(msgspec.Struct, frozen=True, kw_only=True, tag="nearest_neighbours", tag_field="kind"):
    """Some good rows; a row is as odd as it is far from the nearest of them, on average."""

    rows: bytes
    """float32, little-endian, shape (m, numbers of a row)."""
    neighbours: int


class Given(msgspec.Struct, frozen=True, kw_only=True, tag="given", tag_field="kind"):
    """Each number of a row says how odd a part of it is; a row is as odd as the mean of its oddest parts."""

    parts: tuple[int, ...]
    """Columns of the matrix."""
    oddest: int
    """How many are averaged."""


Method = Isolation | Nearest | Given


class OddityNative(msgspec.Struct, frozen=True, kw_only=True, tag="oddity", tag_field="family"):
    """A model of how odd rows are as plain data."""

    task: Task
    width: int
    """Columns of the matrix that it reads."""
    prepared: Prepared
    method: Method
    cdf: EmpiricalCdf
    typical: tuple[float, ...]
    """What each column of the matrix is in a typical good row."""


class OddityFitted:
    """A model of how odd rows are, ready to answer; a `Fitted`."""

    rounds = 0

    def __init__(self, native: OddityNative) -> None:
        self.native = native
        prepared, method, cdf = native.prepared, native.method, native.cdf
        used = {*prepared.numbers, *(column for column, _ in prepared.levels)}
        fits = (
            len(prepared.numbers) == len(prepared.centre) == len(prepared.factor)
            and all(0 <= column < native.width for column in used)
            and len(native.typical) == native.width
            and 0 < len(cdf.at) == len(cdf.share)
            and all(low < high for low, high in zip(cdf.at, cdf.at[1:], strict=False))
        )
        self._trees = GrownFitted(method.trees).forest() if isinstance(method, Isolation) else None
        if isinstance(method, Isolation):
            fits = fits and method.trees.width == prepared.width
        self.bank = np.empty((0, prepared.width), dtype=np.float32)
        if isinstance(method, Nearest):
            fits = fits and len(method.rows) % (4 * prepared.width) == 0
            if fits:
                self.bank = np.frombuffer(method.rows, dtype="<f4").reshape(-1, prepared.width)
            fits = fits and 0 < method.neighbours <= len(self.bank)
        if isinstance(method, Given):
            fits = fits and 0 < method.oddest <= len(method.parts) and max(method.parts) < native.width
        if not fits:
            raise Corrupt("not a model of odd rows: its parts do not fit together", where="native model")

    @property
    def refuses(self) -> tuple[int, ...]:
        """Columns of the matrix without whose number it does not answer."""
        return self.native.method.parts if isinstance(self.native.method, Given) else ()

    def scores(self, x: Matrix) -> Floats:
        """Return the share of good rows that are less odd than each row, after 1 less that share, shape (n, 2)."""
        step = max(1, _AT_ONCE // max(len(self.bank), len(self.native.cdf.at), 512))
        parts = [
            self.native.cdf.scores(self.oddity(x[start : start + step])) for start in range(0, len(x), step)
        ]
        return ODDITY.to_scores(np.concatenate([np.empty(0), *parts]))

    def oddity(self, x: Matrix) -> Floats:
        """Return how odd rows are, in the unit of the method, shape (n,)."""
        method = self.native.method
        if isinstance(method, Given):
            parts = x[:, list(method.parts)].astype(np.float64)
            return np.sort(parts, axis=1)[:, -method.oddest :].mean(axis=1)
        rows = self.native.prepared.apply(x)
        if self._trees is not None:
            return added_up(self._trees, rows)[:, 0]
        return distances(rows, self.bank, method.neighbours if isinstance(method, Nearest) else 1)

    def cuts(self) -> Mapping[int, npt.NDArray[np.float32]]:
        """Return the bounds of trees by column of numbers; distances have none."""
        if self._trees is None:
            return {}
        found, prepared = self._trees.cuts(), self.native.prepared
        return {
            column: np.unique(
                (found[place] / prepared.factor[place] + prepared.centre[place]).astype(np.float32)
            )
            for place, column in enumerate(prepared.numbers)
            if place in found
        }

    def to_native(self) -> bytes:
        """Return the model as bytes that `read_native` reads."""
        return msgspec.json.encode(self.native)


def distances(rows: Matrix, bank: Matrix, neighbours: int) -> Floats:
    """Return the mean distance of each row to the nearest rows of a bank, each at least `NEAREST`; shape (n,).

    Examples
    --------
    >>> distances(np.array([[0, 0]], dtype=np.float32), np.array([[3, 4], [0, 1], [9, 9]], dtype=np.float32), 2).tolist()
    [3.0]
    """
    own, other = rows.astype(np.float64), bank.astype(np.float64)
    squares = (own**2).sum(axis=1)[:, np.newaxis] + (other**2).sum(axis=1) - 2 * (own @ other.T)
    nearest = np.partition(squares, neighbours - 1, axis=1)[:, :neighbours]
    return np.sqrt(np.maximum(np.sort(nearest, axis=1), NEAREST**2)).mean(axis=1)
