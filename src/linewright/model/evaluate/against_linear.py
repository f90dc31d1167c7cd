"""A model beside a plain linear one: what each metric of the one is better by, on the same test rows."""

from collections.abc import Sequence

import msgspec
import numpy as np

from linewright.model.facts import Beside, Plain
from linewright.model.metrics.bootstrap import units_of
from linewright.model.metrics.definitions import MetricRule
from linewright.model.metrics.estimate import difference_of, spreads
from linewright.model.metrics.evaluation_rows import EvaluationRows
from linewright.model.metrics.predictions import Said
from linewright.text.numbers import figure

_CONFIDENCE = 0.975
"""Of each end: both together hold 95 %."""


def beside_linear(
    rules: Sequence[MetricRule], rows: EvaluationRows, linear: Said, *, learned_from: int
) -> Plain | None:
    """Compare what a model and a linear one say of the test rows."""
    first, *others = _compared(rules, rows, linear)
    if first is None:
        return None
    return Plain(
        **msgspec.structs.asdict(first),
        others=tuple(one for one in others if one is not None),
        rows=learned_from,
        n=len(rows.truth),
    )


def _compared(rules: Sequence[MetricRule], rows: EvaluationRows, linear: Said) -> list[Beside | None]:
    """Compare by each metric what the linear model says and what the trained one says; `None` where a metric is undefined."""
    own, truth, weight, clusters = rows.said, rows.truth, rows.weight, rows.clusters
    used = [(linear.used_by(rule), own.used_by(rule)) for rule in rules]
    found = spreads(
        [
            difference_of(rule, truth, ours, said, weight=weight, clusters=clusters)
            for rule, (said, ours) in zip(rules, used, strict=True)
        ],
        units=[
            max(
                units_of(rows.task, truth, weight, clusters, by_class=rule.by_class, of_class=rule.of_class),
                2,
            )
            for rule in rules
        ],
        weight=weight,
        clusters=clusters,
        seed=rows.seed,
    )
    compared: list[Beside | None] = []
    for rule, (said, _), spread in zip(rules, used, found, strict=True):
        value = rule.prepare(truth, said)(weight[np.newaxis, :])[0]
        # Of few rows bounds may go where no difference of two metrics can be.
        ends = np.clip((spread.lower(_CONFIDENCE), spread.upper(_CONFIDENCE)), *spread.bounds)
        told = (float(value), spread.value, *map(float, ends))
        if np.isfinite(told).all():
            value, better, low, high = map(figure, told)
            compared.append(Beside(metric=rule.name, value=value, better=better, low=low, high=high))
        else:
            compared.append(None)
    return compared
