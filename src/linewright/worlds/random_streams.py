"""Chance in worlds: independent streams by name, and committed ranges of parameters."""

import hashlib
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from linewright.errors import RequestError
from linewright.spec import Spec

P = TypeVar("P")


def stream(seed: int, *purpose: object) -> np.random.Generator:
    """Return the random numbers for one purpose: the same whatever else was drawn, and in whatever order.

    The key of a counter-based generator (Philox; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011)
    is the hash of seed and purpose. Equal bytes are promised for equal versions of numpy.

    Examples
    --------
    >>> a, b = stream(1, "payments", 7).random(), stream(1, "payments", 8).random()
    >>> a == b, a == stream(1, "payments", 7).random()
    (False, True)
    """
    name = "/".join(str(part) for part in (seed, *purpose))
    return np.random.Generator(
        np.random.Philox(key=int.from_bytes(hashlib.sha256(name.encode()).digest()[:16]))
    )


class Range(Spec):
    """What one parameter of a world may be, and why. Worlds differ by seed within these bounds."""

    low: float
    """Smallest value, in `unit`."""
    high: float
    """Largest value, in `unit`."""
    unit: str
    """What is counted or measured."""
    because: str
    """Why these bounds."""
    whole: bool = False
    """Whether the value is a whole number; then both bounds can occur."""

    def draw(self, rng: np.random.Generator) -> float:
        """Return a value between the bounds, each equally likely."""
        if self.low > self.high:
            raise RequestError(
                "the range is empty", found=f"{self.low:g} to {self.high:g}", allowed="low <= high"
            )
        if self.whole:
            return int(rng.integers(int(self.low), int(self.high), endpoint=True))
        return float(rng.uniform(self.low, self.high))


def draw_parameters(kind: Callable[..., P], seed: int, ranges: Spec) -> P:
    """Return the parameters of a world from its ranges. Each has its own stream, so a new one moves no other."""
    return kind(
        **{
            name: getattr(ranges, name).draw(stream(seed, "parameter", name))
            for name in type(ranges).model_fields
        }
    )
