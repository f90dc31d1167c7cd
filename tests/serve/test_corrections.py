"""Corrections: a label replaces the one that it names, and what was known before is known for ever."""

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

import linewright
from linewright.errors import Conflict, RequestError
from linewright.features.facts import Encoder
from linewright.model.facts import Calibration, Package
from linewright.serve.facts import Prediction, Predictions
from linewright.serve.feedback.parse import check_labels
from linewright.serve.feedback.store import Feedback
from linewright.serve.log.ids import first_of_many, ids_from
from linewright.serve.log.segments import RecordsAt
from linewright.serve.log.writer import PredictionLog
from linewright.store.clock import uuid7

pytestmark = pytest.mark.usefixtures("small_parts")

PACKAGE = Package(
    task="multiclass",
    label="y",
    classes=("No", "Yes", "Maybe"),
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
REGRESSION = msgspec.structs.replace(PACKAGE, task="regression", classes=())
BY = ["id", "key"]
LONG_AGO, FOR_EVER = "0", "9"


def instant(minute: int) -> str:
    return f"2026-01-01T00:{minute:02}:00.000000Z"


class Line:
    """A line with a log and labels, and a clock that a test sets.

    Parameters
    ----------
    together
        Whether what is predicted at once is logged as one request of many rows.
    """

    def __init__(self, state, *, together=False):
        self.state, self.minute, self.together = state, 0, together
        self.log = PredictionLog(state / "log" / "claims")
        self.labels = self.opened()

    def opened(self):
        return Feedback.of(self.state, "claims", now=lambda: instant(self.minute))

    def predict(self, *keys):
        made = [
            Prediction(
                id=uuid7(),
                line="claims",
                generation=1,
                model=1,
                digest="sha256:00",
                at=instant(self.minute),
                key=key,
                row={"k": key},
                answer={"prediction": "No"},
                threshold=0.5,
            )
            for key in keys
        ]
        if not self.together:
            self.log.append(made)
            return [each.id for each in made]
        shared = {
            name: getattr(made[0], name)
            for name in ("line", "generation", "model", "digest", "at", "threshold")
        }
        request = Predictions(
            many=len(made),
            first=first_of_many(made[0].id),
            keys=keys,
            request=msgspec.Raw(msgspec.json.encode({"rows": [one.row for one in made]})),
            answers=[one.answer for one in made],
            **shared,
        )
        self.log.append_request(request)
        return ids_from(request.first, len(made))

    def accept(self, *labels, package=PACKAGE, **options):
        """Hand in labels a minute later."""
        self.minute += 1
        return self.labels.accept(list(labels), package=package, **options)

    def known(self, known_by=FOR_EVER):
        """Return the labels by prediction, as they were known at an instant."""
        return {
            record.id: truth.label
            for record, truth in self.labels.labelled(known_by=known_by)
            if truth is not None
        }


@pytest.fixture(params=[False, True], ids=["one by one", "together"])
def line(tmp_path, request):
    made = Line(tmp_path / ".linewright", together=request.param)
    yield made
    made.log.close()


def named(by, identity, key="a"):
    return {"id": identity} if by == "id" else {"key": key}


@pytest.mark.parametrize("by", BY)
def test_a_label_replaces_the_one_that_it_names(line, by):
    """Once, however often it is sent; as a label of its own it is there already then."""
    (first,) = line.predict("a")
    who = named(by, first)
    correction = {**who, "label": "Yes", "corrects": "No", "at": "2026-01-02"}
    answers = [
        line.accept({**who, "label": "No"}, idempotency_key="first"),
        line.accept(correction),
        line.accept(correction),
        line.accept({**who, "label": "Yes"}),
    ]
    _, truth = line.labels.find(first)

    none = {"accepted": 0, "repeated": 0, "unknown": 0}
    assert [
        none | {"accepted": 1},
        none | {"corrected": 1},
        none | {"repeated": 1},
        none | {"repeated": 1},
    ] == answers
    assert ("Yes", "2026-01-02T00:00:00.000000Z", instant(2), by) == (
        truth.label,
        truth.at,
        truth.received,
        truth.by,
    )
    assert answers[0] == line.accept({**who, "label": "No"}, idempotency_key="first")
    assert (1, 1) == line.labels.counts()
    assert 1 == line.labels.count_since(instant(1))
    assert (1, [], 2) == line.labels.audit()


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize(
    ("sent", "known", "says"),
    [
        ({"label": "Maybe", "corrects": "No"}, "Yes", "not the one that this corrects"),
        ({"label": "No"}, "Yes", "another label is already kept"),
        ({"label": "No", "corrects": "Maybe"}, "Yes", "not the one that this corrects"),
    ],
)
def test_what_corrects_another_label_than_the_one_that_is_kept_is_refused(line, by, sent, known, says):
    """With all of its batch; the one that is kept is named."""
    first, other = line.predict("a", "b")
    who = named(by, first)
    line.accept({**who, "label": "No"})
    line.accept({**who, "label": "Yes", "corrects": "No"})
    with pytest.raises(Conflict, match=says) as refused:
        line.accept({"id": other, "label": "Yes"}, {**who, **sent})

    assert ("labels[1]", known) == (refused.value.where, refused.value.allowed)
    assert {first: "Yes"} == line.known()


@pytest.mark.parametrize("by", BY)
def test_where_no_label_is_kept_there_is_nothing_to_correct(line, by):
    """A correction that came before its label would make the label a conflict."""
    (first,) = line.predict("a")
    with pytest.raises(Conflict, match="no label is kept"):
        line.accept({**named(by, first), "label": "Yes", "corrects": "No"})

    assert 1 == line.accept({**named(by, uuid7(), "z"), "label": "Yes", "corrects": "No"})["unknown"]
    assert {} == line.known()


def test_a_correction_by_key_corrects_the_labels_by_id_of_its_predictions(line):
    """They are about the same thing; those that had none get it, and later ones too."""
    first, second, third = line.predict("a", "a", "b")
    line.accept({"id": first, "label": "No"}, {"id": third, "label": "No"})
    correction = {"key": "a", "label": "Yes", "corrects": "No"}
    answers = [line.accept(correction), line.accept(correction)]
    (later,) = line.predict("a")

    assert [1, 0] == [answer.get("corrected", 0) for answer in answers]
    assert {first: "Yes", second: "Yes", third: "No", later: "Yes"} == line.known()
    assert {first: "No", third: "No"} == line.known(instant(1))
    assert [] == line.labels.audit().wrong


def test_a_correction_by_key_needs_each_label_by_id_to_be_the_one_that_it_names(line):
    first, second = line.predict("a", "a")
    line.accept({"id": first, "label": "No"}, {"id": second, "label": "Maybe"})
    with pytest.raises(Conflict, match=second):
        line.accept({"key": "a", "label": "Yes", "corrects": "No"})

    assert {first: "No", second: "Maybe"} == line.known()


@pytest.mark.parametrize("also_by_id", [True, False])
def test_a_label_that_came_by_key_is_corrected_by_key(line, also_by_id):
    """What is said of one prediction is not said of all that have its key; who says it gets to know how."""
    first, second = line.predict("a", "a")
    if also_by_id:
        line.accept({"id": first, "label": "No"})
    line.accept({"key": "a", "label": "No"})
    with pytest.raises(Conflict, match="each prediction of key a") as refused:
        line.accept({"id": first, "label": "Yes", "corrects": "No"})
    line.accept({"key": "a", "label": "Yes", "corrects": "No"})

    assert "by `key`" in refused.value.hint
    assert {first: "Yes", second: "Yes"} == line.known()
    assert 1 == line.accept({"id": first, "label": "Yes", "corrects": "No"})["repeated"]


@pytest.mark.parametrize(
    ("package", "label", "where"),
    [
        (PACKAGE, {"label": "Yes", "corrects": "Yes"}, "labels[0].corrects"),
        (PACKAGE, {"label": "Yes", "corrects": "Nope"}, "labels[0].corrects"),
        (PACKAGE, {"label": "Yes", "corrects": 7}, "labels[0].corrects"),
        (PACKAGE, {"corrects": "Yes"}, "labels[0].label"),
        (REGRESSION, {"label": 1, "corrects": 1.0}, "labels[0].corrects"),
        (REGRESSION, {"label": 1, "corrects": "0"}, "labels[0].corrects"),
    ],
)
def test_a_correction_of_a_wrong_form_is_refused_with_its_place(line, package, label, where):
    line.predict("a")
    with pytest.raises(RequestError) as refused:
        line.accept({"key": "a", **label}, package=package)

    assert where == refused.value.where


def test_numbers_are_corrected_as_numbers(line):
    """However they are spelled."""
    (first,) = line.predict("a")
    line.accept({"key": "a", "label": 10}, package=REGRESSION)

    assert 1 == line.accept({"key": "a", "label": 2.5, "corrects": 10.0}, package=REGRESSION)["corrected"]
    assert {first: 2.5} == line.known()


def test_a_batch_without_corrections_has_the_digest_that_it_always_had():
    """Else an idempotency key of before an upgrade would be a conflict after it."""
    (label,) = check_labels([{"key": "a", "label": "Yes", "corrects": None}], PACKAGE)

    assert b'{"number":0,"id":null,"key":"a","label":"Yes","at":null}' == msgspec.json.encode(label)


# Time


@pytest.mark.parametrize("by", BY)
def test_the_labels_that_were_replaced_are_told_in_their_order(line, by):
    """A label that is corrected twice was wrong twice, and each time somebody may have acted on it."""
    first, second = line.predict("a", "b")
    line.accept({**named(by, first), "label": "No"})
    line.accept({**named(by, first), "label": "Yes", "corrects": "No"})
    line.accept({**named(by, first), "label": "Maybe", "corrects": "Yes"})

    replaced = line.labels.replaced(first)
    assert [("No", instant(1), instant(2), by), ("Yes", instant(2), instant(3), by)] == [
        (one.label, one.received, one.replaced, one.by) for one in replaced
    ]
    assert () == line.labels.replaced(second) == line.labels.replaced("no id")


def test_a_label_that_came_by_id_and_by_key_was_replaced_once(line):
    """Both said the same of this prediction until one correction; told twice, it reads as two."""
    (first,) = line.predict("a")
    line.accept({"id": first, "label": "No"})
    line.accept({"key": "a", "label": "No"})
    line.accept({"key": "a", "label": "Yes", "corrects": "No"})

    assert [("No", instant(1), instant(3), "id")] == [
        (one.label, one.received, one.replaced, one.by) for one in line.labels.replaced(first)
    ]


@pytest.mark.parametrize("by", BY)
def test_what_was_known_at_an_instant_stays_so(line, by):
    """Windows that were closed and certificates that were given can be computed again."""
    ids = line.predict("a", "a") if by == "key" else line.predict("a", "b")

    def read():
        minutes = [instant(minute) for minute in range(line.minute + 1)]
        arrived = [
            [(record.id, truth.label) for record, truth in line.labels.arrived(*ends)]
            for ends in pairwise(minutes)
        ]
        positive = [
            [
                RecordsAt(line.state / "log" / "claims").read(one.segment, one.offset, one.id).id
                for one in line.labels.turned_out("Yes", since=LONG_AGO, known_by=minute)
            ]
            for minute in minutes
        ]
        return [line.known(minute) for minute in minutes], arrived, positive

    labels = [{**named(by, one), "label": "No"} for one in ids[: 1 if by == "key" else 2]]
    line.accept(*labels)
    before = read()
    line.accept(*[{**one, "label": "Yes", "corrects": "No"} for one in labels])
    between = read()
    line.accept(*[{**one, "label": "Maybe", "corrects": "Yes"} for one in labels])
    line.minute += 2
    known, arrived, positive = read()

    for earlier in (before, between):
        for seen, later in zip(earlier, (known, arrived, positive), strict=True):
            assert seen == later[: len(seen)]
    assert [{}, *(dict.fromkeys(ids, label) for label in ("No", "Yes", "Maybe", "Maybe", "Maybe"))] == known
    assert [[], *([(one, label) for one in ids] for label in ("No", "Yes", "Maybe")), []] == arrived
    assert [[], [], ids, [], [], []] == positive


def test_a_key_that_is_asked_again_arrives_with_the_label_that_stood_then(line):
    """An answer of a window whose label was there already is judged by what was known when the window ended."""
    line.predict("a")
    line.accept({"key": "a", "label": "No"})
    line.minute = 5
    (later,) = line.predict("a")
    line.minute = 8
    line.accept({"key": "a", "label": "Yes", "corrects": "No"})
    found = [
        [(r.id, t.label) for r, t in line.labels.arrived(instant(a), instant(b))]
        for a, b in pairwise((4, 6, 12))
    ]

    assert [(later, "No")] == found[0]
    assert {"Yes"} == {label for _, label in found[1]}
    assert 2 == len(found[1])


def test_a_clock_that_was_set_back_ends_no_label_before_it_began(line):
    line.predict("a")
    line.minute = 30
    line.accept({"key": "a", "label": "No"})
    line.minute = 10
    line.accept({"key": "a", "label": "Yes", "corrects": "No"})

    assert ["Yes"] == list(line.known(instant(31)).values())
    assert [] == line.labels.audit().wrong


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(BY),
        st.integers(0, 3),
        st.sampled_from(["Yes", "No"]),
        st.sampled_from([None, "Yes", "No"]),
    ),
    max_size=14,
)


@settings(max_examples=40, deadline=None)
@given(keys=st.lists(st.sampled_from("ab"), min_size=4, max_size=4), actions=ACTIONS, together=st.booleans())
def test_no_sequence_of_labels_and_corrections_changes_what_was_known(
    tmp_path_factory, keys, actions, together
):
    """Law: each instant keeps its truths, no key has two, and a correction changes what it names and nothing else."""
    line = Line(tmp_path_factory.mktemp("state") / ".linewright", together=together)
    ids = line.predict(*keys)
    seen: list[dict[str, str]] = [{}]
    for by, number, label, old in actions:
        who = {"id": ids[number]} if by == "id" else {"key": keys[number]}
        about = (
            {one for one, key in zip(ids, keys, strict=True) if key == keys[number]}
            if by == "key"
            else {ids[number]}
        )
        before = seen[-1]
        try:
            answer = line.accept({**who, "label": label, **({"corrects": old} if old else {})})
        except (Conflict, RequestError):
            answer = {}
        now = line.known()
        seen.append(now)
        if answer.get("corrected"):
            assert {old} == {before[one] for one in about if one in before}
            assert about | before.keys() == now.keys()
        if not answer.get("accepted") and not answer.get("corrected"):
            assert before == now
        assert not answer or {label} == {now[one] for one in about}
        assert {one: before[one] for one in before.keys() - about} == {
            one: now[one] for one in now.keys() - about
        }

    assert seen == [line.known(instant(minute)) for minute in range(line.minute + 1)]
    assert [] == line.labels.audit().wrong
    line.log.close()


# Several at once, and a kill


@pytest.mark.parametrize("by", BY)
def test_of_two_corrections_at_once_one_is_kept(line, by):
    """The other is told what is kept now."""
    ids = line.predict(*"abcdefgh")
    who = [named(by, one, key) for one, key in zip(ids, "abcdefgh", strict=True)]
    line.accept(*[{**one, "label": "No"} for one in who])

    def correct(label):
        labels, won, refused = line.opened(), set[int](), dict[int, str]()
        for number, one in enumerate(who):
            try:
                labels.accept([{**one, "label": label, "corrects": "No"}], package=PACKAGE)
                won.add(number)
            except Conflict as error:
                refused[number] = error.allowed
        return won, refused

    with ThreadPoolExecutor(2) as pool:
        (yes, not_yes), (maybe, not_maybe) = pool.map(correct, ("Yes", "Maybe"))

    assert (dict.fromkeys(yes, "Yes"), dict.fromkeys(maybe, "Maybe")) == (not_maybe, not_yes)
    assert set(range(8)) == yes | maybe
    assert {one: "Yes" if number in yes else "Maybe" for number, one in enumerate(ids)} == line.known()
    assert [] == line.labels.audit().wrong


KILLED = """
import os, signal, sys
from pathlib import Path
import msgspec
from linewright.model.facts import Package
from linewright.serve.feedback import store as feedback
package = msgspec.json.decode(sys.argv[3], type=Package)
labels = feedback.Feedback.of(Path(sys.argv[1]), "claims")
one, *others = [{**who, "label": "Yes", "corrects": "No"} for who in msgspec.json.decode(sys.argv[2])]
print(labels.accept([one], package=package)["corrected"], flush=True)
keep, seen = feedback.keep, []
def killed(*arguments):
    seen.append(keep(*arguments))
    if len(seen) == len(others):
        os.kill(os.getpid(), signal.SIGKILL)
feedback.keep = killed
labels.accept(others, package=package)
"""


@pytest.mark.parametrize("by", BY)
def test_a_kill_loses_no_acknowledged_correction_and_keeps_half_of_none(line, by):
    """What was acknowledged is kept, with what it replaced; of a batch that was not, nothing is."""
    ids = line.predict("a", "b", "c")
    who = [named(by, one, key) for one, key in zip(ids, "abc", strict=True)]
    line.accept(*[{**one, "label": "No"} for one in who])
    said = [msgspec.json.encode(each).decode() for each in (who, PACKAGE)]
    command = [sys.executable, "-c", KILLED, str(line.state), *said]
    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert (-signal.SIGKILL, "1\n") == (done.returncode, done.stdout), done.stderr
    assert dict(zip(ids, ("Yes", "No", "No"), strict=True)) == line.known()
    assert dict.fromkeys(ids, "No") == line.known(instant(1))
    assert (3, [], 4) == line.labels.audit()


# The file


def test_a_history_that_does_not_hang_together_is_found(line):
    """What was known could otherwise be told wrongly, and nobody would notice."""
    ids = line.predict("a", "b")
    line.accept({"id": ids[0], "label": "No"}, {"key": "b", "label": "No"})
    line.accept(*[{**who, "label": "Yes", "corrects": "No"} for who in ({"id": ids[0]}, {"key": "b"})])
    assert [] == line.labels.audit().wrong
    with closing(sqlite3.connect(line.state / "feedback" / "claims.sqlite")) as database, database:
        database.execute("UPDATE earlier_by_id SET replaced = ?", (instant(50),))
        database.execute("DELETE FROM by_key")
    *wrong, changed = line.labels.audit().wrong

    assert 2 == len(wrong)
    assert "key 'b'" in changed
    assert all("do not follow one another" in each for each in wrong)
    assert ids[0].replace("-", "") in wrong[0]
    assert "key 'b'" in wrong[1]


# From outside


def test_programs_correct_labels_through_the_endpoint(claims, start):
    """The client says how many, and a refusal names what is kept."""
    endpoint = start(claims.state)
    row = {"Age": 41, "PolicyNumber": 7}
    with linewright.Client("http://{}:{}".format(*endpoint.address)) as client:
        (one,) = client.predict("claims", [row]).predictions
        plain = client.feedback("claims", [{"id": one.id, "label": "No"}])
        fixed = client.feedback("claims", [{"id": one.id, "label": "Yes", "corrects": "No"}])
        with pytest.raises(Conflict, match="allowed: Yes"):
            client.feedback("claims", [{"id": one.id, "label": "No"}])
    status, _, refused = endpoint.ask(
        "POST", "/v1/lines/claims/feedback", {"labels": [{"key": 7, "label": "Yes", "corrects": "No"}]}
    )

    assert (1, 0, 0) == (plain.accepted, plain.corrected, fixed.accepted)
    assert 1 == fixed.corrected
    assert (409, "labels[0]", "Yes") == (status, refused["where"], refused["allowed"])
