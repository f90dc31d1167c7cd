"""Whether more positives are confirmed than the model expects: the first sign of what it has never seen.

Realised performance has to wait until labels have matured, else it is judged on those that come early. The number of
confirmed positives needs no waiting: labels that are still to come can only add to it. A calibrated model expects the
sum of its probabilities, so under it the number confirmed by now is at most a sum of independent Bernoulli variables
with that mean, whose upper tail is bounded by the Poisson distribution's beyond its mean [1]_. All runs of consecutive
windows are looked at, and each test has its share of alpha (Bonferroni), so that a young excess is found among old windows.

References
----------
.. [1] W. Hoeffding, On the distribution of the number of successes in independent trials, Annals of Mathematical
   Statistics 27 (1956), 713-721.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from linewright.watch.distributions import poisson_beyond
from linewright.watch.facts import Confirmed


@dataclass(frozen=True, kw_only=True)
class Surplus:
    """A run of windows in which surely more positives are confirmed than expected."""

    since: str
    """Start of the first window of the run."""
    expected: float
    confirmed: int
    p_value: float


def surplus(windows: Sequence[Confirmed], *, excess: float, alpha: float) -> Surplus | None:
    """Return the surest run of windows with more positives than `excess` times the expected ones; `None` if unsure.

    Examples
    --------
    >>> calm = Confirmed(start="2026-01-01", end="2026-01-02", expected=20.0, positives=14)
    >>> wild = Confirmed(start="2026-01-02", end="2026-01-03", expected=20.0, positives=70)
    >>> surplus([calm, calm], excess=1.3, alpha=1e-4) is None
    True
    >>> surplus([calm, wild], excess=1.3, alpha=1e-4).since
    '2026-01-02'
    """
    runs = len(windows) * (len(windows) + 1) // 2
    surest = min(_runs(windows, excess), key=lambda run: run.p_value, default=None)
    return surest if surest is not None and surest.p_value * runs < alpha else None


def _runs(windows: Sequence[Confirmed], excess: float) -> Iterator[Surplus]:
    for first in range(len(windows)):
        expected, confirmed = 0.0, 0
        for window in windows[first:]:
            expected += window.expected
            confirmed += window.positives
            yield Surplus(
                since=windows[first].start,
                expected=expected,
                confirmed=confirmed,
                p_value=tail(confirmed, excess * expected),
            )


def tail(confirmed: int, mean: float) -> float:
    """Return the chance of at least so many, from a Poisson distribution."""
    if confirmed <= mean or mean <= 0:
        return 1.0
    return poisson_beyond(confirmed - 1, mean)
