"""What somebody with the files changes is found by `verify`, with its place, and what cannot be proved yet is counted."""

import json
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
import urllib.request
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from ports import free_port
from small import LINE, make_factory

from linewright.capabilities.audit.verify_chain import verify_chain
from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.restore import restore_backup
from linewright.capabilities.care.verify import verify_factory
from linewright.errors import Corrupt
from linewright.interfaces.cli import _open_factory
from linewright.interfaces.cli.build import run
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.predict.label_file import hand_in
from linewright.line.problem import problem_in_words
from linewright.line.record.checkpoint import checkpoint, checkpoint_all
from linewright.line.runs.execute import execute
from linewright.operations.table import OPERATIONS
from linewright.release.promotion import halt, project
from linewright.serve.facts import Checkpointed
from linewright.serve.feedback.changes import chain_up
from linewright.store.changes import NONE, Chained
from linewright.store.metadata.audit_chain import ROOT, link


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Make a factory with answers, labels, halts and a checkpoint; `old.sqlite` is its record as it was before the halts."""
    root = make_factory(tmp_path_factory, tmp_path_factory.mktemp("tampering") / "factory")
    shutil.copy(root / ".linewright" / "metadata.sqlite", root / "old.sqlite")
    with Factory.open(root) as factory:
        for stops in (True, False, True, False):
            halt(factory.context, factory.serving, LINE, stops, "a test")
        predict_file(factory, LINE, root / "ask.csv", root / "again.csv")
        checkpoint_all(factory)
    return root


@pytest.fixture
def root(template, tmp_path):
    shutil.copytree(template, tmp_path / "factory")
    return tmp_path / "factory"


def verified(root: Path):
    with Factory.open(root) as factory:
        return verify_factory(factory)


def told(root: Path) -> str:
    return "\n".join(map(problem_in_words, verified(root).problems))


def carry_out(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def feedback(root: Path) -> Path:
    return root / ".linewright" / "feedback" / f"{LINE}.sqlite"


def metadata(root: Path) -> Path:
    return root / ".linewright" / "metadata.sqlite"


def segments(root: Path) -> list[Path]:
    return sorted((root / ".linewright" / "log" / LINE).glob("*.log"))


def test_what_nobody_touched_is_whole_and_proved(root):
    """A check that cries wolf is switched off."""
    found = verified(root)

    assert ((), 40, 10) == (found.problems, found.predictions, found.labels)
    assert (0, 0) == (found.unproved_predictions, found.unproved_labels)


def test_what_came_since_the_checkpoint_is_said_to_be_unproved(root):
    """Nobody may take for proved what is not; the next checkpoint proves it."""
    (root / "more.csv").write_text("key,label\nC010,no\nC011,no\n")
    with Factory.open(root) as factory:
        predict_file(factory, LINE, root / "ask.csv", root / "more-answers.csv")
        hand_in(factory, LINE, root / "more.csv")
        before = verify_factory(factory)
        made = checkpoint(factory, LINE)
        again = checkpoint(factory, LINE)
        after = verify_factory(factory)

    assert ((), 20, 2) == (before.problems, before.unproved_predictions, before.unproved_labels)
    assert "newer than the last checkpoint: 20 predictions, 2 changes of labels" in result_text(before)
    assert 1 == len(made.segments)
    assert 12 == made.changes
    assert again is None
    assert ((), 0, 0) == (after.problems, after.unproved_predictions, after.unproved_labels)


def test_a_backup_is_as_proved_as_the_factory(root, tmp_path):
    """A copy whose checkpoints do not hold would be thrown away when it is needed."""
    with Factory.open(root) as factory:
        make_backup(factory, tmp_path / "copy.tar")
    restore_backup(Factory(tmp_path / "new"), tmp_path / "copy.tar")
    found = verified(tmp_path / "new")

    assert ((), 40, 10, 0, 0) == (
        found.problems, found.predictions, found.labels, found.unproved_predictions, found.unproved_labels,
    )  # fmt: skip


# Labels

QUIETLY = ("drop trigger by_key_update", "drop trigger by_key_insert")


@pytest.mark.parametrize(
    "statements",
    [
        ("update by_key set label = case label when '\"yes\"' then '\"no\"' else '\"yes\"' end where key = 'C003'",),
        (*QUIETLY, "update by_key set label = case label when '\"yes\"' then '\"no\"' else '\"yes\"' end where key = 'C003'"),
        ("delete from by_key where key = 'C003'",),
        ("delete from by_key where key = 'C003'", "delete from changes where who = 'C003'"),
        ("delete from by_key", "delete from changes"),
        ("update by_key set received = '2020-01-01T00:00:00.000000Z' where key = 'C003'",),
        ("delete from changes where who = 'C003'",),
        ("update changes set label = '\"maybe\"' where who = 'C003'",),
        ("insert into earlier_by_key select key, '\"maybe\"', at, received, received from by_key where key = 'C003'",),
        ("update chained set digest = 'sha256:0'",),
    ],
)  # fmt: skip
def test_labels_that_were_changed_or_removed_are_found(root, statements):
    """By labels models are judged and retrained: flipping ten decides what serves next."""
    carry_out(feedback(root), *statements)
    said = told(root)

    assert f"labels of {LINE}" in said


@pytest.mark.parametrize("how", ["flipped", "removed"])
def test_labels_that_were_made_anew_throughout_are_found_by_the_checkpoint(root, how):
    """Somebody who knows our code chains the changes anew; the record has the digest of the old ones."""
    if how == "flipped":
        flip = "set label = case label when '\"yes\"' then '\"no\"' else '\"yes\"' end"
        rewrite = (f"update changes {flip}", *QUIETLY, f"update by_key {flip}")
    else:
        rewrite = ("delete from by_key where key = 'C009'", "delete from changes where who = 'C009'")
    with closing(sqlite3.connect(feedback(root))) as database:
        kept = [sql for (sql,) in database.execute("select sql from sqlite_master where type = 'trigger'")]
        for statement in rewrite:
            database.execute(statement)
        database.execute("update chained set changes = 0, digest = ?", (NONE,))
        end = chain_up(database)
        for sql in kept:
            if sql.split()[2] not in {each.split()[2] for each in _triggers(database)}:
                database.execute(sql)
        database.commit()
    said = told(root)

    assert Chained(0, NONE) != end
    assert ("labels were changed" if how == "flipped" else "labels are lost: 10 changes") in said
    assert "schema" not in said


def _triggers(database: sqlite3.Connection) -> list[str]:
    return [sql for (sql,) in database.execute("select sql from sqlite_master where type = 'trigger'")]


def test_labels_whose_file_is_gone_are_found(root):
    """No file is no labels, if nobody remembers them."""
    feedback(root).unlink()

    assert "labels are lost: 10 changes of them were kept, and their file is gone" in told(root)


# The log


def edit_record(path: Path) -> None:
    """Change an answer in the first record of a segment, length kept, with a checksum that fits."""
    data = bytearray(path.read_bytes())
    length, _ = struct.unpack("<II", data[:8])
    payload = bytes(data[8 : 8 + length])
    changed = (
        payload.replace(b'"claims@', b'"claimz@', 1)
        if b'"claims@' in payload
        else payload.replace(b"C00", b"C77", 1)
    )
    assert payload != changed
    data[: 8 + length] = struct.pack("<II", length, zlib.crc32(changed)) + changed
    path.write_bytes(data)


def test_a_record_that_was_edited_with_its_checksum_is_found(root):
    """A CRC is no secret: until a segment is sealed, hours later, an answer could be edited unseen."""
    path = segments(root)[0]
    edit_record(path)
    said = told(root)

    assert f"{path}: the log was changed: its records up to byte" in said


def test_a_segment_that_was_shortened_or_taken_away_is_found(root):
    """With the index made to fit, as somebody would who has read our code."""
    first, second = segments(root)
    first.unlink()
    second.write_bytes(b"")
    carry_out(feedback(root), "update segments set position = 0")
    said = told(root)

    assert f"{first}: the log was changed" in said
    assert f"{second}: the log was changed" in said


def test_the_worker_tells_of_a_segment_that_was_changed_before_it_grew(root):
    """Found within ten minutes, and not entered as if it were right."""
    path = segments(root)[0]
    edit_record(path)
    whole = path.read_bytes()
    length, _ = struct.unpack("<II", whole[:8])
    path.write_bytes(whole + whole[: 8 + length])
    with Factory.open(root) as factory:
        with pytest.raises(Corrupt, match="is not what it was at its last checkpoint"):
            checkpoint(factory, LINE)
        (event,) = factory.metadata.events(Checkpointed, line=LINE)

    assert path.name in event.segments


def test_a_record_that_is_half_written_is_not_in_a_checkpoint(root):
    """It is taken away or written to its end by its writer, and would then look like a forgery."""
    path = segments(root)[-1]
    whole = path.read_bytes()
    length, _ = struct.unpack("<II", whole[:8])
    frame = whole[: 8 + length]
    path.write_bytes(whole + frame + frame[:50])
    with Factory.open(root) as factory:
        made = checkpoint(factory, LINE)
        path.write_bytes(whole + frame)
        problems = verify_factory(factory).problems

    assert len(whole) + len(frame) == made.segments[path.name].bytes
    assert () == problems


# What endpoints are told, and older records


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"halt": false', '"halt": true', "something else than the record says: halt"),
        ('"when_log_fails": "refuse"', '"when_log_fails": "serve-unlogged"', "says: when_log_fails"),
        ('"generation": 5', '"generation": 4', "are told generation 4, and the record says 5"),
        ('"generation": 5', '"generation": 9', "are told generation 9, and the record ends at 5: an older record was put back"),
        ('"package": "sha256:', '"package": "sha256:00', "says: champion"),
        ("{", "", "cannot be read"),
    ],
)  # fmt: skip
def test_endpoints_that_are_told_something_else_are_found(root, old, new, says):
    """The file decides which model answers, and whether any does."""
    path = root / ".linewright" / "serving" / f"{LINE}.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    said = told(root)

    assert f"{path}: " in said
    assert says in said


def test_a_line_that_may_answer_though_it_is_halted_is_found(root):
    """The file that lets it answer is all that a halt takes away when nothing else works."""
    go = root / ".linewright" / "serving" / f"{LINE}.go"
    kept = go.read_bytes()
    with Factory.open(root) as factory:
        halt(factory.context, factory.serving, LINE, True, "a test")
        assert () == verify_factory(factory).problems
    go.write_bytes(kept)

    assert "the line may answer, and the record says that it is halted" in told(root)


def test_endpoints_that_are_told_nothing_are_found(root):
    """A line that silently serves nothing."""
    (root / ".linewright" / "serving" / f"{LINE}.json").unlink()

    assert "endpoints are told nothing" in told(root)


@pytest.mark.parametrize("hides", ["nothing", "the head", "the head and the file"])
def test_an_older_record_that_was_put_back_is_found(root, hides):
    """It takes halts and promotions back, and its own chain is in perfect order."""
    shutil.copy(root / "old.sqlite", metadata(root))
    if hides != "nothing":
        (root / ".linewright" / "head.json").unlink()
    if hides == "the head and the file":
        with Factory.open(root) as factory:
            project(factory.metadata, factory.serving, LINE)
    said = told(root)

    assert ("does not contain the head that was kept" in said) == (hides == "nothing")
    assert ("are told generation 5, and the record ends at 1: an older record" in said) == (
        hides != "the head and the file"
    )
    assert "predictions were answered in generation 5, and the record ends at 1: an older record" in said


def test_the_head_of_the_newer_record_stays_until_a_person_has_decided(root):
    """Else the next start of `up` would wipe out the one trace."""
    kept = (root / ".linewright" / "head.json").read_text()
    shutil.copy(root / "old.sqlite", metadata(root))
    with Factory.open(root) as factory:
        _, trouble = checkpoint_all(factory)

    assert ["an older copy"] == [each for each in ("an older copy",) if each in str(trouble)]
    assert kept == (root / ".linewright" / "head.json").read_text()


# Schemas


@pytest.mark.parametrize(
    ("file", "statement", "says"),
    [
        (metadata, "drop trigger events_no_update", "the trigger 'events_no_update' is missing"),
        (metadata, "create trigger undo after insert on events begin update pointers set halt = 0; end", "the trigger 'undo' is not ours"),
        (metadata, "create view more as select 1", "the view 'more' is not ours"),
        (feedback, "create trigger undo after insert on by_id begin delete from by_id; end", "the trigger 'undo' is not ours"),
        (feedback, "drop trigger by_id_insert", "the trigger 'by_id_insert' is missing"),
        (feedback, "drop index by_key_received", "the index 'by_key_received' is missing"),
    ],
)  # fmt: skip
def test_schemas_that_were_changed_are_found(root, file, statement, says):
    """A trigger that undoes each halt does so by our hand, and nothing that is stored shows it."""
    carry_out(file(root), statement)

    assert f"{file(root)}: the schema was changed: {says}" in told(root)


# The record


def rewrite(root: Path, *statements: str) -> None:
    """Change the record and make its chain anew, as somebody who has read our code would: triggers and all."""
    with closing(sqlite3.connect(metadata(root))) as database:
        triggers = database.execute("select name, sql from sqlite_master where type = 'trigger'").fetchall()
        for name, _ in triggers:
            database.execute(f"drop trigger {name}")
        for statement in statements:
            database.execute(statement)
        before, entries = ROOT, 0
        names = ("kind", "line", "at", "by", "because", "body")
        rows = database.execute(f"select seq, {', '.join(names)} from events order by seq").fetchall()  # noqa: S608 -- names of this test
        for seq, *parts in rows:
            before, entries = link(before, **dict(zip(names, parts, strict=True))), entries + 1
            database.execute("update events set chain = ? where seq = ?", (before, seq))
        database.execute("update heads set entries = ?, digest = ?", (entries, before))
        for _, sql in triggers:
            database.execute(sql)
        database.commit()


@pytest.mark.parametrize(
    "statements",
    [
        (
            "update events set by = 'eve', body = replace(body, '\"by\":\"', '\"by\":\"eve and ') where kind = 'promoted'",
        ),
        ("delete from events where seq = (select max(seq) from events)",),
        (
            "delete from events where kind = 'halted'",
            "update pointers set generation = 1",
        ),
    ],
    ids=["rechained", "tail cut", "halts dropped"],
)
def test_a_record_that_was_made_anew_is_found_against_a_head_kept_elsewhere(root, statements):
    """Whoever may write the file can rewrite all of it; what left the machine before, nobody can."""
    with Factory.open(root) as factory:
        kept = factory.metadata.head()
        assert (kept.entries, ()) == (verify_chain(factory, kept.digest).contains, ())
    rewrite(root, *statements)
    with Factory.open(root) as factory:
        alone, against = verify_chain(factory), verify_chain(factory, kept.digest.removeprefix("sha256:"))

    assert ((), 0) == (alone.problems, alone.exit_code)
    assert (None, 7) == (against.contains, against.exit_code)
    assert "does not contain the head that was kept" in result_text(against)


def test_a_head_of_any_moment_is_found_again(root, capsys):
    """The one that was noted months ago proves all before it."""
    with Factory.open(root) as factory:
        chain = [one.chain for one in factory.metadata.links()]
        found = [verify_chain(factory, each).contains for each in (ROOT, *chain)]
    asked = ["audit", "verify", "--factory", str(root), "--against"]
    codes = [
        run([*asked, head], OPERATIONS, _open_factory) for head in (chain[1], "sha256:" + "ab" * 32, "short")
    ]

    assert list(range(len(chain) + 1)) == found
    assert [0, 7, 2] == codes
    assert "was the last after 2 events" in capsys.readouterr().out


def test_a_time_of_registration_that_was_edited_is_found(root):
    """The list of models says since when a model is there."""
    carry_out(metadata(root), "update models set at = '2020-01-01T00:00:00.000000Z'")

    assert "and the list of models says 2020-01-01" in told(root)


# Artifacts


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_link(path: Path) -> None:
    path.rename(path.parent.parent / "aside")
    path.symlink_to(path.parent.parent / "aside")


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("replace", "kind"), [(make_pipe, "a pipe"), (make_link, "a link"), (make_folder, "a folder")]
)
def test_an_artifact_that_is_no_file_is_found_and_waited_for_by_nobody(root, replace, kind):
    """A pipe had `verify`, and a promotion, wait for ever."""
    with Factory.open(root) as factory:
        digest = factory.metadata.versions(LINE)[0].digest
        path = factory.artifacts.path(digest)
    replace(path)
    ended: list[str] = []
    reader = threading.Thread(target=lambda: ended.append(told(root)), daemon=True)
    reader.start()
    reader.join(30)

    assert ended, "it waits for the pipe"
    assert f"what is stored is no file: found '{kind}'" in ended[0]
    assert str(path) in ended[0]
    with Factory.open(root) as factory, pytest.raises(Corrupt, match="is no file"):
        factory.artifacts.get(digest)


def test_a_log_segment_that_became_a_pipe_is_waited_for_by_nobody(root):
    """Neither by `verify` nor by the worker."""
    path = segments(root)[0]
    make_pipe(path)
    ended: list[str] = []
    reader = threading.Thread(target=lambda: ended.append(told(root)), daemon=True)
    reader.start()
    reader.join(30)

    assert ended, "it waits for the pipe"
    assert f"{path}: the log was changed" in ended[0]


def test_an_artifact_that_was_put_again_takes_the_place_of_a_pipe(root):
    """What a run computes anew mends what was damaged."""
    with Factory.open(root) as factory:
        digest = factory.metadata.versions(LINE)[0].digest
        data = factory.artifacts.get(digest)
        make_pipe(factory.artifacts.path(digest))
        factory.artifacts.put(data)

    assert () == verified(root).problems


def test_an_artifact_with_a_second_name_is_found(root):
    """Its bytes are right now, and whoever has the other name may change them at any time."""
    with Factory.open(root) as factory:
        path = factory.artifacts.path(factory.metadata.versions(LINE)[0].digest)
    os.link(path, root / "elsewhere")

    assert f"{path}: stored bytes have another name" in told(root)


# When checkpoints are made


@pytest.mark.usefixtures("forked")
def test_a_run_makes_a_checkpoint_when_it_ends(root):
    """A factory without `up`, that runs from a cron job, is proved up to its last run."""
    with (root / "claims.csv").open("a") as file:
        file.write("C800,0.9,33.0,yes\n")
    with Factory.open(root) as factory:
        predict_file(factory, LINE, root / "ask.csv", root / "more-answers.csv")
        execute(factory, LINE)
        found = verify_factory(factory)

    assert ((), 60, 0, 0) == (
        found.problems, found.predictions, found.unproved_predictions, found.unproved_labels,
    )  # fmt: skip


def test_up_makes_a_checkpoint_at_its_start_and_at_its_end_and_prints_the_head(root):
    """A head that leaves the machine with the log of the service is one that nobody can take back."""
    port, control = free_port(), free_port()
    command = [sys.executable, "-m", "linewright", "up", "--port", str(port), "--control-port", str(control)]
    process = subprocess.Popen(
        command, cwd=root, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    said: list[str] = []
    try:
        for line in process.stderr:
            said.append(line)
            if "head of the record" in line:
                break
        row = {"claim": "C900", "amount": 0.5, "age": 40.0}
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/lines/{LINE}/predict",
            json.dumps({"rows": [row]}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=20) as answer:  # noqa: S310 -- of the test itself
            assert 200 == answer.status
    finally:
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
    found = verified(root)
    with Factory.open(root) as factory:
        head = factory.metadata.head()

    assert 0 == process.returncode, [said, rest]
    assert f"head of the record after {head.entries} events: {head.digest}" in rest
    assert ((), 41, 0) == (found.problems, found.predictions, found.unproved_predictions)
