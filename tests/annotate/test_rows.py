"""Rows of a table that has few labels: they are queued, people label them, and the next run trains with what they said."""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import small

from linewright.capabilities.annotation.operations import (
    annotate_adjudicate,
    annotate_answer,
    annotate_close,
    annotate_export,
    annotate_next,
    annotate_queue,
    annotate_queue_rows,
    annotate_status,
    annotate_undo,
)
from linewright.capabilities.care.forget import forget
from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.datasets.operations import Datasets, dataset, datasets, rows
from linewright.capabilities.inbox.operations import inbox
from linewright.capabilities.lines.operations import plan
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset, Ingested
from linewright.errors import LinewrightError, NotFound, RequestError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.record.evidence import Claim, explain
from linewright.line.runs.execute import execute_inline
from linewright.people.annotations import Annotations
from linewright.people.facts import LabelSettled, RowsAnnotated
from linewright.serve.access.rights import ROLES, Identity, Scope

LINE = small.LINE
FILE = """\
line: claims
sources: {claims: {file: claims.csv}}
table: {key: claim, subject: person}
label: {column: fraud, positive: "yes"}
contract:
  columns:
    claim: {type: category}
    person: {type: category}
    amount: {type: number}
    age: {type: number}
    fraud: {type: category, allowed: ["no", "yes"]}
train: {task: binary, budget: quick, folds: 2}
gates:
  - {metric: roc_auc, at_least: 0.5}
"""
N = 90


def truth_of(number: int) -> str:
    return "yes" if number % 3 == 0 else "no"


def write_table(root: Path, *, known: int, first: int = 0, n: int = N) -> None:
    """Write a table of which the first rows have a label."""
    chance = random.Random(5)
    lines = ["claim,person,amount,age,fraud"]
    for number in range(first, n):
        amount = (1.5 if truth_of(number) == "yes" else -1.5) + chance.gauss(0, 1)
        label = truth_of(number) if number < known else ""
        lines.append(f"C{number:03},P{number:03}x,{amount:.4f},{chance.gauss(40, 9):.1f},{label}")
    (root / "claims.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a factory whose table has no label at all: its run has read it and cannot train."""
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / f"{LINE}.yaml").write_text(FILE)
    write_table(tmp_path, known=0)
    with Factory.create(tmp_path) as factory, pytest.raises(LinewrightError):
        execute_inline(factory, LINE)
    return tmp_path


@pytest.fixture
def factory(root: Path) -> Iterator[Factory]:
    with Factory.open(root) as opened:
        yield opened


def somebody(root: Path, name: str) -> Factory:
    scope = Scope(permissions=ROLES["annotator"])
    return Factory.open(root, identity=Identity(actor=name, member=name, scopes=(scope,)))


def label_all(root: Path, name: str, said: Callable[[int], str] = truth_of) -> int:
    """Label everything that waits for somebody; return how many that were."""
    done = 0
    with somebody(root, name) as factory:
        while (asked := annotate_next(factory, LINE).question) is not None:
            label = said(int(asked.row["claim"][1:]))
            annotate_answer(factory, LINE, asked.id, label=label, seconds=1.0)
            done += 1
    return done


def frame_of(factory: Factory, digest: str):
    return read_dataset(factory.metadata.get(digest, Dataset), factory.artifacts, factory.metadata)


def kinds(claim: Claim) -> set[str]:
    return {claim.kind}.union(*(kinds(one) for one in claim.rests_on))


def test_a_table_without_labels_becomes_a_model_by_annotation(root, factory):
    """The first model of a line needs labels that only people have."""
    queued = annotate_queue_rows(factory, LINE, size=N)
    asked = annotate_next(factory, LINE).question

    assert (N, N, "") == (queued.questions, queued.pool, annotate_status(factory, LINE).effect or "")
    assert asked is not None
    assert ("fraud", ("no", "yes")) == (asked.label, asked.classes)
    assert "fraud" not in asked.row
    assert N - 1 == label_all(root, "ann")
    annotate_answer(factory, LINE, asked.id, label=truth_of(int(asked.row["claim"][1:])))
    assert N == annotate_status(factory, LINE).unclosed
    closed = annotate_close(factory, LINE)
    assert N == closed.labels
    assert "linewright run claims" in str(result_text(closed))
    ran = execute_inline(factory, LINE)
    table = frame_of(factory, ran.dataset)
    assert 0 == table["fraud"].null_count()
    assert [truth_of(int(one[1:])) for one in table["claim"]] == table["fraud"].to_list()


def test_the_labels_have_who_and_when_and_evidence_leads_to_them(root, factory):
    """A risk officer asks who said so."""
    annotate_queue_rows(factory, LINE, size=N, annotators=2)
    label_all(root, "ann")
    label_all(root, "bob", lambda number: "no" if number == 3 else truth_of(number))
    with somebody(root, "cy") as decider:
        asked = annotate_next(decider, LINE, decide=True).question
        assert asked is not None
        annotate_adjudicate(decider, LINE, asked.id, label="yes")
    closed = annotate_close(factory, LINE)
    assert closed.dataset is not None
    ran = execute_inline(factory, LINE)
    listed = datasets(factory, LINE)
    shown = rows(factory, LINE, dataset=closed.dataset, where="claim=C003")
    found = dataset(factory, LINE, ran.dataset).shown

    assert isinstance(listed, Datasets)
    assert ["run", "annotation", "run"] == [one.made_by for one in listed.datasets]
    assert [N, N, 0] == [one.labelled for one in listed.datasets]
    given = shown.rows[0].labelled
    assert given is not None
    assert ({"ann", "bob"}, "cy") == (set(given.annotators), given.decided)
    assert given.at > "2"
    assert found is not None
    assert found.annotated is not None
    assert ("ann", "bob", "cy") == found.annotated.by
    assert "annotated-rows" in kinds(explain(factory, ran.candidate))
    assert closed.dataset in str(explain(factory, ran.candidate))
    assert "labelled by ann, bob, cy" in str(result_text(dataset(factory, LINE, closed.dataset)))
    assert "decided by cy" in str(result_text(shown))
    settled = factory.metadata.events(LabelSettled, line=LINE)
    assert {""} == {one.prediction for one in settled}
    assert N == len({one.row for one in settled})


def test_a_plan_says_that_labels_came_and_nothing_once_they_are_used(root, factory):
    annotate_queue_rows(factory, LINE, size=N)
    label_all(root, "ann")
    annotate_close(factory, LINE)
    before = str(result_text(plan(factory, LINE)))
    execute_inline(factory, LINE)
    annotate_close(factory, LINE)

    assert "the labels of annotators changed" in before
    assert "no changes" in str(result_text(plan(factory, LINE)))
    assert 1 == len(factory.metadata.events(RowsAnnotated, line=LINE))


def test_the_label_of_a_source_counts_where_it_has_one(root, factory):
    annotate_queue_rows(factory, LINE, size=N)
    label_all(root, "ann", lambda number: "yes" if number < 20 else truth_of(number))
    annotate_close(factory, LINE)
    write_table(root, known=60, first=10)
    ran = execute_inline(factory, LINE)
    table = frame_of(factory, ran.dataset)

    assert N - 10 == table.height
    assert [truth_of(int(one[1:])) for one in table["claim"]] == table["fraud"].to_list()


def test_rows_without_a_label_are_drawn_by_what_the_champion_is_unsure_of(root, factory):
    """Labels are dear: those of rows that the model knows anyway teach it little."""
    write_table(root, known=240, n=300)
    assert execute_inline(factory, LINE).promoted
    queued = annotate_queue_rows(factory, LINE, size=10, gold=0.5)
    with Annotations.of(factory.state, LINE).reading() as held:
        asked = held.questions()

    chosen = [one.stratum for one in asked if one.drawn == "chosen"]
    unlabelled = {one.row for one in asked if one.gold is None}

    assert (10, 60, 5) == (queued.questions, queued.pool, queued.gold)
    assert sum(chosen) / len(chosen) > 3
    assert all((one.row or 0) >= 240 for one in asked if one.gold is None)
    assert 10 == len(unlabelled)
    assert all((one.row or 0) < 240 for one in asked if one.gold is not None)


def test_a_further_batch_adds_to_the_labels_and_a_changed_one_corrects(root, factory):
    write_table(root, known=60)
    execute_inline(factory, LINE)
    annotate_queue_rows(factory, LINE, size=10)
    label_all(root, "ann")
    first = annotate_close(factory, LINE)
    execute_inline(factory, LINE)
    with somebody(root, "ann") as ann:
        undone = annotate_undo(ann, LINE)
        annotate_answer(ann, LINE, undone.question, label="no")
    annotate_queue_rows(factory, LINE, size=10)
    label_all(root, "bob")
    second = annotate_close(factory, LINE)

    assert (10, 20) == (first.labels, second.labels)
    assert second.dataset is not None
    assert first.dataset != second.dataset
    assert 10 == sum(
        one.labelled.annotators == ("bob",)
        for one in rows(factory, LINE, dataset=second.dataset).rows
        if one.labelled
    )


def test_a_person_who_is_forgotten_is_in_no_version_of_labels(root, factory):
    annotate_queue_rows(factory, LINE, size=N)
    label_all(root, "ann")
    closed = annotate_close(factory, LINE)
    assert closed.dataset is not None
    execute_inline(factory, LINE)
    forgot = forget(factory, LINE, "P017x", dry_run=False)
    with Annotations.of(factory.state, LINE).reading() as held:
        asked = held.questions()

    assert () == forgot.left
    assert "P017x" not in frame_of(factory, closed.dataset)["person"].to_list()
    assert N - 1 == len(asked)
    ran = execute_inline(factory, LINE)
    assert N - 1 == frame_of(factory, ran.dataset).height
    assert 0 == frame_of(factory, ran.dataset)["fraud"].null_count()


def test_what_is_stored_is_whole(root, factory):
    annotate_queue_rows(factory, LINE, size=30)
    label_all(root, "ann")
    annotate_close(factory, LINE)

    assert 0 == verify_factory(factory).exit_code
    exported = annotate_export(factory, LINE)
    assert 30 == exported.tasks
    assert "linewright:prediction" not in exported.content[0]["data"]


def test_what_cannot_be_queued_is_refused(factory):
    with pytest.raises(NotFound, match="no such dataset"):
        annotate_queue_rows(factory, LINE, dataset="sha256:00")
    with pytest.raises(NotFound):
        annotate_queue(factory, LINE)
    annotate_queue_rows(factory, LINE, size=N)
    with pytest.raises(RequestError, match="no row waits"):
        annotate_queue_rows(factory, LINE)
    with pytest.raises(RequestError, match="not a class"):
        annotate_answer(factory, LINE, next_id(factory), label="maybe")


def next_id(factory: Factory) -> str:
    asked = annotate_next(factory, LINE).question
    assert asked is not None
    return asked.id


def test_a_reading_without_annotation_says_nothing_of_it(factory):
    """What is not used leaves no trace in a result."""
    listed = datasets(factory, LINE)
    assert isinstance(listed, Datasets)

    assert [0] == [one.labelled for one in listed.datasets]
    shown = dataset(factory, LINE).shown
    assert shown is not None
    assert shown.annotated is None
    assert None is factory.metadata.get(shown.ingested, Ingested).annotated


def test_a_table_whose_rows_all_have_labels_leaves_no_file(root, factory):
    """What is refused leaves nothing: a file without questions is one that nobody expects."""
    write_table(root, known=N)
    with suppress(LinewrightError):
        execute_inline(factory, LINE)

    with pytest.raises(RequestError, match="label"):
        annotate_queue_rows(factory, LINE, size=N)

    assert not (factory.state / "annotate").exists()
    assert [] == [one for one in inbox(factory).items if one.kind == "questions"]


def test_a_file_without_a_batch_is_read_as_one_without_questions(factory):
    """A version before this one left such files, and the inbox of all who annotate broke with it."""
    with Annotations.of(factory.state, LINE).transaction():
        pass

    assert Annotations.of(factory.state, LINE).is_there()
    assert [] == [one for one in inbox(factory).items if one.kind == "questions"]
    assert 0 == annotate_status(factory, LINE).unclosed
    assert N == annotate_queue_rows(factory, LINE, size=N).questions


def test_rows_that_were_queued_meanwhile_are_not_asked_twice(factory, monkeypatch):
    """The rows are read before the file is held: who queued others in between drew them first."""
    first = annotate_queue_rows(factory, LINE, size=10)
    monkeypatch.setattr("linewright.capabilities.annotation.queue._asked_before", lambda _store: (set(), 1))

    second = annotate_queue_rows(factory, LINE, size=N)

    assert (1, 2) == (first.batch, second.batch)
    assert N - 10 == second.questions
