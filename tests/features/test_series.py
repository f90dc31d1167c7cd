"""What a forecast is made of comes of the row's own values alone."""

import numpy as np
import pytest

from linewright.features.series import Layout, encode_series, fill_gaps
from linewright.text.steps import DAY, season_of, step_numbers, step_of, times_ahead

H = 6


def parts(values, season: int = 4, *, at: int = 0):
    layout = Layout(horizon=H, season=season, known=0)
    x = encode_series(
        np.atleast_2d(np.asarray(values, dtype=np.float64)),
        np.empty((len(np.atleast_2d(values)), 0)),
        np.full(len(np.atleast_2d(values)), at),
        layout,
    )
    return {
        name: x[:, layout.of(name)].astype(np.float64)
        for name in (
            "theta",
            "naive",
            "naive2",
            "factor",
            "added",
            "center",
            "unit",
            "scale",
            "usable",
            "spread",
            "floor",
        )
    }


def said(found) -> np.ndarray:
    plain = found["center"] + found["unit"] * found["theta"]
    return plain * found["factor"] + found["added"]


def test_a_season_that_multiplies_is_found_and_said_ahead():
    """The next value has the phase of the value one season before."""
    factor = np.array([0.5, 1.5, 1.2, 0.8])
    values = 100 * np.tile(factor, 10)
    found = parts(values)

    assert np.allclose(values[:H], said(found)[0], rtol=0.02)
    assert np.allclose([50, 150, 120, 80, 50, 150], found["naive"][0])
    assert 1 == found["usable"][0, 0]


def test_a_season_of_values_around_0_adds():
    """A factor of values of both signs means nothing."""
    values = np.tile([-5.0, 5.0, 2.0, -2.0], 10)
    found = parts(values)

    assert np.allclose(values[:H], said(found)[0], atol=0.3)
    assert (found["factor"] == 1).all()


def test_without_a_season_none_is_made_up():
    """Noise has one by chance in few of the series."""
    values = 100 + np.random.default_rng(1).normal(size=(400, 40))

    assert (parts(values)["factor"] == 1).all(axis=1).mean() > 0.85


def test_a_trend_goes_on_at_half_its_slope():
    """That is what Theta is."""
    values = np.arange(40.0)
    step = np.diff(said(parts(values, season=1))[0])

    assert np.allclose(0.5, step, atol=0.05)


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0, 5.0], [0.0] * 30, [1e-20] * 9, [1e30, -1e30, 1e30]])
def test_any_values_give_finite_numbers_and_a_scale_above_0(values):
    """Nothing is divided by 0, and float32 holds all of it."""
    found = parts(values)

    for name, part in found.items():
        assert np.isfinite(part).all(), name
    assert (found["scale"] > 0).all()
    assert (found["unit"] > 0).all()


def test_padding_in_front_changes_nothing():
    """A series is as long as its values."""
    values = np.random.default_rng(2).gamma(3, size=30)
    alone = parts(values)
    padded = parts(np.concatenate([np.full(50, np.nan), values]))

    for name, part in alone.items():
        assert np.allclose(part, padded[name], rtol=1e-6), name


def test_a_gap_is_on_the_line_between_its_neighbours():
    """What is missing before the first value stays missing."""
    filled = fill_gaps(np.array([[np.nan, 1.0, np.nan, 3.0], [1.0, 2.0, 3.0, 4.0]]))

    assert [2.0] == filled[0, 2:3].tolist()
    assert np.isnan(filled[0, 0])


def test_steps_of_time_are_counted_and_go_on():
    """Months differ in length."""
    times = np.array(["2025-01-31", "2025-02-28", "2025-03-31"], dtype="datetime64[us]").astype(np.int64)

    assert [1, 1] == np.diff(step_numbers(times, "month")).tolist()
    assert "month" == step_of(float(np.median(np.diff(times))))
    assert ["2025-02-28", "2025-03-31"] == times_ahead(int(times[0]), "month", 2)
    assert ["2025-01-31T06:00:00Z"] == times_ahead(int(times[0]), "6h", 1)
    assert [5] == times_ahead(4, "1", 1)
    assert (24, 7, 12, 1) == tuple(season_of(one) for one in ("1h", "1d", "month", "year"))
    assert "1w" != step_of(7.0 * DAY) == "7d"
