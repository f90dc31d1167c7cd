"""What somebody with the files changes of the rest of the state is told by `verify`, or the reason why not stands in the table of the guide."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import msgspec
import pytest
from every_state import HER, LATER, LINE, OTHER, SOURCE, make_every_state, send, sent_rows, somebody

from linewright.capabilities.annotation.operations import annotate_queue
from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.forget import forget, resume
from linewright.capabilities.care.restore import restore_backup
from linewright.capabilities.care.verify import verify_factory
from linewright.errors import Corrupt
from linewright.features.facts import RecordsWritten, ViewFacts
from linewright.features.views.records import Records, check_records, records_path, write_records
from linewright.line.factory import Factory
from linewright.line.facts import Forgotten
from linewright.line.file.line_tags import keep_tags
from linewright.line.file.view_file import read_view
from linewright.line.holdings.chained import AnnotationFiles
from linewright.line.problem import problem_in_words
from linewright.line.record.checkpoint import checkpoint, checkpoint_all
from linewright.line.views.read_events import read_events
from linewright.line.views.write_records import entity_texts, write_view
from linewright.people.annotations import Annotations
from linewright.serve.access.accounts import read_accounts, sha256
from linewright.serve.facts import Checkpointed

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "care.md"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_every_state(tmp_path_factory, tmp_path_factory.mktemp("every") / "factory")


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "factory")
    # A copy of a line file is another file, for which nothing vouches.
    keep_tags(tmp_path / "factory", tmp_path / "factory" / ".linewright")
    return tmp_path / "factory"


def told(root: Path) -> str:
    with Factory.open(root) as factory:
        return "\n".join(map(problem_in_words, verify_factory(factory).problems))


def state(root: Path) -> Path:
    return root / ".linewright"


def pushed(root: Path) -> Path:
    return state(root) / "push" / f"{SOURCE}.sqlite"


def annotations(root: Path) -> Path:
    return state(root) / "annotate" / f"{LINE}.sqlite"


def sql(file: Callable[[Path], Path], *statements: str) -> Callable[[Path], None]:
    """Return what carries statements out, with the triggers of the file off and on again, so that its schema is as it was."""

    def carry_out(root: Path) -> None:
        with closing(sqlite3.connect(file(root))) as database:
            triggers = database.execute(
                "select name, sql from sqlite_master where type = 'trigger'"
            ).fetchall()
            for name, _ in triggers:
                database.execute(f"drop trigger {name}")
            for statement in statements:
                database.execute(statement)
            for _, text in triggers:
                database.execute(text)
            database.commit()

    return carry_out


def aloud(file: Callable[[Path], Path], statement: str) -> Callable[[Path], None]:
    """Return what carries a statement out, with whatever triggers enter of it."""

    def carry_out(root: Path) -> None:
        with closing(sqlite3.connect(file(root))) as database:
            assert database.execute(statement).rowcount
            database.commit()

    return carry_out


def removed(name: str) -> Callable[[Path], None]:
    return lambda root: (state(root) / name).unlink()


def edited(name: str, edit: Callable[[dict], object]) -> Callable[[Path], None]:
    def carry_out(root: Path) -> None:
        path = state(root) / name
        said = json.loads(path.read_bytes())
        edit(said)
        path.write_text(json.dumps(said))

    return carry_out


def page_lost(name: str) -> Callable[[Path], None]:
    """Return what breaks the second page of a database."""

    def carry_out(root: Path) -> None:
        path = state(root) / name
        data = bytearray(path.read_bytes())
        data[4096:4104] = bytes(8)
        path.write_bytes(data)

    return carry_out


def token(said: dict) -> None:
    (made,) = said["tokens"].values()
    said["tokens"]["0a1b2c3d"] = {**made, "name": "more", "sha256": sha256("lw_0a1b2c3d_secret")}


def session(said: dict) -> None:
    (made,) = said["sessions"].values()
    said["sessions"]["0a1b2c3d"] = {**made, "sha256": sha256("lw_0a1b2c3d_secret")}


def records(root: Path) -> Path:
    (path,) = (state(root) / "views").glob("*.records")
    return path


def facts_of(root: Path) -> ViewFacts:
    return Records(records(root)).header.facts


def rewritten(root: Path) -> None:
    """Write the file as Linewright does, with right checksums, and half of each amount."""
    path, view = records(root), read_view(root, "filed_30d")
    read = read_events(view, root, with_keys=True, forgotten={})
    columns = dict(read.events.columns)
    columns["amount"] = replace(columns["amount"], numbers=columns["amount"].numbers / 2)
    write_records(path, Records(path).header, replace(read.events, columns=columns), entity_texts(read))
    check_records(path)


def put_back(root: Path) -> None:
    old = records(root).read_bytes()
    with Factory.open(root) as factory:
        for _ in range(2):
            write_view(factory, facts_of(root))
    assert not told(root)
    records(root).write_bytes(old)


OTHERS = "the records of a feature view are others than the record says"
TOLD = {
    "sent rows edited": (sql(pushed, "update rows set row = replace(row, 'yes', 'no')"), "push/filed: sent rows were changed: of the changes 1 to"),
    "half of the sent rows deleted": (sql(pushed, "delete from rows where seq > 120"), "push/filed: sent rows are lost: 241 changes of them were kept, and 120 are there"),
    "one sent row deleted": (sql(pushed, "delete from rows where seq = 100"), "push/filed: sent rows were changed"),
    "the last sent row deleted, and another one put in its place": (
        sql(pushed, "delete from rows where seq = 241", "insert into rows select 242, known + 9, key, row, digest from rows where seq = 200"),
        "push/filed: sent rows are lost: change 241 of them is not there any more",
    ),
    "a sent row put in between": (sql(pushed, "insert into rows select 5, known, key, row, digest from rows where seq = 200"), "push/filed: sent rows were changed"),
    "the file of sent rows removed": (removed(f"push/{SOURCE}.sqlite"), "push/filed: it is lost: 241 changes of it were kept"),
    "a page of sent rows lost": (page_lost(f"push/{SOURCE}.sqlite"), "the file of pushed rows is damaged"),
    "forgotten persons taken from the sent rows": (sql(pushed, "delete from forgotten"), "push/filed would keep rows of persons who were forgotten"),
    "answers edited": (sql(annotations, "update answers set label = '\"yes\"'"), "annotate/claims: answers are not what was kept"),
    "answers edited with what triggers enter of it": (aloud(annotations, "update answers set label = '\"yes\"'"), "annotate/claims: answers are not what was kept"),
    "answers deleted with what triggers enter of it": (aloud(annotations, "delete from answers"), "annotate/claims: answers are not what was kept"),
    "answers and their changes edited": (
        sql(annotations, "update answers set by = 'bob'", "update changes set v2 = 'bob' where named = 'answers'"),
        "annotate/claims: annotations were changed",
    ),
    "answers and their changes deleted": (
        sql(annotations, "delete from answers", "delete from changes where named = 'answers'"),
        "annotate/claims: annotations",
    ),
    "a question closed": (sql(annotations, "update questions set state = 'closed'"), "annotate/claims: questions are not what was kept"),
    "the file of annotations removed": (removed(f"annotate/{LINE}.sqlite"), "annotate/claims: it is lost"),
    "a page of annotations lost": (page_lost(f"annotate/{LINE}.sqlite"), "the file of annotations is damaged"),
    "the list of the forgotten removed": (removed(f"forgotten/{LINE}.json"), "it lacks 1 of those who were forgotten"),
    "the list of the forgotten emptied": (edited(f"forgotten/{LINE}.json", lambda said: said["subjects"].clear()), "it lacks 1 of those who were forgotten"),
    "the key of the list changed": (edited(f"forgotten/{LINE}.json", lambda said: said.update(key="00" * 32)), "its key is another one"),
    "somebody put on the list": (
        edited(f"forgotten/{LINE}.json", lambda said: said["subjects"].append({**said["subjects"][0], "hash": "hmac-sha256:00"})),
        "it has 1 whose removal the record does not tell",
    ),
    "the head removed": (removed("head.json"), "the head of the record, by which an older copy of it is known, was removed"),
    "tags edited": (edited("tags.json", lambda said: said["lines"][LINE].update(tags=["eu", "us"])), "claims has other tags than its line file says"),
    "a right of a member edited": (edited("access.json", lambda said: said["members"]["eve"]["grants"][0].update(role="admin")), "member eve may do something else"),
    "a member added": (edited("access.json", lambda said: said["members"].update(mal=said["members"]["ada"])), "member mal is there, and the record does not say so"),
    "a member removed": (edited("access.json", lambda said: said["members"].pop("ada")), "member ada may do something else"),
    "a token added": (edited("access.json", token), "token 0a1b2c3d is there, and the record does not say so"),
    "the secret of a token changed": (
        edited("access.json", lambda said: next(iter(said["tokens"].values())).update(sha256=sha256("lw_0_mine"))),
        "is another one than the record says",
    ),
    "a session added": (edited("access.json", session), "session 0a1b2c3d of the owner is there"),
    "predictions said to be made": (
        edited(f"scheduled/{LINE}/predict.nightly.json", lambda said: said.update(rows=7)),
        "the record does not tell of the predictions",
    ),
    "a schedule put into the future": (
        edited(f"scheduled/{LINE}/predict.nightly.json", lambda said: said.update(began="2999-01-01T00:00:00.000000Z")),
        "said to have been served in the future",
    ),
    "records of a feature view written with other values": (rewritten, OTHERS),
    "records of before the last two put back": (put_back, OTHERS),
    "a page of the engine lost": (page_lost("engine.sqlite"), "engine.sqlite"),
    "a page of replies lost": (page_lost("replies.sqlite"), "replies.sqlite"),
    "serving file edited": (edited(f"serving/{LINE}.json", lambda said: said.update(generation=9)), "are told generation 9"),
}  # fmt: skip
"""What somebody does, and what `verify` says of it."""


def test_what_nobody_touched_is_whole(root: Path):
    """A check that cries wolf is switched off."""
    assert not told(root)


@pytest.mark.parametrize("tampering", TOLD)
def test_state_that_was_tampered_with_is_told(root: Path, tampering: str):
    """Sent rows, answers of people, who is forgotten and who may do what were acknowledged: nobody may change them unseen."""
    how, says = TOLD[tampering]
    how(root)

    assert says in told(root)


HARMLESS = {
    "serving file in another form": edited(f"serving/{LINE}.json", bool),
    "replies deleted": aloud(lambda root: state(root) / "replies.sqlite", "delete from replies"),
    "the schedule removed": removed(f"scheduled/{LINE}/predict.nightly.json"),
    "tags removed": removed("tags.json"),
    "the line stopped by its file": removed(f"serving/{LINE}.go"),
    "questions leased": aloud(annotations, "insert into leases values ('q', 'ann', '2999', 0)"),
}


@pytest.mark.parametrize("tampering", HARMLESS)
def test_what_proves_nothing_may_change(root: Path, tampering: str):
    """The guide says of each why: it is made again, or says the same, or is how people stop a line."""
    HARMLESS[tampering](root)

    assert not told(root)


def test_a_bit_of_the_annotations_is_told_wherever_it_changes_what_they_say(root: Path):
    """A bit in a free page or in unused bytes changes nothing that is kept; any other is damage, or an answer that nobody gave."""
    path = annotations(root)
    with Factory.open(root) as factory:
        (event,) = factory.metadata.events(Checkpointed, line=LINE)
    end = event.ends[f"annotate/{LINE}"]
    held = Annotations(path)
    whole, before = path.read_bytes(), _dump(path)
    unseen, changed = list[int](), 0
    for place in range(100, len(whole), 173):
        data = bytearray(whole)
        data[place] ^= 16
        path.write_bytes(data)
        if _dump(path) != before:
            changed += 1
            with suppress(Corrupt):
                unseen += [] if held.wrong({end.changes: end.digest}) else [place]

    assert [] == unseen
    assert changed > 20


def _dump(path: Path) -> list[tuple[object, ...]] | None:
    tables = ("batches", "questions", "answers", "consents", "changes")
    try:
        with closing(sqlite3.connect(path)) as database:
            return [row for name in tables for row in database.execute(f"select * from {name}")]  # noqa: S608 -- names of this test
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return None


def _rows_of_the_table() -> list[str]:
    """Return the patterns of files in the table of the guide, each of which has a way or a reason."""
    section = GUIDE.read_text().partition("### What verify proves")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    assert all(how.strip() or reason.strip() for _, how, reason in rows)
    return [pattern for files, *_ in rows for pattern in re.findall("`([^`]+)`", files)]


def test_no_file_of_the_state_is_without_a_row_in_the_table(root: Path):
    """A store that nobody thought of is one that nobody proves."""
    patterns = _rows_of_the_table()
    files = [str(path.relative_to(state(root))) for path in state(root).rglob("*") if path.is_file()]

    assert [] == [one for one in files if not any(fnmatch(one, pattern) for pattern in patterns)]
    kinds = (
        "push/*",
        "annotate/*",
        "forgotten/*",
        "access.json",
        "tags.json",
        "scheduled/*",
        "views/*",
        "replies.sqlite*",
    )
    assert [] == [
        kind for kind in kinds if kind not in patterns or not any(fnmatch(one, kind) for one in files)
    ]


KILLED_WRITING = """
import os, sys
from pathlib import Path
from linewright.features.facts import RecordsWritten
from linewright.features.views.records import Records
from linewright.line.factory import Factory
from linewright.line.views.write_records import write_view
from linewright.store.metadata.sql import SqlMetadata

place, path = sys.argv[2:]
record = SqlMetadata.record

def dying(self, event):
    is_it = isinstance(event, RecordsWritten)
    if is_it and place == "before":
        os.kill(os.getpid(), 9)
    record(self, event)
    if is_it:
        os.kill(os.getpid(), 9)

SqlMetadata.record = dying
write_view(Factory.open(Path(sys.argv[1])), Records(Path(path)).header.facts)
"""


def killed_writing(root: Path, path: Path, place: str) -> None:
    """Write the records of a file anew, and be killed before or after its event, and so before it takes its place."""
    command = [sys.executable, "-c", KILLED_WRITING, str(root), place, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert -9 == done.returncode, done.stderr


@pytest.mark.parametrize("place", ["before", "after"])
def test_records_whose_writing_was_killed_are_no_forgery(root: Path, place: str):
    """The event comes before the file, so that a kill in between leaves the one of before, however often."""
    whole = records(root).read_bytes()
    for _ in range(3):
        killed_writing(root, records(root), place)

    assert whole == records(root).read_bytes()
    assert not told(root)
    rewritten(root)
    assert OTHERS in told(root)
    with Factory.open(root) as factory:
        write_view(factory, facts_of(root))
    assert not told(root)


def test_a_killed_writing_vouches_for_no_forgery_that_it_finds(root: Path):
    """Else who edits the file would only have to wait for one."""
    rewritten(root)
    killed_writing(root, records(root), "after")

    assert OTHERS in told(root)


KILLED_LETTING_IN = """
import os, sys
from pathlib import Path
from linewright.line.factory import Factory
from linewright.capabilities.members.operations.tokens import token_create
from linewright.people.facts import SignedIn, TokenChanged
from linewright.serve.access.sign_in import begin_owner_session, owner_link
from linewright.store.metadata.sql import SqlMetadata

root, what, place = sys.argv[1:]
record = SqlMetadata.record

def dying(self, event):
    is_it = isinstance(event, (SignedIn, TokenChanged))
    if is_it and place == "before":
        os.kill(os.getpid(), 9)
    record(self, event)
    if is_it:
        os.kill(os.getpid(), 9)

SqlMetadata.record = dying
factory = Factory.open(Path(root))
if what == "token":
    token_create(factory, "late", kind="admin")
else:
    at, link = factory.now(), owner_link(factory.state, factory.now())
    note = lambda made: factory.metadata.record(SignedIn(at=at, by="x", because="asked for", line="", member="", address=""))
    begin_owner_session(factory.state, link.code, at, first=note)
"""


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("what", ["token", "session"])
def test_who_was_killed_while_letting_somebody_in_let_nobody_in(root: Path, what: str, place: str):
    """The event comes before the file: of what opens a door the record knows, and no alarm is left behind."""
    before = read_accounts(state(root))
    command = [sys.executable, "-c", KILLED_LETTING_IN, str(root), what, place]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = read_accounts(state(root))

    assert -9 == done.returncode, done.stderr
    assert (before.tokens.keys(), before.sessions.keys()) == (after.tokens.keys(), after.sessions.keys())
    assert not told(root)


SLOW_WRITING = """
import sys, time
from pathlib import Path
from linewright.features.facts import RecordsWritten
from linewright.features.views.records import Records
from linewright.line.factory import Factory
from linewright.line.views.write_records import write_view
from linewright.store.metadata.sql import SqlMetadata

record = SqlMetadata.record

def slow(self, event):
    record(self, event)
    if isinstance(event, RecordsWritten):
        print("entered", flush=True)
        time.sleep(2)

SqlMetadata.record = slow
write_view(Factory.open(Path(sys.argv[1])), Records(Path(sys.argv[2])).header.facts)
"""


def test_records_that_two_processes_write_are_those_of_the_last_event(root: Path):
    """A run that ends and the worker do: the file of the one may not take its place behind the event of the other."""
    command = [sys.executable, "-c", SLOW_WRITING, str(root), str(records(root))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as slow, Factory.open(root) as factory:
        assert slow.stdout is not None
        assert b"entered\n" == slow.stdout.readline()
        write_view(factory, facts_of(root))
        assert 0 == slow.wait(30)
        (newest,) = factory.metadata.events(RecordsWritten, newest_first=True, limit=1)

    assert newest.digest == check_records(records(root))
    assert not told(root)


def test_records_of_before_their_digest_was_entered_are_whole(root: Path):
    """Also where their first writing since is killed."""
    facts = msgspec.structs.replace(facts_of(root), columns=facts_of(root).columns[:1])
    path, read = (
        records_path(state(root), facts),
        read_events(read_view(root, "filed_30d"), root, forgotten={}),
    )
    header = msgspec.structs.replace(Records(records(root)).header, facts=facts, has_keys=False)
    write_records(path, header, read.events, entity_texts(read))

    assert not told(root)
    killed_writing(root, path, "after")
    assert not told(root)


# Taking a person out


def her_rows(root: Path, person: str) -> int:
    with closing(sqlite3.connect(pushed(root))) as database:
        return database.execute("select count(*) from rows where row like ?", (f"%{person}%",)).fetchone()[0]


def files_with(root: Path, text: str) -> list[str]:
    return sorted(
        str(path.relative_to(root))
        for path in state(root).rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    )


def test_rows_that_were_sent_about_a_person_are_removed_and_the_proof_goes_on(root: Path, tmp_path: Path):
    """They are the factory's own state, so that nobody is told to remove them by hand; what is left stays proved, also in a backup."""
    with Factory.open(root) as factory:
        asked = forget(factory, LINE, LATER, dry_run=True)
        assert 3 == her_rows(root, LATER)
        done = forget(factory, LINE, LATER, dry_run=False)
        (_, event) = factory.metadata.events(Forgotten, line=LINE)
        assert not verify_factory(factory).problems
        checkpoint_all(factory)
        make_backup(factory, tmp_path / "copy.tar")
    restore_backup(Factory(tmp_path / "new"), tmp_path / "copy.tar")

    assert (3, 3, 3) == (asked.sent, done.sent, event.sent)
    assert (OTHER,) == asked.shared == done.shared
    assert () == done.left
    assert [str(root / "ask.csv")] == list(done.sources)  # theirs to remove, unlike what was sent
    assert 0 == done.exit_code
    assert 241 == event.shortened[f"push/{SOURCE}"].before.changes
    assert [] == files_with(root, LATER)
    assert not told(root)
    assert [] == files_with(tmp_path / "new", LATER)
    assert not told(tmp_path / "new")
    with Factory.open(root) as factory:
        send(factory, [{**sent_rows()[50], "amount": 0.5}])
        checkpoint_all(factory)
    assert not told(root)
    sql(pushed, "update rows set row = replace(row, 'yes', 'no')")(root)
    assert "sent rows were changed" in told(root)


def test_rows_of_a_forgotten_person_that_are_sent_again_are_not_kept(root: Path):
    """A program that sends last month's rows again does not know who was forgotten since."""
    again = [row for row in sent_rows() if row["person"] == HER]
    with Factory.open(root) as factory:
        counts = send(
            factory, [*again, {**again[0], "claim": "C901", "person": "person-90001"}, sent_rows()[0]]
        )

    assert (1, 1, 2) == (counts.accepted, counts.repeated, counts.forgotten)
    assert 0 == her_rows(root, HER)
    assert not told(root)


def test_what_people_said_about_a_persons_rows_goes_and_the_proof_goes_on(root: Path):
    """Removed questions are no loss of annotations, and nobody can hide one behind a removal."""
    with somebody(root, "eve", "engineer") as engineer:
        annotate_queue(engineer, LINE, size=100)
    with Factory.open(root) as factory:
        checkpoint(factory, LINE)
        before = Annotations.of(factory.state, LINE)
        with before.reading() as held:
            many = len(held.questions())
        forget(factory, LINE, LATER, dry_run=False)
        event = factory.metadata.events(Forgotten, line=LINE)[-1]
        with before.reading() as held:
            left = len(held.questions())
        assert not verify_factory(factory).problems
        checkpoint(factory, LINE)

    assert left < many
    assert f"annotate/{LINE}" in event.shortened
    assert not told(root)
    sql(annotations, "delete from answers", "delete from changes where named = 'answers'")(root)
    assert "annotate/claims: annotations" in told(root)


@pytest.mark.parametrize("file", [pushed, annotations])
def test_nothing_is_removed_from_what_was_tampered_with(root: Path, file: Callable[[Path], Path]):
    """A removal would make a new chain over what somebody edited, and so hide it."""
    with somebody(root, "eve", "engineer") as engineer:
        annotate_queue(engineer, LINE, size=100)
    edit = (
        "update rows set row = replace(row, 'yes', 'no')"
        if file is pushed
        else "update answers set by = 'bob'"
    )
    sql(file, edit)(root)
    with Factory.open(root) as factory, pytest.raises(Corrupt, match="nothing is removed, since"):
        forget(factory, LINE, LATER, dry_run=False)

    assert 3 == her_rows(root, LATER)


KILLED = """
import os, sys
from pathlib import Path
import linewright.capabilities.care.forget as module
from linewright.line.factory import Factory
from linewright.line.facts import Forgotten
from linewright.store.metadata.sql import SqlMetadata

place, line, person = sys.argv[2:]
record = SqlMetadata.record

def dying(self, event):
    if isinstance(event, Forgotten) and place == "before":
        os.kill(os.getpid(), 9)
    record(self, event)
    if isinstance(event, Forgotten) and place == "after":
        os.kill(os.getpid(), 9)

SqlMetadata.record = dying
if place == "shrink":
    module.shrink_emptied = lambda *_: os.kill(os.getpid(), 9)
module.forget(Factory.open(Path(sys.argv[1])), line, person, dry_run=False)
"""


@pytest.mark.parametrize("place", ["before", "after", "shrink"])
def test_a_removal_that_was_killed_is_done_again_and_the_proof_goes_on(root: Path, place: str):
    """Between the event and the files there is a moment: whoever ends the removal must not take it for a forgery."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(root), place, LINE, LATER],
        capture_output=True,
        text=True,
        check=False,
    )
    with Factory.open(root) as factory:
        checkpoint_all(factory)  # enters nothing of a half removal
        said = told(root)
        ended = resume(factory)
        assert not verify_factory(factory).problems
        checkpoint_all(factory)

    assert -9 == done.returncode, done.stderr
    assert "is being removed, or that was interrupted" in said
    assert (1, ()) == ended
    assert [] == files_with(root, LATER)
    assert not told(root)


def test_annotations_of_the_second_form_are_proved_from_their_next_use(root: Path):
    """What 0.1.0 kept is entered as it is; checkpoints prove it from then on."""
    path = annotations(root)
    with closing(sqlite3.connect(path)) as database:
        for (name,) in database.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            database.execute(f"drop trigger {name}")
        database.execute("drop table changes")
        database.execute("pragma user_version = 2")
        answers = database.execute("select * from answers").fetchall()
    assert [] == AnnotationFiles().strange_in(path)
    held = Annotations(path)
    end = held.end()

    assert [] == held.wrong({end.changes: end.digest})
    assert [] == AnnotationFiles().strange_in(path)
    with closing(sqlite3.connect(path)) as database:
        assert answers == database.execute("select * from answers").fetchall()
    sql(annotations, "update answers set by = 'bob'")(root)
    assert held.wrong({end.changes: end.digest})
