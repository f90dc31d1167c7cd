"""XGBoost: what we keep of its models answers as the library does."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import log_loss, mean_squared_error

from linewright.errors import Corrupt
from linewright.model.families.trainer import TRAINERS, read_native
from linewright.model.families.xgboost import XGBoostNative
from linewright.model.families.xgboost_format import XGBoostTree
from linewright.testing.trainers import CODES, TASKS, UNSEEN, mixed_rows

SMALL = {"learning_rate": 0.1, "max_depth": 5, "min_child_weight": 2.0, "patience": 20, "rounds": 100}
OBJECTIVES = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}


def fit(task, x, target, *, weight=None, categorical=(), rounds=20, valid=None, seed=5, **settings):
    return TRAINERS["xgboost"].fit(
        x.astype(np.float32),
        target,
        np.ones(len(x)) if weight is None else weight,
        categorical=categorical,
        task=task,
        classes={"binary": 2, "regression": 0}.get(task, int(target.max()) + 1),
        rounds=rounds,
        valid=valid,
        seed=seed,
        settings=SMALL | settings,
    )


@pytest.mark.parametrize("one_by_one", [2, 99])
@pytest.mark.parametrize("task", TASKS)
def test_scores_are_those_of_xgboost_itself(task, one_by_one):
    """Trees that are numbered anew, sets that are turned around, and sums in double change no answer."""
    x, target, weight = mixed_rows(task, n=800)
    settings = {"subsample": 0.8, "colsample_bytree": 0.7, "gamma": 0.1, "max_cat_to_onehot": one_by_one}
    fitted = fit(task, x, target, weight=weight, categorical=CODES, rounds=40, **settings)
    native = fitted.native
    offset = native.intercept[0] if task == "regression" else 0.0
    start = np.array([0.0] if task == "regression" else native.intercept, dtype=np.float32)
    rows = xgboost.QuantileDMatrix(
        x,
        label=(target - offset) / native.scale,
        weight=weight,
        base_margin=np.tile(start, (len(x), 1)),
        feature_types=["q", "q", "q", "q", "c", "c"],
        enable_categorical=True,
    )
    many = {"num_class": 3} if task == "multiclass" else {}
    parameters = {"objective": OBJECTIVES[task], "seed": 5, "nthread": 1, "tree_method": "hist", **many}
    asked = {name: value for name, value in (SMALL | settings).items() if name not in {"patience", "rounds"}}
    own = xgboost.train(parameters | asked, rows, 40).predict(rows).astype(np.float64)
    scores = fitted.scores(x)

    assert any(tree.codes for tree in native.trees)
    if task == "regression":
        np.testing.assert_allclose(offset + native.scale * own, scores, rtol=1e-6)
    else:
        np.testing.assert_allclose(own, scores[:, 1] if task == "binary" else scores, atol=1e-6)


def test_a_number_on_a_threshold_goes_right_and_the_one_below_it_left():
    """XGBoost asks whether a number is below; a graph, whether it is at most: the one before."""
    x = np.repeat(np.array([[1.5], [2.5]], dtype=np.float32), 50, axis=0)
    fitted = fit("regression", x, np.repeat([0.0, 1.0], 50), rounds=1)
    (cut,) = fitted.cuts()[0]
    low, cut_above = fitted.scores(np.array([[cut], [np.nextafter(cut, np.float32(9))]], dtype=np.float32))

    assert np.nextafter(cut, np.float32(9)) == np.float32(fitted.native.trees[0].bound[0])
    assert low < cut_above


def test_leaves_are_found_by_xgboost_and_added_up_in_double():
    """Over a thousand trees, the library's own sums are off by more than a graph's."""
    chance = np.random.default_rng(2)
    x = chance.normal(size=(1_000, 3)).astype(np.float32)
    target = np.sin(3 * x[:, 0].astype(np.float64)) + x[:, 1] * x[:, 2]
    fitted = fit("regression", x, target, rounds=1_000, learning_rate=0.02, max_depth=3)
    forest, sums = fitted.forest(), np.zeros(200)
    roots = np.searchsorted(forest.tree, np.arange(1_000))
    for at, row in enumerate(x[:200].astype(np.float64)):
        nodes = roots
        while (forest.yes[nodes] >= 0).any():
            is_yes = row[forest.column[nodes]] <= forest.at_most[nodes]
            nodes = np.where(
                forest.yes[nodes] < 0, nodes, np.where(is_yes, forest.yes[nodes], forest.no[nodes])
            )
        sums[at] = forest.offset[0] + forest.value[nodes].sum()

    np.testing.assert_allclose(sums, fitted.scores(x[:200]), rtol=0, atol=1e-12)


def test_early_stopping_keeps_the_best_round_on_watched_rows():
    """The rounds that it finds set those of the refit, and later trees are not kept."""
    x, target = load_breast_cancer(return_X_y=True)
    learn, held = np.arange(len(x)) % 2 > 0, np.arange(len(x)) % 2 == 0
    watched = (x[held].astype(np.float32), target[held], np.ones(held.sum()))
    stopped = fit("binary", x[learn], target[learn], rounds=None, valid=watched)
    losses = {
        rounds: log_loss(
            target[held], fit("binary", x[learn], target[learn], rounds=rounds).scores(watched[0])
        )
        for rounds in (stopped.rounds // 2, stopped.rounds - 1, stopped.rounds, stopped.rounds + 1)
    }

    assert stopped.rounds == min(losses, key=losses.__getitem__)
    assert stopped.rounds == len(stopped.native.trees)


def test_watched_rows_may_have_codes_that_training_had_not():
    """They are told like any new code, and mislead no one about when to stop."""
    x, target, weight = mixed_rows("binary")
    held, truth, mass = mixed_rows("binary", seed=1)
    held[:, CODES] = UNSEEN
    fitted = fit(
        "binary", x, target, weight=weight, categorical=CODES, rounds=None, valid=(held, truth, mass)
    )
    losses = [
        log_loss(
            truth,
            fit("binary", x, target, weight=weight, categorical=CODES, rounds=rounds).scores(held),
            sample_weight=mass,
        )
        for rounds in (1, fitted.rounds)
    ]

    assert losses[1] < losses[0]


def test_codes_that_training_had_not_go_with_the_longer_list():
    """Below the largest code or above it, an endpoint's new code says the same; and chains of comparisons stay short."""
    chance = np.random.default_rng(1)
    x = 2.0 * chance.integers(1, 40, (2_000, 1)).astype(np.float32)  # no odd code, no 0
    fitted = fit("regression", x, np.sin(x[:, 0].astype(np.float64)), categorical=(0,), rounds=30)
    odd = np.array([[0], [1], [33], [UNSEEN]], dtype=np.float32)

    assert 1 == len(np.unique(fitted.scores(odd)))
    assert any(len(codes) > 1 for tree in fitted.native.trees for codes in tree.codes.values())
    for tree in fitted.native.trees:
        assert all(codes and len(codes) <= 20 for codes in tree.codes.values())
        assert all(code % 2 == 0 for codes in tree.codes.values() for code in codes)


def test_a_target_far_from_zero_keeps_its_digits():
    """XGBoost holds targets as float32; a year or a price in cents must not lose its fraction."""
    x, target, _ = mixed_rows("regression")
    small = (target - 1_000) / 1_000
    near, far = (fit("regression", x, small + move, categorical=CODES) for move in (0.0, 1e7))

    np.testing.assert_allclose(near.scores(x), far.scores(x) - 1e7, atol=1e-6)


def test_huge_numbers_are_told_apart_from_missing_ones():
    """XGBoost bounds them by infinity, which JSON has no word for."""
    x = np.repeat(np.array([[-3e38], [0], [3e38], [np.nan]], dtype=np.float32), 30, axis=0)
    fitted = fit("regression", x, np.repeat([1.0, 2.0, 3.0, 9.0], 30), rounds=80)

    assert np.finfo(np.float32).max in {
        np.float32(bound) for tree in fitted.native.trees for bound in tree.bound
    }
    np.testing.assert_allclose([1, 2, 3, 9], fitted.scores(x[::30]), atol=0.05)
    np.testing.assert_array_equal(fitted.scores(x), read_native(fitted.to_native()).scores(x))


def test_boosting_is_as_good_as_the_library_used_directly():
    """Our start and scale cost nothing."""
    x, target = load_diabetes(return_X_y=True)
    learn = np.arange(len(x)) % 3 > 0
    rows = xgboost.DMatrix(x[learn].astype(np.float32), label=target[learn])
    settings = {"learning_rate": 0.1, "max_depth": 3, "min_child_weight": 2, "nthread": 1, "seed": 5}
    library = xgboost.train(settings, rows, 60).predict(xgboost.DMatrix(x[~learn].astype(np.float32)))
    own = fit("regression", x[learn], target[learn], rounds=60, max_depth=3).scores(
        x[~learn].astype(np.float32)
    )

    assert mean_squared_error(target[~learn], library) == pytest.approx(
        mean_squared_error(target[~learn], own), rel=0.02
    )


def test_fits_beside_each_other_are_the_fits_alone():
    """Two folds are fitted at a time, by threads of one process."""
    x, target, weight = mixed_rows("binary", n=1_500)

    def one(seed):
        settings = {"subsample": 0.7, "colsample_bytree": 0.6}
        fitted = fit("binary", x, target, weight=weight, categorical=CODES, seed=seed, rounds=40, **settings)
        return fitted.to_native()

    alone = [one(seed) for seed in range(4)]
    with ThreadPoolExecutor(2) as pool:
        assert alone == list(pool.map(one, range(4)))
    assert 4 == len(set(alone))


def stump(**changes):
    parts = {
        "left": (1, -1, -1),
        "column": (0, 0, 0),
        "bound": (0.5, 1.0, 2.0),
        "is_missing_left": (True, False, False),
        "mass": (3.0, 1.0, 2.0),
        "codes": {},
    }
    return XGBoostTree(**(parts | changes))


def native_of(*trees, intercept=(0.0,)):
    return XGBoostNative(task="regression", width=2, intercept=intercept, scale=1.0, trees=trees)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_stump_reads_as_it_is_written(bound):
    """Bounds survive JSON, and cuts are the numbers just below them."""
    fitted = read_native(msgspec.json.encode(native_of(stump(bound=(bound, 1.0, 2.0)))))
    beside = np.array([[np.nextafter(np.float32(bound), np.float32(-np.inf)), 0], [bound, 0], [np.nan, 0]])

    if np.isfinite(beside[0, 0]):
        assert [1.0, 2.0, 1.0] == fitted.scores(beside.astype(np.float32)).tolist()
        assert beside[0, 0] == fitted.cuts()[0][0]


@pytest.mark.parametrize(
    "wrong",
    [
        native_of(),
        native_of(stump(), intercept=()),
        native_of(stump(), intercept=(0.0, 0.0)),
        native_of(stump(left=(0, -1, -1))),
        native_of(stump(left=(2, -1, -1))),
        native_of(stump(left=(1, 1, -1))),
        native_of(stump(left=(1, -1))),
        native_of(stump(left=(), column=(), bound=(), is_missing_left=(), mass=())),
        native_of(stump(column=(2, 0, 0))),
        native_of(stump(column=(-1, 0, 0))),
        native_of(stump(bound=(0.5, 1.0))),
        native_of(stump(codes={1: (3,)})),
        native_of(stump(codes={7: (3,)})),
        native_of(stump(codes={0: ()})),
        native_of(stump(codes={0: (-3,)})),
        native_of(stump(codes={0: (1 << 30,)})),
    ],
    ids=range(16),
)
def test_trees_that_do_not_hang_together_are_refused(wrong):
    """The library would read beside its memory, or go round for ever."""
    with pytest.raises(Corrupt, match="not an XGBoost model"):
        read_native(msgspec.json.encode(wrong))
