"""The slice in which rows moved most: it is the right one, and it promises nothing where all moved alike."""

import numpy as np

from linewright.watch.worst_slice import FEWEST, Divided, worst_rise, worst_shift


def divided(chance: np.random.Generator, columns: int, n: int, m: int) -> list[Divided]:
    return [
        Divided(then=chance.integers(0, 5, n), now=chance.integers(0, 5, m), parts=5) for _ in range(columns)
    ]


def test_a_shift_of_all_rows_alike_is_seldom_said_to_be_worse_in_a_slice():
    """Of a hundred slices some look bad by chance; an alert that named one of them would send people the wrong way."""
    wrong = 0
    for seed in range(60):
        chance = np.random.default_rng(seed)
        then, now = chance.integers(0, 4, 3000), np.minimum(chance.integers(0, 6, 3000), 3)
        worst, looked_at = worst_shift(divided(chance, 20, 3000, 3000), then, now, 4, seed=seed)
        assert worst is not None
        assert 100 == looked_at
        wrong += worst.more.low > 0

    assert wrong <= 5  # 2.5 % of 60 are 1.5


def test_a_loss_that_rose_alike_is_seldom_said_to_be_worse_in_a_slice():
    wrong = 0
    for seed in range(60):
        chance = np.random.default_rng(seed)
        worst, _ = worst_rise(
            divided(chance, 20, 3000, 3000),
            chance.exponential(1, 3000),
            chance.exponential(1.5, 3000),
            seed=seed,
        )
        assert worst is not None
        wrong += worst.more.low > 0

    assert wrong <= 5


def test_the_interval_of_a_slice_holds_its_true_shift():
    """What is measured has no winner's curse: other rows have chosen the slice."""
    held = 0
    for seed in range(60):
        chance = np.random.default_rng(seed)
        slices = divided(chance, 10, 4000, 4000)
        then, now = chance.integers(0, 2, 4000), chance.integers(0, 2, 4000)
        is_hit = slices[3].now == 2
        now[is_hit] = chance.random(is_hit.sum()) < 0.8
        worst, _ = worst_shift(slices, then, now, 2, seed=seed)
        assert worst is not None
        assert (3, 2) == (worst.column, worst.part)
        true = 0.3 * np.log(0.8 / 0.5) + 0.3 * np.log(0.5 / 0.2)
        held += worst.within.low <= true <= worst.within.high

    assert held >= 53  # 95 % of 60 are 57


def test_few_rows_say_nothing():
    chance = np.random.default_rng(1)
    few = 4 * FEWEST

    assert (None, 0) == worst_rise(divided(chance, 3, few, few), np.ones(few), np.ones(few), seed=1)
    assert (None, 0) == worst_shift([], np.zeros(999, dtype=int), np.zeros(999, dtype=int), 1, seed=1)


def test_the_same_rows_give_the_same_slice():
    chance = np.random.default_rng(1)
    slices, then, now = (
        divided(chance, 5, 2000, 2000),
        chance.integers(0, 3, 2000),
        chance.integers(0, 3, 2000),
    )

    assert worst_shift(slices, then, now, 3, seed=9) == worst_shift(slices, then, now, 3, seed=9)
