"""The seam between our training and the libraries that fit models.

A trainer turns rows into a `Fitted`; a fitted model scores rows and can be written as plain text. Who adds a family
passes `linewright.testing.trainers.TrainerContract`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.errors import Corrupt
from linewright.model.boosted import Boosted, BoostedFitted, BoostedNative
from linewright.model.facts import Task
from linewright.model.linear import Linear, LinearFitted, LinearNative
from linewright.model.margins import Floats, Matrix, Valid
from linewright.model.xgb import XGBoost, XGBoostFitted, XGBoostNative

__all__ = ["TRAINERS", "Boosted", "Fitted", "Linear", "Trainer", "Valid", "XGBoost", "read_native"]


class Fitted(Protocol):
    """A fitted model. It never changes, and a row's scores do not depend on the rows beside it."""

    rounds: int
    """Boosting rounds that were used; 0 for families without rounds."""

    def scores(self, x: Matrix) -> Floats:
        """Return uncalibrated scores of rows.

        Parameters
        ----------
        x : float32 array, shape (n, width)
            Numbers may be NaN, codes may not; n may be 0.

        Returns
        -------
        float64 array
            Binary: shape (n, 2), probabilities of the negative and the positive class. Multiclass: shape
            (n, classes). Regression: shape (n,). Probabilities of a row sum to 1, and each is exact relative to
            itself however small, since calibration takes logarithms.
        """
        ...

    def cuts(self) -> Mapping[int, npt.NDArray[np.float32]]:
        """Return, by matrix column that holds numbers, values at which the score may jump or bend, ascending.

        `parity` probes on and beside them.
        """
        ...

    def to_native(self) -> bytes:
        """Return the model as JSON that `read_native` reads back to equal scores, bit for bit."""
        ...


class Trainer(Protocol):
    """A family of models.

    Equal arguments give equal `to_native` bytes, in any process on the same kind of machine. Nothing but the arguments
    is read: no clock, no shared random stream, no number of processors. A trainer works on one thread.
    """

    family: str

    def fit(
        self,
        x: Matrix,
        target: npt.NDArray[Any],
        weight: Floats,
        *,
        categorical: tuple[int, ...],
        task: Task,
        classes: int,
        rounds: int | None,
        valid: Valid | None,
        seed: int,
        settings: Mapping[str, Any],
    ) -> Fitted:
        """Fit a model to rows.

        Parameters
        ----------
        x : float32 array, shape (n, width), width at least 1
            No infinities. Numbers may be NaN, also a whole column of them; a column may be constant.
        target : int64 or float64 array, shape (n,)
            Class codes below `classes`, of which at least two occur (others may be absent: they get a small
            probability); or finite numbers.
        weight : float64 array, shape (n,), above 0, mean about 1
            A row of weight 2 counts as two rows in the loss.
        categorical
            Columns of `x` that hold codes: 0 for rare and unseen values, 1 for missing, from 2 for levels. A code that
            `x` does not have is scored like no level in particular, never refused.
        task, classes
            What is predicted; `classes` is 2 for binary and 0 for regression.
        rounds
            Exactly so many boosting rounds; `None` lets `valid` decide. Families without rounds ignore both.
        valid
            Matrix, target and weight of rows that are watched for early stopping, and used for nothing else.
        seed
            In [0, 2**31).
        settings
            Of the family.

        Returns
        -------
        Fitted
        """
        ...


TRAINERS: Mapping[str, Trainer] = MappingProxyType(
    {"lightgbm": Boosted(), "linear": Linear(), "xgboost": XGBoost()}
)
"""Families by name."""


def read_native(data: bytes) -> BoostedFitted | LinearFitted | XGBoostFitted:
    """Return the fitted model that `Fitted.to_native` wrote. Nothing in it is executed.

    Raises
    ------
    Corrupt
        If `data` is not a native model of a known family.
    """
    try:
        native: BoostedNative | LinearNative | XGBoostNative = msgspec.json.decode(
            data, type=BoostedNative | LinearNative | XGBoostNative
        )
    except msgspec.MsgspecError as error:
        raise Corrupt(
            f"not a native model: {error}", where="native model", allowed=", ".join(TRAINERS)
        ) from error
    match native:
        case BoostedNative():
            return BoostedFitted(native)
        case XGBoostNative():
            return XGBoostFitted(native)
        case LinearNative():
            return LinearFitted(native)
