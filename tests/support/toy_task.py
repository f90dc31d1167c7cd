"""Two tasks that no file of `src` knows: what a package of somebody else's would bring."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.errors import SpecError
from linewright.model.facts import Band
from linewright.model.metrics.definitions import MetricRule, Statistic, divide, metrics_of
from linewright.model.task_names import others
from linewright.model.tasks import task
from linewright.model.tasks.rules import ClassRules, NumberRules, count_labels

Floats = NDArray[np.float64]
SMALLEST = 1e-3
"""Expected counts below it are taken as it."""


def ranked_losses(target: NDArray[Any], scores: Floats) -> Floats:
    """Return the ranked probability score of each row, from 0 to 1."""
    steps = np.arange(scores.shape[1] - 1)
    above = np.cumsum(scores, axis=1)[:, :-1] - (target[:, np.newaxis] <= steps)
    return (above**2).sum(axis=1) / len(steps)


def distances(target: NDArray[Any], decided: NDArray[Any]) -> Floats:
    return np.abs(target - decided).astype(np.float64)


def mean_of(losses: Any) -> Any:
    def prepare(truth: NDArray[Any], said: NDArray[Any]) -> Statistic:
        values = losses(truth, said)
        return lambda weights: divide(weights @ values, weights.sum(axis=1))

    return prepare


class Ordinal(ClassRules):
    """One of several classes that are whole numbers, of which near ones are confused more gladly than far ones."""

    name = "ordinal"
    metrics = ("ranked_probability_score", "class_distance", "accuracy")
    headline_because = "far misses weigh most"
    measures = "toy_task:OF_ORDINAL"
    objective = "ranked_probability_score"
    loss_name = "ranked probability score"

    def classes(self, labels: Sequence[str], positive: str | None) -> tuple[str, ...]:
        """Return the labels in the order of their numbers."""
        if positive is not None:
            raise SpecError("grades have no positive one", where="label.positive", found=positive)
        names = list(count_labels(labels))
        if wrong := next((name for name in names if not name.lstrip("-").isdigit()), None):
            raise SpecError("a grade is a whole number", where="label.column", found=wrong)
        return tuple(sorted(names, key=int))

    def row_loss(self, target: NDArray[Any], scores: Floats) -> Floats:
        """Return the ranked probability score of each row."""
        return ranked_losses(target, scores)

    def decide(self, scores: Floats, threshold: float | None) -> NDArray[np.int64]:
        """Return the median class, which is best by its distance."""
        del threshold
        return (np.cumsum(scores, axis=1) < 0.5 - 1e-9).sum(axis=1).astype(np.int64)

    def watched(self, answers: Sequence[Mapping[str, Any]], classes: tuple[str, ...]) -> NDArray[Any]:
        """Return the grades as numbers, so that drift is told by their order."""
        del classes
        return np.array([float(one["prediction"]) for one in answers], dtype=np.float64)


class Count(NumberRules):
    """How often something happens: numbers of at least 0, judged by the deviance of Poisson's distribution."""

    name = "count"
    metrics = ("poisson_deviance", "mae", "r2")
    headline_because = "an error counts more where little is expected"
    measures = "toy_task:OF_COUNT"
    objective = "poisson_deviance"
    loss_name = "Poisson deviance"

    def target(self, labels: Sequence[str] | NDArray[Any], classes: tuple[str, ...]) -> Floats:
        """Return the counts."""
        numbers = super().target(labels, classes)
        if why := next(filter(None, map(self.refuses, numbers.tolist())), ""):
            raise SpecError(why, where="label.column")
        return numbers

    def refuses(self, number: float) -> str:
        """Refuse what is no count."""
        return "" if number >= 0 and number.is_integer() else "a count is a whole number of at least 0"

    def row_loss(self, target: NDArray[Any], scores: Floats) -> Floats:
        """Return the deviance of each row."""
        return deviances(target, scores)

    def answers(
        self, scores: Floats, *, classes: tuple[str, ...], threshold: float | None, band: Band | None
    ) -> list[dict[str, Any]]:
        """Return the expected count, and no interval below 0."""
        told = super().answers(np.maximum(scores, 0.0), classes=classes, threshold=threshold, band=band)
        return [
            one | {"interval": [max(one["interval"][0], 0.0), *one["interval"][1:]]}
            if "interval" in one
            else one
            for one in told
        ]


def deviances(target: NDArray[Any], scores: Floats) -> Floats:
    expected = np.maximum(scores, SMALLEST)
    surprise = target * np.log(np.where(target > 0, target, 1.0) / np.where(target > 0, expected, 1.0))
    return 2 * (surprise - (target - expected))


OF_ORDINAL = (
    MetricRule(
        name="ranked_probability_score",
        tasks=("ordinal",),
        greater_is_better=False,
        uses="scores",
        is_bounded=True,
        prepare=mean_of(ranked_losses),
        losses=ranked_losses,
    ),
    MetricRule(
        name="class_distance",
        tasks=("ordinal",),
        greater_is_better=False,
        uses="decision",
        is_bounded=False,
        prepare=mean_of(distances),
        losses=distances,
    ),
)
OF_COUNT = (
    MetricRule(
        name="poisson_deviance",
        tasks=("count",),
        greater_is_better=False,
        uses="scores",
        is_bounded=False,
        prepare=mean_of(deviances),
        losses=deviances,
    ),
)
ORDINAL = Ordinal()
COUNT = Count()


def install_tasks(site: Path) -> None:
    """Write into a folder what pip leaves of a package with both tasks."""
    info = site / "toytasks-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toytasks\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[linewright.tasks]\nordinal = toy_task:ORDINAL\ncount = toy_task:COUNT\n"
    )


@contextmanager
def installed_tasks(site: Path) -> Iterator[None]:
    """Let this process find the tasks as it finds those of a package."""
    install_tasks(site)
    sys.path.insert(0, str(site))
    for found in (others, task, metrics_of):
        found.cache_clear()
    try:
        yield
    finally:
        sys.path.remove(str(site))
        for found in (others, task, metrics_of):
            found.cache_clear()
