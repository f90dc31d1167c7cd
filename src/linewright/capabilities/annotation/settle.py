"""Labels that people have settled become feedback, once each, whatever is killed and when; those of rows of a dataset wait for the closing.

An answer is durable before its annotator hears that it was taken. Then the label goes to the feedback and the event to the record, in a
second transaction. A kill in between leaves the question ``agreed``, and the next call settles it.
Feedback counts an equal label once, and the event is looked for before it is recorded again.
"""

from collections.abc import Sequence

import msgspec

from linewright.errors import Conflict
from linewright.line.factory import Factory
from linewright.people.annotations import Annotations, Answer, Batch, Question, Transaction
from linewright.people.facts import LabelSettled
from linewright.serve.feedback.apply import text_of
from linewright.serve.feedback.parse import AllowedLabels, Label
from linewright.serve.feedback.store import Feedback


def state_after(
    question: Question, batch: Batch, answers: Sequence[Answer], allowed: AllowedLabels
) -> Question:
    """Return a question with the state and the label that its answers give it."""
    if question.gold is not None or question.state in {"gone", "closed"}:
        return question
    decision = next((one for one in answers if one.kind == "decision"), None)
    if decision is not None:
        return question._replace(state="agreed", label=decision.label)
    said = [one.label for one in answers if one.label is not None]
    if len(said) >= batch.annotators:
        label = _common(said, batch.tolerance, allowed)
        return question._replace(state="disputed" if label is None else "agreed", label=label)
    cannot_say = len(answers) - len(said)
    state = (
        "disputed"
        if cannot_say >= max(2, batch.annotators) or (cannot_say and batch.annotators == 1)
        else "open"
    )
    return question._replace(state=state, label=None)


def _common(said: Sequence[str], tolerance: float, allowed: AllowedLabels) -> str | None:
    """Return the label that all gave, of numbers their mean if they are near enough to each other; `None` where they disagree."""
    if len(set(said)) == 1:
        return said[0]
    if allowed.classes:
        return None
    numbers = [msgspec.json.decode(one, type=float) for one in said]
    if max(numbers) - min(numbers) > tolerance:
        return None
    mean = sum(numbers) / len(numbers)
    is_whole = any(one.name == allowed.label and one.type == "integer" for one in allowed.columns)
    return msgspec.json.encode(float(round(mean)) if is_whole else mean).decode()


def settle(factory: Factory, line: str) -> None:
    """Make feedback of each label that is settled and is none yet."""
    store = Annotations.of(factory.state, line)
    if not store.is_there():
        return
    with store.reading() as held:
        if not held.questions("agreed"):
            return
    feedback, done = factory.labels_of(line), 0
    while True:
        # A transaction each: a kill repeats at most one.
        with store.transaction() as held:
            if not held.questions("agreed"):
                return
            _settle_one(factory, line, feedback, held, done=done)
            done += 1


def _settle_one(factory: Factory, line: str, feedback: Feedback, held: Transaction, *, done: int) -> None:
    question = held.questions("agreed")[0]
    answers, now = held.answers(question.id), factory.now()
    if (
        question.dataset is not None
    ):  # no feedback: what its label comes to follows at the closing, see `annotate.label_dataset`
        _note_kept(factory, line, question, answers, held, done=done)
        return
    try:
        became = feedback.accept_checked([_label(question, answers, feedback)])
    except Conflict:
        found = feedback.find(question.prediction)
        other = text_of(found[1].label) if found and found[1] else None
        held.replace(question._replace(state="conflict", kept=other, at=now, recorded=0))
        return
    if became["unknown"]:
        held.replace(question._replace(state="gone", at=now))
        return
    _note_kept(factory, line, question, answers, held, done=done)


def _note_kept(
    factory: Factory,
    line: str,
    question: Question,
    answers: Sequence[Answer],
    held: Transaction,
    *,
    done: int,
) -> None:
    if not (question.recorded and question.kept == question.label):
        _record(factory, line, question, answers, done=done)
    held.replace(question._replace(state="kept", kept=question.label, at=factory.now(), recorded=1))


def _label(question: Question, answers: Sequence[Answer], feedback: Feedback) -> Label:
    """Return what goes to the feedback. It corrects what these annotators gave before; what others gave, only by a decision."""
    label = msgspec.json.decode(question.label or "null")
    named, corrects = (question.prediction, None), None
    is_decided = any(one.kind == "decision" for one in answers)
    if question.kept not in {None, question.label} and (question.recorded or is_decided):
        corrects = msgspec.json.decode(question.kept or "null")
        found = feedback.find(question.prediction)
        if found and found[1] and found[1].by == "key":
            named = (None, found[0].key)
    return Label(number=0, id=named[0], key=named[1], label=label, at=None, corrects=corrects)


def givers_of(answers: Sequence[Answer]) -> tuple[tuple[str, ...], str]:
    """Return who gave the label of a question, and who decided between them; the latter is empty where they agreed."""
    given = tuple(one.by for one in answers if one.kind != "decision" and one.label is not None)
    return given, next((one.by for one in answers if one.kind == "decision"), "")


def _record(factory: Factory, line: str, question: Question, answers: Sequence[Answer], done: int) -> None:
    given, decided = givers_of(answers)
    last = answers[-1]
    # One that a kill left in the record alone is the last of before, since each is recorded in the transaction of the file.
    found = factory.metadata.events(LabelSettled, line=line, newest_first=True, limit=done + 1)
    if any(one.question == question.id and one.answer == last.number for one in found):
        return
    factory.metadata.record(
        LabelSettled(
            at=factory.now(),
            by=last.by,
            because="labelled",
            line=line,
            batch=question.batch,
            question=question.id,
            prediction=question.prediction if question.dataset is None else "",
            answer=last.number,
            annotators=given,
            decided=decided,
            dataset=question.dataset or "",
            row=question.row,
        )
    )
