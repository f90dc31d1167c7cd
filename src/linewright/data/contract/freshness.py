"""What a contract promises beyond the rows themselves: how fresh they are, and how they compare with the version before.

A dataset version follows from its sources alone. These rules look at the clock and at what was kept before, so they are
asked each time anew and their breaches are no part of any result.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl

from linewright.data.contract.check import first_text
from linewright.data.contract.sql_checks import on_whole
from linewright.data.facts import Breach, Column, Scalar
from linewright.data.spec import DataSpec, FreshRule
from linewright.data.types import cast
from linewright.errors import SpecError
from linewright.text.durations import duration_micros


@dataclass(frozen=True, kw_only=True)
class Before:
    """The dataset version that a line had before."""

    dataset: str
    """Its digest."""
    at: str
    """When the run that kept it ended; UTC."""
    rows: int
    columns: tuple[Column, ...]
    of_views: frozenset[str] = frozenset()
    """Those of `columns` that came from feature views; no source has them."""

    @property
    def figures(self) -> dict[str, Scalar | tuple[str, ...]]:
        """What a `Breach` says of it."""
        return {"dataset": self.dataset, "at": self.at}


def staleness(frames: Iterable[pl.DataFrame], data: DataSpec, now: str) -> Breach | None:
    """Return a breach where the newest row is older than the contract's `fresh` allows.

    Times after `now` are passed over, so that one wrong row does not make an old table look new.
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
        kind="fresh",
        figures={"within": rule.within, "age_s": age.total_seconds(), "now": now},
        failed=1,
        rows=1,
        first=_said(newest),
        action=rule.on_breach or on_whole(data.contract),
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


def row_change(rows: int, data: DataSpec, before: Before | None) -> Breach | None:
    """Return a breach where more rows came or went since the version before than `rows.change` allows."""
    allowed = data.contract.rows.change
    if allowed is None or before is None or not before.rows:
        return None
    if abs(rows / before.rows - 1) <= allowed:
        return None
    return Breach(
        column="",
        kind="row-change",
        figures={"allowed": allowed, "rows": before.rows, **before.figures},
        failed=1,
        rows=rows,
        action=data.contract.rows.on_breach or on_whole(data.contract),
    )


def evolution(
    columns: Sequence[Column],
    rows: int,
    values: Callable[[str], pl.Series],
    data: DataSpec,
    before: Before | None,
) -> Iterator[Breach]:
    """Give a breach for each column that came, went or changed its type since the version before.

    Of columns that the contract names nothing is said: there its rules speak, and a change of them was meant.
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


def _gone(name: str, rows: int, before: Before) -> Breach:
    return Breach(
        column=name,
        kind="gone",
        figures=before.figures,
        failed=rows,
        rows=rows,
        action="warn",
    )


def _came(values: pl.Series, data: DataSpec, before: Before) -> Breach:
    return Breach(
        column=values.name,
        kind="new",
        figures=before.figures,
        failed=len(values),
        rows=len(values),
        first=first_text(values),
        action="stop" if data.on_new_column == "stop" else "warn",
    )


def _retyped(values: pl.Series, now: Column, was: Column, before: Before) -> Breach:
    there = values.is_not_null()
    unfit = cast(values, was.type, pattern=was.format).is_null() & there
    wrong = values.filter(unfit if unfit.any() else there)  # where all would still fit, all have the new type
    kind = "text" if now.type == "category" and was.type != "text" else now.type
    return Breach(
        column=now.name,
        kind="retyped",
        figures={"was": was.type, "now": kind, **before.figures},
        failed=len(wrong),
        rows=len(values),
        first=first_text(wrong),
        action="warn",
    )
