"""What a line keeps no longer goes for good, `verify` knows that it went, and what is still needed stays."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager

import msgspec
import pytest

from linewright.capabilities.audit.verify_chain import verify_chain
from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.gc import collect, retire_now
from linewright.capabilities.care.restore import restore_backup
from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.datasets.operations import datasets
from linewright.capabilities.evidence.card import card_facts
from linewright.capabilities.evidence.lookup import find_prediction
from linewright.capabilities.evidence.rebuild.compare import require_whole
from linewright.capabilities.serving.worker import Tending
from linewright.errors import Corrupt, NotFound, SpecError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.check.report import check_line
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Dropped, Finished
from linewright.line.file.factory_file import read_factory_file
from linewright.line.file.read import read_line
from linewright.line.holdings.results import verify_model
from linewright.line.record.archive_log import seal_next
from linewright.line.record.checkpoint import checkpoint
from linewright.line.record.data.quarantine import quarantined_rows
from linewright.line.record.evidence import evidence_of, explain
from linewright.line.record.registry import find_model
from linewright.line.retention.dropped import gone
from linewright.line.runs.execute import execute_inline
from linewright.model.card.render import card_markdown
from linewright.model.facts import Package
from linewright.people.facts import Accounted
from linewright.serve.log.segments import read_log
from linewright.serve.log.writer import PredictionLog
from linewright.store.clock import now_utc, uuid7
from linewright.watch.facts import OpenAlerts, Proposed, RetrainProposal

LINE = "tumours"
LATER = "2030-06-01T00:00:00.000000Z"
"""Years after anything that these tests write."""


def declare(root, text, old="gates:\n"):
    path = root / "lines" / f"{LINE}.yaml"
    said = path.read_text()

    assert old in said
    path.write_text(said.replace(old, f"{text}\n{old}", 1))


def unwatched(root):
    """Leave out what watches the line, so that no window has to count its answers first."""
    path = root / "lines" / f"{LINE}.yaml"
    said = path.read_text().splitlines(keepends=True)
    path.write_text("".join(one for one in said if not one.startswith(("watch:", "retrain:"))))


@contextmanager
def opened(root, now=LATER):
    with Factory.open(root, now=lambda: now) as factory:
        yield factory


def age(factory):
    """Make all files of the state old, so that segments are sealed and blobs are beyond any grace."""
    for path in factory.state.rglob("*"):
        if path.is_file() and path.suffix in {"", ".log"}:
            os.utime(path, (1, 1))


def seal_all(factory):
    age(factory)
    while seal_next(factory, LINE):
        pass
    age(factory)


def retire(factory, **how):
    return collect(factory, grace_s=86_400, dry_run=False, **how)


def places_of(root, text):
    """Return the files of the state in which some bytes are."""
    return [
        str(path.relative_to(root))
        for path in (root / ".linewright").rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    ]


def problems(factory):
    return [f"{one.where}: {one.what}" for one in verify_factory(factory).problems]


@pytest.fixture
def line(root):
    """Give the folder of a factory that keeps answers for 90 days; it has 20 of one request, 10 of them with a label by key."""
    unwatched(root)
    declare(root, "keep: {log: 90d}")
    with Factory.open(root) as factory:
        checkpoint(factory, LINE)
        seal_all(factory)
    return root


def log_one(factory, key, at):
    """Log an answer to the first row again, under another key and of another time, by a writer of its own."""
    (first, *_) = read_log(factory.log_of(LINE), sealed=factory.sealed_of(LINE))
    made = msgspec.structs.replace(first.record, id=uuid7(), key=key, at=at)
    with closing(PredictionLog(factory.log_of(LINE))) as log:
        log.append([made])
    return made.id


def label(factory, key, is_so="malignant"):
    package = factory.metadata.get(factory.metadata.versions(LINE)[0].digest, Package)
    return factory.labels_of(LINE).accept([{"key": key, "label": is_so}], package=package)


def test_answers_go_with_their_labels_once_they_are_older_than_the_line_keeps_them(line):
    """Whoever says 90 days to a person must be able to keep it; and who takes care of the factory wants to know what goes first."""
    with opened(line) as factory:
        (blob,) = [one.blob for one in factory.sealed_of(LINE).segments().values()]
        ids = [one.record.id for one in read_log(factory.log_of(LINE), sealed=factory.sealed_of(LINE))]
        told = collect(factory, grace_s=86_400, dry_run=True)
        stood = [find_prediction(factory, ids[0]) is not None, factory.artifacts.has(blob)]
        labelled = places_of(line, "S0003")
        done = retire(factory)
        again = retire(factory)
        (event,) = factory.metadata.events(Dropped, line=LINE)

        assert [True, True] == stood
        assert (1, 20, None) == (
            told.retired[0].segments,
            told.retired[0].predictions,
            told.retired[0].labels,
        )
        assert (1, 20, 10) == (done.retired[0].segments, done.retired[0].predictions, done.retired[0].labels)
        assert (told.blobs, told.bytes) == (done.blobs, done.bytes)
        assert ((), 0) == (again.retired, again.blobs)
        assert not factory.artifacts.has(blob)
        assert find_prediction(factory, ids[0]) is None
        assert (0, 0) == factory.labels_of(LINE).counts()
        assert f".linewright/feedback/{LINE}.sqlite" in labelled
        assert not [place for place in places_of(line, "S0003") if "feedback" in place or "log" in place]
        assert {"log": "90d"} == event.keep
        assert (10, 0) == (event.labels_before.changes, event.labels_after.changes)
        assert [] == problems(factory)
        assert verify_chain(factory).first_bad is None


def test_younger_answers_and_their_labels_stay_and_are_still_proved(line):
    """What was removed must not open a door through which others change what is left."""
    with opened(line) as factory:
        young = log_one(factory, "P1", "2030-05-30T00:00:00.000000Z")
        label(factory, "P1")
        label(factory, "S0015")
        seal_all(factory)
        checkpoint(factory, LINE)
        done = retire(factory)
        kept = find_prediction(factory, young)
        label(factory, "P1", "malignant")
        checkpoint(factory, LINE)
        well = problems(factory)
        with factory.labels_of(LINE)._connected() as database:
            database.execute("DROP TRIGGER by_key_update")
            database.execute("""UPDATE by_key SET label = '"benign"'""")
            database.execute("""UPDATE changes SET label = '"benign"'""")

        assert (20, 11) == (done.retired[0].predictions, done.retired[0].labels)
        assert "malignant" == kept[1].label
        assert [] == well
        assert any("labels were changed" in one for one in problems(factory))


def test_labels_that_were_changed_before_are_told_and_not_removed(line):
    """A retention that went on would hide who flipped a label."""
    with opened(line) as factory:
        with factory.labels_of(LINE)._connected() as database:
            database.execute("""UPDATE changes SET label = '"benign"' WHERE label = '"malignant"'""")

        told = retire(factory)

        assert "nothing is removed, since labels are not what was kept" in result_text(told)
        assert Corrupt.exit_code == told.exit_code
        assert [] == factory.metadata.events(Dropped, line=LINE)
        assert 20 == factory.labels_of(LINE).counts().predictions


def test_a_blob_that_is_lost_is_no_retention(line):
    """What went on purpose is excused; the next thing that is missing is damage."""
    with opened(line) as factory:
        retire(factory)
        lost = factory.artifacts.path(factory.metadata.versions(LINE)[0].digest)
        lost.unlink()

        assert any("is missing" in one for one in problems(factory))


def test_a_kill_after_the_event_is_finished_by_the_next_time(line):
    """The event and the labels are in two files: a kill between them must neither lose the one nor keep the other."""
    with opened(line) as factory:
        log_one(factory, "P1", "2030-05-30T00:00:00.000000Z")
        label(factory, "P1")
        label(factory, "S0015")
        checkpoint(factory, LINE)
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from linewright.capabilities.care.gc import collect\n"
        "from linewright.line.factory import Factory\n"
        f"factory = Factory.open(Path(sys.argv[1]), now=lambda: {LATER!r})\n"
        "record = factory.metadata.record\n"
        "def killed(event):\n"
        "    record(event)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "factory.metadata.record = killed\n"
        "collect(factory, grace_s=86400, dry_run=False)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(line)], check=False, timeout=60)
    with opened(line) as factory:
        between = [one for one in verify_factory(factory).problems if "interrupted" in one.what]
        is_proved = verify_chain(factory).first_bad is None
        checkpoint(factory, LINE)  # the worker comes first: what it enters must hold afterwards
        retire(factory)

        assert -signal.SIGKILL == done.returncode
        assert ["linewright gc"] == [one.next for one in between]
        assert is_proved
        assert [] == problems(factory)
        assert (1, 1) == factory.labels_of(LINE).counts()


def test_answers_that_no_window_has_counted_stay(root):
    """An account that is shorter than the truth would look like good news."""
    unwatched(root)
    declare(root, "watch: {every: 1h}\nkeep: {log: 90d}")
    with opened(root) as factory:
        seal_all(factory)
        done = retire(factory)

        assert [("log", "window", 1)] == [(one.what, one.why, one.n) for one in done.retired[0].held]
        assert "no window has counted its answers yet" in result_text(done)
        assert 20 == factory.labels_of(LINE).counts().predictions


def test_answers_that_the_value_account_has_not_priced_stay(line):
    """Money that was made or lost is told for years after its rows are gone; `gc` has it counted first, `up` waits for its account."""
    declare(line, "value: {currency: EUR, true_positive: 9, false_positive: -1, false_negative: -9}")
    with opened(line) as factory:
        waits = retire_now(factory)
        there = factory.labels_of(LINE).counts().predictions
        done = retire(factory)
        (accounted,) = factory.metadata.events(Accounted, line=LINE)

        assert [("log", "account", 1)] == [(one.what, one.why, one.n) for one in waits[0].held]
        assert 20 == there
        assert 20 == done.retired[0].predictions
        assert 20 == accounted.undeclared
        assert [] == problems(factory)


def test_what_an_unfinished_run_or_a_proposal_may_read_stays(line):
    """A training that lost its rows half-way would be judged by what is left."""
    with opened(line) as factory:
        shared = {"at": LATER, "by": "ada", "because": "drift", "line": LINE}
        proposal = RetrainProposal(
            line=LINE, trigger="drift", reason=OpenAlerts(alerts=()), since=LATER, evidence=()
        )
        factory.metadata.record(Proposed(proposal=factory.metadata.keep(proposal), **shared))
        proposed = retire(factory)
        last = factory.metadata.events(Accepted, line=LINE)[-1]
        factory.metadata.record(msgspec.structs.replace(last, run=uuid7()))
        running = retire(factory)

        assert [("log", "proposal", 1)] == [(one.what, one.why, one.n) for one in proposed.retired[0].held]
        assert [("log", "run", 1)] == [(one.what, one.why, one.n) for one in running.retired[0].held]
        assert "1 segment of the log older than that stays: a run has not ended" in result_text(running)
        assert 20 == factory.labels_of(LINE).counts().predictions


def test_up_does_it_by_itself(line):
    """Nobody remembers to type a command each day."""
    with opened(line) as factory:
        (blob,) = [one.blob for one in factory.sealed_of(LINE).segments().values()]
        begin = lambda: Factory.open(line, now=lambda: LATER)  # noqa: E731
        with closing(Tending(begin, Idle(), every_s=0.01, retire_first_s=0.0)):
            deadline = time.monotonic() + 30
            while factory.artifacts.has(blob) and time.monotonic() < deadline:
                time.sleep(0.02)

        assert not factory.artifacts.has(blob)
        assert [] == problems(factory)


class Idle:
    """An engine that is asked for nothing."""

    def unfinished(self):
        return []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("keep: {log: 30d}", "at least label.delay 45d and watch.every 1h together"),
        ("keep: {log: 0d}", "an age of nothing"),
        ("keep: {runs: 2000y}", "more than 1000y"),
        ("keep: {logs: 90d}", "did you mean 'log'"),
        ("keep: 90d", "keep"),
        ("keep: {datasets: 0}", "at least 1"),
    ],
)
def test_a_line_that_keeps_less_than_it_needs_is_refused(tmp_path, text, says):
    """Its labels would come when nothing is there any more that they are about."""
    path = tmp_path / "a.yaml"
    path.write_text(
        "line: a\nsources: {a: {file: a.csv}}\ntable: {time: t}\nlabel: {column: y, delay: 45d}\nwatch: {every: 1h}\n"
        + text
    )

    with pytest.raises(SpecError, match=says):
        read_line(path)


def test_a_factory_that_keeps_less_than_a_line_needs_is_told_by_check(root):
    """One sentence for all lines is seldom right for each; nothing is lost until somebody reads this."""
    unwatched(root)
    declare(root, "watch: {every: 2h}")
    (root / "factory.yaml").write_text("format: 1\nkeep: {log: 1h}\n")
    with opened(root, now=now_utc()) as factory:
        seal_all(factory)
        done = retire(factory)

        with pytest.raises(SpecError, match=r"found '1h', allowed: at least watch.every 2h together"):
            check_line(factory, LINE)
        assert () == done.retired  # two hours are kept, and the answers are younger
        (root / "factory.yaml").write_text("format: 1\nkeep: {runs: 0d}\n")
        with pytest.raises(SpecError, match=r"factory.yaml:2:.*an age of nothing"):
            read_factory_file(root)


def read_anew(factory, rows):
    """Have a run read other rows and end before it trains: a dataset version more, at the price of reading."""
    path = factory.root / "cancer.csv"
    path.write_text("".join((factory.root / "all.csv").read_text().splitlines(keepends=True)[: rows + 1]))
    with pytest.raises(SpecError, match="the table keeps no such column"):
        execute_inline(factory, LINE)


@pytest.fixture(scope="module")
def versions(template, tmp_path_factory):
    """Make a factory with four dataset versions: that of the champion, and three of runs that came to nothing."""
    root = tmp_path_factory.mktemp("versions") / "factory"
    shutil.copytree(template, root)
    shutil.copy(root / "cancer.csv", root / "all.csv")
    unwatched(root)
    declare(root, "keep: {datasets: 1, runs: 1y}")
    path = root / "lines" / f"{LINE}.yaml"
    path.write_text(
        path.read_text().replace(
            "gates:\n", "gates:\n  - {fairness: nobody, measure: equalized_odds_difference, at_most: 0.2}\n"
        )
    )
    with Factory.open(root) as factory:
        for rows in (290, 280, 270):
            read_anew(factory, rows)
        age(factory)
    return root


@pytest.fixture
def several(versions, tmp_path):
    shutil.copytree(versions, tmp_path / "several")
    return tmp_path / "several"


def test_dataset_versions_go_but_the_newest_and_that_of_the_champion(several):
    """A champion that cannot be rebuilt is a promise that is broken."""
    with opened(several, now=now_utc()) as factory:
        before = gone(factory).at
        done = retire(factory)
        version = find_model(factory, f"{LINE}@1")

        assert {} == before
        assert (2, ()) == (len(done.retired[0].datasets), done.retired[0].models)
        assert 2 == done.blobs
        assert [] == problems(factory)
        require_whole(factory, version)
        assert () == retire(factory).retired

        # The rows come back when they are read again, and are then as good as any.
        read_anew(factory, 280)
        there = gone(factory).at
        assert 1 == len(there)
        assert [] == problems(factory)


def test_a_dataset_that_another_line_reads_too_stays(several):
    """Equal rows are stored once, and what one line says is no word about another."""
    with opened(several, now=now_utc()) as factory:
        runs = factory.metadata.events(Finished, line=LINE)
        factory.metadata.record(msgspec.structs.replace(runs[1], line="other", run=uuid7()))
        done = retire(factory)

        assert 1 == len(done.retired[0].datasets)
        assert [] == [one for one in problems(factory) if "rows of dataset" in one]


def test_a_model_whose_dataset_went_says_so_everywhere(several):
    """Who asks in two years why it cannot be made again gets an answer with a date."""
    with opened(several, now=now_utc()) as factory:
        version = find_model(factory, f"{LINE}@1")
        dataset = evidence_of(factory, version).trained.dataset
        shared = {"at": factory.now(), "by": "ada", "because": "retention", "line": LINE}
        factory.metadata.record(Dropped(results=(dataset,), **shared))
        retire(factory)
        day = factory.metadata.events(Dropped, line=LINE)[0].at[:10]
        says = f"dataset dropped by retention on {day}"

        with pytest.raises(NotFound, match=f"{LINE}@1 cannot be rebuilt: {says}"):
            require_whole(factory, version)
        with pytest.raises(NotFound, match=says):
            datasets(factory, LINE, diff=(dataset, dataset))
        assert (
            day == next(one.gone for one in datasets(factory, LINE).datasets if one.dataset == dataset)[:10]
        )
        assert says in str(explain(factory, f"{LINE}@1"))
        assert says in card_markdown(card_facts(factory, version))
        assert () == verify_model(factory, version).problems
        assert [] == problems(factory)


def test_rows_in_quarantine_and_notes_of_the_engine_go_with_old_runs(root):
    """Rows that nobody wanted are rows of people too."""
    unwatched(root)
    declare(root, "keep: {runs: 1y}")
    with opened(root) as factory:
        runs = factory.metadata.events(Finished, line=LINE)
        told = collect(factory, grace_s=86_400, dry_run=True)
        done = retire(factory)

        assert len(runs) == told.retired[0].runs == done.retired[0].runs
        assert () == retire(factory).retired
        assert runs == factory.metadata.events(Finished, line=LINE)
        assert [] == quarantined_rows(factory, LINE)
        assert [] == problems(factory)


def test_a_backup_of_what_is_left_is_whole(line, tmp_path):
    """Who restores it gets what was kept, and a record that knows what was not."""
    with opened(line) as factory:
        retire(factory)
        made = make_backup(factory, tmp_path / "copy.tar")
    with Factory(tmp_path / "again") as factory:
        restore_backup(factory, tmp_path / "copy.tar")
    with opened(tmp_path / "again") as factory:
        assert () == made.problems
        assert [] == problems(factory)
