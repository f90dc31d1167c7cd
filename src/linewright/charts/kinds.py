"""The kinds of charts: values that say what is shown. What draws, lists or specifies them reads these alone.

A value of `None` is missing: it is drawn as a gap with a mark, and the table says so. NaN and infinity are refused.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import accumulate, pairwise

import msgspec

from linewright.errors import RequestError

At = float | date | datetime
"""A place along an axis: a number, a day, or an instant with its zone (shown in UTC)."""
_LARGEST = 1e300
_MOST_CLASSES = 12
_MOST_SERIES = 3
"""As many as have a colour and a dash."""


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured along an axis.

    Examples
    --------
    >>> str(Axis(label="value", unit="EUR")), str(Axis(label="PSI"))
    ('value (EUR)', 'PSI')
    """

    label: str
    unit: str = ""
    """As written, such as `"EUR"`; `"%"`: the values are shares from 0 to 1, which are shown in percent."""
    holds: tuple[float, ...] = ()
    """Values that the axis shows at least: charts side by side get one scale."""
    is_signed: bool = False
    """The values are differences, written with their sign."""
    is_year: bool = False
    """The numbers are years, written without separators."""

    def __post_init__(self) -> None:
        for value in self.holds:
            _check_number(value, self.label)

    def __str__(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit and self.label else self.label or self.unit


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A value that others are compared with: a bar, a certified value."""

    name: str
    value: float

    def __post_init__(self) -> None:
        _check_number(self.value, self.name)


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A place along an axis with a name, such as the day on which a version began to serve. One that is outside of the points is not drawn."""

    at: At
    name: str


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A value at a place of a line, with its interval if it is known."""

    at: At
    value: float | None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.at, date):
            _check_number(self.at, "at")
        _check_interval(self.value, self.low, self.high, str(self.at))


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Points under one name; their order is that of their places."""

    name: str
    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        check_places([point.at for point in self.points], self.name)


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A value under a name, with its interval and the number of rows it rests on, if they are known."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    rows: int | None = None
    is_marked: bool = False
    """Stands out among the others: the chosen one, the challenger."""
    series: str = ""
    """In a `DotChart`, whose value it is: dots of one name and several series share a row."""

    def __post_init__(self) -> None:
        _check_interval(self.value, self.low, self.high, self.name)


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of a sample are in each bin or category; their shares are drawn."""

    name: str
    counts: tuple[float, ...]

    def __post_init__(self) -> None:
        for count in self.counts:
            _check_number(count, self.name, least=0)

    def shares(self) -> tuple[float, ...]:
        """Return the shares of the counts, which sum to 1; zeros without rows."""
        rows = sum(self.counts)
        return tuple(count / rows if rows else 0.0 for count in self.counts)


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles that were predicted for a place, and the value that came, if it is known."""

    at: At
    values: tuple[float, ...]
    """As many as there are levels; they never fall."""
    observed: float | None = None

    def __post_init__(self) -> None:
        for value in (*self.values, *(() if self.observed is None else (self.observed,))):
            _check_number(value, str(self.at))
        if any(later < earlier for earlier, later in pairwise(self.values)):
            raise RequestError("quantiles fall", where=str(self.at), found=self.values, allowed="in order")


class Calibrated(msgspec.Struct, frozen=True, kw_only=True):
    """Rows whose predicted probabilities are near to each other, and the share of them that came true."""

    predicted: float
    observed: float
    rows: int
    low: float | None = None
    high: float | None = None
    """Interval of the observed share."""

    def __post_init__(self) -> None:
        _check_number(self.predicted, "predicted", least=0, most=1)
        _check_number(self.observed, "observed", least=0, most=1)
        _check_number(self.rows, "rows", least=0)
        _check_interval(self.observed, self.low, self.high, "observed")


class _Chart(msgspec.Struct, frozen=True, kw_only=True):
    """What each chart has."""

    title: str
    """The finding, in a sentence: `"PSI of income has been above its bar since May"`."""

    def __post_init__(self) -> None:
        if not self.title.strip():
            raise RequestError("a chart has no title", allowed="a sentence that states the finding")


class LineChart(_Chart, frozen=True, kw_only=True):
    """Values over time, or along numbers; at most three lines.

    Examples
    --------
    >>> chart = LineChart(
    ...     title="PSI of income is above its bar",
    ...     x=Axis(label="day"),
    ...     y=Axis(label="PSI"),
    ...     lines=(Line(name="income", points=(Point(at=date(2026, 5, 1), value=0.3),)),),
    ...     references=(Reference(name="bar", value=0.2),),
    ... )
    >>> chart.lines[0].points[0].value
    0.3
    """

    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    references: tuple[Reference, ...] = ()
    marks: tuple[Mark, ...] = ()
    """Of the same type as the places of the points."""
    interval: str = "interval"
    """What the band from `low` to `high` of the points is, such as `"95 % interval"`."""
    rows: tuple[float, ...] = ()
    """How many rows there are in cells of equal width from the first place to the last: small bars, in no table."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.lines) > _MOST_SERIES:
            raise RequestError(
                "a chart has too many lines",
                where=self.title,
                found=len(self.lines),
                allowed=f"at most {_MOST_SERIES}",
                hint="draw one chart for each, or the few that the finding names",
            )
        places = [point.at for line in self.lines for point in line.points]
        check_places([*places, *(mark.at for mark in self.marks)], self.title, is_sorted=False)
        for rows in self.rows:
            _check_number(rows, self.title, least=0)


class _Rows(_Chart, frozen=True, kw_only=True):
    """Bars or dots, one a row, in the order given."""

    axis: Axis
    bars: tuple[Bar, ...]
    references: tuple[Reference, ...] = ()
    names: str = "name"
    """What the names are: `"column"`, `"slice"`, `"model"`."""
    interval: str = "interval"


class BarChart(_Rows, frozen=True, kw_only=True):
    """Horizontal bars from 0: importance, contributions with signs, values of slices."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(bar.series for bar in self.bars):
            raise RequestError("bars have no series", where=self.title, hint="use a DotChart")


class DotChart(_Rows, frozen=True, kw_only=True):
    """Dots with intervals on an axis that need not hold 0: champion against challenger, a leaderboard."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(series := self.series()) > _MOST_SERIES:
            raise RequestError(
                "a chart has too many series",
                where=self.title,
                found=len(series),
                allowed=f"at most {_MOST_SERIES}",
            )

    def series(self) -> tuple[str, ...]:
        """Return the names of the series, in the order of the bars; one that is empty if there are none."""
        return tuple(dict.fromkeys(bar.series for bar in self.bars)) or ("",)


class Waterfall(_Chart, frozen=True, kw_only=True):
    """How steps add up to a total; the rows of the steps are not read."""

    axis: Axis
    steps: tuple[Bar, ...]
    names: str = "step"
    total: str = "total"
    """Name of the sum; steps without a value add nothing."""

    def sums(self) -> tuple[float, ...]:
        """Return 0 and the sum after each step."""
        return (0.0, *accumulate(step.value or 0.0 for step in self.steps))


class Histogram(_Chart, frozen=True, kw_only=True):
    """The shares of one or two samples in the same bins: then and now, train and live."""

    x: Axis
    edges: tuple[float, ...]
    """Of the bins, rising, one more than there are bins."""
    samples: tuple[Sample, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        for edge in self.edges:
            _check_number(edge, self.title)
        if any(right <= left for left, right in pairwise(self.edges)):
            raise RequestError("edges do not rise", where=self.title, found=self.edges, allowed="rising")
        _check_samples(self.samples, max(len(self.edges) - 1, 0), self.title)


class ShareChart(_Chart, frozen=True, kw_only=True):
    """The shares of one or two samples in the same categories."""

    categories: tuple[str, ...]
    samples: tuple[Sample, ...]
    names: str = "category"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_samples(self.samples, len(self.categories), self.title)


class Reliability(_Chart, frozen=True, kw_only=True):
    """The share that came true against the probability that was predicted; on the dashed line both are equal."""

    bins: tuple[Calibrated, ...]
    interval: str = "interval"


class Confusion(_Chart, frozen=True, kw_only=True):
    """How many rows of each class were predicted as which, and what they were worth."""

    classes: tuple[str, ...]
    counts: tuple[tuple[float, ...], ...]
    """One tuple for each actual class, one number for each predicted class."""
    money: tuple[tuple[float, ...], ...] = ()
    """Worth of all rows of a cell, in the same order; empty: not known."""
    currency: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        wanted = len(self.classes)
        if wanted > _MOST_CLASSES:
            raise RequestError(
                "too many classes for a matrix",
                where=self.title,
                found=wanted,
                allowed=f"at most {_MOST_CLASSES}",
                hint="show the classes that are confused most",
            )
        for matrix in (self.counts, *((self.money,) if self.money else ())):
            if [wanted] * wanted != [len(row) for row in matrix]:
                raise RequestError(
                    "a matrix is not square",
                    where=self.title,
                    found=[len(row) for row in matrix],
                    allowed=f"{wanted} rows of {wanted}",
                )
            for name, row in zip(self.classes, matrix, strict=True):
                for value in row:
                    _check_number(value, name, least=0 if matrix is self.counts else None)


class Sparkline(_Chart, frozen=True, kw_only=True):
    """Values one after the other, as large as a word; no axes."""

    values: tuple[float | None, ...]
    reference: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for value in (*self.values, self.reference):
            if value is not None:
                _check_number(value, self.title)


class Ribbon(_Chart, frozen=True, kw_only=True):
    """Predicted quantiles as nested bands around their middle, and the values that came as dots."""

    x: Axis
    y: Axis
    levels: tuple[float, ...]
    """Rising, between 0 and 1, such as `(0.05, 0.25, 0.5, 0.75, 0.95)`; pairs from outside make the bands."""
    points: tuple[Quantiles, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.levels or any(b <= a for a, b in pairwise((0.0, *self.levels, 1.0))):
            raise RequestError(
                "levels of quantiles are wrong",
                where=self.title,
                found=self.levels,
                allowed="at least one, rising, between 0 and 1",
            )
        check_places([point.at for point in self.points], self.title)
        for point in self.points:
            if len(point.values) != len(self.levels):
                raise RequestError(
                    "a place has another number of quantiles than there are levels",
                    where=str(point.at),
                    found=len(point.values),
                    allowed=str(len(self.levels)),
                )


Chart = (
    LineChart
    | BarChart
    | DotChart
    | Waterfall
    | Histogram
    | ShareChart
    | Reliability
    | Confusion
    | Sparkline
    | Ribbon
)


def check_places(places: Sequence[At], where: str, *, is_sorted: bool = True) -> None:
    """Refuse places of different types, instants without a zone, and places out of order."""
    kinds = {_kind(at) for at in places}
    if len(kinds) > 1 or "instant without a zone" in kinds:
        raise RequestError(
            "places along an axis cannot be compared",
            where=where,
            found=" and ".join(sorted(kinds)),
            allowed="numbers, days, or instants with a zone",
            hint="give each instant a zone, such as datetime(…, tzinfo=UTC)",
        )
    if is_sorted and any(later <= earlier for earlier, later in pairwise(places)):  # pyright: ignore[reportOperatorIssue]
        raise RequestError("places are not in order", where=where, allowed="each after the one before")


def _kind(at: At) -> str:
    if isinstance(at, datetime):
        return "instant" if at.tzinfo else "instant without a zone"
    return "day" if isinstance(at, date) else "number"


def _check_samples(samples: Iterable[Sample], bins: int, where: str) -> None:
    samples = tuple(samples)
    if len(samples) not in {1, 2}:
        raise RequestError("a chart of shares has one or two samples", where=where, found=len(samples))
    for sample in samples:
        if len(sample.counts) != bins:
            raise RequestError(
                "a sample has another number of counts than there are bins",
                where=f"{where}: {sample.name}",
                found=len(sample.counts),
                allowed=str(bins),
            )


def _check_interval(value: float | None, low: float | None, high: float | None, where: str) -> None:
    for number in (value, low, high):
        if number is not None:
            _check_number(number, where)
    if (low is None) != (high is None) or (low is not None and high is not None and low > high):
        raise RequestError(
            "an interval is wrong", where=where, found=(low, high), allowed="both ends, low at most high"
        )


def _check_number(value: float, where: str, *, least: float | None = None, most: float | None = None) -> None:
    low, high = -_LARGEST if least is None else least, _LARGEST if most is None else most
    if not (math.isfinite(value) and low <= value <= high):
        raise RequestError(
            "a value cannot be drawn",
            where=where,
            found=value,
            allowed=f"numbers from {low:g} to {high:g}",
            hint="give None for a value that is missing",
        )
