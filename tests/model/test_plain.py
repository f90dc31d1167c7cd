"""A plain linear model beside the trained one, on the same rows and draws."""

import numpy as np
import pytest

from linewright.model.metrics import metric
from linewright.model.plain import MOST_CELLS, MOST_ROWS, beside_linear, rows_to_learn

N = 400


def rows(seed):
    """Return rows whose class is decided by one number alone, and by whether two others have one sign."""
    x = np.random.default_rng(seed).normal(size=(N, 3)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64), (x[:, 1] * x[:, 2] > 0).astype(np.int64)


def compared(by, said, *, name="roc_auc", others=(), task="binary", classes=2, **changes):
    learned, tested = rows(1), rows(2)
    given = {
        "x": learned[0],
        "target": learned[by],
        "weight": np.ones(N),
        "categorical": (),
        "rules": [metric(one, task) for one in (name, *others)],
        "task": task,
        "classes": classes,
        "value": None,
        "test_x": tested[0],
        "truth": tested[by],
        "test_weight": np.ones(N),
        "clusters": None,
        "scores": said(tested),
        "threshold": 0.5,
        "seed": 3,
    }
    return beside_linear(**(given | changes))


def sure(truth):
    """Return what a model says that knows the truth nearly."""
    return np.column_stack([0.9 - 0.8 * truth, 0.1 + 0.8 * truth])


@pytest.mark.parametrize("name", ["roc_auc", "log_loss", "f1"])
def test_what_only_trees_can_learn_shows_as_a_sure_difference(name):
    """Else nobody sees what the training was worth beyond a regression of an afternoon."""
    found = compared(2, lambda tested: sure(tested[2]), name=name)

    assert found.better > found.low > 0.1
    assert found.high > found.better
    assert (N, N, name) == (found.rows, found.n, found.metric)


def test_what_a_linear_model_can_learn_shows_none():
    found = compared(1, lambda tested: sure(tested[1]))

    assert found.value > 0.99
    assert found.better < 0.02


def test_numbers_are_compared_by_their_metric():
    numbers = {
        "target": rows(1)[0][:, 0].astype(np.float64),
        "truth": rows(2)[0][:, 0].astype(np.float64),
    }
    found = compared(
        1, lambda tested: 0.0 * tested[0][:, 0], name="rmse", task="regression", classes=0, **numbers
    )

    assert found.high < 0
    assert found.better == pytest.approx(found.value - 1.0, abs=0.1)


def test_all_metrics_are_compared_each_as_if_it_were_the_first():
    """A model that ranks no better may yet be sharper, and who reads the card wants to see both."""
    names = ("roc_auc", "log_loss", "f1", "accuracy")
    found = compared(2, lambda tested: sure(tested[2]), name=names[0], others=names[1:])
    alone = {one: compared(2, lambda tested: sure(tested[2]), name=one) for one in names}

    assert names[1:] == tuple(one.metric for one in found.others)
    for one in (found, *found.others):
        assert (one.value, one.better) == (alone[one.metric].value, alone[one.metric].better)
        assert one.low < one.better < one.high


def test_rows_of_one_class_or_of_no_weight_tell_nothing():
    """A drawn part of very many rows may be like that; the card then says nothing."""
    assert compared(1, lambda tested: sure(tested[1]), target=np.zeros(N, dtype=np.int64)) is None
    assert compared(1, lambda tested: sure(tested[1]), weight=np.zeros(N)) is None


def test_equal_rows_give_equal_figures_and_never_more_than_a_bounded_part_is_learned_from():
    """A card of a large table may not cost another training."""
    assert compared(2, lambda tested: sure(tested[2])) == compared(2, lambda tested: sure(tested[2]))
    assert len(rows_to_learn(10**6, 10, seed=1)) == MOST_ROWS
    assert len(rows_to_learn(10**6, 2_000, seed=1)) * 2_000 == MOST_CELLS
    assert (rows_to_learn(10**6, 10, seed=1) == rows_to_learn(10**6, 10, seed=1)).all()
