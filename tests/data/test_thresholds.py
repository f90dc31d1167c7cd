"""Columns that part a label of numbers at a threshold: asked about, beside honest neighbours of the same form."""

import numpy as np
import polars as pl
import pytest

from linewright.data.quality.report import Verdict, look

ROWS = 4_000


def asked(**columns: object) -> dict[str, Verdict]:
    """Look at columns beside a speed and an honest number, and return what is asked of a threshold."""
    rng = np.random.default_rng(21)
    speed = rng.integers(2, 33, ROWS) * 5
    made = {name: make(rng, speed) if callable(make) else make for name, make in columns.items()}
    frame = pl.DataFrame({"size": rng.normal(size=ROWS).round(3), **made, "speed": speed}, strict=False)
    profile = look(frame.with_columns(pl.all().cast(pl.String)), label="speed")
    return {
        one.name: verdict
        for one in profile.columns
        for verdict in one.verdicts
        if "just where 'speed'" in verdict.evidence
    }


def wide(rng: np.random.Generator, speed: np.ndarray) -> np.ndarray:
    """Say how wide a storm of hurricane force is: of other storms it is not measured."""
    return np.where(speed >= 65, rng.integers(1, 60, ROWS) * 5, 0)


def test_a_number_that_is_above_0_just_above_a_threshold_is_asked_about():
    """The width of the field of hurricane winds is 0 below 64 knots: it is written once the wind is known."""
    rows = [None if i % 2 else 1 for i in range(ROWS)]
    found = asked(
        wide=wide, seldom=lambda rng, y: [w and int(at) for w, at in zip(rows, wide(rng, y), strict=True)]
    )

    assert {"wide", "seldom"} == found.keys()
    assert ("strong", False) == (found["wide"].verdict, found["wide"].exclude)
    assert found["wide"].evidence.endswith(
        "of 4,000 rows, just where 'speed' is at least 65 (100 % of the rows agree): was it known before the label was?"
    )
    assert " of 2,000 rows that have a value, just where" in found["seldom"].evidence


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (lambda _, y: np.where(y < 40, "slow", np.where(y < 150, "middle", "fast")), "it is 'slow' in"),
        (
            lambda rng, y: [
                None if at < 40 else int(age) for at, age in zip(y, rng.integers(1, 99, ROWS), strict=True)
            ],
            "it has a value in",
        ),
        (lambda _, y: y >= 65, "it is True in"),
    ],
    ids=["levels", "gaps", "flag"],
)
def test_levels_gaps_and_flags_part_a_label_too(column: object, says: str):
    """What is filled in, or called so, from a threshold on is of the same kind."""
    found = asked(column=column)

    assert found["column"].evidence.startswith(says)


@pytest.mark.parametrize(
    "column",
    [
        lambda rng, y: np.where(rng.random(ROWS) < 0.03, wide(rng, 165 - y), wide(rng, y)),
        lambda rng, y: y * 2 + rng.normal(size=ROWS) * 40,
        lambda rng, y: np.where(y == 160, rng.integers(1, 9, ROWS), 0),
        lambda rng, y: np.where((y == 160) & (rng.random(ROWS) < 0.1), 1, 0),
        lambda rng, _: rng.integers(0, 2, ROWS),
    ],
    ids=["not without error", "correlated", "one label", "few rows", "chance"],
)
def test_what_parts_a_label_ill_or_at_its_end_is_not_asked_about(column: object):
    """A number that goes with the label is what a model is for, and a part of one label alone is another thing."""
    assert {} == asked(column=column)
