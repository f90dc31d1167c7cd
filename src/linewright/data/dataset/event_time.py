"""When rows happened, and when they and their truth could have been known, as numbers that can be compared."""

import numpy as np
import polars as pl

from linewright.data.spec import UNTIL, DataSpec
from linewright.errors import SpecError
from linewright.text.durations import duration_micros


def moments(values: pl.Series) -> np.ndarray:
    """Return times as numbers: dates and instants as microseconds since 1970 (UTC), numbers as they are.

    Examples
    --------
    >>> from datetime import date
    >>> moments(pl.Series([date(1970, 1, 2)])).tolist()
    [86400000000]
    """
    if values.dtype == pl.Date:
        values = values.cast(pl.Datetime("us"))
    return values.to_physical().to_numpy()


def known_at(frame: pl.DataFrame, data: DataSpec) -> np.ndarray:
    """Return when each row and its truth were both known, in the terms of `moments`.

    A row is known at `table.known`, else when it happened; its truth at `label.known`, else `label.delay` after it
    happened, else at once. A label of several times is known with the last of them.
    """
    time = frame[str(data.table.time)]
    happened = last = moments(time)
    if data.forecast is not None or (data.recommend is not None and data.recommend.every is not None):
        last = _or_else(frame[UNTIL], time, happened + _longest(frame, time), UNTIL)
    truth = last + _delay(time, data)
    row = happened
    if data.table.known is not None:
        row = _or_else(frame[data.table.known], time, happened, "table.known")
    if data.label.known is not None:
        truth = _or_else(frame[data.label.known], time, truth, "label.known")
    return np.maximum(row, truth)


def _longest(frame: pl.DataFrame, time: pl.Series) -> float:
    """Return how long labels last at most: what rows of the log, which do not say until when theirs lasts, are taken for."""
    there = frame[UNTIL].is_not_null()
    lasts = moments(frame[UNTIL].filter(there)) - moments(time.filter(there))
    return lasts.max(initial=0)


def _delay(time: pl.Series, data: DataSpec) -> int:
    if data.label.delay is None:
        return 0
    if not time.dtype.is_temporal():
        raise SpecError(
            f"a delay cannot be added to {time.name!r}, which holds plain numbers",
            where="label.delay",
            found=data.label.delay,
            hint="make table.time a date or datetime, or name the column label.known",
        )
    return duration_micros(data.label.delay)


def _or_else(values: pl.Series, time: pl.Series, otherwise: np.ndarray, where: str) -> np.ndarray:
    if values.dtype.is_temporal() != time.dtype.is_temporal():
        raise SpecError(
            f"{values.name!r} and the time {time.name!r} cannot be compared",
            where=where,
            found=str(values.dtype),
            allowed="both dates and times, or both numbers",
        )
    there = values.is_not_null().to_numpy()
    result = otherwise.copy()
    result[there] = moments(values.drop_nulls())
    return result
