"""Corrections from a file, and what becomes of them in a backup."""

import csv
import shutil

from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.restore import restore_backup
from linewright.capabilities.care.verify import verify_factory
from linewright.line.factory import Factory

OTHER = {"malignant": "benign", "benign": "malignant"}


def known(factory, by="9"):
    return {
        record.key: truth.label
        for record, truth in factory.labels_of("tumours").labelled(known_by=by)
        if truth is not None
    }


def test_a_file_corrects_labels_and_a_backup_has_both(root, tmp_path, linewright):
    """A row that corrects nothing is a label like any other; verify looks at what was replaced too."""
    with (root / "truth.csv").open(newline="") as file:
        first, second, *_ = [(row["key"], row["label"]) for row in csv.DictReader(file)]
    with Factory.open(root) as factory:
        before, then = known(factory), factory.now()
    rows = [(first[0], OTHER[first[1]], first[1]), (*second, "NA")]
    (root / "fixed.csv").write_text(
        "\n".join(["key,label,corrects", *(",".join(row) for row in rows)]) + "\n"
    )
    code, said, _ = linewright(root, "feedback", "tumours", "fixed.csv")
    again = linewright(root, "feedback", "tumours", "fixed.csv")[1]
    refused = linewright(root, "feedback", "tumours", "truth.csv")
    with Factory.open(root) as factory:
        make_backup(factory, tmp_path / "copy.tar")
    shutil.rmtree(root)
    restore_backup(Factory(tmp_path / "new"), tmp_path / "copy.tar")
    with Factory.open(tmp_path / "new") as factory:
        found = verify_factory(factory)
        after, earlier = known(factory), known(factory, then)

    assert (0, 0, 1, 1) == (code, said["accepted"], said["corrected"], said["repeated"])
    assert (0, 2) == (again["corrected"], again["repeated"])
    assert (2, "Conflict") == (refused[0], refused[1]["error"])
    assert ((), 10) == (found.problems, found.labels)
    assert before | {first[0]: OTHER[first[1]]} == after
    assert before == earlier
