"""What a contract promises beyond the rows themselves: how fresh they are, and how they compare with the version before.

A dataset version follows from its sources alone. These rules look at the clock and at what was kept before, so they are
asked each time anew and their breaches are no part of any result.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import ceil

import polars as pl

from linewright.data.contract.check import first_text
from linewright.data.contract.sql_checks import on_whole
from linewright.data.facts import Breach, Column
from linewright.data.spec import DataSpec, FreshRule, duration_micros
from linewright.data.types import cast
from linewright.errors import SpecError

_DIGITS = 12  # of a digest


@dataclass(frozen=True, kw_only=True)
class Before:
    """The dataset version that a line had before."""

    dataset: str
    """Its digest."""
    at: str
    """When the run that kept it ended; UTC."""
    rows: int
    columns: tuple[Column, ...]

    @property
    def words(self) -> str:
        """What it is called in a sentence."""
        return f"dataset {self.dataset.removeprefix('sha256:')[:_DIGITS]} of {self.at[:10]}"


def staleness(frames: Iterable[pl.DataFrame], data: DataSpec, now: str) -> Breach | None:
    """Return a breach where the newest row is older than the contract's `fresh` allows.

    Times after `now` are passed over, so that one wrong row does not make an old table look new.

    Parameters
    ----------
    frames
        The kept rows, or the newest of them, in any order.
    now
        UTC, RFC 3339.

    Raises
    ------
    SpecError
        If `table.time` is no date or time.
    """
    fresh, time = data.contract.fresh, data.table.time
    if fresh is None or time is None:
        return None
    rule = fresh if isinstance(fresh, FreshRule) else FreshRule(within=fresh)
    instant = datetime.fromisoformat(now)
    newest = max(
        (one for frame in frames if (one := _newest(frame[time], instant)) is not None), default=None
    )
    if newest is None:
        return None
    age = instant - _end(newest)
    if age <= timedelta(microseconds=duration_micros(rule.within)):
        return None
    return Breach(
        column=time,
        rule=f"fresh within {rule.within}",
        failed=1,
        rows=1,
        first=_said(newest),
        says=f"the newest {time!r} is {_said(newest)}, {_age(age)} old at {now[:16]}Z, and the contract allows {rule.within}",
        action=rule.on_breach or on_whole(data.contract),
        hint="see that the source is delivered again, or allow more in contract.fresh",
    )


def _newest(times: pl.Series, now: datetime) -> date | datetime | None:
    if not times.dtype.is_temporal():
        raise SpecError(
            f"how fresh rows are needs a date or time, and {times.name!r} is none",
            where="contract.fresh",
            hint="say its type (and format) in contract.columns, or make it in table.sql",
        )
    bound = now if isinstance(times.dtype, pl.Datetime) else now.date()
    return times.filter(times <= bound).max()  # type: ignore[return-value] -- of a temporal column


def _end(newest: date | datetime) -> datetime:
    if isinstance(newest, datetime):
        return newest
    return datetime(newest.year, newest.month, newest.day, tzinfo=UTC) + timedelta(days=1)


def _said(newest: date | datetime) -> str:
    return newest.strftime("%Y-%m-%d %H:%MZ") if isinstance(newest, datetime) else newest.isoformat()


def _age(age: timedelta) -> str:
    """Say how long, in the largest unit of which there are two.

    Examples
    --------
    >>> _age(timedelta(days=3, hours=2)), _age(timedelta(hours=30)), _age(timedelta(minutes=5))
    ('3 days', '30 hours', '5 minutes')
    """
    seconds = int(age.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:,} {unit}s"
    return f"{seconds} seconds"


def row_change(rows: int, data: DataSpec, before: Before | None) -> Breach | None:
    """Return a breach where more rows came or went since the version before than `rows.change` allows."""
    allowed = data.contract.rows.change
    if allowed is None or before is None or not before.rows:
        return None
    change = rows / before.rows - 1
    if abs(change) <= allowed:
        return None
    more = "more" if change > 0 else "fewer"
    return Breach(
        column="",
        rule=f"rows change by at most {_percent(allowed)}",
        failed=1,
        rows=rows,
        first=f"{rows:,} rows",
        says=f"{rows:,} rows would be kept, {_percent(abs(change))} {more} than the {before.rows:,} of {before.words}, "
        f"and rows.change allows {_percent(allowed)}",
        action=data.contract.rows.on_breach or on_whole(data.contract),
        hint=f"if that is right, set contract.rows.change to {_enough(abs(change)):g} for this run; else mend the source",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _enough(change: float) -> float:
    """Return the next larger share with two decimals.

    Examples
    --------
    >>> _enough(0.751), _enough(0.75)
    (0.76, 0.75)
    """
    return ceil(round(change * 100, 6)) / 100


def evolution(
    columns: Sequence[Column],
    rows: int,
    values: Callable[[str], pl.Series],
    data: DataSpec,
    before: Before | None,
) -> Iterator[Breach]:
    """Give a breach for each column that came, went or changed its type since the version before.

    Of columns that the contract names nothing is said: there its rules speak, and a change of them was meant.

    Parameters
    ----------
    columns, rows
        Of the table that keeps the contract.
    values
        Returns the values of one of its columns, which is asked for where something changed.
    """
    if before is None or data.on_new_column == "ignore":
        return
    named, old = data.contract.columns, {column.name: column for column in before.columns}
    now = {column.name: column for column in columns}
    if not named:
        yield from (_gone(name, rows, before) for name in old if name not in now)
        yield from (_came(values(name), data, before) for name in now if name not in old)
    for name, column in now.items():
        if name in old and name not in named and column.type != old[name].type:
            yield _retyped(values(name), column, old[name], before)


def gone(name: str, before: Before) -> str:
    """Say that a column is not there any more."""
    return f"column {name!r} was there in {before.words}, and is gone"


def _gone(name: str, rows: int, before: Before) -> Breach:
    return Breach(
        column=name,
        rule="there, as before",
        failed=rows,
        rows=rows,
        first="",
        action="warn",
        says=gone(name, before),
        hint="bring it back, or name the columns that the line relies on in contract.columns",
    )


def _came(values: pl.Series, data: DataSpec, before: Before) -> Breach:
    return Breach(
        column=values.name,
        rule="known before",
        failed=len(values),
        rows=len(values),
        first=first_text(values),
        action="stop" if data.on_new_column == "stop" else "warn",
        says=f"column {values.name!r} is new: {before.words} did not have it",
        hint="the model may use it from now on; put it into table.exclude if it must not",
    )


def _retyped(values: pl.Series, now: Column, was: Column, before: Before) -> Breach:
    there = values.is_not_null()
    unfit = cast(values, was.type, pattern=was.format).is_null() & there
    wrong = values.filter(unfit if unfit.any() else there)  # where all would still fit, all have the new type
    kind = "text" if now.type == "category" and was.type != "text" else now.type
    holds = (
        f"now holds {kind} in {len(wrong):,} of {len(values):,} rows, first {first_text(wrong)!r}"
        if len(wrong)
        else "now has no value in any row"
    )
    return Breach(
        column=now.name,
        rule=f"type {was.type}, as before",
        failed=len(wrong),
        rows=len(values),
        first=first_text(wrong),
        action="warn",
        says=f"column {now.name!r} was {was.type} in {before.words}, {holds}",
        hint=f"mend the source, or say its type in contract.columns, e.g. {now.name}: {{type: {was.type}}}",
    )
