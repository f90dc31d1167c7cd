"""What two numbers of a row are together, as further columns: torque times speed, the area of two floors, a debt over a limit.

A tree asks for one column at a time, so that a product or a ratio costs it many splits, for which a table of thousands of
rows is too small. Of the columns of numbers that trees gain most by, all pairs are added, subtracted, multiplied and divided, and
those of them that trees gain most by are kept. The choice looks at labels: it is made within each fold, of the rows that the fold
learns from, so that what is judged is the choice as well.
"""

from collections.abc import Sequence
from itertools import combinations, islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from linewright.features.facts import SIGNS, Arithmetic, Encoder, Number, Operation
from linewright.features.pair_arithmetic import together
from linewright.model.facts import Task
from linewright.model.families.lightgbm import Boosted
from linewright.model.tasks import link_of
from linewright.model.tasks.links import Floats, Matrix
from linewright.model.train.settings import MOST_PAIRS, PAIR_LEAVES, PAIRED_COLUMNS, ROWS_FOR_PAIRS

_ALIKE = 0.98
"""Correlation of ranks from which on two pairs say the same."""
_SETTINGS = {
    "learning_rate": 0.1,
    "num_leaves": PAIR_LEAVES,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "min_data_in_leaf": 10,
    "lambda_l2": 1.0,
}
"""Half of the columns a tree, so that what says nearly the same gets its turn."""


class Pair(NamedTuple):
    """Two columns of a matrix, and what is done with them."""

    left: int
    operation: Operation
    right: int

    def of(self, x: Matrix) -> npt.NDArray[np.float32]:
        """Return what they are together in each row."""
        return together(self.operation, x[:, self.left], x[:, self.right])


def numbers_of(encoder: Encoder) -> tuple[int, ...]:
    """Return the places of columns that are numbers of the table as they are."""
    return tuple(i for i, encoding in enumerate(encoder.encodings) if isinstance(encoding, Number))


def widened(x: Matrix, pairs: Sequence[Pair]) -> Matrix:
    """Return a matrix with what pairs of its columns are together behind them.

    Examples
    --------
    >>> widened(np.array([[3, 4]], dtype=np.float32), [Pair(0, "times", 1)]).tolist()
    [[3.0, 4.0, 12.0]]
    """
    return np.column_stack([x, *(pair.of(x) for pair in pairs)]) if pairs else x


def extended(encoder: Encoder, pairs: Sequence[Pair]) -> Encoder:
    """Return an encoder that makes what `widened` makes of the matrix of another."""
    columns = [encoding.column for encoding in encoder.encodings]
    added = (
        Arithmetic(column=columns[one.left], operation=one.operation, other=columns[one.right])
        for one in pairs
    )
    return replace(encoder, encodings=(*encoder.encodings, *added))


def chosen_pairs(
    x: Matrix,
    target: npt.NDArray[Any],
    weight: Floats,
    *,
    numbers: Sequence[int],
    categorical: tuple[int, ...],
    task: Task,
    classes: int,
    rounds: int,
    seed: int,
) -> tuple[Pair, ...]:
    """Return the pairs of numbers that trees gain most by."""
    rows = np.unique(np.linspace(0, len(x) - 1, min(ROWS_FOR_PAIRS, len(x))).astype(np.int64))
    x, target, weight = x[rows], target[rows], weight[rows]
    varied = [column for column in numbers if _varies(x[:, column])]
    if len(varied) < 2 or (link_of(task).is_class and len(np.unique(target)) < 2):
        return ()

    def gains(matrix: Matrix) -> npt.NDArray[np.float64]:
        fitted = Boosted().fit(
            matrix,
            target,
            weight,
            categorical=categorical,
            task=task,
            classes=classes,
            rounds=rounds,
            valid=None,
            seed=seed,
            settings=_SETTINGS,
        )
        return np.asarray(fitted.booster.feature_importance("gain"), dtype=np.float64)

    own = gains(x)
    best = sorted(sorted(varied, key=lambda column: (-own[column], column))[:PAIRED_COLUMNS])
    pairs = [Pair(left, operation, right) for left, right in combinations(best, 2) for operation in SIGNS]
    candidates = widened(x, pairs)
    gained = gains(candidates)[x.shape[1] :]
    kept: list[Pair] = []
    ranks: list[Floats] = []
    for place in np.argsort(-gained, kind="stable").tolist():
        if len(kept) == MOST_PAIRS or not gained[place] > 0:
            break
        rank = _ranks(candidates[:, x.shape[1] + place])
        if all(abs(float(rank @ other)) <= _ALIKE for other in ranks):
            kept.append(pairs[place])
            ranks.append(rank)
    return tuple(kept)


def can_pair(x: Matrix, numbers: Sequence[int]) -> bool:
    """Return whether two of the columns have three numbers each, so that there may be a pair.

    Examples
    --------
    >>> x = np.array([[0, 1, 5], [1, 2, 5], [2, 3, 6]], dtype=np.float32)
    >>> can_pair(x, (0, 1)), can_pair(x, (0, 2))
    (True, False)
    """
    found = (column for column in numbers if _varies(x[:, column]))
    return len(list(islice(found, 2))) == 2


def _varies(values: npt.NDArray[np.float32]) -> bool:
    """Return whether there are three numbers: of two, trees make all there is to make."""
    known = values[~np.isnan(values)]
    return len(known) > 0 and bool(((known != known.min()) & (known != known.max())).any())


def _ranks(values: npt.NDArray[np.float32]) -> Floats:
    """Return ranks of mean 0 and length 1, so that a product of two is their correlation."""
    rank = np.argsort(np.argsort(np.nan_to_num(values), kind="stable"), kind="stable").astype(np.float64)
    rank -= rank.mean()
    return rank / np.linalg.norm(rank)
