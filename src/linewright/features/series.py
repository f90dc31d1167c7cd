"""From the recent values of a series to what a forecast is made of: season, level, Theta and naive forecasts, and the shape of the latest values.

The same code reads training rows and requests. All of a row comes from the values of that row before the cut; rows do not see each other.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from linewright.text.steps import time_parts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

FEW = 4
"""Values that say how far the next may be; of fewer the newest is what is said."""
LAGS = 12
"""Latest values that trees see, without season; those of one season if it is longer."""
_MOST_LAGS = 24
_SPANS = (3, 6, 12)
"""Latest values whose means trees see."""
_ALPHAS = np.array([0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99])
_Z = 1.645
"""A season is believed if the autocorrelation at its length is above what 95 % of series without one have."""
_LEAST_FACTOR = 0.01
_LEAST_SPREAD = 0.01
"""Of a series that hardly moves, in its unit: no interval is a point but that of zeros."""
_RIGHT = 1e-3
_TINY = 1e-12
_LARGEST = 3.0e38
_ROWS_AT_ONCE = 4_096


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The places of the columns of an encoded row.

    Examples
    --------
    >>> layout = Layout(horizon=2, season=1, known=1)
    >>> layout.width, layout.of("theta")
    (42, slice(10, 12, None))
    """

    horizon: int
    season: int
    known: int
    """Columns that are known ahead."""

    @cached_property
    def _slices(self) -> dict[str, slice]:
        sizes = {
            "time": 3,  # of the newest value, see `time_parts`
            "values": 1,  # that were read
            "usable": 1,  # whether there are enough of them for more than the naive forecast
            "floor": 1,
            "scale": 1,  # what errors are divided by
            "center": 1,
            "unit": 1,  # (forecast without season - center) / unit is what trees learn
            "spread": 1,  # what the width of intervals is in
            "theta": self.horizon,
            "naive": self.horizon,
            "naive2": self.horizon,
            "factor": self.horizon,
            "added": self.horizon,
            "known": self.horizon * self.known,
            "shape": self.shapes,
        }
        found: dict[str, slice] = {}
        start = 0
        for name, size in sizes.items():
            found[name] = slice(start, start + size)
            start += size
        return found

    @property
    def lags(self) -> int:
        """Latest values that trees see."""
        return max(LAGS, min(self.season, _MOST_LAGS))

    @property
    def shapes(self) -> int:
        """Columns that describe the latest values."""
        return self.lags + len(_SPANS) + 5

    @property
    def width(self) -> int:
        """All columns."""
        return self._slices["shape"].stop

    def of(self, name: str) -> slice:
        """Return the places of the columns of a part."""
        return self._slices[name]


def fill_gaps(values: Floats) -> Floats:
    """Return rows whose missing values between others are on the line between these; those before the first stay missing.

    Examples
    --------
    >>> fill_gaps(np.array([[np.nan, 1.0, np.nan, 3.0, np.nan]])).tolist()
    [[nan, 1.0, 2.0, 3.0, 3.0]]
    """
    known = ~np.isnan(values)
    starts = known.argmax(axis=1)
    is_whole = known.sum(axis=1) == values.shape[1] - starts
    if is_whole.all():
        return values
    filled = values.copy()
    places = np.arange(values.shape[1])
    for row in np.flatnonzero(~is_whole & known.any(axis=1)):
        here = known[row]
        after = places >= starts[row]
        filled[row, after] = np.interp(places[after], places[here], values[row, here])
    return filled


def encode_series(values: Floats, known: Floats, at: Ints, layout: Layout) -> NDArray[np.float32]:
    """Return encoded rows."""
    n = len(values)
    x = np.empty((n, layout.width), dtype=np.float32)
    for start in range(0, n, _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        x[part] = _encoded(fill_gaps(values[part]), known[part], at[part], layout)
    return x


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rows:
    """Rows of recent values, and what follows from which of them are there."""

    y: Floats
    """Shape (n, length), NaN before the first value of a series."""

    @cached_property
    def is_known(self) -> Flags:
        return ~np.isnan(self.y)

    @cached_property
    def count(self) -> Ints:
        return self.is_known.sum(axis=1)

    @cached_property
    def zeroed(self) -> Floats:
        return np.where(self.is_known, self.y, 0.0)

    @cached_property
    def t(self) -> Floats:
        """Time, 0 in the middle of each row's values."""
        length = self.y.shape[1]
        middle = (self.count[:, np.newaxis] - 1) / 2
        return np.where(self.is_known, np.arange(length) - (length - 1) + middle, 0.0)

    def mean(self, values: Floats) -> Floats:
        """Return the mean of each row over its values that are there."""
        return np.where(self.is_known, values, 0.0).sum(axis=1) / np.maximum(self.count, 1)

    @cached_property
    def slope(self) -> Floats:
        return (self.t * self.zeroed).sum(axis=1) / np.maximum((self.t**2).sum(axis=1), 1.0)


def _phases(length: int, season: int) -> Ints:
    """Return which phase of the season each place of a row has: phase 0 is that of the value that comes next."""
    return (np.arange(length) - length) % season


def _encoded(y: Floats, known: Floats, at: Ints, layout: Layout) -> Floats:
    rows, season = _Rows(y=y), layout.season
    factor, added = _season(rows, season)
    phases = _phases(y.shape[1], season)
    plain = _Rows(y=(y - added[:, phases]) / factor[:, phases])
    theta, level, residual = _theta(plain, layout.horizon)
    unit = _unit(plain, season)
    ahead = np.arange(layout.horizon) % season
    factor_ahead, added_ahead = factor[:, ahead], added[:, ahead]
    x = np.zeros((len(y), layout.width))
    parts = {
        "time": time_parts(at),
        "values": rows.count,
        "usable": rows.count >= max(2 * season, FEW),
        "floor": np.where((rows.zeroed >= 0).all(axis=1), 0.0, -_LARGEST),
        "scale": _scale(rows, season, unit),
        "center": level,
        "unit": unit,
        "spread": np.where((rows.zeroed == 0).all(axis=1), 0.0, np.maximum(residual, _LEAST_SPREAD * unit)),
        "theta": (theta - level[:, np.newaxis]) / unit[:, np.newaxis],
        "naive": _naive(rows, layout.horizon, season),
        "naive2": plain.zeroed[:, -1:] * factor_ahead + added_ahead,
        "factor": factor_ahead,
        "added": added_ahead,
        "known": known,
        "shape": np.concatenate(
            [
                _shape(plain, level, unit, layout.lags),
                (residual / unit)[:, np.newaxis],
                (np.abs(factor - 1).mean(axis=1) + np.abs(added).mean(axis=1) / unit)[:, np.newaxis],
            ],
            axis=1,
        ),
    }
    for name, part in parts.items():
        x[:, layout.of(name)] = part if part.ndim == 2 else part[:, np.newaxis]
    return np.clip(x, -_LARGEST, _LARGEST)


def _shape(plain: _Rows, level: Floats, unit: Floats, lags: int) -> Floats:
    """Return the latest values and what sums them up, from the level and in the unit of their row."""
    n, length = plain.y.shape
    latest = np.full((n, lags), np.nan)
    taken = min(lags, length)
    latest[:, :taken] = plain.y[:, ::-1][:, :taken]
    z = (plain.y - level[:, np.newaxis]) / unit[:, np.newaxis]
    means = [_Rows(y=z[:, -span:]) for span in _SPANS]
    summed = [
        *(one.mean(one.y) for one in means),
        plain.mean(z),
        np.sqrt(plain.mean(z**2)),
        np.log1p(plain.count),
    ]
    return np.concatenate(
        [(latest - level[:, np.newaxis]) / unit[:, np.newaxis], np.stack(summed, axis=1)], axis=1
    )


def _unit(plain: _Rows, season: int) -> Floats:
    """Return the mean size of the latest values, of those that are all 0 of all values, and else 1."""
    latest = _Rows(y=plain.y[:, -max(season, _SPANS[1]) :])
    recent, whole = latest.mean(np.abs(latest.y)), plain.mean(np.abs(plain.y))
    return np.where(recent > _TINY, recent, np.where(whole > _TINY, whole, 1.0))


def _season(rows: _Rows, season: int) -> tuple[Floats, Floats]:
    """Return a factor and what is added for each phase, shape (n, season).

    A season is believed if the autocorrelation at its length, without the trend, is above what is usual without one; it multiplies if
    all values are above 0, and else adds.
    """
    n, length = rows.y.shape
    factor, added = np.ones((n, season)), np.zeros((n, season))
    if season < 2 or length < 2 * season:
        return factor, added
    taken = np.flatnonzero(_has_season(rows, season))
    if not len(taken):
        return factor, added
    part = rows.y[taken]
    smooth = _moving_mean(part, season)
    is_positive: Flags = np.asarray(~(part <= 0).any(axis=1))  # NaN is neither
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.where(is_positive[:, np.newaxis], part / smooth, part - smooth)
    phases = _phases(length, season)
    found = np.empty((len(taken), season))
    for phase in range(season):
        at_phase = apart[:, phases == phase]
        there = np.isfinite(at_phase)
        means = np.where(there, at_phase, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
        found[:, phase] = np.where(there.any(axis=1), means, is_positive)
    middle = found.mean(axis=1, keepdims=True)
    shares = found / np.where(is_positive[:, np.newaxis], middle, 1.0)
    factor[taken] = np.where(is_positive[:, np.newaxis], np.maximum(shares, _LEAST_FACTOR), 1.0)
    added[taken] = np.where(is_positive[:, np.newaxis], 0.0, found - middle)
    return factor, added


def _has_season(rows: _Rows, season: int) -> Flags:
    mean = rows.mean(rows.y)[:, np.newaxis]
    d = np.where(rows.is_known, rows.y - mean - rows.slope[:, np.newaxis] * rows.t, 0.0)
    total = np.maximum((d * d).sum(axis=1), _TINY)
    squares, last = np.zeros(len(d)), np.zeros(len(d))
    for lag in range(1, season + 1):
        last = (d[:, lag:] * d[:, :-lag]).sum(axis=1) / total
        if lag < season:
            squares += last**2
    usual = _Z * np.sqrt((1 + 2 * squares) / np.maximum(rows.count, 1))
    return (last > usual) & (rows.count >= 2 * season)


def _moving_mean(y: Floats, season: int) -> Floats:
    """Return the centred moving mean over one season; NaN if it does not lie within the series."""
    n, length = y.shape
    found, nothing = np.full((n, length), np.nan), np.zeros((n, 1))
    sums = np.cumsum(np.concatenate([nothing, np.nan_to_num(y)], axis=1), axis=1)
    gaps = np.cumsum(np.concatenate([nothing, np.isnan(y)], axis=1), axis=1)
    means = (sums[:, season:] - sums[:, :-season]) / season
    means[(gaps[:, season:] - gaps[:, :-season]) > 0] = np.nan
    if season % 2 == 0:
        means = (means[:, 1:] + means[:, :-1]) / 2
    half = season // 2
    found[:, half : half + means.shape[1]] = means
    return found


def _naive(rows: _Rows, horizon: int, season: int) -> Floats:
    """Return the value one season before each step; of shorter series the newest."""
    length = rows.y.shape[1]
    last = np.repeat(rows.zeroed[:, -1:], horizon, axis=1)
    if season < 2 or length < season:
        return last
    seasonal = rows.zeroed[:, length - season + np.arange(horizon) % season]
    return np.where((rows.count >= season)[:, np.newaxis], seasonal, last)


def _theta(plain: _Rows, horizon: int) -> tuple[Floats, Floats, Floats]:
    """Return Theta forecasts [1]_, the smoothed level, and the mean error of one step: exponential smoothing with half the slope of the trend [2]_.

    References
    ----------
    .. [1] V. Assimakopoulos and K. Nikolopoulos, The theta model: a decomposition approach to forecasting, International Journal of Forecasting
       16 (2000), 521-530.
    .. [2] R. J. Hyndman and B. Billah, Unmasking the Theta method, International Journal of Forecasting 19 (2003), 287-290.
    """
    n, length = plain.y.shape
    every, first = np.arange(n), length - plain.count
    start = plain.zeroed[every, np.minimum(first, length - 1)]
    level = np.repeat(start[:, np.newaxis], len(_ALPHAS), axis=1)
    squares, sizes = np.zeros_like(level), np.zeros_like(level)
    for place in range(length):
        here = (place > first)[:, np.newaxis]
        error = np.where(here, plain.zeroed[:, place, np.newaxis] - level, 0.0)
        squares += error**2
        sizes += np.abs(error)
        level += _ALPHAS * error
    best = squares.argmin(axis=1)
    alpha, smoothed, size = _ALPHAS[best], level[every, best], sizes[every, best]
    is_few = plain.count < FEW
    slope = np.where(is_few, 0.0, plain.slope)[:, np.newaxis]
    smoothed = np.where(is_few, plain.zeroed[:, -1], smoothed)
    begun = (1 - (1 - alpha) ** np.maximum(plain.count, 1)) / alpha
    drift = slope / 2 * (np.arange(horizon) + begun[:, np.newaxis])
    return smoothed[:, np.newaxis] + drift, smoothed, size / np.maximum(plain.count - 1, 1)


def _scale(rows: _Rows, season: int, unit: Floats) -> Floats:
    """Return the mean error of the seasonal naive forecast within each row; of a series that it is right about, a thousandth of its unit."""
    found = np.zeros(len(rows.y))
    for lag in sorted({1, season}):
        if rows.y.shape[1] > lag:
            both = rows.is_known[:, lag:] & rows.is_known[:, :-lag]
            errors = np.where(both, np.abs(rows.zeroed[:, lag:] - rows.zeroed[:, :-lag]), 0.0)
            mean = errors.sum(axis=1) / np.maximum(both.sum(axis=1), 1)
            found = np.where(both.any(axis=1), mean, found)
    return np.where(found > _RIGHT * unit, found, np.maximum(_RIGHT * unit, _TINY))
