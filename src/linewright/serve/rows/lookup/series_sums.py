"""Sums of the forecasts of several series, bottom up: each series is predicted, and the answers are added up."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.errors import RequestError
from linewright.model.tasks.horizons import width_of_sum
from linewright.serve.rows.body.reader import Place
from linewright.serve.rows.body.typed import Row, TypedRow
from linewright.serve.rows.scorer import Scorer


class SumRow(dict[str, Any]):
    """A row that asks for a sum, with the sum of the recent values of its series."""

    def __init__(
        self,
        row: Mapping[str, Any],
        *,
        keys: frozenset[str],
        series: Sequence[Mapping[str, Any]],
        values: str,
    ) -> None:
        super().__init__(row)
        self.keys_of_sum, self.series, self.values_digest = keys, series, values


def score_rows(
    scorer: Scorer, rows: Sequence[Row], place: Place, *, ids: Sequence[str] = (), explore: float = 0.0
) -> tuple[NDArray[Any], list[dict[str, Any]]]:
    """Return the matrix of rows, and their answers; that of a `SumRow` is made of its series. `ids` and `explore` as for `Model.answers`."""
    is_typed = bool(rows) and isinstance(rows[0], TypedRow)
    sums = [] if is_typed else [number for number, row in enumerate(rows) if isinstance(row, SumRow)]
    if not sums:
        x = scorer.matrix(rows, place=place)
        return x, scorer.answers(x, ids=ids, explore=explore)
    # What else is in the row is checked with it; its own forecast, of the sum of the values, is not the answer.
    x = scorer.matrix(rows, place=place)
    answers = scorer.answers(x)
    for number in sums:
        row = rows[number]
        assert isinstance(row, SumRow)  # noqa: S101
        answers[number] = answer_of(scorer, row, place, number)
    return x, answers


def answer_of(scorer: Scorer, row: SumRow, place: Place, number: int) -> dict[str, Any]:
    """Return the answer of a sum."""
    window = scorer.model.package.encoder.window
    shared = {frozenset(one.keys): one.shared for one in (window.levels if window is not None else ())}
    if row.keys_of_sum not in shared:
        raise RequestError(
            "this model makes no such sums",
            where=place(number, ""),
            found=", ".join(sorted(row.keys_of_sum)) or "all series",
            hint="add them to forecast.levels and run the line",
        )
    parts = scorer.answers(scorer.matrix(list(row.series), place=lambda _, column: place(number, column)))
    return _sum(parts, shared[row.keys_of_sum], row.values_digest)


def _sum(parts: Sequence[Mapping[str, Any]], shared: float, values: str) -> dict[str, Any]:
    """Return the answer of a sum from those of its series, as `model.tasks.horizons.width_of_sum` has its interval."""
    said, low, high, naive = (
        np.array([one[name] for one in parts], dtype=np.float64)
        for name in ("prediction", "low", "high", "naive")
    )
    total, width = said.sum(axis=0), width_of_sum(high - said, shared)
    least = total - width
    if (low >= 0).all():  # no series goes below 0, and so no sum does
        least = np.maximum(least, 0.0)
    first = parts[0]
    return {
        **first,
        "prediction": total.tolist(),
        "low": least.tolist(),
        "high": (total + width).tolist(),
        "naive": naive.sum(axis=0).tolist(),
        "scale": float(sum(one["scale"] for one in parts)),
        "recent_used": max(int(one["recent_used"]) for one in parts),
        "series": len(parts),
        "values": values,
    }
