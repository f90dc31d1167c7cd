"""Traffic: what is unusual, and what is only the rhythm of a week."""

import numpy as np
import pytest

from linewright.watch.traffic_volume import unusual

DAY, HOUR = 86_400.0, 3_600.0


def alarms(counts, every_s, alpha=1e-5):
    return [
        i
        for i in range(1, len(counts) + 1)
        if unusual(counts[max(0, i - 56) : i], every_s=every_s, alpha=alpha)
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mean", [3, 200, 100_000])
def test_a_week_whose_weekends_are_half_is_no_news(seed, mean):
    print("seed", seed)
    random = np.random.default_rng(seed)
    days = np.where(np.arange(365) % 7 < 5, mean, mean / 2)

    assert alarms(random.poisson(days).tolist(), DAY) == []


@pytest.mark.parametrize("seed", range(3))
def test_overdispersed_counts_are_no_news(seed):
    print("seed", seed)
    random = np.random.default_rng(seed)

    assert alarms(random.negative_binomial(2, 2 / 102, size=500).tolist(), HOUR) == []


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("night", [0.5, 5, 50])
def test_nights_are_no_news_where_the_history_holds_a_day(seed, night):
    print("seed", seed)
    random = np.random.default_rng(seed)
    hours = np.where(np.arange(500) % 24 < 8, night, 1000)

    assert alarms(random.poisson(hours).tolist(), HOUR) == []


@pytest.mark.parametrize("seed", range(4))
def test_an_empty_window_of_a_line_with_twenty_rows_a_window_is_found(seed):
    print("seed", seed)
    usual = np.random.default_rng(seed).poisson(20, size=28).tolist()

    assert unusual([*usual, 0], every_s=HOUR, alpha=1e-5) is not None


@pytest.mark.parametrize("now", [0, 30, 5_000, 10**9])
def test_silence_and_floods_are_found_at_once_and_stay_found(now):
    print("seed", 2)
    usual = np.random.default_rng(2).poisson(1000, size=30).tolist()
    found = unusual([*usual, now, now, now], every_s=DAY, alpha=1e-6)

    assert found is not None
    assert (found.rows, found.windows) == (now, 3)
    assert found.usual == pytest.approx(1000, rel=0.05)


@pytest.mark.parametrize("counts", [[], [0], [0] * 40, [1] * 40, [0] * 39 + [2], [5] * 6 + [0], [10**9] * 40])
def test_nothing_can_be_said_of_little_or_of_nothing(counts):
    assert unusual(counts, every_s=DAY, alpha=1e-5) is None


def test_less_than_a_factor_of_three_is_no_news():
    assert unusual([10**6] * 28 + [4 * 10**5], every_s=DAY, alpha=1e-5) is None
