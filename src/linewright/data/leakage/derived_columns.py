"""Columns that are leaks by the company they keep: counted from one, of its family, or parts that make the label."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, combinations, takewhile

import numpy as np
import numpy.typing as npt
import polars as pl

from linewright.data.leakage.single_column import Suspect
from linewright.data.profile.association import Truth
from linewright.data.profile.column import percent

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Flags = Mapping[str, tuple[str, str, Mask]]

_DAY = 86_400_000_000
_LEAST_ROWS = 20
_LEAST_DAYS = 5
_COUNTED = 0.9
_PURE = 0.9
_COVERED = 0.5
_SIBLINGS = 3
_MOST_NUMBERS = 40
_CHECKED_ROWS = 2_000
_MADE = 0.99
_PAIR, _TERMS = 2, 3
_GLANCE = 50
_SCALED = 1e-4
"""How far the constant of a product may differ from row to row: rates are rounded."""
_ROWS_A_NUMBER = 10
_NUMBERED = re.compile(r"(.*?)(\d{1,4})")
_LEVELS, _MOST_LEVELS = 3, 100
_TOLD = 0.9


def find_kin(
    truth: Truth,
    values: Mapping[str, pl.Series],
    suspects: Mapping[str, Suspect],
    label: pl.Series,
    *,
    time: pl.Series | None,
) -> dict[str, Suspect]:
    """Return the columns that no figure of their own gives away, but others do.

    Parameters
    ----------
    truth, label
        The label of n rows, as classes or ranks and in its type.
    values
        By column, in the order of the table: its n values in their type.
    suspects
        What was found by each column's own figures.
    time
        When each row happened.

    Returns
    -------
    dict
        By column. Days that are counted up to a suspect date; flags that only together raise the label; a flag that
        stands in a row of such flags; two numbers of which the label is the sum or the difference, or, times a constant, the
        product or the quotient; more of which it is the sum, each added or taken away; counts of its levels, of which it is the mean.
    """
    open_ = {name for name in values if name not in suspects or suspects[name].kind == "strong"}
    found = dict(_counted(values, suspects, open_, time))
    flags = _flags(truth, values)
    found |= {name: one for name, one in _together(truth, flags, open_) if name not in found}
    leaks = {name for name, one in {**suspects, **found}.items() if one.kind == "leak"}
    found |= {name: one for name, one in _family(truth, values, flags, leaks) if name in open_ - found.keys()}
    if truth.form == "number":
        parts = chain(
            _scaled(values, label, open_),
            _parts(values, label, open_),
            _terms(values, label, open_),
            _votes(values, label, open_),
        )
        found |= {name: one for name, one in parts if name not in found}
    return found


def _counted(
    values: Mapping[str, pl.Series], suspects: Mapping[str, Suspect], open_: set[str], time: pl.Series | None
) -> Iterator[tuple[str, Suspect]]:
    """Find numbers of days from some date to one that is not known in time."""
    days = {name: _days(column) for name, column in values.items() if column.dtype.is_temporal()}
    if time is not None and time.dtype.is_temporal():
        days = {time.name: _days(time), **days}
    late = [name for name in days if name in suspects and suspects[name].kind in {"leak", "later"}]
    for name in open_:
        if not late or not values[name].dtype.is_numeric():
            continue
        number = values[name].cast(pl.Float64).fill_null(0.0).to_numpy()
        if hit := _best_count(number, days, late):
            start, end, share, rows = hit
            yield (
                name,
                Suspect(
                    kind=suspects[end].kind,
                    evidence=f"in {percent(share)} of the {rows:,} rows where it is not 0, it is the days from {start!r} to {end!r}, "
                    f"which is a {_named(suspects[end].kind)}",
                ),
            )


def _named(kind: str) -> str:
    return "leak" if kind == "leak" else "date that lies after the row's own"


def _days(column: pl.Series) -> Floats:
    """Return the number of each day, NaN where there is none."""
    micros = column.cast(pl.Datetime("us")).to_physical().cast(pl.Float64)
    return np.floor(micros.fill_null(float("nan")).to_numpy() / _DAY)


def _best_count(
    number: Floats, days: Mapping[str, Floats], late: Sequence[str]
) -> tuple[str, str, float, int] | None:
    """Return (from, to, share of rows, rows) of the difference in days that the numbers are, where there is one."""
    best: tuple[str, str, float, int] | None = None
    for end in late:
        for start in days:
            rows = (number != 0) & ~np.isnan(days[end]) & ~np.isnan(days[start])
            if start == end or rows.sum() < _LEAST_ROWS or len(np.unique(number[rows])) < _LEAST_DAYS:
                continue
            share = float((days[end][rows] - days[start][rows] == number[rows]).mean())
            of_all = share * rows.sum() / (number != 0).sum()
            if of_all >= _COUNTED and (best is None or share > best[2]):
                best = (start, end, share, int(rows.sum()))
    return best


def _flags(truth: Truth, values: Mapping[str, pl.Series]) -> dict[str, tuple[str, str, Mask]]:
    """Return the columns of two values: the commoner one, the rarer one, and where the rarer one stands."""
    flags: dict[str, tuple[str, str, Mask]] = {}
    if truth.form != "two":
        return flags
    for name, column in values.items():
        if column.null_count() or column.n_unique() != 2:
            continue
        text = column.cast(pl.String)
        low, high = sorted(text.unique().to_list())
        is_high = (text == high).to_numpy()
        if is_high.mean() <= 0.5:
            flags[name] = (low, high, is_high)
        else:
            flags[name] = (high, low, ~is_high)
    return flags


def _together(truth: Truth, flags: Flags, open_: set[str]) -> Iterator[tuple[str, Suspect]]:
    """Find flags that are each too rare to judge, and of which one is up in most rows of one class and nowhere else.

    They are chosen by one half of the rows and judged by the other, so that many honest flags do not add up to a leak.
    """
    for code in (0, 1):
        is_class = truth.codes == code
        chosen = [name for name, (_, _, up) in flags.items() if _raises(up & truth.halves, is_class)]
        if len(chosen) < 2 or is_class.mean() > 0.5:
            continue
        up = np.logical_or.reduce([flags[name][2] for name in chosen])
        judged = up & ~truth.halves
        if judged.sum() < _LEAST_ROWS or is_class[judged].mean() < max(_PURE, 0.5 + is_class.mean()):
            continue
        if up[is_class & ~truth.halves].mean() < _COVERED:
            continue
        says = (
            f"where one of {', '.join(chosen)} is up ({up.sum():,} rows), the label is {truth.classes[code]!r} in "
            f"{percent(float(is_class[up].mean()))} of them, and these are {percent(float(up[is_class].mean()))} of all such rows: "
            "together they are the label in other words"
        )
        yield from ((name, Suspect(kind="leak", evidence=says)) for name in chosen if name in open_)


def _raises(up: Mask, is_class: Mask) -> bool:
    return 2 <= up.sum() <= is_class.sum() and bool(is_class[up].mean() >= _PURE)


def _family(
    truth: Truth, values: Mapping[str, pl.Series], flags: Flags, leaks: set[str]
) -> Iterator[tuple[str, Suspect]]:
    """Find a rare flag that stands in a row of flags which are leaks, of their two values and named as they are."""
    most = float(np.bincount(truth.codes).min()) if truth.form == "two" else 0.0
    for block in _blocks(list(values), flags):
        kin = [name for name in block if name in leaks]
        for name in block:
            rows = int(flags[name][2].sum())
            if name in leaks or len(kin) < _SIBLINGS or rows > most or not _is_named_alike(name, kin):
                continue
            up = flags[name][1]
            others = [int(flags[one][2].sum()) for one in kin]
            yield (
                name,
                Suspect(
                    kind="leak",
                    evidence=f"it stands beside {', '.join(kin)}, which are leaks, has their two values and is named as they are; "
                    f"{up} in {rows:,} rows (they: {min(others):,} to {max(others):,}), which is too few to clear it",
                ),
            )


def _blocks(names: list[str], flags: Flags) -> Iterator[list[str]]:
    """Give the runs of neighbouring columns that have the same two values."""
    run: list[str] = []
    for name in names:
        if run and (name not in flags or set(flags[name][:2]) != set(flags[run[0]][:2])):
            yield run
            run = []
        if name in flags:
            run.append(name)
    if run:
        yield run


def _is_named_alike(name: str, kin: Sequence[str]) -> bool:
    """Return whether a name has a beginning or an end in common with all others; one letter is enough for abbreviations."""
    names = [name, *kin]
    alike = max(_same_letters(names), _same_letters([one[::-1] for one in names]))
    are_short = len({len(one) for one in names}) == 1 and len(name) <= 4
    return alike >= (1 if are_short else 3)


def _same_letters(names: Sequence[str]) -> int:
    """Return how many letters all names begin with."""
    return sum(1 for _ in takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False)))


def _parts(
    values: Mapping[str, pl.Series], label: pl.Series, open_: set[str]
) -> Iterator[tuple[str, Suspect]]:
    """Find two numbers that make the label: a + b, a - b or a * b."""
    numbers, y = _numbers(values, label, open_)
    for (first, a), (second, b) in combinations(numbers.items(), 2):
        for made, formula in (
            (a + b, f"{first} + {second}"),
            (a - b, f"{first} - {second}"),
            (b - a, f"{second} - {first}"),
            (a * b, f"{first} * {second}"),
        ):
            if _is_made(made, a, b, y):
                says = f"{formula} is the label in {percent(_share(made, y))} of rows: who knows both knows the label"
                yield from ((name, Suspect(kind="leak", evidence=says)) for name in (first, second))


def _scaled(
    values: Mapping[str, pl.Series], label: pl.Series, open_: set[str]
) -> Iterator[tuple[str, Suspect]]:
    """Find two numbers whose product or quotient is the label times a constant: a rate per 10,000 and how many there are.

    Logarithms turn the constant into a distance that is the same in all rows, so that a glance at few rows rules out nearly all pairs.
    """
    numbers, y = _numbers(values, label, open_)
    glance = np.flatnonzero(np.isfinite(y) & (y != 0))[:_GLANCE]
    if len(numbers) < _PAIR or len(glance) < _LEAST_ROWS:
        return
    names = list(numbers)
    parts = np.stack([number[glance] for number in numbers.values()])
    logs = np.log(np.abs(np.where(np.isfinite(parts) & (parts != 0), parts, np.nan)))
    apart = np.log(np.abs(y[glance])) - logs
    for sign, is_product in ((-1, True), (1, False)):
        for first, second in _constant(apart[:, None] + sign * logs[None], is_product=is_product):
            a, b = numbers[names[first]], numbers[names[second]]
            made = a * b if is_product else np.divide(a, b, out=np.full_like(a, np.nan), where=b != 0)
            alone = max(_share_of_scaled(a, y)[1], _share_of_scaled(b, y)[1])
            factor, share = _share_of_scaled(made, y)
            if share < _MADE or alone >= 0.5 or (is_product and abs(factor - 1) <= _SCALED):
                continue
            formula = f"{names[first]} {'*' if is_product else '/'} {names[second]}{_times(factor)}"
            says = f"{formula} is the label in {percent(share)} of rows: who knows both knows the label"
            yield from ((names[one], Suspect(kind="leak", evidence=says)) for one in (first, second))


def _constant(apart: Floats, *, is_product: bool) -> Iterator[tuple[int, int]]:
    """Give the pairs whose distances, shape (k, k, rows), are the same in most rows."""
    known = ~np.isnan(apart)
    middle = np.median(np.where(known, apart, 0.0), axis=2, keepdims=True)
    near = (np.abs(apart - middle) <= _SCALED) & known
    for first, second in np.argwhere(near.mean(axis=2) > 0.5).tolist():
        if first < second or (first != second and not is_product):
            yield first, second


def _share_of_scaled(made: Floats, y: Floats) -> tuple[float, float]:
    """Return the constant by which `made` is the label in most rows, and in what share of them: of all, or of those that are not 0."""
    rows = np.isfinite(made) & np.isfinite(y)
    made, y = made[rows], y[rows]
    some = (made != 0) & (y != 0)
    if some.sum() < _LEAST_ROWS:
        return 1.0, 0.0
    factor = float(np.median(y[some] / made[some]))
    near = np.abs(factor * made - y) <= _SCALED * np.abs(y)
    return factor, float(min(near.mean(), near[(made != 0) | (y != 0)].mean()))


def _times(factor: float) -> str:
    """Write a factor as people do: a rate per 10,000 is divided by it."""
    if abs(factor - 1) <= _SCALED:
        return ""
    return f" * {factor:,.6g}" if abs(factor) >= 1 else f" / {1 / factor:,.6g}"


def _terms(
    values: Mapping[str, pl.Series], label: pl.Series, open_: set[str]
) -> Iterator[tuple[str, Suspect]]:
    """Find three numbers or more of which the label is the sum, each added or taken away.

    Least squares finds them, where no others add up to each other; that it gives weights of 1 and -1, and makes the
    label of rows that it has not seen, is no chance.
    """
    numbers, y = _numbers(values, label, open_)
    full = {name: number for name, number in numbers.items() if not np.isnan(number).any()}
    if len(full) < _TERMS or np.isnan(y).any() or len(y) < _ROWS_A_NUMBER * len(full):
        return
    x = np.column_stack(list(full.values()))
    scale = np.abs(x).max(axis=0)
    weights = np.round(np.linalg.lstsq(x[::2] / scale, y[::2], rcond=None)[0] / scale)
    signs = {name: weight for name, weight in zip(full, weights, strict=True) if weight}
    if len(signs) < _TERMS or any(abs(weight) > 1 for weight in signs.values()):
        return
    share = _share(x[1::2] @ weights, y[1::2])
    if share >= _MADE and max(_share(full[name], y) for name in signs) < 0.5:
        formula = " ".join(f"{'-' if weight < 0 else '+'} {name}" for name, weight in signs.items())
        says = f"{formula.removeprefix('+ ')} is the label in {percent(share)} of rows: who knows all knows the label"
        yield from ((name, Suspect(kind="leak", evidence=says)) for name in signs)


def _votes(
    values: Mapping[str, pl.Series], label: pl.Series, open_: set[str]
) -> Iterator[tuple[str, Suspect]]:
    """Find numbered columns that say how often, or in what share, each level was given, where the label is about their mean.

    Counts of one to five stars, say, beside the mean of the stars. Shares are often rounded, so the mean need not be exact.
    """
    levels: dict[str, dict[str, int]] = {}
    for name in values:
        if name in open_ and values[name].dtype.is_numeric() and (match := _NUMBERED.fullmatch(name)):
            levels.setdefault(match[1], {})[name] = int(match[2])
    step = max(1, len(label) // _CHECKED_ROWS)
    y = _floats(label, step)
    for numbered in levels.values():
        if not _LEVELS <= len(numbered) <= _MOST_LEVELS:
            continue
        at = np.array(list(numbered.values()), dtype=np.float64)
        counts = np.column_stack([_floats(values[name], step) for name in numbered])
        rows = (counts >= 0).all(axis=1) & (counts.sum(axis=1) > 0) & ~np.isnan(y)
        if rows.sum() < max(_LEAST_ROWS, len(y) / 2):
            continue
        mean = counts[rows] @ at / counts[rows].sum(axis=1)
        told = float(np.corrcoef(mean, y[rows])[0, 1]) if np.ptp(mean) and np.ptp(y[rows]) else 0.0
        if told >= _TOLD:
            names = list(numbered)
            says = (
                f"as counts or shares of the levels {min(numbered.values())} to {max(numbered.values())}, {names[0]} to {names[-1]} have a "
                f"mean that goes with the label (correlation {told:.3f}): likely what the label was made of"
            )
            yield from ((name, Suspect(kind="leak", evidence=says)) for name in names)


def _numbers(
    values: Mapping[str, pl.Series], label: pl.Series, open_: set[str]
) -> tuple[dict[str, Floats], Floats]:
    """Return the numbers that may make the label, and the label, in some of the rows; none where it has few values."""
    named = [
        name
        for name in values
        if name in open_ and values[name].dtype.is_numeric() and values[name].n_unique() > 2
    ][:_MOST_NUMBERS]
    step = max(1, len(label) // _CHECKED_ROWS)
    y = _floats(label, step)
    is_number = len(np.unique(y)) > _LEAST_ROWS
    return {name: _floats(values[name], step) for name in named if is_number}, y


def _floats(values: pl.Series, step: int) -> Floats:
    return values.cast(pl.Float64).gather_every(step).fill_null(float("nan")).to_numpy()


def _is_made(made: Floats, a: Floats, b: Floats, y: Floats) -> bool:
    """Return whether `made` is the label nearly everywhere, and neither part is it alone."""
    if not _is_near(made[:50], y[:50]).mean() > 0.5:
        return False
    alone = max(_share(a, y), _share(b, y), _share(-a, y), _share(-b, y))
    return _share(made, y) >= _MADE and alone < 0.5


def _share(made: Floats, y: Floats) -> float:
    known = ~np.isnan(made) & ~np.isnan(y)
    return float(_is_near(made[known], y[known]).mean()) if known.sum() >= _LEAST_ROWS else 0.0


def _is_near(made: Floats, y: Floats) -> Mask:
    return np.abs(made - y) <= 1e-6 * (np.abs(y) + np.nanstd(y))
