"""A retraining says what was new to learn from, also where nothing was."""

import csv

import pytest

from linewright.line.execute import execute_inline
from linewright.operations.use import feedback, predict


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
    """It comes out with figures of its own, for the rows are parted anew; they read as if the labels had done something."""
    factory, rows = table
    known = rows[:30]
    labels = [{"key": row["sample"], "label": row["diagnosis"]} for row in known]
    answer(factory, known, labels, tmp_path)
    first, second = retrain(factory), retrain(factory)

    assert [(0, 0)] * 2 == [(one.learned.new, one.learned.relabelled) for one in (first, second)]
    assert ("train" in first.did) is first.learned.trained
    assert not second.learned.trained
    assert first.run == second.learned.since
    assert "nothing new was learned: no row and no label is new since run" in second.to_text()
    assert "found again" in second.to_text()


def test_a_retraining_counts_new_rows_and_labels_that_changed(table, tmp_path):
    """What a person wants to know first: how much there was to learn from."""
    factory, rows = table
    asked = [{**row, "sample": f"T{row['sample'][1:]}"} for row in rows[:25]]
    answer(factory, asked, [{"key": row["sample"], "label": row["diagnosis"]} for row in asked], tmp_path)
    source = factory.root / "cancer.csv"
    head, *lines = source.read_text().splitlines()
    turned = {"malignant": "benign", "benign": "malignant"}
    fields = [line.rpartition(",") for line in lines[:3]]
    wrong = [f"{before},{turned[label]}" for before, _, label in fields]
    source.write_text("\n".join([head, *wrong, *lines[3:], ""]))
    retrained = retrain(factory)

    assert (25, 3) == (retrained.learned.new, retrained.learned.relabelled)
    assert "  learned  25 rows are new since run " in retrained.to_text()
    assert ", and 3 have another label\n" in retrained.to_text()


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
    assert "  learned  1 row is new since run " in retrained.to_text()
