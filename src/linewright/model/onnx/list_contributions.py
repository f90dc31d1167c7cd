"""What each item of a history added to the score of each item of a list: read from the numbers of the graph that ranks, which only adds them up."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.errors import RequestError, Terminal
from linewright.features.facts import Encoder
from linewright.model.onnx.reader import read_parts, read_tensor
from linewright.model.tasks.explore import POOL
from linewright.model.tasks.item_lists import NOTHING, ItemLists

MOST_PARTS = 200_000
"""Contributions in one request."""
_ALLOWED = 1e-3
"""How far contributions may be from a score: what popularity adds between equals, and the last digits of float32."""


class ListExplainer:
    """Explains the lists of one package. Safe to use from several threads."""

    def __init__(self, graph: bytes, encoder: Encoder, *, where: str) -> None:
        constants = read_parts(graph).constants
        self._numbers = {
            name: read_tensor(constants[name]) for name in ("weights", "neighbours") if name in constants
        }
        self._items, self._where = encoder.items, where

    def explain(self, x: NDArray[Any], scores: NDArray[np.float64]) -> list[dict[str, Any]]:
        """Return ``score``, ``score_unit``, ``base`` and ``contributions`` of each row, by item of its pool: what a list may show."""
        lists = ItemLists(scores)
        shown = int(lists.shown.max(initial=0)) * POOL
        parts = int((x > 0).sum()) * min(shown, lists.ranks)
        if parts > MOST_PARTS:
            raise RequestError(
                "too many contributions in one request",
                where="explain",
                found=parts,
                allowed=f"at most {MOST_PARTS:,}: items of all histories, times those that a list may show",
                hint="send fewer rows, or without `explain`",
            )
        return [
            self._row(codes[codes > 0].astype(np.int64), items[:shown].astype(np.int64), values[:shown])
            for codes, items, values in zip(x, lists.items, lists.values, strict=True)
        ]

    def _row(
        self, known: NDArray[np.int64], items: NDArray[np.int64], values: NDArray[Any]
    ) -> dict[str, Any]:
        values, items = values[items > NOTHING], items[items > NOTHING]
        added = self._added(known, items)
        base = values - added.sum(axis=0)
        if len(added) and not (np.abs(base) <= _ALLOWED * np.maximum(1.0, np.abs(values))).all():
            raise Terminal(
                "the explanation does not add up to what the model answers",
                where=self._where,
                found=float(np.abs(base).max()),
                allowed=f"differences of at most {_ALLOWED:g}",
            )
        names = [self._items[code - 1] for code in items.tolist()]
        history = [self._items[code - 1] for code in known.tolist()]
        return {
            "score": dict(zip(names, values.tolist(), strict=True)),
            "score_unit": "value",
            "base": dict(zip(names, base.tolist(), strict=True)),
            "contributions": {
                name: _largest_first(dict(zip(history, column.tolist(), strict=False)))
                for name, column in zip(names, added.T, strict=True)
            },
        }

    def _added(self, known: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return what each known item of a history added to each listed one; no rows if the model ranks by popularity."""
        if "weights" not in self._numbers:
            return np.zeros((0, len(items)))
        weights = self._numbers["weights"][known].astype(np.float64)
        if "neighbours" not in self._numbers:
            return weights[:, items]
        near = self._numbers["neighbours"][known]
        is_item = near[:, :, np.newaxis] == items
        return (weights[:, :, np.newaxis] * is_item).sum(axis=1)


def _largest_first(parts: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(((name, part) for name, part in parts.items() if part), key=lambda one: -abs(one[1])))


def in_list(explained: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an explanation for the items of one list, in their order.

    Examples
    --------
    >>> in_list({"score": {"a": 2.0, "b": 1.0}, "score_unit": "value"}, {"prediction": ["b"]})
    {'score': {'b': 1.0}, 'score_unit': 'value'}
    """
    return {
        name: {item: part[item] for item in answer["prediction"]} if isinstance(part, dict) else part
        for name, part in explained.items()
    }
