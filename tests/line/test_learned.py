"""A retraining says what was new to learn from, also where nothing was."""

import csv

import pytest

from linewright.capabilities.predictions.operations import feedback, predict
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.runs.execute import execute_inline

TURNED = {"malignant": "benign", "benign": "malignant"}


def answer(factory, rows, labels, folder):
    """Have rows answered, and hand in their labels by key."""
    for name, table in (("rows.csv", rows), ("labels.csv", labels)):
        with (folder / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
    predict(factory, "tumours", folder / "rows.csv", out=folder / "out.csv")
    feedback(factory, "tumours", folder / "labels.csv")


def retrain(factory):
    return execute_inline(factory, "tumours", as_of=factory.now())


@pytest.fixture
def table(tumours):
    factory = tumours()
    execute_inline(factory, "tumours")
    with (factory.root / "cancer.csv").open(newline="") as file:
        return factory, list(csv.DictReader(file))


def test_a_retraining_on_rows_that_were_known_says_that_nothing_was_new(table, tmp_path):
    """It comes out with figures of its own; they read as if the labels had done something, which the source's label outweighs."""
    factory, rows = table
    known = rows[:30]
    labels = [{"key": row["sample"], "label": row["diagnosis"]} for row in known]
    for one in labels[:4]:
        one["label"] = TURNED[one["label"]]
    answer(factory, known, labels, tmp_path)
    first, second = retrain(factory), retrain(factory)

    assert [(0, 0)] * 2 == [(one.learned.new, one.learned.relabelled) for one in (first, second)]
    assert [(30, 4), (0, 0)] == [
        (one.learned.outweighed, one.learned.contradicting) for one in (first, second)
    ]
    assert "nothing new was learned: no row is new since run " in result_text(first)
    assert (
        "; 30 labels that it did not know came by feedback about rows that the source has too: the source's label counts, "
        "and 4 of them say otherwise; "
    ) in result_text(first)
    assert ("train" in first.did) is first.learned.trained
    assert not second.learned.trained
    assert first.run == second.learned.since
    assert "nothing new was learned: no row and no label is new since run" in result_text(second)
    assert "found again" in result_text(second)


def test_the_rows_are_said_to_be_parted_anew_only_where_they_are(table, tmp_path):
    """Another setting or other folds are no other split."""
    factory, rows = table
    answer(factory, rows[:1], [{"key": rows[0]["sample"], "label": rows[0]["diagnosis"]}], tmp_path)
    retrain(factory)
    file = factory.root / "lines" / "tumours.yaml"
    file.write_text(file.read_text().replace("budget: quick", "budget: quick\n  folds: 3"))
    as_before = retrain(factory)
    file.write_text(file.read_text().replace("test: 0.2}", "test: 0.2, salt: another}"))
    anew = retrain(factory)

    assert [True, True] == [one.learned.trained for one in (as_before, anew)]
    assert ["training", "parts"] == [one.learned.differs for one in (as_before, anew)]
    assert "the same rows train and test as before" in result_text(as_before)
    assert "split anew" not in result_text(as_before)
    assert "the same rows were only split anew into training and test rows" in result_text(anew)


def test_labels_that_were_learned_are_not_counted_as_outweighed(table, tmp_path):
    """Of an answered row that no source has, feedback is the truth, also where it is corrected later."""
    factory, rows = table
    asked = [{**row, "sample": f"T{row['sample'][1:]}"} for row in rows[:25]]
    labels = [{"key": row["sample"], "label": row["diagnosis"]} for row in (*asked, rows[30])]
    answer(factory, [*asked, rows[30]], labels, tmp_path)
    first = retrain(factory)
    told = labels[0]["label"]
    corrected = [{"key": asked[0]["sample"], "label": TURNED[told], "corrects": told}]
    answer(factory, rows[40:41], corrected, tmp_path)
    second = retrain(factory)

    assert (25, 0, 1, 0) == figures(first)
    assert "1 label that it did not know came by feedback about rows that the source has too" in result_text(
        first
    )
    assert (0, 1, 0, 0) == figures(second)


def figures(result):
    found = result.learned
    return found.new, found.relabelled, found.outweighed, found.contradicting


def test_a_retraining_counts_new_rows_and_labels_that_changed(table, tmp_path):
    """What a person wants to know first: how much there was to learn from."""
    factory, rows = table
    asked = [{**row, "sample": f"T{row['sample'][1:]}"} for row in rows[:25]]
    answer(factory, asked, [{"key": row["sample"], "label": row["diagnosis"]} for row in asked], tmp_path)
    source = factory.root / "cancer.csv"
    head, *lines = source.read_text().splitlines()
    fields = [line.rpartition(",") for line in lines[:3]]
    wrong = [f"{before},{TURNED[label]}" for before, _, label in fields]
    source.write_text("\n".join([head, *wrong, *lines[3:], ""]))
    retrained = retrain(factory)

    assert (25, 3) == (retrained.learned.new, retrained.learned.relabelled)
    assert "  learned  25 rows are new since run " in result_text(retrained)
    assert ", and 3 have another label\n" in result_text(retrained)


def test_what_a_row_without_a_key_says_decides_whether_it_is_new(tumours):
    """Many tables have no key, and their rows are known by what they say."""
    factory = tumours()
    file = factory.root / "lines" / "tumours.yaml"
    file.write_text(
        "\n".join(
            one for one in file.read_text().splitlines() if not one.startswith(("table:", "  key: sample"))
        )
    )
    first = execute_inline(factory, "tumours")
    path = factory.root / "cancer.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1].replace("S0000", "S9999"), ""]))
    retrained = retrain(factory)

    assert first.learned is None
    assert (1, 0) == (retrained.learned.new, retrained.learned.relabelled)
    assert "  learned  1 row is new since run " in result_text(retrained)
