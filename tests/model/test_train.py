"""Training: a fair choice among settings, and a model that is the same every time."""

import subprocess
import sys
from itertools import pairwise

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.metrics import log_loss, mean_squared_error

from linewright.errors import SpecError, Terminal
from linewright.features.facts import Category, Encoder, Number
from linewright.model.families.ensemble import EnsembleFitted
from linewright.model.families.trainer import TRAINERS, read_native
from linewright.model.package.model import calibrate
from linewright.model.reasons import BreakEven, Fastest, LowestLoss
from linewright.model.spec import TrainSpec, TrialsBudget, ValueSpec
from linewright.model.tasks.prediction_interval import ends
from linewright.model.tasks.threshold import choose_threshold
from linewright.model.tasks.value import amounts_of
from linewright.model.train.fit import TrainingRows, train
from linewright.model.train.settings import SETTINGS, Size, folds_judged, planned
from linewright.model.value_amounts import value_of
from linewright.testing.trainers import CODES, TASKS, ScriptedTrainer, mixed_rows

CLASSES = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c"), "regression": ()}


def folds_of(n, k=5):
    part = np.arange(n) % k
    return [(np.flatnonzero(part != i), np.flatnonzero(part == i)) for i in range(k)]


def chained(n, blocks=5):
    """Each block is judged by what came before it; the first by nothing."""
    edges = np.linspace(0, n, blocks + 1).astype(int)
    return [(np.arange(edges[i]), np.arange(edges[i], edges[i + 1])) for i in range(1, blocks)]


def encoder_of(x, codes=()):
    return Encoder(
        encodings=tuple(
            Category(column=f"c{i}", levels=()) if i in codes else Number(column=f"c{i}")
            for i in range(x.shape[1])
        )
    )


def run(x, target, task, **changes):
    spec = TrainSpec(
        budget=changes.pop("budget", "quick"),
        prefer=changes.pop("prefer", "accuracy"),
        max_seconds=changes.pop("max_seconds", None),
        folds=changes.pop("asked", None),
    )
    x = x.astype(np.float32)
    classes = {"binary": 2, "regression": 0}.get(task, int(target.max()) + 1)
    rows = TrainingRows(
        x=x,
        target=target,
        weight=changes.pop("weight", np.ones(len(x))),
        encoder=encoder_of(x, changes.pop("codes", ())),
        task=task,
        classes=tuple(f"class {i}" for i in range(classes)),
        folds=changes.pop("folds", folds_of(len(x))),
        seed=11,
    )
    return train(rows, spec, **({"report": lambda _: None} | changes))


@pytest.fixture(scope="module", params=TASKS)
def mixed(request):
    """Train once a task, with the usual budget, on the awkward table."""
    x, target, weight = mixed_rows(request.param, n=600)
    return (
        request.param,
        x,
        target,
        weight,
        run(x, target, request.param, weight=weight, codes=CODES, budget="normal"),
    )


@pytest.mark.slow
def test_trials_are_those_of_the_budget_best_first(mixed):
    """People read them from the top, and each has its interval."""
    *_, training = mixed
    losses = [trial.loss for trial in training.trials]

    bought = {"lgb", "lgb_s", "lgb_xt", "lgb_a", "xgb", "xgb_s", "lin_s", "lin"}

    assert bought == {trial.name for trial in training.trials}
    assert sorted(losses) == losses
    assert all(trial.low < trial.loss < trial.high for trial in training.trials)
    assert {one.trial for one in training.executed.members} <= {trial.name for trial in training.trials}


def test_the_native_model_reads_back_and_tells_new_rows(mixed):
    """What is kept is a model for the whole table."""
    task, _, target, _, training = mixed
    fresh, truth, _ = mixed_rows(task, n=600, seed=8)
    scores = read_native(training.native).scores(fresh)

    if task == "regression":
        assert mean_squared_error(truth, scores) < 0.4 * truth.var()
    else:
        shares = np.bincount(target) / len(target)
        assert log_loss(truth, scores) < 0.7 * -np.sum(shares * np.log(shares))


def test_out_of_fold_scores_are_honest_about_new_rows(mixed):
    """They choose settings, calibration and threshold, so they must not be hopeful."""
    task, _, target, weight, training = mixed
    fresh, truth, _ = mixed_rows(task, n=4_000, seed=8)
    scores = calibrate(training.calibration, read_native(training.native).scores(fresh))
    if task == "regression":
        judged, new = mean_squared_error(target, training.out_of_fold), mean_squared_error(truth, scores)
    else:
        judged, new = log_loss(target, training.out_of_fold, sample_weight=weight), log_loss(truth, scores)

    assert new == pytest.approx(judged, rel=0.2)


def test_the_task_decides_what_else_is_learned(mixed):
    """An interval for numbers; where decisions change is chosen after the training."""
    task, *_, training = mixed

    assert (task == "regression") == (training.half_width is not None) == (training.band is not None)
    assert {"lightgbm", "scikit-learn"} <= set(training.libraries)


@pytest.mark.parametrize(
    ("load", "task", "splits"),
    [
        (load_breast_cancer, "binary", 3),
        (load_wine, "multiclass", 3),
        (load_digits, "multiclass", 1),
        (load_diabetes, "regression", 3),
    ],
    ids=["breast_cancer", "wine", "digits", "diabetes"],
)
def test_even_quick_training_beats_the_defaults_of_the_library(load, task, splits):
    """On a third of the rows of known tables, all splits together."""
    x, target = load(return_X_y=True)
    x = x.astype(np.float32)
    kind = {"objective": task} | ({"num_class": int(target.max()) + 1} if task == "multiclass" else {})
    own, library = 0.0, 0.0
    for seed in range(splits):
        learn = np.random.default_rng(seed).random(len(x)) < 2 / 3
        training = run(x[learn], target[learn].astype(float if task == "regression" else int), task)
        scores = calibrate(training.calibration, read_native(training.native).scores(x[~learn]))
        data = lgb.Dataset(x[learn], target[learn])
        plain = lgb.train({**kind, "num_threads": 1, "verbosity": -1}, data, 100).predict(x[~learn])
        loss = mean_squared_error if task == "regression" else log_loss
        own, library = own + loss(target[~learn], scores), library + loss(target[~learn], plain)

    assert own < library


def scripted(*, linear=(1.0, 0.0), boosted=(1.0, 0.0), rounds=10):
    """Return trainers whose models are known: margin = slope * column 0 + offset."""
    return {
        "linear": ScriptedTrainer(slope=(linear[0],), offset=(linear[1],)),
        "lightgbm": ScriptedTrainer(slope=(boosted[0],), offset=(boosted[1],), rounds=rounds),
    }


def coin(n=1_000, *, seed=0):
    """Rows whose honest log-odds are twice column 0."""
    chance = np.random.default_rng(seed)
    x = chance.normal(size=(n, 2)).astype(np.float32)
    return x, (chance.random(n) < 1 / (1 + np.exp(-2 * x[:, 0]))).astype(np.int64)


def test_no_model_is_judged_on_rows_that_it_learned_from():
    """Nor may early stopping watch rows that are learned; the refit takes all rows and watches none."""
    x, target = coin(100)
    x[:, 1] = np.arange(100)
    trainers = scripted()
    run(x, target, "binary", trainers=trainers)
    *crossed, refit = trainers["linear"].asked
    held = [set(asked["valid"][0][:, 1]) for asked in crossed]

    assert all(not set(asked["x"][:, 1]) & rows for asked, rows in zip(crossed, held, strict=True))
    assert set(range(100)) == set().union(*held)
    assert set(range(100)) == set(refit["x"][:, 1])
    assert refit["valid"] is None


def test_the_refit_gets_a_tenth_more_rounds_than_the_folds_found_best():
    """More rows bear more rounds."""
    x, target = coin()
    trainers = scripted(linear=(-1.0, 0.0), boosted=(2.0, 0.0), rounds=20)
    training = run(x, target, "binary", trainers=trainers)

    assert 22 == trainers["lightgbm"].asked[-1]["rounds"] == training.trials[0].rounds
    assert [None] * 5 == [asked["rounds"] for asked in trainers["lightgbm"].asked[:-1]]


def test_the_better_model_is_chosen_where_the_rows_can_tell():
    """And the reason has both losses."""
    x, target = coin()
    training = run(x, target, "binary", trainers=scripted(linear=(0.3, 0.0), boosted=(2.0, 0.0)))

    assert "lgb_s" == training.chosen
    assert isinstance(training.reason.choice, LowestLoss)
    assert training.trials[0].loss == training.reason.choice.loss
    assert training.reason.choice.next is not None
    assert ("lin", training.trials[1].loss) == (
        training.reason.choice.next.name,
        training.reason.choice.next.loss,
    )


def test_the_simpler_model_is_chosen_within_noise():
    """A thousand trees for the third digit are not worth their milliseconds."""
    x, target = coin()
    training = run(x, target, "binary", trainers=scripted(linear=(1.9, 0.0), boosted=(2.0, 0.0)))

    assert "lgb_s" == training.trials[0].name
    assert "lin" == training.chosen
    assert isinstance(training.reason.choice, Fastest)
    assert not training.reason.choice.best.is_surely_better


def test_losses_count_weights():
    """The loss is scikit-learn's weighted log-loss."""
    x, target = coin(400)
    weight = np.random.default_rng(4).choice([0.2, 1.0, 3.0], 400)
    trial = run(x, target, "binary", weight=weight, trainers=scripted()).trials[0]
    probability = 1 / (1 + np.exp(-x[:, 0].astype(np.float64)))

    assert trial.loss == pytest.approx(log_loss(target, probability, sample_weight=weight), rel=1e-5)


def test_intervals_of_losses_hold_the_truth_as_often_as_they_say():
    """95 of 100 times; the truth is known because the rows are made up."""
    z, step = np.linspace(-8, 8, 10_001, retstep=True)
    honest, shown = 1 / (1 + np.exp(-2 * z)), 1 / (1 + np.exp(-z))
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    truth = -np.sum(density * (honest * np.log(shown) + (1 - honest) * np.log(1 - shown))) * step
    held = 0
    for seed in range(200):
        x, target = coin(400, seed=seed)
        trial = run(x, target, "binary", trainers=scripted(), budget=TrialsBudget(trials=1)).trials[0]
        held += trial.low < truth < trial.high

    assert 180 <= held <= 199


def test_rows_without_weight_are_as_if_absent():
    """They are neither learned from nor judged."""
    x, target, _ = mixed_rows("binary", n=300)
    weight = np.where(np.arange(300) % 7 == 3, 0.0, 1.0)
    kept = np.flatnonzero(weight)
    place = np.full(300, -1)
    place[kept] = np.arange(len(kept))
    folds = [tuple(place[np.intersect1d(part, kept)] for part in pair) for pair in folds_of(300)]
    whole = run(x, target, "binary", weight=weight, codes=CODES)
    without = run(x[kept], target[kept], "binary", codes=CODES, folds=folds)

    assert without.trials == whole.trials
    assert without.native == whole.native
    assert np.isnan(whole.out_of_fold[weight == 0]).all()


def test_equal_weights_of_any_size_say_the_same():
    """A weight of two for every row is no information."""
    x, target, _ = mixed_rows("regression", n=200)
    once, twice = (run(x, target, "regression", codes=CODES, weight=np.full(200, w)) for w in (1.0, 2.0))

    assert once.native == twice.native
    assert once.trials == twice.trials


def test_with_forward_chaining_the_first_block_has_no_scores():
    """Nothing came before it."""
    x, target, _ = mixed_rows("binary", n=300)
    training = run(x, target, "binary", codes=CODES, folds=chained(300))

    assert np.isnan(training.out_of_fold[:60]).all()
    assert np.isfinite(training.out_of_fold[60:]).all()


def test_what_thresholds_are_chosen_by_comes_with_the_model():
    """Amounts are declared later: the calibrated out-of-fold probabilities and what each row counts are all that it takes."""
    x, target = coin(2_000)
    training = run(x, target, "binary", trainers=scripted(linear=(2.0, 0.0)))
    amounts = amounts_of(value_of(ValueSpec(true_positive=9, false_positive=-1)), 2_000, {}.__getitem__)
    found = choose_threshold(training.out_of_fold[:, 1], target, training.weight, amounts)

    assert 0.1 == pytest.approx(found.at)
    assert isinstance(found.reason, BreakEven)


def test_thirty_rows_with_two_in_a_class_are_enough():
    """Small tables get a model, and a modest one."""
    x, _ = coin(30)
    target = np.zeros(30, dtype=np.int64)
    target[[4, 17]] = 1
    for budget in ("quick", "normal"):
        training = run(x, target, "binary", budget=budget)

        assert np.isfinite(read_native(training.native).scores(x)).all()


def test_a_class_that_a_fold_could_not_learn_is_not_judged_there():
    """Both rows of a rare class may fall into one fold; what a model never saw says nothing about its settings."""
    x, target, _ = mixed_rows("multiclass", n=150)
    target = np.where(target == 2, 0, target)
    target[[5, 10]] = 2
    training = run(x, target, "multiclass", codes=CODES)

    assert [5, 10] == np.flatnonzero(np.isnan(training.out_of_fold[:, 0])).tolist()
    assert all(trial.loss < 2 for trial in training.trials)


def test_folds_that_say_nothing_are_left_out():
    """Early blocks of a rare event may hold one class only."""
    x, target = coin(200)
    target[:90] = 0
    training = run(x, target, "binary", folds=chained(200))

    assert np.isnan(training.out_of_fold[:120]).all()
    assert np.isfinite(training.out_of_fold[120:]).all()


@pytest.mark.parametrize("case", ["one class", "no folds", "one row"])
def test_too_few_rows_to_judge_are_refused(case):
    """With what was found, and what to do."""
    x, target = coin(40)
    changes = {
        "one class": {"target": 0 * target},
        "no folds": {"folds": []},
        "one row": {"x": x[:1], "target": target[:1], "folds": folds_of(1)},
    }[case]
    arguments = {"x": x, "target": target} | changes

    with pytest.raises(SpecError, match=r"too few training rows to judge a model on.*bring more rows"):
        run(arguments.pop("x"), arguments.pop("target"), "binary", **arguments)


def test_a_table_without_features_is_refused():
    """Everything was excluded."""
    with pytest.raises(SpecError, match="no column is left to learn from"):
        run(np.empty((40, 0)), np.arange(40) % 2, "binary")


def test_weights_that_are_all_zero_are_refused():
    """There is nothing to learn from."""
    x, target = coin(40)

    with pytest.raises(SpecError, match="no training row has a weight above 0"):
        run(x, target, "binary", weight=np.zeros(40))


def test_a_constant_numeric_target_is_learned():
    """Dull, but not an error."""
    x, _ = coin(60)
    training = run(x, np.full(60, 7.5), "regression")

    np.testing.assert_allclose(7.5, read_native(training.native).scores(x))
    assert training.half_width == pytest.approx(0, abs=1e-9)


def test_a_cap_on_seconds_stops_and_says_what_to_do():
    """A clock never decides which model comes out: it is all or nothing."""
    x, target = coin(60)
    ticks = iter(range(0, 1_000, 10))

    with pytest.raises(Terminal, match=r"40\.0 seconds after 3 of 11 fits.*allowed: 35 seconds.*budget"):
        run(x, target, "binary", max_seconds=35, clock=lambda: float(next(ticks)))


def test_a_cap_that_is_not_reached_changes_nothing():
    """The same model with and without."""
    x, target = coin(60)

    assert run(x, target, "binary").native == run(x, target, "binary", max_seconds=3_600).native


def test_every_fit_is_reported_before_it_starts():
    """Who waits sees how far it is."""
    x, target = coin(60)
    seen = []
    run(x, target, "binary", report=seen.append)
    fits = [progress for progress in seen if progress.trial is None]

    assert list(range(11)) == [progress.done for progress in fits]
    assert {11} == {progress.of for progress in seen}
    assert "lin: fold 1 of 5" == fits[0].says


def test_the_interval_holds_nine_of_ten_new_numbers():
    """At least: by the theorem, on average over training sets."""
    x, target, _ = mixed_rows("regression", n=500)
    training = run(x, target, "regression", codes=CODES)
    fresh, truth, _ = mixed_rows("regression", n=5_000, seed=9)
    low, high = ends(training.band, read_native(training.native).scores(fresh))

    assert 0.87 < ((low <= truth) & (truth <= high)).mean() < 0.94


@settings(max_examples=60)
@given(
    st.sampled_from(["quick", "normal", "thorough"]),
    st.integers(1, 2_000_000),
    st.integers(1, 500),
    st.integers(1, 20),
)
def test_plans_are_bounded_and_grow_with_the_budget(budget, rows, width, outputs):
    """Rounds come from the table's size alone; a faster learning rate makes up for fewer, and of several classes its steps are bounded."""
    plan = planned(budget, Size(rows=rows, width=width, outputs=outputs))
    larger = planned(budget, Size(rows=2 * rows, width=width, outputs=outputs))
    table = {setting.name: setting.settings for setting in SETTINGS}
    for setting, other in zip(plan, larger, strict=True):
        if setting.family == "linear":
            continue
        rate, base = setting.settings["learning_rate"], table[setting.name]["learning_rate"]

        assert 60 <= setting.settings["rounds"] <= 2_000
        assert base <= rate <= 4.5 * base + 1e-4
        assert rate <= other.settings["learning_rate"]
        own = set(setting.settings) - {"rounds", "patience"}
        assert own - set(table[setting.name]) <= {"max_delta_step"}
        assert set(table[setting.name]) <= own
        is_far = rate > 2 * base + 1e-4
        may_be_bounded = outputs > 1 and setting.family == "lightgbm" and rate > 2 * base - 1e-4
        assert is_far * may_be_bounded <= ("max_delta_step" in own) <= may_be_bounded


def test_a_budget_of_trials_takes_the_first_of_the_table():
    """So that one more trial never changes the ones before."""
    plans = [planned(TrialsBudget(trials=n), Size(rows=500, width=5, outputs=1)) for n in (1, 2, 99)]

    assert "lgb" == plans[0][0].name
    assert plans[0] == plans[1][:1]
    assert plans[1] == plans[2][:2]
    assert len(SETTINGS) == len(plans[2])


def test_every_setting_has_a_trainer_and_a_name_of_its_own():
    """The table is data; a slip in it would show only in use."""
    assert {setting.family for setting in SETTINGS} <= set(TRAINERS)
    assert len(SETTINGS) == len({setting.name for setting in SETTINGS})


def test_more_trials_than_the_table_has_are_sought_near_the_best():
    """Every setting of the table trains; what comes after is named after the best with trees, and is the same each time."""
    x, target, weight = mixed_rows("multiclass", n=120)
    budget = TrialsBudget(trials=len(SETTINGS) + 3)
    rows = {"weight": weight, "codes": CODES, "budget": budget, "folds": folds_of(120, 2)}
    training, again = (run(x, target, "multiclass", **rows) for _ in range(2))
    names = {trial.name for trial in training.trials}
    sought = names - {setting.name for setting in SETTINGS}
    best = next(trial.name for trial in training.trials if trial.rounds and trial.name not in sought)

    assert len(SETTINGS) + 3 == len(names)
    assert {f"{best}.{number}" for number in (1, 2, 3)} == sought
    assert training.native == again.native
    assert training.trials == again.trials


def test_large_tables_are_judged_on_fewer_folds():
    """One fold of a million rows tells as much as five of ten thousand; the latest is taken."""
    sizes = [Size(rows=rows, width=30, outputs=1) for rows in (1_000, 100_000, 300_000, 5_000_000)]

    assert [5, 5, 3, 1] == [folds_judged("normal", size, 5) for size in sizes]
    assert [2, 2, 2, 1] == [folds_judged("normal", size, 2) for size in sizes]


def complementary(n=1_500):
    """Numbers that two columns say together, and trainers of which each knows one of them well."""
    chance = np.random.default_rng(5)
    x = chance.normal(size=(n, 2)).astype(np.float32)
    return x, 2.0 * x[:, 0].astype(np.float64) + chance.normal(size=n)


def test_members_are_refitted_once_to_all_rows():
    """With the rounds that the record names; what is executed is what is said."""
    x, target = complementary()
    trainers = {
        "linear": ScriptedTrainer(slope=(3.0,), offset=(0.5,)),
        "lightgbm": ScriptedTrainer(slope=(1.0,), offset=(-0.5,), rounds=10),
        "xgboost": ScriptedTrainer(slope=(0.0,), offset=(0.0,), rounds=10),
    }
    training = run(x, target, "regression", budget="normal", trainers=trainers)
    members = training.executed.members
    refits = [one for trainer in trainers.values() for one in trainer.asked if one["valid"] is None]

    assert isinstance(read_native(training.native), EnsembleFitted)
    assert len(members) == len(refits) == 2
    assert all(len(target) == len(one["x"]) for one in refits)
    assert {0, 11} == {one.rounds for one in members}
    assert 1 == pytest.approx(sum(one.weight for one in members))
    assert 5 == training.executed.folds
    assert mean_squared_error(target, training.out_of_fold) == pytest.approx(
        mean_squared_error(target, read_native(training.native).scores(x))
    )


@pytest.mark.parametrize(("asked", "judging"), [(None, 3), (5, 5)])
def test_folds_that_a_person_asks_for_judge(asked, judging):
    """Of a dear table fewer judge than there are, unless the line says how many; a card told of thousands of rows that it did not explain."""
    x, target = complementary(2_000)
    wide = np.hstack([x, np.zeros((len(x), 1_000), dtype=np.float32)])
    trainers = {
        "linear": ScriptedTrainer(slope=(1.0,), offset=(0.0,)),
        "lightgbm": ScriptedTrainer(slope=(3.0,), offset=(0.5,), rounds=10),
    }
    training = run(wide, target, "regression", trainers=trainers, asked=asked)

    assert (judging, 5) == (training.executed.folds, training.executed.of)


@pytest.mark.parametrize(("rounds", "asked", "judging"), [(10, None, 5), (400, None, 3), (400, 5, 5)])
def test_fewer_folds_judge_where_trees_take_many_rounds(rounds, asked, judging):
    """The first setting tells what all will cost; no fold is fitted twice for it."""
    x, target = complementary(2_000)
    wide = np.hstack([x, np.zeros((len(x), 150), dtype=np.float32)])
    trainers = {
        "linear": ScriptedTrainer(slope=(3.0,), offset=(0.5,)),
        "lightgbm": ScriptedTrainer(slope=(1.0,), offset=(-0.5,), rounds=rounds),
        "xgboost": ScriptedTrainer(slope=(0.0,), offset=(0.0,), rounds=rounds),
    }
    training = run(wide, target, "regression", budget="normal", trainers=trainers, asked=asked)
    judged = [one for trainer in trainers.values() for one in trainer.asked if one["valid"] is not None]

    assert (judging, 5) == (training.executed.folds, training.executed.of)
    assert judging * len(training.trials) == len(judged)
    assert judging * len(target) == 5 * np.isfinite(training.out_of_fold).sum()


@pytest.mark.parametrize(("budget", "prefer"), [("normal", "small"), ("quick", "accuracy")])
def test_one_model_where_it_is_asked_for(budget, prefer):
    """Who prefers a small model, or a quick training, gets one; what the small one costs is said."""
    x, target = complementary()
    trainers = {
        "linear": ScriptedTrainer(slope=(3.0,), offset=(0.5,)),
        "lightgbm": ScriptedTrainer(slope=(1.0,), offset=(-0.5,), rounds=10),
        "xgboost": ScriptedTrainer(slope=(0.0,), offset=(0.0,), rounds=10),
    }
    training = run(x, target, "regression", budget=budget, prefer=prefer, trainers=trainers)

    assert not isinstance(read_native(training.native), EnsembleFitted)
    assert 1 == len(training.executed.members)
    assert (training.reason.small is not None and training.reason.small.best is not None) is (
        prefer == "small"
    )


def test_progress_says_which_is_best_so_far():
    """Who waits sees what it is worth."""
    x, target = coin(60)
    seen = []
    run(x, target, "binary", report=seen.append, trainers=scripted())
    fits = [progress.says for progress in seen if progress.trial is None]

    assert "lgb_s: fold 1 of 5; best so far lin, log-loss" in fits[5]


@pytest.mark.parametrize(
    ("budget", "stages"),
    [("quick", {0}), ("normal", {0}), ("thorough", {2, 1, 0}), (TrialsBudget(trials=10), {1, 0})],
)
def test_who_waits_is_told_of_stages_that_may_follow(budget, stages):
    """The time left is that of the fits that are planned; what is sought near the best is planned when the best is known."""
    x, target = complementary(600)
    seen = []
    trainers = {**scripted(), "xgboost": ScriptedTrainer(slope=(0.5,), offset=(0.0,), rounds=10)}
    run(x, target, "regression", budget=budget, report=seen.append, trainers=trainers)
    left = [progress.stages_left for progress in seen]

    assert stages == set(left)
    assert left == sorted(left, reverse=True)
    # Only where more may follow does the total grow.
    for before, after in pairwise(seen):
        assert before.of == after.of or before.stages_left > after.stages_left


FRESH = """
import hashlib
import numpy as np
from linewright.features.facts import Category, Encoder, Number
from linewright.model.spec import TrainSpec, TrialsBudget
from linewright.model.train.fit import TrainingRows, train
from linewright.testing.trainers import CODES, TASKS, class_count, mixed_rows
encoder = Encoder(encodings=tuple(
    Category(column=str(i), levels=()) if i in CODES else Number(column=str(i)) for i in range(6)))
for task in TASKS:
    x, target, weight = mixed_rows(task, n=90)
    part = np.arange(90) % 3
    folds = [(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in range(3)]
    budget = {"binary": TrialsBudget(trials=10), "multiclass": "quick", "regression": "normal"}[task]
    rows = TrainingRows(x=x, target=target, weight=weight, encoder=encoder, task=task,
        classes=tuple("abc"[:class_count(task)]), folds=folds, seed=3)
    made = train(rows, TrainSpec(budget=budget), report=lambda _: None)
    print(hashlib.sha256(made.native).hexdigest(), made.chosen, made.reason, made.calibration,
        made.half_width, made.trials)
"""


def test_training_is_the_same_in_fresh_processes():
    """The digest of a model is that of its inputs, whatever the hash seed or the number of threads."""
    printed = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", FRESH],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": seed},
        ).stdout
        for seed in ("1", "2")
    ]

    assert 3 == len(printed[0].splitlines())
    assert printed[0] == printed[1]
