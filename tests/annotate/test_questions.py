"""Annotators label what they are shown, once each; what they agree on is feedback, with who and when."""

import threading

import msgspec
import pytest
from small import LINE

from linewright.capabilities.annotation.operations import (
    annotate_adjudicate,
    annotate_answer,
    annotate_close,
    annotate_next,
    annotate_queue,
    annotate_status,
    annotate_undo,
)
from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.evidence.lookup import find_prediction
from linewright.errors import Conflict, Denied, NotFound, RequestError
from linewright.line.factory import Factory
from linewright.model.facts import Package
from linewright.operations.declare import load
from linewright.operations.table import OPERATIONS
from linewright.people.annotations import Annotations
from linewright.people.facts import ConsentGiven, LabelSettled, QuestionsQueued
from linewright.store.values import digest_of_bytes


def asked(factory, **given):
    found = annotate_next(factory, LINE, **given).question

    assert found is not None
    return found


def questions_in(factory):
    with Annotations.of(factory.state, LINE).reading() as held:
        return {one.id: one for one in held.questions()}


def label_in_feedback(factory, question):
    found = find_prediction(factory, questions_in(factory)[question].prediction)

    assert found is not None
    return found[1].label if found[1] else None


def label_all(factory, label="yes", seconds=2.0):
    """Label questions until none is left; return their ids."""
    done = []
    while (found := annotate_next(factory, LINE).question) is not None:
        annotate_answer(factory, LINE, found.id, label=label, seconds=seconds)
        done.append(found.id)
    return done


def test_a_label_becomes_feedback_with_who_and_when(member):
    """The next training learns it, and an auditor finds who said so."""
    queued = annotate_queue(member("eve"), LINE, size=3)
    ann = member("ann")
    first = asked(ann)
    taken = annotate_answer(ann, LINE, first.id, label="yes", seconds=1.5)

    assert (3, "yes", False) == (queued.questions, taken.label, taken.repeated)
    assert "yes" == label_in_feedback(ann, first.id)
    (event,) = ann.metadata.events(LabelSettled, line=LINE)
    assert ("ann", ("ann",), "") == (event.by, event.annotators, event.decided)
    assert questions_in(ann)[first.id].prediction == event.prediction
    assert [3] == [one.questions for one in ann.metadata.events(QuestionsQueued, line=LINE)]
    assert () == verify_factory(ann).problems


def test_the_row_is_shown_without_its_label_and_the_models_answer(member):
    """What the model says would become what annotators say."""
    annotate_queue(member("eve"), LINE, size=2, columns=("amount",), instructions="Look at the amount.")
    ann = member("ann")
    plain, shown = asked(ann), asked(ann, with_prediction=True)
    annotate_answer(ann, LINE, plain.id, label="no")

    assert plain.id == shown.id
    assert (["amount"], None) == (list(plain.row), plain.prediction)
    assert ("Look at the amount.", ("no", "yes"), "fraud") == (plain.instructions, plain.classes, plain.label)
    assert {"prediction", "probabilities"} <= shown.prediction.keys()
    (mine,) = annotate_status(ann, LINE).annotators
    assert (1, 1) == (mine.labels, mine.saw_prediction)


def test_nobody_gets_a_question_again_and_two_never_get_the_same(member):
    """Else one person agrees with herself."""
    annotate_queue(member("eve"), LINE, size=4)
    ann, bob = member("ann"), member("bob")
    hers, his = asked(ann), asked(bob)

    assert hers.id != his.id
    assert hers.id == asked(ann).id
    annotate_answer(ann, LINE, hers.id, label="yes")
    assert [hers.id] * 0 == [one for one in label_all(ann) if one in {hers.id, his.id}]
    assert his.id == asked(bob).id


def test_two_annotators_who_agree_settle_a_label(member):
    """One of two labels is no feedback yet, and nobody sees it."""
    annotate_queue(member("eve"), LINE, size=2, annotators=2)
    ann, bob = member("ann"), member("bob")
    first = asked(ann)
    annotate_answer(ann, LINE, first.id, label="yes")
    before = label_in_feedback(ann, first.id)
    second = asked(bob)
    annotate_answer(bob, LINE, first.id, label="yes")

    assert (None, first.id, ()) == (before, second.id, second.given)
    assert "yes" == label_in_feedback(ann, first.id)
    (event,) = ann.metadata.events(LabelSettled, line=LINE)
    assert ("ann", "bob") == event.annotators


def test_a_third_person_decides_where_two_disagree(member):
    """Whoever has labelled a question is a party to it."""
    annotate_queue(member("eve"), LINE, size=1, annotators=2)
    ann, bob, cem = member("ann"), member("bob"), member("cem")
    question = asked(ann).id
    annotate_answer(ann, LINE, question, label="yes")
    annotate_answer(bob, LINE, question, label="no")

    assert (1, (question,)) == (annotate_status(cem, LINE).disputed, annotate_status(cem, LINE).waiting)
    assert None is label_in_feedback(ann, question)
    with pytest.raises(Conflict, match="you have said something of this question already"):
        annotate_adjudicate(ann, LINE, question, label="yes")
    with pytest.raises(Conflict, match="this question waits for no answer"):
        annotate_answer(cem, LINE, question, label="yes")
    assert {"yes", "no"} == {one.label for one in asked(cem, decide=True).given}
    annotate_adjudicate(cem, LINE, question, label="no")
    assert "no" == label_in_feedback(cem, question)
    (event,) = cem.metadata.events(LabelSettled, line=LINE)
    assert (("ann", "bob"), "cem", "cem") == (event.annotators, event.decided, event.by)


def test_an_undone_label_is_corrected_by_the_next_one(member):
    """A wrong key is pressed once in fifty labels."""
    annotate_queue(member("eve"), LINE, size=2)
    ann = member("ann")
    question = asked(ann).id
    annotate_answer(ann, LINE, question, label="yes")
    undone = annotate_undo(ann, LINE)
    again = asked(ann).id
    annotate_answer(ann, LINE, again, label="no")

    assert (question, question, True) == (undone.question, again, undone.undone)
    assert "no" == label_in_feedback(ann, question)
    assert 2 == len(ann.metadata.events(LabelSettled, line=LINE))
    assert () == verify_factory(ann).problems


def test_what_somebody_else_decided_cannot_be_undone(member):
    """A decision stands until the person who took it takes it back."""
    annotate_queue(member("eve"), LINE, size=1, annotators=2)
    ann, bob, cem = member("ann"), member("bob"), member("cem")
    question = asked(ann).id
    annotate_answer(ann, LINE, question, label="yes")
    annotate_answer(bob, LINE, question, label="no")
    annotate_adjudicate(cem, LINE, question, label="no")

    with pytest.raises(Conflict, match="somebody has decided this question since"):
        annotate_undo(ann, LINE)
    annotate_undo(cem, LINE)
    assert 1 == annotate_status(cem, LINE).disputed
    annotate_adjudicate(cem, LINE, question, label="yes")
    assert "yes" == label_in_feedback(cem, question)


def test_an_equal_answer_counts_once_and_another_is_refused(member):
    """A client that hears nothing sends again."""
    annotate_queue(member("eve"), LINE, size=1)
    ann = member("ann")
    question = asked(ann).id
    annotate_answer(ann, LINE, question, label="yes")

    assert annotate_answer(ann, LINE, question, label="yes").repeated
    with pytest.raises(Conflict, match="already"):
        annotate_answer(ann, LINE, question, label="no")
    assert 1 == len(ann.metadata.events(LabelSettled, line=LINE))


def test_a_skipped_question_waits_for_somebody_else(member):
    """Who cannot tell must not guess."""
    annotate_queue(member("eve"), LINE, size=1)
    ann, bob = member("ann"), member("bob")
    question = asked(ann).id
    annotate_answer(ann, LINE, question, skip=True, because="the amount is missing")

    assert None is annotate_next(ann, LINE).question
    found = asked(bob, decide=True)
    assert [(None, "the amount is missing")] == [(one.label, one.because) for one in found.given]
    annotate_adjudicate(bob, LINE, question, label="no")
    assert "no" == label_in_feedback(bob, question)


def test_other_feedback_that_contradicts_waits_for_a_decision(member):
    """Two truths about one prediction are a question for people, not for the last writer."""
    annotate_queue(member("eve"), LINE, size=1)
    ann, bob = member("ann"), member("bob")
    question = asked(ann).id
    package = ann.metadata.get(ann.metadata.versions(LINE)[0].digest, Package)
    prediction = questions_in(ann)[question].prediction
    ann.labels_of(LINE).accept([{"id": prediction, "label": "no"}], package=package)
    annotate_answer(ann, LINE, question, label="yes")

    assert (1, "no") == (annotate_status(ann, LINE).conflicts, label_in_feedback(ann, question))
    annotate_adjudicate(bob, LINE, question, label="yes")
    assert "yes" == label_in_feedback(ann, question)
    assert () == verify_factory(ann).problems


def test_gold_questions_check_annotators_and_are_no_feedback(member):
    """Only who queues questions learns which they were."""
    eve, ann = member("eve"), member("ann")
    queued = annotate_queue(eve, LINE, size=12, gold=0.5)
    label_all(ann, "yes")
    (seen,), (own,) = annotate_status(eve, LINE).annotators, annotate_status(ann, LINE).annotators
    gold = [one for one in questions_in(eve).values() if one.gold is not None]
    right = sum(one.gold == '"yes"' for one in gold)

    assert 6 == queued.gold == len(gold)
    assert 0 < seen.gold <= 6
    assert seen.gold_right <= right
    assert 0 <= seen.gold_low <= seen.gold_right / seen.gold <= seen.gold_high <= 1
    assert (None, None, None) == (own.gold, own.gold_right, own.gold_low)
    assert {"open"} == {one.state for one in gold}
    assert 12 == annotate_status(eve, LINE).kept == len(eve.metadata.events(LabelSettled, line=LINE))


def test_the_text_of_consent_comes_first(member):
    """Who labels rows about people agrees to the terms once, and the record says so."""
    annotate_queue(member("eve"), LINE, size=2, consent="I keep secret what I see.")
    ann = member("ann")
    before = annotate_next(ann, LINE)
    after = annotate_next(ann, LINE, consent=True)

    assert ("I keep secret what I see.", None) == (before.consent, before.question)
    assert ("", True) == (after.consent, after.question is not None)
    assert ["I keep secret what I see."] == [one.text for one in after.consented]
    (event,) = ann.metadata.events(ConsentGiven, line=LINE)
    assert ("ann", digest_of_bytes(b"I keep secret what I see.")) == (event.member, event.text)
    assert None is annotate_next(member("bob"), LINE).question


def test_two_at_once_lose_nothing(root, member):
    """Each label that was acknowledged is there, and each question was labelled once."""
    annotate_queue(member("eve"), LINE, size=24)
    people = [member(f"ann{number}") for number in range(4)]
    done, trouble = [], []

    def work(factory):
        try:
            done.extend(label_all(factory))
        except Exception as error:  # noqa: BLE001 -- told below
            trouble.append(error)

    threads = [threading.Thread(target=work, args=(one,)) for one in people]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert [] == trouble
    assert 24 == len(set(done)) == len(done)
    with Factory.open(root) as factory:
        status = annotate_status(factory, LINE)
        assert (24, 0) == (status.kept, status.open)
        assert 24 == len(factory.metadata.events(LabelSettled, line=LINE))


def test_agreement_and_effect_stand_in_the_status(member):
    """Whether labels can be trusted, and whether more of them are worth their price."""
    eve, ann, bob = member("eve"), member("ann"), member("bob")
    annotate_queue(eve, LINE, size=60, annotators=2, gold=0.05)
    known = {}
    while (found := annotate_next(ann, LINE).question) is not None:
        known[found.id] = "yes" if found.row["amount"] > 0.2 else "no"
        annotate_answer(ann, LINE, found.id, label=known[found.id], seconds=4)
    while (found := annotate_next(bob, LINE).question) is not None:
        turned = int(found.row["claim"][1:]) % 9 == 0
        label = known.get(found.id, "no")
        annotate_answer(bob, LINE, found.id, label={"yes": "no", "no": "yes"}[label] if turned else label)
    status = annotate_status(eve, LINE)

    assert "nominal" == status.agreement.level
    assert status.agreement.low < status.agreement.alpha < status.agreement.high < 1
    assert status.questions == 60 == status.kept + status.disputed
    effect = status.effect
    assert ("roc_auc", 0.5, status.kept, status.kept // 2) == (
        effect.metric,
        effect.bar,
        effect.labels,
        effect.last,
    )
    assert effect.low <= effect.value <= effect.high
    assert effect.change_low <= effect.change <= effect.change_high
    assert abs(effect.value - effect.before - effect.change) < 1e-6
    assert "decided" == effect.more
    assert status == annotate_status(eve, LINE)
    assert 4 == next(one.seconds for one in status.annotators if one.annotator == "ann")


@pytest.mark.parametrize("label", ["maybe", "", "ye s", "\x00", "=1+1", "yes\n", "<script>", "a" * 9_000])
def test_a_label_that_is_none_is_refused(member, label):
    """Only classes of the line become feedback; a space too many is forgiven."""
    annotate_queue(member("eve"), LINE, size=1)
    ann = member("ann")
    question = asked(ann).id
    if label.strip() == "yes":
        assert "yes" == annotate_answer(ann, LINE, question, label=label).label
        return

    with pytest.raises(RequestError, match="not a class of this line"):
        annotate_answer(ann, LINE, question, label=label)
    assert question == asked(ann).id


@pytest.mark.parametrize("name", ["", "../x", "' OR 1=1 --", "\ud800", "0" * 5_000])
def test_a_question_that_is_none_is_refused(member, name):
    """What is typed for an id reaches a database."""
    annotate_queue(member("eve"), LINE, size=1)

    with pytest.raises((NotFound, RequestError)):
        annotate_answer(member("ann"), LINE, name, label="yes")


@pytest.mark.parametrize(
    "given",
    [
        {"size": 0},
        {"size": 10**9},
        {"gold": 0.6},
        {"annotators": 3},
        {"tolerance": -1},
        {"columns": ["fraud"]},
    ],
)
def test_settings_out_of_range_are_refused(member, given):
    """A gold share of 1 would label nothing; the label column is never shown."""
    with pytest.raises(RequestError):
        load("annotate queue", OPERATIONS).call(member("eve"), {"line": LINE, **given})


def test_without_a_queue_annotators_hear_what_to_do(member):
    """The command that is missing stands in the message."""
    with pytest.raises(NotFound, match="linewright annotate queue claims"):
        annotate_next(member("ann"), LINE)
    with pytest.raises(NotFound):
        annotate_status(member("ann"), "nothing")


def test_a_label_alone_does_not_open_the_queue(member):
    """A token that sends labels sees no rows."""
    operation = load("annotate next", OPERATIONS)
    ann = member("ann")

    operation.authorize(ann.identity, {"line": LINE})
    narrow = msgspec.structs.replace(
        ann.identity,
        scopes=(msgspec.structs.replace(ann.identity.scopes[0], permissions=frozenset({"label"})),),
    )
    with pytest.raises(Denied):
        operation.authorize(narrow, {"line": LINE})


def test_rows_of_a_file_are_predicted_and_queued(root, member):
    """Who has rows and no predictions begins with them."""
    (root / "new.csv").write_text("claim,amount,age\nX1,0.1,30\nX2,0.4,50\n")
    queued = annotate_queue(member("eve"), LINE, size=10, rows=root / "new.csv")
    ann = member("ann")

    assert (2, 2) == (queued.questions, queued.pool)
    assert {"X1", "X2"} == {_claim(ann), _claim(ann)}
    assert {"kept"} == {one.state for one in questions_in(ann).values()}


def _claim(factory):
    found = asked(factory)
    annotate_answer(factory, LINE, found.id, label="no")
    return found.row["claim"]


def test_closed_questions_wait_for_nobody(member):
    """An engineer who queued the wrong rows ends it; the labels that came stay."""
    eve, ann = member("eve"), member("ann")
    annotate_queue(eve, LINE, size=5)
    first, second = asked(ann).id, None
    annotate_answer(ann, LINE, first, label="yes")
    second = asked(ann).id
    closed = annotate_close(eve, LINE)

    assert 4 == closed.closed
    assert None is annotate_next(ann, LINE).question
    with pytest.raises(Conflict, match="waits for no answer"):
        annotate_answer(ann, LINE, second, label="yes")
    status = annotate_status(eve, LINE)
    assert (1, 4) == (status.kept, status.closed)


def test_an_earlier_answer_is_taken_back_by_its_question_and_comes_next(member):
    """Who notices a mistake three rows later need not undo the two between."""
    annotate_queue(member("eve"), LINE, size=5)
    ann = member("ann")
    shown = []
    for label in ("yes", "no", "yes"):
        shown.append(asked(ann))
        annotate_answer(ann, LINE, shown[-1].id, label=label)
    given = annotate_next(ann, LINE)

    assert ["yes", "no", "yes"] == [one.label for one in given.answers]
    assert [one.id for one in reversed(shown)] == [one.question for one in given.answers]
    assert [one.key for one in reversed(shown)] == [one.key for one in given.answers]
    assert "eve" == given.question.asked_by
    taken = annotate_undo(ann, LINE, question=shown[0].id)
    assert (shown[0].id, "yes", True, shown[0].key) == (taken.question, taken.said, taken.undone, taken.key)
    assert shown[0].id == asked(ann).id
    with pytest.raises(NotFound, match="nothing to undo"):
        annotate_undo(ann, LINE, question=shown[0].id)
    with pytest.raises(NotFound, match="no such question"):
        annotate_undo(ann, LINE, question="0" * 12)


def test_taking_an_answer_back_does_not_forget_that_the_prediction_of_another_was_seen(member):
    annotate_queue(member("eve"), LINE, size=5)
    ann = member("ann")
    first = asked(ann).id
    annotate_answer(ann, LINE, first, label="yes")
    second = asked(ann, with_prediction=True).id
    annotate_undo(ann, LINE)
    assert first == asked(ann).id
    annotate_answer(ann, LINE, first, label="no")
    annotate_answer(ann, LINE, second, label="no")

    (mine,) = annotate_status(ann, LINE).annotators
    assert 1 == mine.saw_prediction
