"""What an annotator is shown and says: the next question, its label, taking that back, and deciding where others disagree."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from linewright.errors import Conflict, NotFound
from linewright.line.annotate.allowed_labels import allowed_labels
from linewright.line.annotate.question_rows import question_row
from linewright.line.annotate.queue import consent_digest, no_queue
from linewright.line.annotate.settle import settle, state_after
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


class AnswerTaken(msgspec.Struct, frozen=True, kw_only=True):
    """An answer is kept, and survives loss of power."""

    line: str
    question: str
    label: str | float | None
    """In its one spelling; `None` if it was skipped or undone."""
    repeated: bool = False
    """Whether the same answer was there already."""
    undone: bool = False


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
    """Return the next question of a person, who has it for `LEASE_S` seconds.

    Parameters
    ----------
    with_prediction
        Show the answer of the model, which is noted with the answer.
    consent
        Consent to the text of the queue.
    decide
        Return a question about which others disagree.
    """
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
            left = held.waiting_for(asked.who)
            if question is None:
                return NextQuestion(line=line, question=None, left=left, done=done)
            until = later(now, int(LEASE_S * 1e6))
            held.lease(question.id, asked.who, until, saw=with_prediction and question.dataset is None)
            given = held.answers(question.id) if decide else []
        # Outside of the transaction: the log is another file, which others may write.
        found = question_row(factory, line, question)
        if found is not None:
            shown = _shown(asked, question, batches[question.batch], found.row)
            shown = msgspec.structs.replace(
                shown,
                prediction=dict(found.answer) if with_prediction and found.answer is not None else None,
                given=tuple(Given(label=_decoded(one.label), because=one.because) for one in given),
            )
            return NextQuestion(line=line, question=shown, left=left, done=done)
        with asked.store.transaction() as held:
            held.end_lease(question.id, asked.who)
            held.replace(question._replace(state="gone"))


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
    """Keep what somebody says of a question; what is settled by it becomes feedback.

    Parameters
    ----------
    label
        The label; `None` where they cannot say.
    seconds
        How long they looked at it.
    because
        Why they cannot say.
    decide
        Decide about a question on which others disagree.

    Raises
    ------
    RequestError
        If the label does not fit the line.
    Conflict
        If they have said something else of it before, enough others have labelled it, or it waits for no answer.
    """
    asked = _Asked(factory, line)
    text = None if label is None else asked.label(label)
    with asked.store.transaction() as held:
        question = asked.find(held, name)
        batch = _batch(held, question)
        answers, now = held.answers(name), factory.now()
        mine = next((one for one in answers if one.by == asked.who), None)
        if mine is not None:
            if mine.label == text and (mine.kind == "decision") == decide:
                return AnswerTaken(line=line, question=name, label=_decoded(text), repeated=True)
            raise _said_before(asked, question)
        _require_open(asked, question, batch, answers, decide=decide)
        saw = held.end_lease(name, asked.who)
        kind: AnswerKind = "decision" if decide else "answer"
        held.add_answer(Answer(0, name, asked.who, kind, text, because, seconds, int(saw), now, None))
        _look_again(asked, held, question, now)
    settle(factory, line)
    return AnswerTaken(line=line, question=name, label=_decoded(text))


def undo_answer(factory: Factory, line: str) -> AnswerTaken:
    """Take back what somebody said last; the question is theirs again.

    Feedback that came of it stays until the question has another label, which then corrects it.

    Raises
    ------
    NotFound
        If they have said nothing.
    Conflict
        If somebody else has decided the question since.
    """
    asked = _Asked(factory, line)
    with asked.store.transaction() as held:
        last = held.last_answer(asked.who)
        if last is None:
            raise NotFound("there is nothing to undo", where=line, found=asked.who)
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
            held.lease(question.id, asked.who, later(now, int(LEASE_S * 1e6)), saw=bool(last.saw))
    return AnswerTaken(line=line, question=question.id, label=None, undone=True)


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
    )


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
