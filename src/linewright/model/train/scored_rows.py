"""Training rows with their probabilities, as bytes: what thresholds are chosen by, long after the training."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_COLUMNS = 3
_BYTES = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Rows of a binary task that a model can be asked about fairly: at best by models that did not learn from them."""

    rows: npt.NDArray[np.int64]
    """Row numbers of the dataset, shape (n,), ascending."""
    probability: Floats
    """Calibrated probability of the positive class, shape (n,)."""
    weight: Floats
    """What each row counts, at least 0, shape (n,)."""


def to_bytes(scored: Scored) -> bytes:
    """Return the three columns one after the other, each number in 8 bytes, little-endian.

    Examples
    --------
    >>> rows = Scored(rows=np.array([3, 5]), probability=np.array([0.2, 0.4]), weight=np.ones(2))
    >>> len(to_bytes(rows)), from_bytes(to_bytes(rows)).rows.tolist(), from_bytes(to_bytes(rows)).probability.tolist()
    (48, [3, 5], [0.2, 0.4])
    """
    columns = (scored.rows.astype("<i8"), scored.probability.astype("<f8"), scored.weight.astype("<f8"))
    return b"".join(column.tobytes() for column in columns)


def from_bytes(data: bytes) -> Scored:
    """Return what `to_bytes` was given."""
    n = len(data) // (_COLUMNS * _BYTES)
    part = n * _BYTES
    return Scored(
        rows=np.frombuffer(data[:part], dtype="<i8").astype(np.int64),
        probability=np.frombuffer(data[part : 2 * part], dtype="<f8").astype(np.float64),
        weight=np.frombuffer(data[2 * part :], dtype="<f8").astype(np.float64),
    )
