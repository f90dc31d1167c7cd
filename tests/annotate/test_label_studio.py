"""Annotations go to Label Studio and come back, and what is no annotation is refused with its place."""

import json
import random

import pytest
from small import LINE
from templates import copied, made_once

from linewright.capabilities.annotation.operations import (
    annotate_adjudicate,
    annotate_answer,
    annotate_export,
    annotate_import,
    annotate_next,
    annotate_queue,
    annotate_status,
)
from linewright.capabilities.care.verify import verify_factory
from linewright.errors import Conflict, RequestError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.runs.execute import execute


def export(factory, path):
    annotate_export(factory, LINE, out=path)
    return json.loads(path.read_text())


def a_result(label):
    return [{"from_name": "label", "to_name": "row", "type": "choices", "value": {"choices": [label]}}]


def write(path, tasks):
    path.write_text(json.dumps(tasks))
    return path


def test_what_was_exported_comes_back_once(member, tmp_path):
    """A second import of the same file must change nothing."""
    eve, ann, bob, cem = map(member, ("eve", "ann", "bob", "cem"))
    annotate_queue(eve, LINE, size=3, annotators=2)
    question = annotate_next(ann, LINE).question.id
    annotate_answer(ann, LINE, question, label="yes", seconds=2.5)
    annotate_answer(bob, LINE, question, label="no", seconds=3.5)
    annotate_adjudicate(cem, LINE, question, label="no")
    annotate_answer(ann, LINE, annotate_next(ann, LINE).question.id, skip=True, because="blurred")
    tasks = export(eve, tmp_path / "all.json")
    again = annotate_import(eve, LINE, tmp_path / "all.json")

    (task,) = [one for one in tasks if one["data"]["linewright:question"] == question]
    assert ["ann", "bob", "cem"] == [one["completed_by"]["email"] for one in task["annotations"]]
    assert [2.5, 3.5, None] == [one["lead_time"] for one in task["annotations"]]
    assert [False, False, True] == [one["ground_truth"] for one in task["annotations"]]
    assert [a_result("yes"), a_result("no"), a_result("no")] == [one["result"] for one in task["annotations"]]
    skipped = [one for each in tasks for one in each["annotations"] if one["was_cancelled"]]
    assert [([], {"because": "blurred"})] == [(one["result"], one["meta"]) for one in skipped]
    assert (0, 4, 0, 0) == (again.accepted, again.repeated, again.unknown, again.conflicts)
    assert tasks == export(eve, tmp_path / "again.json")
    with pytest.raises(Conflict, match="there is a file of that name already"):
        annotate_export(eve, LINE, out=tmp_path / "all.json")
    assert tasks == json.loads(result_text(annotate_export(eve, LINE)))


def test_labels_that_were_given_there_become_feedback(member, tmp_path):
    """A team that has Label Studio keeps it; who labelled was not authenticated here, and the name says so."""
    eve = member("eve")
    annotate_queue(eve, LINE, size=4, annotators=2)
    tasks = export(eve, tmp_path / "out.json")
    for task in tasks:
        task["annotations"] = [
            {"completed_by": by, "result": a_result("yes"), "lead_time": 1.0}
            for by in (7, {"email": "x@y.org"})
        ]
    first = annotate_import(eve, LINE, write(tmp_path / "in.json", tasks))
    second = annotate_import(eve, LINE, tmp_path / "in.json")
    status = annotate_status(eve, LINE)

    assert (8, 0) == (first.accepted, first.repeated)
    assert (0, 8) == (second.accepted, second.repeated)
    assert 4 == status.kept
    assert {"import:7 (unverified)", "import:x@y.org (unverified)"} == {
        one.annotator for one in status.annotators
    }
    assert () == verify_factory(eve).problems


def test_predictions_that_were_not_queued_become_questions(member, tmp_path):
    """Somebody may have labelled answers of the log before there was a queue."""
    eve = member("eve")
    annotate_queue(eve, LINE, size=4)
    (labels := eve.labels_of(LINE)).catch_up()
    ids = [record.id for record, label in labels.labelled(known_by=eve.now()) if label is None]
    queued = {one["data"]["linewright:prediction"] for one in export(eve, tmp_path / "out.json")}
    free = next(one for one in ids if one not in queued)
    task = {
        "data": {"linewright:prediction": free},
        "annotations": [{"completed_by": 1, "result": a_result("no")}],
    }
    lost = {
        "data": {"linewright:prediction": "no id"},
        "annotations": [{"completed_by": 1, "result": a_result("no")}],
    }
    done = annotate_import(eve, LINE, write(tmp_path / "in.json", [task, lost, {"data": {}}]))

    assert (2, 1, 1, ("tasks[1]",)) == (done.tasks, done.accepted, done.unknown, done.first)
    assert (5, 1) == (annotate_status(eve, LINE).questions, annotate_status(eve, LINE).kept)


def test_another_label_of_the_same_annotator_is_a_conflict(member, tmp_path):
    """The second file does not win silently."""
    eve = member("eve")
    annotate_queue(eve, LINE, size=1, annotators=2)
    (task,) = export(eve, tmp_path / "out.json")
    for label in ("yes", "no"):
        task["annotations"] = [{"completed_by": 1, "result": a_result(label)}]
        done = annotate_import(eve, LINE, write(tmp_path / f"{label}.json", [task]))

    assert (0, 1, ("tasks[0]",)) == (done.accepted, done.conflicts, done.first)


BROKEN = {
    "no JSON": ("{", "the file is not Label Studio's JSON"),
    "no list": ('{"data": {}}', "the file is not Label Studio's JSON"),
    "empty": ("[]", "the file is not Label Studio's JSON"),
    "deep": ("[" * 100_000, "the file is not Label Studio's JSON"),
    "bytes": ("[\x00\x01]", "the file is not Label Studio's JSON"),
    "no task": ("[1]", r"tasks\[0\]: not a task"),
    "no data": ('[{"annotations": []}]', r"tasks\[0\]: not a task"),
    "no annotation": (
        '[{"data": {}, "annotations": [3]}]',
        r"tasks\[0\]\.annotations\[0\]: not an annotation",
    ),
    "nobody": ('[{"data": {}, "annotations": [{"was_cancelled": true}]}]', "does not say who made it"),
    "true": ('[{"data": {}, "annotations": [{"was_cancelled": true, "completed_by": true}]}]', "who made it"),
    "no result": ('[{"data": {}, "annotations": [{"completed_by": 1}]}]', "one result of type choices"),
    "another class": (
        json.dumps([{"data": {}, "annotations": [{"completed_by": 1, "result": a_result("<b>")}]}]),
        "not a class of this line",
    ),
    "two choices": (
        json.dumps(
            [
                {
                    "data": {},
                    "annotations": [{"completed_by": 1, "result": [{"value": {"choices": ["yes", "no"]}}]}],
                }
            ]
        ),
        "one result of type choices",
    ),
    "a time": (
        '[{"data": {}, "annotations": [{"completed_by": 1, "was_cancelled": true, "lead_time": -1}]}]',
        "not a time",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_is_wrong_is_refused_whole(member, tmp_path, case):
    """Half of an import is worse than none: nobody knows which half."""
    text, match = BROKEN[case]
    eve = member("eve")
    annotate_queue(eve, LINE, size=1)
    tasks = export(eve, tmp_path / "out.json")
    (tmp_path / "in.json").write_text(text)

    with pytest.raises(RequestError, match=match):
        annotate_import(eve, LINE, tmp_path / "in.json")
    assert tasks == export(eve, tmp_path / "again.json")


@pytest.mark.parametrize("name", ["a" * 5_000, "é", 3, None, ["x"], {}])
def test_ids_of_any_form_are_unknown_at_most(member, tmp_path, name):
    """What stands in a file of others reaches a database."""
    eve = member("eve")
    annotate_queue(eve, LINE, size=1)
    data = {"linewright:question": name, "linewright:prediction": name}
    task = {"data": data, "annotations": [{"completed_by": 1, "result": a_result("no")}]}

    assert 1 == annotate_import(eve, LINE, write(tmp_path / "in.json", [task])).unknown


def test_a_line_of_numbers_has_results_of_numbers(tmp_path, tmp_path_factory):
    """Means of two numbers within the tolerance, and no class in sight."""
    with Factory.open(numbers(tmp_path, tmp_path_factory)) as factory:
        annotate_queue(factory, "heights", size=4, tolerance=1.0)
        question = annotate_next(factory, "heights").question
        taken = annotate_answer(factory, "heights", question.id, label="7.25", seconds=1)
        with pytest.raises(RequestError, match="not a number"):
            annotate_answer(factory, "heights", annotate_next(factory, "heights").question.id, label="tall")
        annotate_export(factory, "heights", out=tmp_path / "out.json")
        tasks = json.loads((tmp_path / "out.json").read_text())
        (task,) = [one for one in tasks if one["annotations"]]
        task["annotations"].append({**task["annotations"][0], "completed_by": 2})

        assert (7.25, ()) == (taken.label, question.classes)
        assert {"number": 7.25} == task["annotations"][0]["result"][0]["value"]
        done = annotate_import(factory, "heights", write(tmp_path / "in.json", tasks))
        assert (0, 1, 1) == (done.accepted, done.repeated, done.conflicts)
        (other,) = [one for one in tasks if not one["annotations"]][:1]
        other["annotations"] = [
            {"completed_by": who, "result": [{"type": "number", "value": {"number": number}}]}
            for who, number in ((1, 3), (2, 4))
        ]
        annotate_import(factory, "heights", write(tmp_path / "two.json", [other]))
        assert 2 == annotate_status(factory, "heights").kept
        assert "interval" == annotate_status(factory, "heights").agreement.level


def numbers(tmp_path, folders):
    """Make a line that predicts numbers, with some predictions."""

    def make(root):
        (root / "lines").mkdir(parents=True)
        (root / "lines" / "heights.yaml").write_text(
            "line: heights\nsources: {heights: {file: heights.csv}}\nlabel: {column: height}\n"
            "contract: {columns: {age: {type: number}, height: {type: number}}}\n"
            "train: {task: regression, budget: quick, folds: 2}\ngates: [{metric: rmse, at_most: 100}]\n"
        )
        chance = random.Random(3)
        rows = [(age := chance.uniform(1, 12), 2 + age / 2 + chance.gauss(0, 0.4)) for _ in range(200)]
        (root / "heights.csv").write_text("age,height\n" + "".join(f"{a:.3f},{h:.3f}\n" for a, h in rows))
        (root / "ask.csv").write_text("age\n" + "".join(f"{a:.3f}\n" for a, _ in rows[:8]))
        with Factory.create(root) as factory:
            execute(factory, "heights")
            predict_file(factory, "heights", root / "ask.csv", root / "answers.csv")

    return copied(made_once(folders, "heights-annotate", make), tmp_path / "heights")
