"""A ranked list of items, from what a user had before."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from linewright.data.facts import LabelForm
from linewright.errors import SpecError
from linewright.model.facts import Band
from linewright.model.list_loss import CUT
from linewright.model.task_facts import TASK_FACTS
from linewright.model.tasks.item_lists import NOTHING, UNKNOWN, ItemLists, ndcg_of_rows
from linewright.model.tasks.links import IDENTITY, Link
from linewright.model.tasks.rules import TaskRules, repeat
from linewright.text.lists import read_list

Floats = NDArray[np.float64]


class Recommend(TaskRules):
    """Rules of the recommend task: labels are lists of items, scores are ranked lists (`model.tasks.item_lists`).

    Targets: float64 (n, most items of a label): codes from 1 into the items that the model knows, -1 for an item that it does not know,
    and 0 behind the last. Here `classes` are these items; no package has them as its classes, for they are in its encoder.

    Examples
    --------
    >>> RECOMMEND.target(['["ale","new"]', '["bread"]'], ("ale", "bread")).tolist()
    [[1.0, -1.0], [2.0, 0.0]]
    >>> scores = np.array([[2, 1, 0.9, 0.3, 0.5, 0.1, 4, 2, 1]])
    >>> RECOMMEND.answers(scores, classes=("ale", "bread"), threshold=None, band=None)
    [{'prediction': ['bread'], 'scores': [0.9], 'history_used': 4}]
    """

    name = "recommend"
    metrics = TASK_FACTS["recommend"].metrics
    headline_because = "how early the right items come among the ten first, all items ranked"
    measures = "linewright.model.metrics.ranking:OF_RECOMMEND"
    objective = "ndcg@10"
    loss_name = TASK_FACTS["recommend"].loss_name
    baseline_name = TASK_FACTS["recommend"].baseline_name
    label: ClassVar[LabelForm] = TASK_FACTS["recommend"].label
    link: ClassVar[Link] = IDENTITY
    class_limits: ClassVar[tuple[float, float]] = (0, 0)

    def classes(self, labels: Sequence[str], positive: str | None) -> tuple[str, ...]:
        """Return no classes."""
        if positive is not None:
            raise SpecError(
                "items have no positive value",
                where="label.positive",
                found=positive,
                hint="remove `positive`",
            )
        if not any(map(read_list, labels)):
            raise SpecError("no row has an item", where="label.column", hint="bring events of several users")
        return ()

    def target(self, labels: Sequence[str] | NDArray[Any], classes: tuple[str, ...]) -> Floats:
        """Return the items of each label as codes."""
        code = {item: place for place, item in enumerate(classes, start=1)}
        lists = [_read(label, row) for row, label in enumerate(labels)]
        target = np.full((len(lists), max(map(len, lists), default=0) or 1), NOTHING)
        for row, items in enumerate(lists):
            target[row, : len(items)] = [code.get(item, UNKNOWN) for item in dict.fromkeys(items)]
        return target

    def baseline(
        self,
        target: NDArray[Any],
        weight: Floats,
        classes: tuple[str, ...],
        *,
        metric: str | None = None,
    ) -> tuple[float, ...]:
        """Return the share of the rows that took each item."""
        del metric
        counts = np.bincount(target[target > NOTHING].astype(np.int64), minlength=len(classes) + 1)[1:]
        return tuple((counts / max(float(weight.sum()), 1.0)).tolist())

    def baseline_scores(self, baseline: tuple[float, ...], n: int) -> Floats:
        """Return the most popular items once a row."""
        order = np.argsort(-np.asarray(baseline), kind="stable")[:CUT]
        values = np.asarray(baseline)[order]
        row = (*(order + 1.0), *values, *values, 0.0, float(len(baseline)), float(len(order)))
        return repeat(row, n)

    def row_loss(self, target: NDArray[Any], scores: Floats) -> Floats:
        """Return 1 less the discounted cumulative gain of each list, in [0, 1]."""
        return 1 - ndcg_of_rows(target, scores)

    def decide(self, scores: Floats, threshold: float | None) -> Floats:
        """Return the lists as they are."""
        del threshold
        return scores

    def answers(
        self,
        scores: Floats,
        *,
        classes: tuple[str, ...],
        threshold: float | None,
        band: Band | None,
    ) -> list[dict[str, Any]]:
        """Return the items, best first, what they were ranked by, and how many items of the history were known.

        Of a history without a known item, items are ranked by popularity.
        """
        del threshold, band
        lists = ItemLists(scores)
        found: list[dict[str, Any]] = []
        for items, values, used, shown in zip(
            lists.items.astype(np.int64).tolist(),
            lists.values.tolist(),
            lists.used.tolist(),
            lists.shown.tolist(),
            strict=True,
        ):
            kept = [(classes[code - 1], value) for code, value in zip(items, values, strict=True) if code > 0]
            first = kept[: int(shown)]
            found.append(
                {
                    "prediction": [item for item, _ in first],
                    "scores": [value for _, value in first],
                    "history_used": int(used),
                }
            )
        return found

    def watched(self, answers: Sequence[Mapping[str, Any]], classes: tuple[str, ...]) -> NDArray[Any]:
        """Return the first item of each list; empty if it has none."""
        del classes
        return np.array([next(iter(one["prediction"]), "") for one in answers], dtype=object)

    def purpose(self, label: str, classes: tuple[str, ...]) -> str:
        """Say that it answers a ranked list."""
        del classes
        return f"Which {label} a user takes next, as a ranked list, from what the user had before."


def _read(label: Any, row: int) -> list[str]:
    try:
        return read_list(label)
    except (ValueError, TypeError) as error:
        raise SpecError(
            "a label is a list of items",
            where=f"label.column, row {row}",
            found=str(label)[:100],
            allowed='a JSON list, e.g. ["a", "b"]',
        ) from error


RECOMMEND = Recommend()
