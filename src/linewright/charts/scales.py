"""Where values stand on an axis, which ticks it has, and how its values are written."""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from linewright.charts.kinds import At, Axis
from linewright.charts.sheet import round_ticks
from linewright.text.numbers import in_words

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY = 4 * 86_400.0
"""The first Monday after the epoch: weeks begin there."""
_DAY = 86_400.0
_STEPS = (
    1,
    2,
    5,
    10,
    30,
    60,
    300,
    900,
    1_800,
    3_600,
    10_800,
    21_600,
    43_200,
    86_400,
    172_800,
    604_800,
    1_209_600,
)
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1_200, 2_400, 6_000, 12_000)
_ALIKE = 1e-9
"""Values that differ by less than this share of them are drawn as one."""


class Tick(NamedTuple):
    """A value of an axis and how it is written; `below` is a second line, for dates under times of day."""

    value: float
    text: str
    below: str = ""


class Place(NamedTuple):
    """From values to places on a sheet.

    Examples
    --------
    >>> Place(0, 10, 100, 200).at(5)
    150.0
    """

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the place of a value; what is outside stands at the rim."""
        if self.high <= self.low:
            return (self.start + self.end) / 2
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def number_ticks(values: Sequence[float], axis: Axis, *, most: int = 5) -> list[Tick]:
    """Return at least two round ticks that hold all values: 1, 2 or 5 units of a power of ten apart.

    Examples
    --------
    >>> [tick.text for tick in number_ticks([0.02, 0.31], Axis(label="PSI"))]
    ['0.0', '0.1', '0.2', '0.3', '0.4']
    >>> [tick.text for tick in number_ticks([0.5], Axis(label="recall", unit="%"))]
    ['20 %', '30 %', '40 %', '50 %', '60 %', '70 %', '80 %']
    """
    values = [*values, *axis.holds]
    low, high = min(values, default=0.0), max(values, default=1.0)
    size = max(abs(low), abs(high))
    if high - low <= _ALIKE * size:
        is_share = axis.unit == "%" and low >= 0 and high <= 1
        pad = size / 2 or 1.0
        low, high = (max(low - pad, 0.0), min(high + pad, 1.0)) if is_share else (low - pad, high + pad)
    unit = Decimal(1).scaleb(math.floor(math.log10(high - low)) - 3)
    whole = round_ticks(math.floor(Decimal(low) / unit), math.ceil(Decimal(high) / unit), most=most)
    return [Tick(float(unit * k), _tick_text(unit * k, unit * whole.step, axis)) for k in whole]


def _tick_text(value: Decimal, step: Decimal, axis: Axis) -> str:
    if axis.unit == "%":
        value, step = 100 * value, 100 * step
    exponent = step.normalize().as_tuple().exponent
    decimals = max(-int(exponent), 0)
    if abs(value) >= 1e9 or decimals > 9:
        digits = max(value.adjusted() - int(exponent), 0) if value else 0
        text = f"{value:.{digits}e}" if value else "0"
    else:
        text = f"{value:.{decimals}f}" if axis.is_year else f"{value:,.{decimals}f}"
    text = text.replace("-", "\N{MINUS SIGN}", 1) if value < 0 else text
    text = f"+{text}" if axis.is_signed and value > 0 else text
    return f"{text} %" if axis.unit == "%" else text


def value_text(value: float | None, axis: Axis, *, is_signed: bool = False) -> str:
    """Return a value in about three digits.

    Examples
    --------
    >>> value_text(0.1234, Axis(label="recall", unit="%")), value_text(1234.5, Axis(label="value", unit="EUR"))
    ('12.3 %', '1,234')
    >>> value_text(None, Axis(label="PSI")), value_text(0.5, Axis(label="change"), is_signed=True)
    ('no value', '+0.5')
    """
    if value is None:
        return "no value"
    number = 100 * value if axis.unit == "%" else value
    shown = in_words(number)
    shown = f"{number:.3g}" if len(shown) > 15 else shown.replace(",", "") if axis.is_year else shown
    shown = shown.replace("-", "\N{MINUS SIGN}")
    sign = "+" if (is_signed or axis.is_signed) and value > 0 else ""
    return f"{sign}{shown} %" if axis.unit == "%" else f"{sign}{shown}"


def seconds(at: At) -> float:
    """Return a place as a number: days and instants as seconds since 1970, UTC."""
    if isinstance(at, datetime):
        return (at - _EPOCH).total_seconds()
    if isinstance(at, date):
        return (at - _EPOCH.date()).total_seconds()
    return float(at)


def at_text(at: At) -> str:
    """Return a place as a table and a tooltip write it: ISO 8601, UTC.

    Examples
    --------
    >>> at_text(date(2026, 5, 1)), at_text(datetime(2026, 5, 1, 12, tzinfo=UTC)), at_text(1200)
    ('2026-05-01', '2026-05-01 12:00', '1,200')
    """
    if isinstance(at, datetime):
        moment = at.astimezone(UTC)
        return f"{moment:%H:%M:%S}".join((moment.date().isoformat() + " ", "")).removesuffix(":00")
    return at.isoformat() if isinstance(at, date) else in_words(at)


def time_ticks(low: float, high: float, *, most: int = 6, is_days: bool = False) -> list[Tick]:
    """Return round ticks within two instants, in seconds since 1970: parts of days, days, weeks, months or years.

    Examples
    --------
    >>> [tick.text for tick in time_ticks(0, 86_400 * 300)]
    ['1970-01', '1970-03', '1970-05', '1970-07', '1970-09']
    >>> [(tick.text, tick.below) for tick in time_ticks(0, 86_400, most=3)]
    [('00:00', '1970-01-01'), ('12:00', ''), ('00:00', '1970-01-02')]
    """
    for step in _STEPS:
        origin = _MONDAY if step >= 7 * _DAY else 0.0
        first, last = math.ceil((low - origin) / step), math.floor((high - origin) / step)
        if last - first < most and not (is_days and step < _DAY):
            return _day_ticks([origin + k * step for k in range(first, last + 1)], step)
    for step in _MONTHS:
        first, last = _month(low, is_after=True), _month(high)
        if (last - first) // step < most:
            months = range(-(-first // step) * step, last + 1, step)
            form = "{:04d}" if step % 12 == 0 else "{:04d}-{:02d}"
            return [Tick(_start(month), form.format(month // 12, month % 12 + 1)) for month in months]
    return []


def _day_ticks(values: Sequence[float], step: float) -> list[Tick]:
    moments = [_EPOCH + timedelta(seconds=value) for value in values]
    days = [moment.date().isoformat() for moment in moments]
    if step >= _DAY:
        return [Tick(value, day) for value, day in zip(values, days, strict=True)]
    form = "%H:%M" if step >= 60 else "%H:%M:%S"
    return [
        Tick(value, moment.strftime(form), "" if place and days[place - 1] == day else day)
        for place, (value, moment, day) in enumerate(zip(values, moments, days, strict=True))
    ]


def _month(value: float, *, is_after: bool = False) -> int:
    """Return the month that an instant is in, counted from the year 0; `is_after`: the first that begins at it or later."""
    moment = _EPOCH + timedelta(seconds=value)
    month = moment.year * 12 + moment.month - 1
    return month + (is_after and _start(month) < value)


def _start(month: int) -> float:
    # The year after the last of the calendar is never drawn: it is past what a date can hold.
    year = min(max(month // 12, 1), 9999)
    return (datetime(year, month % 12 + 1, 1, tzinfo=UTC) - _EPOCH).total_seconds()
