"""What a library itself answered to a few rows, kept beside a model that no library can be asked about any more.

A fitted estimator cannot be kept as plain data, so it is asked when it is fitted; `parity` compares the package with that.
"""

import msgspec
import numpy as np

from linewright.errors import Corrupt
from linewright.model.tasks.links import Floats, Matrix


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """Rows, float32 of shape (n, width), and answers, float64 of shape (n, classes) or (n,), as bytes in that order."""

    n: int
    rows: bytes
    answers: bytes

    def read(self, width: int) -> tuple[Matrix, Floats]:
        """Return the rows and the answers."""
        try:
            rows = np.frombuffer(self.rows, dtype="<f4").reshape(self.n, width)
            answers = np.frombuffer(self.answers, dtype="<f8")
            return rows, answers if len(answers) == self.n else answers.reshape(self.n, -1)
        except ValueError as error:
            raise Corrupt("the witness of a model is not whole", where="native model") from error


def witness_of(rows: Matrix, answers: Floats) -> Witness:
    """Return rows with their answers.

    Examples
    --------
    >>> rows, answers = witness_of(np.ones((1, 2), np.float32), np.array([[0.25, 0.75]])).read(2)
    >>> rows.tolist(), answers.tolist()
    ([[1.0, 1.0]], [[0.25, 0.75]])
    """
    return Witness(n=len(rows), rows=rows.astype("<f4").tobytes(), answers=answers.astype("<f8").tobytes())


def unit_of(answers: Floats) -> float:
    """Return what differences in numbers are relative to: their spread, or a tenth of the largest where that is more.

    Libraries add up in float32, which tells seven digits of a number: so many are asked for, not as many of the spread.

    Examples
    --------
    >>> unit_of(np.array([-1.0, 1.0])), unit_of(np.array([1000.0, 1002.0]))
    (1.0, 100.2)
    """
    return max(float(answers.std()), 0.1 * float(np.abs(answers).max(initial=0.0))) or 1.0
