"""What the last labels changed: the champion's metric with and without them, and whether further labels would narrow it to any use.

Most questions are rows of which the model is unsure, so that a plain mean over their labels says less good of it than is so. Each label counts
for as many predictions as its fifth of uncertainty had, over the labels of that fifth: poststratification [1]_. The part of each batch
that is drawn at random has labels in all fifths.

References
----------
.. [1] D. Holt and T. M. F. Smith, Post Stratification, Journal of the Royal Statistical Society A 142 (1979), 33-46.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.line.factory import Factory
from linewright.line.record.registry import find_model
from linewright.line.spec import LineSpec
from linewright.model.facts import VALUE, Package
from linewright.model.metrics.bootstrap import Spread
from linewright.model.metrics.definitions import MetricRule, metric
from linewright.model.metrics.estimate import Measure, measure_of, spreads
from linewright.model.metrics.predictions import say
from linewright.model.spec import MetricGate
from linewright.model.tasks import task
from linewright.people.annotations import Batch, Question
from linewright.serve.facts import Prediction
from linewright.store.values import digest_of

LAST = 100
"""Labels that are looked at together."""
LEAST = 30
"""Labels from which on anything is said."""
MOST = 2_000
"""Labels that are looked at, the newest."""
LITTLE = 0.05
"""Part of the width of an interval by which another hundred labels must narrow it to be worth them, unless a bar is to be decided."""
Floats = npt.NDArray[np.float64]
More = Literal["decide", "narrow", "little", "decided"]
"""What further labels do: decide whether the metric clears its bar; narrow its interval; narrow it by less than a twentieth a hundred;
nothing about the bar, since the interval is on one side of it."""


class LabelEffect(msgspec.Struct, frozen=True, kw_only=True):
    """The champion's metric by the labels that annotators gave, with and without the last of them."""

    model: str
    metric: str
    greater_is_better: bool
    labels: int
    """Labels of predictions of the champion."""
    last: int
    """How many of them are the last: 100, or half if there are fewer than 200."""
    value: float | None
    low: float | None
    high: float | None
    """With all labels, and its 95 % interval; `None` if it is undefined, as `roc_auc` of one class."""
    before: float | None
    """Without the last."""
    change: float | None
    change_low: float | None
    change_high: float | None
    """`value` less `before` and its 95 % interval, paired: both of the same draws."""
    next_low: float | None
    next_high: float | None
    """About the ends of the interval after another hundred labels."""
    bar: float | None
    """What the first gate on this metric asks for; `None` if no gate has one."""
    needed: int | None
    """About how many more labels decide whether the metric clears the bar; `None` where that is decided or is unclear."""
    more: More


class _Labelled(NamedTuple):
    """A prediction of the champion with the label that annotators gave it."""

    question: Question
    record: Prediction


def effect_of(
    factory: Factory, line: str, questions: Sequence[Question], batches: Mapping[int, Batch]
) -> LabelEffect | None:
    """Return what the last labels of a line changed; `None` if there are fewer than 30 of the champion."""
    version = find_model(factory, line)
    package = factory.metadata.get(version.digest, Package)
    newest = sorted((one for one in questions if one.stratum >= 0), key=lambda one: one.at or "")[-MOST:]
    found = factory.labels_of(line).find_all([one.prediction for one in newest])
    labelled = (_Labelled(one, found[one.prediction][0]) for one in newest if one.prediction in found)
    rows = [one for one in labelled if one.record.digest == version.digest]
    if len(rows) < LEAST:
        return None
    spec = factory.line(line) if factory.trouble_with(line) is None else None
    rule, bar = _rule(spec, package)
    last = min(LAST, len(rows) // 2)
    spread, before = _measured(factory, rule, package, rows, batches, last=last)
    (low, high), (change_low, change_high) = spread[0].interval(), spread[1].interval()
    value, n = spread[0].value, len(rows)
    narrower = math.sqrt(n / (n + LAST))
    more, needed = _more(value, low, high, bar, n)
    return LabelEffect(
        model=f"{line}@{version.version}",
        metric=rule.name,
        greater_is_better=rule.greater_is_better,
        labels=n,
        last=last,
        value=_finite(value),
        low=_finite(low),
        high=_finite(high),
        before=_finite(before),
        change=_finite(spread[1].value),
        change_low=_finite(change_low),
        change_high=_finite(change_high),
        next_low=_finite(value - (value - low) * narrower),
        next_high=_finite(value + (high - value) * narrower),
        bar=bar,
        needed=needed,
        more=more,
    )


def _rule(spec: LineSpec | None, package: Package) -> tuple[MetricRule, float | None]:
    """Return the metric that is looked at, and its bar: that of the first gate that has one, else the line's."""
    gates = [
        one for one in (spec.gates if spec else ()) if isinstance(one, MetricGate) and one.metric != VALUE
    ]
    if gates:
        bar = gates[0].at_least if gates[0].at_least is not None else gates[0].at_most
        return metric(gates[0].metric, package.task), bar
    named = spec.train.metric if spec else "auto"
    return metric(task(package.task).metrics[0] if named in {"auto", VALUE} else named, package.task), None


def _measured(
    factory: Factory,
    rule: MetricRule,
    package: Package,
    rows: Sequence[_Labelled],
    batches: Mapping[int, Batch],
    *,
    last: int,
) -> tuple[list[Spread], float]:
    """Return the metric with all rows and its difference to that without the last ones, on the same draws; and the latter."""
    labels = [str(msgspec.json.decode(one.question.kept or "null")) for one in rows]
    rules = task(package.task)
    labelled = rules.target(labels, package.classes)
    said = say(
        package.task,
        task(package.task).said([one.record.answer for one in rows], package.classes),
        package.threshold,
    ).used_by(rule)
    weight = weights_of([one.question for one in rows], batches)
    kept = np.append(weights_of([one.question for one in rows[:-last]], batches), np.zeros(last))
    all_of_them = measure_of(rule, labelled, said, weight=weight, clusters=None)

    def without(weights: Floats) -> Floats:
        return all_of_them.value(weights * (kept / weight))

    change = Measure(
        value=lambda weights: all_of_them.value(weights) - without(weights),
        scale="linear",
    )
    # So many rows of equal weight would say as much.
    units = max(2, round(float(weight.sum() ** 2 / (weight**2).sum())))
    seed = factory.context.seed(digest_of([package.graph, rows[-1].question.id, len(rows)]))
    found = spreads(
        [all_of_them, change], units=[units, units], weight=weight, clusters=None, seed=seed, draws=1_000
    )
    return found, float(without(weight[np.newaxis])[0])


def weights_of(questions: Sequence[Question], batches: Mapping[int, Batch]) -> Floats:
    """Return for how many predictions each labelled question stands, such that all together stand for as many as there are.

    A fifth of a batch that has no label is left out.
    """
    labels = Counter((one.batch, one.stratum) for one in questions)
    drawn = Counter(one.batch for one in questions)
    pools = {number: msgspec.json.decode(one.pool, type=list[int]) for number, one in batches.items()}
    covered = {
        number: sum(size for stratum, size in enumerate(pools[number]) if labels[number, stratum])
        for number in drawn
    }
    return np.array(
        [
            pools[one.batch][one.stratum]
            / labels[one.batch, one.stratum]
            / covered[one.batch]
            * drawn[one.batch]
            for one in questions
        ]
    )


def _more(value: float, low: float, high: float, bar: float | None, n: int) -> tuple[More, int | None]:
    if bar is not None and math.isfinite(low) and math.isfinite(high):
        if not low <= bar <= high:
            return "decided", None
        # The width of an interval goes with the root of the labels.
        reach, away = (value - low if bar < value else high - value), abs(value - bar)
        if away and reach / away < math.sqrt(1e6):
            return "decide", max(1, math.ceil(n * ((reach / away) ** 2 - 1)))
        return "decide", None
    return ("narrow" if 1 - math.sqrt(n / (n + LAST)) >= LITTLE else "little"), None


def _finite(value: float) -> float | None:
    return float(f"{value:.10g}") if math.isfinite(value) else None
