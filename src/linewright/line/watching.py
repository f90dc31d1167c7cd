"""Closing a window: what was answered in it is counted, judged, and told where it is news.

Everything is derived from the record: the newest `Watched` event says up to which place of the log every prediction has
been counted, in exactly one window. A kill at any point leaves a window that is closed once, later.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import numpy as np
import polars as pl

from linewright.data.facts import Dataset, Split
from linewright.data.moments import moments
from linewright.data.spec import ContractSpec, duration_micros
from linewright.errors import Transient
from linewright.features.encode import Columns, Instants, Levels, Numbers, Values
from linewright.features.facts import Category, Encoder, Frequency
from linewright.features.learn import to_columns
from linewright.line.alerts import newest_of, open_alerts
from linewright.line.factory import Factory
from linewright.line.facts import Accepted
from linewright.line.registry import judged
from linewright.line.spec import LineSpec
from linewright.line.work import Rows, read_rows
from linewright.model.facts import Evaluation, Metric, Package, Registered, Trained
from linewright.model.intervals import UNBOUNDED, Spread, bootstrap, units_of
from linewright.model.metrics import MetricRule, metric
from linewright.model.package import Model, load
from linewright.model.tasks import task
from linewright.release.facts import Promoted
from linewright.serve.facts import Prediction, Truth
from linewright.serve.log import read_log
from linewright.serve.scoring import Scorer
from linewright.store.seams import Version
from linewright.store.values import digest_of
from linewright.watch.alerts import news
from linewright.watch.facts import (
    Confirmations,
    Confirmed,
    Performance,
    Reference,
    RetrainProposal,
    Watched,
    Window,
)
from linewright.watch.monitors import find
from linewright.watch.spec import WatchSpec
from linewright.watch.spread import Tally, reference_of

REMEMBERED = 64
"""Closed windows that monitors look back on."""
YOUNG = 14
"""Windows at most whose confirmed positives are counted anew when one is closed."""
_BATCH = 2_000
_DRAWS = 400
_WEEK = 7 * 86_400 * 10**6
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class _Closing:
    """A window that is being closed, and whose predictions it holds."""

    factory: Factory
    spec: LineSpec
    watch: WatchSpec
    champion: Version
    model: Model
    past: Sequence[Watched]
    """Windows that were closed before, oldest first."""
    start: str
    end: str


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """What monitors look at when a window is closed."""

    window: Window
    performance: Performance | None
    confirmations: Confirmations | None


def close_window(factory: Factory, spec: LineSpec) -> Watched | None:
    """Close the window that has ended by now, if one has; after a pause, one window holds all that it missed.

    Returns
    -------
    Watched or None
        What was recorded; `None` where no window has ended, or nothing serves.

    Raises
    ------
    Transient
        If windows are closed far into the future, by a clock that was set back since; the next one ends after the last of them.
    """
    champion = _champion(factory, spec.line)
    if champion is None or spec.watch is None:
        return None
    newest = newest_of(factory, spec.line, Watched)
    start = newest.end if newest else _floor(_first_promotion(factory, spec.line), spec.watch)
    end = _floor(factory.now(), spec.watch)
    if end <= start:
        _refuse_future(spec, start, end)
        return None
    closing = _Closing(
        factory=factory,
        spec=spec,
        watch=spec.watch,
        champion=champion,
        model=load(champion.digest, factory.artifacts.get),
        past=closed_windows(factory, spec),
        start=start,
        end=end,
    )
    reference = _reference(closing)
    window, position = _count(closing, reference)
    judged = _Judged(window=window, performance=_performance(closing), confirmations=_confirmations(closing))
    return _record(closing, reference, judged, position)


def closed_windows(factory: Factory, spec: LineSpec) -> list[Watched]:
    """Return the closed windows that matter now, oldest first: those that monitors remember, and a label's delay more."""
    limit = REMEMBERED
    if spec.watch is not None and spec.label.delay is not None:
        limit += duration_micros(spec.label.delay) // max(1, duration_micros(spec.watch.every)) + 1
    return factory.metadata.events(Watched, line=spec.line, newest_first=True, limit=limit)[::-1]


def _record(
    closing: _Closing,
    reference: Reference,
    judged: _Judged,
    position: Mapping[str, int],
) -> Watched:
    window, performance, confirmations = judged.window, judged.performance, judged.confirmations
    factory, past = closing.factory, closing.past
    context, metadata, line = factory.context, factory.metadata, closing.spec.line
    windows = [*(metadata.get(one.window, Window) for one in past[-REMEMBERED:]), window]
    findings = find(reference, windows, closing.watch, performance, confirmations)
    watched = Watched(
        at=context.now(),
        by=context.actor,
        because=f"{window.n:,} predictions, {len(findings)} findings",
        line=line,
        window=metadata.keep(window),
        package=reference.package,
        performance=metadata.keep(performance) if performance else None,
        confirmations=metadata.keep(confirmations) if confirmations else None,
        start=window.start,
        end=window.end,
        n=window.n,
        findings=findings,
        position=dict(position),
    )
    # That a line trains no more by itself is no finding of a window, so no window can say that it is over.
    found = [one for one in open_alerts(factory, line) if one.monitor != "retraining"]
    told = news(found, [*past, watched], windows=closing.watch.drift.windows)
    for event in (*told.cleared, *told.alerted):
        metadata.record(event)
    metadata.record(
        watched
    )  # last: what a kill leaves out is found again, and an open alert is not told twice
    return watched


# The reference


def _reference(closing: _Closing) -> Reference:
    """Return how the champion's own data were spread; computed once for each package."""
    factory, spec, champion, model = closing.factory, closing.spec, closing.champion, closing.model
    metadata = factory.metadata
    cause = _cause(factory, champion)
    inputs = {"package": champion.digest, "contract": digest_of(spec.contract.model_dump(mode="json"))} | (
        {"since": cause} if cause else {}
    )
    key = digest_of({"station": "reference", "code": 1, "inputs": inputs})
    settled = metadata.settled(key)
    if settled is not None:
        return metadata.get(settled, Reference)
    trained = metadata.get(model.package.trained, Trained)
    dataset, split = metadata.get(trained.dataset, Dataset), metadata.get(trained.split, Split)
    rows = read_rows(factory, dataset, split)
    names = model.package.encoder.columns
    spread = to_columns(_recent(rows, split, spec, cause), names)
    answers = Scorer(model).columns(to_columns(rows.frame[rows.test], names))
    reference = reference_of(
        champion.digest,
        arrays(spread),
        predictions(answers, model.package),
        seen=seen_by(model.package.encoder),
        breaches=breaches(spread, spec.contract),
    )
    metadata.settle(key, line=spec.line, station="reference", inputs=inputs, digest=metadata.keep(reference))
    return reference


def _cause(factory: Factory, champion: Version) -> str | None:
    """Return since when there was what the champion was trained for; `None` where no monitor asked for it."""
    registered = factory.metadata.events(Registered, line=champion.line)
    run = next((one.run for one in registered if one.package == champion.digest), None)
    accepted = factory.metadata.events(Accepted, line=champion.line)
    proposal = next((one.proposal for one in accepted if one.run == run), None)
    if proposal is None:
        return None
    found = factory.metadata.get(proposal, RetrainProposal)
    return found.since if found.evidence else None


def _recent(rows: Rows, split: Split, spec: LineSpec, cause: str | None) -> pl.DataFrame:
    """Return the rows that live ones are compared with: the test part, or the latest week where that is longer.

    The model has learned from some of that week, but how columns are spread does not depend on it; less than a week would
    make each weekday look like a shift. Rows from before the change that a retraining answers are left out: beside them
    what the model was made for would be a shift again.
    """
    time = spec.table.time
    if split.by != "time" or time is None or not rows.frame[time].dtype.is_temporal():
        return rows.frame[rows.test]
    at = moments(rows.frame[time])
    start = at.max() - _WEEK
    if cause is not None:
        start = max(start, moments(pl.Series([datetime.fromisoformat(cause)]))[0])
    return rows.frame.filter(at >= min(at[rows.test].min(), start))


def arrays(columns: Columns) -> dict[str, np.ndarray]:
    """Return columns as `watch.spread` counts them. Dates and times move on by themselves and are left out."""
    return {name: _array(values) for name, values in columns.items() if not isinstance(values, Instants)}


def _array(values: Values) -> np.ndarray:
    if isinstance(values, Levels):
        # The entry for missing stands last, where the code -1 finds it.
        return np.array([*values.levels, None], dtype=object)[values.codes]
    assert isinstance(values, Numbers)  # noqa: S101 -- instants were left out
    return values.values


def predictions(answers: Sequence[Mapping[str, Any]], package: Package) -> np.ndarray:
    """Return what is watched of answers: the probability of the positive class, the class, or the number."""
    if package.task == "binary":
        positive = package.classes[-1]
        return np.array([one["probabilities"][positive] for one in answers], dtype=np.float64)
    kind = object if package.task == "multiclass" else np.float64
    return np.array([one["prediction"] for one in answers], dtype=kind)


def seen_by(encoder: Encoder) -> dict[str, frozenset[str]]:
    """Return the values that an encoder knows, by category column."""
    known: dict[str, frozenset[str]] = {}
    for encoding in encoder.encodings:
        if isinstance(encoding, Category | Frequency):
            known[encoding.column] = known.get(encoding.column, frozenset()) | set(encoding.levels)
    return known


def breaches(columns: Columns, contract: ContractSpec) -> dict[str, int]:
    """Count the rows that break the contract, by column: missing where not allowed, out of range, not allowed."""
    counts: dict[str, int] = {}
    for name, rule in contract.columns.items():
        values = columns.get(name)
        if isinstance(values, Numbers):
            x = values.values
            broken = np.isnan(x) & (not rule.nullable)
            for bound, is_out in ((rule.min, np.less), (rule.max, np.greater)):
                if isinstance(bound, int | float):
                    broken |= is_out(x, bound)
            counts[name] = int(broken.sum())
        elif isinstance(values, Levels):
            allowed = [rule.allowed is None or level in rule.allowed for level in values.levels]
            counts[name] = int((~np.array([*allowed, rule.nullable], dtype=bool)[values.codes]).sum())
    return {name: count for name, count in counts.items() if count}


# Counting


def _count(closing: _Closing, reference: Reference) -> tuple[Window, dict[str, int]]:
    spec, model = closing.spec, closing.model
    position = dict(closing.past[-1].position) if closing.past else {}
    seen = seen_by(model.package.encoder)
    tally, scorer = Tally(reference, seen=seen), Scorer(model)
    records = _until(closing.factory, spec.line, position, closing.end)
    while batch := list(islice(records, _BATCH)):
        ours = [one for one in batch if one.digest == model.digest]
        if ours:
            columns = scorer.read([one.row for one in ours])
            tally.add(
                arrays(columns),
                predictions([one.answer for one in ours], model.package),
                breaches=breaches(columns, spec.contract),
            )
    return tally.window(spec.line, closing.start, closing.end), position


def _until(factory: Factory, line: str, position: dict[str, int], end: str) -> Iterator[Prediction]:
    """Iterate over the records after `position` that came before `end`, and move `position` along.

    A record from the future is of a clock that was set back since: it is counted now, not when its time comes, since all
    that is behind it in its segment would wait with it.
    """
    done: set[str] = set()
    for one in read_log(factory.log_of(line), dict(position)):
        if one.segment in done:
            continue
        if end <= one.record.at <= factory.now():
            done.add(one.segment)
            continue
        position[one.segment] = one.end
        yield one.record


# Performance


def _performance(closing: _Closing) -> Performance | None:
    """Return how good the champion's predictions turned out to be, as far as it can be known without bias by now.

    Where a label's delay is declared, predictions are judged once it has passed, in the last `windows` windows; else
    those are judged whose label came in the window.
    """
    found = _matured(closing)
    if found is None:
        return None
    begun, end, pairs = found
    total, answers, labels = 0, list[dict[str, Any]](), list[str | float]()
    for record, truth in pairs:
        if record.digest == closing.model.digest:
            total += 1
            if truth is not None:
                answers.append(record.answer)
                labels.append(truth.label)
    if not total:
        return None
    rule = _headline(closing)
    spread = _spread(closing, rule, answers, labels) if labels else None
    low, high = spread.interval() if spread else (np.nan, np.nan)
    certified = _certified(closing.factory, closing.champion, rule.name)
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
    )


def _matured(closing: _Closing) -> tuple[str, str, Iterable[tuple[Prediction, Truth | None]]] | None:
    """Return from when until when predictions are judged, and those with their labels."""
    spec, past, feedback = closing.spec, closing.past, closing.factory.labels_of(closing.spec.line)
    if spec.label.delay is None:
        return closing.start, closing.end, feedback.arrived(closing.start, closing.end)
    ripe = earlier(closing.end, spec.label.delay)
    judged = [i for i, one in enumerate(past) if one.end <= ripe][-closing.watch.drift.windows :]
    if not judged:
        return None
    first, last = past[judged[0]], past[judged[-1]]
    before = past[judged[0] - 1].position if judged[0] else {}
    known = closing.factory.now()
    return first.start, last.end, feedback.labelled(known_by=known, after=before, until=last.position)


def _confirmations(closing: _Closing) -> Confirmations | None:
    """Count the positives that are confirmed by now in the last windows, beside those that the model expects."""
    package, past = closing.model.package, closing.past
    if package.task != "binary":
        return None
    positive, known = package.classes[-1], closing.factory.now()
    feedback = closing.factory.labels_of(closing.spec.line)
    windows: list[Confirmed] = []
    for i in range(max(0, len(past) - _looked_back(closing)), len(past)):
        if past[i].package != closing.champion.digest:
            continue
        before = past[i - 1].position if i else {}
        expected, positives = 0.0, 0
        for record, truth in feedback.labelled(known_by=known, after=before, until=past[i].position):
            if record.digest == closing.champion.digest:
                expected += record.answer["probabilities"][positive]
                positives += truth is not None and truth.label == positive
        windows.append(
            Confirmed(start=past[i].start, end=past[i].end, expected=_figure(expected), positives=positives)
        )
    if not windows:
        return None
    return Confirmations(line=closing.spec.line, package=closing.champion.digest, windows=tuple(windows))


def _looked_back(closing: _Closing) -> int:
    """Return how many windows are still young enough that labels of them may be news, at most `YOUNG`."""
    delay = closing.spec.label.delay
    waiting = duration_micros(delay) // max(1, duration_micros(closing.watch.every)) if delay else 0
    return min(YOUNG, waiting + closing.watch.drift.windows)


def _headline(closing: _Closing) -> MetricRule:
    named, task_name = closing.spec.train.metric, closing.model.package.task
    return metric(task(task_name).metrics[0] if named == "auto" else named, task_name)


def _spread(
    closing: _Closing,
    rule: MetricRule,
    answers: Sequence[Mapping[str, Any]],
    labels: Sequence[str | float],
) -> Spread:
    package = closing.model.package
    rules = task(package.task)
    truth = rules.target([str(label) for label in labels], package.classes)
    scores = _scores(answers, package)
    said = rules.decide(scores, package.threshold) if rule.uses == "decision" else scores
    weight = np.ones(len(truth))
    seed = closing.factory.context.seed(digest_of([package.graph, closing.start, closing.end]))
    made = bootstrap([rule.prepare(truth, said)], weight=weight, clusters=None, seed=seed, draws=_DRAWS)
    return Spread(
        value=float(made.values[0]),
        drawn=made.drawn[0],
        units=max(units_of(package.task, truth, weight, None, by_class=rule.by_class), 2),
        bounds=(0.0, 1.0) if rule.is_bounded else UNBOUNDED,
    )


def _error(spread: Spread) -> float:
    drawn = spread.drawn[np.isfinite(spread.drawn)]
    return float(drawn.std()) if len(drawn) > 1 else np.nan


def _scores(answers: Sequence[Mapping[str, Any]], package: Package) -> np.ndarray:
    if not package.classes:
        return np.array([one["prediction"] for one in answers], dtype=np.float64)
    return np.array(
        [[one["probabilities"][name] for name in package.classes] for one in answers], dtype=np.float64
    )


def _finite(value: float) -> float | None:
    return _figure(value) if np.isfinite(value) else None


def _figure(value: float) -> float:
    return float(f"{value:.10g}")


def _certified(factory: Factory, champion: Version, name: str) -> Metric | None:
    found = judged(factory, champion.line).get(champion.digest)
    if found is None:
        return None
    evaluation = factory.metadata.get(found.certificate.evaluation, Evaluation)
    return next((one for one in evaluation.metrics if one.name == name), None)


# Time


def _refuse_future(spec: LineSpec, start: str, end: str) -> None:
    assert spec.watch is not None  # noqa: S101 -- only lines with the section are watched
    if earlier(start, spec.watch.every) > end:
        raise Transient(
            "the clock was once far ahead, so no window is closed until it is there again",
            where=spec.line,
            found=f"windows up to {start[:16]}Z",
            allowed=f"up to {end[:16]}Z",
            hint="check that the clock of this machine is right; answers are logged and will be counted",
        )


def _champion(factory: Factory, line: str) -> Version | None:
    champion = factory.metadata.pointer(line).champion
    return next((one for one in factory.metadata.versions(line) if one.version == champion), None)


def _first_promotion(factory: Factory, line: str) -> str:
    return factory.metadata.events(Promoted, line=line, limit=1)[0].at


def _floor(at: str, watch: WatchSpec) -> str:
    """Return the last end of a window at or before an instant: windows are counted from 1970, UTC."""
    micros = (datetime.fromisoformat(at) - _EPOCH) // timedelta(microseconds=1)
    return _text(_EPOCH + timedelta(microseconds=micros - micros % max(1, duration_micros(watch.every))))


def earlier(at: str, duration: str) -> str:
    """Return the instant that lies a duration before another.

    Examples
    --------
    >>> earlier("2026-11-25T00:00:00.000000Z", "1d")
    '2026-11-24T00:00:00.000000Z'
    """
    return _text(datetime.fromisoformat(at) - timedelta(microseconds=duration_micros(duration)))


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
