"""A person who is forgotten is nowhere in the state any more, the record says so without saying who, and all else is as it was."""

import csv
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer

from linewright.capabilities.audit.verify_chain import verify_chain
from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.forget import forget, resume
from linewright.capabilities.care.gc import collect
from linewright.capabilities.care.operations.maintenance import forget as forget_operation
from linewright.capabilities.care.restore import restore_backup
from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.evidence.card import card_facts
from linewright.capabilities.evidence.lookup import find_prediction
from linewright.capabilities.evidence.rebuild.compare import rebuild, require_whole
from linewright.capabilities.serving.worker import Tending
from linewright.data.facts import Dataset
from linewright.data.profile.roles import GivenRoles
from linewright.errors import Corrupt, NotFound, RequestError, SpecError, Transient
from linewright.interfaces.cli.dispatch import result_text
from linewright.interfaces.http.replies import Reply, SqliteReplies
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Forgotten
from linewright.line.predict.batch import predict_file
from linewright.line.predict.label_file import hand_in
from linewright.line.record.archive_log import seal_next
from linewright.line.record.checkpoint import checkpoint
from linewright.line.record.data.quarantine import quarantined_rows
from linewright.line.record.evidence import evidence_of, explain
from linewright.line.record.registry import find_model
from linewright.line.retention.forgotten import begin, forgotten_of
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.model.card.render import card_markdown
from linewright.model.facts import Package
from linewright.serve.facts import Predictions
from linewright.serve.log.records import payload_of, records_of, without
from linewright.serve.log.segments import read_log
from linewright.serve.log.writer import PredictionLog

LINE, OTHER = "tumours", "others"
HER = "patient-QX7731"
"""An id that stands nowhere else: rows 30 to 32 are hers, and row 33, which the contract keeps out."""
ROWS = 240


def table(patients):
    bunch = load_breast_cancer()
    names = [name.replace(" ", "_") for name in bunch.feature_names[:4]]
    rows = [
        {
            "sample": f"S{number:04}",
            "patient": patients(number),
            **{name: f"{value:.6g}" for name, value in zip(names, bunch.data[number], strict=False)},
            "diagnosis": bunch.target_names[bunch.target[number]],
        }
        for number in range(ROWS)
    ]
    rows[33][names[0]] = "-7"
    return rows


def whose(number):
    return HER if 30 <= number <= 33 else f"patient-{number // 3:05}"


def write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def declare(root, line, rows):
    write(root / f"{line}.csv", rows)
    new_line(
        root, line, root / f"{line}.csv", GivenRoles(label="diagnosis", positive="malignant", key="sample")
    )
    path = root / "lines" / f"{line}.yaml"
    text = path.read_text().replace("budget: normal", "budget: quick")
    text = "".join(
        one for one in text.splitlines(keepends=True) if not one.startswith(("watch:", "retrain:"))
    )
    path.write_text(text)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Make a factory of two lines that serve; one names its patients, has answered, and got labels by key and by id."""
    root = tmp_path_factory.mktemp("forget") / "factory"
    root.mkdir()
    rows = table(whose)
    declare(root, LINE, rows)
    declare(root, OTHER, table(lambda number: f"somebody-{number // 3:05}"))
    change(root, LINE, "  group: patient", "  subject: patient\n  group: patient")
    change(
        root,
        LINE,
        "mean_radius: {type: number, nullable: warn, min: -30",
        "mean_radius: {type: number, nullable: warn, min: 0",
    )
    with Factory.create(root) as factory:
        execute_inline(factory, LINE)
        execute_inline(factory, OTHER)
        asked = [row for row in rows[25:50] if float(row["mean_radius"]) > 0]
        write(root / "asked.csv", asked)
        answer(factory, asked)
        label(factory, {"key": "S0030", "label": "malignant"}, {"key": "S0028", "label": "malignant"})
        label(factory, {"key": "S0030", "label": "benign", "corrects": "malignant"})
        label(
            factory,
            {"id": ids_of(factory)["S0031"], "label": "malignant"},
            {"id": ids_of(factory)["S0027"], "label": "malignant"},
        )
        checkpoint(factory, LINE)
    return root


def change(root, line, old, new):
    path = root / "lines" / f"{line}.yaml"
    text = path.read_text()

    assert old in text
    path.write_text(text.replace(old, new, 1))


def answer(factory, rows, out="answers.csv"):
    """Answer rows by a batch; the files that a person would have are put away, since they are not the factory's."""
    folder = factory.root.parent / "elsewhere"
    folder.mkdir(exist_ok=True)
    write(folder / "asked.csv", rows)
    predict_file(factory, LINE, folder / "asked.csv", folder / out)


def label(factory, *labels):
    package = factory.metadata.get(factory.metadata.versions(LINE)[0].digest, Package)
    return factory.labels_of(LINE).accept(list(labels), package=package, idempotency_key=str(labels)[:200])


def logged(factory):
    return [one.record for one in read_log(factory.log_of(LINE), sealed=factory.sealed_of(LINE))]


def ids_of(factory):
    return {one.key: one.id for one in logged(factory)}


def log_alone(factory, **changes):
    """Log an answer again in a frame of its own, as an endpoint does with a request of one row."""
    made = msgspec.structs.replace(logged(factory)[0], **changes)
    with closing(PredictionLog(factory.log_of(LINE))) as log:
        log.append([made])


def seal(factory):
    for path in factory.log_of(LINE).glob("*.log"):
        os.utime(path, (1, 1))
    while seal_next(factory, LINE):
        pass


def places(root, text=HER):
    """Return the files of the state in which a text stands: as bytes, or as a value of a Parquet file."""
    return sorted(
        str(path.relative_to(root))
        for path in (root / ".linewright").rglob("*")
        if path.is_file() and (text.encode() in path.read_bytes() or text in values_of(path))
    )


def values_of(path):
    if path.read_bytes()[:4] != b"PAR1":
        return ""
    return str(pl.read_parquet(path).to_dicts())


def problems(factory):
    return [f"{one.where}: {one.what}" for one in verify_factory(factory).problems]


@pytest.fixture
def factory(template, tmp_path):
    """Give a copy of the factory that a test may change."""
    shutil.copytree(template, tmp_path / "factory")
    with Factory.open(tmp_path / "factory") as opened:
        yield opened


def test_she_is_nowhere_and_all_else_is_as_it_was(factory):
    """The law gives her that; and whoever audits the factory must still be able to believe it."""
    before, ids = {one.id: one for one in logged(factory)}, ids_of(factory)
    stood = places(factory.root)
    told = forget(factory, LINE, HER, dry_run=True)
    still = places(factory.root)
    done = forget(factory, LINE, HER, dry_run=False)
    after = {one.id: one for one in logged(factory)}
    hers = {ids[key] for key in ("S0030", "S0031", "S0032")}
    (event,) = factory.metadata.events(Forgotten, line=LINE)

    assert len(stood) >= 3
    assert stood == still
    assert (3, None, 3, 1) == (told.predictions, told.labels, told.rows, told.quarantined)
    assert (3, 3, 3, 1) == (done.predictions, done.labels, done.rows, done.quarantined)
    assert [] == places(factory.root)
    assert () == done.left
    assert {key: one for key, one in before.items() if key not in hers} == after
    assert [None] * 3 == [find_prediction(factory, one) for one in sorted(hers)]
    assert "malignant" == find_prediction(factory, ids["S0028"])[1].label
    assert "malignant" == find_prediction(factory, ids["S0027"])[1].label
    assert [] == quarantined_rows(factory, LINE)
    assert HER not in msgspec.json.encode(event).decode()
    assert (3, 3, 1) == (event.predictions, event.labels, event.quarantined)
    assert [] == problems(factory)
    assert verify_chain(factory).first_bad is None


def test_her_labels_are_unknown_and_those_of_others_come_as_before(factory):
    """A label that arrives late must not bring her back."""
    ids = ids_of(factory)
    forget(factory, LINE, HER, dry_run=False)
    late = label(factory, {"id": ids["S0032"], "label": "malignant"}, {"key": "S0031", "label": "malignant"})
    fine = label(factory, {"id": ids["S0034"], "label": "malignant"}, {"key": "S0029", "label": "malignant"})
    checkpoint(factory, LINE)

    assert (0, 2) == (late["accepted"], late["unknown"])
    assert (2, 0) == (fine["accepted"], fine["unknown"])
    assert [] == problems(factory)


def test_what_comes_with_her_id_afterwards_is_found_and_goes_too(factory):
    """A client that sends her id once more has it in the answer that is kept for it: to ask again removes that, and says if not."""
    forget(factory, LINE, HER, dry_run=False)
    label(factory, {"key": HER, "label": "malignant"})
    (factory.state / "note").write_text(f"call {HER}")
    stood = places(factory.root)
    again = forget(factory, LINE, HER, dry_run=False)

    assert [".linewright/feedback/tumours.sqlite", ".linewright/note"] == stood
    assert (".linewright/note",) == again.left
    assert 4 == again.exit_code
    assert [".linewright/note"] == places(factory.root)


def test_idempotency_keys_that_name_her_go_on_both_planes(factory):
    """Clients make keys of what they send; a key of another prediction is not hers because it begins alike, and free pages hold nothing."""
    hers, others = ids_of(factory)["S0031"], ids_of(factory)["S0027"]
    package = factory.metadata.get(factory.metadata.versions(LINE)[0].digest, Package)
    keys = [f"label-{hers}", "label:S0032", f"{HER}/1", f"label-{others}", "label-S00322"]
    for key in keys:
        factory.labels_of(LINE).accept(
            [{"id": others, "label": "malignant"}], package=package, idempotency_key=key
        )
    replies = SqliteReplies(factory.state / "replies.sqlite", most=6)
    for key in ("evicted S0030", *keys, "one more", "and another"):
        replies.begin(key, "sha256:00")
        replies.finish(key, Reply(200, "application/json", b"{}"))
    forget(factory, LINE, HER, dry_run=False)
    with closing(sqlite3.connect(factory.labels_of(LINE)._file)) as database:
        fed = [key for (key,) in database.execute("SELECT key FROM answers")]
    with closing(sqlite3.connect(factory.state / "replies.sqlite")) as database:
        replied = [key for (key,) in database.execute("SELECT key FROM replies")]

    assert [] == sorted({*keys[:3]} & {*fed})
    assert {*keys[3:]} <= {*fed}
    assert sorted([*keys[3:], "one more", "and another"]) == sorted(replied)
    assert [] == places(factory.root)
    for text in (hers, "label:S0032", "S0030"):
        assert [] == [
            place for place in places(factory.root, text) if place.endswith((".sqlite", ".sqlite-wal"))
        ]


def test_a_line_without_a_file_still_forgets(factory):
    """Its rows stay when somebody removes or renames the file, and so does the person's right."""
    (factory.root / "lines" / f"{LINE}.yaml").rename(factory.root / "lines" / "renamed.yaml.old")
    done = forget(factory, LINE, HER, dry_run=False)

    assert (3, 3, 1) == (done.predictions, done.rows, done.quarantined)
    assert [] == places(factory.root)
    assert [] == problems(factory)


def test_an_interrupted_removal_of_a_line_without_a_file_is_ended(factory):
    """Whoever removes a line while somebody is being forgotten keeps half of them otherwise."""
    begin(factory, LINE, HER)
    (factory.root / "lines" / f"{LINE}.yaml").unlink()
    between = [one.what for one in verify_factory(factory).problems if "is being removed" in one.what]
    ended = resume(factory)

    assert (1, 1, ()) == (len(between), ended.ended, ended.problems)
    assert [] == places(factory.root)
    assert [] == problems(factory)


def test_it_says_which_models_learned_and_what_is_the_users_own(factory):
    """What a model has learned nobody takes out of it; and a file of the user's is not ours to change."""
    done = forget(factory, LINE, HER, dry_run=False)
    version = find_model(factory, f"{LINE}@1")
    day = factory.metadata.events(Forgotten, line=LINE)[0].at[:10]

    assert (f"{LINE}@1",) == done.learned == done.serving
    assert [f"{LINE}.csv"] == [Path(one).name for one in done.sources]
    assert ["asked.csv"] == [Path(one).name for one in done.files]
    assert "passed over there, remove it yourself" in result_text(done)
    assert f"linewright run {LINE} trains without it" in result_text(done)
    with pytest.raises(NotFound, match=f"somebody was forgotten on {day}"):
        require_whole(factory, version)
    assert "forgotten" in str(explain(factory, f"{LINE}@1"))
    assert "forgotten" in card_markdown(card_facts(factory, version))


def test_files_of_lines_and_features_that_name_her_are_named(factory):
    """They are put into version control: a comment with an id outlives all that is removed."""
    (factory.root / "features").mkdir()
    named = {factory.root / one for one in ("factory.yaml", "features/visits.sql", f"lines/{OTHER}.yaml")}
    for path in named:
        with path.open("a") as file:
            file.write("\n" + f"# such as '{HER}'\n")
    done = forget(factory, LINE, HER, dry_run=True)

    assert {*map(str, named)} <= {*done.files}
    assert f"stands still in {factory.root / 'lines' / OTHER}.yaml, a file of yours" in result_text(done)


def test_an_untouched_line_can_be_rebuilt(factory):
    """One person's right is no reason to lose what others rest on."""
    done = forget(factory, LINE, HER, dry_run=False)

    assert () == done.shared
    require_whole(factory, find_model(factory, f"{OTHER}@1"))


def test_a_line_that_reads_the_same_rows_reads_them_again(factory):
    """Equal rows are stored once and go once; what another line may keep of her, it has from its own source."""
    path = factory.root / "lines" / f"{LINE}.yaml"
    (factory.root / "lines" / "twin.yaml").write_text(path.read_text().replace(f"line: {LINE}", "line: twin"))
    execute_inline(factory, "twin")
    done = forget(factory, LINE, HER, dry_run=False)
    well, nowhere = problems(factory), places(factory.root)
    execute_inline(factory, "twin")

    assert ("twin",) == done.shared
    assert {f"{LINE}@1", "twin@1"} == set(done.learned)
    assert "the same rows are read by: twin" in result_text(done)
    assert ([], []) == (well, nowhere)
    require_whole(factory, find_model(factory, "twin@1"))
    assert [] == problems(factory)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_the_others_of_a_request_stay_where_they_are(data):
    """Windows, labels and the index name an answer by its place: blanking one must move no other, whatever clients send."""
    text = st.text(max_size=6)
    rows = data.draw(
        st.lists(st.dictionaries(text, st.none() | st.integers() | text, min_size=1), min_size=1, max_size=5)
    )
    space = data.draw(st.sampled_from(["", " ", "\n "]))
    body = (
        f'{{{space}"durable": false, "rows":{space}['
        + f",{space}".join(msgspec.json.encode(row).decode() for row in rows)
        + "]}"
    )
    told = Predictions(
        many=len(rows), first="018f0000-0000-7000-8000-0000000000ff", line="a", generation=1, model=1, digest="d", at="t",
        keys=data.draw(st.none() | st.lists(st.none() | text, min_size=len(rows), max_size=len(rows))),
        request=msgspec.Raw(body.encode()), answers=[{"prediction": number} for number in range(len(rows))], threshold=None,
    )  # fmt: skip
    payload = payload_of(told)
    before = records_of(payload)
    gone = {before[place].id for place in data.draw(st.sets(st.integers(0, len(rows) - 1), min_size=1))}
    after = without(payload, gone)

    assert len(payload) == len(after)
    assert [one for one in before if one.id not in gone] == records_of(after)
    assert without(after, gone) is None
    assert without(payload, {"018f0000-0000-7000-8000-00000000ffff"}) is None


def test_the_next_run_reads_the_source_without_her(factory):
    """The source is the user's own: she stands in it still, and must not come back with the next training."""
    forget(factory, LINE, HER, dry_run=False)
    changes = [one.step for one in make_plan(factory, factory.line(LINE)).changes]
    execute_inline(factory, LINE)

    assert "ingest" in changes
    assert [] == places(factory.root)
    assert [] == problems(factory)
    assert 2 == find_model(factory, f"{LINE}@2").version
    require_whole(factory, find_model(factory, f"{LINE}@2"))
    assert (f"{LINE}@1",) == forget(factory, LINE, HER, dry_run=False).learned


def test_sealed_segments_and_answers_of_one_row(factory):
    """Most of a log is sealed by the time somebody asks."""
    alone = {"id": "018f0000-0000-7000-8000-0000000000ff", "key": "S0999"}
    log_alone(factory, **alone, row={**logged(factory)[0].row, "patient": HER})
    seal(factory)
    log_alone(factory, id="018f0000-0000-7000-8000-0000000000fe", key="S0998", subject=HER)
    checkpoint(factory, LINE)
    before = len(logged(factory))
    done = forget(factory, LINE, HER, dry_run=False)
    counts = factory.labels_of(LINE).counts()
    well = problems(factory)
    seal(factory)

    assert (5, before - 5, before - 5) == (done.predictions, len(logged(factory)), counts.predictions)
    assert [] == well
    assert [] == problems(factory)
    assert [] == places(factory.root)
    assert 0 == len(list(factory.log_of(LINE).glob("*.log")))


def test_a_segment_that_is_being_written_goes_on(factory):
    """An endpoint writes while somebody is forgotten, and no answer of it is lost."""
    first = logged(factory)[0]
    with closing(PredictionLog(factory.log_of(LINE))) as log:
        log.append(
            [msgspec.structs.replace(first, id="018f0000-0000-7000-8000-0000000000fd", key="A1", subject=HER)]
        )
        done = forget(factory, LINE, HER, dry_run=False)
        log.append([msgspec.structs.replace(first, id="018f0000-0000-7000-8000-0000000000fc", key="A2")])
    checkpoint(factory, LINE)

    assert 4 == done.predictions
    assert "A2" in ids_of(factory)
    assert "A1" not in ids_of(factory)
    assert [] == places(factory.root)
    assert [] == problems(factory)


KILLED = {
    "before the event": "module._once = killed",
    "after the event, before the labels": (
        "def recorded(self, event, record=SqlMetadata.record):\n"
        "    record(self, event)\n"
        "    killed()\n"
        "SqlMetadata.record = recorded"
    ),
    "between two blobs": "module.put_instead = killed",
    "before bytes of a file are others": "module._write = killed",
}


@pytest.mark.parametrize("moment", KILLED)
def test_a_kill_at_any_moment_is_finished_by_the_next_start(factory, moment):
    """Half of a person is still a person; and nobody types the id again, since it is not kept."""
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import linewright.capabilities.care.forget as module\n"
        "from linewright.line.factory import Factory\n"
        "from linewright.store.metadata.sql import SqlMetadata\n"
        "def killed(*given, **named):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        f"{KILLED[moment]}\n"
        f"module.forget(Factory.open(Path(sys.argv[1])), {LINE!r}, {HER!r}, dry_run=False)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(factory.root)], check=False, timeout=60)
    between = [one.next for one in verify_factory(factory).problems if "is being removed" in one.what]
    ended = resume(factory).ended

    assert -signal.SIGKILL == done.returncode
    assert ["linewright gc"] == between
    assert 1 == ended
    assert [] == places(factory.root)
    assert 0 == len([one for one in logged(factory) if one.key in {"S0030", "S0031", "S0032"}])
    assert [] == problems(factory)
    assert () == forgotten_of(factory, LINE).undone


def test_up_ends_it_when_it_starts(factory):
    """Whoever restarts a machine after a power cut need not know that somebody was being forgotten."""
    begin(factory, LINE, HER)
    open_again = lambda: Factory.open(factory.root)  # noqa: E731
    with closing(Tending(open_again, Idle(), every_s=0.01)):
        deadline = time.monotonic() + 30
        while forgotten_of(factory, LINE).undone and time.monotonic() < deadline:
            time.sleep(0.02)

    assert [] == places(factory.root)
    assert [] == problems(factory)


class Idle:
    """An engine that is asked for nothing."""

    def unfinished(self):
        return []


def test_a_torn_frame_of_a_killed_removal_is_written_again(factory, monkeypatch):
    """The system may end a write in the middle of a frame: then neither she nor the others of the request may be lost."""
    torn = []

    def half(path, frames):
        for at, frame in frames.items():
            with path.open("r+b") as file:
                file.seek(at)
                file.write(frame[: len(frame) // 2])
        torn.append(path)
        raise KeyboardInterrupt

    monkeypatch.setattr("linewright.capabilities.care.forget._write", half)
    with pytest.raises(KeyboardInterrupt):
        forget(factory, LINE, HER, dry_run=False)
    monkeypatch.undo()
    damaged = [one for one in problems(factory) if "damaged" in one]
    resume(factory)

    assert torn
    assert damaged
    assert [] == problems(factory)
    assert [] == places(factory.root)


def test_what_was_put_in_the_place_of_stored_rows_must_be_in_the_record(factory):
    """Else whoever may write the files could change rows and call it a removal."""
    dataset = factory.metadata.get(find_dataset(factory), Dataset)
    factory.metadata.link({f"instead:{dataset.chunks[0].content}": factory.artifacts.put(b"others")})

    assert any("no event says so" in one for one in problems(factory))


def find_dataset(factory):
    return evidence_of(factory, find_model(factory, f"{LINE}@1")).trained.dataset


def test_a_row_that_no_table_can_hold_is_passed_over_too(factory):
    """A source of many hands has rows with a field too many, and quarantine has them as they stand there."""
    path = factory.root / f"{LINE}.csv"
    path.write_text(
        path.read_text() + f"S0998,{HER},1,2,3,4,benign,more\nS0999,patient-00001,1,2,3,4,benign,more\n"
    )
    execute_inline(factory, LINE)
    before = [row["values"].get("text", "")[:5] for row in quarantined_rows(factory, LINE)]
    done = forget(factory, LINE, HER, dry_run=False)
    kept = [row["values"].get("text", "")[:5] for row in quarantined_rows(factory, LINE)]
    execute_inline(factory, LINE)
    after = [row["values"].get("text", "")[:5] for row in quarantined_rows(factory, LINE)]

    assert ["S0998", "S0999", ""] == before
    assert ["S0999"] == kept == after
    assert 2 + 1 == done.quarantined  # of two readings
    assert (".linewright/metadata.sqlite",) == done.left  # the first row in a finding of the earlier reading
    assert 4 == done.exit_code


def test_a_backup_keeps_who_is_forgotten_and_retention_goes_on(factory, tmp_path):
    """A restored factory that read her back in, or could not drop what was rewritten, would undo it all."""
    seal(factory)
    forget(factory, LINE, HER, dry_run=False)
    make_backup(factory, tmp_path / "copy.tar")
    with Factory(tmp_path / "again") as again:
        restore_backup(again, tmp_path / "copy.tar")
    change(tmp_path / "again", LINE, "gates:\n", "keep: {log: 90d, datasets: 1}\ngates:\n")
    with Factory.open(tmp_path / "again", now=lambda: "2030-06-01T00:00:00.000000Z") as again:
        for path in again.state.rglob("artifacts/*/*"):
            os.utime(path, (1, 1))
        well = problems(again)
        known = forgotten_of(again, LINE).input
        done = collect(again, grace_s=86_400, dry_run=False)

        assert [] == well
        assert known == forgotten_of(factory, LINE).input
        assert 1 == done.retired[0].segments
        assert done.blobs >= 1
        assert [] == logged(again)
        assert [] == problems(again)


def test_bad_requests_are_told(factory):
    """Nothing is removed by a slip of the finger."""
    change(factory.root, LINE, "  subject: patient\n", "")
    with pytest.raises(SpecError, match="does not say which column names the person"):
        forget(factory, LINE, HER, dry_run=False)
    change(factory.root, LINE, "  group: patient", "  subject: patient\n  group: patient")
    with pytest.raises(SpecError, match="names nobody"):
        forget(factory, LINE, " ", dry_run=False)
    with pytest.raises(NotFound, match="no such line"):
        forget(factory, "tumors", HER, dry_run=False)
    with pytest.raises(RequestError, match="must be confirmed"):
        forget_operation(factory, LINE, subject=HER)
    nobody = forget_operation(factory, LINE, subject="patient-99999999", yes=True)

    assert f"{LINE}: nothing is stored about that subject" == result_text(nobody)
    assert 0 == nobody.exit_code
    assert [] == problems(factory)


def test_labels_that_were_changed_before_stop_it(factory):
    """A removal must not hide who flipped a label; it can be ended once that is settled."""
    with factory.labels_of(LINE)._connected() as database:
        database.execute("""UPDATE changes SET label = '"benign"' WHERE seq = 2""")

    with pytest.raises(Corrupt, match="nothing is removed, since labels are not what was kept"):
        forget(factory, LINE, HER, dry_run=False)
    assert 3 == len([one for one in logged(factory) if one.key in {"S0030", "S0031", "S0032"}])


def test_nothing_goes_while_a_run_reads(factory):
    """It would learn from her after she was forgotten."""
    last = factory.metadata.events(Accepted, line=LINE)[-1]
    factory.metadata.record(msgspec.structs.replace(last, run="018f0000-0000-7000-8000-0000000000aa"))

    with pytest.raises(Transient, match="a run of the line has not ended"):
        forget(factory, LINE, HER, dry_run=False)
    assert () == forgotten_of(factory, LINE).subjects


@pytest.mark.slow
def test_fifty_thousand_answers(factory):
    """As the first user asked: a log of fifty thousand answers, and she is in none of its bytes."""
    rows = [row for row in table(whose) if float(row["mean_radius"]) > 0]
    many = [{**rows[number % len(rows)], "sample": f"M{number:06}"} for number in range(50_000)]
    answer(factory, many)
    hand_in(factory, LINE, truth_of(factory, many[:20_000:7]))
    checkpoint(factory, LINE)
    hers = [row["sample"] for row in many if row["patient"] == HER]
    done = forget(factory, LINE, HER, dry_run=False)
    keys = {one.key for one in logged(factory)}

    assert len(hers) + 3 == done.predictions
    assert [] == places(factory.root)
    assert not keys & set(hers)
    assert 50_000 - len(hers) == sum(one.startswith("M") for one in keys)
    assert [] == problems(factory)
    assert verify_chain(factory).first_bad is None
    other = find_model(factory, f"{OTHER}@1")
    assert "R0" == rebuild(factory, other, workers=1, scratch=factory.scratch, report=lambda _: None).level


def truth_of(factory, rows):
    path = factory.root.parent / "elsewhere" / "truth.csv"
    write(path, [{"key": row["sample"], "label": row["diagnosis"]} for row in rows])
    return path
