"""How the champion's answers turned out, as far as it is known: by matured labels, and by the positives confirmed so far."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from linewright.line.instants import earlier
from linewright.line.loop.window import Closing
from linewright.line.record.registry import certified_metric, judged
from linewright.model.facts import VALUE, Package, Trained
from linewright.model.metrics.bootstrap import Spread, units_of
from linewright.model.metrics.definitions import MetricRule, metric
from linewright.model.metrics.estimate import measure_of, spreads
from linewright.model.metrics.predictions import Said, guess, say
from linewright.model.metrics.time_blocks import blocks_in_time
from linewright.model.task_facts import has_times
from linewright.model.tasks import task
from linewright.model.tasks.censoring import seen_in
from linewright.model.tasks.horizons import horizons_of
from linewright.model.tasks.item_lists import lists_of
from linewright.model.tasks.value import Amounts, amounts_of
from linewright.model.value_amounts import as_amount, columns_of
from linewright.serve.facts import Prediction, Truth
from linewright.serve.feedback.store import TurnedOut
from linewright.serve.log.segments import RecordsAt
from linewright.store.values import digest_of
from linewright.text.durations import duration_micros
from linewright.text.lists import NO_ITEMS
from linewright.watch.facts import Confirmations, Confirmed, Performance, Watched

YOUNG = 14
"""Windows at most whose confirmed positives are counted anew when one is closed."""
_DRAWS = 400


def performance_of(closing: Closing) -> Performance | None:
    """Return how good the champion's predictions turned out to be, as far as it can be known without bias by now.

    Where a label's delay is declared, predictions are judged once it has passed, in the last `windows` windows; else
    those are judged whose label came in the window, or that were made in it about a key whose label was known.
    """
    found = _matured(closing)
    if found is None:
        return None
    begun, end, pairs = found
    rule = _headline(closing)
    needed = (
        columns_of(closing.model.package.value)
        if rule.uses == "worth" and closing.model.package.value
        else {}
    )
    total, answers, labels, made = 0, list[dict[str, Any]](), list[str | float](), list[str]()
    priced: dict[str, list[float]] = {name: [] for name in needed}
    for record, known in pairs:
        if record.digest == closing.model.digest and record.is_judged:
            total += 1
            # A row that was sent without its amount cannot be priced: it counts as one whose label is not known.
            amounts = {name: as_amount(record.row.get(name)) for name in needed}
            if (
                known is not None
                and _can_be_right(known.label, closing.model.package)
                and None not in amounts.values()
            ):
                answers.append(record.answer)
                labels.append(known.label)
                made.append(record.at)
                for name, amount in amounts.items():
                    priced[name].append(amount or 0.0)
    if not total:
        return None
    judged_rows = _Rows(answers=answers, labels=labels, amounts=_amounts(closing, rule, priced, len(labels)))
    is_measured = bool(labels) and _says_something(rule, labels, closing.model.package)
    spread = _spread(closing, rule, judged_rows) if is_measured else None
    low, high = spread.interval() if spread else (np.nan, np.nan)
    found = judged(closing.factory, closing.spec.line).get(closing.champion.digest)
    certified = certified_metric(closing.factory, found, rule.name)
    return Performance(
        line=closing.spec.line,
        package=closing.champion.digest,
        start=begun,
        end=end,
        metric=rule.name,
        value=_finite(spread.value if spread else np.nan),
        error=_finite(_error(spread) if spread else np.nan),
        low=_finite(low),
        high=_finite(high),
        labelled=len(labels),
        predictions=total,
        certified=certified.value if certified else None,
        promised=(certified.low if rule.greater_is_better else certified.high) if certified else None,
        greater_is_better=rule.greater_is_better,
        guess=_finite(_guess(closing, rule, judged_rows)) if is_measured else None,
        arrived=closing.spec.label.delay is None,
        made=sorted(made)[len(made) // 10] if made and closing.spec.label.delay is None else None,
    )


def _says_something(rule: MetricRule, labels: Sequence[str | float], package: Package) -> bool:
    """Return whether labels can be measured by.

    Of anomalies, good rows alone do not say how well faulty ones are found. Of times, rows that were all censored before the first time of
    the curves say nothing of any.
    """
    if has_times(package.task):
        seen_to, happened, _ = seen_in(_truth(labels, package))
        return bool((happened | (seen_to >= 1)).any())
    if not task(package.task).learns_good or rule.of_class is not None:
        return True
    return package.classes[-1] in labels


def _matured(closing: Closing) -> tuple[str, str, Iterable[tuple[Prediction, Truth | None]]] | None:
    """Return from when until when predictions are judged, and those with their labels."""
    spec, past, feedback = closing.spec, closing.past, closing.factory.labels_of(closing.spec.line)
    if spec.label.delay is None:
        before = past[-1].position if past else None
        return closing.start, closing.end, feedback.arrived(closing.start, closing.end, after=before)
    ripe = earlier(closing.end, spec.label.delay)
    judged = [i for i, one in enumerate(past) if one.end <= ripe][-closing.watch.drift.windows :]
    if not judged:
        return None
    first, last = past[judged[0]], past[judged[-1]]
    before = past[judged[0] - 1].position if judged[0] else {}
    known = closing.factory.now()
    return first.start, last.end, feedback.labelled(known_by=known, after=before, until=last.position)


def confirmations_of(closing: Closing) -> Confirmations | None:
    """Count the positives that are confirmed by now in the last windows, beside those that the model expects."""
    package, past, champion = closing.model.package, closing.past, closing.champion.digest
    if (
        not task(package.task).has_positive or task(package.task).learns_good
    ):  # scores promise no number of them
        return None
    young = [
        i for i in range(max(0, len(past) - _looked_back(closing)), len(past)) if past[i].package == champion
    ]
    if not young:
        return None
    positive, known = package.classes[-1], closing.factory.now()
    counted = _counted_before(closing)
    before = {i: counted.get(past[i].start) or _expected(closing, i, positive) for i in young}
    confirmed = Counter[int]()
    factory, line = closing.factory, closing.spec.line
    log, feedback = RecordsAt(factory.log_of(line), sealed=factory.sealed_of(line)), factory.labels_of(line)
    for one in feedback.turned_out(positive, since=past[young[0]].start, known_by=known):
        found = next((i for i in young if _is_in(past, i, one)), None)
        if found is not None and one.received >= past[found].start:
            record = log.read(one.segment, one.offset, one.id)
            confirmed[found] += record is not None and record.digest == champion
    windows = (msgspec.structs.replace(before[i], positives=before[i].early + confirmed[i]) for i in young)
    return Confirmations(line=closing.spec.line, package=champion, windows=tuple(windows))


def _counted_before(closing: Closing) -> dict[str, Confirmed]:
    """Return, by their start, what was counted of windows when the last one was closed: what a model expected stays so."""
    newest = closing.past[-1].confirmations
    counted = closing.factory.metadata.get(newest, Confirmations) if newest else None
    if counted is None or counted.package != closing.champion.digest:
        return {}
    return {one.start: one for one in counted.windows}


def _expected(closing: Closing, i: int, positive: str) -> Confirmed:
    """Read a window: the sum of the probabilities, and the positives that were known before it began."""
    past, feedback = closing.past, closing.factory.labels_of(closing.spec.line)
    expected, early = 0.0, 0
    for record, truth in feedback.labelled(
        known_by=past[i].start, after=past[i - 1].position if i else {}, until=past[i].position
    ):
        if record.digest == closing.champion.digest:
            expected += record.answer["probabilities"][positive]
            early += truth is not None and truth.label == positive and truth.received < past[i].start
    return Confirmed(
        start=past[i].start, end=past[i].end, expected=_figure(expected), positives=early, early=early
    )


def _is_in(past: Sequence[Watched], i: int, one: TurnedOut) -> bool:
    begun = past[i - 1].position.get(one.segment, 0) if i else 0
    return begun <= one.offset < past[i].position.get(one.segment, 0)


def _looked_back(closing: Closing) -> int:
    """Return how many windows are still young enough that labels of them may be news, at most `YOUNG`."""
    delay = closing.spec.label.delay
    waiting = duration_micros(delay) // max(1, duration_micros(closing.watch.every)) if delay else 0
    return min(YOUNG, waiting + closing.watch.drift.windows)


def _headline(closing: Closing) -> MetricRule:
    named, package = closing.spec.train.metric, closing.model.package
    # A champion that was made before amounts were declared has none to be priced by.
    is_default = named == "auto" or (named == VALUE and not package.value)
    return metric(task(package.task).metrics[0] if is_default else named, package.task)


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """What is judged."""

    answers: Sequence[Mapping[str, Any]]
    labels: Sequence[str | float]
    amounts: Amounts | None
    """Where decisions are priced."""


def _amounts(
    closing: Closing, rule: MetricRule, priced: Mapping[str, Sequence[float]], n: int
) -> Amounts | None:
    value = closing.model.package.value
    if rule.uses != "worth" or not value:
        return None
    return amounts_of(value, n, lambda name: np.array(priced[name], dtype=np.float64))


def _spread(closing: Closing, rule: MetricRule, rows: _Rows) -> Spread:
    package = closing.model.package
    truth = _truth(rows.labels, package)
    said, weight = _said(rows, package), np.ones(len(truth))
    seed = closing.factory.context.seed(digest_of([package.graph, closing.start, closing.end]))
    # The log is in order of time, so neighbours may be alike whatever the line's split is.
    blocks = _blocks(package, truth, said)
    (spread,) = spreads(
        [measure_of(rule, truth, said.used_by(rule), weight=weight, clusters=blocks)],
        units=[
            max(
                units_of(package.task, truth, weight, blocks, by_class=rule.by_class, of_class=rule.of_class),
                2,
            )
        ],
        weight=weight,
        clusters=blocks,
        seed=seed,
        draws=_DRAWS,
    )
    return spread


def _guess(closing: Closing, rule: MetricRule, rows: _Rows) -> float:
    """Return the metric of the baseline that the model was certified beside."""
    package, weight = closing.model.package, np.ones(len(rows.labels))
    baseline = closing.factory.metadata.get(package.trained, Trained).baseline
    scores = task(package.task).baseline_scores(baseline, len(rows.labels))
    if package.encoder.window is not None:
        scores = horizons_of([{**one, "prediction": one["naive"]} for one in rows.answers])
    beside = _said(rows, package).decided
    said = guess(package.task, scores, beside=beside, weight=weight, amounts=rows.amounts)
    return rule.function(_truth(rows.labels, package), said.used_by(rule), weight)


def _blocks(package: Package, right: np.ndarray, said: Said) -> np.ndarray | None:
    if not package.encoder.listed:
        return blocks_in_time(right, [said.scores])
    losses = task(package.task).row_loss(right, said.scores)
    return blocks_in_time(losses, [np.zeros(len(losses))])


def _error(spread: Spread) -> float:
    drawn = spread.drawn[np.isfinite(spread.drawn)]
    return float(drawn.std()) if len(drawn) > 1 else np.nan


def _can_be_right(label: str | float, package: Package) -> bool:
    """Return whether an answer can be right: no list is, if nothing was taken, and no test row is such a row."""
    return not package.encoder.items or label != NO_ITEMS


def _truth(labels: Sequence[str | float], package: Package) -> np.ndarray:
    names = package.classes or package.encoder.listed
    return task(package.task).target([str(label) for label in labels], names)


def _said(rows: _Rows, package: Package) -> Said:
    return say(package.task, scores_of(rows.answers, package), package.threshold, rows.amounts)


def scores_of(answers: Sequence[Mapping[str, Any]], package: Package) -> np.ndarray:
    """Return what answers say: a probability for each class, shape (n, classes), the numbers, shape (n,), curves, or lists of items."""
    if package.encoder.items:
        return lists_of(answers, package.encoder.items)
    return task(package.task).said(answers, package.classes)


def _finite(value: float) -> float | None:
    return _figure(value) if np.isfinite(value) else None


def _figure(value: float) -> float:
    return float(f"{value:.10g}")
