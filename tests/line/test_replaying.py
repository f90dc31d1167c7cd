"""An answer is computed again by the model that gave it, and what differs is said."""

import math

import pytest

from linewright.errors import Corrupt
from linewright.line.replaying import Replayed, difference


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
        (
            {"prediction": 1.0, "interval": [0.5, 2.0, 0.9]},
            {"prediction": 1.0, "interval": [0.5, 2.25, 0.9]},
            0.25,
        ),
        ({"probabilities": {"no": 0.25, "yes": 0.75}}, {"probabilities": {"no": 0.5, "yes": 0.5}}, 0.25),
        ({"prediction": "no"}, {"prediction": "yes"}, math.inf),
        ({"prediction": "no"}, {"prediction": "no", "threshold": 0.5}, math.inf),
        ({"interval": [1, 2]}, {"interval": [1, 2, 3]}, math.inf),
        ({"threshold": None}, {"threshold": None}, 0),
        ({}, {}, 0),
    ],
)
def test_answers_are_as_far_apart_as_their_farthest_number(one: dict, other: dict, far: float):
    assert far == difference(one, other) == difference(other, one)


def test_another_answer_is_said_and_fails():
    """Else nobody would look: a script that replays a sample has only the exit code."""
    turned = replayed({"prediction": "no"}, {"prediction": "yes"})

    assert Corrupt.exit_code == turned.exit_code
    assert "prediction 01: ANOTHER ANSWER" in turned.to_text()
    assert "linewright verify" in turned.to_text()


def test_rounding_of_another_processor_is_no_other_answer():
    near = replayed({"prediction": 0.5}, {"prediction": 0.5 + 1e-9})

    assert 0 == near.exit_code
    assert "within rounding" in near.to_text()
