"""How wrong one forecast was, computed without numpy: `status` knows of canaries too."""

from collections.abc import Sequence
from math import isnan


def loss_of_steps(said: Sequence[float], came: Sequence[float]) -> float | None:
    """Return half the symmetric error of one forecast, from 0 to 1; `None` if none of its values is known.

    Examples
    --------
    >>> loss_of_steps([3.0, 1.0], [1.0, float("nan")]), loss_of_steps([1.0], [])
    (0.5, None)
    """
    errors = [
        abs(a - b) / (abs(a) + abs(b)) if a or b else 0.0
        for a, b in zip(said, came, strict=False)
        if not isnan(b)
    ]
    return sum(errors) / len(errors) if errors else None
