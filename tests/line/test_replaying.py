"""An answer is computed again by the model that gave it, and what differs is said."""

import csv
import math

import pytest

from linewright.capabilities.evidence.operations import replay, show
from linewright.capabilities.evidence.replay import Replayed, difference
from linewright.capabilities.predictions.operations import feedback, predict
from linewright.errors import Corrupt
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.runs.execute import execute_inline

EVEN = {"probabilities": {"no": 0.5, "yes": 0.5}}


def replayed(logged: dict, computed: dict) -> Replayed:
    return Replayed(
        id="01",
        model="claims@3",
        digest="sha256:00",
        at="2026-01-31T12:00:00.000000Z",
        via="endpoint",
        row={"a": 1},
        logged=logged,
        computed=computed,
        difference=difference(logged, computed),
        label=None,
    )


@pytest.mark.parametrize(
    ("one", "other", "far"),
    [
        ({"probabilities": {"no": 0.25, "yes": 0.75}}, {"probabilities": {"no": 0.5, "yes": 0.5}}, 0.25),
        ({"prediction": 4.0, "interval": [1, 7, 0.9]}, {"prediction": 3.0, "interval": [0, 6, 0.9]}, 0.25),
        (
            {"prediction": 4.0, "interval": [1, 7, 0.9]},
            {"prediction": 4.0, "interval": [0, 8, 0.9]},
            math.inf,
        ),
        ({"prediction": "no", **EVEN}, {"prediction": "yes", **EVEN}, math.inf),
        ({"prediction": "no", **EVEN}, {"prediction": "no", "threshold": 0.5, **EVEN}, math.inf),
        ({"prediction": "no", **EVEN}, {"prediction": "no", **EVEN}, 0),
    ],
)
def test_answers_are_as_far_apart_as_their_numbers(one: dict, other: dict, far: float):
    """In units of the answer for large numbers, else a price of 200,000 would differ by rounding alone."""
    assert far == difference(one, other)


def test_another_answer_is_said_and_fails():
    """Else nobody would look: a script that replays a sample has only the exit code."""
    turned = replayed({"prediction": "no", **EVEN}, {"prediction": "yes", **EVEN})

    assert Corrupt.exit_code == turned.exit_code
    assert "prediction 01: ANOTHER ANSWER" in result_text(turned)
    assert "linewright verify" in result_text(turned)


def test_rounding_of_another_processor_is_no_other_answer():
    near = replayed({"prediction": 200_000.0}, {"prediction": 200_000.015625})

    assert 0 == near.exit_code
    assert "within rounding" in result_text(near)


@pytest.fixture(scope="module")
def asked(tumours_once, tmp_path_factory):
    """Give a factory that has answered rows, and its answers with what each column contributed."""
    execute_inline(tumours_once, "tumours")
    out = tmp_path_factory.mktemp("answers") / "out.csv"
    predict(tumours_once, "tumours", tumours_once.root / "cancer.csv", out=out, explain=True)
    with out.open(newline="") as file:
        return tumours_once, list(csv.DictReader(file))


def test_a_logged_answer_is_explained_by_its_id(asked):
    """Somebody asks why weeks later, when nobody thought of asking with the row; the log has all that it takes."""
    factory, answers = asked
    plain, explained = (
        replay(factory, prediction=answers[7]["id"], explain=is_asked) for is_asked in (False, True)
    )

    assert plain.explained is None
    assert explained.explained is not None
    told = {name: value for name, value in explained.explained.items() if name != "contributions"}
    told |= {f"contributions_{name}": v for name, v in explained.explained["contributions"].items()}
    logged = {name: answers[7][name] for name in told}
    assert told.pop("score_unit") == logged.pop("score_unit") == "log-odds"
    assert told == pytest.approx({name: float(value) for name, value in logged.items()}, abs=1e-9)
    largest = max(explained.explained["contributions"].items(), key=lambda one: abs(one[1]))
    assert f"    {largest[0]}" in result_text(explained).splitlines()[8]
    assert result_text(plain) == "\n".join(result_text(explained).splitlines()[:7])


def test_what_was_held_to_be_true_before_a_correction_is_shown(asked, tmp_path):
    """Whoever decided by the wrong label asks when it was there, and the line keeps it for ever."""
    factory, answers = asked
    name = answers[3]["id"]
    for row in ("label\n{},malignant\n", "label,corrects\n{},benign,malignant\n"):
        (tmp_path / "labels.csv").write_text(f"id,{row.format(name)}")
        feedback(factory, "tumours", tmp_path / "labels.csv")
    body, played = show(factory, name).body, replay(factory, prediction=name)

    (before,) = body["label_before"]
    assert ("benign", "malignant") == (body["label"]["label"], before["label"])
    assert before["received"] < before["replaced"] == body["label"]["received"]
    assert before["received"] == played.label_before[0].received
    assert (
        f"benign (since {before['replaced']}); before that malignant, from {before['received']} to"
        in result_text(played)
    )
    assert "label_before" not in show(factory, answers[4]["id"]).body
