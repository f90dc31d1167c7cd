"""Trainers: what they learn is what a float32 reader of their text answers."""

import os
import re
import subprocess
import sys

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_squared_error

from linewright.errors import Corrupt, Terminal
from linewright.model.families.lightgbm_format import exact_text, floor_to_float32, trees_of
from linewright.model.families.linear import LEVELS_PER_COLUMN, design
from linewright.model.families.trainer import TRAINERS, read_native
from linewright.model.train.settings import Size, planned
from linewright.testing.trainers import CODES, TrainerContract, mixed_rows

SMALL_TREES = {"learning_rate": 0.1, "num_leaves": 15, "min_data_in_leaf": 5, "rounds": 100, "patience": 20}
LEAST, LARGEST = np.float32(-np.inf), np.float32(np.inf)
PLAIN = {"num_threads": 1, "deterministic": True, "force_col_wise": True, "verbosity": -1, "num_leaves": 15}


class TestBoosted(TrainerContract):
    """LightGBM keeps the contract of trainers."""

    @pytest.fixture
    def trainer(self):
        return TRAINERS["lightgbm"]

    @pytest.fixture
    def settings(self):
        return SMALL_TREES


class TestXGBoost(TrainerContract):
    """XGBoost keeps the contract of trainers, whether codes go in sets or one by one."""

    @pytest.fixture
    def trainer(self):
        return TRAINERS["xgboost"]

    @pytest.fixture(params=[4, 99], ids=["sets", "one by one"])
    def settings(self, request):
        return {"learning_rate": 0.2, "max_depth": 5, "max_cat_to_onehot": request.param, "subsample": 0.8}


class TestLinear(TrainerContract):
    """Linear models keep the contract of trainers."""

    @pytest.fixture
    def trainer(self):
        return TRAINERS["linear"]

    @pytest.fixture(params=[False, True], ids=["plain", "hinges"])
    def settings(self, request):
        return {"c": 1.0, "hinges": request.param}


def fit(family, task, x, target, *, categorical=(), rounds=20, valid=None, settings=SMALL_TREES, weight=None):
    return TRAINERS[family].fit(
        x.astype(np.float32),
        target,
        np.ones(len(x)) if weight is None else weight,
        categorical=categorical,
        task=task,
        classes={"binary": 2, "regression": 0}.get(task, int(target.max()) + 1),
        rounds=rounds,
        valid=valid,
        seed=5,
        settings=settings,
    )


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(width=32, allow_nan=False))
def test_a_floored_threshold_parts_all_float32_numbers_as_before(threshold, x):
    """Else rows near thresholds would be answered by the wrong leaf after export."""
    floor = floor_to_float32(threshold).item()

    if abs(threshold) < 3.4e38 and np.isfinite(x):
        assert (x <= threshold) == (x <= floor)
    assert floor == float(np.float32(floor))


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_what_is_float32_already_is_its_own_floor(value):
    """Flooring twice is flooring once."""
    assert value == floor_to_float32(value)


def plain_model(x, target, **changes):
    """Make a LightGBM model as the library does, its text untouched."""
    names = [f"f{i}" for i in range(x.shape[1])]
    data = lgb.Dataset(x, target, feature_name=names, categorical_feature=changes.pop("categorical", []))
    return lgb.train({**PLAIN, "objective": "regression", **changes}, data, 30)


def awkward_rows():
    """Half zeros, times as large as Unix seconds, a number without and one with missing values, a category."""
    chance = np.random.default_rng(3)
    x = np.empty((2_000, 5), dtype=np.float32)
    x[:, 0] = np.where(chance.random(2_000) < 0.5, 0, chance.normal(size=2_000))
    x[:, 1] = 1.7e9 + chance.integers(0, 10_000_000, 2_000)
    x[:, 2] = chance.normal(size=2_000) - 1
    x[:, 3] = np.where(chance.random(2_000) < 0.3, np.nan, chance.normal(size=2_000))
    x[:, 4] = chance.integers(0, 40, 2_000)
    signal = (x[:, 0] == 0) + np.sin(x[:, 1] / 1e6) + np.abs(x[:, 2]) + np.nan_to_num(x[:, 3]) + x[:, 4] % 3
    return x, signal.astype(np.float64)


def thresholds_of(text):
    """(column, decision type, threshold) of each split."""
    found = []
    for tree in trees_of(text):
        words = [
            re.search(rf"^{name}=(.*)$", tree, re.MULTILINE).group(1).split()
            for name in ("split_feature", "decision_type", "threshold")
        ]
        found += [(int(c), int(k), float(t)) for c, k, t in zip(*words, strict=True)]
    return found


def rows_around_thresholds(text, x):
    """Rows with one number on, just above, or just below a threshold of the text, its float32 neighbours too."""
    chance, rows = np.random.default_rng(0), []
    for column, kind, threshold in thresholds_of(text):
        if kind & 1:
            continue
        near = np.float32(threshold)
        for value in (near, np.nextafter(near, LEAST), np.nextafter(near, LARGEST), -near, np.float32(0)):
            row = x[chance.integers(len(x))].copy()
            row[column] = value
            rows.append(row)
    return np.stack(rows)


def test_rewriting_changes_no_answer_to_float32_rows():
    """Ordinary rows, rows on and beside every threshold, missing values and new codes: all bit for bit the same."""
    x, target = awkward_rows()
    model = plain_model(x, target, categorical=[4])
    text = model.model_to_string()
    exact = lgb.Booster(model_str=exact_text(text))
    holes = np.where(np.random.default_rng(1).random(x.shape) < 0.4, np.float32(np.nan), x)
    new_codes = x.copy()
    new_codes[:, 4] = np.arange(2_000) % 90
    probes = np.concatenate([x, holes, new_codes, rows_around_thresholds(text, x)])

    np.testing.assert_array_equal(model.predict(probes), exact.predict(probes))
    np.testing.assert_array_equal(model.predict(probes[-9:]), exact.predict(probes[-9:]))


def test_rewritten_thresholds_are_float32_and_every_number_has_a_side_for_missing():
    """Both are what the exported graph relies on."""
    x, target = awkward_rows()
    text = plain_model(x, target, categorical=[4]).model_to_string()
    before = [split for split in thresholds_of(text) if not split[1] & 1]
    after = [split for split in thresholds_of(exact_text(text)) if not split[1] & 1]

    assert any(t != float(np.float32(t)) for _, _, t in before)
    assert any(kind & 12 == 0 for _, kind, _ in before)
    assert all(t == float(np.float32(t)) for _, _, t in after)
    assert {8} == {kind & 12 for _, kind, _ in after}


def test_rewriting_twice_is_rewriting_once():
    """A model that is read and written again keeps its digest."""
    x, target = awkward_rows()
    once = exact_text(plain_model(x, target, categorical=[4]).model_to_string())

    assert once == exact_text(once)


def test_a_text_whose_trees_have_no_split_is_kept():
    """Constant columns or a pure target leave nothing to split."""
    model = plain_model(np.ones((50, 2), dtype=np.float32), np.arange(50.0))
    exact = lgb.Booster(model_str=exact_text(model.model_to_string()))

    assert [24.5] == pytest.approx(exact.predict(np.ones((1, 2))))


def test_counting_zeros_as_missing_is_refused():
    """No threshold of float32 numbers says it."""
    x, target = awkward_rows()
    text = plain_model(x, target, zero_as_missing=True).model_to_string()

    with pytest.raises(Terminal, match="counts zeros as missing"):
        exact_text(text)


def test_a_tree_that_lacks_a_threshold_is_refused():
    """What one tree lacks must not be taken from the next."""
    x, target = awkward_rows()
    text = plain_model(x, target).model_to_string()

    with pytest.raises(Corrupt, match="do not fit together"):
        exact_text(re.sub(r"^(threshold=.*) \S+$", r"\1", text, count=1, flags=re.MULTILINE))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_scores_are_those_of_lightgbm_itself(task):
    """Our own link from sums to probabilities agrees with the library's."""
    x, target, weight = mixed_rows(task)
    fitted = fit("lightgbm", task, x, target, categorical=CODES, weight=weight)
    scores = fitted.scores(x)
    booster = lgb.Booster(model_str=fitted.native.text)
    own = booster.predict(x)
    if task == "regression":
        own = fitted.native.offset + fitted.native.scale * own

    np.testing.assert_allclose(own, scores[:, 1] if task == "binary" else scores, rtol=1e-10)


def test_boosting_is_as_good_as_the_library_used_directly():
    """Keeping exact text and scaling targets costs nothing."""
    x, target = load_diabetes(return_X_y=True)
    learn, judge = np.arange(len(x)) % 3 > 0, np.arange(len(x)) % 3 == 0
    fitted = fit("lightgbm", "regression", x[learn], target[learn], rounds=60)
    direct = lgb.train(
        PLAIN | {"objective": "regression", "learning_rate": 0.1, "min_data_in_leaf": 5, "seed": 5},
        lgb.Dataset(x[learn].astype(np.float32), target[learn]),
        60,
    )
    own, library = fitted.scores(x[judge].astype(np.float32)), direct.predict(x[judge].astype(np.float32))

    assert mean_squared_error(target[judge], library) == pytest.approx(
        mean_squared_error(target[judge], own), rel=0.01
    )


def test_a_target_far_from_zero_keeps_its_digits():
    """LightGBM holds targets as float32; a year or a price in cents must not lose its fraction."""
    x, target, _ = mixed_rows("regression")
    small = (target - 1_000) / 1_000
    near, far = (fit("lightgbm", "regression", x, small + move, categorical=CODES) for move in (0.0, 1e7))

    np.testing.assert_allclose(near.scores(x), far.scores(x) - 1e7, atol=1e-6)


def test_early_stopping_keeps_the_best_round_on_watched_rows():
    """The rounds that it finds set those of the refit."""
    x, target = load_breast_cancer(return_X_y=True)
    learn, held = np.arange(len(x)) % 2 > 0, np.arange(len(x)) % 2 == 0
    watched = (x[held].astype(np.float32), target[held], np.ones(held.sum()))
    stopped = fit("lightgbm", "binary", x[learn], target[learn], rounds=None, valid=watched)
    losses = {
        rounds: log_loss(
            target[held], fit("lightgbm", "binary", x[learn], target[learn], rounds=rounds).scores(watched[0])
        )
        for rounds in (stopped.rounds // 2, stopped.rounds - 1, stopped.rounds, stopped.rounds + 1)
    }

    assert stopped.rounds == min(losses, key=losses.__getitem__)
    assert stopped.rounds == len(trees_of(stopped.native.text))


def test_rare_codes_are_scored_as_they_were_trained():
    """Loss while training, by LightGBM's own bins, equals the loss of what the text answers."""
    x, target, weight = mixed_rows("binary")
    x[:40, 5] = 0
    target = np.where(np.random.default_rng(0).random(len(x)) < 0.9, x[:, 5] % 3 == 0, target)
    measured = {}
    data = lgb.Dataset(x, target, weight=weight, categorical_feature=list(CODES), free_raw_data=False)
    model = lgb.train(
        PLAIN
        | {"objective": "binary", "min_data_in_leaf": 3, "max_cat_to_onehot": 1, "min_data_per_group": 5},
        data,
        25,
        valid_sets=[data],
        callbacks=[lgb.record_evaluation(measured)],
    )
    exact = lgb.Booster(model_str=exact_text(model.model_to_string()))

    assert any(
        kind & 1 and column == 5 for column, kind, _ in thresholds_of(exact_text(model.model_to_string()))
    )
    assert measured["training"]["binary_logloss"][-1] == pytest.approx(
        log_loss(target, exact.predict(x), sample_weight=weight), rel=1e-6
    )


def test_a_linear_model_is_the_one_of_its_library_on_the_same_design():
    """Our table of coefficients scores as scikit-learn's objects would; an independent solver finds the same."""
    x, target, weight = mixed_rows("multiclass")
    fitted = fit("linear", "multiclass", x, target, categorical=CODES, weight=weight, settings={"c": 0.7})
    matrix = design(fitted.native, x)
    peer = LogisticRegression(C=0.7, solver="lbfgs", tol=1e-8, max_iter=5_000)
    peer.fit(matrix, target, sample_weight=weight)

    np.testing.assert_allclose(peer.predict_proba(matrix), fitted.scores(x), atol=2e-4)


def test_a_ridge_is_the_one_of_its_library_on_the_same_design():
    """The scale of the target is taken out and put back."""
    x, target, weight = mixed_rows("regression")
    fitted = fit(
        "linear",
        "regression",
        x,
        target,
        categorical=CODES,
        weight=weight,
        settings={"c": 0.7, "hinges": True},
    )
    matrix = design(fitted.native, x)
    peer = Ridge(alpha=1 / 0.7, solver="svd").fit(matrix, target, sample_weight=weight)

    np.testing.assert_allclose(peer.predict(matrix), fitted.scores(x), rtol=1e-8)


def test_a_linear_model_tells_wines_apart():
    """A table on which linear models are known to do well."""
    x, target = load_wine(return_X_y=True)
    learn = np.arange(len(x)) % 2 > 0
    fitted = fit("linear", "multiclass", x[learn], target[learn], settings={"c": 1.0})

    assert np.mean(fitted.scores(x[~learn].astype(np.float32)).argmax(axis=1) == target[~learn]) > 0.95


def test_the_design_has_the_parts_that_it_says():
    """Scaled numbers with 0 for missing, indicators of missing, hinges, indicators of the frequent codes."""
    x = np.array([[1, 2], [2, 2], [3, 5], [4, 5], [np.nan, 2]], dtype=np.float32)
    native = fit("linear", "regression", x, np.arange(5.0), categorical=(1,), settings={"c": 1.0}).native
    matrix = design(native, x)
    scaled = np.array([-0.5, 0.0, 0.5, 1.0])

    np.testing.assert_allclose([*(scaled / np.sqrt(1 + (scaled / 3) ** 2)), 0.0], matrix[:, 0])
    np.testing.assert_array_equal([[0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [1, 1, 0]], matrix[:, 1:])


def test_a_number_of_a_long_tail_is_there_as_it_is_too():
    """Bent alone, its largest values are all alike; twice as far out as what was learned from, nothing changes."""
    x = np.array([[1, 2], [2, 2], [3, 5], [4, 5], [1_000, 5], [np.nan, 2]], dtype=np.float32)
    native = fit("linear", "regression", x, np.arange(6.0), settings={"c": 1.0}).native
    scaled = (np.array([1, 2, 3, 4, 1_000, -1, 1_997]) - native.centre[0]) * native.factor[0]
    found = design(native, np.concatenate([x[:5], [[-9e9, 2], [9e9, 2]], x[5:]]).astype(np.float32))

    assert [0] == [one.place for one in native.straight]
    assert (0, 1, 0, 0) == native.sources
    np.testing.assert_allclose([*scaled / scaled[:5].std(), 0], found[:, -1])


def test_a_label_that_grows_with_a_long_tail_is_learned():
    """Deaths grow with cases: a half of the variance lies in a few rows."""
    chance = np.random.default_rng(3)
    x = np.exp(1.5 * chance.normal(size=(2_000, 2)).clip(max=2.5)).astype(np.float32)
    target = (x.sum(axis=1) + chance.normal(size=2_000)).astype(np.float64)
    scores = fit("linear", "regression", x[::2], target[::2], settings={"c": 0.3}).scores(x[1::2])

    assert np.mean((target[1::2] - scores) ** 2) < 0.05 * target.var()


def test_a_wide_table_of_long_tails_keeps_its_width():
    """A design of twice five thousand columns would take eight times as long."""
    x = np.exp(3 * np.random.default_rng(3).normal(size=(300, 201))).astype(np.float32)
    native = fit("linear", "regression", x, x[:, 0].astype(np.float64), settings={"c": 1.0}).native

    assert () == native.straight


def test_only_the_most_frequent_codes_become_columns():
    """A column of a thousand levels may not make a design of a thousand columns."""
    codes = np.repeat(np.arange(60), np.arange(1, 61)).astype(np.float32)
    native = fit("linear", "regression", codes[:, None], codes, categorical=(0,), settings={"c": 1.0}).native

    assert [(0, float(code)) for code in range(60 - LEVELS_PER_COLUMN, 60)] == list(native.levels)


def test_extreme_numbers_bend_a_linear_model_but_do_not_break_it():
    """One absurd cell may not give an absurd answer."""
    x, target, _ = mixed_rows("regression")
    fitted = fit("linear", "regression", x, target, categorical=CODES, settings={"c": 1.0, "hinges": True})
    absurd = x[:1].copy()
    absurd[:, 0] = np.finfo(np.float32).max

    assert abs(fitted.scores(absurd)[0] - target.mean()) < 5 * target.std()


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_row_of_weight_two_is_two_rows_to_a_linear_model(task):
    """Medians, spreads, frequent codes and coefficients all count weights."""
    x, target, _ = mixed_rows(task, n=120)
    twice = np.arange(120) % 3 == 0
    double = np.concatenate([np.arange(120), np.flatnonzero(twice)])
    weighted = fit("linear", task, x, target, categorical=CODES, weight=1.0 + twice, settings={"c": 1.0})
    repeated = fit("linear", task, x[double], target[double], categorical=CODES, settings={"c": 1.0})

    np.testing.assert_allclose(repeated.scores(x), weighted.scores(x), rtol=1e-6)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"family":"other"}', b"\x80\x04pickle"])
def test_bytes_that_are_no_model_are_refused(data):
    """And nothing in them is executed."""
    with pytest.raises(Corrupt, match="not a native model"):
        read_native(data)


def test_a_text_that_lightgbm_cannot_read_is_refused(capfd):
    """A wrong text is our error, and does not end the process."""
    x, target, _ = mixed_rows("binary")
    native = fit("lightgbm", "binary", x, target).to_native()

    for wrong in (b"num_loaves=", b"", b"num_leaves=9"):
        with pytest.raises(Corrupt, match="not a LightGBM model"):
            read_native(native.replace(b"num_leaves=", wrong))
    capfd.readouterr()


FRESH = """
import hashlib, sys
import numpy as np
from linewright.model.export.to_onnx import to_onnx
from linewright.model.families.trainer import TRAINERS
from linewright.testing.trainers import CODES, class_count, mixed_rows
settings = {"lightgbm": {"num_leaves": 15, "rounds": 30, "patience": 5, "bagging_fraction": 0.8, "bagging_freq": 1,
    "feature_fraction": 0.6, "extra_trees": True}, "linear": {"c": 1.0, "hinges": True},
    "xgboost": {"rounds": 30, "patience": 5, "subsample": 0.8, "colsample_bytree": 0.7}}
for task in ("binary", "multiclass", "regression"):
    x, target, weight = mixed_rows(task)
    for family, trainer in TRAINERS.items():
        fitted = trainer.fit(x, target, weight, categorical=CODES, task=task, classes=class_count(task),
            rounds=None, valid=(x[:100], target[:100], weight[:100]), seed=7, settings=settings[family])
        native = fitted.to_native()
        print(task, family, hashlib.sha256(native).hexdigest(), hashlib.sha256(to_onnx(native, 6)).hexdigest())
"""


def test_models_and_graphs_have_equal_bytes_in_fresh_processes():
    """A rebuild gives the same digests, whatever the hash seed."""
    printed = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", FRESH],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": threads},
        ).stdout
        for seed, threads in (("1", "1"), ("2", "2"))
    ]

    assert 9 == len(printed[0].splitlines())
    assert printed[0] == printed[1]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_large_steps_towards_rare_classes_are_bounded(seed):
    """A leaf of a rare class asks for a step without end; where few rounds are bought and rates are large, trees were lost by the first of them."""
    chance, classes, n = np.random.default_rng(seed), 20, 1_200
    target = chance.integers(0, classes, n)
    x = (2 * chance.normal(size=(classes, 10))[target] + chance.normal(size=(n, 10))).astype(np.float32)
    setting = next(
        one for one in planned("quick", Size(rows=n, width=400, outputs=classes)) if one.name == "lgb_s"
    )
    free = {name: value for name, value in setting.settings.items() if name != "max_delta_step"}

    def loss(settings):
        fitted = TRAINERS["lightgbm"].fit(
            x[:800],
            target[:800],
            np.ones(800),
            categorical=(),
            task="multiclass",
            classes=classes,
            rounds=None,
            valid=(x[800:], target[800:], np.ones(n - 800)),
            seed=1,
            settings=settings,
        )
        return log_loss(target[800:], fitted.scores(x[800:]), labels=range(classes))

    assert loss(setting.settings) < 0.9 * loss(free)
