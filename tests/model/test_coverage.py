"""Intervals of answers are counted on rows that they were not made from, and so is on which side answers are wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewright.model.evaluate.coverage_text import (
    beyond_in_words,
    bias_in_words,
    coverage_in_words,
    is_surely_less,
    is_surely_uneven,
)
from linewright.model.evaluate.interval_coverage import (
    measure_beyond,
    measure_bias,
    measure_coverage,
    measure_parts,
)

errors = st.lists(st.integers(-50, 50).map(lambda tenths: tenths / 8), min_size=2, max_size=60).map(np.array)


def both(error, half_width=2.0, *, at=0.0, **changes):
    asked = {"weight": np.ones(len(error)), "clusters": None, "is_in_time": False, "seed": 3} | changes
    scores = np.full(len(error), at)
    return (
        measure_coverage(np.abs(error) <= half_width, **asked),
        measure_bias(error + at, scores, **asked),
    )


def drifting(seed, n=1200, hangs=0.98):
    """Return errors of mean 0 whose signs stay for long while their sizes are those of chance."""
    chance = np.random.default_rng(seed)
    level = np.zeros(n)
    for i in range(1, n):
        level[i] = hangs * level[i - 1] + chance.normal()
    return level


@given(errors, st.integers(0, 60).map(lambda eighths: eighths / 8), st.integers(0, 2**31))
def test_they_are_the_weighted_share_and_mean(error, half_width, seed):
    """With their intervals around them, whatever the rows."""
    weight = np.random.default_rng(seed).integers(1, 4, len(error)).astype(float)
    coverage, bias = both(error, half_width, weight=weight)

    assert np.average(np.abs(error) <= half_width, weights=weight) == pytest.approx(coverage.value)
    assert np.average(error, weights=weight) == pytest.approx(bias.value, abs=1e-7)
    assert 0 <= coverage.low <= coverage.value <= coverage.high <= 1
    assert bias.low <= bias.value <= bias.high
    assert coverage.n == bias.n == len(error)


@given(errors, st.integers(-80, 80).map(lambda eighths: eighths / 8))
def test_truth_that_moves_moves_the_bias_and_its_interval_alike(error, step):
    """A constant that is added to every truth is nothing that rows are unsure of."""
    (_, before), (_, after) = both(error), both(error + step)

    for name in ("low", "value", "high"):
        assert getattr(before, name) + step == pytest.approx(getattr(after, name), abs=1e-6)


@given(errors, st.integers(-80, 80))
def test_where_the_answers_lie_counts_for_nothing(error, at):
    """Only how far they are from the truth does."""
    assert both(error)[1] == both(error, at=float(at))[1]


@given(errors)
def test_a_wider_interval_never_holds_less(error):
    """Else a person could not read it as a width."""
    held = [both(error, half_width)[0].value for half_width in (0.5, 1.0, 4.0, 7.0)]

    assert sorted(held) == held
    assert 1.0 == held[-1]


def test_what_no_row_showed_may_still_be():
    """That all of 50 rows lie inside does not mean that all rows do."""
    few, many = both(np.zeros(50))[0], both(np.zeros(5000))[0]

    assert 1.0 == few.value == few.high
    assert 0.85 < few.low < many.low < 1.0
    assert 0.0 == sides(np.zeros(50)).below.value < sides(np.zeros(50)).below.high < 0.15


def test_rows_that_err_alike_for_long_are_few_witnesses():
    """A month that is answered too low looks like a proof of bias where rows pass for independent."""
    apart, in_time = both(drifting(1))[1], both(drifting(1), is_in_time=True)[1]

    assert in_time.high - in_time.low > 3 * (apart.high - apart.low)


@pytest.mark.slow
def test_a_bias_that_is_not_there_is_seldom_told():
    """Of 60 series in time of mean 0, few may be called surely biased, where rows drawn one by one accuse most."""
    told = [bool(bias_in_words(both(drifting(seed, hangs=0.9), is_in_time=True)[1])) for seed in range(60)]
    by_row = [bool(bias_in_words(both(drifting(seed, hangs=0.9))[1])) for seed in range(60)]

    assert sum(told) <= 12
    assert sum(by_row) >= 30


def test_groups_are_drawn_whole():
    """People of one hotel err together."""
    level = np.repeat(np.random.default_rng(4).normal(size=20), 50)
    groups = np.repeat(np.arange(20), 50)
    apart, whole = both(level, 1.0), both(level, 1.0, clusters=groups)

    assert all(two.high - two.low > 3 * (one.high - one.low) for one, two in zip(apart, whole, strict=True))


def test_rows_of_one_group_tell_nothing_of_others():
    """Then nothing is sure, and nobody is warned."""
    coverage, bias = both(np.full(90, 3.0), clusters=np.zeros(90, dtype=int))

    assert (0.0, 1.0) == (coverage.low, coverage.high)
    assert (None, None) == (bias.low, bias.high)
    assert not is_surely_less(coverage)
    assert "" == bias_in_words(bias)


@pytest.mark.parametrize(
    ("outside", "says"),
    [
        (
            260,
            "74 % lie inside (71.1 to 76.5 %): fewer than the 90 % that are meant, so the interval may be too narrow (one check",
        ),
        (100, "90 % lie inside"),
        (100, "as meant"),
        (20, "more than the 90 % that are meant, so the interval is wider than it need be"),
    ],
)
def test_a_share_is_held_against_what_is_meant(outside, says):
    """A person need not know what 90 % of an interval means to see that it does not hold."""
    coverage = both(np.where(np.arange(1000) < outside, 9.0, 1.0))[0]

    assert says in coverage_in_words(coverage)
    assert is_surely_less(coverage) == (outside == 260)


@pytest.mark.parametrize(
    ("sign", "says"), [(1, "too low: the truth is higher"), (-1, "too high: the truth is lower")]
)
def test_a_bias_is_told_with_its_side(sign, says):
    """Too low and too high ask for different things."""
    bias = both(sign * (10 + np.random.default_rng(5).normal(size=300)))[1]

    assert says in bias_in_words(bias)
    assert "by 9.96 on average (9.85 to 10.1)" in bias_in_words(bias)


def sides(error, half_width=2.0, **changes):
    asked = {"weight": np.ones(len(error)), "clusters": None, "is_in_time": False, "seed": 3} | changes
    return measure_beyond(error < -half_width, error > half_width, **asked)


@given(errors, st.integers(0, 2**31))
def test_the_sides_are_what_the_interval_does_not_hold(error, seed):
    """Below, inside and above are all rows, and errors of the other sign lie on the other side."""
    weight = np.random.default_rng(seed).integers(1, 4, len(error)).astype(float)
    inside, found, turned = (
        both(error, weight=weight)[0],
        sides(error, weight=weight),
        sides(-error, weight=weight),
    )

    assert 1.0 == pytest.approx(found.below.value + inside.value + found.above.value)
    assert found.tilt.value == pytest.approx(found.above.value - found.below.value, abs=1e-8)
    assert (found.below.value, found.above.value) == (turned.above.value, turned.below.value)
    assert -1 <= found.tilt.low <= found.tilt.value <= found.tilt.high <= 1


def test_an_end_that_many_are_beyond_is_told():
    """Who takes the upper end as a 95 % bound is wrong where 9 % lie above it, though 90 % lie inside."""
    row = np.arange(2000)
    skewed = np.where(row % 100 == 3, -9.0, np.where(row % 11 == 0, 9.0, 0.0))
    told = beyond_in_words(sides(skewed))

    assert told.startswith(
        "1 % lie below it and 9 % above, surely not alike: take the upper end as one that 91 % stay under"
    )
    assert "1 % lie below" in beyond_in_words(
        sides(np.where(row % 100 == 3, -9.0, np.where(row % 100 == 4, 9.0, 0.0)))
    )
    assert not is_surely_uneven(sides(skewed[:12]))


def test_sides_that_one_group_makes_are_not_sure():
    """Rows of one group lie on one side together, and are one witness; so are neighbours in time."""
    row = np.arange(2000)
    error = np.where(row < 150, 9.0, 0.0)

    assert is_surely_uneven(sides(error))
    assert not is_surely_uneven(sides(error, clusters=row // 200))
    apart, in_time = sides(error).tilt, sides(error, is_in_time=True).tilt
    assert in_time.high - in_time.low > 3 * (apart.high - apart.low)
    assert "alike as far as these rows can tell" in beyond_in_words(sides(error, clusters=row // 200))
    assert not is_surely_uneven(sides(error, clusters=np.zeros(2000, dtype=int)))


@pytest.mark.slow
def test_sides_that_are_alike_are_seldom_told():
    """Of 200 sets of errors with alike sides about 1 in 20 may be called uneven."""
    told = [
        is_surely_uneven(sides(np.random.default_rng(seed).normal(size=400), 1.64)) for seed in range(200)
    ]

    assert sum(told) <= 18


def test_rows_of_weight_0_are_in_no_fifth():
    """A fifth of nothing but such rows has no share."""
    scores = np.linspace(0.0, 100.0, 500)
    known = {"clusters": None, "is_in_time": False, "seed": 1}
    weight = np.where(scores < 25, 0.0, 1.0)
    found = measure_parts(scores < 90, scores, weight=weight, **known)

    assert 5 == len(found)
    assert found[0].low > 25
    assert () == measure_parts(scores < 90, scores, weight=np.zeros(500), **known)
    assert measure_coverage(scores < 90, weight=np.zeros(500), **known) is None
    assert measure_beyond(scores < 9, scores > 90, weight=np.zeros(500), **known) is None
