"""What decisions are worth: exact sums for what happened, and the best that could be done with the true probabilities."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from linewright.spec import Spec

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Stakes(Spec):
    """Worth of each of the four outcomes of one decision, in whole cents, so that sums are exact."""

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    """ISO 4217 code."""
    true_positive: int = 0
    """Cents for one positive that was acted on."""
    false_positive: int
    """Cents (usually negative) for one false alarm."""
    false_negative: int
    """Cents (usually negative) for one positive that was let go."""
    true_negative: int = 0
    """Cents for one negative let go."""

    def value_section(self) -> dict[str, str | float]:
        """Return the ``value:`` section of a line file that says the same, in whole currency.

        Examples
        --------
        >>> Stakes(false_positive=-800, false_negative=-12_000).value_section()["false_negative"]
        -120.0
        """
        amounts = self.model_dump(exclude={"currency"})
        return {"currency": self.currency, **{name: cents / 100 for name, cents in amounts.items()}}

    def value(self, labels: Bools, decisions: Bools) -> int:
        """Return what these decisions were worth, in cents, exactly.

        Examples
        --------
        >>> stakes = Stakes(false_positive=-800, false_negative=-12_000)
        >>> stakes.value(np.array([True, False, True]), np.array([False, True, True]))
        -12800
        """
        hits, missed = int(np.sum(labels & decisions)), int(np.sum(labels & ~decisions))
        alarms, quiet = int(np.sum(~labels & decisions)), int(np.sum(~labels & ~decisions))
        return (
            hits * self.true_positive
            + missed * self.false_negative
            + alarms * self.false_positive
            + quiet * self.true_negative
        )

    def best_decision(self, p_true: Floats) -> Bools:
        """Return the decisions of greatest expected worth (no policy that sees the same does better); a tie is let go."""
        act = p_true * self.true_positive + (1 - p_true) * self.false_positive
        let = p_true * self.false_negative + (1 - p_true) * self.true_negative
        return act > let

    def expected_value(self, p_true: Floats, decisions: Bools) -> float:
        """Return what a policy's decisions are worth in expectation, in cents: free of the labels' chance."""
        act = p_true * self.true_positive + (1 - p_true) * self.false_positive
        let = p_true * self.false_negative + (1 - p_true) * self.true_negative
        return float(np.sum(np.where(decisions, act, let)))
