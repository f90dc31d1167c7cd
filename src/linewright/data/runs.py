"""What several rows belong to and no column names alone: a name that comes again, and the year beside it that tells which one is meant."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from linewright.data.roles import COUNTED, TIME_WORDS
from linewright.data.seen import UNUSABLE, Seen, percent
from linewright.data.types import NUMBERS

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_LEAST_RUNS = 10
_LEAST_ROWS = 3.0
"""Rows that a run has on average."""
_FAR = 3.0
"""How many times longer runs are than those of the same values in any order."""
_AGAIN = 0.1
"""Share of the values that come in several runs; below it, the column nearly names things by itself."""
_NEARLY = 0.98
"""Share of the runs within which the other column has one value, and share that no other run shares both values with."""
_CROSSED = 0.5
"""Share of all combinations of the two columns from which on they are the cells of a plan, or levels that somebody sorted by."""
_FILLED = 0.95
_ALIKE, _ALIKE_IN = 0.5, 2
"""How far two rows of a run differ at most, as a share of how far rows of neighbouring runs do; and in how many columns."""
_VARIED = 0.1
"""How far rows of neighbouring runs differ at least: on average, as a share of all ranks, or how often. All are alike in what hardly varies."""
_MOST_TRIED = 40


class NamedByTwo(msgspec.Struct, frozen=True, kw_only=True):
    """Two columns that together name what several rows belong to."""

    name: str
    """The column whose values come again."""
    beside: str
    """The one that tells which of the things of that name is meant."""
    evidence: str
    """A sentence with figures."""


def find_named_by_two(seen: Mapping[str, Seen], label: str, taken: Sequence[str]) -> NamedByTwo | None:
    """Return a column of names in runs and another that tells runs of one name apart, where rows of a run are alike.

    That a file lies in runs says little: whoever sorts a table by two columns makes some. So the two may not be most of all
    their combinations, and rows of a run have to be far more alike than those of runs that follow each other, which lie near in time too.

    Parameters
    ----------
    seen
        All columns by name, in the order of the source.
    label
        What is predicted; that rows of a run are alike in it counts.
    taken
        Columns that cannot be the name: those with a part, and those that no model sees.

    Examples
    --------
    >>> from linewright.data.seen import see
    >>> storms = range(60)
    >>> names = [name for storm in storms for name in ["ABCDEFGHIJKLMNOPQRST"[storm * 7 % 20]] * 5]
    >>> years = [1990 + storm // 4 for storm in storms for _ in range(5)]
    >>> lat = [storm * 37 % 60 + at / 10 for storm in storms for at in range(5)]
    >>> frame = pl.DataFrame({"name": names, "year": years, "lat": lat, "wind": [10 * one for one in lat]})
    >>> found = find_named_by_two({one.name: see(one) for one in frame}, "wind", ["wind"])
    >>> found.name, found.beside, found.evidence.partition(",")[0]
    ('name', 'year', '20 values lie in 60 runs of 5.0 rows on average')
    """
    tried = [one for one in seen.values() if one.name not in {label, *taken} and _may_name(one)]
    found = [pair for name in tried[:_MOST_TRIED] for pair in _pairs(name, seen, label)]
    # `max` keeps the first of equals; what takes most rows together hides most.
    return max(found, key=lambda one: one[0])[1] if found else None


def _may_name(column: Seen) -> bool:
    rows = len(column.values)
    if column.type not in {"category", "text"} or (COUNTED | TIME_WORDS) & {*column.words}:
        return False
    if column.distinct < 2 or column.present < _FILLED * rows:
        return False
    runs = len(np.unique(_run_of(column.values)))
    shares = column.counts["rows"].to_numpy() / column.present
    by_chance = 1 + rows * (1 - float((shares**2).sum()))
    return (
        runs >= max(_LEAST_RUNS, (1 + _AGAIN) * column.distinct)
        and rows >= _LEAST_ROWS * runs
        and by_chance >= _FAR * runs
    )


def _run_of(values: pl.Series) -> Ints:
    """Return the number of each row's run; a row without a value is one of its own."""
    begins = values.ne_missing(values.shift(1)) | values.is_null()
    return begins.cast(pl.Int64).cum_sum().to_numpy() - 1 if len(values) else np.zeros(0, dtype=np.int64)


def _pairs(
    name: Seen, seen: Mapping[str, Seen], label: str
) -> Iterator[tuple[tuple[bool, float], NamedByTwo]]:
    run = _run_of(name.values)
    runs = int(run[-1]) + 1
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    again = _again(name.values[starts.tolist()])
    beside = [
        one
        for one in seen.values()
        if one.name not in {name.name, label} and _tells_apart(name, one, run, starts)
    ]
    if again < _AGAIN or not beside:
        return
    outside = {name.name, *(one.name for one in beside)}
    alike = _alike_within(run, [one for one in seen.values() if one.name not in outside])
    if len(alike) < _ALIKE_IN and label not in alike:
        return
    shown = sorted(alike, key=lambda one: one != label)
    for one in beside:
        is_year = bool((COUNTED | TIME_WORDS) & {*one.words})
        is_exact = pl.DataFrame({"name": name.values, "one": one.values}).n_unique() == runs
        says = (
            f"{name.distinct:,} values lie in {runs:,} runs of {len(run) / runs:.1f} rows on average, {percent(again)} of them in several, "
            f"and with {one.name} beside it {'each' if is_exact else 'nearly each'} run is named once; rows of a run are alike in {', '.join(shown[:3])}: "
            f"{name.name} and {one.name} together seem to name what rows belong to"
        )
        yield (is_year, -one.distinct), NamedByTwo(name=name.name, beside=one.name, evidence=says)


def _again(of_runs: pl.Series) -> float:
    """Return the share of the values that come in several runs."""
    rows = of_runs.drop_nulls().alias("value").value_counts(name="runs")["runs"].to_numpy()
    return float((rows > 1).mean()) if len(rows) else 0.0


def _tells_apart(name: Seen, one: Seen, run: Ints, starts: Ints) -> bool:
    """Return whether a column has one value in nearly every run, comes in several runs, and tells runs of one name apart."""
    runs = len(starts)
    if one.type in {UNUSABLE, "text"} or one.present < _FILLED * len(run) or not 2 <= one.distinct < runs / 2:
        return False
    changes = one.values.ne_missing(one.values.shift(1)).to_numpy().copy()
    changes[starts] = False
    if len(np.unique(run[changes])) > (1 - _NEARLY) * runs:
        return False
    rows = starts.tolist()
    together = pl.DataFrame({"name": name.values[rows], "one": one.values[rows]}).n_unique()
    return together >= _NEARLY * runs and together < _CROSSED * name.distinct * one.distinct


def _alike_within(run: Ints, others: Sequence[Seen]) -> list[str]:
    """Return the columns in which rows of a run differ far less than rows of runs that follow each other.

    Runs that follow each other lie near in time, so what only drifts over the file makes rows of a run no more alike.
    """
    rng = np.random.default_rng(0)
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    lengths = np.diff(starts, append=len(run))
    first = starts + rng.integers(0, lengths)
    second = starts + (first - starts + 1 + rng.integers(0, np.maximum(lengths - 1, 1))) % lengths
    many = lengths > 1
    found: list[str] = []
    for one in others:
        if one.type in {UNUSABLE, "text"} or one.distinct < 2 or one.present < len(run) / 2:
            continue
        within = _apart(one, first[many], second[many])
        between = _apart(one, first[:-1], second[1:])
        if between >= _VARIED and within <= _ALIKE * between:
            found.append(one.name)
    return found


def _apart(one: Seen, rows: Ints, others: Ints) -> float:
    """Return how far pairs of rows differ: in ranks, as a share of them all, where the values are numbers, else how often they do."""
    values = one.values
    if one.type in NUMBERS:
        ranks = values.rank("average").to_numpy() / len(values)
        return float(np.nanmean(np.abs(ranks[rows] - ranks[others]))) if len(rows) else 0.0
    codes = values.cast(pl.String).rank("dense").fill_null(0).to_numpy()
    return float((codes[rows] != codes[others]).mean()) if len(rows) else 0.0
