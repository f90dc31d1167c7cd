"""Annotation: a queue of predictions or rows that people label, what they say, and what their labels change."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from linewright.capabilities.annotation.label_studio import Exported, Imported, export_tasks, import_tasks
from linewright.capabilities.annotation.progress import AnnotationStatus, status_of
from linewright.capabilities.annotation.questions import (
    MOST_REASON,
    MOST_SECONDS,
    AnswerTaken,
    NextQuestion,
    answer_question,
    next_question,
    undo_answer,
)
from linewright.capabilities.annotation.queue import MOST, Queued, QueueSettings, close_queue, make_queue
from linewright.capabilities.annotation.settle import settle
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.operations.declare import operation

Size = Annotated[int, Meta(ge=1, le=MOST)]
Share = Annotated[float, Meta(ge=0, le=0.5)]
Text = Annotated[str, Meta(max_length=10_000)]
Label = Annotated[str, Meta(max_length=10_000)]
Seconds = Annotated[float, Meta(ge=0, le=MOST_SECONDS)]
Reason = Annotated[str, Meta(max_length=MOST_REASON)]
Annotators = Annotated[int, Meta(ge=1, le=2)]
Tolerance = Annotated[float, Meta(ge=0)]


@operation(permission="run", effect="act", expensive=True, files={"rows": "in"})
def annotate_queue(
    factory: Factory,
    line: str,
    /,
    *,
    size: Size = 100,
    annotators: Annotators = 1,
    gold: Share = 0.0,
    tolerance: Tolerance = 0.0,
    consent: Text = "",
    instructions: Text = "",
    columns: tuple[str, ...] = (),
    rows: Path | None = None,
) -> Queued:
    """Queue predictions without a label, for annotators to label.

    They are drawn from the prediction log: those that the model is unsure of and that differ from each other, and a fifth at random. Each
    call adds a batch. Annotators see the rows of the queue, and no others.

    Parameters
    ----------
    line
        Name of the line.
    size
        How many to queue; fewer where fewer have no label.
    annotators
        How many people label each question: 1 or 2. If 2 disagree a third one decides.
    gold
        Share of gold questions, by which annotators are checked: predictions whose label is known.
    tolerance
        Largest difference between two numbers that agree; their mean is the label.
    consent
        Text that annotators consent to before the first question.
    instructions
        Text that they see with each question.
    columns
        Columns that they see (default: all but the label).
    rows
        File of rows; the champion predicts them first, and the batch is drawn from them alone.
    """
    settle(factory, line)
    settings = QueueSettings(
        size=size,
        annotators=annotators,
        gold_share=gold,
        tolerance=tolerance,
        consent=consent,
        instructions=instructions,
        columns=columns,
    )
    return make_queue(factory, line, settings, rows=rows)


@operation(permission="run", effect="act", expensive=True)
def annotate_queue_rows(
    factory: Factory,
    line: str,
    /,
    *,
    dataset: str = "newest",
    size: Size = 100,
    annotators: Annotators = 1,
    gold: Share = 0.0,
    tolerance: Tolerance = 0.0,
    consent: Text = "",
    instructions: Text = "",
    columns: tuple[str, ...] = (),
) -> Queued:
    """Queue rows of a dataset version without a label, for annotators to label.

    They are drawn as `annotate queue` draws predictions, by difference alone if the line has no champion. `annotate close` makes a dataset
    version of their labels.

    Parameters
    ----------
    line
        Name of the line.
    dataset
        Digest of a dataset version, its beginning, or ``newest``.
    size
        How many to queue; fewer where fewer have no label.
    annotators
        How many people label each question: 1 or 2. If 2 disagree a third one decides.
    gold
        Share of gold questions, by which annotators are checked: rows that have a label.
    tolerance
        Largest difference between two numbers that agree; their mean is the label.
    consent
        Text that annotators consent to before the first question.
    instructions
        Text that they see with each question.
    columns
        Columns that they see (default: all but the label).
    """
    settle(factory, line)
    settings = QueueSettings(
        size=size,
        annotators=annotators,
        gold_share=gold,
        tolerance=tolerance,
        consent=consent,
        instructions=instructions,
        columns=columns,
    )
    return make_queue(factory, line, settings, dataset=dataset)


@operation(permission="run", effect="act", expensive=True)
def annotate_close(factory: Factory, line: str, /) -> Queued:
    """Close the questions of a line that wait for labels; what was labelled stays.

    Labels of predictions are feedback by then. Labelled rows of dataset versions become a separate one: the next run gives the labels to
    rows that the sources have without one.

    Parameters
    ----------
    line
        Name of the line.
    """
    settle(factory, line)
    return close_queue(factory, line)


@operation(permission="annotate", effect="act")
def annotate_next(
    factory: Factory,
    line: str,
    /,
    *,
    with_prediction: bool = False,
    consent: bool = False,
    decide: bool = False,
) -> NextQuestion:
    """Show your next question; for ten minutes nobody else gets it.

    Nobody gets a question again that they have labelled or skipped, and nobody sees what another annotator said of an open one.

    Parameters
    ----------
    line
        Name of the line.
    with_prediction
        Show the answer of the model too; that it was seen is kept with the label.
    consent
        Consent to the text of the queue.
    decide
        Show a question about which others disagree, with what they said.
    """
    return next_question(factory, line, with_prediction=with_prediction, consent=consent, decide=decide)


@operation(permission="annotate", effect="act")
def annotate_answer(
    factory: Factory,
    line: str,
    question: str,
    /,
    *,
    label: Label | None = None,
    seconds: Seconds | None = None,
    skip: bool = False,
    because: Reason = "",
) -> AnswerTaken:
    """Label a question, or skip it.

    The answer survives loss of power once this returns. A label on which all annotators of the question agree becomes feedback.

    Parameters
    ----------
    line
        Name of the line.
    question
        Its id, as `annotate next` shows it.
    label
        A class as it is spelled in the training data, or a number.
    seconds
        How long the row was looked at.
    skip
        Say that the label is unclear from the row.
    because
        Why it is unclear.
    """
    if skip == (label is not None):
        raise RequestError(
            "a question gets a label or is skipped",
            where="--label",
            found="both" if skip else "neither",
            allowed="one of --label, --skip",
        )
    return answer_question(factory, line, question, label=label, seconds=seconds, because=because)


@operation(permission="annotate", effect="act")
def annotate_adjudicate(
    factory: Factory,
    line: str,
    question: str,
    /,
    *,
    label: Label,
    seconds: Seconds | None = None,
    because: Reason = "",
) -> AnswerTaken:
    """Decide a question on which annotators disagree, or that contradicts other feedback.

    Nobody decides a question that they have labelled. The decision becomes feedback, and corrects what there was.

    Parameters
    ----------
    line
        Name of the line.
    question
        Its id, as `annotate next --decide` shows it.
    label
        A class as it is spelled in the training data, or a number.
    seconds
        How long it took.
    because
        Why.
    """
    return answer_question(
        factory, line, question, label=label, seconds=seconds, because=because, decide=True
    )


@operation(permission="annotate", effect="act")
def annotate_undo(factory: Factory, line: str, /, *, question: str = "") -> AnswerTaken:
    """Take back your last answer, and get its question again.

    Feedback that came of it stays until the question gets another label, which then corrects it.

    Parameters
    ----------
    line
        Name of the line.
    question
        Id of the question whose answer to undo (default: that of your last answer).
    """
    return undo_answer(factory, line, question)


@operation(permission="view", effect="read", expensive=True)
def annotate_status(factory: Factory, line: str, /) -> AnnotationStatus:
    """Show how far annotators are, how far they agree, and what the last hundred labels changed.

    Those who may not queue questions see of the annotators themselves alone, and nothing of gold questions.

    Parameters
    ----------
    line
        Name of the line.
    """
    return status_of(factory, line)


@operation(permission="view-rows", effect="act", expensive=True, files={"out": "new"})
def annotate_export(factory: Factory, line: str, /, *, out: Path | None = None) -> Exported:
    """Write the questions of a line and what was said of them, in Label Studio's JSON.

    Parameters
    ----------
    line
        Name of the line.
    out
        A new file to write it to (default: it is printed).
    """
    return export_tasks(factory, line, out)


@operation(permission="run", effect="act", expensive=True, files={"file": "in"})
def annotate_import(factory: Factory, line: str, file: Path, /) -> Imported:
    """Take over annotations from a file in Label Studio's JSON.

    Tasks name a question by the field ``linewright:question`` of their data, or a prediction by ``linewright:prediction``. An equal
    annotation counts once. The names of annotators are kept as unverified.

    Parameters
    ----------
    line
        Name of the line.
    file
        A project that was exported as JSON: a list of tasks with their annotations.
    """
    return import_tasks(factory, line, file)
