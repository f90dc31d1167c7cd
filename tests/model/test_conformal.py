"""Intervals of numbers are as wide as the answers near to them ask for, and hold as much as they are meant to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewright.model.facts import LEVEL, Band
from linewright.model.tasks.prediction_interval import BIN_ROWS, ends, fit_band, half_width

residuals_of_few = st.lists(st.floats(0, 100), min_size=9, max_size=60)


def growing(n: int, seed: int):
    """Return answers whose errors grow with them, and the truth."""
    chance = np.random.default_rng(seed)
    answers = chance.gamma(4.0, 5.0, n)
    return answers, answers + chance.normal(size=n) * answers / 10


@given(residuals_of_few)
def test_the_half_width_is_the_conformal_quantile(residuals):
    """Of equal weights, the ceil(0.9 (n + 1))-th smallest residual."""
    n = len(residuals)

    assert sorted(residuals)[-(-9 * (n + 1) // 10) - 1] == half_width(np.array(residuals), np.ones(n))


@given(residuals_of_few)
def test_few_rows_have_one_width_for_all_answers(residuals):
    """That of split conformal prediction."""
    truth = np.array(residuals)
    band = fit_band(np.zeros(len(truth)), truth, np.ones(len(truth)))

    assert 1 == len(band.at)
    assert half_width(truth, np.ones(len(truth))) == pytest.approx(band.half_widths[0], rel=1e-9)


@pytest.mark.parametrize("n", [300, 1_000, 5_000])
def test_small_and_large_answers_are_held_alike(n):
    """One width for all would hold all small answers, and too few large ones."""
    held = np.zeros((40, 2))
    apart = np.zeros((40, 2))
    for seed in range(40):
        answers, truth = growing(n, seed)
        band = fit_band(answers, truth, np.ones(n))
        fresh, true = growing(4_000, 1_000 + seed)
        low, high = ends(band, fresh)
        part_of = [fresh < np.quantile(fresh, 0.2), fresh > np.quantile(fresh, 0.8)]
        held[seed] = [((low <= true) & (true <= high))[rows].mean() for rows in part_of]
        width = half_width(np.abs(truth - answers), np.ones(n))
        apart[seed] = [(np.abs(true - fresh) <= width)[rows].mean() for rows in part_of]

    print(n, held.mean(axis=0), apart.mean(axis=0))
    assert (np.abs(held.mean(axis=0) - LEVEL) < 0.04).all()
    assert apart.mean(axis=0)[0] > 0.99
    assert apart.mean(axis=0)[1] < 0.75


def test_the_largest_of_a_long_tail_are_held_too():
    """Of counties and their murders the largest tenth of the answers went from 56 to 1,750, all with one width: it held 23 % of the largest."""
    chance = np.random.default_rng(3)
    answers, fresh = (chance.lognormal(0.0, 1.5, n) for n in (20_000, 40_000))
    truth, true = (some * (1 + chance.normal(size=len(some)) / 5) for some in (answers, fresh))
    low, high = ends(fit_band(answers, truth, np.ones(len(answers))), fresh)
    largest = fresh > np.quantile(fresh, 0.99)
    held = ((low <= true) & (true <= high))[largest].mean()

    print(held)
    assert held > 0.8


@pytest.mark.parametrize("n", [60, 200, 1_000])
def test_as_a_whole_they_hold_nine_of_ten(n):
    """On average over training tables, whatever the number of bins."""
    held: list[float] = []
    for seed in range(100):
        answers, truth = growing(n, seed)
        low, high = ends(fit_band(answers, truth, np.ones(n)), answers := growing(2_000, 500 + seed)[0])
        true = growing(2_000, 500 + seed)[1]
        held.append(float(((low <= true) & (true <= high)).mean()))

    assert abs(np.mean(held) - LEVEL) < 0.01


@given(
    st.lists(st.tuples(st.integers(-20, 20), st.floats(-50, 50)), min_size=2, max_size=300),
    st.integers(0, 2**31),
)
def test_any_rows_give_a_band_that_holds_them_and_is_ascending(rows, seed):
    """Equal answers are in one bin; a row of weight 0 counts for nothing; at least nine of ten of the others lie inside."""
    answers, truth = np.array(rows, dtype=float).T
    weight = np.random.default_rng(seed).integers(0, 2, len(rows)).astype(float)
    weight[0] = 1.0
    band = fit_band(answers, truth, weight)
    low, high = ends(band, answers)
    # A residual divided and multiplied by its width may differ in its last bit.
    spare = 1e-9 * (1 + np.abs(truth - answers))

    assert all(a < b for a, b in zip(band.at, band.at[1:], strict=False))
    assert len(band.at) == len(band.half_widths) <= max(1, weight.sum() // BIN_ROWS)
    assert ((low <= answers) & (answers <= high)).all()
    assert weight @ ((low - spare <= truth) & (truth <= high + spare)) >= LEVEL * weight.sum() - 1e-9
    counted = truth[weight > 0]
    assert band.least in ({0.0, counted.min()} if counted.min() >= 0 else {None, counted.min()})
    assert band.most in {None, counted.max()}
    assert band == fit_band(answers[weight > 0], truth[weight > 0], weight[weight > 0])


def test_answers_that_were_all_right_have_no_width():
    """There is no residual to learn one from."""
    answers = np.arange(200.0)
    low, high = ends(fit_band(answers, answers, np.ones(200)), answers)

    assert low.tolist() == answers.tolist() == high.tolist()


def test_a_count_is_not_said_to_be_below_nothing():
    """Where no label was below 0, no interval is; an answer that is below 0 itself keeps its place in its interval."""
    band = Band(at=(0.0,), half_widths=(3.0,), least=0.0)
    low, high = ends(band, np.array([-2.0, -0.0, 1.0, 8.0]))

    assert [-2.0, 0.0, 0.0, 5.0] == low.tolist()
    assert [1.0, 3.0, 4.0, 11.0] == high.tolist()


def test_no_interval_goes_beyond_an_end_at_which_labels_pile_up():
    """Of a scale from 1 to 100 many have the 100, and nobody has 104; the largest of some counts is only the largest so far."""
    chance = np.random.default_rng(3)
    score = np.clip(chance.normal(90.0, 15.0, 2_000).round(), 1.0, 100.0)
    low, high = ends(
        band := fit_band(score + chance.normal(0.0, 5.0, 2_000), score, np.ones(2_000)),
        np.array([60.0, 98.0, 103.0]),
    )
    counts = fit_band(np.full(2_000, 3.0), chance.poisson(3.0, 2_000).astype(float), np.ones(2_000))

    assert (100.0, 0.0) == (band.most, band.least)
    assert (high <= [100.0, 100.0, 103.0]).all()
    assert (low < high).all()
    assert high[0] < 100.0
    assert (None, 0.0) == (counts.most, counts.least)
    assert (1.0, None) == (fit_band(101.0 - score, 101.0 - score, np.ones(2_000)).least, counts.most)


def test_an_answer_has_the_same_interval_alone_and_among_others():
    """To the bit."""
    band = fit_band(*growing(2_000, 1), np.ones(2_000))
    answers = growing(500, 2)[0]
    together = np.stack(ends(band, answers))

    assert all(
        np.stack(ends(band, answers[row : row + 1])).tobytes() == together[:, row : row + 1].tobytes()
        for row in range(500)
    )
