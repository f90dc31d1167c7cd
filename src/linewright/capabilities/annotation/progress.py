"""How far the annotation of a line is: what is labelled, how far annotators agree, how each of them does, and what it changed."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import msgspec

from linewright.capabilities.annotation.agreement import Level, agreement_of
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
