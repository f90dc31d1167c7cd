"""How far the annotation of a line is: what is labelled, how far annotators agree, how each of them does, and what it changed."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.capabilities.annotation.allowed_labels import allowed_labels, champion_of
from linewright.capabilities.annotation.effect import LabelEffect, effect_of
from linewright.capabilities.annotation.label_dataset import unclosed
from linewright.capabilities.annotation.questions import annotator
from linewright.capabilities.annotation.queue import no_queue
from linewright.line.factory import Factory
from linewright.model.evaluate.per_class import Share
from linewright.people.annotations import Annotations, Answer, Batch, Question
from linewright.serve.feedback.parse import AllowedLabels
from linewright.store.values import digest_of

Level = Literal["nominal", "interval"]
"""What labels are: classes, or numbers whose differences mean something."""
DRAWS = 1_000
Floats = npt.NDArray[np.float64]


class Agreement(NamedTuple):
    """Krippendorff's alpha of some units."""

    alpha: float | None
    """1: they always agree; 0: as by chance; below 0: less often. `None` where all labels are alike, or no unit has two."""
    low: float | None
    high: float | None
    """95 % interval; `None` if there are fewer than 2 units, or draws have no alpha."""
    units: int
    """Units with at least two labels."""
    labels: int
    """Labels of these units."""


def krippendorff_alpha(units: Sequence[Sequence[str | float]], *, level: Level = "nominal") -> float | None:
    """Return Krippendorff's alpha [1]_.

    References
    ----------
    .. [1] K. Krippendorff, Computing Krippendorff's Alpha-Reliability, University of Pennsylvania, 2011,
       https://repository.upenn.edu/asc_papers/43.

    Examples
    --------
    >>> krippendorff_alpha([["a", "a"], ["b", "b"]]), krippendorff_alpha([["a", "a"]])
    (1.0, None)
    >>> round(krippendorff_alpha([[1.0, 1.5], [4.0, 4.5], [9.0, 8.0]], level="interval"), 3)
    0.977
    """
    pairs = _counted(units, level)
    return None if pairs is None else _alpha(pairs, np.ones((1, len(pairs.within))))[0]


def agreement_of(
    units: Sequence[Sequence[str | float]], *, level: Level = "nominal", seed: int, draws: int = DRAWS
) -> Agreement:
    """Return Krippendorff's alpha with its 95 % interval: percentiles of the bootstrap that draws whole units [1]_.

    References
    ----------
    .. [1] A. Zapf, S. Castell, L. Morawietz, A. Karch, Measuring inter-rater reliability for nominal data: which coefficients and
       confidence intervals are appropriate?, BMC Medical Research Methodology 16 (2016), 93.

    Examples
    --------
    >>> found = agreement_of([["a", "a"], ["b", "b"], ["a", "b"], ["b", "b"]] * 10, seed=1)
    >>> round(found.alpha, 2), found.low < found.alpha < found.high, found.units, found.labels
    (0.47, True, 40, 80)
    """
    counted = [unit for unit in units if len(unit) > 1]
    labels = sum(map(len, counted))
    pairs = _counted(units, level)
    if pairs is None:
        return Agreement(None, None, None, len(counted), labels)
    alpha = _alpha(pairs, np.ones((1, len(counted))))[0]
    low = high = None
    if len(counted) > 1:
        chance = np.random.default_rng(seed)
        weights = chance.multinomial(len(counted), np.full(len(counted), 1 / len(counted)), size=draws)
        drawn = [one for one in _alpha(pairs, weights.astype(np.float64)) if one is not None]
        # Of draws in which all labels are alike nothing is known: an interval of the others alone would be too narrow.
        if len(drawn) > draws // 2:
            low, high = (float(one) for one in np.percentile(drawn, [2.5, 97.5]))
    return Agreement(alpha, low, high, len(counted), labels)


class _Pairs(NamedTuple):
    """What alpha needs of each unit, so that units can be drawn again and again."""

    within: Floats
    """Sum of the disagreements of its ordered pairs of labels, over one less than its labels; shape (units,)."""
    counts: Floats
    """How often each value occurs in it, shape (units, values); for numbers: their count, sum and sum of squares, shape (units, 3)."""
    level: Level


def _counted(units: Sequence[Sequence[str | float]], level: Level) -> _Pairs | None:
    counted = [unit for unit in units if len(unit) > 1]
    if not counted:
        return None
    sizes = np.array([len(unit) for unit in counted], dtype=np.float64)
    if level == "nominal":
        values = {
            value: place for place, value in enumerate(dict.fromkeys(v for unit in counted for v in unit))
        }
        counts = np.zeros((len(counted), len(values)))
        for place, unit in enumerate(counted):
            for value in unit:
                counts[place, values[value]] += 1
        within = (sizes**2 - (counts**2).sum(axis=1)) / (sizes - 1)
        return _Pairs(within, counts, level)
    numbers = [np.array(unit, dtype=np.float64) for unit in counted]
    # Squares of small differences would vanish between large numbers; no scale and no origin changes alpha.
    every = np.concatenate(numbers)
    spread = float(np.ptp(every)) or 1.0
    scaled = [(unit - every.mean()) / spread for unit in numbers]
    moments = np.array([(len(unit), unit.sum(), (unit**2).sum()) for unit in scaled])
    within = np.array([2 * len(unit) * ((unit - unit.mean()) ** 2).sum() for unit in scaled]) / (sizes - 1)
    return _Pairs(within, moments, level)


def _alpha(pairs: _Pairs, weights: Floats) -> list[float | None]:
    """Return alpha for each row of weights of units, shape (draws, units)."""
    observed = weights @ pairs.within
    sums = weights @ pairs.counts
    if pairs.level == "nominal":
        n = sums.sum(axis=1)
        expected = n**2 - (sums**2).sum(axis=1)
    else:
        n, total, squares = sums.T
        expected = 2 * (n * squares - total**2)
        # Rounding leaves a trace of equal numbers.
        expected[expected <= 1e-12 * n * squares] = 0.0
    return [
        None if e <= 0 else float(1 - (many - 1) * o / e)
        for o, e, many in zip(observed, expected, n, strict=True)
    ]


_NAMED = 20
"""Questions that are named of those that wait for a decision."""


class AgreementStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Krippendorff's alpha of the questions that at least two annotators labelled."""

    level: Level
    alpha: float | None
    low: float | None
    high: float | None
    """95 % interval; `None` if there are too few questions to tell."""
    questions: int
    labels: int


class AnnotatorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What one annotator has done."""

    annotator: str
    labels: int
    skipped: int
    seconds: float | None
    """Median time of a label, of those whose time is known."""
    saw_prediction: int
    """Labels that were given with the answer of the model in sight."""
    gold_right: int | None = None
    gold: int | None = None
    """Of so many gold questions; `None` for those who may not queue questions, who could recognise gold questions by it."""
    gold_low: float | None = None
    gold_high: float | None = None
    """95 % interval of the share that is right."""


class AnnotationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far the annotation of a line is."""

    line: str
    batches: int
    annotators_a_question: int
    """Of the newest batch."""
    questions: int
    """Without gold questions."""
    open: int
    """Questions that wait for labels."""
    disputed: int
    """Questions that wait for a decision, since annotators disagree or could not say."""
    conflicts: int
    """Questions that wait for a decision, since other feedback contradicts the label."""
    kept: int
    """Questions whose label is feedback, or that of a row of a dataset version."""
    agreed: int
    """Questions whose label is not feedback yet, since something was interrupted: the next answer, or the start of `up`, hands it over."""
    gone: int
    """Questions whose prediction is stored no longer."""
    closed: int
    gold: int
    waiting: tuple[str, ...]
    """The first questions that wait for a decision."""
    agreement: AgreementStatus | None
    """`None` if no question has two labels."""
    annotators: tuple[AnnotatorStatus, ...]
    """Those with the most labels first. Those who may not queue questions see themselves alone."""
    effect: LabelEffect | None
    """`None` where fewer than 30 predictions of the champion are labelled."""
    rows: int = 0
    """Questions that are about rows of a dataset version."""
    unclosed: int = 0
    """Labels of such rows that no dataset version has yet: `annotate close` makes one."""


def status_of(factory: Factory, line: str) -> AnnotationStatus:
    """Return how far the annotation of a line is."""
    store = Annotations.of(factory.state, line)
    if not store.is_there():
        factory.require(line)
        raise no_queue(line)
    with store.reading() as held:
        batches = {one.number: one for one in held.batches()}
        questions, answers = held.questions(), held.answers()
    allowed = allowed_labels(factory, line)
    asked = [one for one in questions if one.gold is None]
    states = Counter(one.state for one in asked)
    waiting = [one.id for one in asked if one.state in {"disputed", "conflict"}]
    return AnnotationStatus(
        line=line,
        batches=len(batches),
        annotators_a_question=batches[max(batches)].annotators if batches else 1,
        questions=len(asked),
        open=states["open"],
        disputed=states["disputed"],
        conflicts=states["conflict"],
        kept=states["kept"],
        agreed=states["agreed"],
        gone=states["gone"],
        closed=states["closed"],
        gold=len(questions) - len(asked),
        waiting=tuple(waiting[:_NAMED]),
        agreement=_agreement(factory, line, allowed, answers),
        annotators=_annotators(factory, line, questions, answers, batches),
        effect=_effect(factory, line, asked, batches),
        rows=sum(one.dataset is not None for one in asked),
        unclosed=unclosed(factory, line, questions),
    )


def _effect(
    factory: Factory, line: str, questions: Sequence[Question], batches: Mapping[int, Batch]
) -> LabelEffect | None:
    if champion_of(factory, line) is None:
        return None
    kept = [one for one in questions if one.state == "kept" and one.dataset is None]
    return effect_of(factory, line, kept, batches)


def _agreement(
    factory: Factory, line: str, allowed: AllowedLabels, answers: Sequence[Answer]
) -> AgreementStatus | None:
    units: dict[str, list[Any]] = defaultdict(list)
    for one in answers:
        if one.kind != "decision" and one.label is not None:
            units[one.question].append(msgspec.json.decode(one.label))
    labelled = [unit for unit in units.values() if len(unit) > 1]
    if not labelled:
        return None
    level: Level = "nominal" if allowed.classes else "interval"
    found = agreement_of(labelled, level=level, seed=factory.context.seed(digest_of([line, labelled])))
    return AgreementStatus(
        level=level,
        alpha=found.alpha,
        low=found.low,
        high=found.high,
        questions=found.units,
        labels=found.labels,
    )


def _annotators(
    factory: Factory,
    line: str,
    questions: Sequence[Question],
    answers: Sequence[Answer],
    batches: Mapping[int, Batch],
) -> tuple[AnnotatorStatus, ...]:
    known = {one.id: one for one in questions}
    sees_all, me = factory.may("run", line), annotator(factory)
    by: dict[str, list[Answer]] = defaultdict(list)
    for one in answers:
        if one.kind != "decision" and (sees_all or one.by == me):
            by[one.by].append(one)
    found = [_annotator(name, theirs, known, batches, with_gold=sees_all) for name, theirs in by.items()]
    return tuple(sorted(found, key=lambda one: (-one.labels, one.annotator)))


def _annotator(
    name: str,
    answers: Sequence[Answer],
    questions: Mapping[str, Question],
    batches: Mapping[int, Batch],
    *,
    with_gold: bool,
) -> AnnotatorStatus:
    seconds = [one.seconds for one in answers if one.seconds is not None and one.label is not None]
    labels = [one for one in answers if one.label is not None]
    gold = [one for one in labels if questions[one.question].gold is not None]
    right = sum(_is_right(one, questions[one.question], batches) for one in gold)
    share = Share(rows=right, of=len(gold)) if with_gold and gold else None
    return AnnotatorStatus(
        annotator=name,
        labels=len(labels),
        skipped=len(answers) - len(labels),
        seconds=median(seconds) if seconds else None,
        saw_prediction=sum(one.saw for one in labels),
        gold_right=right if with_gold else None,
        gold=len(gold) if with_gold else None,
        gold_low=share.interval[0] if share else None,
        gold_high=share.interval[1] if share else None,
    )


def _is_right(answer: Answer, question: Question, batches: Mapping[int, Batch]) -> bool:
    if answer.label == question.gold:
        return True
    said, known = msgspec.json.decode(answer.label or "null"), msgspec.json.decode(question.gold or "null")
    is_number = isinstance(said, (int, float)) and isinstance(known, (int, float))
    return is_number and abs(said - known) <= batches[question.batch].tolerance
