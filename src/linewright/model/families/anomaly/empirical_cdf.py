"""From how odd a row is to a score with a meaning: the share of good rows that are less odd."""

import msgspec
import numpy as np

from linewright.model.tasks.links import Floats

MOST_KNOTS = 512
_CLOSEST = 1e-4
"""Knots are apart by so much of their range, and by so much: rounding moves a score by less than 1e-5."""


class EmpiricalCdf(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of good rows, straight between knots; above the last a score still rises, towards 1."""

    at: tuple[float, ...]
    """Knots, ascending, at least one: how odd some good rows are."""
    share: tuple[float, ...]
    """Share of the good rows that are less odd than each knot, ascending from 0, below 1."""
    scale: float
    """How far above the last knot a score is halfway from its share to 1."""

    def steps(self) -> tuple[Floats, Floats, Floats]:
        """Return where each stretch between knots begins, 1 over its length, and by how much it rises."""
        at, share = np.array(self.at), np.array(self.share)
        return at[:-1], 1 / np.diff(at), np.diff(share)

    def scores(self, oddity: Floats) -> Floats:
        """Return the score of each row, in [0, 1), shape (n,).

        Examples
        --------
        >>> EmpiricalCdf(at=(1.0, 2.0), share=(0.0, 0.5), scale=1.0).scores(np.array([0.0, 1.5, 2.0, 3.0])).tolist()
        [0.0, 0.25, 0.5, 0.75]
        """
        start, inverse, rise = self.steps()
        inside = np.clip((oddity[:, np.newaxis] - start) * inverse, 0.0, 1.0) @ rise
        beyond = np.maximum((oddity - self.at[-1]) / self.scale, 0.0)
        return inside + (1 - self.share[-1]) * (beyond / (1 + beyond))


def learn_cdf(oddity: Floats) -> EmpiricalCdf:
    """Learn the shares from how odd good rows are that the model did not learn from.

    Examples
    --------
    >>> learn_cdf(np.array([3.0, 1.0, 2.0])).share
    (0.0, 0.25, 0.5)
    """
    ordered = np.sort(oddity)
    values, first = np.unique(ordered, return_index=True)
    # All of the oddest, among which thresholds lie, and every so many of the others.
    kept = np.arange(len(values))
    if len(values) > MOST_KNOTS:
        half = MOST_KNOTS // 2
        kept = np.unique(np.append(np.linspace(0, len(values) - half, half).astype(np.int64), kept[-half:]))
    gap = max(_CLOSEST * float(values[-1] - values[0]), _CLOSEST)
    chosen = [int(kept[-1])]
    for place in kept[-2::-1].tolist():
        if values[chosen[-1]] - values[place] >= gap:
            chosen.append(place)
    # The lowest knot has share 0, also if many good rows are within `gap` above it.
    chosen[-1] = 0
    chosen.reverse()
    share = first[chosen] / (len(ordered) + 1)
    middle = float(ordered[len(ordered) // 2])
    return EmpiricalCdf(
        at=tuple(values[chosen].tolist()),
        share=tuple(share.tolist()),
        scale=max(float(values[-1]) - middle, 10 * gap),
    )
