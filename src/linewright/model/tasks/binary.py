"""Two classes, one of which is looked for."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.errors import SpecError
from linewright.model.facts import Band
from linewright.model.task_facts import TASK_FACTS
from linewright.model.tasks import rules
from linewright.model.tasks.links import LOGISTIC

DEFAULT_THRESHOLD = 0.5

_OBVIOUS = (
    ("no", "yes"),
    ("n", "y"),
    ("false", "true"),
    ("f", "t"),
    ("0", "1"),
    ("0.0", "1.0"),
    ("-1", "1"),
    ("negative", "positive"),
    ("neg", "pos"),
)
"""Pairs of which the second is what people look for, in small letters."""


def positive_class(labels: Sequence[str]) -> tuple[str, str]:
    """Choose which of two classes is looked for, and say why.

    The affirmative one of a pair such as no/yes, false/true or 0/1; else the rarer; else, of two equally frequent
    classes, the later by spelling.

    Examples
    --------
    >>> positive_class(["No", "Yes", "Yes"])
    ('Yes', "'Yes' is the affirmative one of 'No' and 'Yes'")
    >>> positive_class(["ham", "spam", "ham"])
    ('spam', "'spam' is the rarer: 1 of 3 rows")
    """
    first, second = sorted(_two(labels))
    by_small = {first.strip().lower(): first, second.strip().lower(): second}
    for no, yes in _OBVIOUS:
        if {no, yes} == set(by_small):
            return by_small[
                yes
            ], f"{by_small[yes]!r} is the affirmative one of {by_small[no]!r} and {by_small[yes]!r}"
    counts = rules.count_labels(labels)
    if counts[first] == counts[second]:
        return second, f"{first!r} and {second!r} are equally frequent; {second!r} is the later by spelling"
    rarer = min(first, second, key=lambda name: counts[name])
    return rarer, f"{rarer!r} is the rarer: {counts[rarer]:,} of {len(labels):,} rows"


def _two(labels: Sequence[str]) -> tuple[str, str]:
    counts = rules.count_labels(labels)
    if len(counts) > 2:
        raise SpecError(
            "a binary label has two values",
            where="train.task",
            found=f"{len(counts):,} values, {', '.join(repr(name) for name in sorted(counts)[:5])}, …",
            allowed="2 values",
            hint="write `task: multiclass`, or make two values of them in `table.sql`",
        )
    first, second = counts
    return first, second


class Binary(rules.ClassRules):
    """Rules of the binary task: classes are (negative, positive), scores are (n, 2) probabilities."""

    name = "binary"
    metrics = TASK_FACTS["binary"].metrics
    headline_because = "how well the positives are found, whatever the threshold"
    label = "two"
    link = LOGISTIC
    class_limits = (2, 2)
    has_positive = True
    calibrations = ("sigmoid", "isotonic")

    def classes(self, labels: Sequence[str], positive: str | None) -> tuple[str, ...]:
        """Return (negative, positive); without `positive`, as `positive_class` chooses."""
        names = _two(labels)
        if positive is None:
            positive = positive_class(labels)[0]
        if positive not in names:
            raise SpecError(
                "no row has the positive label",
                where="label.positive",
                found=positive,
                allowed=" or ".join(map(repr, sorted(names))),
                hint="spell it as in the data",
            )
        return (names[0] if positive == names[1] else names[1], positive)

    def decide(self, scores: NDArray[np.float64], threshold: float | None) -> NDArray[np.int64]:
        """Return 1 where the positive class has at least `threshold` (0.5 if `None`)."""
        bar = DEFAULT_THRESHOLD if threshold is None else threshold
        return (scores[:, 1] >= bar).astype(np.int64)

    def answers(
        self,
        scores: NDArray[np.float64],
        *,
        classes: tuple[str, ...],
        threshold: float | None,
        band: Band | None,
    ) -> list[dict[str, Any]]:
        """Return the class, both probabilities and the threshold that decided.

        Examples
        --------
        >>> BINARY.answers(np.array([[0.7, 0.3]]), classes=("No", "Yes"), threshold=0.25, band=None)
        [{'prediction': 'Yes', 'probabilities': {'No': 0.7, 'Yes': 0.3}, 'threshold': 0.25}]
        """
        del band
        bar = DEFAULT_THRESHOLD if threshold is None else threshold
        other, positive = classes
        return [
            {
                "prediction": positive if q >= bar else other,
                "probabilities": {other: p, positive: q},
                "threshold": bar,
            }
            for p, q in scores.tolist()
        ]

    def watched(self, answers: Sequence[Mapping[str, Any]], classes: tuple[str, ...]) -> NDArray[Any]:
        """Return the probability of the positive class."""
        return np.array([one["probabilities"][classes[-1]] for one in answers], dtype=np.float64)

    def purpose(self, label: str, classes: tuple[str, ...]) -> str:
        """Say that it answers a probability and a class."""
        return f"The probability that {label} is {classes[-1]!r}, and the class decided from it."


BINARY = Binary()
