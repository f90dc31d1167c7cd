"""Labels: each counts once, none contradicts another, and none is lost."""

import math
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewright.errors import Conflict, Corrupt, RequestError, Transient
from linewright.features.facts import Encoder
from linewright.model.facts import Calibration, Package, RequestColumn
from linewright.serve.facts import Prediction, Predictions
from linewright.serve.feedback import store as feedback_module
from linewright.serve.feedback.parse import MAX_LABELS
from linewright.serve.feedback.store import Feedback
from linewright.serve.log import index as index_module
from linewright.serve.log.ids import first_of_many, ids_from
from linewright.serve.log.segments import RecordsAt
from linewright.serve.log.writer import PredictionLog
from linewright.store.clock import uuid7
from linewright.store.files import stamps

pytestmark = pytest.mark.usefixtures("small_parts")


def package_of(task="binary", classes=("No", "Yes")) -> Package:
    return Package(
        task=task,
        label="y",
        classes=classes,
        key="k",
        columns=(),
        encoder=Encoder(encodings=()),
        graph="",
        graph_bytes=0,
        calibration=Calibration(),
        threshold=None,
        half_width=None,
        golden="",
        trained="",
    )


PACKAGE = package_of()
REGRESSION = package_of("regression", ())


def predictions(*keys: str | None) -> list[Prediction]:
    return [
        Prediction(
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
        for key in keys
    ]


def request_of(made):
    """Return records as those of one request."""
    (first, *_) = made
    shared = {
        name: getattr(first, name) for name in ("line", "generation", "model", "digest", "at", "threshold")
    }
    return Predictions(
        many=len(made),
        first=first_of_many(first.id),
        keys=[one.key for one in made],
        request=msgspec.Raw(msgspec.json.encode({"rows": [one.row for one in made]})),
        answers=[one.answer for one in made],
        **shared,
    )


def counts(accepted=0, repeated=0, unknown=0):
    return {"accepted": accepted, "repeated": repeated, "unknown": unknown}


class Line:
    """A line with a log and labels.

    Parameters
    ----------
    together
        Whether what is predicted at once is logged as one request of many rows.
    """

    def __init__(self, state, *, together=False):
        self.state, self.together = state, together
        self.labels = Feedback.of(state, "claims")
        self.log = PredictionLog(state / "log" / "claims")

    def predict(self, *keys):
        made = predictions(*keys)
        if not self.together:
            self.log.append(made)
            return [each.id for each in made]
        request = request_of(made)
        self.log.append_request(request)
        return ids_from(request.first, len(keys))

    def accept(self, *labels, **options):
        return self.labels.accept(list(labels), **{"package": PACKAGE, **options})


@pytest.fixture(params=[False, True], ids=["one by one", "together"])
def line(tmp_path, request):
    made = Line(tmp_path / ".linewright", together=request.param)
    yield made
    made.log.close()


ONE_BY_ONE = pytest.mark.parametrize("line", [False], indirect=True, ids=["one by one"])
"""Of a test about single frames, or of a version that had no others."""


def test_what_stands_is_told_whether_or_not_the_index_has_all_of_it(line, monkeypatch):
    """`status` asks a thousand lines and reads each file once while it stays as it is; what came since must not be missed."""
    monkeypatch.setattr(stamps, "YOUNG_S", 0.0)
    told = [line.labels.standing()]
    is_made = (line.state / "feedback").exists()
    first, _ = line.predict("a", "b")
    told += [line.labels.standing(), line.labels.standing()]
    line.accept({"id": first, "label": "Yes"}, {"key": "b", "label": "No"})
    told += [line.labels.standing(), line.labels.standing()]
    line.predict("b")
    told += [line.labels.standing()]
    (segment,) = (line.state / "log" / "claims").glob("*.log")
    line.log.close()
    with segment.open("ab") as file:
        file.write(b"torn")
    torn = line.labels.standing()

    assert not is_made
    assert [(0, 0), (2, 0), (2, 0), (2, 2), (2, 2), (3, 3)] == [counted for _, counted in told]
    assert all(damage == [] for damage, _ in told)
    assert (line.labels.catch_up(), line.labels.counts()) == torn
    assert ["torn"] == [each.why for each in torn[0]]


def test_a_label_is_found_beside_its_prediction(line):
    """`show ID` says what was answered and what turned out to be true."""
    first, second, third = line.predict("a", "b", None)
    line.accept({"id": first, "label": "Yes", "at": "2026-02-01T01:00:00+01:00"}, {"key": "b", "label": "No"})
    record, truth = line.labels.find(first)
    _, by_key = line.labels.find(second)

    assert first == record.id
    assert ("Yes", "2026-02-01T00:00:00.000000Z", "id") == (truth.label, truth.at, truth.by)
    assert ("No", None, "key") == (by_key.label, by_key.at, by_key.by)
    assert None is line.labels.find(third)[1]
    assert None is line.labels.find(uuid7())
    assert None is line.labels.find("not an id")


def test_the_same_feedback_counts_once(line):
    """A client that is not sure sends again."""
    first, _ = line.predict("a", "b")
    batch = [{"id": first, "label": "Yes"}, {"key": "b", "label": "No"}, {"id": first, "label": "Yes"}]

    assert counts(accepted=2, repeated=1) == line.accept(*batch)
    assert counts(repeated=3) == line.accept(*batch)
    assert (2, 2) == line.labels.counts()


def test_unknown_ids_and_keys_are_counted_and_not_kept(line):
    """A label without a prediction teaches nothing; one that came too early can be sent again."""
    line.predict("a")
    early = line.accept(
        {"key": "b", "label": "Yes"}, {"id": uuid7(), "label": "Yes"}, {"id": "x", "label": "No"}
    )
    line.predict("b")

    assert [
        ("labels[0]", "no prediction has this key"),
        ("labels[1]", "no prediction has this id"),
        ("labels[2]", "this is not the form of a prediction's id"),
    ] == [(one["where"], one["why"]) for one in early.pop("unknown_first")]
    assert counts(unknown=3) == early
    assert counts(accepted=1) == line.accept({"key": "b", "label": "No"})


def test_a_label_by_key_is_refused_where_the_line_has_no_key(line):
    """Counted as unknown it would be lost without a word."""
    (first,) = line.predict(None)
    keyless = msgspec.structs.replace(PACKAGE, key=None)
    with pytest.raises(
        RequestError, match=r"labels\[1\].key: this line has no key column.*`id`.*`table.key`"
    ):
        line.accept({"id": first, "label": "Yes"}, {"key": "a", "label": "Yes"}, package=keyless)

    assert 0 == line.labels.counts().labelled


@pytest.mark.parametrize(
    ("kept", "sent", "names"),
    [
        ({"id": 0, "label": "Yes"}, {"id": 0, "label": "No"}, "id"),
        ({"key": "a", "label": "Yes"}, {"key": "a", "label": "No"}, "key a"),
        ({"id": 0, "label": "Yes"}, {"key": "a", "label": "No"}, "id"),
        ({"key": "a", "label": "Yes"}, {"id": 0, "label": "No"}, "id"),
    ],
)
def test_a_conflict_keeps_nothing_of_the_batch_and_names_the_prediction(line, kept, sent, names):
    """Two truths for one row mean that one of the senders is wrong, and only a person can say which."""
    ids = line.predict("a", "b")
    kept, sent = ({**each, "id": ids[0]} if "id" in each else each for each in (kept, sent))
    line.accept(kept)
    with pytest.raises(Conflict, match=ids[0] if names == "id" else names) as caught:
        line.accept({"key": "b", "label": "Yes"}, sent)

    assert "labels[1]" == caught.value.where
    assert None is line.labels.find(ids[1])[1]
    assert "Yes" == line.labels.find(ids[0])[1].label


def test_a_conflict_within_a_batch_keeps_nothing(line):
    """The same law, with nothing kept before."""
    (first,) = line.predict("a")
    with pytest.raises(Conflict, match=first):
        line.accept({"id": first, "label": "Yes"}, {"id": first, "label": "No"})

    assert 0 == line.labels.counts().labelled


def test_a_label_by_key_holds_for_every_prediction_of_that_key(line):
    """The truth of a row does not depend on how often it was asked about."""
    ids = line.predict("a", "a")

    assert counts(accepted=1) == line.accept({"id": ids[0], "label": "Yes"})
    assert counts(accepted=1) == line.accept({"key": "a", "label": "Yes"})
    later = line.predict("a")
    assert counts(repeated=1) == line.accept({"id": later[0], "label": "Yes"})
    assert (3, 3) == line.labels.counts()


def test_keys_that_came_as_numbers_and_as_texts_are_one(line):
    """A CSV file and a JSON row spell a number differently."""
    line.predict("12")

    assert counts(accepted=1) == line.accept({"key": 12, "label": "Yes"})
    assert counts(repeated=1) == line.accept({"key": " 12 ", "label": "Yes"})


def test_an_idempotency_key_repeats_the_answer_and_refuses_another_body(line):
    """A client that lost the answer gets it again, and a mistake in its keys is found."""
    first, second = line.predict("a", "b")
    batch = {"id": first, "label": "Yes"}
    answer = line.accept(batch, idempotency_key="k1")

    assert counts(accepted=1) == answer
    assert answer == line.accept(batch, idempotency_key="k1")
    assert counts(repeated=1) == line.accept(batch, idempotency_key="k2")
    with pytest.raises(Conflict, match="idempotency key"):
        line.accept({"id": second, "label": "Yes"}, idempotency_key="k1")
    assert None is line.labels.find(second)[1]
    with pytest.raises(RequestError, match="length"):
        line.accept(batch, idempotency_key="k" * 256)


@pytest.mark.parametrize(
    ("label", "where"),
    [
        (1, "labels[1]"),
        ({}, "labels[1]"),
        ({"label": "Yes"}, "labels[1]"),
        ({"id": "x", "key": "y", "label": "Yes"}, "labels[1]"),
        ({"id": "x", "label": "Yes", "extra": 1}, "labels[1]"),
        ({"id": 5, "label": "Yes"}, "labels[1].id"),
        ({"key": [], "label": "Yes"}, "labels[1].key"),
        ({"key": " ", "label": "Yes"}, "labels[1].key"),
        ({"id": "x"}, "labels[1].label"),
        ({"id": "x", "label": None}, "labels[1].label"),
        ({"id": "x", "label": "yes"}, "labels[1].label"),
        ({"id": "x", "label": 1}, "labels[1].label"),
        ({"id": "x", "label": "Yes", "at": "soon"}, "labels[1].at"),
        ({"id": "x", "label": "Yes", "at": 5}, "labels[1].at"),
    ],
)
def test_a_label_of_a_wrong_form_is_refused_with_its_place(line, label, where):
    """Nothing of the batch is kept, so that it can be sent again when it is right."""
    (first,) = line.predict("a")
    with pytest.raises(RequestError) as caught:
        line.accept({"id": first, "label": "Yes"}, label)

    assert where == caught.value.where
    assert 0 == line.labels.counts().labelled


@pytest.mark.parametrize(
    ("label", "hint"),
    [
        ({"respondent": "a", "label": "Yes"}, "use 'key', the value of 'respondent'"),
        ({"key": "a", "vote": "Yes"}, "use 'label', the value of 'vote'"),
        ({"key": "a", "label": "Yes", "x": 1}, 'send {"id" or "key": …, "label": …}'),
        ({"key": "a", "label": None}, "send the label when it is known; until then leave this entry out"),
    ],
)
def test_a_label_of_a_wrong_form_says_what_to_send(line, label, hint):
    """The words of the table are the first that a person tries."""
    package = msgspec.structs.replace(PACKAGE, key="respondent", label="vote")
    with pytest.raises(RequestError) as caught:
        line.labels.accept([label], package=package)

    assert hint == caught.value.hint


@pytest.mark.parametrize("labels", [None, {}, [], [{"key": "a", "label": "Yes"}] * (MAX_LABELS + 1)])
def test_what_is_not_a_list_of_labels_is_refused(line, labels):
    """Shapes are checked before values."""
    with pytest.raises(RequestError, match="labels"):
        line.labels.accept(labels, package=PACKAGE)


@pytest.mark.parametrize(
    ("classes", "label", "kept"),
    [
        (("0", "1"), 1, "1"),
        (("0", "1"), True, "1"),
        (("false", "true"), False, "false"),
        (("1.0", "2.0"), 1, "1.0"),
    ],
)
def test_a_class_may_come_as_the_json_value_that_it_spells(line, classes, label, kept):
    """A class 1 of a CSV file is the text "1"; a client has the number."""
    (first,) = line.predict("a")
    line.accept({"id": first, "label": label}, package=package_of(classes=classes))

    assert kept == line.labels.find(first)[1].label


@pytest.mark.parametrize("label", ["1.5", True, None, float("nan"), 2**70])
def test_a_label_of_a_regression_is_a_finite_number(line, label):
    """Anything else would poison every later metric."""
    (first,) = line.predict("a")
    with pytest.raises(RequestError, match="finite number"):
        line.accept({"id": first, "label": label}, package=REGRESSION)

    assert counts(accepted=1) == line.accept({"id": first, "label": 2}, package=REGRESSION)
    assert counts(repeated=1) == line.accept({"id": first, "label": 2.0}, package=REGRESSION)


@pytest.mark.parametrize("label", [2.5, 1e300, -1e19])
def test_a_label_of_whole_numbers_is_one(line, label):
    """It would be kept, and no training could learn it; where the type is not known, any number may be right."""
    first, second = line.predict("a", "b")
    whole, number = (
        msgspec.structs.replace(REGRESSION, columns=(RequestColumn(name="y", type=kind, role="carried"),))
        for kind in ("integer", "number")
    )
    with pytest.raises(RequestError) as refused:
        line.accept({"id": first, "label": 2}, {"id": second, "label": label}, package=whole)

    assert "labels[1].label" == refused.value.where
    assert label == refused.value.found
    assert "a whole number from -2^63 to 2^63 - 1" == refused.value.allowed
    assert "contract.columns.y: {type: number}" in refused.value.hint
    assert counts(accepted=1) == line.accept({"id": first, "label": 2.0}, package=whole)
    assert counts(accepted=1) == line.accept({"id": second, "label": label}, package=number)
    assert 1 == line.accept({"id": second, "label": 3, "corrects": label}, package=whole)["corrected"]
    assert 2.0 == line.labels.find(first)[1].label


def test_all_labelled_predictions_are_read_in_the_order_of_the_log(line):
    """Retraining reads rows with their truth, each once, while labels may go on arriving."""
    ids = line.predict("a", "b", "c", "b")
    line.accept({"key": "b", "label": "No"}, {"id": ids[0], "label": "Yes"})
    found = []
    for record, truth in line.labels.labelled(known_by="9999"):
        if truth is not None:
            found.append((record.id, truth.label))
        line.accept({"key": "c", "label": "Yes"})

    assert [(ids[0], "Yes"), (ids[1], "No"), (ids[3], "No")] == found


def test_a_label_that_was_there_arrives_with_the_later_answer(line):
    """A key that is asked about again would never be judged, and the same answer must not be judged twice."""
    early, late, later = predictions("a", "a", "a")
    at = ["2026-01-01T00:00:00.000000Z", "2026-01-03T00:00:00.000000Z", "2026-01-05T00:00:00.000000Z"]
    made = [msgspec.structs.replace(one, at=when) for one, when in zip((early, late, later), at, strict=True)]
    line.log.append(made)
    labels = Feedback.of(line.state, "claims", now=lambda: "2026-01-01T12:00:00.000000Z")
    labels.accept([{"key": "a", "label": "Yes"}], package=PACKAGE)
    days = [f"2026-01-{day:02}T00:00:00.000000Z" for day in range(1, 7)]
    found = [[record.id for record, _ in labels.arrived(a, b)] for a, b in pairwise(days)]

    assert [[early.id], [], [late.id], [], [later.id]] == found


def test_a_long_log_is_taken_in_by_pieces(line, monkeypatch):
    """Memory does not grow with the log, and no piece is lost or taken twice."""
    monkeypatch.setattr(index_module, "CHUNK", 7)
    ids = line.predict(*[str(number) for number in range(30)])

    assert counts(accepted=1) == line.accept({"id": ids[-1], "label": "Yes"})
    assert 30 == line.labels.counts().predictions


@ONE_BY_ONE
def test_damage_in_the_log_is_remembered_and_a_torn_end_that_was_completed_is_not(line):
    """What was passed over once is not read again; a writer that was seen in the middle of a record is no damage."""
    line.predict("a", "b")
    line.log.close()
    (path,) = (line.state / "log" / "claims").iterdir()
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content[:-5])

    assert ["the checksum is wrong", "torn"] == [each.why for each in line.labels.catch_up()]
    path.write_bytes(content)
    assert ["the checksum is wrong"] == [each.why for each in line.labels.catch_up()]
    assert ["the checksum is wrong"] == [each.why for each in line.labels.catch_up()]
    assert 1 == line.labels.counts().predictions
    path.unlink()
    assert [] == line.labels.catch_up()


def test_parts_of_the_index_grow_with_it(line, monkeypatch):
    """Looking up a key asks each part, so there may not be ever more of them."""
    monkeypatch.setattr(index_module, "PARTS", 4)
    for _ in range(200):
        line.predict("a")
        line.labels.catch_up()
    with closing(sqlite3.connect(line.state / "feedback" / "claims.sqlite")) as database:
        sizes = [size for (size,) in database.execute("SELECT size FROM parts ORDER BY number")]

    assert 200 == sum(sizes)
    assert 4 * (1 + math.log2(200)) > len(sizes)
    assert (200, 0) == line.labels.counts()


def test_predictions_that_turned_out_a_way_are_found_by_when_their_label_came(line):
    first, second, _ = line.predict("a", "b", "b")
    line.accept({"id": first, "label": "Yes"}, {"key": "b", "label": "Yes"})
    later = line.labels.turned_out("Yes", since="9999", known_by="9999")
    (record, *_) = [one for one, _ in line.labels.labelled(known_by="9999") if one.id == second]

    found = list(line.labels.turned_out("Yes", since="0", known_by="9999"))

    assert 3 == len(found) == len({one.id for one in found})
    log = RecordsAt(line.state / "log" / "claims")
    assert record.id in {one.id for one in found}
    assert [one.id for one in found] == [log.read(one.segment, one.offset, one.id).id for one in found]
    assert [] == list(later)
    assert [] == list(line.labels.turned_out("No", since="0", known_by="9999"))


def test_a_label_by_id_is_not_counted_again_by_its_key(line):
    (first,) = line.predict("a")
    line.accept({"id": first, "label": "Yes"})
    line.accept({"key": "a", "label": "Yes"})

    assert 1 == len(list(line.labels.turned_out("Yes", since="0", known_by="9999")))


def test_labels_from_many_threads_count_once(line):
    """Several endpoints and a person may hand in the same file at the same time."""
    ids = line.predict(*"abcdefgh")
    batch = [{"id": each, "label": "Yes"} for each in ids]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: line.accept(*batch), range(8)))

    assert len(ids) == sum(answer["accepted"] for answer in answers)
    assert 7 * len(ids) == sum(answer["repeated"] for answer in answers)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_feedback import PACKAGE
from linewright.serve.feedback.store import Feedback
labels = Feedback.of(Path(sys.argv[1]), "claims")
for identity in sys.argv[2].split(","):
    labels.accept([{"id": identity, "label": "Yes"}], package=PACKAGE)
    print(identity, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_acknowledged_label_survives_a_kill(line, request):
    """Acknowledged means kept."""
    ids = line.predict("a", "b", "c")
    here = str(request.path.parent)
    command = [sys.executable, "-c", KILLED, str(line.state), ",".join(ids), here]
    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert (-signal.SIGKILL, ids) == (done.returncode, done.stdout.split())
    assert 3 == line.labels.counts().labelled


def test_labels_are_forced_to_the_disk_with_their_folder(line):
    """An acknowledged label survives power loss; SQLite promises that for EXTRA only."""
    line.predict("a")
    line.accept({"key": "a", "label": "Yes"})
    with feedback_module._open(line.state / "feedback" / "claims.sqlite") as database:
        settings_found = [
            database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")
        ]
    database.close()

    assert [3, "delete"] == settings_found


def test_a_file_that_another_process_holds_is_said_to_be_busy(line, monkeypatch):
    """Trying again later helps, and the error's class says so."""
    line.predict("a")
    line.labels.catch_up()
    monkeypatch.setattr(feedback_module, "BUSY_S", 0.05)
    holder = sqlite3.connect(line.state / "feedback" / "claims.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(Transient, match="locked"):
        line.accept({"key": "a", "label": "Yes"})
    holder.close()

    assert counts(accepted=1) == line.accept({"key": "a", "label": "Yes"})


def test_a_file_that_is_no_database_is_corrupt(line):
    """It must be restored; trying again does not help."""
    line.labels.catch_up()
    (line.state / "feedback" / "claims.sqlite").write_bytes(b"nonsense" * 1000)
    with pytest.raises(Corrupt, match="file of labels is damaged"):
        line.labels.counts()


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["id", "key"]), st.integers(0, 3), st.sampled_from(["Yes", "No"])), max_size=12
)


@settings(max_examples=25, deadline=None)
@given(keys=st.lists(st.sampled_from("ab"), min_size=4, max_size=4), actions=ACTIONS, together=st.booleans())
def test_no_sequence_of_labels_gives_a_prediction_two_truths(tmp_path_factory, keys, actions, together):
    """Law: a plain model of the rules, kept in a dictionary, accepts and refuses the same."""
    line = Line(tmp_path_factory.mktemp("state") / ".linewright", together=together)
    ids = line.predict(*keys)
    by_id: dict[int, str] = {}
    by_key: dict[str, str] = {}
    for kind, number, label in actions:
        key = keys[number]
        if kind == "id":
            before = {by_id[number]} if number in by_id else {by_key[key]} if key in by_key else set()
        else:
            others = {by_id[i] for i in range(4) if keys[i] == key and i in by_id}
            before = {by_key[key]} if key in by_key else others
        sent = {"id": ids[number]} if kind == "id" else {"key": key}
        try:
            line.accept({**sent, "label": label})
        except Conflict:
            assert before - {label}
            continue
        assert before <= {label}
        if kind == "key":
            by_key.setdefault(key, label)
        elif not before:
            by_id[number] = label
    line.log.close()

    for number, identity in enumerate(ids):
        truth = line.labels.find(identity)[1]
        assert by_id.get(number, by_key.get(keys[number])) == (truth and truth.label)
    assert msgspec.json.encode(line.labels.counts())
