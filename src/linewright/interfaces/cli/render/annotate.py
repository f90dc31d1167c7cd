"""Annotation: the next question, and what became of answers."""

from linewright.interfaces.cli.render.dispatch import renderer
from linewright.interfaces.cli.text import pairs
from linewright.line.annotate.questions import AnswerTaken, NextQuestion
from linewright.line.annotate.queue import Queued
from linewright.text.numbers import count


@renderer.register
def queued_text(queued: Queued) -> str:
    """Say what is to be labelled."""
    if queued.batch is None:
        return f"{queued.line}: {count(queued.closed, 'question')} closed"
    gold = f", and {count(queued.gold, 'gold question')}" if queued.gold else ""
    return (
        f"{queued.line}: {count(queued.questions, 'question')} of {queued.pool:,} predictions without a label{gold} "
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
    if taken.undone:
        return f"{taken.question}: undone; it is your next question"
    said = "skipped" if taken.label is None else str(taken.label)
    return f"{taken.question}: {said}{' (it was there already)' if taken.repeated else ''}"
