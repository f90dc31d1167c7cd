"""Metrics of ranked lists, all items ranked: how early the right items come, how many of them, and how varied and unusual lists are."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.model.list_loss import CUT
from linewright.model.metrics.definitions import MetricRule, Statistic, divide
from linewright.model.tasks.item_lists import NOTHING, ItemLists, hits, ndcg_of_rows

Floats = NDArray[np.float64]
_SMALLEST = 1e-9


def recall_of_rows(target: NDArray[Any], scores: NDArray[Any]) -> Floats:
    """Return the share of the right items that each list has among its first `CUT`, in [0, 1]."""
    wanted = np.maximum((target != NOTHING).sum(axis=1), 1)
    return hits(target, scores).sum(axis=1) / wanted


def novelty_of_rows(target: NDArray[Any], scores: NDArray[Any]) -> Floats:
    """Return how unusual the first `CUT` items of each list are, in bits: the mean of -log2 of the share of users who took them."""
    del target
    lists = ItemLists(scores)
    is_listed = lists.items[:, :CUT] > NOTHING
    bits = -np.log2(np.maximum(lists.shares[:, :CUT], _SMALLEST)) * is_listed
    return bits.sum(axis=1) / np.maximum(is_listed.sum(axis=1), 1)


def coverage_of_rows(target: NDArray[Any], scores: NDArray[Any]) -> Floats:
    """Return numbers whose mean is the share of all items that at least one list has among its first `CUT`.

    A row has the more of it, the fewer others list its items.
    """
    del target
    lists = ItemLists(scores)
    items = lists.items[:, :CUT].astype(np.int64)
    times = np.bincount(items.ravel(), minlength=1)
    alone = np.where(items > 0, 1 / np.maximum(times, 1)[items], 0.0).sum(axis=1)
    return alone * len(items) / np.maximum(lists.catalog, 1)


def _mean_of(of_rows: Callable[[NDArray[Any], NDArray[Any]], Floats]) -> Callable[[Any, Any], Statistic]:
    def prepare(target: NDArray[Any], scores: NDArray[Any]) -> Statistic:
        values = of_rows(target, scores)
        return lambda weights: divide(weights @ values, weights.sum(axis=1))

    return prepare


def _rule(
    name: str, of_rows: Callable[[NDArray[Any], NDArray[Any]], Floats], *, is_bounded: bool = True
) -> MetricRule:
    return MetricRule(
        name=f"{name}@{CUT}",
        tasks=("recommend",),
        greater_is_better=True,
        uses="scores",
        is_bounded=is_bounded,
        prepare=_mean_of(of_rows),
        losses=of_rows,
    )


OF_RECOMMEND = (
    _rule("ndcg", ndcg_of_rows),
    _rule("recall", recall_of_rows),
    _rule("coverage", coverage_of_rows),
    _rule("novelty", novelty_of_rows, is_bounded=False),
)
"""Metrics of the task `recommend`."""
