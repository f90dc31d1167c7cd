"""Which rows are new enough to learn from: the longest window of the latest rows that answers the newest as well as any [1]_.

After the truth has turned, rows from before teach what is no longer so, and there are many of them. A window is not set
beforehand: windows of many lengths learn, and what they answer to the newest rows decides.

References
----------
.. [1] R. Klinkenberg and T. Joachims, Detecting concept drift with support vector machines, ICML 2000.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Window = npt.NDArray[np.bool_]
"""Which rows are in it, shape (n,)."""

_FEWEST, _FEWEST_NUMBERS = 40, 200
"""Rows of the rarer class in the shortest window, and rows where there are not two classes."""
_SHARE = 0.25
"""Longest window, as a share of all rows."""
_SURELY = 2.58
"""Standard errors by which an older row must do harm before it is left out: a shorter window learns from less."""


def windows_of(
    at: npt.NDArray[np.generic],
    target: npt.NDArray[np.generic],
    *,
    learned: Window,
    is_class: bool,
) -> Iterator[Window]:
    """Yield windows of the latest rows, the shortest first, each about twice as long as the one before.

    The longest is a quarter of the rows at most: where more are new, models learn what is new beside the old.

    Examples
    --------
    >>> day = np.repeat(np.arange(10), 100)
    >>> [int(one.sum()) for one in windows_of(day, np.zeros(1000), learned=day >= 0, is_class=False)]
    [200]
    """
    rows = np.flatnonzero(learned)[np.argsort(at[learned], kind="stable")[::-1]]
    moments, codes = at[rows], target[rows]
    kinds = np.unique(codes)
    if is_class and len(kinds) == 2:
        seen, wanted = np.min([np.cumsum(codes == kind) for kind in kinds], axis=0), _FEWEST
    else:
        seen, wanted = np.arange(1, len(rows) + 1), _FEWEST_NUMBERS
    length = int(np.searchsorted(seen, wanted)) + 1
    while length <= _SHARE * len(rows):
        window = learned & (at >= moments[length - 1])
        length = int(window.sum())
        if length > _SHARE * len(rows):  # rows of one moment are many
            break
        yield window
        length *= 2


def longest_as_good(
    losses: npt.NDArray[np.float64], weight: npt.NDArray[np.float64]
) -> tuple[int, npt.NDArray[np.float64]]:
    """Return which model is taken, and the mean loss of each.

    Examples
    --------
    >>> turned = np.array([[0.1, 0.2, 0.1, 0.2], [0.1, 0.2, 0.2, 0.2], [2.0, 3.0, 2.0, 3.0]])
    >>> longest_as_good(turned, np.ones(4))[0]
    1
    """
    share = weight / weight.sum()
    means = losses @ share
    more = losses - losses[int(means.argmin())]
    error = np.sqrt(((share * (more - (more @ share)[:, None])) ** 2).sum(axis=1))
    return int(np.flatnonzero(more @ share <= _SURELY * error)[-1]), means
