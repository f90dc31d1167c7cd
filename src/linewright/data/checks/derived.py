"""Leakage through several columns: days counted to a date of the outcome, flags of one family, and parts that make the label."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile

import numpy as np
import polars as pl

from linewright.data.checks.columns import LEAST_ROWS, ColumnCheck, Columns, Floats, Mask
from linewright.data.facts import Evidence, Finding

_DAY = 86_400_000_000
_LEAST_DAYS = 5
_COUNTED = 0.9
_SIBLINGS = 3
_MOST_NUMBERS, _CHECKED_ROWS, _GLANCE = 40, 2_000, 50
_MADE = 0.99
"""Share of the rows in which a formula has to give the label."""
_ROWS_A_NUMBER = 10
_SCALED = 1e-4
"""How far the constant of a product may differ from row to row: rates are rounded."""


class CountedDays(ColumnCheck):
    """A number of days up to a date that was not known in time."""

    id = "leak-counted-days"
    severity = "exclude"

    def run(self, columns: Columns, closed: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the numbers that are the days from some date to one that is left out."""
        time = columns.moments
        days = {name: _days(one) for name, one in columns.values.items() if one.dtype.is_temporal()}
        if time is not None and time.dtype.is_temporal():
            days = {time.name: _days(time), **days}
        late = [name for name in days if closed.get(name, "").startswith("leak")]
        for name, column in columns.open(closed).items() if late else ():
            if not column.dtype.is_numeric():
                continue
            number = column.cast(pl.Float64).fill_null(0.0).to_numpy()
            if hit := _best_count(number, days, late):
                start, end, share, rows = hit
                yield self.against(name, start=start, end=end, share=share, rows=rows, **columns.of_a_sample)


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
            if start == end or rows.sum() < LEAST_ROWS or len(np.unique(number[rows])) < _LEAST_DAYS:
                continue
            share = float((days[end][rows] - days[start][rows] == number[rows]).mean())
            of_all = share * rows.sum() / (number != 0).sum()
            if of_all >= _COUNTED and (best is None or share > best[2]):
                best = (start, end, share, int(rows.sum()))
    return best


def _flags(columns: Columns) -> dict[str, tuple[str, str, Mask]]:
    """Return the columns of two values: the commoner one, the rarer one, and where the rarer one stands."""
    flags: dict[str, tuple[str, str, Mask]] = {}
    if columns.truth.form != "two":
        return flags
    for name, column in columns.values.items():
        if column.null_count() or column.n_unique() != 2:
            continue
        text = column.cast(pl.String)
        low, high = sorted(text.unique().to_list())
        is_high = (text == high).to_numpy()
        flags[name] = (low, high, is_high) if is_high.mean() <= 0.5 else (high, low, ~is_high)
    return flags


class Family(ColumnCheck):
    """A rare flag that stands in a row of flags which are leaks, of their two values and named as they are."""

    id = "leak-family"
    severity = "exclude"

    def run(self, columns: Columns, closed: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the flags that are too rare to be cleared by their own figures."""
        flags = _flags(columns)
        most = float(np.bincount(columns.truth.codes).min()) if flags else 0.0
        for block in _blocks(list(columns.values), flags):
            kin = [name for name in block if closed.get(name, "").startswith("leak")]
            for name in block:
                rows = int(flags[name][2].sum())
                if name in closed or len(kin) < _SIBLINGS or rows > most or not _is_named_alike(name, kin):
                    continue
                of_kin = [int(flags[one][2].sum()) for one in kin]
                evidence: Evidence = {"kin": tuple(kin), "value": flags[name][1], "rows": rows}
                ends = {"low": min(of_kin), "high": max(of_kin)}
                yield self.against(name, **evidence, **ends, **columns.of_a_sample)


def _blocks(names: list[str], flags: Mapping[str, tuple[str, str, Mask]]) -> Iterator[list[str]]:
    """Give the runs of neighbouring columns that have the same two values."""
    run: list[str] = []
    for name in [*names, ""]:
        if run and (name not in flags or {*flags[name][:2]} != {*flags[run[0]][:2]}):
            yield run
            run = []
        if name in flags:
            run.append(name)


def _is_named_alike(name: str, kin: Sequence[str]) -> bool:
    """Return whether a name has a beginning or an end in common with all others; one letter is enough for abbreviations."""
    names = [name, *kin]
    alike = max(_same_letters(names), _same_letters([one[::-1] for one in names]))
    are_short = len({len(one) for one in names}) == 1 and len(name) <= 4
    return alike >= (1 if are_short else 3)


def _same_letters(names: Sequence[str]) -> int:
    return sum(1 for _ in takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False)))


class Parts(ColumnCheck):
    """Numbers that make the label: two as product or quotient, times any constant, or some as a sum, each added or taken away."""

    id = "leak-parts"
    severity = "exclude"

    def run(self, columns: Columns, closed: Mapping[str, str], /) -> Iterator[Finding]:
        """Give the parts: who knows all of them knows the label."""
        if columns.truth.form != "number":
            return
        numbers, y = _numbers(columns, closed)
        done: set[str] = set()
        for names, formula, share in (*_sums(numbers, y), *_scaled(numbers, y)):
            for name in names:
                if name not in done:
                    yield self.against(name, formula=formula, share=share, **columns.of_a_sample)
            done.update(names)


def _numbers(columns: Columns, closed: Mapping[str, str]) -> tuple[dict[str, Floats], Floats]:
    """Return the numbers that may make the label, and the label, in some of the rows; none where it has few values."""
    step = max(1, len(columns.label) // _CHECKED_ROWS)
    y = _floats(columns.label, step)
    if len(np.unique(y)) <= LEAST_ROWS:
        return {}, y
    open_ = columns.open(closed).items()
    named = [name for name, one in open_ if one.dtype.is_numeric() and one.n_unique() > 2]
    return {name: _floats(columns.values[name], step) for name in named[:_MOST_NUMBERS]}, y


def _floats(values: pl.Series, step: int) -> Floats:
    return values.cast(pl.Float64).gather_every(step).fill_null(float("nan")).to_numpy()


def _sums(numbers: Mapping[str, Floats], y: Floats) -> Iterator[tuple[list[str], str, float]]:
    """Find the numbers of which the label is the sum.

    That least squares gives weights of 1 and -1 on half of the rows, and makes the label of the other half, is no chance.
    """
    names, full = _filled(numbers, y)
    if len(names) < 2:
        return
    x, label = np.column_stack([numbers[name] for name in names])[full], y[full]
    scale = np.maximum(np.abs(x).max(axis=0), 1e-300)
    weights = np.round(np.linalg.lstsq(x[::2] / scale, label[::2], rcond=None)[0] / scale)
    signs = {name: weight for name, weight in zip(names, weights, strict=True) if weight}
    if len(signs) < 2 or any(abs(weight) > 1 for weight in signs.values()):
        return
    share = _share(x[1::2] @ weights, label[1::2])
    if share >= _MADE and max(_share(numbers[name], y) for name in signs) < 0.5:
        formula = " ".join(f"{'-' if weight < 0 else '+'} {name}" for name, weight in signs.items())
        yield list(signs), formula.removeprefix("+ "), share


def _filled(numbers: Mapping[str, Floats], y: Floats) -> tuple[list[str], Mask]:
    """Return the numbers with hardly a gap, and the rows in which all of them have a value; none where the rows are too few."""
    names = [name for name, number in numbers.items() if np.isnan(number).mean() <= 1 - _MADE]
    full = np.isfinite(y)
    for name in names:
        full = full & np.isfinite(numbers[name])
    return (names, full) if full.sum() >= max(_ROWS_A_NUMBER * len(names), 2 * LEAST_ROWS) else ([], full)


def _share(made: Floats, y: Floats) -> float:
    """Return the share of the rows in which numbers are the label."""
    known = np.isfinite(made) & np.isfinite(y)
    near = np.abs(made[known] - y[known]) <= 1e-6 * (np.abs(y[known]) + np.nanstd(y))
    return float(near.mean()) if len(near) >= LEAST_ROWS else 0.0


def _scaled(numbers: Mapping[str, Floats], y: Floats) -> Iterator[tuple[list[str], str, float]]:
    """Find two numbers whose product or quotient is the label times a constant: a rate per 10,000 and how many there are.

    Logarithms turn the constant into a distance that is the same in all rows, so that a glance at few rows rules out nearly all pairs.
    """
    glance = np.flatnonzero(np.isfinite(y) & (y != 0))[:_GLANCE]
    if len(numbers) < 2 or len(glance) < LEAST_ROWS:
        return
    names = list(numbers)
    parts = np.stack([number[glance] for number in numbers.values()])
    logs = np.log(np.abs(np.where(np.isfinite(parts) & (parts != 0), parts, np.nan)))
    apart = np.log(np.abs(y[glance])) - logs
    for sign, is_product in ((-1, True), (1, False)):
        for first, second in _constant(apart[:, None] + sign * logs[None], is_product=is_product):
            a, b = numbers[names[first]], numbers[names[second]]
            made = a * b if is_product else np.divide(a, b, out=np.full_like(a, np.nan), where=b != 0)
            factor, share = _share_of_scaled(made, y)
            if share >= _MADE and max(_share_of_scaled(one, y)[1] for one in (a, b)) < 0.5:
                formula = f"{names[first]} {'*' if is_product else '/'} {names[second]}{_times(factor)}"
                yield [names[first], names[second]], formula, share


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
    if some.sum() < LEAST_ROWS:
        return 1.0, 0.0
    factor = float(np.median(y[some] / made[some]))
    near = np.abs(factor * made - y) <= _SCALED * np.abs(y)
    return factor, float(min(near.mean(), near[(made != 0) | (y != 0)].mean()))


def _times(factor: float) -> str:
    """Write a factor as people do: a rate per 10,000 is divided by it."""
    if abs(factor - 1) <= _SCALED:
        return ""
    return f" * {factor:,.6g}" if abs(factor) >= 1 else f" / {1 / factor:,.6g}"
