"""A label that was acknowledged becomes feedback once, whatever is killed and when; and a forgotten person is in no queue."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest
from small import LINE

from linewright.capabilities.annotation.operations import (
    annotate_answer,
    annotate_export,
    annotate_next,
    annotate_queue,
    annotate_status,
)
from linewright.capabilities.annotation.settle import settle
from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.forget import forget
from linewright.capabilities.care.operations.maintenance import doctor
from linewright.capabilities.care.restore import restore_backup
from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.evidence.lookup import find_prediction
from linewright.capabilities.serving.worker import Tending
from linewright.line.factory import Factory
from linewright.people.annotations import Annotations
from linewright.people.facts import LabelSettled

KILLED = {
    "before the feedback": "Feedback.accept_checked = killed",
    "after the feedback, before the event": "module._record = killed",
    "after the event, before the file of annotations": "Transaction.replace = after(Transaction.replace)",
}
SCRIPT = """
import os, signal, sys
from pathlib import Path
import linewright.capabilities.annotation.settle as module
from linewright.line.factory import Factory
from linewright.capabilities.annotation.operations import annotate_answer, annotate_next
from linewright.capabilities.care.operations.maintenance import doctor
from linewright.people.annotations import Transaction
from linewright.serve.feedback.store import Feedback
def killed(*given, **named):
    os.kill(os.getpid(), signal.SIGKILL)
def after(replace):
    def replaced(self, question):
        if question.state == "kept":
            killed()
        replace(self, question)
    return replaced
factory = Factory.open(Path(sys.argv[1]))
question = annotate_next(factory, "claims").question
print(question.id, flush=True)
"""


def killed_at(root, moment):
    """Answer a question in a process that is killed then; return its id."""
    script = f"{SCRIPT}{moment}\nannotate_answer(factory, 'claims', question.id, label='yes')\n"
    done = subprocess.run(
        [sys.executable, "-c", script, str(root)], check=False, timeout=120, capture_output=True, text=True
    )

    assert -signal.SIGKILL == done.returncode, done.stderr
    return done.stdout.strip()


def label_of(factory, question):
    with Annotations.of(factory.state, LINE).reading() as held:
        found = held.question(question)

    assert found is not None
    prediction = find_prediction(factory, found.prediction)
    return prediction[1].label if prediction and prediction[1] else None


@pytest.mark.parametrize("moment", KILLED)
def test_a_kill_between_answer_and_feedback_loses_nothing_and_counts_once(root, moment):
    """The annotator saw that it was taken, and will not label it again."""
    with Factory.open(root) as factory:
        annotate_queue(factory, LINE, size=3)
        question = killed_at(root, KILLED[moment])

        assert 1 == annotate_status(factory, LINE).agreed
        annotate_next(factory, LINE)
        assert (1, 0) == (annotate_status(factory, LINE).kept, annotate_status(factory, LINE).agreed)
        assert "yes" == label_of(factory, question)
        settle(factory, LINE)
        assert 1 == len(factory.metadata.events(LabelSettled, line=LINE))
        assert () == verify_factory(factory).problems


def test_up_settles_what_was_interrupted_when_it_starts(root):
    """Nobody may come back to the queue for a week."""
    with Factory.open(root) as factory:
        annotate_queue(factory, LINE, size=3)
        question = killed_at(root, KILLED["before the feedback"])
        with closing(Tending(lambda: Factory.open(root), Idle(), every_s=0.01)):
            wait_for(lambda: "yes" == label_of(factory, question))

        assert 1 == annotate_status(factory, LINE).kept


class Idle:
    """An engine that is asked for nothing."""

    def unfinished(self):
        return []


def wait_for(holds):
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)

    assert holds()


def test_who_is_forgotten_is_in_no_queue(root):
    """A row that only annotators see is a row all the same."""
    path = root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text().replace("table: {key: claim}", "table: {key: claim, subject: claim}"))
    with Factory.open(root) as factory:
        annotate_queue(factory, LINE, size=200)
        first = annotate_next(factory, LINE).question
        annotate_answer(factory, LINE, first.id, label="yes", because="as she said")
        second = annotate_next(factory, LINE).question
        for one in (first, second):
            done = forget(factory, LINE, one.row["claim"], dry_run=False)
            assert (1, ()) == (done.predictions, done.left)

        third = annotate_next(factory, LINE).question
        assert third.row["claim"] not in {first.row["claim"], second.row["claim"]}
        exported = annotate_export(factory, LINE)
        assert (0, 0) == (exported.annotations, exported.gone)
        stored = (factory.state / "annotate" / f"{LINE}.sqlite").read_bytes()
        for text in (first.id, second.id, "as she said"):
            assert text.encode() not in stored
        assert () == verify_factory(factory).problems


def test_a_backup_has_the_queue_and_a_restored_factory_goes_on(root, tmp_path):
    """Labels of a week are work."""
    with Factory.open(root) as factory:
        annotate_queue(factory, LINE, size=3)
        question = killed_at(root, KILLED["before the feedback"])
        made = make_backup(factory, tmp_path / "backup.tar")

        assert () == made.problems
    with Factory(tmp_path / "restored") as factory:
        restore_backup(factory, tmp_path / "backup.tar")
        annotate_next(factory, LINE)
        assert "yes" == label_of(factory, question)
        assert () == verify_factory(factory).problems


def test_a_damaged_or_changed_file_is_found(root):
    """A trigger in it would act by our hand."""
    with Factory.open(root) as factory:
        annotate_queue(factory, LINE, size=3)
        file = factory.state / "annotate" / f"{LINE}.sqlite"
        with closing(sqlite3.connect(file)) as database:
            database.execute("CREATE TRIGGER t AFTER INSERT ON answers BEGIN DELETE FROM questions; END")
        assert ["the schema was changed: the trigger 't' is not ours"] == [
            one.what for one in verify_factory(factory).problems
        ]
        os.truncate(file, 3_000)
        assert any(str(file) == one.where for one in verify_factory(factory).problems)
        assert any(str(file) == one.where for one in doctor(factory).problems)
