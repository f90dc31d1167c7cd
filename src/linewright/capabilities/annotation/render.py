"""Annotation: the next question, and what became of answers."""

import json

from linewright.capabilities.annotation.effect import LAST, LabelEffect
from linewright.capabilities.annotation.label_studio import Exported, Imported
from linewright.capabilities.annotation.progress import AgreementStatus, AnnotationStatus, AnnotatorStatus
from linewright.capabilities.annotation.questions import AnswerTaken, NextQuestion
from linewright.capabilities.annotation.queue import Queued
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.text import cell, pairs, table
from linewright.interfaces.cli.words import short
from linewright.text.numbers import count


@renderer.register
def queued_text(queued: Queued) -> str:
    """Say what is to be labelled."""
    if queued.batch is None:
        closed = f"{queued.line}: {count(queued.closed, 'question')} closed"
        if queued.dataset is None:
            return closed
        return (
            f"{closed}; {count(queued.labels, 'labelled row')} in dataset version {short(queued.dataset)}\n"
            f"next: linewright run {queued.line}"
        )
    what = "predictions" if queued.dataset is None else f"rows of {short(queued.dataset)}"
    gold = f", and {count(queued.gold, 'gold question')}" if queued.gold else ""
    return (
        f"{queued.line}: {count(queued.questions, 'question')} of {queued.pool:,} {what} without a label{gold} "
        f"(batch {queued.batch})\nnext: linewright annotate next {queued.line}"
    )


@renderer.register
def next_text(found: NextQuestion) -> str:
    """Say the row, what may be said of it, and how."""
    if found.consent:
        return f"{found.consent}\nnext: linewright annotate next {found.line} --consent"
    if found.question is None:
        return f"{found.line}: nothing waits for you; {count(found.done, 'question')} done"
    asked = found.question
    said = [
        *([asked.instructions] if asked.instructions else []),
        pairs([(name, value) for name, value in asked.row.items()]),
    ]
    if asked.prediction is not None:
        said.append(f"the model says: {asked.prediction.get('prediction')}")
    said += [
        f"somebody says: {'cannot say' if one.label is None else one.label}"
        + (f" ({one.because})" if one.because else "")
        for one in asked.given
    ]
    command = "adjudicate" if asked.given else "answer"
    label = "|".join(asked.classes) or "NUMBER"
    return "\n".join(
        [
            *said,
            f"next: linewright annotate {command} {found.line} {asked.id} --label {label}",
            f"{count(found.left, 'question')} left, {found.done:,} done",
        ]
    )


@renderer.register
def taken_text(taken: AnswerTaken) -> str:
    """Say what is kept."""
    about = taken.key or taken.question
    if taken.undone:
        said = "skipped it" if taken.said is None else f"said {taken.said}"
        return f"{about}: undone; you had {said}, and it is your next question"
    said = "skipped" if taken.label is None else str(taken.label)
    return f"{about}: {said}{' (it was there already)' if taken.repeated else ''}"


@renderer.register
def status_text(found: AnnotationStatus) -> str:
    """Say how far it is, the agreement, each annotator, and what the last labels changed."""
    counts = {
        "open": found.open,
        "disputed": found.disputed,
        "contradict other feedback": found.conflicts,
        "not feedback yet": found.agreed,
        "of predictions that are stored no longer": found.gone,
        "closed": found.closed,
    }
    others = ", ".join(f"{number:,} {what}" for what, number in counts.items() if number)
    said = [
        f"{found.line}: {found.kept:,} of {count(found.questions, 'question')} labelled{f'; {others}' if others else ''}",
        *([_agreement(found.agreement)] if found.agreement else []),
        *([_annotators(found.annotators)] if found.annotators else []),
        *([_effect(found.effect)] if found.effect else []),
    ]
    if found.unclosed:
        rows = count(found.unclosed, "label")
        said.append(f"{rows} of rows that no dataset version has yet: linewright annotate close {found.line}")
    if found.waiting:
        said.append(f"next: linewright annotate next {found.line} --decide")
    elif found.open:
        said.append(f"next: linewright annotate next {found.line}")
    else:
        said.append(f"next: linewright annotate queue {found.line}")
    return "\n".join(said)


def _agreement(found: AgreementStatus) -> str:
    if found.alpha is None:
        return f"agreement: is unclear from {count(found.questions, 'question')} whose labels are all alike"
    between = (
        f", 95 % between {cell(found.low)} and {cell(found.high)}"
        if found.low is not None and found.high is not None
        else ""
    )
    return (
        f"agreement: Krippendorff's alpha ({found.level}) {cell(found.alpha)}{between}, "
        f"of {count(found.questions, 'question')} with two labels"
    )


def _annotators(found: tuple[AnnotatorStatus, ...]) -> str:
    rows = [
        (
            one.annotator,
            one.labels,
            one.skipped,
            one.seconds,
            one.saw_prediction,
            None if not one.gold else f"{one.gold_right} of {one.gold}",
            None if one.gold_low is None else f"{cell(one.gold_low)} to {cell(one.gold_high)}",
        )
        for one in found
    ]
    header = ["annotator", "labels", "skipped", "median s", "saw prediction", "gold right", "95 %"]
    return table(header, rows)


def _effect(found: LabelEffect) -> str:
    if found.value is None or found.change is None:
        return f"{found.metric} of {found.model}: is unclear from {count(found.labels, 'label')}"
    text = (
        f"{found.metric} of {found.model} by {count(found.labels, 'label')}: {cell(found.value)} "
        f"({cell(found.low)} to {cell(found.high)}); the last {found.last} changed it by {cell(found.change)} "
        f"({cell(found.change_low)} to {cell(found.change_high)})"
    )
    return f"{text}\n{_more(found)}"


def _more(found: LabelEffect) -> str:
    match found.more:
        case "decided":
            return f"more labels would not change whether it clears {cell(found.bar)}"
        case "decide":
            many = f"about {count(found.needed, 'more label')}" if found.needed else "many more labels"
            return f"{many} would decide whether it clears {cell(found.bar)}"
        case "narrow":
            return (
                f"another {LAST} labels would narrow the interval to about "
                f"{cell(found.next_low)} to {cell(found.next_high)}"
            )
        case "little":
            return f"another {LAST} labels would hardly narrow the interval"


@renderer.register
def exported_text(done: Exported) -> str:
    """Say which file has it, or all of it."""
    if not done.out:
        return json.dumps(done.content, indent=1, ensure_ascii=False)
    gone = (
        f"; {count(done.gone, 'question')} left out, whose prediction is stored no longer"
        if done.gone
        else ""
    )
    return f"{done.out}: {count(done.tasks, 'task')}, {count(done.annotations, 'annotation')}{gone}"


@renderer.register
def imported_text(done: Imported) -> str:
    """Say what became of it."""
    text = (
        f"{done.line}: {count(done.accepted, 'annotation')} accepted, {done.repeated:,} there already, "
        f"{done.conflicts:,} in conflict; {count(done.unknown, 'task')} about nothing that is known here"
    )
    return "\n".join([text, *(f"  {place}" for place in done.first)])
