"""Annotations in Label Studio's JSON [1]_: tasks with their data, and annotations with who, how long, and a result.

A row is the ``data`` of its task, with two more fields, ``linewright:question`` and ``linewright:prediction``, by which annotations find
back. A class is a result of type ``choices``, a number one of type ``number``. A skipped question is an annotation that ``was_cancelled``;
a decision between annotators is one that is ``ground_truth``. Gold questions are exported without saying so.

References
----------
.. [1] Label Studio Task Format, https://labelstud.io/guide/task_format.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from linewright.capabilities.annotation.allowed_labels import allowed_labels
from linewright.capabilities.annotation.question_rows import question_rows
from linewright.capabilities.annotation.questions import MOST_REASON, MOST_SECONDS, visible_row
from linewright.capabilities.annotation.queue import new_question, no_queue
from linewright.capabilities.annotation.settle import settle, state_after
from linewright.errors import Conflict, NotFound, RequestError
from linewright.line.factory import Factory
from linewright.line.personal import hidden_columns, row_without_personal
from linewright.line.record.registry import find_model
from linewright.people.annotations import Annotations, Answer, Batch, Question, Transaction
from linewright.people.facts import QuestionsQueued
from linewright.serve.feedback.apply import text_of
from linewright.serve.feedback.parse import AllowedLabels, check_labels
from linewright.serve.files import write_whole
from linewright.store.files.disk import explained
from linewright.store.files.rights import as_asked

QUESTION, PREDICTION = "linewright:question", "linewright:prediction"
CONTROL, OBJECT = "label", "row"
"""``from_name`` and ``to_name`` of results: the names of the tags in a labelling configuration."""
MOST_BYTES = 256 * 2**20
MOST_TASKS = 100_000
_MOST_NAME = 200
"""Characters of the name of an annotator."""
_MOST_TOLD = 5
_UNVERIFIED = " (unverified)"


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """Annotations that were written to a file."""

    line: str
    out: str
    """The file; empty if the caller named none."""
    tasks: int
    annotations: int
    gone: int
    """Questions whose row is stored no longer: they are left out."""
    content: tuple[dict[str, Any], ...] = ()
    """The tasks, if the caller named no file."""


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the annotations of a file."""

    line: str
    tasks: int
    """Those that have annotations."""
    accepted: int
    repeated: int
    """Annotations that were there already."""
    unknown: int
    """Tasks that name neither a question of the line nor one of its predictions; nothing of them is kept."""
    conflicts: int
    """Annotations that contradict what the same annotator said before, or that come too late; nothing of them is kept."""
    first: tuple[str, ...] = ()
    """Places of the first tasks that are unknown or whose annotations are in conflict."""


def export_tasks(factory: Factory, line: str, out: Path | None) -> Exported:
    """Write all questions of a line with what was said of them."""
    store = Annotations.of(factory.state, line)
    if not store.is_there():
        factory.require(line)
        raise no_queue(line)
    settle(factory, line)
    with store.reading() as held:
        batches = {one.number: one for one in held.batches()}
        questions, answers = held.questions(), held.answers()
    allowed = allowed_labels(factory, line)
    by_question: dict[str, list[Answer]] = {}
    for one in answers:
        by_question.setdefault(one.question, []).append(one)
    asked = question_rows(factory, line, questions)
    tasks, hidden = list[dict[str, Any]](), hidden_columns(factory, line)
    for question in questions:
        found = asked.get(question.id)
        if found is None:
            continue
        row = row_without_personal(visible_row(found.row, batches[question.batch], allowed), hidden)
        named = {PREDICTION: question.prediction} if question.dataset is None else {}
        data = {**row, QUESTION: question.id, **named}
        number = len(tasks) + 1
        said = [_annotation(one, number, allowed) for one in by_question.get(question.id, [])]
        tasks.append({"id": number, "data": data, "annotations": said})
    if out is not None:
        _write_new(out, tasks)
    return Exported(
        line=line,
        out=str(out or ""),
        tasks=len(tasks),
        annotations=sum(len(one["annotations"]) for one in tasks),
        gone=len(questions) - len(tasks),
        content=() if out is not None else tuple(tasks),
    )


def _write_new(out: Path, tasks: Sequence[Mapping[str, Any]]) -> None:
    if out.exists():
        raise Conflict("there is a file of that name already", where=str(out), hint="give another name")
    with explained(out, "the file of annotations"):
        write_whole(out, msgspec.json.format(msgspec.json.encode(tasks), indent=1))
        as_asked(out)


def _annotation(answer: Answer, task: int, allowed: AllowedLabels) -> dict[str, Any]:
    label = None if answer.label is None else msgspec.json.decode(answer.label)
    kind, value = ("choices", {"choices": [label]}) if allowed.classes else ("number", {"number": label})
    result = {"from_name": CONTROL, "to_name": OBJECT, "type": kind, "value": value}
    return {
        "id": answer.number,
        "task": task,
        "completed_by": {"email": answer.by},
        "created_at": answer.at,
        "updated_at": answer.at,
        "lead_time": answer.seconds,
        "was_cancelled": label is None,
        "ground_truth": answer.kind == "decision",
        "result": [] if label is None else [result],
        **({"meta": {"because": answer.because}} if answer.because else {}),
    }


class _Given(NamedTuple):
    """One annotation of a task, as it was read."""

    by: str
    label: str | None
    because: str
    seconds: float | None
    is_decision: bool


class _Task(NamedTuple):
    place: str
    question: str | None
    prediction: str | None
    given: tuple[_Given, ...]


def import_tasks(factory: Factory, line: str, file: Path) -> Imported:
    """Keep the annotations of a file; all of them are read before one is kept, and an equal one counts once.

    Nobody has authenticated who gave them, and the name that is kept says so. A task about a prediction that is not queued becomes a
    new question.
    """
    allowed = allowed_labels(factory, line)
    read = [_task(one, f"tasks[{number}]", allowed) for number, one in enumerate(_read(file))]
    tasks = [one for one in read if one.given]
    settle(factory, line)
    counts = {"accepted": 0, "repeated": 0, "unknown": 0, "conflicts": 0}
    first: list[str] = []
    store = Annotations.of(factory.state, line)
    predicted = {one.prediction for one in tasks if one.prediction is not None}
    logged = set(factory.labels_of(line).find_all(predicted))
    if not (logged or store.is_there()):  # nothing of it is known here: the line gets no file of annotations
        first += [one.place for one in tasks[:_MOST_TOLD]]
        counts["unknown"] = len(tasks)
        return Imported(line=line, tasks=len(tasks), **counts, first=tuple(first))
    with store.transaction() as held:
        batches = {one.number: one for one in held.batches()}
        importing = _Importing(factory, line, held, allowed, batches)
        for task in tasks:
            question = importing.question_of(task, logged)
            became = ["unknown"] if question is None else importing.keep(question, task)
            for each in became:
                counts[each] += 1
            if {"unknown", "conflicts"} & set(became):
                first.append(task.place)
        importing.record()
    settle(factory, line)
    return Imported(line=line, tasks=len(tasks), **counts, first=tuple(first[:_MOST_TOLD]))


class _Importing:
    """Keeps annotations in one transaction."""

    def __init__(
        self,
        factory: Factory,
        line: str,
        held: Transaction,
        allowed: AllowedLabels,
        batches: dict[int, Batch],
    ) -> None:
        self._factory, self._line, self._held, self._allowed = factory, line, held, allowed
        self._batches, self._now = batches, factory.now()
        self._new: list[Question] = []
        self._own: Batch | None = None
        """The batch of those that are about predictions which were not queued."""

    def question_of(self, task: _Task, logged: set[str]) -> Question | None:
        """Return the question that a task is about, a new one if it names a logged prediction that is not queued."""
        if task.question is not None and (found := self._held.question(task.question)) is not None:
            return found
        if task.prediction is None:
            return None
        found = self._held.question_about(task.prediction)
        if found is not None or task.prediction not in logged:
            return found
        batch = self._batch()
        made = new_question(self._factory, task.prediction, "imported", -1)
        made = made._replace(batch=batch.number, place=self._held.end_place())
        self._held.add_questions([made])
        self._new.append(made)
        return made

    def _batch(self) -> Batch:
        if self._own is None:
            self._own = Batch(
                number=max(self._batches, default=0) + 1,
                at=self._now,
                by=self._factory.actor,
                package=find_model(self._factory, self._line).digest,
                annotators=1,
                gold_share=0.0,
                tolerance=0.0,
                consent="",
                instructions="",
                columns="",
                pool="[]",
                closed=None,
            )
            self._batches[self._own.number] = self._own
            self._held.add_batch(self._own, [])
        return self._own

    def keep(self, question: Question, task: _Task) -> list[str]:
        """Keep the annotations of a task; return what became of each."""
        became = [self._keep_one(question, one) for one in task.given]
        if "accepted" in became and question.state not in {"gone", "closed"}:
            answers = self._held.answers(question.id)
            after = state_after(question, self._batches[question.batch], answers, self._allowed)
            self._held.replace(after._replace(at=self._now))
        return became

    def _keep_one(self, question: Question, given: _Given) -> str:
        answers = self._held.answers(question.id)
        before = next((one for one in answers if one.by in {given.by, _unverified(given.by)}), None)
        if before is not None:
            return "repeated" if before.label == given.label else "conflicts"
        is_late = question.gold is None and question.state not in {"open", "disputed"}
        if is_late or (given.is_decision and question.state != "disputed"):
            return "conflicts"
        kind = "decision" if given.is_decision else "import"
        self._held.add_answer(
            Answer(
                number=0,
                question=question.id,
                by=_unverified(given.by),
                kind=kind,
                label=given.label,
                because=given.because,
                seconds=given.seconds,
                saw=0,
                at=self._now,
                undone=None,
            )
        )
        return "accepted"

    def record(self) -> None:
        """Record that questions came with their annotations."""
        if self._own is not None:
            self._factory.metadata.record(
                QuestionsQueued(
                    at=self._now,
                    by=self._factory.actor,
                    because="imported",
                    line=self._line,
                    batch=self._own.number,
                    package=self._own.package,
                    questions=len(self._new),
                    gold=0,
                    annotators=self._own.annotators,
                )
            )


def _unverified(name: str) -> str:
    return f"import:{name.removesuffix(_UNVERIFIED)}{_UNVERIFIED}"


def _read(file: Path) -> list[Any]:
    try:
        with file.open("rb") as opened:
            body = opened.read(MOST_BYTES + 1)
        found = msgspec.json.decode(body) if len(body) <= MOST_BYTES else None
    except FileNotFoundError as error:
        raise NotFound("the file does not exist", where=str(file)) from error
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(
            f"the file is not Label Studio's JSON: {error}", where=str(file), allowed="a list of tasks"
        ) from error
    if found is None:
        raise RequestError("the file is too large", where=str(file), allowed=f"at most {MOST_BYTES:,} bytes")
    if not isinstance(found, list) or not 0 < len(found) <= MOST_TASKS:
        raise RequestError(
            "the file is not Label Studio's JSON",
            where=str(file),
            found=type(found).__name__ if not isinstance(found, list) else len(found),
            allowed=f"a list of 1 to {MOST_TASKS:,} tasks",
            hint="export the project as JSON, not as JSON-MIN",
        )
    return found


def _task(task: object, place: str, allowed: AllowedLabels) -> _Task:
    data = task.get("data") if isinstance(task, dict) else None
    annotations = task.get("annotations", []) if isinstance(task, dict) else None
    if not isinstance(data, dict) or not isinstance(annotations, list):
        raise RequestError(
            "not a task",
            where=place,
            found=type(task).__name__,
            allowed='{"data": {…}, "annotations": […]}',
            hint="export the project as JSON, not as JSON-MIN",
        )
    names = [data.get(name) for name in (QUESTION, PREDICTION)]
    # Long texts and lone surrogates are not ids, and no database takes them.
    question, prediction = (
        one if isinstance(one, str) and one.isascii() and len(one) <= 100 else None for one in names
    )
    given = tuple(_given_in(annotations, f"{place}.annotations", allowed))
    return _Task(place, question, prediction, given)


def _given_in(annotations: Sequence[Any], place: str, allowed: AllowedLabels) -> Iterator[_Given]:
    for number, one in enumerate(annotations):
        where = f"{place}[{number}]"
        if not isinstance(one, dict):
            raise RequestError(
                "not an annotation", where=where, found=type(one).__name__, allowed="an object"
            )
        label = None if one.get("was_cancelled") else _label_in(one.get("result"), where, allowed)
        meta = one.get("meta")
        because = meta.get("because", "") if isinstance(meta, dict) else ""
        yield _Given(
            by=_name_in(one.get("completed_by"), where),
            label=label,
            because=str(because)[:MOST_REASON],
            seconds=_seconds_in(one.get("lead_time"), where),
            is_decision=bool(one.get("ground_truth")) and label is not None,
        )


def _name_in(found: object, where: str) -> str:
    """Return who annotated: Label Studio writes the number of a user, or an object with their address."""
    if isinstance(found, dict):
        found = found.get("email") or found.get("id")
    if isinstance(found, (int, str)) and not isinstance(found, bool) and 0 < len(str(found)) <= _MOST_NAME:
        name = str(found)
        # Of our export: who was imported before is not imported twice.
        return name.removeprefix("import:").removesuffix(_UNVERIFIED) if name.startswith("import:") else name
    raise RequestError(
        "the annotation does not say who made it",
        where=f"{where}.completed_by",
        found=str(found)[:80],
        allowed=f"a number, or a name of at most {_MOST_NAME} characters",
    )


def _label_in(results: object, where: str, allowed: AllowedLabels) -> str:
    kind = "choices" if allowed.classes else "number"
    found = [
        one["value"][kind]
        for one in (results if isinstance(results, list) else [])
        if isinstance(one, dict) and isinstance(one.get("value"), dict) and kind in one["value"]
    ]
    value = found[0] if len(found) == 1 else None
    if kind == "choices":
        value = value[0] if isinstance(value, list) and len(value) == 1 else None
    if value is None:
        raise RequestError(
            f"the annotation does not have one result of type {kind}",
            where=f"{where}.result",
            found=len(found),
            allowed=f'[{{"type": "{kind}", "value": {{"{kind}": …}}}}]',
            hint="a question that could not be labelled has was_cancelled: true",
        )
    (label,) = check_labels([{"id": "", "label": value}], allowed, lambda _, part: f"{where}.{part}")
    return text_of(label.label)


def _seconds_in(found: object, where: str) -> float | None:
    if found is None:
        return None
    if (
        isinstance(found, (int, float))
        and not isinstance(found, bool)
        and math.isfinite(found)
        and 0 <= found <= 365 * MOST_SECONDS
    ):
        # A task that was left open over night says nothing of how long a label takes.
        return min(float(found), MOST_SECONDS)
    raise RequestError(
        "not a time", where=f"{where}.lead_time", found=str(found)[:80], allowed="seconds, at least 0"
    )
