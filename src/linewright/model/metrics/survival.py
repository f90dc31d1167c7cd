"""Metrics of times of which some are censored: what was seen is weighted so that it stands for what was not."""

from typing import Any

import numpy as np
import numpy.typing as npt

from linewright.model.metrics.definitions import Floats, MetricRule, Statistic, divide
from linewright.model.task_facts import METRIC_FACTS
from linewright.model.tasks.censoring import brier_at_times, seen_in, share_seen

Places = npt.NDArray[Any]
"""Where times stand on the grid, negative where they are censored."""
_MOST_PAIRS = 4_000_000
"""Pairs of rows whose order is looked at; of more rows each is compared with some of the others."""


def _brier(places: Places, left: Floats) -> Floats:
    return brier_at_times(places, left).mean(axis=1)


def _integrated_brier_score(places: Places, left: Floats) -> Statistic:
    losses = _brier(places, left)
    return lambda weights: divide(weights @ losses, weights.sum(axis=1))


def _concordance(places: Places, left: Floats) -> Statistic:
    """Prepare the share of pairs that are put in their order [1]_: of two rows, the one in which it happened first has less left.

    References
    ----------
    .. [1] H. Uno, T. Cai, M. J. Pencina, R. B. D'Agostino and L. J. Wei, On the C-statistics for evaluating overall adequacy of risk
       prediction procedures with censored survival data, Statistics in Medicine 30 (2011), 1105-1117.
    """
    (at, happened, entry), life = seen_in(places), left.sum(axis=1)
    counts = np.where(happened & (at <= left.shape[1]), share_seen(places, at) ** -2.0, 0.0)
    parts = max(1, -(-len(places) * len(places) // _MOST_PAIRS))
    blocks = [np.arange(start, len(places), parts) for start in range(min(parts, len(places)))]
    known = [_pairs(at[rows], happened[rows], entry[rows], life[rows], counts[rows]) for rows in blocks]

    def concordant(weights: Floats) -> Floats:
        right, every = np.zeros(len(weights)), np.zeros(len(weights))
        for rows, (in_order, pairs) in zip(blocks, known, strict=True):
            own = weights[:, rows]
            right += ((own @ in_order) * own).sum(axis=1)
            every += ((own @ pairs) * own).sum(axis=1)
        return divide(right, every)

    return concordant


def _pairs(
    at: Floats, happened: npt.NDArray[np.bool_], entry: Floats, life: Floats, counts: Floats
) -> tuple[Floats, Floats]:
    """Return for each pair what it counts if it is put in order (a tie by half), and what it counts."""
    is_later = (at > at[:, np.newaxis]) | ((at == at[:, np.newaxis]) & ~happened)
    is_later &= entry < at[:, np.newaxis]  # who had not come yet was not left
    pairs = np.where(is_later, counts[:, np.newaxis], 0.0)
    order = (life > life[:, np.newaxis]) + 0.5 * (life == life[:, np.newaxis])
    return pairs * order, pairs


def _rule(name: str, **made: object) -> MetricRule:
    facts = METRIC_FACTS[name]
    return MetricRule(
        name=name,
        tasks=facts.tasks,
        greater_is_better=facts.greater_is_better,
        is_bounded=facts.is_bounded,
        uses="scores",
        **made,  # pyright: ignore[reportArgumentType] -- the functions of a metric
    )


OF_SURVIVAL = (
    _rule("integrated_brier_score", prepare=_integrated_brier_score, losses=_brier),
    _rule("concordance", prepare=_concordance),
)
