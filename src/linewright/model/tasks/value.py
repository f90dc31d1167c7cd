"""What decisions are worth: amounts of a line file as numbers for each row."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linewright.model.facts import Value
from linewright.model.value_amounts import WORDS, column_of, no_stakes

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Amounts:
    """What each decision would be worth on each row; float64 arrays, shape (n,)."""

    true_positive: Floats
    false_positive: Floats
    false_negative: Floats
    true_negative: Floats

    @property
    def gain(self) -> Floats:
        """What an alarm adds to leaving a positive row alone."""
        return self.true_positive - self.false_negative

    @property
    def cost(self) -> Floats:
        """What an alarm takes from a negative row, at least 0: where it is welcome there too, it costs nothing."""
        return np.maximum(self.true_negative - self.false_positive, 0.0)

    def worth(self, decided: Codes) -> Floats:
        """Return what decisions are worth by what the truth is, shape (n, 2): of a negative row, and of a positive one.

        Examples
        --------
        >>> amounts = amounts_of(Value(currency="EUR", true_positive=9.0, false_positive=-1.0, false_negative=-9.0,
        ...     true_negative=0.0), 2, {}.__getitem__)
        >>> amounts.worth(np.array([1, 0])).tolist()
        [[-1.0, 9.0], [0.0, -9.0]]
        """
        alarm = decided == 1
        return np.column_stack(
            [
                np.where(alarm, self.false_positive, self.true_negative),
                np.where(alarm, self.true_positive, self.false_negative),
            ]
        )

    def best_constant(self, share: float, weight: Floats) -> Codes:
        """Return what is best decided of all rows alike where a share of them is positive: an alarm for each, or for none."""
        added = float(weight @ (share * self.gain - (1 - share) * self.cost))
        return np.full(len(weight), int(added > 0), dtype=np.int64)


def amounts_of(value: Value, n: int, read: Callable[[str], Floats]) -> Amounts:
    """Return the amounts of `n` rows."""

    def each(amount: float | str) -> Floats:
        named = column_of(amount)
        if named is None:
            return np.full(n, float(amount))
        name, sign = named
        return sign * read(name)

    return Amounts(**{word: each(getattr(value, word)) for word in WORDS})


def require_stakes(amounts: Amounts, value: Value) -> None:
    """Require that finding a positive is worth more than missing it: of some row, and of none less."""
    if len(amounts.gain) and bool((amounts.gain >= 0).all()) and bool((amounts.gain > 0).any()):
        return
    raise no_stakes(value)
