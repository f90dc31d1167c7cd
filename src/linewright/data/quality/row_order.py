"""A table that lies in the order of a number: nothing calls it a time, and a split at random would judge a model on the past."""

import json
import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from linewright.data.facts import NO_MONTH, NO_TIME, Breach
from linewright.data.profile.column import Seen, as_declared, percent, words_of
from linewright.data.profile.roles import id_evidence, is_thing, is_time_name
from linewright.data.quality.rows import find_group, sorted_evidence
from linewright.data.spec import DataSpec
from linewright.data.types import NUMBERS, TIMES

Floats = npt.NDArray[np.float64]

LEAST_VALUES = 20
"""Different values that an order needs: a table that is sorted by fewer is sorted by an attribute."""
_OUT_OF_PLACE = 0.01
"""Share of the values that may lie out of their order."""
_FILLED = 0.9
"""Share of the rows that have to have a value."""
_MOST_OF_ONE = 0.3
"""Share of the rows that one value may have: of what is mostly 0, any order is one."""
_USUAL = 0.95
"""Share of one category, from which on the others part nothing."""
_LEAST_ROWS = 100
_GLANCE, _GLANCED = 1_000, 0.2
"""Rows that are looked at first, and the share of them that may be out of place where the rest is looked at too."""
_LATEST, _SURELY = 0.2, 3.0
"""Share of the rows that are the latest, and standard errors by which their label has surely moved."""
_KINDS = {"Int64": "integer", "Float64": "number", "Boolean": "boolean"}
"""Types of a column by polars' own; all others are categories here."""


_YEAR_WORDS = frozenset({"year", "yr"})
_MONTH_WORDS = frozenset({"month", "mo", "mnth"})
_MONTHS = {
    "%b": frozenset({"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}),
    "%B": frozenset(
        {
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
        }
    ),
}
"""Names of months by how strptime calls them."""
_FEWEST_MONTHS = 6


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A number column in whose order the rows lie."""

    column: str
    evidence: str
    """A sentence with figures."""
    is_time: bool
    """Whether its name says that it counts time. Most other numbers in whose order tables lie number what rows belong to, or the
    rows, or are what somebody sorted them by."""


def find_order(seen: Mapping[str, Seen], label: str, taken: Iterable[str | None]) -> Order | None:
    """Return the number column in whose order the rows lie, where there is one.

    Parameters
    ----------
    seen
        All columns by name.
    label
        What is predicted; rows in its order are another finding.
    taken
        Columns that have a part already: they name rows or what rows belong to.

    Returns
    -------
    Order or None
        One that its name calls a time comes first, one that numbers the rows last, else the first of the table.

    Examples
    --------
    >>> from linewright.data.profile.column import see
    >>> day = see(pl.Series("day", [str(i // 4) for i in range(400)]))
    >>> late = see(pl.Series("late", ["no"] * 100 + ["no", "yes"] * 150))
    >>> found = find_order({"day": day, "late": late}, "late", [])
    >>> found.column, found.evidence.partition(";")[0]
    ('day', 'the rows lie in its order: from 0 to 99 it never falls')
    """
    outside = {label, *filter(None, taken)}
    found = [
        column
        for column in seen.values()
        if column.name not in outside and not is_thing(column) and _is_order(column)
    ]
    if not found or _is_sorted_by(seen[label]):
        return None
    # Rows that are sorted by what they belong to lie in no order of time.
    group = find_group(seen, [*outside])
    found = [column for column in found if group is None or column.name != group[0]]
    if found and _is_in_stretches(seen, outside):
        # The clinic's number leads the patient's: the last rows are those of one clinic, and not the latest.
        found = [column for column in found if is_time_name(column.name)]
    if any(_is_named_time(column) for column in seen.values() if column.name not in outside):
        # Counties in the order of their states, each with its years: the number of the state is no time beside the year.
        found = [column for column in found if is_time_name(column.name) or id_evidence(column)]
    if not found:
        return None
    # `max` keeps the first of equals.
    best = max(found, key=lambda column: (is_time_name(column.name), id_evidence(column) is None))
    says = f"the rows lie in its order: {_course(best)}"
    if moved := _moved(seen[label]):
        says += f"; {moved}"
    return Order(column=best.name, evidence=says, is_time=is_time_name(best.name))


def asked(order: Order, by: str) -> str:
    """Say what an order that may be one of time would mean, and how to answer.

    Parameters
    ----------
    by
        How the rows are parted while nobody answers: `random` or `group`.
    """
    return (
        f"{order.evidence}: a test part drawn at random then lies among the training rows, and does not show how a model does on rows "
        f"to come; if {order.column} grows with time, say so (`new` with --time {shlex.quote(order.column)}); if not, split: {{by: {by}}} (under train) says so"
    )


class YearAndMonth(msgspec.Struct, frozen=True, kw_only=True):
    """Two columns that together say in which month a row happened."""

    year: str
    month: str
    named: str
    """How strptime calls the names of months: ``%b`` (`Jan`) or ``%B`` (`January`); empty where they are numbers."""
    evidence: str
    """A sentence with figures."""


def find_year_and_month(
    seen: Mapping[str, Seen], label: str, taken: Iterable[str | None]
) -> YearAndMonth | None:
    """Return the year and the month of rows, where the table has both beside each other, in whatever order the rows lie.

    Parameters
    ----------
    seen, label, taken
        As in `find_order`.

    Examples
    --------
    >>> from linewright.data.profile.column import see
    >>> columns = {"Year": [2009 + i % 3 for i in range(400)], "Month": [1 + i % 12 for i in range(400)]}
    >>> seen = {name: see(pl.Series(name, values)) for name, values in columns.items()}
    >>> found = find_year_and_month(seen | {"y": see(pl.Series("y", ["a", "b"] * 200))}, "y", [])
    >>> found.year, found.month, found.evidence
    ('Year', 'Month', 'together they say when a row happened, in 12 different months')
    """
    outside = {label, *filter(None, taken)}
    # Few of thousands of columns are years or months, so only these are looked at in pairs.
    free = [one for one in seen.values() if one.name not in outside and one.present and not one.missing]
    years = [one for one in free if _YEAR_WORDS & {*one.words} and _is_within(one, 1800, 2200)]
    months = [one for one in free if _MONTH_WORDS & {*one.words}]
    for year, month in ((a, b) for a in years for b in months if _go_together(a, b)):
        named = _named(month)
        when = pl.DataFrame({"year": year.values, "month": month.values})
        many = when.n_unique()
        if many < _FEWEST_MONTHS or not (named or _is_within(month, 1, 12)):
            continue
        says = f"together they say when a row happened, in {many:,} different months"
        if not named:
            rows = when.select(pl.arg_sort_by("year", "month", maintain_order=True)).to_series()
            moved = _moved(replace(seen[label], values=seen[label].values.gather(rows)), of="the rows")
            says += f"; over them, {moved}" if moved else ""
        return YearAndMonth(year=year.name, month=month.name, named=named, evidence=says)
    return None


def _calendar(names: Iterable[str]) -> list[str]:
    """Return the columns that are years or months by their names; none where there are not both, so that none is seen in vain."""
    words = {name: {*words_of(name)} for name in names}
    kinds = (_YEAR_WORDS, _MONTH_WORDS)
    if not all(any(kind & own for own in words.values()) for kind in kinds):
        return []
    return [name for name, own in words.items() if any(kind & own for kind in kinds)]


def _named(month: Seen) -> str:
    """Return how strptime calls the names that a column of months holds; empty where it holds others."""
    if month.type != "category" or month.distinct > len(_MONTHS["%b"]):
        return ""
    names = {*month.values.unique().cast(pl.String).str.to_lowercase()}
    return next((how for how, known in _MONTHS.items() if names <= known), "")


def _is_within(column: Seen, low: int, high: int) -> bool:
    if column.type != "integer":
        return False
    ends = column.values.cast(pl.Int64)
    return bool(ends.is_between(low, high).all())


def asked_of_months(pair: YearAndMonth, by: str) -> str:
    """Say what a year and a month beside each other would mean, and how to answer; `by` is that of `asked`."""
    return (
        f"{pair.evidence}: a test part drawn at random does not show how a model does in months to come; if that is what it is for, "
        f"write the month as the time; if not, split: {{by: {by}}} (under train) says so"
    )


def _go_together(year: Seen, month: Seen) -> bool:
    return {*year.words} - _YEAR_WORDS == {*month.words} - _MONTH_WORDS


def order_finding(frame: pl.DataFrame, data: DataSpec) -> Breach | None:
    """Return what a run says of rows that lie in the order of a number, or that have a year and a month, where the line has no time.

    Parameters
    ----------
    frame
        The rows that keep the contract, in the order of the source.
    data
        What the line says about its data.
    """

    def declared(name: str) -> Seen:
        return as_declared(name, _KINDS.get(str(frame[name].dtype), "category"), frame[name])

    if data.table.time is not None:
        return None
    label, taken = data.label.column, (data.table.key, data.table.group, data.table.weight)
    by = "random" if data.table.group is None else "group"
    # To see all columns takes as long as to read them, and hardly a table lies in an order.
    may_be = any(
        is_time_name(name) and _may_be_order(frame[name]) and _is_order(declared(name))
        for name in frame.columns
    )
    found = find_order({name: declared(name) for name in frame.columns}, label, taken) if may_be else None
    if found is None or not found.is_time:
        names = _calendar(frame.columns)
        seen = {name: declared(name) for name in ([*names, label] if names else [])}
        pair = find_year_and_month(seen, label, taken)
        return None if pair is None else _month_finding(pair, by, frame.height)
    written = found.column if found.column.isidentifier() else json.dumps(found.column, ensure_ascii=False)
    return Breach(
        column=found.column,
        rule=NO_TIME,
        failed=frame.height,
        rows=frame.height,
        first="",
        action="warn",
        says=f"{found.column}: {asked(found, by)}",
        hint=f"write time: {written} (under table)",
    )


def _month_finding(pair: YearAndMonth, by: str, rows: int) -> Breach:
    name = f"{pair.year} and {pair.month}"
    return Breach(
        column=name,
        rule=NO_MONTH,
        failed=rows,
        rows=rows,
        first="",
        action="warn",
        says=f"{name}: {asked_of_months(pair, by)}; `linewright check` gives the lines to write",
    )


def _is_named_time(column: Seen) -> bool:
    return column.type in NUMBERS | TIMES and column.distinct > 1 and is_time_name(column.name)


def _is_in_stretches(seen: Mapping[str, Seen], outside: set[str]) -> bool:
    """Return whether each value of a category is one stretch of the file."""
    return any(
        column.name not in outside and not is_time_name(column.name) and _is_stretches(column)
        for column in seen.values()
    )


def _is_stretches(column: Seen) -> bool:
    if (
        column.type not in {"category", "integer"}
        or not 2 <= column.distinct <= LEAST_VALUES
        or column.missing
    ):
        return False
    # One row of another kind at an end parts nothing.
    if int(column.counts["rows"].to_numpy().max()) > _USUAL * column.present:
        return False
    return int((column.values != column.values.shift(1)).sum()) + 1 == column.distinct


def _may_be_order(values: pl.Series) -> bool:
    """Return whether the first rows may lie in the order of a column; nearly none passes, and no other is read on."""
    if not values.dtype.is_numeric():
        return False
    glance = values.head(_GLANCE).drop_nulls().cast(pl.Float64).to_numpy()
    return len(glance) < LEAST_VALUES or min(_out_of_place(glance), _out_of_place(-glance)) <= _GLANCED


def _is_sorted_by(label: Seen) -> bool:
    is_class = label.type not in NUMBERS or label.distinct <= LEAST_VALUES
    return bool(sorted_evidence(label.values, is_class=is_class))


def _is_order(column: Seen) -> bool:
    rows = len(column.values)
    if column.type not in NUMBERS or rows < _LEAST_ROWS or column.distinct < LEAST_VALUES:
        return False
    if column.present < _FILLED * rows:
        return False
    if not _may_be_order(column.values):
        return False
    if int(column.counts["rows"].to_numpy().max()) > _MOST_OF_ONE * rows:
        return False
    values = column.values.drop_nulls().cast(pl.Float64).to_numpy()
    return min(_out_of_place(values), _out_of_place(-values)) <= _OUT_OF_PLACE


def _out_of_place(values: Floats) -> float:
    """Return the share of the values that are below an earlier one, or above a later one, whichever are fewer."""
    below = float((values < np.maximum.accumulate(values)).mean())
    above = float((values > np.minimum.accumulate(values[::-1])[::-1]).mean())
    return min(below, above)


def _course(column: Seen) -> str:
    values = column.values.drop_nulls().cast(pl.Float64).to_numpy()
    down, up = _out_of_place(values), _out_of_place(-values)
    ends = (column.values.min(), column.values.max())
    (low, high), how, share = (ends, "falls", down) if down <= up else (ends[::-1], "rises", up)
    if not share:
        return f"from {low} to {high} it never {how}"
    return f"from {low} to {high} it hardly ever {how} ({percent(share)} of the rows are out of place)"


def _moved(label: Seen, *, of: str = "them") -> str:
    """Say how the label differs between the first rows and the last, or nothing where that may be chance."""
    known = label.values.drop_nulls()
    cut = int(len(known) * (1 - _LATEST))
    first, last = known.head(cut), known.tail(len(known) - cut)
    if min(len(first), len(last)) < _LEAST_ROWS / 5:
        return ""
    if label.type in NUMBERS and label.distinct > LEAST_VALUES:
        one, two = (part.cast(pl.Float64).to_numpy() for part in (first, last))
        error = math.sqrt(one.var() / len(one) + two.var() / len(two))
        if abs(one.mean() - two.mean()) <= _SURELY * error:
            return ""
        return f"the mean of {label.name!r} is {one.mean():.4g} in the first four fifths of {of} and {two.mean():.4g} in the last"
    most: tuple[float, str] = (_SURELY, "")
    # The rarest first: of two classes, whose shares move alike, it is the one that people look at.
    for name, rows in label.counts.sort("rows").iter_rows() if label.distinct <= LEAST_VALUES else ():
        shares = [float((part == name).mean()) for part in (first, last)]  # pyright: ignore[reportArgumentType]
        whole = rows / len(known)
        error = math.sqrt(max(whole * (1 - whole), 1e-12) * (1 / len(first) + 1 / len(last)))
        sure = abs(shares[0] - shares[1]) / error
        if sure > most[0]:
            places = f"{percent(shares[0])} of the first four fifths of {of} and in {percent(shares[1])} of the last"
            most = (sure, f"{label.name!r} is {str(name)!r} in {places}")
    return most[1]
