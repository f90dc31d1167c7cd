"""One of several classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.errors import SpecError
from linewright.model.facts import Band, Task
from linewright.model.tasks import rules

MOST_CLASSES = 200


@dataclass(frozen=True)
class Multiclass:
    """Rules of the multiclass task: classes are sorted by spelling, scores are (n, k) probabilities."""

    name: Task = "multiclass"
    metrics: tuple[str, ...] = ("log_loss", "accuracy", "balanced_accuracy", "f1_macro")
    objective: str = "log_loss"

    def classes(self, labels: Sequence[str], positive: str | None) -> tuple[str, ...]:
        """Return the 2 to 200 classes, sorted by spelling."""
        if positive is not None:
            raise SpecError(
                "a multiclass label has no positive value",
                where="label.positive",
                found=positive,
                hint="remove `positive`, or write `task: binary`",
            )
        names = sorted(rules.count_labels(labels))
        if len(names) > MOST_CLASSES:
            raise SpecError(
                "too many classes",
                where="label.column",
                found=f"{len(names):,} values, {', '.join(map(repr, names[:3]))}, …",
                allowed=f"at most {MOST_CLASSES}",
                hint="write `task: regression` if they are amounts, or join rare values in `table.sql`",
            )
        return tuple(names)

    def target(self, labels: Sequence[str] | NDArray[Any], classes: tuple[str, ...]) -> NDArray[np.int64]:
        """Return the place of each label in `classes`."""
        return rules.class_codes(labels, classes)

    def baseline(
        self,
        target: NDArray[Any],
        weight: NDArray[np.float64],
        classes: tuple[str, ...],
        *,
        metric: str | None = None,  # noqa: ARG002 -- the protocol's; shares are best by every loss of probabilities
    ) -> tuple[float, ...]:
        """Return the share of each class."""
        return rules.weighted_shares(target, weight, len(classes))

    def baseline_scores(self, baseline: tuple[float, ...], n: int) -> NDArray[np.float64]:
        """Return the shares once a row, shape (n, k)."""
        return rules.repeat(baseline, n)

    def row_loss(self, target: NDArray[Any], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log-loss of each row."""
        return rules.log_loss_of_rows(target, scores)

    def decide(
        self,
        scores: NDArray[np.float64],
        threshold: float | None,  # noqa: ARG002 -- the protocol's; the likeliest class needs none
    ) -> NDArray[np.int64]:
        """Return the likeliest class of each row; of equally likely ones the first."""
        return scores.argmax(axis=1).astype(np.int64)

    def answers(
        self,
        scores: NDArray[np.float64],
        *,
        classes: tuple[str, ...],
        threshold: float | None,
        band: Band | None,  # noqa: ARG002 -- the protocol's; intervals are for numbers
    ) -> list[dict[str, Any]]:
        """Return the likeliest class and the probability of each.

        Examples
        --------
        >>> MULTICLASS.answers(np.array([[0.25, 0.75]]), classes=("cat", "dog"), threshold=None, band=None)
        [{'prediction': 'dog', 'probabilities': {'cat': 0.25, 'dog': 0.75}}]
        """
        decided = self.decide(scores, threshold).tolist()
        probabilities = rules.by_class(scores, classes)
        return [
            {"prediction": classes[code], "probabilities": p}
            for code, p in zip(decided, probabilities, strict=True)
        ]


MULTICLASS = Multiclass()
