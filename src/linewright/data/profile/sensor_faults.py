"""Sensors that fail while what they measure does not: stuck, spikes, another unit, missing.

A reading belongs to a group (a machine) and a time. What is usual is learned from the readings themselves: from those of the group
outside of the fault, and from the other groups. Four things are distinguished from each other, and from a fault of the machine, which changes what is measured
step by step, and can come back:

- *stuck*: the same number again and again, so often that it has no chance by how often numbers of that column repeat.
- *missing*: no value again and again, likewise.
- *spike*: single readings far from those before and after. How far is far follows from the tail of the column itself: a power law through
  its own quantiles, which no lighter tail exceeds, so that columns with heavy tails have no spikes.
- *unit*: from one reading to the next all lie outside of what any group shows, and one conversion of units brings them back, without a
  step at the change.

A thing that happens to many groups at once is none of their sensors.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from linewright.data.facts import Conversion, SensorFault, SensorFaultKind
from linewright.store.clock import text_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FEWEST = 20
"""Readings of a group in which faults are looked for, at least."""
_SURE = 1e-6
"""Chance of so many repetitions, at most."""
_FEWEST_STUCK, _FEWEST_MISSING, _FEWEST_UNIT = 5, 3, 5
_COMMON, _COMMON_GROUPS = 0.2, 2
"""Share of the other groups, and how many of them, that may show as long a run: else it is how the column is."""
_FEWEST_BEFORE = 10
"""Readings before a fault that show what is usual in a group."""
_INNER = 0.02
"""Share of the readings of a group on each side that do not count for its range."""
_OUTSIDE, _BACK = 0.1, 0.5
"""Widths of the range of the other groups beyond it: from where on a value is outside of it, and how far one that is changed back may lie outside."""
_TRIMMED = 0.25
"""Share of the other groups on each side whose ranges do not count."""
_STAYS, _JUMP = 3.0, 4.0
"""Usual steps from one reading to the next that a change of units leaves when it is changed back, at most, and that it makes, at least."""
_NEAR, _OUT, _ALARMS = 0.10, 0.03, 0.01
"""Shares of readings beyond the two quantiles that the tail is drawn through; readings beyond what is far, by chance."""
_FAR, _BEYOND = 8.0, 0.25
"""Usual distances from those around it, and widths of the range of the other groups beyond that range, that make a spike, at least. It is
at least the width of that range away from those around it too."""
_APART = 20
"""Readings between two spikes of one fault, at most."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AFTER = 2
"""Readings after a spike that show that it was one."""
_LARGEST = 1e100
"""Numbers beyond it count as it, and distances below its inverse as none: no sensor measures so much, and no sum of them overflows."""

CONVERSIONS: Mapping[Conversion, tuple[float, float]] = {
    "mm-inch": (1 / 25.4, 0.0),
    "inch-mm": (25.4, 0.0),
    "celsius-fahrenheit": (1.8, 32.0),
    "fahrenheit-celsius": (1 / 1.8, -32 / 1.8),
    "celsius-kelvin": (1.0, 273.15),
    "kelvin-celsius": (1.0, -273.15),
    "bar-psi": (14.5037738, 0.0),
    "psi-bar": (1 / 14.5037738, 0.0),
    "psi-kpa": (6.89475729, 0.0),
    "kpa-psi": (1 / 6.89475729, 0.0),
    "by-10": (10.0, 0.0),
    "by-0.1": (0.1, 0.0),
    "by-60": (60.0, 0.0),
    "by-1/60": (1 / 60, 0.0),
    "by-100": (100.0, 0.0),
    "by-0.01": (0.01, 0.0),
    "by-1000": (1000.0, 0.0),
    "by-0.001": (0.001, 0.0),
}
"""What a number is multiplied by, and what is added. Smaller factors are left out: machines change by them."""


def find_sensor_faults(
    groups: Sequence[str],
    micros: Ints,
    columns: Mapping[str, Floats],
    *,
    going_on: frozenset[tuple[str, str]] = frozenset(),
) -> list[SensorFault]:
    """Return the faults of sensors.

    Examples
    --------
    >>> chance = np.random.default_rng(1)
    >>> value = chance.normal(5, 1, (4, 60)).round(3)
    >>> value[2, 30:] = value[2, 29]
    >>> groups, micros = [name for name in "abcd" for _ in range(60)], np.tile(np.arange(60) * 3_600_000_000, 4)
    >>> [(one.fault, one.group, one.since, one.readings) for one in find_sensor_faults(groups, micros, {"load": value.ravel()})]
    [('stuck', 'c', '1970-01-02T05:00:00.000000Z', 31)]
    """
    names, codes = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    order = np.lexsort((np.arange(len(codes)), micros, codes))
    codes, times = codes[order], micros[order]
    is_last = np.append((codes[1:] != codes[:-1]) | (times[1:] != times[:-1]), True)[: len(codes)]
    order, codes, times = order[is_last], codes[is_last], times[is_last]
    ends = np.searchsorted(codes, np.arange(len(names) + 1))
    found: list[SensorFault] = []
    for name in sorted(columns):
        values = columns[name][order].astype(np.float64)
        values = np.where(np.isfinite(values), np.clip(values, -_LARGEST, _LARGEST), np.nan)
        series = [
            _Series(str(names[k]), times[a:b], values[a:b])
            for k, (a, b) in enumerate(pairwise(ends.tolist()))
            if b - a >= FEWEST and np.isfinite(values[a:b]).any()
        ]
        if series:
            column = _Column(name, series, going_on)
            found += [one for k in range(len(series)) for one in column.faults_of(k)]
    return found


class _Run(NamedTuple):
    """A run of equal readings: places in the series, the end not in it."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class _Series:
    """The readings of one group in one column, in the order of time."""

    group: str
    micros: Ints
    values: Floats

    @cached_property
    def there(self) -> Ints:
        """Places of readings with a value."""
        return np.flatnonzero(np.isfinite(self.values))

    @cached_property
    def known(self) -> Floats:
        """Their values."""
        return self.values[self.there]

    @cached_property
    def equal(self) -> Bools:
        """Whether each value, but the first, equals the one before."""
        return self.known[1:] == self.known[:-1]

    @cached_property
    def stuck(self) -> list[_Run]:
        """Runs of two or more equal values; places among `known`."""
        return [_Run(run.start, run.end + 1) for run in _runs(self.equal)]

    @cached_property
    def gaps(self) -> list[_Run]:
        """Runs of readings without a value."""
        return _runs(~np.isfinite(self.values))

    @cached_property
    def off(self) -> Floats:
        """How far each value is from the median of the five around it."""
        if len(self.known) < 2 * _AFTER + 1:
            return np.zeros(len(self.known))
        padded = np.pad(self.known, _AFTER, mode="reflect")
        return self.known - np.median(
            np.lib.stride_tricks.sliding_window_view(padded, 2 * _AFTER + 1), axis=1
        )

    @cached_property
    def spread(self) -> float:
        """Usual size of `off`."""
        return 1.4826 * float(np.median(np.abs(self.off)))

    @cached_property
    def step(self) -> float:
        """Usual step from a value to the next."""
        return 1.4826 * float(np.median(np.abs(np.diff(self.known)))) if len(self.known) > 1 else 0.0

    @cached_property
    def is_counter(self) -> bool:
        """Whether it mostly rises by one and the same step: it counts, and starts again at times."""
        steps = np.diff(self.known)
        usual = float(np.median(steps)) if len(steps) else 0.0
        return usual != 0 and bool(np.median(np.abs(steps - usual)) == 0)

    @cached_property
    def range(self) -> tuple[float, float]:
        """Low and high of its values, but for the outermost."""
        low, high = np.quantile(self.known, [_INNER, 1 - _INNER])
        return float(low), float(high)


class _Column:
    """One column of all groups: what is usual in it, and what of a group is not."""

    def __init__(self, name: str, series: Sequence[_Series], going_on: frozenset[tuple[str, str]]) -> None:
        self.name, self.series = name, series
        self._going_on = going_on
        self._equal = np.array([one.equal.sum() for one in series])
        self._pairs = np.array([len(one.equal) for one in series])
        self._empty = np.array([len(one.values) - len(one.known) for one in series])
        self._readings = np.array([len(one.values) for one in series])
        self._longest_stuck = np.array([max((run.length for run in one.stuck), default=0) for one in series])
        self._longest_gap = np.array([max((run.length for run in one.gaps), default=0) for one in series])
        self._ranges = np.array([one.range for one in series])
        self._is_counted = float(np.median([one.is_counter for one in series])) >= 0.5
        self._far = self._how_far()

    def faults_of(self, k: int) -> Iterator[SensorFault]:
        """Give the faults of one group, in the order of their kinds and of time."""
        yield from self._stuck(k)
        yield from self._missing(k)
        if not self._is_counted:
            yield from self._units(k)
            yield from self._spikes(k)

    def _stuck(self, k: int) -> Iterator[SensorFault]:
        one = self.series[k]
        for run in one.stuck:
            again = run.length - 1
            usual = self._share(self._equal, self._pairs, k, again)
            needed = max(_FEWEST_STUCK, _needed(usual) + 1)
            if run.length >= needed and not self._is_common(self._longest_stuck, k, run.length):
                yield self._fault(
                    one,
                    "stuck",
                    one.there[[run.start, run.end - 1]],
                    run.length,
                    needed,
                    value=float(one.known[run.start]),
                )

    def _missing(self, k: int) -> Iterator[SensorFault]:
        one = self.series[k]
        for run in one.gaps:
            usual = self._share(self._empty, self._readings, k, run.length)
            needed = max(_FEWEST_MISSING, _needed(usual))
            if run.length >= needed and not self._is_common(self._longest_gap, k, run.length):
                yield self._fault(one, "missing", np.array([run.start, run.end - 1]), run.length, needed)

    def _share(self, counts: Ints, of: Ints, k: int, run: int) -> float:
        """Return how often it happens to a reading outside of a run: in the other groups or in this one, whichever is more; 1 where neither says."""
        others, n = counts.sum() - counts[k], of.sum() - of[k]
        own, m = counts[k] - run, of[k] - run
        said = [(float(c) + 1) / (float(d) + 2) for c, d in ((others, n), (own, m)) if d >= _FEWEST_BEFORE]
        return max(said, default=1.0)

    def _is_common(self, longest: Ints, k: int, length: int) -> bool:
        alike = int((longest >= length).sum()) - int(longest[k] >= length)
        return alike > max(_COMMON_GROUPS, _COMMON * (len(longest) - 1))

    def _units(self, k: int) -> Iterator[SensorFault]:
        one = self.series[k]
        taken = np.zeros(len(one.known), dtype=bool)
        found = sorted(self._changes(k), key=lambda change: (-change.run.length, change.miss))
        for change in found:
            part = slice(change.run.start, change.run.end)
            if taken[part].any():
                continue
            taken[part] = True
            places = one.there[[change.run.start, change.run.end - 1]]
            yield self._fault(
                one,
                "unit",
                places,
                change.run.length,
                _FEWEST_UNIT,
                value=float(np.median(one.known[part])),
                usual=change.usual,
                conversion=change.conversion,
            )

    def _changes(self, k: int) -> Iterator["_Change"]:
        """Give the runs of values outside of what any group shows that one conversion brings back."""
        known, reach = self.series[k].known, self._reach(k)
        if reach is None:
            return
        low, high = reach
        slack, wide = _OUTSIDE * (high - low), _BACK * (high - low)
        outside = (known < low - slack) | (known > high + slack)
        if not high > low or outside.sum() < _FEWEST_UNIT:
            return
        for conversion, (factor, added) in CONVERSIONS.items():
            back = (known - added) / factor
            could = outside & (back >= low - wide) & (back <= high + wide)
            for run in _runs(_bridged(could, outside)):
                if int(could[run.start : run.end].sum()) < _FEWEST_UNIT:
                    continue
                if not self._is_shown(k, known[run.start : run.end]):
                    yield from self._change(k, conversion, run, back, outside)

    def _change(
        self, k: int, conversion: Conversion, run: _Run, back: Floats, outside: Bools
    ) -> Iterator["_Change"]:
        """Give the change of units at the start of a run, if there was one: a step at once, and none left when it is changed back."""
        one, known = self.series[k], self.series[k].known
        before = known[: run.start][~outside[: run.start]][-_FEWEST_BEFORE:]
        if len(before) < _FEWEST_BEFORE:
            if (self.name, one.group) in self._going_on:
                yield _Change(conversion, run, float(np.median(self._ranges)), 0.0)
            return
        step, last, first = self._step(k), float(known[run.start - 1]), slice(run.start, run.start + 5)
        # Maintenance may come about the same time: then the first readings are another level in the same unit.
        miss = min(
            abs(float(np.median(back[first])) - float(np.median(before[-5:]))),
            abs(float(back[run.start]) - last),
        )
        is_sudden = not outside[run.start - 1] and abs(float(known[run.start]) - last) >= _JUMP * step
        if is_sudden and miss <= max(_STAYS * step, _BACK * float(np.ptp(self._reach(k) or (0.0, 0.0)))):
            yield _Change(conversion, run, float(np.median(before)), miss)

    def _is_shown(self, k: int, values: Floats) -> bool:
        """Return whether other groups show such values too: then they are in the unit of the column."""
        low, high = float(values.min()), float(values.max())
        shown = [
            int(((one.known >= low) & (one.known <= high)).sum()) >= _FEWEST_UNIT // 2 for one in self.series
        ]
        return sum(shown) - shown[k] > max(_COMMON_GROUPS, _COMMON * (len(shown) - 1))

    def _reach(self, k: int) -> tuple[float, float] | None:
        """Return the range of what other groups show; a quarter of them on each side may be broken themselves."""
        others = np.delete(self._ranges, k, axis=0)
        if len(others) >= _FEWEST_UNIT:
            low, high = np.quantile(others[:, 0], _TRIMMED), np.quantile(others[:, 1], 1 - _TRIMMED)
            return float(low), float(high)
        known = self.series[k].known
        first = known[: max(len(known) // 2, _FEWEST_BEFORE)]
        return (float(first.min()), float(first.max())) if len(first) else None

    def _step(self, k: int) -> float:
        """Return the usual step of a group; of one that was stuck for long, or in another unit, that of the others."""
        return float(np.median([self.series[k].step, *(one.step for one in self.series)]))

    def _spikes(self, k: int) -> Iterator[SensorFault]:
        one = self.series[k]
        if not math.isfinite(self._far):
            return
        reach = self._reach(k)
        if reach is None:
            return
        low, high = reach
        slack = _BEYOND * (high - low)
        far = np.abs(one.off) > max(max(self._far, _FAR) * self._scale(one), high - low)
        around = one.known - one.off
        far &= (one.known < low - slack) | (one.known > high + slack)
        far &= (around >= low - slack) & (around <= high + slack)
        far[len(far) - _AFTER :] = False  # nobody knows yet whether it comes back
        far[:_AFTER] = False
        spikes = np.flatnonzero(far)
        if not len(spikes):
            return
        usual = float(np.median(one.known))
        for part in np.split(spikes, np.flatnonzero(np.diff(spikes) > _APART) + 1):
            worst = part[np.argmax(np.abs(one.off[part]))]
            places = one.there[[part[0], part[-1]]]
            yield self._fault(one, "spike", places, len(part), 1, value=float(one.known[worst]), usual=usual)

    def _scale(self, one: _Series) -> float:
        return max(one.spread, 0.5 * self._usual_spread)

    @cached_property
    def _usual_spread(self) -> float:
        return float(np.median([one.spread for one in self.series]))

    def _how_far(self) -> float:
        """Return how far a reading has to be from those around it, in the usual distance; infinite if the column has no such thing."""
        if self._usual_spread <= 1 / _LARGEST:
            return math.inf
        sizes = [np.abs(one.off) / self._scale(one) for one in self.series if len(one.off) >= FEWEST]
        if not sizes:
            return math.inf
        near, out = (float(np.median([np.quantile(one, 1 - q) for one in sizes])) for q in (_NEAR, _OUT))
        if not 0 < near < out:
            return math.inf
        readings = sum(len(one) for one in sizes)
        steepness = math.log(_NEAR / _OUT) / (math.log(out) - math.log(near))
        log_far = math.log(out) + math.log(max(1.0, readings * _OUT / _ALARMS)) / steepness
        return math.exp(log_far) if log_far < math.log(_LARGEST) else math.inf

    def _fault(
        self,
        one: _Series,
        fault: SensorFaultKind,
        places: Ints,
        readings: int,
        needed: int,
        *,
        value: float | None = None,
        usual: float | None = None,
        conversion: Conversion | None = None,
    ) -> SensorFault:
        first, last = (text_of(_EPOCH + timedelta(microseconds=int(micros))) for micros in one.micros[places])
        return SensorFault(
            fault=fault,
            column=self.name,
            group=one.group,
            since=first,
            until=last,
            readings=readings,
            needed=needed,
            value=value,
            usual=usual,
            conversion=conversion,
            goes_on=bool(places[-1] >= len(one.micros) - (_APART if fault == "spike" else 1)),
        )


class _Change(NamedTuple):
    """A change of units that explains a run of values; places among `known`."""

    conversion: Conversion
    run: _Run
    usual: float
    miss: float
    """How far the first values are, changed back, from the last before."""


def _needed(share: float) -> int:
    """Return how many times in a row something that often has no chance to happen."""
    return math.ceil(math.log(_SURE) / math.log(share)) if share < 1 else 2**62


def _runs(where: Bools) -> list[_Run]:
    """Return the runs of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(np.int8)))
    return [_Run(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _bridged(where: Bools, outside: Bools) -> Bools:
    """Fill single gaps between true values: a spike in another unit does not end it."""
    filled = where.copy()
    filled[1:-1] |= where[:-2] & where[2:] & outside[1:-1]
    return filled
