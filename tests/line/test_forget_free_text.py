"""What people write about a person goes with the rest; what stands in the sealed record is counted, not hidden."""

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from linewright.capabilities.audit.verify_chain import verify_chain
from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.forget import forget, resume
from linewright.capabilities.care.gc import collect
from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.inbox.operations import change_own, comment, comments, inbox, views
from linewright.capabilities.members.operations.members import member_add
from linewright.capabilities.overview.operations.history import history
from linewright.capabilities.releases.halt import halt
from linewright.features.facts import Encoder
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.model.facts import Calibration, Package
from linewright.people.facts import Commented
from linewright.people.outbox import Outbox
from linewright.people.preferences import SavedView
from linewright.serve.access.rights import Identity
from linewright.serve.facts import Prediction
from linewright.serve.log.writer import PredictionLog
from linewright.store.clock import uuid7
from linewright.store.values import digest_of

LINE, OTHER = "tumours", "others"
HER = "patient-QX7731"
FILE = """\
line: {line}
sources: {{rows: {{file: rows.csv}}}}
table: {{key: sample, subject: patient}}
label: {{column: y, positive: "yes"}}
contract:
  columns:
    sample: {{type: category, unique: true}}
    patient: {{type: category}}
    a: {{type: number}}
    y: {{type: category, allowed: ["no", "yes"]}}
train: {{task: binary, budget: quick}}
"""
PACKAGE = Package(
    task="binary",
    label="y",
    classes=("no", "yes"),
    key="sample",
    columns=(),
    encoder=Encoder(encodings=()),
    graph=digest_of("graph"),
    graph_bytes=1,
    calibration=Calibration(),
    threshold=0.5,
    half_width=None,
    golden=digest_of("golden"),
    trained=digest_of("trained"),
)


@pytest.fixture
def factory(tmp_path):
    """Open a factory of two lines, of which one has answered about her, key S0030."""
    root = tmp_path / "factory"
    (root / "lines").mkdir(parents=True)
    (root / "rows.csv").write_text("sample,patient,a,y\nS1,p-1,1,no\nS2,p-2,2,yes\n")
    for line in (LINE, OTHER):
        (root / "lines" / f"{line}.yaml").write_text(FILE.format(line=line))
    with Factory.create(root) as opened:
        opened.metadata.keep(PACKAGE)
        answer(opened, HER, "S0030")
        answer(opened, "patient-1", "S0031")
        yield opened


def answer(factory, patient, key):
    """Log an answer and return its id."""
    made = Prediction(
        id=uuid7(),
        line=LINE,
        generation=0,
        model=1,
        digest=digest_of(PACKAGE),
        at=factory.now(),
        key=key,
        row={"patient": patient, "a": 1.0},
        answer={"prediction": "no"},
        threshold=0.5,
    )
    with closing(PredictionLog(factory.log_of(LINE))) as log:
        log.append([made])
    return made.id


def said(factory, line=LINE):
    return [one.text for one in comments(factory, line).comments]


def old_comment(factory, text):
    """Record a comment as versions before did, with its words in the event."""
    factory.metadata.record(
        Commented(at=factory.now(), by="ada", because=text, line=LINE, id=uuid7(), about="")
    )


def places(root, text):
    return sorted(
        str(path.relative_to(root))
        for path in (root / ".linewright").rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    )


def problems(factory):
    """Return what is wrong, but for what the package lacks that no run made."""
    found = verify_factory(factory).problems
    return [
        f"{one.where}: {one.what}" for one in found if digest_of(PACKAGE) not in f"{one.where} {one.what}"
    ]


def words_files(factory):
    return [factory.artifacts.path(one.text) for one in factory.metadata.events(Commented) if one.text]


def test_comments_that_name_her_go_and_the_record_stays_sealed(factory):
    """Who asks about a row in a comment writes the person's id, and a right to be forgotten does not end at what machines wrote."""
    hers = answer(factory, HER, "S0032")
    comment(factory, LINE, f"why was {HER} refused?")
    comment(factory, LINE, "S0030, see above.")
    comment(factory, LINE, "looks odd", about=hers)
    comment(factory, LINE, f"{HER}2 and S00301 are others")
    comment(factory, OTHER, f"{HER} asked here too")
    comment(factory, OTHER, "S0030 is another row here")
    told = forget(factory, LINE, HER, dry_run=True)
    before = len(said(factory))
    done = forget(factory, LINE, HER, dry_run=False)

    assert (4, 4, 4) == (before, told.comments, done.comments)
    assert ["", "", "", f"{HER}2 and S00301 are others"] == said(factory)
    assert ["", "S0030 is another row here"] == said(factory, OTHER)
    assert ["removed"] * 3 == [one.gone for one in comments(factory, LINE).comments][:3]
    assert ((), (), 0) == (done.left, done.in_record, done.exit_code)
    assert [] == [
        one for one in places(factory.root, HER) if HER + "2" not in Path(factory.root / one).read_text()
    ]
    assert "4 comments" in result_text(done)
    assert [] == problems(factory)
    assert verify_chain(factory).first_bad is None


def test_the_record_tells_nothing_of_a_comment(factory):
    """A digest of a short sentence is as good as the sentence to whoever tries a few, so that there is a salt in it."""
    comment(factory, LINE, "yes")
    comment(factory, LINE, "yes")
    one, other = factory.metadata.events(Commented, line=LINE)

    assert one.text != other.text
    assert "" == one.because == other.because
    assert ["yes", "yes"] == said(factory)
    assert {"yes"} == {one.because for one in history(factory, LINE).entries}


def test_every_reader_has_the_words_and_none_has_them_afterwards(factory):
    """Lists of comments, what was decided, and the inbox of whom it names read the same place."""
    member_add(factory, "bob", role="engineer")
    comment(factory, LINE, f"@bob, call {HER}")
    factory.identity = Identity(actor="bob", member="bob", scopes=factory.identity.scopes)
    shown = (history(factory, LINE).entries[0].because, inbox(factory).mentions[0].text, *said(factory))
    factory.identity = Identity(actor="ada", member="", scopes=factory.identity.scopes)
    forget(factory, LINE, HER, dry_run=False)
    after = (history(factory, LINE).entries[1].because, *said(factory))

    assert {f"@bob, call {HER}"} == {*shown}
    assert ("", "") == after
    assert "removed" in result_text(comments(factory, LINE)) + result_text(history(factory, LINE))


def test_what_stands_in_the_record_itself_is_counted_by_kind(factory):
    """Events are sealed. Who answers to her must know how many name her, and where, and may not be told that nothing is left."""
    old_comment(factory, f"{HER} called twice")
    old_comment(factory, "row S0030 is wrong")
    old_comment(factory, "nothing of her")
    halt(factory, LINE, because=f"{HER} complained")
    done = forget(factory, LINE, HER, dry_run=False)
    told = result_text(done)

    assert [("commented", 2), ("halted", 1)] == [(one.kind, one.entries) for one in done.in_record]
    assert 4 == done.exit_code
    assert "2 commented" in told
    assert "1 halted" in told
    assert f"{HER} called twice" in said(factory)
    assert [] == problems(factory)


def test_a_number_that_is_too_short_is_not_looked_for_in_sentences(factory):
    """Of a person called 17 nobody can say which 17 in a sentence is theirs; their rows go all the same."""
    answer(factory, "17", "30")
    comment(factory, LINE, "17 of 30 rows were wrong")
    done = forget(factory, LINE, "17", dry_run=False)

    assert (1, 0) == (done.predictions, done.comments)
    assert ["17 of 30 rows were wrong"] == said(factory)


def test_a_removal_that_was_killed_takes_the_comments_too(factory):
    """Afterwards nobody knows her id any more, so that the comments are on the list before anything goes."""
    comment(factory, LINE, f"call {HER}")
    root, code = (
        factory.root,
        (
            "import os, signal, sys\n"
            "from linewright.line.factory import Factory\n"
            "from linewright.capabilities.care import forget as module\n"
            "module._carry_out = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
            "with Factory.open(sys.argv[1]) as factory:\n"
            "    module.forget(factory, 'tumours', sys.argv[2], dry_run=False)\n"
        ),
    )
    killed = subprocess.run([sys.executable, "-c", code, str(root), HER], check=False)
    between = said(factory)
    resume(factory)

    assert -signal.SIGKILL == killed.returncode
    assert [f"call {HER}"] == between
    assert [""] == said(factory)
    assert [] == places(root, HER)
    assert [] == problems(factory)


def test_words_that_changed_or_went_without_a_removal_are_told(factory):
    """A comment may be why something was promoted: that nobody can change it unseen is what the record is for."""
    comment(factory, LINE, f"about {HER}")
    comment(factory, LINE, "stays")
    comment(factory, LINE, "is changed")
    forget(factory, LINE, HER, dry_run=False)
    _, lost, changed = words_files(factory)
    lost.unlink()
    changed.chmod(0o600)
    changed.write_text('{"text":"no","salt":""}')
    found = problems(factory)

    assert 1 == sum("are missing" in one for one in found)
    assert 1 == sum("the words of a comment have changed" in one for one in found)
    assert ["removed", "damaged", "damaged"] == [one.gone for one in comments(factory, LINE).comments]


def test_one_removal_cannot_stand_for_another(factory):
    """Whoever may write the state would else have any comment called forgotten, by the bytes of one that was."""
    comment(factory, LINE, f"about {HER}")
    comment(factory, LINE, "what somebody wants away")
    forget(factory, LINE, HER, dry_run=False)
    first, second = (one.text for one in factory.metadata.events(Commented, line=LINE))
    blob = factory.metadata.settled(f"instead:{first}")
    factory.metadata.link({f"instead:{second}": blob})
    factory.artifacts.path(second).unlink()

    assert any("are missing, and no event" in one for one in problems(factory))


def test_saved_views_that_name_her_go_whatever_the_name_is_of(factory):
    """A view is found again by its name, which is where people write whose it is; and a search has more words than hers."""
    view(factory, "her rows", f"/lines/{LINE}?q=worst+{HER}")
    view(factory, f"ask {HER}", "/lines")
    view(factory, "S0030", "/runs")
    view(factory, f"{HER}2", "/audit")
    forget(factory, LINE, HER, dry_run=False)

    assert [f"{HER}2"] == [one.name for one in views(factory).views]


def view(factory, name, address):
    change_own(factory, lambda now: now.with_view(SavedView(name=name, address=address)))


def test_what_receivers_answered_goes(factory):
    """A receiver that refuses a message repeats it in its answer, and the reason of a halt has her name."""
    outbox = Outbox(factory.state)
    outbox.begin("chat", 0)
    outbox.fail(
        "chat",
        f"chat answers 400: {HER}?",
        at="2026-01-01T00:00:00.000000Z",
        next_at="2026-01-02T00:00:00.000000Z",
    )
    outbox.set_aside("chat", 1, f"chat answers 400: {HER} complained", at="2026-01-01T00:00:00.000000Z")
    outbox.set_aside("chat", 2, "chat answers 400: too long", at="2026-01-01T00:00:00.000000Z")
    stood = places(factory.root, HER)
    done = forget(factory, LINE, HER, dry_run=False)

    assert [".linewright/outbox.sqlite"] == [one for one in stood if "outbox" in one]
    assert [] == [one for one in places(factory.root, HER) if "outbox" in one]
    assert {1: "", 2: "chat answers 400: too long"} == outbox.refused("chat")
    assert ("", 1) == (outbox.places()["chat"].trouble, outbox.places()["chat"].failures)
    assert () == done.left


def test_gc_and_a_backup_have_the_words(factory, tmp_path):
    """What only an event names is needed as well as what results name."""
    comment(factory, LINE, "stays")
    collect(factory, grace_s=0, dry_run=False)
    make_backup(factory, tmp_path / "backup.tar")

    assert ["stays"] == said(factory)
    assert b"stays" in (tmp_path / "backup.tar").read_bytes()
