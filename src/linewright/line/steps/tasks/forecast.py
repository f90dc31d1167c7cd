"""What the steps of a line that forecasts do with its rows."""

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from linewright.data.dataset.event_time import moments
from linewright.data.spec import RECENT, ForecastSpec
from linewright.data.table.series_rows import Steps
from linewright.features.encode import layout_of
from linewright.features.facts import Encoder, Level, SeriesPart, Window
from linewright.line.run_context import Work
from linewright.line.split_rows import label_text
from linewright.line.steps.tasks.forecast_labels import steps_in
from linewright.model.facts import Calibration, SumQuality, Trained
from linewright.model.forecast.cuts import SeriesRows
from linewright.model.forecast.learn import learn_forecast
from linewright.model.forecast.sums import quality_of_sums
from linewright.model.tasks.horizons import MORE
from linewright.text.lists import read_numbers, spelled, to_list_text
from linewright.text.steps import every_in, step_names, step_numbers

_LIBRARIES = ("lightgbm", "numpy", "onnx")


def train_forecast(work: Work, spec: ForecastSpec) -> Trained:
    """Learn what comes after recent values, from the training rows alone."""
    context, rows = work.factory.context, work.rows.train
    steps = steps_in(work.rows.frame, work.spec, spec)
    seed = context.seed(work.known["split"])
    taught = _series_rows(work, rows, spec, steps)
    levels = [sums_of(work, rows, keys) for keys in spec.levels]
    of_series = [_of_series(taught.series, one) for one in levels]
    found = learn_forecast(taught, season=steps.season, seed=seed, levels=of_series, report=context.report)
    shared = dict(zip(spec.levels, found.shared, strict=True))
    there = ~np.isnan(taught.target)
    means = np.where(there, taught.target, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return Trained(
        dataset=work.ingested.dataset,
        split=work.known["split"],
        task=work.rules.name,
        classes=(),
        encoder=_encoder(
            work,
            spec,
            steps,
            levels=tuple(Level(keys=keys, shared=one) for keys, one in shared.items()),
        ),
        trials=found.trials,
        chosen=found.trials[0].name,
        reason=found.reason,
        native=context.artifacts.put(found.graph),
        calibration=Calibration(),
        half_width=None,
        baseline=tuple(means.tolist()),
        rows=len(rows),
        seed=seed,
        libraries={name: version(name) for name in _LIBRARIES},
        executed=found.executed,
    )


def naive_scores(encoder: Encoder, x: np.ndarray) -> np.ndarray:
    """Return the forecast that every other is held against, for encoded rows: the value one season before each step."""
    window = encoder.window
    if window is None:
        raise TypeError(encoder)
    layout = layout_of(window)
    naive, other = x[:, layout.of("naive")], x[:, layout.of("naive2")]
    spread = x[:, layout.of("spread")]
    more = [x[:, layout.of(name)] for name in ("scale", "values", "time")]
    found = np.concatenate([naive, naive - spread, naive + spread, other, *more], axis=1).astype(np.float64)
    assert found.shape[1] == 4 * layout.horizon + MORE  # noqa: S101
    return found


def series_of(work: Work, rows: np.ndarray) -> np.ndarray:
    """Return a number for the series of each row."""
    group = work.spec.table.group
    if group is None:
        return np.zeros(len(rows), dtype=np.int64)
    names = [str(one) for one in label_text(work.rows.frame[rows], group)]
    return np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)[1]


def qualities_of_sums(work: Work, target: np.ndarray, scores: np.ndarray) -> tuple[SumQuality, ...]:
    """Return how good the sums of the forecasts of the test rows are, level by level."""
    window = work.trained.encoder.window
    rows, time = work.rows.test, str(work.spec.table.time)
    if window is None or not window.levels:
        return ()
    series = series_of(work, rows)
    at = step_numbers(moments(work.rows.frame[rows][time]).astype(np.int64), every_in(window.steps))
    return tuple(
        quality_of_sums(
            target,
            scores,
            at,
            _of_series(series, sums_of(work, rows, one.keys)),
            series,
            keys=one.keys,
            shared=one.shared,
        )
        for one in window.levels
    )


def sums_of(work: Work, rows: np.ndarray, keys: Sequence[str]) -> np.ndarray:
    """Return a number for the sum that each row is part of, where sums are of the series that are alike in `keys`."""
    frame = work.rows.frame[rows]
    names = [to_list_text(spelled(row)) for row in frame.select(keys).iter_rows()] if keys else []
    return (
        np.unique(np.asarray(names, dtype=str), return_inverse=True)[1]
        if keys
        else np.zeros(len(rows), dtype=np.int64)
    )


def _of_series(series: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Return the sum that each series is part of, from those of its rows."""
    first = np.unique(series, return_index=True)[1]
    return sums[first]


def _encoder(work: Work, spec: ForecastSpec, steps: Steps, *, levels: tuple[Level, ...]) -> Encoder:
    window = Window(
        recent=RECENT,
        time=str(work.spec.table.time),
        known=spec.known_ahead,
        steps=step_names(steps.every, spec.horizon),
        season=steps.season,
        length=steps.recent,
        levels=levels,
    )
    layout = layout_of(window)
    names = [RECENT] * layout.width
    time = layout.of("time")
    names[time] = [window.time] * (time.stop - time.start)
    known = layout.of("known")
    for number, name in enumerate(spec.known_ahead):
        start = known.start + number * spec.horizon
        names[start : start + spec.horizon] = [name] * spec.horizon
    return Encoder(
        encodings=tuple(
            SeriesPart(column=name, place=place, window=window if place == 0 else None)
            for place, name in enumerate(names)
        )
    )


def _series_rows(work: Work, rows: np.ndarray, spec: ForecastSpec, steps: Steps) -> SeriesRows:
    frame = work.rows.frame[rows]
    h = spec.horizon

    def numbers(name: str, length: int, *, is_newest: bool) -> np.ndarray:
        found = np.full((len(rows), length), np.nan)
        for row, text in enumerate(label_text(frame, name)):
            values = read_numbers(text or "[]")
            kept = values[-length:] if is_newest else values[:length]
            place = slice(length - len(kept), length) if is_newest else slice(0, len(kept))
            found[row, place] = kept
        return found

    known = [numbers(name, h, is_newest=False) for name in spec.known_ahead]
    return SeriesRows(
        series=series_of(work, rows),
        at=step_numbers(moments(frame[str(work.spec.table.time)]).astype(np.int64), steps.every),
        values=numbers(RECENT, steps.recent, is_newest=True),
        target=numbers(work.spec.label.column, h, is_newest=False),
        known=np.stack(known, axis=1) if known else np.empty((len(rows), 0, h)),
    )
