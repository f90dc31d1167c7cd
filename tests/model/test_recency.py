"""Older rows are left out where they surely mislead, and only there."""

import numpy as np
import pytest

from linewright.features.facts import Encoder, Number
from linewright.model.spec import TrainSpec
from linewright.model.train.fit import TrainingRows, train
from linewright.model.train.recency import longest_as_good, windows_of

OLD, NEW = 2_000, 300


def learned(turned: bool, at: np.ndarray | None, *, task: str = "binary", seed: int = 3):
    """Train on old rows and on new ones, of which the truth has turned round or not."""
    chance = np.random.default_rng(seed)
    x = chance.normal(size=(OLD + NEW, 3)).astype(np.float32)
    pull = 3 * x[:, 0] * np.where(np.arange(OLD + NEW) >= OLD, -1 if turned else 1, 1)
    noise = chance.normal(size=OLD + NEW)
    target = pull + noise if task == "regression" else (pull + noise > 0).astype(np.int64)
    part = np.arange(OLD + NEW) % 5
    rows = TrainingRows(
        x=x,
        target=target,
        weight=np.ones(OLD + NEW),
        encoder=Encoder(encodings=tuple(Number(column=f"c{i}") for i in range(3))),
        task=task,
        classes=() if task == "regression" else ("no", "yes"),
        folds=[(np.flatnonzero(part != i), np.flatnonzero(part == i)) for i in range(5)],
        seed=11,
        at=at,
    )
    return train(rows, TrainSpec(budget="quick"), report=lambda _: None)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_rows_from_before_the_truth_turned_are_left_out(task):
    """Nine of ten rows would teach the opposite of what is so."""
    training = learned(True, np.arange(OLD + NEW), task=task)

    assert training.recent is not None
    assert not training.learned[: OLD - NEW].any()
    assert training.learned[OLD + NEW // 2 :].all()
    assert training.recent.left_out == OLD + NEW - training.learned.sum()
    assert training.recent.rows == training.learned.sum()
    assert training.recent.loss < training.recent.loss_with_older


def test_where_nothing_has_turned_all_rows_are_learned_from():
    """More rows are worth more than new rows; that chance says otherwise is rare."""
    found = [learned(False, np.arange(OLD + NEW), seed=seed) for seed in range(5)]

    assert sum(one.recent is not None for one in found) <= 1
    assert all(one.learned.all() for one in found if one.recent is None)


def test_a_first_training_asks_nothing_of_the_kind():
    """What has no times, or is no retraining, learns as it did."""
    training, same = learned(True, None), learned(True, np.zeros(OLD + NEW))

    assert training.recent is same.recent is None
    assert training.native == same.native


def test_windows_grow_by_two_to_a_quarter_and_part_no_moment():
    """The shortest holds 40 of the rarer class."""
    at = np.repeat(np.arange(500), 8)
    target = (np.arange(4000) % 10 == 0).astype(int)
    sizes = [int(one.sum()) for one in windows_of(at, target, learned=at >= 0, is_class=True)]
    two = list(windows_of(np.repeat([0, 1], 2000), target, learned=at >= 0, is_class=True))

    assert sizes[0] in {392, 400}
    assert sizes[1:] == [2 * sizes[0]]
    assert all(size % 8 == 0 for size in sizes)
    assert [] == two


def test_the_longest_that_is_not_surely_worse_is_taken():
    """Noise alone leaves nothing out."""
    chance = np.random.default_rng(1)
    alike = chance.random((3, 50))

    assert longest_as_good(alike, np.ones(50))[0] == 2
    assert longest_as_good(alike + np.array([[0.0], [0.0], [9.0]]), np.ones(50))[0] == 1
