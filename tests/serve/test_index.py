"""The index of the log says the same, however often it is caught up and whoever does it."""

import sqlite3
import time
from contextlib import closing

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from linewright.serve.facts import Prediction, Predictions
from linewright.serve.feedback.store import Feedback
from linewright.serve.log import index as index_module
from linewright.serve.log.ids import first_of_many, ids_from
from linewright.serve.log.segments import read_log
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


def assert_pages_hold_all(labels: Feedback, log) -> None:
    """Page by page the newest answers are all answers, each once; so are those about a key."""
    logged = sorted((one.record for one in read_log(log)), key=lambda one: one.id, reverse=True)
    for key in (None, "k", 'k"'):
        expected = [one.id for one in logged if key is None or one.key == key]
        seen: list[str] = []
        while page := labels.latest(3, before=seen[-1] if seen else None, key=key):
            seen += [record.id for record, _ in page]
        assert expected == seen
    frames = list(labels.answers())
    assert sorted((one for frame in frames for one in ids_from(frame.first, frame.many)), reverse=True) == [
        one.id for one in logged
    ]
    assert sorted(frames, key=lambda frame: frame.first, reverse=True) == frames


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 4)),
        st.tuples(st.just("another writes"), st.integers(1, 4)),
        st.tuples(st.just("a request"), st.integers(1, 9)),
        st.tuples(st.just("a request without keys"), st.integers(1, 9)),
        st.tuples(st.just("catch up"), st.just(0)),
    ),
    max_size=20,
)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS)
def test_an_index_that_grows_with_the_log_is_the_index_of_the_whole_log(tmp_path_factory, steps):
    """A label that comes early must find what one finds that comes late."""
    folder = tmp_path_factory.mktemp("index")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "CHUNK", 5)
        patch.setattr(index_module, "_AT_ONCE", 2)
        patch.setattr(index_module, "PART", 7)
        own = PredictionLog(folder / "log", segment_bytes=1_500)
        other = PredictionLog(folder / "log", segment_bytes=1_500)
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
                case _:
                    Feedback(folder / "labels.sqlite", folder / "log").catch_up()
        Feedback(folder / "read.sqlite", folder / "log").catch_up()
        assert index_of(folder / "labels.sqlite") == index_of(folder / "read.sqlite")
        assert_pages_hold_all(Feedback(folder / "labels.sqlite", folder / "log"), folder / "log")
        for log in (own, other):
            log.close()


KEYS = st.one_of(st.text(max_size=20), st.sampled_from(['"', ',"row":{', '\\",\\"row\\":', ',"request":[']))


@settings(deadline=None, max_examples=60)
@given(key=KEYS, others=st.lists(KEYS, min_size=1, max_size=5))
def test_a_key_may_be_any_text(tmp_path_factory, key, others):
    """The index reads a record up to its row, and a request up to its rows: no text is taken for the name of what follows."""
    folder = tmp_path_factory.mktemp("texts")
    one, many = prediction(key), request([key, *others])
    log = PredictionLog(folder / "log")
    log.append([one])
    log.append_request(many)
    log.close()

    labels = Feedback(folder / "labels.sqlite", folder / "log")

    assert [] == labels.catch_up()
    assert 2 + len(others) == labels.counts().predictions
    keys = dict.fromkeys([one.id], key) | dict(
        zip(ids_from(many.first, many.many), [key, *others], strict=True)
    )
    found = {record.id for record, _ in labels.latest(10, key=key)}
    assert {identity for identity, its in keys.items() if its == key} == found


def test_answers_are_found_by_when_they_were_given(tmp_path):
    """It takes some looks at the index, however many answers there are; ids need not hold the time of the answer."""
    log, labels = PredictionLog(tmp_path / "log"), Feedback(tmp_path / "labels.sqlite", tmp_path / "log")
    days = [f"2026-02-{day:02}" for day in range(1, 21)]
    for day in days:
        log.append([replace(prediction(), at=f"{day}T12:00:00.000000Z")])
        time.sleep(0.002)  # an id is of another millisecond
    log.close()
    for number, day in enumerate(days):
        first = labels.first_since(f"{day}T00:00:00.000000Z")
        assert days[:number] == [frame.at[:10] for frame in labels.answers(before=first)][::-1]
    assert labels.first_since("2026-03-01T00:00:00.000000Z") is None
    assert Feedback(tmp_path / "none.sqlite", tmp_path / "none").first_since("2026-03-01T00:00:00Z") is None
