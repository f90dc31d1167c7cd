"""Numbers as one row of letters."""

from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float]) -> str:
    """Return a bar for each value, from the least to the greatest.

    Examples
    --------
    >>> sparkline([0, 1, 4, 2]), sparkline([3, 3])
    ('▁▃█▅', '▁▁')
    """
    low, high = min(values, default=0), max(values, default=0)
    return "".join(_BARS[round(7 * (value - low) / ((high - low) or 1))] for value in values)
