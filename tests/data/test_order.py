"""Rows in the order of a number: found where a number may count time, and left alone where it counts something else."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from linewright.data.profile.column import see_all
from linewright.data.quality.row_order import find_order

ROWS = 800


def order_of(**columns: Any):
    """Find the order of a table with an honest number and a label."""
    rng = np.random.default_rng(4)
    made = {name: make(rng) if callable(make) else make for name, make in columns.items()}
    base = {"size": rng.normal(size=ROWS).round(3), "y": rng.choice(["no", "yes"], ROWS)}
    frame = pl.DataFrame({**base, **made}, strict=False).with_columns(pl.all().cast(pl.String))
    return find_order(see_all(frame), "y", [])


def days(rng: np.random.Generator) -> np.ndarray:
    return np.sort(rng.integers(4, 108, ROWS))


def late(rng: np.random.Generator) -> np.ndarray:
    """Give days of which a few came in late."""
    made = days(rng)
    made[rng.choice(ROWS, 5, replace=False)] = 4
    return made


def gaps(rng: np.random.Generator) -> list[int | None]:
    return [None if n % 20 == 3 else int(day) for n, day in enumerate(days(rng))]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (days, "the rows lie in its order: from 4 to 107 it never falls"),
        (lambda rng: days(rng)[::-1], "the rows lie in its order: from 107 to 4 it never rises"),
        (late, "from 4 to 107 it hardly ever falls (0.6 % of the rows are out of place)"),
        (gaps, "from 4 to 107 it never falls"),
    ],
    ids=["rising", "falling", "late", "gaps"],
)
def test_a_number_in_whose_order_the_rows_lie_is_found(make: Callable[..., Any], says: str):
    """Where its name says that it counts time, that is a doubt; of others in public tables, hardly one does."""
    for name, is_time in (("pan_day", True), ("x", False)):
        found = order_of(**{name: make})

        assert found is not None
        assert (name, is_time) == (found.column, found.is_time)
        assert says in found.evidence


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: rng.permutation(days(rng)),
        lambda rng: np.sort(rng.integers(0, 15, ROWS)),
        lambda _: [n % 50 for n in range(ROWS)],
        lambda rng: np.sort(rng.choice(["a", "b", "c"], ROWS)),
        lambda rng: [None if n % 3 else int(day) for n, day in enumerate(days(rng))],
        lambda rng: np.where(np.arange(ROWS) < ROWS // 2, 0, days(rng)),
    ],
    ids=["shuffled", "few values", "calendar", "words", "mostly empty", "mostly 0"],
)
def test_no_other_column_is_an_order(make: Callable[..., Any]):
    """A question that comes with every table is not read."""
    assert order_of(day=make) is None


def test_a_number_of_the_rows_is_an_order_only_where_there_is_no_other():
    """It may be the order of the file and no more."""
    number = np.arange(1, ROWS + 1)
    found = [order_of(number=number, **more) for more in ({}, {"x": days}, {"x": days, "week": days})]

    assert ["number", "x", "week"] == [one.column for one in found if one]
    assert [False, False, True] == [one.is_time for one in found if one]


def test_a_number_that_is_no_time_by_its_name_is_none_beside_one_that_is():
    """Counties lie in the order of their states, each with its years: nobody tests on the last states."""
    year = np.tile(np.arange(1990, 2000), ROWS // 10)

    assert order_of(fips=days, year=year) is None
    assert [
        one.column for one in (order_of(fips=days, grade=year), order_of(week=days, year=year)) if one
    ] == [
        "fips",
        "week",
    ]


def test_what_rows_belong_to_is_no_order():
    """Panels are sorted by who was asked, and each one's rows are of all times."""
    who = np.repeat(np.arange(ROWS // 4), 4)

    assert order_of(who=who, income=lambda rng: rng.integers(2, 80, ROWS // 4)[who]) is None
    assert order_of(patient=days) is None


def test_numbers_that_begin_with_what_the_rows_are_of_are_no_order_of_time():
    """The first digit of a patient's number was the clinic, so that the latest fifth was one clinic."""
    clinic = np.repeat(["MN", "KY", "MS", "NY"], ROWS // 4)

    def number(rng: np.random.Generator) -> np.ndarray:
        return np.sort(rng.choice(90_000, ROWS, replace=False)) * 3

    assert order_of(pid=number, clinic=clinic) is None
    assert order_of(pid=number, clinic=np.repeat([1, 2, 3, 4], ROWS // 4)) is None
    for other in (np.tile(["MN", "KY", "MS", "NY"], ROWS // 4), ["MN"] * (ROWS - 1) + ["NY"]):
        found = order_of(pid=number, clinic=other)
        assert (found.column if found else None) == "pid"
    day = order_of(day=days, quarter=clinic, clinic=clinic)
    assert (day.column if day else None) == "day"


def test_rows_that_are_sorted_by_the_label_lie_in_no_other_order():
    """That is a finding of its own, and whatever goes with the label is sorted too."""
    size = np.sort(np.random.default_rng(1).normal(size=ROWS)).round(4)
    frame = pl.DataFrame({"size": size, "price": (size * 3).round(3)}).with_columns(pl.all().cast(pl.String))

    assert find_order(see_all(frame), "price", []) is None


def test_a_label_that_moves_over_the_order_is_told():
    """Then a test part among the training rows shows nothing of the rows to come."""
    still, moved = np.arange(ROWS) % 4 < 1, (np.arange(ROWS) % 4 < 1) | (np.arange(ROWS) >= 720)
    told = [order_of(day=days, y=np.where(one, "yes", "no")) for one in (still, moved)]

    assert None not in told
    says = [one.evidence.partition("; ")[2] for one in told if one]
    assert ["", "'y' is 'yes' in 25.0 % of the first four fifths of them and in 62.5 % of the last"] == says

    numbers = order_of(day=days, y=np.arange(ROWS) % 97 + np.where(np.arange(ROWS) > 600, 30, 0))
    assert numbers is not None
    assert "the mean of 'y' is " in numbers.evidence
