"""How good a package is on the test part, beside the prediction that uses no features."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from linewright.errors import ContractBreach
from linewright.model.evaluate.calibration_in_the_large import measure_expected
from linewright.model.evaluate.interval_coverage import (
    measure_beyond,
    measure_bias,
    measure_coverage,
    measure_parts,
)
from linewright.model.evaluate.reliability import measure_reliability
from linewright.model.evaluate.survival_calibration import measure_left
from linewright.model.facts import VALUE, Band, CoverageAt, Evaluation, Expected, Metric, Task
from linewright.model.metrics.bootstrap import UNBOUNDED, count_units, units_of
from linewright.model.metrics.definitions import Floats, MetricRule, metric
from linewright.model.metrics.estimate import measure_of, spreads, to_metric
from linewright.model.metrics.evaluation_rows import EvaluationRows
from linewright.model.metrics.predictions import Said
from linewright.model.tasks import task as rules_of
from linewright.model.tasks.prediction_interval import ends

Answers = npt.NDArray[Any]
OF_GOOD_ROWS = ("false_positive_rate",)
"""Metrics of anomalies that rows which are all good define."""


def evaluate(
    rows: EvaluationRows,
    *,
    package: str,
    headline: str,
    band: Band | None = None,
    raw_scores: Floats | None = None,
) -> Evaluation:
    """Measure a package on rows that it has not seen.

    Examples
    --------
    >>> truth = np.array([0, 1] * 50)
    >>> rows = EvaluationRows(split="sha256:s", task="binary", classes=("no", "yes"), truth=truth, threshold=0.5, seed=1,
    ...     scores=np.column_stack([1 - 0.8 * truth, 0.8 * truth]), baseline_scores=np.full((100, 2), 0.5), weight=np.ones(100))
    >>> found = evaluate(rows, package="sha256:p", headline="roc_auc")
    >>> found.metrics[0].name, found.metrics[0].value, found.baseline[0].value, found.confusion
    ('roc_auc', 1.0, 0.5, ((50, 0), (0, 50)))
    """
    task, truth, scores, weight, clusters = rows.task, rows.truth, rows.scores, rows.weight, rows.clusters
    _require_rows(truth, weight, rows.split)
    names = measured_of(task, headline, has_value=rows.amounts is not None)
    rules = rules_of(task)
    if rules.learns_good and not (truth == 1).any():
        # All that is known is how many good rows alarm.
        names = tuple(name for name in names if name in OF_GOOD_ROWS)
    measured = [metric(name, task) for name in names]
    own, baseline = _measure(measured, rows.said, rows), _measure(measured, rows.guess, rows)
    if own[0] is None:
        raise ContractBreach(
            f"the test part leaves {headline} undefined",
            where=f"split {rows.split}",
            found=f"{len(truth):,} rows with {len(np.unique(truth))} distinct labels",
            hint="give the test part more rows (`train.split.test`), or choose another `train.metric`",
        )
    coverage = bias = beyond = reliability = None
    expected: tuple[Expected, ...] = ()
    parts: tuple[CoverageAt, ...] = ()
    if rules.has_interval:
        is_in_time = rows.cluster_kind == "block"
        bias = measure_bias(
            truth, scores, weight=weight, clusters=clusters, is_in_time=is_in_time, seed=rows.seed
        )
        if band is not None:
            low, high = ends(band, scores)
            is_below, is_above = truth < low, truth > high
            is_inside = ~(is_below | is_above)
            known: Any = {"clusters": clusters, "weight": weight, "is_in_time": is_in_time, "seed": rows.seed}
            coverage = measure_coverage(is_inside, **known)
            beyond = measure_beyond(is_below, is_above, **known)
            parts = measure_parts(is_inside, scores, **known)
    if rules.is_class and not rules.learns_good:
        reliability = measure_reliability(
            truth, scores, raw_scores, weight=weight, clusters=clusters, seed=rows.seed
        )
        expected = measure_expected(truth, scores, weight=weight, clusters=clusters)
    return Evaluation(
        package=package,
        split=rows.split,
        metrics=tuple(one for one in own if one is not None),
        baseline=tuple(one for one in baseline if one is not None),
        confusion=confusion(truth, rows.said.decided, len(rows.classes) if rules.is_class else 0),
        n=len(truth),
        clusters=0 if clusters is None else len(np.unique(clusters)),
        cluster_kind=rows.cluster_kind,
        coverage=coverage,
        coverage_at=parts,
        beyond=beyond,
        bias=bias,
        reliability=reliability,
        expected=expected,
        left_at=measure_left(truth, scores, rows.baseline_scores, weight, rows.classes)
        if rules.label == "time"
        else (),
    )


def measured_of(task: Task, headline: str, *, has_value: bool) -> tuple[str, ...]:
    """Return the metrics that are measured, what people read first at the front.

    Examples
    --------
    >>> measured_of("binary", "roc_auc", has_value=True)[:3]
    ('roc_auc', 'value', 'average_precision')
    """
    worth = (VALUE,) if has_value else ()
    return tuple(dict.fromkeys((headline, *worth, *rules_of(task).metrics)))


def confusion(truth: Answers, decided: Answers, classes: int) -> tuple[tuple[int, ...], ...]:
    """Count rows by truth (down) and answer (across), in the order of the classes; empty without classes.

    Examples
    --------
    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    ((1, 1), (0, 1))
    """
    if classes == 0:
        return ()
    counts = np.bincount(truth * classes + decided, minlength=classes * classes)
    return tuple(tuple(row) for row in counts.reshape(classes, classes).tolist())


def _require_rows(truth: Answers, weight: Floats, split: str) -> None:
    if len(truth) == 0 or not weight.sum() > 0:
        raise ContractBreach(
            "the test part has no rows that count",
            where=f"split {split}",
            found=f"{len(truth):,} rows of total weight {float(weight.sum()):g}",
            hint="give the test part more rows (`train.split.test`)",
        )


def _measure(measured: Sequence[MetricRule], said: Said, rows: EvaluationRows) -> list[Metric | None]:
    truth, weight, clusters = rows.truth, rows.weight, rows.clusters
    measures = [
        measure_of(rule, truth, said.used_by(rule), weight=weight, clusters=clusters) for rule in measured
    ]
    # Where one answer is given to every row, draws that agree are exact: no row can show anything else.
    is_constant = bool((said.scores == said.scores[0]).all())
    found = spreads(
        [replace(one, bounds=UNBOUNDED, unseen=None) if is_constant else one for one in measures],
        # With 2 units bounds are as far apart as the rows can say.
        units=[
            max(
                units_of(rows.task, truth, weight, clusters, by_class=rule.by_class, of_class=rule.of_class),
                2,
            )
            for rule in measured
        ],
        weight=weight,
        clusters=clusters,
        seed=rows.seed,
    )
    is_known = count_units(np.flatnonzero(weight > 0), clusters) > 1
    return [
        to_metric(rule.name, spread, len(truth), is_known=is_known, is_bounded=rule.is_bounded)
        for rule, spread in zip(measured, found, strict=True)
    ]
