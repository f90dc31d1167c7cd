"""Theta and trees are weighed by a backtest, and intervals hold what they say."""

import numpy as np
import pytest

from linewright.errors import Terminal
from linewright.features.series import encode_series
from linewright.model.forecast.cuts import SeriesRows, cuts_of, whole_series
from linewright.model.forecast.learn import learn_forecast
from linewright.model.forecast.parity import parity_of_steps
from linewright.model.metrics.definitions import metric, metrics_of
from linewright.model.metrics.estimate import difference_of
from linewright.model.onnx.session import open_graph
from linewright.model.tasks.forecast import FORECAST
from linewright.model.tasks.horizons import (
    MORE,
    PARTS,
    Horizons,
    horizons_of,
    scaled_errors,
    shares_covered,
)
from linewright.text.steps import DAY, step_names, time_parts

H, SEASON, LENGTH = 4, 6, 48


def series(many: int, length: int, *, seed: int) -> np.ndarray:
    chance = np.random.default_rng(seed)
    t = np.arange(length)
    week = 1 + 0.3 * np.sin(2 * np.pi * (t + chance.integers(0, SEASON, (many, 1))) / SEASON)
    level = chance.uniform(10, 1000, (many, 1)) * np.exp(
        np.cumsum(chance.normal(0, 0.02, (many, length)), axis=1)
    )
    return level * week * np.exp(chance.normal(0, 0.05, (many, length)))


def rows_at_end(values: np.ndarray) -> SeriesRows:
    n = len(values)
    return SeriesRows(
        series=np.arange(n),
        at=np.full(n, values.shape[1] - H - 1),
        values=values[:, -LENGTH - H : -H],
        target=values[:, -H:],
        known=np.empty((n, 0, H)),
    )


@pytest.fixture(scope="module")
def learned():
    values = series(150, LENGTH + 2 * H, seed=1)
    return values, learn_forecast(rows_at_end(values[:, :-H]), season=SEASON, seed=3)


def scores_of(values: np.ndarray, found) -> np.ndarray:
    x = encode_series(values, np.empty((len(values), 0)), np.zeros(len(values), dtype=np.int64), found.layout)
    graph = open_graph(found.graph, inputs=[("x", "float", found.layout.width)], outputs=None)
    return graph.run({"x": x}, len(x)).astype(np.float64)


def test_it_is_better_than_the_season_before_and_intervals_hold_nine_of_ten(learned):
    """On values that came after all that it has seen."""
    values, found = learned
    scores = scores_of(values[:, -LENGTH - H : -H], found)
    truth = values[:, -H:]

    assert scaled_errors(truth, scores).mean() < 0.9
    assert 0.84 < shares_covered(truth, scores).mean() < 0.96
    assert metric("owa", "forecast").function(truth, scores, np.ones(len(truth))) < 0.9


def test_the_best_of_the_backtest_is_chosen(learned):
    """Its trials are told, the best first."""
    found = learned[1]
    losses = [trial.loss for trial in found.trials]

    assert sorted(losses) == losses
    assert {"naive", "theta", "trees"} <= {trial.name for trial in found.trials}
    assert 1 == pytest.approx(sum(one.weight for one in found.executed.members))


def test_the_same_rows_and_seed_give_the_same_bytes(learned):
    """A rebuild is equal to the byte."""
    again = learn_forecast(rows_at_end(learned[0][:, :-H]), season=SEASON, seed=3)

    assert learned[1].graph == again.graph


def test_rows_are_put_together_to_whole_series_again():
    """Rows overlap, and a value that no row has is missing."""
    values = np.arange(20.0)
    rows = SeriesRows(
        series=np.array([0, 0]),
        at=np.array([9, 13]),
        values=np.stack([values[5:10], values[9:14]]),
        target=np.stack([values[10:12], values[14:16]]),
        known=np.empty((2, 0, 2)),
    )
    (whole,) = whole_series(rows)
    cuts = cuts_of([whole], [np.array([3])], length=5, horizon=2)

    assert np.array_equal(values[5:16], whole.values)
    assert [5.0, 6.0, 7.0] == cuts.values[0, 2:].tolist()
    assert [8.0, 9.0] == cuts.target[0].tolist()


def test_few_values_are_forecast_without_trees():
    """There is too little to learn from, and that is no error."""
    values = series(1, 40, seed=2)
    rows = SeriesRows(
        series=np.zeros(1, dtype=np.int64),
        at=np.array([35]),
        values=values[:, :36],
        target=values[:, 36:],
        known=np.empty((1, 0, H)),
    )
    found = learn_forecast(rows, season=SEASON, seed=1)

    assert {"naive", "theta"} == {trial.name for trial in found.trials}


def test_the_rules_of_the_task():
    """Targets, answers and what answers say of scores go there and back."""
    names = step_names("1d", 2)
    newest = time_parts(np.array([10 * DAY]))[0]
    scores = np.array([[3.0, 4.0, 2.0, 2.5, 5.0, 6.0, 1.0, 1.0, 0.5, 12.0, *newest]])
    (answer,) = FORECAST.answers(scores, classes=names, threshold=None, band=None)

    assert ["1970-01-12", "1970-01-13"] == answer["times"]
    assert np.array_equal(scores[:, :-3], horizons_of([answer])[:, :-3])
    assert [[1.0, 2.0]] == FORECAST.target(["[1,2,3]"], names).tolist()
    assert np.isnan(FORECAST.target(["[1]"], names)[0, 1])
    assert {"mase", "owa", "smape", "pinball", "coverage"} == set(metrics_of("forecast"))
    assert 1.0 == pytest.approx(FORECAST.row_loss(np.array([[3.5, np.nan]]), scores)[0])
    assert 2 == Horizons(scores).horizon


def test_a_package_that_answers_what_is_not_a_number_has_no_parity():
    """A comparison with NaN is never true, so it must not be asked for a difference that is too large."""

    class Broken:
        digest = "sha256:0"

        def scores(self, x):
            return np.full((len(x), 2 * PARTS + MORE), np.nan)

    with pytest.raises(Terminal, match="alone"):
        parity_of_steps(Broken(), b"", x=np.zeros((4, 3), np.float32))


def test_a_retraining_of_the_same_answers_has_a_bound():
    """Truths of many steps stay rows, however often they are taken."""
    truth = np.array([[3.0, 4.0], [5.0, np.nan], [6.0, 7.0]])
    scores = np.tile([3.0, 4.0, 2.0, 2.5, 5.0, 6.0, 1.0, 1.0, 0.5, 12.0, 0.0, 0.0, 0.0], (3, 1))
    same = difference_of(metric("mase", "forecast"), truth, scores, scores, weight=np.ones(3), clusters=None)

    assert same.unseen is not None
    assert 0 < same.unseen(0.95, 1) < np.inf


def test_times_go_through_the_graph_as_they_are(learned):
    """float32 holds neither a day written as a number nor the milliseconds of a time."""
    values, found = learned
    at = np.array([123_456_789, 1_767_299_696_123_456, -1])
    x = encode_series(values[:3], np.empty((3, 0)), at, found.layout)
    graph = open_graph(found.graph, inputs=[("x", "float", found.layout.width)], outputs=None)

    assert at.tolist() == Horizons(graph.run({"x": x}, 3).astype(np.float64)).newest.tolist()
