"""Sealed segments of the prediction log: every record is where it was, whatever was killed and when."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing

import duckdb
import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewright.capabilities.care import backup
from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.gc import collect
from linewright.capabilities.care.restore import restore_backup
from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.datasets.operations import datasets
from linewright.capabilities.evidence.lookup import find_prediction
from linewright.capabilities.evidence.replay import replay_prediction
from linewright.capabilities.serving.worker import Tending, tend_inline
from linewright.errors import Corrupt
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.record.archive_log import SEAL_BYTES, seal_next
from linewright.line.sealed_parquet import _TYPES, BATCH_RECORDS, _Cells, read_groups, write_segment
from linewright.model.package.model import load
from linewright.serve.facts import LoggedLookup, Prediction, Predictions, Sealed, Segment
from linewright.serve.feedback.store import Feedback
from linewright.serve.log.ids import first_of_many
from linewright.serve.log.records import count_of, records_of
from linewright.serve.log.segments import (
    HEADER_BYTES,
    TORN,
    Frame,
    frame_of,
    lengths,
    read_frames,
    read_log,
    read_records,
)
from linewright.serve.log.writer import PredictionLog
from linewright.store.clock import text_of, uuid7

LINE = "tumours"


@pytest.fixture
def factory(root):
    """Give a factory whose log is one old segment of 20 answers, 10 of them with a label by key."""
    with Factory.open(root) as opened:
        make_old(opened)
        yield opened


def files(factory):
    return sorted(factory.log_of(LINE).glob("*.log"))


def make_old(factory):
    for path in files(factory):
        os.utime(path, (1, 1))


def write(factory, keys, **named):
    """Log answers to the first row again, under other ids and keys, by a writer of its own that closes its segment."""
    (first, *_) = read_log(factory.log_of(LINE), sealed=factory.sealed_of(LINE))
    made = [msgspec.structs.replace(first.record, id=uuid7(), key=key, **named) for key in keys]
    with closing(PredictionLog(factory.log_of(LINE))) as log:
        log.append(made)
    return made


def ask_together(factory, keys, *, between=", ", **named):
    """Log answers to the first row again as those of one request of many rows, whose body stands as clients may write it."""
    (first, *_) = read_log(factory.log_of(LINE), sealed=factory.sealed_of(LINE))
    one, text = first.record, msgspec.json.encode(first.record.row).decode()
    body = f'{{ "durable": false,\n "rows" : [ {between.join([text] * len(keys))} ]}}'
    shared = {
        name: getattr(one, name) for name in ("line", "generation", "model", "digest", "at", "threshold")
    }
    made = Predictions(
        many=len(keys),
        first=first_of_many(uuid7()),
        keys=keys if any(keys) else None,
        request=msgspec.Raw(body.encode()),
        answers=[one.answer] * len(keys),
        **shared,
    )
    with closing(PredictionLog(factory.log_of(LINE))) as log:
        log.append_request(msgspec.structs.replace(made, **named))


def seal_all(factory):
    sealed = []
    while one := seal_next(factory, LINE):
        sealed.append(one)
    return sealed


def _some(records):
    """Of a request of thousands, of which each row is found by reading all: the first rows, some between, and the last ones."""
    return records if len(records) <= 20 else (*records[:3], *records[3:-3:400], *records[-3:])


def seen(factory):
    """Return all that readers of the log see."""
    log, sealed, feedback = factory.log_of(LINE), factory.sealed_of(LINE), factory.labels_of(LINE)
    damage = []
    frames = list(read_frames(log, damaged=damage.append, sealed=sealed))
    middle = {frame.segment: frame.offset for frame in frames[: len(frames) * 2 // 3]}
    return {
        "frames": frames,
        "damage": damage,
        "records": list(read_log(log, sealed=sealed)),
        "after": list(read_frames(log, middle, sealed=sealed)),
        "until": list(read_frames(log, until=middle, sealed=sealed)),
        "places": [read_records(log, one.segment, one.offset, sealed=sealed) for one in frames],
        "between": [read_records(log, one.segment, one.offset + 1, sealed=sealed) for one in frames[-1:]],
        "lengths": lengths(log, sealed),
        "labelled": list(feedback.labelled(known_by="9")),
        "arrived": list(feedback.arrived("2", "9")),
        "turned_out": list(feedback.turned_out("malignant", since="2", known_by="9")),
        "counts": feedback.counts(),
        "found": [feedback.find(one.id) for frame in frames for one in _some(records_of(frame.payload))],
        "counted": feedback.counted(),
        "audit": feedback.audit(),
        "told": feedback.catch_up(),
    }


def test_every_reader_sees_after_sealing_what_it_saw_before(factory):
    """Windows, retrainings, labels and audits must not depend on where a record lies."""
    write(factory, ["x", "y", None])
    make_old(factory)
    later = write(factory, ["z"])
    before = seen(factory)
    sealed = seal_all(factory)
    after = seen(factory)

    # The 20 rows of the file that was predicted share a frame.
    assert [1, 3, 1] == list(Counter(one.segment for one in before["frames"]).values())
    assert 10 == before["counts"].labelled
    assert before["turned_out"]
    assert 2 == len(sealed)
    assert 1 == len(files(factory))
    assert before == after
    assert later == [one.record for one in read_log(factory.log_of(LINE))]


def test_requests_of_many_rows_are_rows_of_the_table_and_given_back_to_the_byte(factory):
    """Whoever asks the table of an answer does not care how many rows its request had."""
    ask_together(factory, ["a", None, "b"])
    ask_together(factory, [None] * 3, between=",\n")
    ask_together(factory, ["a"], between="", at="2026-01-31T12:00:00.000000Z")
    ask_together(factory, [f"k{number}" for number in range(BATCH_RECORDS)])
    ask_together(factory, ["c", "d"], between=", ", request=msgspec.Raw(b'{"rows": [{},  {}]}'))
    ask_together(factory, ["c", "d", "e"], request=msgspec.Raw(b'{"rows": [{}, {} ,{}]}'))
    make_old(factory)
    before = seen(factory)
    sealed = seal_all(factory)
    after = seen(factory)
    table = pa.concat_tables(
        pq.read_table(factory.artifacts.path(factory.metadata.get(one.segment, Segment).blob))
        for one in sealed
    )

    assert [] == files(factory)
    assert before == after
    assert () == verify_factory(factory).problems
    assert (
        len(before["records"])
        == len(table)
        == 20 + 3 + 3 + 1 + BATCH_RECORDS + 2 + 3
        == before["counts"].predictions
    )
    assert [one.record.id for one in before["records"]] == table["id"].to_pylist()
    assert [one.record.key for one in before["records"]] == table["key"].to_pylist()
    assert [one.record.row for one in before["records"]] == [
        json.loads(row) for row in table["row"].to_pylist()
    ]
    assert 6 == sum(one is not None for one in table["request"].to_pylist())
    assert 1 == sum(one is not None for one in table["payload"].to_pylist())


@pytest.mark.parametrize("wrong", [{"many": 4}, {"at": "noon"}, {"answers": []}])
def test_a_request_of_another_form_is_given_back_too(factory, wrong):
    log, before = factory.log_of(LINE), seen(factory)
    ask_together(factory, ["a", "b", "c"], **wrong)
    (*_, frame) = read_frames(log)
    with tempfile.TemporaryFile() as file:
        written = write_segment([frame], file)
        with pq.ParquetFile(file) as parquet:
            given_back = [each for group in read_groups(parquet, frame.segment) for each in group]

    assert before["frames"] == list(read_frames(log))[:-1]
    assert [frame] == given_back
    assert count_of(frame.payload) == written.records


def test_a_sealed_answer_is_shown_and_computed_again(factory):
    """That is what the log is for, also in three years."""
    (first, *_) = read_log(factory.log_of(LINE))
    seal_all(factory)
    record, truth = find_prediction(factory, first.record.id)

    assert first.record == record
    assert truth is not None
    assert 0 == replay_prediction(factory, first.record.id).difference


def test_what_is_fresh_and_small_stays_a_file_and_what_is_large_does_not_wait(factory):
    seal_all(factory)
    write(factory, ["small"])
    small = seal_next(factory, LINE)
    write(factory, "ab", row={"text": "x" * (SEAL_BYTES // 2)})
    large = seal_next(factory, LINE)

    assert small is None
    assert large is not None
    assert large.bytes > SEAL_BYTES
    assert 1 == len(files(factory))


WRITER = """
import sys
from pathlib import Path
from linewright.serve.log.writer import PredictionLog
from linewright.serve.log.segments import read_log
folder = Path(sys.argv[1])
log = PredictionLog(folder)
log.append([one.record for one in read_log(folder)][:1])
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_segment_is_not_sealed_while_its_writer_lives_and_is_once_it_was_killed(factory):
    """An endpoint may be quiet for a day, and then go on in the same file."""
    command = [sys.executable, "-c", WRITER, str(factory.log_of(LINE))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout is not None
            assert "ready\n" == writer.stdout.readline()
            make_old(factory)
            while_alive = seal_all(factory)
            left = files(factory)
        finally:
            writer.kill()
    make_old(factory)
    afterwards = seal_all(factory)

    assert [1] == [len(list(factory.sealed_of(LINE).frames(one.name))) for one in while_alive]
    assert [left[0].name] == [one.name for one in afterwards]
    assert [] == files(factory)


def test_a_segment_that_another_process_seals_is_left_to_it(factory):
    with files(factory)[0].open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        assert seal_next(factory, LINE) is None
    assert seal_next(factory, LINE) is not None


@pytest.mark.parametrize("spoil", ["torn", "no record", "checksum"])
def test_a_segment_with_damage_stays_the_file_that_it_is_and_is_told(factory, spoil):
    """Who looks into it wants the bytes; and a report must not end because time has passed."""
    (path,) = files(factory)
    data = bytearray(path.read_bytes())
    if spoil == "torn":
        data += b"\x40\x00\x00\x00half a record"
    elif spoil == "no record":
        data += frame_of(b'{"half":1}')
    else:
        data[len(data) // 2] ^= 4
    path.write_bytes(data)
    make_old(factory)
    factory.state.joinpath("feedback", f"{LINE}.sqlite").unlink()  # it was spoiled before it was counted
    told = factory.labels_of(LINE).catch_up()

    assert [] == seal_all(factory)
    assert [path] == files(factory)
    assert 1 == len(told)
    assert told == factory.labels_of(LINE).catch_up()
    assert (TORN == told[0].why) == (spoil == "torn")


def test_bytes_that_changed_after_they_were_counted_are_not_sealed_but_told(factory, damage):
    """Else the last copy that may be mended would be thrown away."""
    factory.labels_of(LINE).catch_up()
    damage(files(factory)[0])
    make_old(factory)

    with pytest.raises(Corrupt, match="has changed since its records were counted"):
        seal_next(factory, LINE)
    assert 1 == len(files(factory))


KILLED = """
import os, sys
from pathlib import Path
from linewright.line.record import archive_log as sealing
from linewright.line.factory import Factory
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.metadata.sql import SqlMetadata
from linewright.testing.faults import Countdown, DyingMetadata

def dying(tick, method):
    def both(*arguments):
        tick()
        result = method(*arguments)
        tick()
        return result
    return both

def seal_and_die(root, moment):
    tick = Countdown(moment)
    with Factory.open(root) as factory:
        factory.labels_of("tumours").catch_up()
        factory.__dict__["metadata"] = DyingMetadata(SqlMetadata(factory.metadata_url), tick)
        LocalArtifacts.put_file = dying(tick, LocalArtifacts.put_file)
        Path.unlink = dying(tick, Path.unlink)
        sealing.sync_folder = dying(tick, sealing.sync_folder)
        sealing.seal_next(factory, "tumours")
    return tick.ticks

for moment, root in enumerate(sys.argv[1:], 1):
    child = os.fork()
    if child == 0:
        os._exit(seal_and_die(root, moment))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
MOMENTS = 10
"""Before and after the blob, the result, the event, the end of the file and the sync of its folder."""


def test_killed_at_any_step_nothing_is_lost_or_counted_twice_and_the_next_sealing_finishes(factory, tmp_path):
    """A worker may be killed at any time; the last of these is not, and says how many steps there were."""
    before = seen(factory)
    roots = [tmp_path / f"killed-{moment}" for moment in range(1, MOMENTS + 2)]
    for root in roots:
        shutil.copytree(factory.root, root)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, roots)], capture_output=True, text=True, timeout=100, check=True
    )  # fmt: skip
    is_finished_by_the_next = []
    for root in roots:
        with Factory.open(root) as killed:
            assert before == seen(killed)
            assert () == verify_factory(killed).problems
            is_finished_by_the_next.append(bool(seal_all(killed)))

            assert [] == files(killed)
            assert before == seen(killed)
            assert 1 == len(killed.metadata.events(Sealed))

    assert [*[-signal.SIGKILL] * MOMENTS, MOMENTS] == [int(code) for code in done.stdout.split()]
    assert [True] * 7 + [False] * 4 == is_finished_by_the_next


def test_gc_keeps_what_is_sealed_and_what_sealed_answers_name(factory):
    """An old model has only the log to speak for it."""
    image = factory.artifacts.put(b"an image")
    write(factory, ["with-image"], row={"image": image})
    make_old(factory)
    seal_all(factory)
    shutil.rmtree(factory.log_of(LINE))
    freed = collect(factory, grace_s=-60, dry_run=False)

    assert 0 == freed.blobs
    assert b"an image" == factory.artifacts.get(image)
    assert () == verify_factory(factory).problems


def test_a_backup_holds_what_is_sealed_and_what_is_not(factory, tmp_path):
    write(factory, ["x", "y"])
    make_old(factory)
    seal_next(factory, LINE)
    before = seen(factory)
    made = make_backup(factory, tmp_path / "copy.tar")
    restore_backup(Factory(tmp_path / "new"), tmp_path / "copy.tar")
    with Factory.open(tmp_path / "new") as restored:
        found = verify_factory(restored)

        assert before == seen(restored)
    assert (22, 22, ()) == (made.predictions, found.predictions, found.problems)


def test_a_segment_that_is_sealed_during_a_backup_is_in_it(factory, tmp_path, monkeypatch):
    """The copy of the record was made before, and does not know of the blob."""
    before, copy = seen(factory), backup.copy_databases

    def copy_then_seal(paths, folder):
        copy(paths, folder)
        seal_all(factory)

    monkeypatch.setattr(backup, "copy_databases", copy_then_seal)
    made = make_backup(factory, tmp_path / "copy.tar")
    restore_backup(Factory(tmp_path / "new"), tmp_path / "copy.tar")
    with Factory.open(tmp_path / "new") as restored:
        assert [] == restored.metadata.events(Sealed)
        assert before == seen(restored)
        assert () == verify_factory(restored).problems
    assert 20 == made.predictions


def blob_of(factory):
    (segment,) = factory.sealed_of(LINE).segments().values()
    return factory.artifacts.path(segment.blob)


def test_verify_finds_a_flipped_bit_of_a_sealed_segment_and_names_its_file(factory, damage):
    seal_all(factory)
    (digest,) = factory.sealed_of(LINE).segments()
    damage(blob_of(factory))
    found = verify_factory(factory)

    assert 7 == found.exit_code
    assert [f"{blob_of(factory)} (of segment {digest[7:19]})"] == [one.where for one in found.problems]
    with pytest.raises(Corrupt, match=r"a sealed segment .* cannot be read.*stored bytes have changed"):
        list(factory.labels_of(LINE).labelled(known_by="9"))
    with pytest.raises(Corrupt, match="a sealed segment"):
        collect(factory, grace_s=-60, dry_run=False)


def test_verify_finds_that_a_sealed_segment_is_gone(factory):
    seal_all(factory)
    blob_of(factory).unlink()
    (found,) = verify_factory(factory).problems

    assert "is missing" in found.what
    with pytest.raises(Corrupt, match="a sealed segment"):
        seen(factory)


def test_an_endpoint_keeps_labels_of_sealed_answers_though_it_cannot_read_them(factory):
    """It knows neither the record nor Parquet; its index is past what is sealed."""
    (first, *_), made = read_log(factory.log_of(LINE)), write(factory, ["k", "k"])
    make_old(factory)
    package = load(first.record.digest, factory.artifacts.get).package
    seal_all(factory)
    endpoint = Feedback.of(factory.state, LINE)
    by_key = endpoint.accept([{"key": "k", "label": "benign"}], package=package)
    by_id = endpoint.accept([{"id": made[0].id, "label": "benign"}], package=package)
    again = endpoint.accept([{"key": first.record.key, "label": "malignant"}], package=package)

    assert (1, 1, 1) == (by_key["accepted"], by_id["repeated"], again["repeated"])
    assert [] == endpoint.catch_up()
    assert (22, 12) == endpoint.counts()
    assert "benign" == factory.labels_of(LINE).find(made[1].id)[1].label


def test_an_index_that_was_lost_is_made_again_from_what_is_sealed_too(factory):
    write(factory, ["x"])
    (first, *_) = read_log(factory.log_of(LINE))
    seal_all(factory)
    (factory.state / "feedback" / f"{LINE}.sqlite").unlink()
    Feedback.of(factory.state, LINE).catch_up()  # an endpoint is first, and has only the files
    found = factory.labels_of(LINE).find(first.record.id)

    assert found is not None
    assert first.record == found[0]
    assert 21 == factory.labels_of(LINE).counts().predictions


def test_an_analyst_reads_the_log_with_the_tools_for_parquet(factory, linewright):
    """No export, no server: `datasets LINE --log` says where the files are."""
    records = [one.record for one in read_log(factory.log_of(LINE))]
    seal_all(factory)
    write(factory, ["not sealed"])
    code, listed, _ = linewright(factory.root, "datasets", LINE, "--log")
    (part,) = listed["segments"]
    table = pl.read_parquet(part["parquet"])
    answers = duckdb.execute(
        "select answer->>'prediction' as said, count(*), min(model), max(threshold) "
        "from read_parquet(?) group by said order by said",
        [part["parquet"]],
    ).fetchall()
    said = Counter(one.answer["prediction"] for one in records)
    text = result_text(datasets(factory, LINE, log=True))

    assert "1 sealed segment of the prediction log, 1 not sealed" in text
    assert f"20 predictions  {part['parquet']}" in text
    assert (0, 20, 1) == (code, part["predictions"], listed["open"])
    assert (part["first"], part["last"]) == (records[0].at, records[-1].at)
    assert [(each, said[each], 1, records[0].threshold) for each in sorted(said)] == answers
    assert [one.id for one in records] == table["id"].to_list()
    assert [one.row for one in records] == [json.loads(each) for each in table["row"]]
    assert [one.at for one in records] == table["at"].dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_list()
    assert pl.Datetime("us", "UTC") == table["at"].dtype
    assert table["payload"].is_null().all()


def test_lines_that_are_tended_are_sealed(factory):
    """Nobody has to remember it: `up` does so, and worlds and tests as well."""
    line = factory.root / "lines" / f"{LINE}.yaml"
    assert "watch:" not in [row.split(" ")[0] for row in line.read_text().splitlines()]
    write(factory, ["x"])
    make_old(factory)
    tend_inline(factory, LINE)
    inline = len(files(factory))
    with closing(Tending(lambda: Factory.open(factory.root), Idle(), every_s=0.01)):
        deadline = time.monotonic() + 30
        while files(factory) and time.monotonic() < deadline:
            time.sleep(0.02)

    assert 1 == inline
    assert [] == files(factory)
    assert 2 == len(factory.metadata.events(Sealed, line=LINE))


class Idle:
    """An engine that is asked for nothing."""


# The form


def frames_of(payloads):
    frames, at = [], 0
    for payload in payloads:
        end = at + HEADER_BYTES + len(payload)
        frames.append(Frame("a.log", at, end, payload))
        at = end
    return frames


def given_back(frames, folder):
    with (folder / "segment.parquet").open("w+b") as file:
        written = write_segment(frames, file)
        with pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            groups = list(read_groups(parquet, "a.log"))
            payloads = parquet.read(["payload"])["payload"].to_pylist()
    return written, groups, payloads


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
RECORDS = st.builds(
    Prediction,
    id=TEXT,
    line=TEXT,
    site=st.none() | TEXT,
    generation=st.integers(-(2**63), 2**63 - 1),
    model=st.integers(0, 9),
    digest=TEXT,
    arm=st.sampled_from(["champion", "canary", "shadow"]),
    at=st.datetimes().map(text_of) | TEXT,
    key=st.none() | TEXT,
    row=st.dictionaries(TEXT, VALUES, max_size=3),
    answer=st.dictionaries(TEXT, VALUES, max_size=2),
    threshold=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    known=st.just(msgspec.UNSET) | TEXT,
    features=st.just(msgspec.UNSET)
    | st.dictionaries(
        TEXT,
        st.builds(LoggedLookup, known=TEXT, record=st.none() | TEXT, defaulted=st.booleans()),
        max_size=2,
    ),
).map(msgspec.json.encode)
STRANGE = st.sampled_from(
    [
        b"{}",
        b'"\xff"',
        b"not JSON",
        b'{"id":"7","line":"a","generation":1,"model":1,"digest":"d","at":"2026-01-31T12:00:00Z","key":null,"row":{ "a": 1.0e0 },"answer":{},"threshold":1}',
        b'{"new field":1,"id":"7","line":"a","generation":1,"model":1,"digest":"d","at":"2026-01-31T12:00:00.000000Z","key":null,"row":{},"answer":{},"threshold":null}',
    ]
)


@settings(deadline=None, max_examples=60)
@given(payloads=st.lists(RECORDS | STRANGE, min_size=1, max_size=8))
def test_each_payload_is_given_back_to_the_byte(payloads, tmp_path_factory):
    """Also one of an older or a newer form, and one that is no record at all."""
    frames = frames_of(payloads)
    written, groups, _ = given_back(frames, tmp_path_factory.mktemp("form"))

    assert len(frames) == written.records
    assert frames == [one for group in groups for one in group]


def test_what_this_version_writes_needs_no_second_copy(factory):
    """It would double the size."""
    frames = list(read_frames(factory.log_of(LINE)))
    _, _, payloads = given_back(frames, factory.root)

    assert [None] * 20 == payloads


def test_a_row_that_got_its_values_from_what_is_known_is_kept_once_too(factory):
    """And a file that was written before rows said so gives back the same."""
    record = next(read_log(factory.log_of(LINE))).record
    looked = LoggedLookup(known="2026-01-31T12:00:00.000000Z", record="sha256:b")
    both = [record, msgspec.structs.replace(record, known="sha256:a", features={"customer": looked})]
    frames = frames_of([msgspec.json.encode(one) for one in both])
    _, groups, payloads = given_back(frames, factory.root)
    table = pq.read_table(factory.root / "segment.parquet")
    pq.write_table(table.drop_columns(["known", "features"])[:1], factory.root / "older.parquet")
    with pq.ParquetFile(factory.root / "older.parquet") as older:
        before = list(read_groups(older, "a.log"))

    assert [None] * 2 == payloads
    assert [frames] == groups
    assert [frames[:1]] == before


def test_the_columns_are_the_fields_of_a_record():
    """A field that is new in the log and missing here would be a second copy of each record."""
    fields = [each.name for each in msgspec.structs.fields(Prediction)]

    assert fields == [each.name for each in msgspec.structs.fields(_Cells)]
    assert fields == list(_TYPES)


def test_large_records_make_small_row_groups(tmp_path):
    frames = frames_of([b"x" * 2**20] * 6 + [b"y"] * (BATCH_RECORDS + 1))
    _, groups, _ = given_back(frames, tmp_path)

    assert [4, BATCH_RECORDS, 3] == [len(group) for group in groups]


MEMORY = """
import sys
from linewright.line.factory import Factory
from linewright.line.record.archive_log import seal_next
from linewright.serve.log.segments import read_frames

def most():
    # Of this program: what `getrusage` says begins with that of the process which started it.
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1])

with Factory.open(sys.argv[1]) as factory:
    def seal_and_read():
        assert seal_next(factory, "tumours") is not None
        sum(1 for _ in read_frames(factory.log_of("tumours"), sealed=factory.sealed_of("tumours")))
        return most()
    print(-seal_and_read() + seal_and_read())
"""


def test_sealing_and_reading_need_no_more_memory_for_a_longer_segment(factory):
    """A worker that seals must not be the one that the kernel kills."""
    (path,) = files(factory)
    for mebibytes in (18, 60):
        write(factory, [None] * (mebibytes * 32), row={"noise": os.urandom(2**14).hex()})
    path.unlink()
    factory.state.joinpath("feedback", f"{LINE}.sqlite").unlink()
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(factory.root)], capture_output=True, text=True, check=True
    )

    assert int(done.stdout) < 20 * 1024  # KiB
