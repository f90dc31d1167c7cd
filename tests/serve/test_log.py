"""The prediction log: nothing that was acknowledged is lost, and nothing damaged is believed."""

import errno
import json
import os
import struct
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewright.errors import Transient
from linewright.serve.facts import Prediction, Predictions
from linewright.serve.feedback.store import Feedback
from linewright.serve.log.ids import first_of_many, ids_from
from linewright.serve.log.records import count_of
from linewright.serve.log.segments import Damage, RecordsAt, read_frames, read_log, read_records
from linewright.serve.log.writer import PredictionLog
from linewright.store.clock import uuid7

ANSWER = {"prediction": "No", "probabilities": {"No": 0.75, "Yes": 0.25}, "threshold": 0.4}


def record(key: str = "7", **row) -> Prediction:
    return Prediction(
        id=uuid7(),
        line="claims",
        generation=1,
        model=1,
        digest="sha256:00",
        at="2026-01-31T12:00:00.000000Z",
        key=key,
        row=row,
        answer=ANSWER,
        threshold=0.4,
    )


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "log" / "claims"


def write(folder, *batches, **settings):
    log = PredictionLog(folder, **settings)
    for batch in batches:
        log.append(batch)
    log.close()


def test_what_was_appended_is_read_back_in_order(folder):
    """The log is what answers are recomputed from."""
    records = [record(str(number), Age=number, Make=None, text="é\n") for number in range(5)]
    write(folder, records[:2], records[2:])

    assert records == [logged.record for logged in read_log(folder)]


def test_an_empty_log_and_an_absent_folder_are_read_as_nothing(folder):
    """A line that has not answered yet is not an error."""
    write(folder)

    assert [] == list(read_log(folder))
    assert not folder.exists()


def test_a_frame_is_what_the_documentation_says(folder):
    """Others may read the log: length, CRC-32, JSON."""
    write(folder, [record()])
    data = next(folder.iterdir()).read_bytes()
    length, checksum = struct.unpack("<II", data[:8])

    assert len(data) == 8 + length
    assert zlib.crc32(data[8:]) == checksum
    assert data[8:].startswith(b'{"id":"')


def test_segments_roll_and_are_read_in_order(folder):
    """No file grows without end."""
    records = [record(str(number)) for number in range(20)]
    write(folder, *[[each] for each in records], segment_bytes=1500)

    assert 5 < len(list(folder.iterdir()))
    assert all(1500 >= path.stat().st_size for path in folder.iterdir())
    assert records == [logged.record for logged in read_log(folder)]


def test_reading_goes_on_from_a_position(folder):
    """Whoever follows the log takes each record once, also from writers beside each other."""
    one, other = PredictionLog(folder), PredictionLog(folder)
    one.append([record("a")])
    other.append([record("b")])
    position = {logged.segment: logged.end for logged in read_log(folder)}
    one.append([record("c")])
    other.append([record("d")])
    one.close()
    other.close()

    assert ["c", "d"] == [logged.record.key for logged in read_log(folder, position)]


def test_a_record_is_found_at_its_place(folder):
    """The index of the labels keeps places, not records."""
    records = [record(str(number)) for number in range(3)]
    write(folder, records)
    places = [(logged.segment, logged.offset) for logged in read_log(folder)]

    assert records == [one for place in places for one in read_records(folder, *place)]
    assert () == read_records(folder, places[0][0], 10**6)
    assert () == read_records(folder, "gone.log", 0)


def request(n: int = 3, *, keys: bool = True, body: bytes | None = None) -> Predictions:
    """Return the records of a request of `n` rows."""
    rows = [{"Age": number, "text": 'é"\\'} for number in range(n)]
    return Predictions(
        many=n,
        first=first_of_many(uuid7()),
        line="claims",
        generation=1,
        model=1,
        digest="sha256:00",
        at="2026-01-31T12:00:00.000000Z",
        keys=[f"k{number}" if number else None for number in range(n)] if keys else None,
        request=msgspec.Raw(body or json.dumps({"explain": False, "rows": rows}, indent=1).encode()),
        answers=[{**ANSWER, "threshold": number / 8} for number in range(n)],
        threshold=0.4,
    )


def test_the_records_of_a_request_share_a_frame(folder):
    """What is the same in all of them is written once, and the request as it came."""
    asked = [request(), request(20, keys=False)]
    with closing(PredictionLog(folder)) as log:
        log.append([record("a")])
        for one in asked:
            log.append_request(one)
        log.append([record("b")])
    found = list(read_log(folder))
    rows = [one.record for one in found[1:-1]]

    assert [1, 3, 20, 1] == [count_of(frame.payload) for frame in read_frames(folder)]
    assert [ids_from(one.first, one.many) for one in asked] == [
        [row.id for row in rows[:3]],
        [row.id for row in rows[3:]],
    ]
    assert [None, "k1", "k2", *[None] * 20] == [row.key for row in rows]
    assert [0, 1, 2, *range(20)] == [row.row["Age"] for row in rows]
    assert ['é"\\'] == list({row.row["text"] for row in rows})
    assert [answer for one in asked for answer in one.answers] == [row.answer for row in rows]
    assert {("claims", 1, "champion", 0.4, "buffered", "endpoint")} == {
        (row.line, row.model, row.arm, row.threshold, row.durability, row.via) for row in rows
    }
    at = RecordsAt(folder)
    assert rows == [at.read(one.segment, one.offset, one.record.id) for one in found[1:-1]]
    assert None is at.read(found[1].segment, found[1].offset, found[0].record.id)


@pytest.mark.parametrize(
    "wrong",
    [
        {"many": 4},
        {"answers": [ANSWER]},
        {"keys": ["a"]},
        {"request": msgspec.Raw(b'{"rows":[{}]}')},
        {"request": msgspec.Raw(b'{"rows":3}')},
    ],
)
def test_a_frame_whose_parts_do_not_fit_is_damage(folder, wrong):
    """A row must never get the answer of another."""
    with closing(PredictionLog(folder)) as log:
        log.append_request(msgspec.structs.replace(request(), **wrong))
        log.append([record("a")])
    damages: list[Damage] = []

    assert ["a"] == [one.record.key for one in read_log(folder, damaged=damages.append)]
    assert [0] == [damage.offset for damage in damages]


def test_a_request_whose_keys_do_not_fit_is_told_and_not_indexed(tmp_path):
    """A label by key must never find the row of another."""
    labels = Feedback(tmp_path / "labels.sqlite", tmp_path / "log")
    with closing(PredictionLog(tmp_path / "log")) as log:
        log.append_request(msgspec.structs.replace(request(), keys=["a"]))
        log.append_request(request())

    assert ["3 records of 1 keys"] == [each.why for each in labels.catch_up()]
    assert 3 == labels.counts().predictions


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(1, 400))
def test_a_torn_end_is_reported_and_all_before_it_is_read(tmp_path_factory, cut):
    """A writer that was killed leaves half a frame; the whole ones are good."""
    folder = tmp_path_factory.mktemp("log")
    records = [record("a"), record("b")]
    write(folder, records)
    path = next(folder.iterdir())
    ends = [logged.end for logged in read_log(folder)]
    size = ends[-1] - min(cut, ends[-1] - ends[0] - 1)
    os.truncate(path, size)
    damages: list[Damage] = []

    assert records[:1] == [logged.record for logged in read_log(folder, damaged=damages.append)]
    assert [Damage(path.name, ends[0], "torn")] == damages


def test_half_a_frame_of_a_segment_that_is_being_written_is_no_damage(tmp_path):
    """It is not whole yet; once its writer is gone it is."""
    labels = Feedback(tmp_path / "labels.sqlite", tmp_path / "log")
    log = PredictionLog(tmp_path / "log")
    log.append([record("a")])
    path = next((tmp_path / "log").iterdir())
    with path.open("ab") as file:
        file.write(b"\x40\x00\x00\x00half a frame")

    assert [] == labels.catch_up()
    log.close()
    assert ["torn"] == [each.why for each in labels.catch_up()]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_costs_its_record_and_is_not_taken_for_a_torn_end(tmp_path_factory, data):
    """Law: what is read was written, bit for bit; a torn end was never answered, so it is no damage."""
    folder = tmp_path_factory.mktemp("log")
    records = [record(str(number)) for number in range(3)]
    write(folder, records)
    path = next(folder.iterdir())
    content = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    damages: list[Damage] = []
    found = [logged.record for logged in read_log(folder, damaged=damages.append)]

    assert [] == [damage for damage in damages if damage.why == "torn"]
    assert 1 == len(damages)
    assert len(found) == len(records) - 1
    assert all(each in records for each in found)


def test_a_tail_of_zeros_is_torn(folder):
    """Some file systems leave that where the power went."""
    write(folder, [record()])
    path = next(folder.iterdir())
    with path.open("ab") as file:
        file.write(bytes(64))
    damages: list[Damage] = []

    assert 1 == len(list(read_log(folder, damaged=damages.append)))
    assert ["torn"] == [damage.why for damage in damages]


def test_a_hole_in_the_middle_is_not_torn(folder):
    """What follows it was answered."""
    write(folder, [record("a"), record("b"), record("c")])
    path = next(folder.iterdir())
    ends = [logged.end for logged in read_log(folder)]
    content = path.read_bytes()
    path.write_bytes(content[: ends[0]] + bytes(ends[1] - ends[0]) + content[ends[1] :])
    damages: list[Damage] = []

    assert 1 == len(list(read_log(folder, damaged=damages.append)))
    assert ["the length is wrong"] == [damage.why for damage in damages]


def test_what_is_written_is_forced_to_the_disk_soon(folder):
    """Power loss costs a moment of the log at most, and the lag can be watched."""
    log = PredictionLog(folder, sync_every_s=0.01)
    log.append([record()])
    waiting = log.unsynced_bytes
    log.close()

    assert waiting == log.written_bytes
    assert 0 == log.unsynced_bytes
    assert None is log.trouble


def refuse_once(monkeypatch) -> list[int]:
    """Let the next fsync fail, and return the descriptors of all that follow, that one first."""
    real, calls = os.fsync, []

    def refuse_first(descriptor):
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_first)
    return calls


def test_what_the_disk_refused_stays_in_sight_and_nothing_more_goes_there(folder, monkeypatch):
    """After a failure the next try may succeed without the bytes: the log must not say that all is well."""
    log = PredictionLog(folder, sync_every_s=3600)
    log.append([record("lost")])
    refuse_once(monkeypatch)
    log.sync()
    lost = log.written_bytes
    log.append([record("kept")])
    log.close()

    assert "not forced to the disk: Input/output error" == log.trouble
    assert lost == log.unsynced_bytes
    assert 2 == len(list(folder.iterdir()))


def test_what_came_while_the_disk_refused_is_in_doubt_with_it(folder, monkeypatch):
    """It stands behind the hole, where no reader gets to, though the next fsync of the same file succeeds."""
    log, real = PredictionLog(folder, sync_every_s=3600), os.fsync
    log.append([record("lost")])

    def refuse(_descriptor):
        log.append([record("behind it")])
        monkeypatch.setattr(os, "fsync", real)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", refuse)
    log.sync()
    doubted = log.written_bytes
    log.append([record("kept")], durable=True)
    log.close()

    assert doubted == log.unsynced_bytes
    assert 2 == len(list(folder.iterdir()))


def test_a_log_says_when_it_fails_and_when_it_works_again(folder, monkeypatch):
    """That the refused file is forced once more, and succeeds, is no news."""
    told: list[tuple[str, str | None]] = []
    log = PredictionLog(folder, sync_every_s=3600, say=lambda *said: told.append(said))
    log.append([record("lost")])
    refuse_once(monkeypatch)
    log.sync()
    log.sync()

    assert [("force", "Input/output error")] == told
    log.append([record("kept")])
    log.close()
    assert [("force", "Input/output error"), ("force", None)] == told


def test_who_asks_for_a_durable_record_waits_until_it_is_on_the_disk(folder, monkeypatch):
    """Where an answer must survive power loss, a moment is too much."""
    log, real, forced = PredictionLog(folder, sync_every_s=3600), os.fsync, []
    log.append([record("buffered")])
    monkeypatch.setattr(os, "fsync", lambda descriptor: forced.append(descriptor) or real(descriptor))
    waiting = log.unsynced_bytes
    log.append([record("durable")], durable=True)

    assert (1, 0) == (len(forced), log.unsynced_bytes)
    assert waiting > 0
    log.close()


def test_one_wait_for_the_disk_serves_all_who_wait(folder, monkeypatch):
    """Else the disk would be the bound of all who ask: about a hundred answers a second."""
    log, real, forced = PredictionLog(folder, sync_every_s=3600), os.fsync, []
    begun, go = threading.Event(), threading.Event()

    def slow(descriptor):
        forced.append(descriptor)
        begun.set()
        assert go.wait(10)
        real(descriptor)

    log.append([record("opens the segment")])
    monkeypatch.setattr(os, "fsync", slow)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(log.append, [record("first")], durable=True)
        assert begun.wait(10)
        others = [pool.submit(log.append, [record(str(number))], durable=True) for number in range(8)]
        deadline = time.monotonic() + 10
        while len(list(read_log(folder))) < 10 and time.monotonic() < deadline:
            time.sleep(0.001)
        go.set()
        for each in (first, *others):
            each.result(timeout=10)

    assert 2 == len(forced)
    assert 0 == log.unsynced_bytes
    log.close()


def test_a_durable_record_that_the_disk_refused_is_not_acknowledged(folder, monkeypatch):
    """And the next ones, in a new segment, are."""
    log = PredictionLog(folder, sync_every_s=3600)
    log.append([record("opens the segment")])
    refuse_once(monkeypatch)
    with pytest.raises(Transient, match="not forced to the disk: Input/output error"):
        log.append([record("lost")], durable=True)
    log.append([record("kept")], durable=True)
    log.close()

    assert ["opens the segment", "lost", "kept"] == [one.record.key for one in read_log(folder)]


def test_one_segment_that_cannot_be_forced_does_not_hold_up_the_others(folder, monkeypatch):
    """A closed segment is never tried again, so each has to have its turn."""
    log = PredictionLog(folder, segment_bytes=1, sync_every_s=3600)
    log.append([record("a")])
    log.append([record("b")])
    forced = refuse_once(monkeypatch)
    log.sync()

    assert 2 == len(forced)
    log.close()


FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_log import record
from linewright.errors import Transient
from linewright.serve.log.writer import PredictionLog
log = PredictionLog(Path(sys.argv[1]))
log.append([record("kept")])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for key in "ab":
    try:
        log.append([record("refused " + key, text="x" * 3000)])
    except Transient as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.append([record("again")])
log.close()
"""


def test_a_full_disk_refuses_whole_records_and_damages_none(folder):
    """An answer that cannot be recorded must not be given, and what was recorded stays readable."""
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(folder), here], capture_output=True, text=True, check=True
    )
    damages: list[Damage] = []
    keys = [logged.record.key for logged in read_log(folder, damaged=damages.append)]

    assert 2 == done.stdout.count("the prediction log cannot be written")
    assert ["kept", "again"] == keys
    assert [] == damages


def test_a_log_that_cannot_be_opened_says_so(tmp_path):
    """The message reaches the client as 503, so it says what to do."""
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    log = PredictionLog(blocked / "claims")
    with pytest.raises(Transient, match="cannot be written"):
        log.append([record()])
    log.close()


def test_reading_a_log_needs_little_memory(folder):
    """A log is larger than memory: one record is held at a time."""
    write(folder, *[[record(str(number), text="x" * 20_000)] for number in range(1500)])
    code = (
        "import resource, sys; from pathlib import Path; from linewright.serve.log.segments import read_log\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "count = sum(1 for _ in read_log(Path(sys.argv[1])))\n"
        "print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    count, grown_kib = map(int, done.stdout.split())

    assert 1500 == count
    assert 2_000 > grown_kib


def test_what_no_reader_takes_as_one_frame_is_written_row_by_row(folder, monkeypatch):
    """A longer frame would be answered for and never read again."""
    monkeypatch.setattr("linewright.serve.log.writer.MAX_PAYLOAD", 1_000)
    many = request(30)
    with closing(PredictionLog(folder)) as log:
        log.append_request(many)
    read = list(read_log(folder))

    assert ids_from(many.first, 30) == [one.record.id for one in read]
    assert 30 == len({one.offset for one in read})
