"""Lists that are drawn, and what is estimated from them: propensities are exact, and the truth lies in the interval."""

from collections import Counter

import numpy as np
import pytest
from scipy.special import expit

from linewright.model.evaluate.off_policy import ShownList, value_of_lists
from linewright.model.tasks.explore import POOL, explored

NAMES = tuple("abcdefghij")
SHOWN = 3


def scores(ranked: str, rows: int = 1, shown: int = SHOWN) -> np.ndarray:
    """Return lists of items in this order, for so many rows."""
    codes = [NAMES.index(one) + 1.0 for one in ranked]
    values = [1.0 - place / 10 for place in range(len(codes))]
    return np.tile([*codes, *values, *values, 1.0, float(len(NAMES)), float(shown)], (rows, 1))


def answers(ranked: str, rows: int, share: float) -> list[dict[str, object]]:
    best = [{"prediction": list(ranked[:SHOWN]), "scores": [1.0, 0.9, 0.8], "history_used": 1}] * rows
    return explored(best, scores(ranked, rows), NAMES, share=share, ids=[f"id-{row}" for row in range(rows)])


def test_items_are_shown_as_often_as_their_propensity_says():
    """Whatever is divided by it is then right on average, at each position."""
    rows, share = 40_000, 0.2
    told = answers("abcdefghij", rows, share)
    pool = SHOWN * POOL

    for place in range(SHOWN):
        said = {one["prediction"][place]: one["propensities"][place] for one in told}
        counts = Counter(one["prediction"][place] for one in told)
        assert set("abcdef") == set(said)
        assert sum(said.values()) == pytest.approx(1.0)
        for item, propensity in said.items():
            assert propensity == pytest.approx(share / pool + (1 - share) * (item == "abc"[place]))
            assert abs(counts[item] - rows * propensity) < 4 * np.sqrt(rows * propensity)


def test_a_list_has_each_item_once_and_keeps_its_scores():
    """A drawn list is a list like any other."""
    told = answers("abcdefghij", 2_000, 0.2)
    drawn = [one for one in told if one["explored"]]

    assert 300 < len(drawn) < 500
    for one in told:
        assert SHOWN == len(set(one["prediction"])) == len(one["scores"]) == len(one["propensities"])
        assert [1.0 - "abcdefghij".index(item) / 10 for item in one["prediction"]] == one["scores"]


def test_it_is_drawn_by_the_id_of_the_prediction_alone():
    """A replay of the answer draws the same list, alone or among others."""
    together = answers("abcdefghij", 50, 0.2)
    best = [{"prediction": ["a", "b", "c"], "scores": [1.0, 0.9, 0.8], "history_used": 1}]
    alone = [
        explored(best, scores("abcdefghij"), NAMES, share=0.2, ids=[f"id-{row}"])[0] for row in range(50)
    ]

    assert together == alone


@pytest.mark.parametrize("ranked", ["", "a", "ab", "abcd"])
def test_a_pool_with_fewer_items_is_drawn_from_as_it_is(ranked):
    """An allow-list or a category rule may leave few items."""
    best = [{"prediction": list(ranked[:SHOWN]), "scores": [1.0] * len(ranked[:SHOWN]), "history_used": 0}]
    found = [
        explored(best, scores(ranked), NAMES, share=0.2, ids=[f"id-{number}"])[0] for number in range(300)
    ]

    assert all(set(one["prediction"]) <= set(ranked) for one in found)
    assert all(len(one["prediction"]) == min(SHOWN, len(ranked)) for one in found)
    assert all(0 < propensity <= 1 for one in found for propensity in one["propensities"])


def drawn_shop(seed: int, rows: int, share: float) -> tuple[list[list[str]], list[ShownList], float]:
    """Return lists of another model, the lists that were shown with what was taken, and the true value of the others."""
    chance = np.random.default_rng(seed)
    liking = chance.normal(size=(rows, len(NAMES)))
    looks = (1 / np.sqrt(np.arange(1, SHOWN + 1))).tolist()
    order = np.argsort(-(liking + chance.normal(size=liking.shape)), axis=1)
    codes = np.column_stack([order + 1.0, *[np.ones_like(order)] * 2, np.ones(rows)])
    table = np.column_stack([codes, np.full(rows, len(NAMES)), np.full(rows, float(SHOWN))])
    best = [
        {"prediction": [NAMES[one] for one in row[:SHOWN]], "scores": [1.0] * SHOWN, "history_used": 1}
        for row in order
    ]
    said = explored(best, table, NAMES, share=share, ids=[f"{seed}-{row}" for row in range(rows)])
    shown: list[ShownList] = []
    others: list[list[str]] = []
    worth = 0.0
    likings, odds, draws = liking.tolist(), expit(liking - 1).tolist(), chance.random((rows, SHOWN)).tolist()
    code = {name: number for number, name in enumerate(NAMES)}
    for row, one in enumerate(said):
        pool = [NAMES[item] for item in order[row][: SHOWN * POOL]]
        chances = [odds[row][code[item]] * look for item, look in zip(one["prediction"], looks, strict=True)]
        taken = [
            item for item, p, draw in zip(one["prediction"], chances, draws[row], strict=True) if draw < p
        ]
        shown.append(
            ShownList(
                items=one["prediction"],
                propensities=one["propensities"],
                taken=taken,
                pool=pool,
                is_drawn=one["explored"],
            )
        )
        other = sorted(pool, key=lambda item, row=row: -likings[row][code[item]])[:SHOWN]
        others.append(other)
        worth += sum(odds[row][code[item]] * look for item, look in zip(other, looks, strict=True))
    return others, shown, worth / rows


def test_the_interval_holds_the_truth_of_lists_that_were_never_shown():
    """It is computed from what was taken of other lists. The whole test is `benchmarks/recommend.py --world`."""
    held, apart = 0, []
    for seed in range(60):
        others, shown, worth = drawn_shop(seed, 1_500, 0.2)
        found = value_of_lists(others, shown)
        held += found.low <= worth <= found.high
        apart.append((found.value - worth) / (found.high - found.low))
        assert 1.0 == found.supported

    assert held >= 53
    assert abs(np.mean(apart)) < 3 * np.std(apart) / np.sqrt(60)


def test_lists_that_were_taken_as_they_are_would_be_worth_less():
    """The naive mean of what was taken is the worth of the lists that were shown, not of others."""
    others, shown, worth = drawn_shop(1, 4_000, 0.2)
    found = value_of_lists(others, shown)

    assert found.shown < found.low < worth
    assert found.more_low > 0


def test_of_too_few_lists_nothing_is_said():
    """An interval that is not to be trusted is none."""
    others, shown, _ = drawn_shop(2, 500, 0.2)
    few = value_of_lists(others[:50], shown[:50])

    assert (None, None, None) == (few.value, few.low, few.more)
    assert (50, None) == (few.lists, few.more_high)
    assert value_of_lists([], []).value is None


def test_lists_that_could_not_have_been_shown_are_not_valued():
    """Of items outside of all pools nothing was ever observed."""
    _, shown, _ = drawn_shop(3, 2_000, 0.2)
    found = value_of_lists([["x", "y", "z"]] * len(shown), shown)

    assert (0.0, None) == (found.supported, found.value)
