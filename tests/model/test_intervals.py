"""The bootstrap: it covers what it claims to cover, whole groups move together, and equal seeds are equal draws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.signal import lfilter

from linewright.model.metrics.bootstrap import Spread, bootstrap, class_units, units_of
from linewright.model.metrics.definitions import metric
from linewright.model.metrics.time_blocks import block_length, blocks_in_time

REPEATED = 200


def mean_of(values):
    return lambda weights: weights @ values / weights.sum(axis=1)


def spread_of(statistic, n, *, seed=1, clusters=None, units=None, draws=250, weight=None):
    weight = np.ones(n) if weight is None else weight
    made = bootstrap([statistic], weight=weight, clusters=clusters, seed=seed, draws=draws)
    return Spread(value=float(made.values[0]), drawn=made.drawn[0], units=units or n)


def two_classes(chance, n, share):
    """Scores of two normal classes, calibrated; returns truth and probabilities."""
    truth = (chance.random(n) < share).astype(np.int64)
    x = chance.normal(size=n) + 1.5 * truth
    odds = 1.5 * x - 1.125 + np.log(share / (1 - share))
    positive = 1 / (1 + np.exp(-odds))
    return truth, np.column_stack([1 - positive, positive])


def true_auc(_):
    return stats.norm.cdf(1.5 / np.sqrt(2))


def true_average_precision(share):
    """Average precision of all rows there could be: precision integrated over recall."""

    def step(x):
        hits, false = share * stats.norm.sf(x - 1.5), (1 - share) * stats.norm.sf(x)
        return stats.norm.pdf(x - 1.5) * hits / (hits + false)

    return integrate.quad(step, -8, 8)[0]


def true_log_loss(share):
    def step(x):
        odds = np.exp(1.5 * x - 1.125) * share / (1 - share)
        right = share * stats.norm.pdf(x - 1.5) * np.log1p(1 / odds)
        return right + (1 - share) * stats.norm.pdf(x) * np.log1p(odds)

    return integrate.quad(step, -8, 8)[0]


@pytest.mark.parametrize(
    ("name", "share", "true"),
    [
        ("roc_auc", 0.2, true_auc),
        ("log_loss", 0.06, true_log_loss),
        ("average_precision", 0.2, true_average_precision),
    ],
)
def test_intervals_of_probabilities_cover_the_truth_as_often_as_they_say(name, share, true):
    """An interval that is too narrow promotes by luck. Class shares vary between test parts, and count."""
    chance = np.random.default_rng(3)
    covered, value = 0, true(share)
    for seed in range(REPEATED):
        truth, scores = two_classes(chance, 300, share)
        spread = spread_of(
            metric(name, "binary").prepare(truth, scores), 300, seed=seed, units=int(truth.sum())
        )
        low, high = spread.interval()
        covered += low <= value <= high

    assert 0.90 <= covered / REPEATED <= 0.99


def test_intervals_of_errors_cover_the_truth_as_often_as_they_say():
    """The same for numbers."""
    chance = np.random.default_rng(4)
    covered = 0
    for seed in range(REPEATED):
        errors = chance.normal(scale=2.0, size=300)
        low, high = spread_of(
            metric("rmse", "regression").prepare(errors, np.zeros(300)), 300, seed=seed
        ).interval()
        covered += low <= 2.0 <= high

    assert 0.90 <= covered / REPEATED <= 0.99


def test_drawing_whole_groups_covers_what_drawing_rows_does_not():
    """Rows of one machine are alike: as if they were independent, intervals are far too narrow."""
    chance = np.random.default_rng(5)
    groups = np.repeat(np.arange(30), 20)
    by_group = by_row = 0
    for seed in range(REPEATED):
        values = chance.normal(size=30)[groups] + chance.normal(size=600)
        low, high = spread_of(mean_of(values), 600, seed=seed, clusters=groups, units=30).interval()
        by_group += low <= 0 <= high
        low, high = spread_of(mean_of(values), 600, seed=seed).interval()
        by_row += low <= 0 <= high

    assert by_group / REPEATED >= 0.90
    assert by_row / REPEATED < 0.75


def test_rows_of_one_group_are_drawn_together():
    """The names of groups do not matter, nor their order."""
    groups = np.array(["b", "a", "b", "c", "a", "b"])
    seen = []
    bootstrap(
        [lambda weights: seen.append(weights) or weights[:, 0]],
        weight=np.ones(6),
        clusters=groups,
        seed=1,
        draws=50,
    )
    drawn = seen[1]

    assert (drawn[:, 0] == drawn[:, 2]).all()
    assert (drawn[:, 1] == drawn[:, 4]).all()
    assert (drawn[:, 0] + drawn[:, 1] + drawn[:, 3] == 3).all()


def test_the_standard_error_of_a_mean_is_the_textbook_one():
    """An independent source for the width."""
    values = np.random.default_rng(6).normal(size=500)
    spread = spread_of(mean_of(values), 500, draws=4000)

    assert stats.sem(values) == pytest.approx(spread.drawn.std(), rel=0.05)


def test_two_models_on_the_same_draws_differ_less_than_each_alone():
    """What makes a comparison sharp: the rows that are hard for both cancel."""
    chance = np.random.default_rng(7)
    hard = chance.normal(size=400) ** 2
    first, second = mean_of(hard), mean_of(hard + 0.1)
    made = bootstrap([first, second], weight=np.ones(400), clusters=None, seed=1)

    assert pytest.approx(0.1) == made.drawn[1] - made.drawn[0]
    assert made.drawn[0].std() > 0.05


def test_equal_seeds_give_equal_draws_and_others_do_not():
    """A certificate has the same digest on any day."""
    values = np.arange(50.0)
    first, again, other = (spread_of(mean_of(values), 50, seed=seed).drawn for seed in (1, 1, 2))

    assert (first == again).all()
    assert (first != other).any()


def test_sample_weights_count_in_each_draw():
    """A row of weight 0 never matters, however often it is drawn."""
    values, weight = np.array([1.0, 2.0, 1e9]), np.array([1.0, 1.0, 0.0])
    made = bootstrap(
        [lambda weights: np.where(weights[:, :2].sum(axis=1) > 0, weights @ values, 0.0)],
        weight=weight,
        clusters=None,
        seed=1,
    )

    assert 6.0 >= made.drawn.max()


def test_few_units_widen_the_bounds():
    """Ten rows tell less than percentiles of them pretend."""
    drawn = np.random.default_rng(8).normal(size=2000)
    few, many = (Spread(value=0.0, drawn=drawn, units=units) for units in (5, 5000))

    assert few.lower(0.95) < many.lower(0.95) < many.upper(0.95) < few.upper(0.95)
    assert np.quantile(drawn, 0.95) == pytest.approx(many.upper(0.95), abs=0.02)


def test_no_error_in_thirty_rows_does_not_prove_that_there_are_none():
    """The rule of three: up to a tenth of all rows may be wrong, at 95 % confidence."""
    perfect = Spread(value=1.0, drawn=np.ones(100), units=30, bounds=(0.0, 1.0))

    assert 0.05 ** (1 / 30) == pytest.approx(perfect.lower(0.95))
    assert perfect.upper(0.95) == 1.0


def test_draws_that_leave_a_metric_undefined_are_passed_over_and_too_many_leave_no_bound():
    """A draw without a positive row has no area under the curve."""
    some = Spread(value=0.5, drawn=np.array([np.nan, 0.4, 0.5, 0.6]), units=9)
    most = Spread(value=0.5, drawn=np.array([np.nan, np.nan, np.nan, 0.6]), units=9)

    assert 0.4 <= some.lower(0.95) < some.upper(0.95) <= 0.6
    assert np.isnan(most.lower(0.95))


def test_units_are_rows_or_groups_of_the_rarer_of_two_classes():
    """A thousand rows with four positives are four, for a metric of positives."""
    truth, weight = np.array([0, 0, 0, 1, 1, 1]), np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    groups = np.array(["a", "a", "b", "c", "c", "d"])

    assert units_of("binary", truth, weight, None, by_class=False) == 2
    assert units_of("binary", truth, weight, groups, by_class=False) == 1
    assert units_of("multiclass", truth, weight, None, by_class=False) == 5
    assert units_of("multiclass", np.array([0, 0, 2]), np.ones(3), None, by_class=True) == 1
    assert units_of("regression", truth.astype(float), weight, groups, by_class=False) == 3
    assert class_units(np.zeros(3, dtype=np.int64), np.ones(3), None, classes=2) == [3, 0]


def test_memory_does_not_grow_with_the_draws():
    """100,000 rows times 1,000 draws would be 800 MB at once."""
    largest = 0

    def look(weights):
        nonlocal largest
        largest = max(largest, weights.size)
        return weights[:, 0]

    bootstrap([look], weight=np.ones(20_000), clusters=None, seed=1, draws=100)

    assert largest <= 200_000


def test_drawing_blocks_covers_what_drawing_rows_does_not():
    """Neighbours in time are alike: as if they were independent, a metric seems far surer than it is."""
    chance = np.random.default_rng(7)
    by_block = by_row = 0
    for seed in range(REPEATED):
        errors = np.abs(lfilter([0.6], [1, -0.8], chance.normal(size=1_600))[600:])
        blocks = blocks_in_time(errors, [np.zeros(1_000)])
        units = len(np.unique(blocks))
        low, high = spread_of(mean_of(errors), 1_000, seed=seed, clusters=blocks, units=units).interval()
        by_block += low <= math.sqrt(2 / math.pi) <= high
        low, high = spread_of(mean_of(errors), 1_000, seed=seed).interval()
        by_row += low <= math.sqrt(2 / math.pi) <= high

    assert by_block / REPEATED >= 0.85
    assert by_row / REPEATED <= 0.65


@given(st.integers(0, 2**32 - 1), st.integers(1, 600))
def test_rows_that_do_not_hang_together_are_rarely_drawn_in_blocks(seed, n):
    """Where rows are independent, blocks would only make intervals less sure; and no block is longer than sqrt(n)."""
    length = block_length(np.random.default_rng(seed).normal(size=n))

    assert 1 <= length <= max(1, math.isqrt(n))


@pytest.mark.parametrize("n", [0, 1, 2, 1_000])
def test_equal_errors_need_no_blocks(n):
    """A model that is right on all rows, or a test part of one row, must not divide by nothing."""
    assert blocks_in_time(np.full(n, 2.0), [np.full(n, 2.0)]) is None


def test_a_bound_near_the_end_of_a_scale_is_not_at_its_other_end():
    """Of 0.9974 with 4 rows of the rarest class the log-odds alone said 0.04 to 1; draws reached down to 0.97."""
    drawn = 1 - np.random.default_rng(2).gamma(0.5, 0.01, 2_000)
    spread = Spread(value=0.9974, drawn=drawn, units=4, bounds=(0.0, 1.0), scale="logit")
    low, high = spread.interval()

    assert 0.8 < low < 0.98
    assert 0.9974 < high <= 1.0
