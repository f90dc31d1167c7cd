"""What a process has just written enters the index from memory, as it would from the log."""

import sqlite3
from contextlib import closing

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewright.serve.facts import Prediction, Predictions
from linewright.serve.feedback.store import Feedback
from linewright.serve.log import index as index_module
from linewright.serve.log import recent as fresh_module
from linewright.serve.log import writer as log_module
from linewright.serve.log.ids import first_of_many
from linewright.serve.log.recent import Fresh, Several
from linewright.serve.log.writer import PredictionLog
from linewright.store.clock import uuid7


def prediction(key: str | None = "k") -> Prediction:
    return Prediction(
        id=uuid7(),
        line="claims",
        generation=1,
        model=1,
        digest="sha256:00",
        at="2026-01-31T12:00:00.000000Z",
        key=key,
        row={"k": key},
        answer={"prediction": "No"},
        threshold=0.5,
    )


def request(keys: list[str | None], *, keyed: bool = True) -> Predictions:
    return Predictions(
        many=len(keys),
        first=first_of_many(uuid7()),
        line="claims",
        generation=1,
        model=1,
        digest="sha256:00",
        at="2026-01-31T12:00:00.000000Z",
        keys=keys if keyed else None,
        request=msgspec.Raw(msgspec.json.encode({"rows": [{"k": key} for key in keys]})),
        answers=[{"prediction": "No"}] * len(keys),
        threshold=0.5,
    )


def index_of(file) -> list[tuple[object, ...]]:
    """All that an index knows: the place of each prediction, by the names of segments."""
    with closing(sqlite3.connect(file)) as database:
        places = (
            "SELECT p.id, p.key, s.name, p.offset FROM predictions p JOIN segments s ON s.number = p.segment"
        )
        return [
            *database.execute(f"{places} ORDER BY 1"),
            *database.execute(
                "SELECT r.first, r.size, r.keys, s.name, r.offset FROM requests r JOIN segments s ON s.number = r.segment ORDER BY 1"
            ),
            *database.execute(
                "SELECT r.first, k.place, k.key FROM request_keys k JOIN requests r ON r.number = k.request ORDER BY 1, 2"
            ),
            *database.execute("SELECT name, position FROM segments ORDER BY 1"),
        ]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 4)),
        st.tuples(st.just("another writes"), st.integers(1, 4)),
        st.tuples(st.just("a request"), st.integers(1, 9)),
        st.tuples(st.just("a request without keys"), st.integers(1, 9)),
        st.tuples(st.just("catch up"), st.just(0)),
        st.tuples(st.just("another catches up"), st.just(0)),
    ),
    max_size=20,
)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS)
def test_an_index_from_memory_is_the_index_of_the_log(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("fresh")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fresh_module, "MOST", 8)
        patch.setattr(index_module, "CHUNK", 5)
        patch.setattr(index_module, "PART", 7)
        own = PredictionLog(folder / "log", segment_bytes=1_500, fresh=Fresh())
        other = PredictionLog(folder / "log", segment_bytes=1_500)
        quick = Feedback(folder / "labels.sqlite", folder / "log", fresh=own.fresh)
        slow = Feedback(folder / "labels.sqlite", folder / "log")
        for what, many in [*steps, ("catch up", 0)]:
            match what:
                case "write":
                    own.append([prediction() for _ in range(many)])
                case "another writes":
                    other.append([prediction(None) for _ in range(many)])
                case "a request":
                    own.append_request(request([*"kl\\\0é", None, "k", 'k"', "m"][:many]))
                case "a request without keys":
                    own.append_request(request([None] * many, keyed=False))
                case "catch up":
                    quick.catch_up()
                case _:
                    slow.catch_up()
        Feedback(folder / "read.sqlite", folder / "log").catch_up()
        assert index_of(folder / "labels.sqlite") == index_of(folder / "read.sqlite")
        for log in (own, other):
            log.close()


def test_what_was_just_written_is_not_read_again(tmp_path, monkeypatch):
    log = PredictionLog(tmp_path / "log", fresh=Fresh())
    feedback = Feedback(tmp_path / "labels.sqlite", tmp_path / "log", fresh=log.fresh)
    for _ in range(3):
        log.append([prediction(), prediction()])
    monkeypatch.setattr(index_module, "_INDEXED", None)  # what parses a record that was read
    feedback.catch_up()
    assert feedback.counts(caught_up=False).predictions == 6
    log.close()


def test_what_is_held_has_a_bound(monkeypatch):
    monkeypatch.setattr(fresh_module, "MOST", 10)
    fresh = Fresh()
    for at in range(100):
        fresh.add("one.log", 10 * at, ["a"], ["k"], [10])
    assert fresh.segments == ["one.log"]
    fresh.add("two.log", 0, ["a"], [Several(11, b"k" * 1_500)], [10])
    assert fresh.segments == ["two.log"]
    fresh.add("one.log", 990, ["a"], ["k"], [10])
    assert fresh.segments == ["one.log"]
    entries, end = fresh.take("one.log", 990, most=100)
    assert (entries.offsets, end) == ([990], 1000)


def test_a_position_within_a_record_takes_nothing_from_memory():
    fresh = Fresh()
    fresh.add("one.log", 0, ["a", "b"], ["k", Several(3, None)], [10, 10])
    assert fresh.take("one.log", 5, most=10) == (([], [], []), 5)


def test_a_refused_write_is_not_remembered(tmp_path, monkeypatch):
    log = PredictionLog(tmp_path / "log", fresh=Fresh())
    log.append([prediction()])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(log_module.os, "write", full)
        with pytest.raises(log_module.Transient):
            log.append([prediction()])
    log.append([prediction()])
    feedback = Feedback(tmp_path / "labels.sqlite", tmp_path / "log", fresh=log.fresh)
    feedback.catch_up()
    assert feedback.counts(caught_up=False).predictions == 2
    log.close()


def test_what_an_index_has_for_good_is_forgotten(tmp_path):
    """A line that nobody asks any more holds no memory."""
    log = PredictionLog(tmp_path / "log", fresh=Fresh())
    feedback = Feedback(tmp_path / "labels.sqlite", tmp_path / "log", fresh=log.fresh)
    log.append([prediction(), prediction()])
    assert 1 == len(log.fresh.segments)
    feedback.catch_up()
    assert [] == log.fresh.segments
    log.append([prediction()])
    feedback.catch_up()
    assert feedback.counts(caught_up=False).predictions == 3
    log.close()
