"""What a fitted model can do, whatever fitted it."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from linewright.model.facts import Task
from linewright.model.tasks.links import Floats, Matrix


class Form(Protocol):
    """What every native model says of itself."""

    @property
    def task(self) -> Task:
        """What is predicted."""
        ...

    @property
    def width(self) -> int:
        """Columns of the matrix that it reads."""
        ...


class Fitted(Protocol):
    """A fitted model. It never changes, and a row's scores do not depend on the rows beside it."""

    rounds: int
    """Boosting rounds that were used; 0 for families without rounds."""

    @property
    def native(self) -> Form:
        """The model as plain data."""
        ...

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
