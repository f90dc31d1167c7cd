"""A table that lies in the order of a time, or has one in two columns, while the line has none: a split at random tests on the past."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from linewright.data.checks.check import in_table
from linewright.data.checks.group import find_group
from linewright.data.checks.labels import sorted_by
from linewright.data.checks.rows import RowCheck, Rows
from linewright.data.facts import Evidence, Finding
from linewright.data.profile.column import Seen
from linewright.data.profile.roles import is_thing, is_time_name
from linewright.data.spec import NUMBERS
from linewright.text.quoting import in_sql

Floats = npt.NDArray[np.float64]

LEAST_VALUES = 20
"""Different values that an order needs: a table that is sorted by fewer is sorted by an attribute."""
_OUT_OF_PLACE = 0.01
"""Share of the values that may lie out of their order."""
_FILLED = 0.9
"""Share of the rows that have to have a value."""
_MOST_OF_ONE = 0.3
"""Share of the rows that one value may have: of what is mostly 0, any order is one."""
_LEAST_ROWS = 100
_LATEST, _SURELY = 0.2, 3.0
"""Share of the rows that are the latest, and standard errors by which their label has surely moved."""


_YEAR_WORDS = frozenset({"year", "yr"})
_MONTH_WORDS = frozenset({"month", "mo", "mnth"})
_NAMES = "january february march april may june july august september october november december".split()  # noqa: SIM905 -- words
_MONTHS = {"%b": {name[:3] for name in _NAMES}, "%B": {*_NAMES}}
"""Names of months by how strptime calls them."""
_FEWEST_MONTHS = 6


class TimeOrder(RowCheck):
    """Rows in the order of a number whose name is that of a time."""

    id = "order"
    severity = "ask"

    def run(self, rows: Rows) -> Iterator[Finding]:
        """Ask whether it is the time, unless the line has one or says how the rows are split."""
        found = _find(rows)
        if isinstance(found, Order):
            remedy = (in_table("time", found.column),)
            yield self.finding((found.column,), remedy, **found.evidence, by=rows.by)


class YearMonth(RowCheck):
    """A year and a month beside each other, in whatever order the rows lie."""

    id = "year-month"
    severity = "ask"

    def run(self, rows: Rows) -> Iterator[Finding]:
        """Ask whether the month is the time: who predicts months to come is judged on months between."""
        pair = _find(rows)
        if not isinstance(pair, YearAndMonth):
            return
        year, month = in_sql(pair.year), in_sql(pair.month)
        date = f"make_date({year}, {month}, 1)"
        if pair.named:
            date = f"strptime({year} || ' ' || {month}, '%Y {pair.named}')::date"
        remedy = (rows.query("select *,", date, "as month_began"), in_table("time", "month_began"))
        yield self.finding((pair.year, pair.month), remedy, **pair.evidence, by=rows.by)


def _find(rows: Rows) -> "Order | YearAndMonth | None":
    table = rows.data.table
    if table.time is not None or rows.split.by != "auto":
        return None
    return find_time(rows.seen, rows.data.label.column, (table.key, table.group, table.weight))


def find_time(
    seen: Mapping[str, Seen], label: str, taken: Iterable[str | None]
) -> "Order | YearAndMonth | None":
    """Return what may say when a row happened; the arguments are those of `find_order`."""
    return find_order(seen, label, taken) or find_year_and_month(seen, label, taken)


class Order(NamedTuple):
    """A number that its name calls a time, in whose order the rows lie."""

    column: str
    evidence: Evidence


def find_order(seen: Mapping[str, Seen], label: str, taken: Iterable[str | None]) -> Order | None:
    """Return the first number of such a name in whose order the rows lie.

    Examples
    --------
    >>> from linewright.data.profile.column import see
    >>> day = see(pl.Series("day", [str(i // 4) for i in range(400)]))
    >>> late = see(pl.Series("late", ["no"] * 100 + ["no", "yes"] * 150))
    >>> found = find_order({"day": day, "late": late}, "late", [])
    >>> found.column, found.evidence["first"], found.evidence["last"], found.evidence["share"]
    ('day', '0', '99', 0.0)
    """
    outside = {label, *filter(None, taken)}
    found = [
        one
        for one in seen.values()
        if one.name not in outside and is_time_name(one.name) and not is_thing(one) and _is_order(one)
    ]
    if not found or _is_sorted_by(seen[label]):
        return None
    # Rows that are sorted by what they belong to lie in no order of time.
    group = find_group(seen, [*outside])
    found = [column for column in found if group is None or column.name != group[0]]
    return Order(found[0].name, _course(found[0]) | _moved(seen[label])) if found else None


class YearAndMonth(NamedTuple):
    """Two columns that together say in which month a row happened."""

    year: str
    month: str
    named: str
    """How strptime calls the names of months: ``%b`` (`Jan`) or ``%B`` (`January`); empty where they are numbers."""
    evidence: Evidence


def find_year_and_month(
    seen: Mapping[str, Seen], label: str, taken: Iterable[str | None]
) -> YearAndMonth | None:
    """Return the year and the month of rows, where the table has both; the arguments are those of `find_order`.

    Examples
    --------
    >>> from linewright.data.profile.column import see
    >>> columns = {"Year": [2009 + i % 3 for i in range(400)], "Month": [1 + i % 12 for i in range(400)]}
    >>> seen = {name: see(pl.Series(name, values)) for name, values in columns.items()}
    >>> find_year_and_month(seen | {"y": see(pl.Series("y", ["a", "b"] * 200))}, "y", [])[:2]
    ('Year', 'Month')
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
        evidence: Evidence = {"months": many}
        if not named:
            rows = when.select(pl.arg_sort_by("year", "month", maintain_order=True)).to_series()
            evidence |= _moved(replace(seen[label], values=seen[label].values.gather(rows)))
        return YearAndMonth(year.name, month.name, named, evidence)
    return None


def _named(month: Seen) -> str:
    """Return how strptime calls the names that a column of months holds; empty where it holds others."""
    if month.type != "category" or month.distinct > len(_MONTHS["%b"]):
        return ""
    names = {*month.values.unique().cast(pl.String).str.to_lowercase()}
    return next((how for how, known in _MONTHS.items() if names <= known), "")


def _is_within(column: Seen, low: int, high: int) -> bool:
    first, last = column.ends
    return column.type == "integer" and low <= first and last <= high


def _go_together(year: Seen, month: Seen) -> bool:
    return {*year.words} - _YEAR_WORDS == {*month.words} - _MONTH_WORDS


def _is_sorted_by(label: Seen) -> bool:
    is_class = label.type not in NUMBERS or label.distinct <= LEAST_VALUES
    return bool(sorted_by(label.values, is_class=is_class))


def _is_order(column: Seen) -> bool:
    rows = len(column.values)
    if column.type not in NUMBERS or rows < _LEAST_ROWS or column.distinct < LEAST_VALUES:
        return False
    if column.present < _FILLED * rows:
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


def _course(column: Seen) -> Evidence:
    """Return from where to where the values go, and what share of the rows is out of place."""
    values = column.values.drop_nulls().cast(pl.Float64).to_numpy()
    down, up = _out_of_place(values), _out_of_place(-values)
    low, high = map(str, column.ends)
    first, last = (low, high) if down <= up else (high, low)
    return {"first": first, "last": last, "share": min(down, up)}


def _moved(label: Seen) -> Evidence:
    """Return how the label differs between the first four fifths of the rows and the last; nothing where that may be chance."""
    known = label.values.drop_nulls()
    cut = int(len(known) * (1 - _LATEST))
    first, last = known.head(cut), known.tail(len(known) - cut)
    if min(len(first), len(last)) < _LEAST_ROWS / 5:
        return {}
    if label.type in NUMBERS and label.distinct > LEAST_VALUES:
        one, two = (part.cast(pl.Float64).to_numpy() for part in (first, last))
        error = math.sqrt(one.var() / len(one) + two.var() / len(two))
        is_sure = abs(one.mean() - two.mean()) > _SURELY * error
        means: Evidence = {"label": label.name, "before": float(one.mean()), "after": float(two.mean())}
        return means if is_sure else {}
    most = _SURELY
    found: Evidence = {}
    # The rarest first: of two classes, whose shares move alike, it is the one that people look at.
    for name, rows in label.counts.sort("rows").iter_rows() if label.distinct <= LEAST_VALUES else ():
        before, after = (float((part == name).mean()) for part in (first, last))  # pyright: ignore[reportArgumentType]
        whole = rows / len(known)
        error = math.sqrt(max(whole * (1 - whole), 1e-12) * (1 / len(first) + 1 / len(last)))
        if abs(before - after) / error > most:
            most = abs(before - after) / error
            found = {"label": label.name, "class": str(name), "before": before, "after": after}
    return found
