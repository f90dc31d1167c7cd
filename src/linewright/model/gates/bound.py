"""A value with its bounds, held against a bar."""

import math
from dataclasses import dataclass
from typing import Literal

Status = Literal["pass", "fail", "undecided"]

MOST_ROWS = 1e9
"""An estimate of more rows than this says that the value sits on the bar."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A value with its one-sided bounds (NaN where the rows do not tell them), and the bar it is held against."""

    value: float
    low: float
    high: float
    bar: float
    rises: bool
    """Whether the value passes above the bar (else below)."""
    is_strict: bool = False
    """Whether a bound on the bar does not pass."""
    is_alike: bool = False
    """Whether two models are compared that answer all rows alike: bounds then close in as 1 / rows."""

    @property
    def passing(self) -> float:
        """The bound that decides whether the gate is passed."""
        return self.low if self.rises else self.high

    @property
    def failing(self) -> float:
        """The bound that decides whether the gate is failed."""
        return self.high if self.rises else self.low

    @property
    def status(self) -> Status:
        """What the bounds say; NaN decides nothing."""
        side = 1 if self.rises else -1
        if side * (self.passing - self.bar) > 0 or (self.passing == self.bar and not self.is_strict):
            return "pass"
        return "fail" if side * (self.failing - self.bar) < 0 else "undecided"

    def more_rows(self, n: int) -> int | None:
        """Estimate how many more rows than `n` would decide if the value stays: bounds close in as 1 / sqrt(rows).

        Examples
        --------
        >>> Claim(value=0.3, low=0.1, high=0.5, bar=0.2, rises=True).more_rows(1000)
        3000
        """
        is_above = self.value >= self.bar
        reach = self.value - self.low if is_above else self.high - self.value
        distance = abs(self.value - self.bar)
        if not math.isfinite(reach) or reach**2 * n > MOST_ROWS * distance**2:
            return None
        if not distance:
            return None
        # A bound that lies on the bar (most draws tie) does not say that one more row would decide.
        times = reach / distance if self.is_alike else (reach / distance) ** 2
        return math.ceil(n * (times - 1) - 1e-6) or None
