"""The columns of a view at many moments: one kernel for training rows and requests.

The definition. A version of a row counts at T if ``known <= T < until`` and ``time <= T``. ``over W`` takes those with
``T - W < time``. They are in the order of (time, known, position), and sums are `numpy.add.reduceat` over them in that order: a
sum depends on these values alone, not on where they stand in memory, so that a request gets the very numbers of training.
Nothing counts for an entity without a version that counts: it is absent, and all its columns are null.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.features.views.aggregates import Aggregate, Argument, Comparison, Kind

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Slices = tuple[Ints, Ints]
"""First event of each entity, and the one after its last."""

NEVER = np.iinfo(np.int64).max
"""`until` of a version that still counts."""
_FEW = 64
"""Events a moment of which each is looked at rather than searched for."""
MOST_PAIRS = 1 << 21
"""Events that are matched with moments at once, unless one moment alone has more: some 100 MB."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Values:
    """A column of values.

    Examples
    --------
    >>> Values.of(["b", None, "a"], "category").words, Values.of([True, None], "boolean").to_list()
    (('a', 'b'), [True, None])
    """

    kind: Kind
    numbers: Floats
    """Shape (n,). NaN for null; 1 and 0 for true and false; for text the place in `words`."""
    words: Sequence[str] = ()
    """Different texts, ascending."""

    @classmethod
    def of(cls, values: Sequence[str | float | bool | None], kind: Kind) -> "Values":
        """Return the column of these values."""
        if kind != "category":
            return cls(
                kind=kind,
                numbers=np.array([np.nan if one is None else one for one in values], dtype=np.float64),
            )
        words = sorted({str(one) for one in values if one is not None})
        codes = {word: float(code) for code, word in enumerate(words)}
        numbers = np.array([np.nan if one is None else codes[str(one)] for one in values], dtype=np.float64)
        return cls(kind=kind, numbers=numbers, words=tuple(words))

    def to_list(self) -> list[str | float | int | bool | None]:
        """Return the values as Python has them, `None` for null."""
        if self.kind == "number":
            found: list[Any] = self.numbers.tolist()
            for place in np.flatnonzero(np.isnan(self.numbers)).tolist():
                found[place] = None
            return found
        return [None if one != one else self._value(one) for one in self.numbers.tolist()]  # noqa: PLR0124 -- NaN

    def _value(self, number: float) -> str | float | int | bool:
        match self.kind:
            case "category":
                return self.words[int(number)]
            case "boolean":
                return bool(number)
            case "integer":
                return int(number) if number.is_integer() else number  # of a source that has fractions since
            case _:
                return number

    def at(self, places: Ints) -> "Values":
        """Return the values at these places, null for places below 0."""
        if not len(self.numbers):
            return Values(kind=self.kind, numbers=np.full(len(places), np.nan), words=self.words)
        numbers = np.where(places >= 0, self.numbers.take(places), np.nan)
        return Values(kind=self.kind, numbers=numbers, words=self.words)


def values_of(argument: Argument, columns: Mapping[str, Values]) -> Values:
    """Return the values of an argument in each row, as `Argument.of_row` has them.

    Examples
    --------
    >>> from linewright.features.views.aggregates import read_condition
    >>> values_of(read_condition("a > 1 and b = 'x'"), {"a": Values.of([0, 2, 3], "number"), "b": Values.of(["y", "x", None], "category")}).to_list()
    [False, True, None]
    """
    if not argument.condition:
        return columns[argument.column]
    # With 1, 0 and NaN for true, false and unknown, and NaN passed over by fmin: false wins, then unknown, then true.
    held = np.array([_holds(one, columns[one.column]) for one in argument.condition])
    lowest = np.fmin.reduce(held, axis=0)
    numbers = np.where(np.isnan(held).any(axis=0) & (lowest != 0), np.nan, lowest)
    return Values(kind="boolean", numbers=numbers)


def _holds(one: Comparison, values: Values) -> Floats:
    """Return whether each value passes: 1, 0, or NaN if it has nothing to compare."""
    missing = np.isnan(values.numbers)
    if not one.constants:
        return (missing == (one.sign == "is null")).astype(np.float64)
    if values.kind == "category":  # of texts there are fewer different ones than rows
        table = np.array([*(float(bool(one.holds(word))) for word in values.words), np.nan])
        return table[np.where(missing, len(values.words), values.numbers).astype(np.int64)]
    if one.sign.endswith("in"):
        passed = np.isin(values.numbers, np.array(one.constants, dtype=np.float64)) == (one.sign == "in")
    else:
        passed = _SIGNS[one.sign](values.numbers, float(one.constants[0]))
    return np.where(missing, np.nan, passed.astype(np.float64))


_SIGNS: Mapping[str, Callable[[Floats, float], Flags]] = {
    "=": np.equal,
    "<>": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Events:
    """Versions of rows of a source, in the order of (entity, time, known, position). All times are microseconds since 1970, UTC."""

    starts: Ints
    """Shape (entities + 1,): events ``starts[e]`` to ``starts[e + 1]`` are of entity e."""
    time: Ints
    """Shape (n,): when it happened."""
    known: Ints
    """Shape (n,): from when on the version counts."""
    until: Ints
    """Shape (n,): from when on it counts no more, as it was corrected or deleted; `NEVER` if it still counts."""
    columns: Mapping[str, Values]
    """By `Argument.text`."""

    def slices(self, entities: Ints) -> Slices:
        """Return the range of the events of these entities; none for an entity below 0."""
        there = entities >= 0
        return np.where(there, self.starts[entities], 0), np.where(there, self.starts[entities + there], 0)

    @cached_property
    def is_plain(self) -> bool:
        """Whether each version was known when it happened and still counts, so that times alone decide."""
        return not ((self.known > self.time).any() or (self.until != NEVER).any())


def events_of(
    *,
    entity: Ints,
    time: Ints,
    known: Ints,
    columns: dict[str, Values],
    key: Ints | None = None,
    is_deletion: Flags | None = None,
    is_left_out: Flags | None = None,
    entities: int | None = None,
    argsort: Callable[[Ints], Ints] = np.argsort,
) -> Events:
    """Return the events of rows that come in the order of their positions in the source.

    Examples
    --------
    >>> import numpy as np
    >>> events = events_of(
    ...     entity=np.array([0, 0]), time=np.array([5, 5]), known=np.array([5, 9]), key=np.array([1, 1]), columns={"x": Values.of([10, 20], "number")}
    ... )
    >>> one = [Aggregate(name="x", function="sum", argument=Argument(column="x"), over=10)]
    >>> moments = np.array([4, 8, 9])
    >>> values_at(events, events.slices(np.zeros(3, dtype=np.int64)), moments, one)["x"].to_list()
    [None, 10.0, 20.0]
    """
    until = None if key is None else _until(key, known)
    counts = entity >= 0
    for flags in (is_deletion, is_left_out):
        counts = counts if flags is None else counts & ~flags
    if until is not None:
        # One that another replaced at the very instant at which it was known never counts.
        counts &= until > known
    entities = int(entity.max(initial=-1)) + 1 if entities is None else entities
    if counts.all():
        rows, sizes = _order(entity, time, known, argsort), np.bincount(entity, minlength=entities)
    else:
        rows = np.flatnonzero(counts)
        sizes = np.bincount(entity[rows], minlength=entities)
        rows = rows[_order(entity[rows], time[rows], known[rows], argsort)]
    return Events(
        starts=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        time=time.take(rows),
        known=known.take(rows),
        until=np.broadcast_to(np.int64(NEVER), len(rows)) if until is None else until.take(rows),
        columns={name: _taken(columns.pop(name), rows) for name in list(columns)},
    )


def _taken(values: Values, rows: Ints) -> Values:
    return Values(kind=values.kind, numbers=values.numbers.take(rows), words=values.words)


def _order(entity: Ints, time: Ints, known: Ints, argsort: Callable[[Ints], Ints]) -> Ints:
    """Return the order by (entity, time, known, position), in a third of the time of `numpy.lexsort` by three columns."""
    both = _as_one(entity, time)
    if both is None:
        order = np.lexsort((time, entity))
        of_entity, at = entity[order], time[order]
        is_tied = (of_entity[1:] == of_entity[:-1]) & (at[1:] == at[:-1])
    else:
        order = argsort(both)
        both = both.take(order)
        is_tied = both[1:] == both[:-1]
    if not is_tied.any():
        return order
    tied = np.flatnonzero(np.concatenate([is_tied, [False]]) | np.concatenate([[False], is_tied]))
    group = np.cumsum(np.concatenate([[True], ~is_tied]))[tied]
    rows = order[tied]
    order[tied] = rows[np.lexsort((rows, known[rows], group))]
    return order


def _as_one(entity: Ints, time: Ints) -> Ints | None:
    """Return numbers that are in the order of (entity, time); `None` if 63 bits are too few for them."""
    if not len(time):
        return None
    first, last = int(time.min()), int(time.max())
    unit = next((one for one in (10**6, 10**3) if not (time % one).any()), 1)
    bits = ((last - first) // unit).bit_length()
    if bits + int(entity.max()).bit_length() > 63:
        return None
    return (entity << bits) | ((time - first) // unit if unit > 1 else time - first)


def _until(key: Ints, known: Ints) -> Ints:
    """Return when the next version of the same key was known, in the order of (known, position); `NEVER` for the last one."""
    order = np.lexsort((known, key))
    until = np.full(len(key), NEVER, dtype=np.int64)
    is_same = key[order[1:]] == key[order[:-1]]
    until[order[:-1][is_same]] = known[order[1:][is_same]]
    return until


def _newest(events: Events, first: Ints, stop: Ints, moments: Ints) -> Ints:
    """Return the place of the newest event that counts at each moment, -1 where none does: the entity is absent."""
    places = stop - 1
    if events.is_plain:
        return np.where(places >= first, places, -1)
    waiting = np.flatnonzero(places >= first)
    found = np.full(len(moments), -1, dtype=np.int64)
    while len(waiting):  # few steps: most events are known soon, and few are corrected
        at = places[waiting]
        counts = (events.known[at] <= moments[waiting]) & (moments[waiting] < events.until[at])
        found[waiting[counts]] = at[counts]
        waiting = waiting[~counts]
        places[waiting] -= 1
        waiting = waiting[places[waiting] >= first[waiting]]
    return found


def values_at(
    events: Events,
    slices: Slices,
    moments: Ints,
    aggregates: Sequence[Aggregate],
) -> dict[str, Values]:
    """Return the columns of a view at each moment."""
    stop = _first_after(events.time, *slices, moments)
    newest = _newest(events, slices[0], stop, moments)
    found: dict[str, Values] = {}
    windows: dict[int, list[Aggregate]] = {}
    for one in aggregates:
        if one.function == "since":
            age = (moments - events.time[newest]) / 1e6 if len(events.time) else np.zeros(len(moments))
            found[one.name] = Values(kind="number", numbers=np.where(newest >= 0, age, np.nan))
        elif one.function == "last":
            places = newest
            if one.over is not None and len(events.time):
                places = np.where(events.time[newest] > moments - one.over, newest, -1)
            found[one.name] = _column(events, one).at(places)
        else:
            windows.setdefault(int(one.over or 0), []).append(one)
    for over, those in windows.items():
        found |= _over(events, (slices[0], stop), moments, those, over=over, there=newest >= 0)
    return {one.name: found[one.name] for one in aggregates}


def _column(events: Events, one: Aggregate) -> Values:
    assert one.argument is not None  # noqa: S101 -- the parser sees to it
    return events.columns[one.argument.text]


def _over(
    events: Events, slices: Slices, moments: Ints, aggregates: Sequence[Aggregate], *, over: int, there: Flags
) -> dict[str, Values]:
    """Return columns of one window; `slices` end where what happened by each moment ends."""
    first = _first_after(events.time, *slices, moments - over)
    stop = np.where(there, slices[1], first)
    columns = {one.name: np.empty(len(moments)) for one in aggregates}
    for some in _chunks(stop - first):
        matched = _matched(events, first[some], stop[some], moments[some])
        made: dict[tuple[str, str], Floats] = {}
        for one in aggregates:
            columns[one.name][some] = _reduced(events, one, matched, made)
    for values in columns.values():
        values[~there] = np.nan
    kinds: dict[str, Kind] = {one.name: one.kind({}) for one in aggregates}
    return {name: Values(kind=kinds[name], numbers=values) for name, values in columns.items()}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Matched:
    """Events matched with moments, moment by moment and in their order."""

    places: Ints
    """Shape (pairs,), of events."""
    counts: Ints
    """Shape (m,): pairs of each moment."""

    @cached_property
    def filled(self) -> Ints:
        """Moments that have any."""
        return np.flatnonzero(self.counts)

    @cached_property
    def starts(self) -> Ints:
        """First pair of each moment of `filled`."""
        return (np.cumsum(self.counts) - self.counts)[self.filled]

    @cached_property
    def moment(self) -> Ints:
        """Moment of each pair."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def reduce(self, how: np.ufunc, values: NDArray, empty: float) -> Floats:
        """Return the values of each moment as one; `empty` if it has none."""
        result = np.full(len(self.counts), empty)
        if len(self.filled):
            result[self.filled] = how.reduceat(values, self.starts)
        return result


def ranges(first: Ints, counts: Ints) -> Ints:
    """Return ``first[i]``, ``first[i] + 1`` and so on, ``counts[i]`` of them, one range behind the other.

    Examples
    --------
    >>> ranges(np.array([5, 0, 8]), np.array([2, 0, 3])).tolist()
    [5, 6, 8, 9, 10]
    """
    ends = np.cumsum(counts)
    return np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(first - (ends - counts), counts)


def _matched(events: Events, first: Ints, stop: Ints, moments: Ints) -> _Matched:
    counts = stop - first
    places = ranges(first, counts)
    if events.is_plain or not len(places):
        return _Matched(places=places, counts=counts)
    when, ends = np.repeat(moments, counts), np.cumsum(counts)
    kept = (events.known[places] <= when) & (when < events.until[places])
    left = np.concatenate([[0], np.cumsum(kept)])
    return _Matched(places=places[kept], counts=left[ends] - left[ends - counts])


def _reduced(
    events: Events, one: Aggregate, matched: _Matched, made: dict[tuple[str, str], Floats]
) -> Floats:
    """Return a column at each moment; `made` keeps what other columns use too."""
    if one.argument is None:
        return matched.counts.astype(np.float64)
    text = one.argument.text

    def keep(what: str, make: Callable[[], Floats]) -> Floats:
        if (text, what) not in made:
            made[text, what] = make()
        return made[text, what]

    numbers = keep("values", lambda: _column(events, one).numbers[matched.places])
    missing = np.isnan(numbers)
    filled = keep("filled", lambda: matched.reduce(np.add, (~missing).astype(np.float64), 0.0))
    match one.function:
        case "count" if not one.argument.condition:
            return filled
        case "distinct":
            return _distinct(numbers, missing, matched)
        case "min":
            return np.where(
                filled > 0, matched.reduce(np.minimum, np.where(missing, np.inf, numbers), np.nan), np.nan
            )
        case "max":
            return np.where(
                filled > 0, matched.reduce(np.maximum, np.where(missing, -np.inf, numbers), np.nan), np.nan
            )
        case _:
            total = keep("sum", lambda: matched.reduce(np.add, np.where(missing, 0.0, numbers), 0.0))
            if one.function in {"sum", "count"}:
                return total
            with np.errstate(invalid="ignore"):  # nothing by nothing is null
                return total / filled


def _distinct(numbers: Floats, missing: Flags, matched: _Matched) -> Floats:
    there = np.flatnonzero(~missing)
    different, codes = np.unique(numbers[there], return_inverse=True)
    # One sort of plain integers instead of one by two columns.
    pairs = np.sort(matched.moment[there] * np.int64(len(different) + 1) + codes)
    is_new = np.concatenate([[True], pairs[1:] != pairs[:-1]]) if len(pairs) else np.empty(0, dtype=np.bool_)
    moments = pairs[is_new] // np.int64(len(different) + 1)
    return np.bincount(moments, minlength=len(matched.counts)).astype(np.float64)


def _first_after(times: Ints, first: Ints, stop: Ints, moments: Ints) -> Ints:
    """Return, for each moment, the first place of its slice whose time is after it; its end where none is. Times of a slice ascend."""
    if 0 < len(times) <= _FEW * len(moments) and (moments == moments[0]).all():  # of a request
        passed = np.zeros(len(times) + 1, dtype=np.int64)
        np.cumsum(times <= moments[0], out=passed[1:])
        return first + passed[stop] - passed[first]
    low, high = first.copy(), stop.copy()
    if len(times):  # of a request, mostly all are before it
        past = (high > low) & (times[high - 1] <= moments)
        low[past] = high[past]
    searching = np.flatnonzero(low < high)
    while len(searching):
        middle = (low[searching] + high[searching]) >> 1
        is_after = times[middle] > moments[searching]
        high[searching[is_after]] = middle[is_after]
        low[searching[~is_after]] = middle[~is_after] + 1
        searching = searching[low[searching] < high[searching]]
    return low


def _chunks(counts: Ints) -> Iterator[slice]:
    """Give the moments in parts with `MOST_PAIRS` events at most, or one moment."""
    ends = np.cumsum(counts)
    if len(counts) and ends[-1] <= MOST_PAIRS:
        yield slice(0, len(counts))
        return
    start, before = 0, 0
    while start < len(counts):
        stop = max(start + 1, int(np.searchsorted(ends, before + MOST_PAIRS, side="right")))
        yield slice(start, stop)
        start, before = stop, int(ends[stop - 1])
