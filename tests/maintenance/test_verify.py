"""`verify` and `audit verify`: what was damaged or changed is named, and what is whole is not."""

import json
import sqlite3
from pathlib import Path

import pytest

from linewright.capabilities.care.doctor import Needs, examine
from linewright.capabilities.care.verify import verify_factory
from linewright.line.factory import Factory
from linewright.line.holding import Verified
from linewright.model.facts import Package


def edit(root: Path, *statements: str) -> None:
    """Change the record as somebody who may write the file could."""
    drops = [
        f"drop trigger {table}_no_{verb}" for table in ("events", "results") for verb in ("update", "delete")
    ]
    with sqlite3.connect(root / ".linewright" / "metadata.sqlite") as database:
        database.executescript(";\n".join([*drops, *statements]))
    database.close()


def verified(root: Path) -> Verified:
    with Factory.open(root) as factory:
        return verify_factory(factory)


def blobs(root: Path) -> dict[str, Path]:
    """Return where the bytes of the champion lie, by what they are."""
    with Factory.open(root) as factory:
        digest = factory.metadata.versions("tumours")[0].digest
        package = factory.metadata.get(digest, Package)
        named = {"package": digest, "graph": package.graph, "golden": package.golden}
        return {name: factory.artifacts.path(digest) for name, digest in named.items()}


def test_a_factory_that_is_whole_has_no_problem_and_every_thing_is_counted(root, linewright):
    """A check that cries wolf is switched off."""
    code, found, _ = linewright(root, "verify")

    assert (0, []) == (code, found["problems"])
    assert (20, 10, 0) == (found["predictions"], found["labels"], found["unfinished"])
    assert 9 == found["blobs"]


def test_damaged_bytes_are_named_with_what_to_do(root, linewright, damage):
    """A backup can only be asked for while there is one."""
    for path in (all_blobs := sorted((root / ".linewright" / "artifacts").glob("??/*"))):
        damage(path)
    code, found, _ = linewright(root, "verify")
    of_model, about_model, _ = linewright(root, "verify", "tumours@1")

    assert (7, 7) == (code, of_model)
    told = " ".join(problem["where"] for problem in found["problems"])
    assert all(str(path) in told for path in all_blobs)
    assert all("restore" in problem["next"] for problem in [*found["problems"], *about_model["problems"]])


@pytest.mark.parametrize(("name", "how"), [("package", "cut"), ("graph", "flipped"), ("golden", "gone")])
def test_no_reader_takes_bytes_of_a_model_that_are_not_what_was_stored(root, linewright, damage, name, how):
    """No model byte is parsed before it is hashed and found right."""
    path = blobs(root)[name]
    if how == "flipped":
        damage(path)
    else:
        data = path.read_bytes()
        path.unlink()
        if how == "cut":
            path.write_bytes(data[:-1])

    with Factory.open(root) as factory:
        assert 7 == verify_factory(factory).exit_code
        assert any(
            "tumours@1" in one.what for one in examine(factory, Needs(free_bytes=0, ports=())).problems
        )
    assert linewright(root, "predict", "tumours", "ask.csv", "-o", "again.csv")[0] >= 2
    assert not (root / "again.csv").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("update events set body = replace(body, '\"model\":1', '\"model\":2') where kind = 'promoted'", "another package"),
        ("update events set body = replace(body, '\"forced\":false', '\"forced\":true') where kind = 'promoted'", "changed"),
        ("update pointers set champion = 7", "the pointer says champion 7"),
        ("update pointers set generation = 0", "the pointer says champion 1, generation 0"),
        ("insert into events (kind, line, at, by, because, body, chain) select kind, line, at, by, because, body, chain from events where kind = 'promoted'", "promoted twice"),
        ("insert into events (kind, line, at, by, because, body, chain) select kind, line, at, by, because, body, chain from events where kind = 'finished'", "two final states"),
        ("insert into events (kind, line, at, by, because, body, chain) select kind, line, at, by, because, body, chain from events where kind = 'accepted'", "accepted twice"),
        ("delete from events where kind = 'accepted'", "without having been accepted"),
        ("delete from events where kind = 'accepted'", "was not fixed before"),
        ("update results set body = replace(body, '\"verdict\":\"promote\"', '\"verdict\":\"reject\"') where kind = 'certificate'", "has changed"),
        ("delete from results where kind = 'certificate'", "is missing"),
        ("delete from results where kind = 'declared'", "is missing"),
        ("delete from results where kind = 'dataset'", "is missing"),
        ("delete from settled where key like 'chunk:%'", "rows of dataset"),
        ("update events set body = 'x' where kind = 'promoted'", "cannot be read"),
        ("delete from heads", "the end of the chain of events is gone"),
    ],
)  # fmt: skip
def test_a_record_that_breaks_a_promise_is_found(root, change, says):
    """The invariants are checked against what is stored, not believed of the code that stored it."""
    edit(root, change)
    with Factory.open(root) as factory:
        problems = verify_factory(factory).problems

    assert any(says in problem.what for problem in problems), problems


@pytest.mark.parametrize(
    ("change", "commands"),
    [
        ("delete from events where kind = 'registered'", ("card tumours@1", "why tumours@1", "promote tumours@1 --force --because x", "verify tumours@1")),
        ("delete from events where kind = 'accepted'", ("card tumours@1", "why tumours@1")),
        ("delete from events where kind = 'promoted'", ("run tumours",)),
    ],
)  # fmt: skip
def test_what_rests_on_an_event_that_was_removed_says_so(root, linewright, change, commands):
    """Somebody who tidied up by hand needs a backup, not a traceback."""
    edit(root, change)
    line = root / "lines" / "tumours.yaml"
    line.write_text(
        line.read_text().replace("confidence: 0.95", "confidence: 0.9")
    )  # so that a run judges anew
    for words in commands:
        code, said, _ = linewright(root, *words.split(" "))
        problem = said["problems"][0] if "problems" in said else said

        assert 7 == code
        assert "is gone from the record" in json.dumps(said)
        assert "restore it from a backup" in (problem.get("hint") or problem["next"])


def test_the_audit_names_the_first_bad_entry(root, linewright):
    """Somebody who changes who promoted, and why, is found out."""
    before = linewright(root, "audit", "verify")
    edit(root, "update events set by = 'nobody' where kind = 'promoted'")
    code, found, _ = linewright(root, "audit", "verify")

    assert (0, None) == (before[0], before[1]["first_bad"])
    assert 7 == code
    assert found["entries"] == found["first_bad"] - 1
    assert f"event {found['first_bad']}" == found["problems"][0]["where"]


def test_damaged_and_lost_predictions_and_labels_are_found(root, damage):
    """What was acknowledged must be there."""
    segment = next((root / ".linewright" / "log" / "tumours").glob("*.log"))
    whole = segment.read_bytes()
    damage(segment)
    flipped = verified(root)
    segment.write_bytes(whole[: len(whole) // 2])
    cut = verified(root)
    segment.write_bytes(whole)
    with sqlite3.connect(root / ".linewright" / "feedback" / "tumours.sqlite") as database:
        database.execute("update by_key set key = 'nobody' where key = 'S0000'")
    database.close()
    strange = verified(root)

    assert [7, 7, 7] == [flipped.exit_code, cut.exit_code, strange.exit_code]
    assert "a logged prediction is damaged" in flipped.problems[0].what
    assert any("predictions are lost" in problem.what for problem in cut.problems)
    assert "of which there is no prediction" in strange.problems[0].what


def test_an_end_that_was_counted_as_whole_is_not_taken_for_one_that_a_kill_tore_off(root, linewright):
    """Labels may be about it, so it was answered."""
    segment = next((root / ".linewright" / "log" / "tumours").glob("*.log"))
    data = bytearray(segment.read_bytes())
    data[3] ^= 1  # the length of the first record, now beyond the end
    data[20] ^= 1
    segment.write_bytes(data)
    (found,) = verified(root).problems
    code, copied, _ = linewright(root, "backup", str(root.parent / "copy.tar"))

    assert ("a logged prediction is damaged: torn", 7) == (found.what, found.exit_code)
    assert 7 == code
    assert "copied as it is: torn" in copied["problems"][0]["what"]


def test_the_end_that_a_kill_tore_off_is_no_problem(root):
    """It was never answered."""
    segment = next((root / ".linewright" / "log" / "tumours").glob("*.log"))
    with segment.open("ab") as file:
        file.write(b"\x40\x00\x00\x00half a record")

    assert 0 == verified(root).exit_code
