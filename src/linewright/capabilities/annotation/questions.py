"""What an annotator is shown and says: the next question, its label, taking that back, and deciding where others disagree."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from linewright.capabilities.annotation.allowed_labels import allowed_labels
from linewright.capabilities.annotation.question_rows import question_row, question_rows
from linewright.capabilities.annotation.queue import consent_digest, no_queue
from linewright.capabilities.annotation.settle import settle, state_after
from linewright.errors import Conflict, NotFound
from linewright.line.factory import Factory
from linewright.people.annotations import (
    LEASE_S,
    Annotations,
    Answer,
    AnswerKind,
    Batch,
    Question,
    State,
    Transaction,
)
from linewright.people.facts import ConsentGiven
from linewright.serve.feedback.apply import text_of
from linewright.serve.feedback.parse import AllowedLabels, check_labels
from linewright.store.clock import later
from linewright.store.values import digest_of

_ID = re.compile(r"[0-9a-f]{12}")
MOST_SECONDS = 86_400.0
MOST_REASON = 1_000
"""Characters of why somebody could not say."""
SHOWN = 8
"""Answers of a person that come with the next question, newest first."""


class ShownColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a row, and what its values are, by which a page chooses how to show them."""

    name: str
    type: str
    """As in the contract, e.g. ``number`` or ``text``."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What an annotator said, as the person who decides sees it: without a name."""

    label: str | float | None
    """`None` where they could not say."""
    because: str = ""


class ShownQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A row to label."""

    id: str
    columns: tuple[ShownColumn, ...]
    row: dict[str, Any]
    """The row as received, or as its dataset version has it, without its label."""
    label: str
    """Name of the label column."""
    classes: tuple[str, ...]
    """What a label may be; empty for numbers."""
    instructions: str
    is_predicted: bool = True
    """Whether it is a prediction; else it is a row of a dataset version, which has no answer of a model."""
    prediction: dict[str, Any] | None = None
    """The answer of the model; `None` unless the annotator wanted it, and for rows of a dataset version."""
    given: tuple[Given, ...] = ()
    """To decide between: what annotators said."""
    key: str = ""
    """Key of the row, where annotators see it."""
    asked_by: str = ""
    """Who queued it."""
    asked_at: str = ""


class OwnAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody said of one question."""

    question: str
    key: str
    """Key of the row, where annotators see it."""
    label: str | float | None
    """`None` where they could not say."""
    because: str
    at: str


class Consented(msgspec.Struct, frozen=True, kw_only=True):
    """A text that somebody consented to, and when."""

    text: str
    at: str


class NextQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What an annotator does next."""

    line: str
    question: ShownQuestion | None
    """`None` where nothing waits for them, or they have not consented."""
    consent: str = ""
    """The text that they have to consent to first; empty where they have, or there is none."""
    left: int = 0
    """Questions that they may still label."""
    done: int = 0
    """What they have labelled or skipped."""
    answers: tuple[OwnAnswer, ...] = ()
    """The last of it, newest first."""
    consented: tuple[Consented, ...] = ()


class AnswerTaken(msgspec.Struct, frozen=True, kw_only=True):
    """An answer is kept, and survives loss of power."""

    line: str
    question: str
    label: str | float | None
    """In its one spelling; `None` if it was skipped or undone."""
    repeated: bool = False
    """Whether the same answer was there already."""
    undone: bool = False
    key: str = ""
    """Key of the row, where annotators see it."""
    said: str | float | None = None
    """The label that was undone; `None` unless one was."""


class _Asked:
    """One person who labels one line."""

    def __init__(self, factory: Factory, line: str) -> None:
        self.factory, self.line = factory, line
        self.who = annotator(factory)
        self.store = Annotations.of(factory.state, line)
        if not self.store.is_there():
            factory.require(line)
            raise no_queue(line)
        self.allowed = allowed_labels(factory, line)

    def label(self, given: object) -> str:
        """Return a label as it is kept; see `check_labels`."""
        value = _number(given) if isinstance(given, str) and not self.allowed.classes else given
        (found,) = check_labels([{"id": "", "label": value}], self.allowed, lambda _, part: part or "label")
        return text_of(found.label)

    def find(self, held: Transaction, name: str) -> Question:
        """Return a question by its id."""
        found = held.question(name) if _ID.fullmatch(name) else None
        if found is None:
            hint = f"linewright annotate next {self.line} shows the next one"
            raise NotFound("the line has no such question", where=self.line, found=name[:100], hint=hint)
        return found


def annotator(factory: Factory) -> str:
    """Return by which name somebody labels: that of the member, with whatever token; or who acts."""
    return factory.identity.member or factory.actor


def next_question(
    factory: Factory, line: str, *, with_prediction: bool = False, consent: bool = False, decide: bool = False
) -> NextQuestion:
    """Return the next question of a person, who has it for `LEASE_S` seconds."""
    settle(factory, line)
    asked = _Asked(factory, line)
    now = factory.now()
    while True:
        with asked.store.transaction() as held:
            batches = {one.number: one for one in held.batches()}
            missing = _missing_consent(asked, held, batches, now, consent=consent)
            if missing:
                return NextQuestion(
                    line=line, question=None, consent=missing, left=held.waiting_for(asked.who)
                )
            question = _choose(asked, held, batches, now, decide=decide)
            done, _ = held.counted(asked.who)
            found = NextQuestion(
                line=line,
                question=None,
                left=held.waiting_for(asked.who),
                done=done,
                consented=_consented(asked, held, batches.values()),
            )
            mine = [(one, asked.find(held, one.question)) for one in held.last_answers(asked.who, SHOWN)]
            if question is None:
                break
            until = later(now, int(LEASE_S * 1e6))
            held.lease(question.id, asked.who, until, saw=with_prediction and question.dataset is None)
            given = held.answers(question.id) if decide else []
        # Outside of the transaction: the log is another file, which others may write.
        about = question_row(factory, line, question)
        if about is not None:
            shown = _shown(asked, question, batches[question.batch], about.row)
            shown = msgspec.structs.replace(
                shown,
                prediction=dict(about.answer) if with_prediction and about.answer is not None else None,
                given=tuple(Given(label=_decoded(one.label), because=one.because) for one in given),
            )
            found = msgspec.structs.replace(found, question=shown)
            break
        with asked.store.transaction() as held:
            held.end_lease(question.id, asked.who)
            held.replace(question._replace(state="gone"))
    rows = question_rows(factory, line, [one for _, one in mine])
    answers = (
        OwnAnswer(
            question=one.id,
            key=_key(asked, rows[one.id].row, batches[one.batch]) if one.id in rows else "",
            label=_decoded(said.label),
            because=said.because,
            at=said.at,
        )
        for said, one in mine
    )
    return msgspec.structs.replace(found, answers=tuple(answers))


def answer_question(
    factory: Factory,
    line: str,
    name: str,
    *,
    label: object = None,
    seconds: float | None = None,
    because: str = "",
    decide: bool = False,
) -> AnswerTaken:
    """Keep what somebody says of a question; what is settled by it becomes feedback."""
    asked = _Asked(factory, line)
    text = None if label is None else asked.label(label)
    with asked.store.transaction() as held:
        question = asked.find(held, name)
        batch = _batch(held, question)
        answers, now = held.answers(name), factory.now()
        mine = next((one for one in answers if one.by == asked.who), None)
        if mine is not None:
            if mine.label == text and (mine.kind == "decision") == decide:
                return _taken(asked, question, batch, label=text, repeated=True)
            raise _said_before(asked, question)
        _require_open(asked, question, batch, answers, decide=decide)
        saw = held.end_lease(name, asked.who)
        kind: AnswerKind = "decision" if decide else "answer"
        held.add_answer(Answer(0, name, asked.who, kind, text, because, seconds, int(saw), now, None))
        _look_again(asked, held, question, now)
    settle(factory, line)
    return _taken(asked, question, batch, label=text)


def undo_answer(factory: Factory, line: str, name: str = "") -> AnswerTaken:
    """Take back what somebody said last, or of one question; the question is theirs again.

    Feedback that came of it stays until the question has another label, which then corrects it.
    """
    asked = _Asked(factory, line)
    with asked.store.transaction() as held:
        if name:
            said = [one for one in held.answers(asked.find(held, name).id) if one.by == asked.who]
        else:
            said = held.last_answers(asked.who, 1)
        if not said:
            raise NotFound("there is nothing to undo", where=name or line, found=asked.who)
        (last,) = said
        question, now = asked.find(held, last.question), factory.now()
        decided = [one for one in held.answers(question.id) if one.kind == "decision" and one.by != asked.who]
        if decided:
            raise Conflict(
                "somebody has decided this question since",
                where=question.id,
                hint="the person who decided it can undo that",
            )
        held.undo(last.number, now)
        if question.state != "closed":
            _look_again(asked, held, question, now)
            for other, saw in held.leased(asked.who, now):  # so that this one is next
                held.lease(other, asked.who, now, saw=saw)
            held.lease(question.id, asked.who, later(now, int(LEASE_S * 1e6)), saw=bool(last.saw))
        batch = _batch(held, question)
    taken = _taken(asked, question, batch, label=None)
    return msgspec.structs.replace(taken, undone=True, said=_decoded(last.label))


def _taken(
    asked: _Asked, question: Question, batch: Batch, *, label: str | None, repeated: bool = False
) -> AnswerTaken:
    about = question_row(asked.factory, asked.line, question)
    return AnswerTaken(
        line=asked.line,
        question=question.id,
        label=_decoded(label),
        repeated=repeated,
        key=_key(asked, about.row, batch) if about else "",
    )


def _key(asked: _Asked, row: Mapping[str, Any], batch: Batch) -> str:
    """Return the key of a row, where annotators see it; empty where they do not."""
    found = visible_row(row, batch, asked.allowed).get(asked.allowed.key or "")
    return "" if found is None else str(found)


def _consented(asked: _Asked, held: Transaction, batches: Iterable[Batch]) -> tuple[Consented, ...]:
    texts = {consent_digest(one.consent): one.consent for one in batches}
    return tuple(
        Consented(text=texts[digest], at=at)
        for digest, at in held.consents(asked.who).items()
        if digest in texts
    )


def _look_again(asked: _Asked, held: Transaction, question: Question, now: str) -> None:
    after = state_after(question, _batch(held, question), held.answers(question.id), asked.allowed)
    held.replace(after._replace(at=now))


def _batch(held: Transaction, question: Question) -> Batch:
    return next(one for one in held.batches() if one.number == question.batch)


def _missing_consent(
    asked: _Asked, held: Transaction, batches: Mapping[int, Batch], now: str, *, consent: bool
) -> str:
    """Return the text that somebody has to consent to; empty where they have, or do so now."""
    texts = {consent_digest(one.consent): one.consent for one in batches.values() if one.closed is None}
    missing = {
        digest: text for digest, text in texts.items() if digest and digest not in held.consents(asked.who)
    }
    if not consent:
        return "\n\n".join(missing.values())
    for digest in missing:
        held.consent(asked.who, digest, now)
        asked.factory.metadata.record(
            ConsentGiven(
                at=now,
                by=asked.factory.actor,
                because="consented",
                line=asked.line,
                member=asked.who,
                text=digest,
            )
        )
    return ""


def _choose(
    asked: _Asked, held: Transaction, batches: Mapping[int, Batch], now: str, *, decide: bool
) -> Question | None:
    wanted: tuple[State, ...] = ("disputed", "conflict") if decide else ("open",)
    for name, _ in held.leased(asked.who, now):
        mine = held.question(name)
        if mine is not None and mine.state in wanted:
            return mine
    if decide:
        return held.undecided_for(asked.who, now)
    said, gold = held.counted(asked.who)
    plain = held.open_for(asked.who, now, is_gold=False)
    if plain is None:
        return None
    # By chance that is made of who asks and how far they are: whether a question is a gold one cannot be counted out.
    chance = asked.factory.context.seed(digest_of([asked.line, asked.who, said])) / 2**31
    share = batches[plain.batch].gold_share
    is_behind = gold < share * said
    if share and chance < (min(1.0, 2 * share) if is_behind else share):
        return held.open_for(asked.who, now, is_gold=True) or plain
    return plain


def _shown(asked: _Asked, question: Question, batch: Batch, received: Mapping[str, Any]) -> ShownQuestion:
    types = {one.name: one.type for one in asked.allowed.columns}
    row = visible_row(received, batch, asked.allowed)
    return ShownQuestion(
        id=question.id,
        columns=tuple(ShownColumn(name=name, type=types.get(name, "text")) for name in row),
        row=row,
        label=asked.allowed.label,
        classes=asked.allowed.classes,
        instructions=batch.instructions,
        is_predicted=question.dataset is None,
        key=_key(asked, received, batch),
        asked_by=batch.by.partition(" (token ")[0],
        asked_at=batch.at,
    )


def visible_question(factory: Factory, line: str, name: str) -> dict[str, Any]:
    """Return what annotators see of the row of a question; nothing if the line has no such question, or stores its row no longer."""
    store = Annotations.of(factory.state, line)
    if not _ID.fullmatch(name) or not store.is_there():
        return {}
    with store.reading() as held:
        question = held.question(name)
        batch = _batch(held, question) if question else None
    about = question_row(factory, line, question) if question else None
    return visible_row(about.row, batch, allowed_labels(factory, line)) if about and batch else {}


def visible_row(row: Mapping[str, Any], batch: Batch, allowed: AllowedLabels) -> dict[str, Any]:
    """Return what annotators see of a row: the columns of the batch, and never the label, with which the row may have come."""
    wanted: list[str] = msgspec.json.decode(batch.columns) if batch.columns else []
    return {
        name: value for name, value in row.items() if name != allowed.label and (not wanted or name in wanted)
    }


def _require_open(
    asked: _Asked, question: Question, batch: Batch, answers: list[Answer], *, decide: bool
) -> None:
    if decide:
        if question.state in {"disputed", "conflict"}:
            return
        raise Conflict(
            "there is nothing to decide about this question",
            where=question.id,
            found=question.state,
            allowed="disputed, conflict",
            hint=f"linewright annotate next {asked.line} --decide shows one that waits",
        )
    labels = sum(one.label is not None for one in answers)
    if question.state == "open" and (question.gold is not None or labels < batch.annotators):
        return
    raise Conflict(
        "this question waits for no answer",
        where=question.id,
        found="enough others have labelled it" if question.state == "open" else question.state,
        hint=f"linewright annotate next {asked.line} shows one that does",
    )


def _said_before(asked: _Asked, question: Question) -> Conflict:
    return Conflict(
        "you have said something of this question already",
        where=question.id,
        found=asked.who,
        hint=f"linewright annotate undo {asked.line} takes back what you said last; others decide where they disagree",
    )


def _decoded(label: str | None) -> str | float | None:
    return None if label is None else msgspec.json.decode(label)


def _number(text: object) -> object:
    try:
        return float(str(text))
    except ValueError:
        return text
