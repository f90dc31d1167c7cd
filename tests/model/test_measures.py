"""What is measured of rows has the standard error that textbooks give it, and a bound that chance rarely breaks."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewright.model.metrics.bootstrap import off_scale, on_scale
from linewright.model.metrics.definitions import METRICS, metric
from linewright.model.metrics.estimate import difference_of, error_of_means, measure_of, spreads

pytestmark = pytest.mark.usefixtures("processes")

HONESTY = Path(__file__).parents[2] / "benchmarks" / "honesty.py"


def spread_of(measure, n, *, units=None, seed=1, draws=400, weight=None, clusters=None):
    weight = np.ones(n) if weight is None else weight
    (found,) = spreads(
        [measure], units=[units or n], weight=weight, clusters=clusters, seed=seed, draws=draws
    )
    return found


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("are_grouped", [False, True])
def test_the_standard_error_of_a_mean_is_that_of_its_draws(seed, are_grouped):
    """With weights, and where whole groups are drawn: an independent way to the same number."""
    chance = np.random.default_rng(seed)
    values, weight = chance.gamma(2.0, size=(240, 1)), chance.integers(1, 4, size=240).astype(float)
    clusters = np.repeat(np.arange(80), 3) if are_grouped else None
    error = error_of_means(values, np.ones_like, weight=weight, clusters=clusters)
    units = 80 if are_grouped else 240
    times = chance.multinomial(units, np.full(units, 1 / units), size=1_000)
    weights = (np.repeat(times, 240 // units, axis=1)) * weight
    means = weights @ values[:, 0] / weights.sum(axis=1)

    assert means.std() == pytest.approx(error(weight[np.newaxis])[0], rel=0.15)


@pytest.mark.parametrize("name", [name for name, rule in METRICS.items() if rule.losses is not None])
def test_losses_of_rows_make_the_metric(name):
    """Else the standard error would be that of something else."""
    rule, chance = METRICS[name], np.random.default_rng(2)
    task, n = rule.tasks[0], 50
    truth = chance.integers(0, 2, size=n) if task == "binary" else 1 + chance.random(n)
    positive = chance.uniform(0.1, 0.9, size=n)
    said = np.column_stack([1 - positive, positive]) if task == "binary" else truth + chance.normal(size=n)
    weight = chance.integers(1, 4, size=n).astype(float)
    mean = np.average(rule.losses(truth, said), weights=weight)

    assert (np.sqrt(mean) if rule.is_root else mean) == pytest.approx(rule.function(truth, said, weight))


def test_the_error_of_a_difference_of_roots_is_that_of_its_draws():
    """Two models on the same rows: what they share cancels in the error as it does in the draws."""
    chance = np.random.default_rng(4)
    truth = chance.normal(size=400)
    said = truth + chance.normal(size=400)
    measure = difference_of(
        *(metric("rmse", "regression"), truth, said, said + 0.3), weight=np.ones(400), clusters=None
    )
    spread = spread_of(measure, 400, draws=2_000)

    assert spread.drawn.std() == pytest.approx(spread.error, rel=0.1)


@pytest.mark.parametrize(("heavy", "least"), [(False, 0.90), (True, 0.87)])
def test_bounds_of_squared_errors_see_the_large_ones_that_are_missing(heavy, least):
    """Fifty rows seldom hold the rare large errors: percentiles of them end too low in every tenth test part or more."""
    chance, covered, by_percentile = np.random.default_rng(5), 0, 0
    true = np.sqrt(5 / 3 if heavy else 1.0) * np.sqrt(1.25 + 2 / np.sqrt(2 * np.pi))
    rule, n = metric("rmse", "regression"), 50
    for seed in range(300):
        noise = chance.standard_t(5, size=n) if heavy else chance.normal(size=n)
        errors = noise * (0.5 + np.abs(chance.normal(size=n)))
        spread = spread_of(
            measure_of(rule, errors, np.zeros(n), weight=np.ones(n), clusters=None), n, seed=seed
        )
        low, high = spread.interval()
        covered += low <= true <= high
        low, high = replace(spread, scale="unknown", error=None, errors=None).interval()
        by_percentile += low <= true <= high

    assert least <= covered / 300
    assert by_percentile < covered - 0.02 * 300


def test_chance_does_not_beat_the_baseline_on_average_precision():
    """It is too high of few positives, and higher still of rows drawn twice: percentiles promoted every sixth model of noise."""
    chance, rule, n, promoted, by_percentile = (
        *(np.random.default_rng(6), metric("average_precision", "binary"), 200),
        *(0, 0),
    )
    guess = np.tile([0.8, 0.2], (n, 1))
    for seed in range(200):
        truth, positive = (chance.random(n) < 0.2).astype(int), chance.random(n)
        scores = np.column_stack([1 - positive, positive])
        spread = spread_of(
            difference_of(rule, truth, scores, guess, weight=np.ones(n), clusters=None),
            *(n,),
            units=int(truth.sum()),
            seed=seed,
        )
        promoted += spread.lower(0.95) > 0
        by_percentile += replace(spread, scale="unknown").lower(0.95) > 0

    assert promoted / 200 <= 0.08
    assert by_percentile / 200 > 0.10


@given(st.floats(1e-6, 1 - 1e-6), st.sampled_from(["linear", "log", "logit"]))
def test_a_value_comes_back_from_its_scale(value, scale):
    """Bounds are sought there and told here."""
    place, _ = on_scale(np.array([value]), scale)

    assert value == pytest.approx(off_scale(float(place[0]), scale))


@pytest.mark.parametrize("errors", [np.zeros(30), np.r_[np.zeros(28), 1.0, 2.0]])
def test_errors_of_few_rows_or_none_still_have_an_order(errors):
    """Draws without an error have no logarithm, and none of their own."""
    measure = measure_of(metric("mae", "regression"), errors, np.zeros(30), weight=np.ones(30), clusters=None)
    spread = spread_of(measure, 30)
    low, high = spread.interval()

    assert 0 <= low <= spread.value <= high


def test_a_small_part_of_the_honesty_benchmark_comes_to_its_end(capsys, monkeypatch):
    """The table in `benchmarks/README.md` could otherwise not be printed any more."""
    spec = importlib.util.spec_from_file_location("honesty", HONESTY)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "honesty", module)
    spec.loader.exec_module(module)
    module.FRESH, module.SETTINGS = 2_000, module.SETTINGS[:1]
    module.WORLDS = module.WORLDS[:1]
    monkeypatch.setattr(
        sys, "argv", ["honesty.py", "--draws", "3", "--runs", "2", "--only", "coverage", "beside", "shuffled"]
    )
    module.main()
    lines = capsys.readouterr().out.splitlines()

    assert 3 == sum(line.startswith("| 10 % positive | 500 | ") and "%" in line for line in lines[:9])
    assert lines[-1].startswith("| 30 % positive | average_precision | ")


@pytest.mark.parametrize(("right", "is_sure"), [(30, False), (300, True)])
def test_few_rows_that_are_decided_otherwise_may_hide_that_some_are_wrong(right, is_sure):
    """Where a model is right on each row on which two differ, all draws agree, and a difference of next to nothing was sure."""
    truth = np.repeat([0, 1], [930, 70])
    said, other = np.ones(1_000, dtype=np.int64), np.ones(1_000, dtype=np.int64)
    said[:right] = 0
    (found,) = spreads(
        [difference_of(metric("f1", "binary"), truth, said, other, weight=np.ones(1_000), clusters=None)],
        units=[70],
        weight=np.ones(1_000),
        clusters=None,
        seed=3,
    )

    assert found.value > 0
    assert is_sure == (found.lower(0.95) > 0)
    assert found.upper(0.95) >= found.value
