"""An answer is computed again by the model that gave it, and what differs is said."""

import math

import pytest

from linewright.errors import Corrupt
from linewright.line.replaying import Replayed, difference

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
    assert "prediction 01: ANOTHER ANSWER" in turned.to_text()
    assert "linewright verify" in turned.to_text()


def test_rounding_of_another_processor_is_no_other_answer():
    near = replayed({"prediction": 200_000.0}, {"prediction": 200_000.015625})

    assert 0 == near.exit_code
    assert "within rounding" in near.to_text()
