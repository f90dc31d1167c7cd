"""The rows that a model is evaluated on, in one value."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy.typing as npt

from linewright.model.facts import ClusterKind, Task
from linewright.model.metrics.definitions import Floats
from linewright.model.metrics.predictions import Guess, Said, guess, say
from linewright.model.tasks.value import Amounts

Answers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationRows:
    """Test rows: what is true of them, and what is said of them by a model and by the prediction that uses no features.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.array([0, 1] * 50)
    >>> rows = EvaluationRows(split="sha256:s", task="binary", classes=("no", "yes"), truth=truth, threshold=0.5, seed=1,
    ...     scores=np.column_stack([1 - 0.8 * truth, 0.8 * truth]), baseline_scores=np.full((100, 2), 0.5), weight=np.ones(100))
    >>> rows.said.decided.sum(), rows.guess.rates
    (np.int64(50), (0.5, 0.5))
    """

    split: str
    """Digest of the split whose test part they are."""
    task: Task
    classes: Sequence[str]
    """As in `Trained`."""
    truth: Answers
    """Shape (n,): int64 codes into `classes`, or float64 numbers."""
    scores: Floats
    """Shape (n, classes) or (n,): calibrated probabilities or numbers, of the model."""
    baseline_scores: Floats
    """The same of the prediction that uses no features."""
    weight: Floats
    """Shape (n,): sample weights; ones if there are none."""
    clusters: Answers | None = None
    """Shape (n,): group of each row where the split was by group, block where it was by time; the bootstrap then draws them whole."""
    cluster_kind: ClusterKind = "group"
    """What the clusters are, for people. Blocks are of rows in order of time."""
    threshold: float | None = None
    """Probability at and above which the model decides the positive class."""
    amounts: Amounts | None = None
    """What decisions on each row are worth, where the line says it."""
    seed: int
    """Of the bootstrap, in which all that is said of these rows gets the same draws."""

    @cached_property
    def said(self) -> Said:
        """What the model says."""
        return say(self.task, self.scores, self.threshold, self.amounts)

    @cached_property
    def guess(self) -> Guess:
        """What is said without features, held against what the model decides."""
        return guess(
            self.task,
            self.baseline_scores,
            beside=self.said.decided,
            weight=self.weight,
            amounts=self.amounts,
        )
