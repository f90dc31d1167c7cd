"""How far a source was read, and from which cursor on the next read asks, so that no row is missed that a transaction wrote which had not ended before this one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from linewright.data.facts import SourceHistory
from linewright.data.read.sql.column_types import ColumnType
from linewright.data.read.sql.database import PREPARED, OpenTransactions
from linewright.data.spec import SqlSource
from linewright.errors import SpecError
from linewright.store.values import MOST_WHOLE
from linewright.text.durations import duration_micros

_SECOND = 10**6
_HOUR = 3600 * _SECOND
_DAY = 24 * _HOUR
_BEFORE_LISTED = 10 * _SECOND
"""What a transaction may take from the time that it takes for its beginning until it is listed."""
_ZONES = 14 * _HOUR
"""How far a time without a zone may be from UTC."""
TIMES = frozenset({"date", "datetime", "instant"})
_NUMBERS = frozenset({"integer", "unsigned", "decimal", "number"})


@dataclass(frozen=True, kw_only=True)
class ReadPosition:
    """How far a source was read, as `SourceHistory` has it."""

    highest: int | float | str | None = None
    since: int | float | None = None
    open: Mapping[str, int]
    looked: int


def lag_of(
    spec: SqlSource, of: ColumnType, seen: OpenTransactions | None, *, is_file: bool, where: str
) -> int | None:
    """Return the lag that the line file says, in the unit of the cursor; `None` if the database is to say it."""
    place = f"{where}.lag"
    if of.kind not in TIMES | _NUMBERS:
        raise SpecError(
            "this column cannot be a cursor",
            where=f"{where}.cursor",
            found=f"{spec.cursor}: {of.kind}",
            allowed="a column of times or of numbers",
        )
    if spec.lag is None:
        if is_file:
            return 0
        if of.kind in TIMES and seen is not None:
            return None
        what = "numbers" if of.kind in _NUMBERS else "times of this server"
        raise SpecError(
            f"a cursor of {what} needs a lag, since a transaction that is not over may write below the highest value",
            where=place,
            hint="say how far below, such as lag: 10000"
            if of.kind in _NUMBERS
            else "say longer than any transaction takes, such as lag: 1h",
        )
    if isinstance(spec.lag, int) != (of.kind in _NUMBERS):
        allowed = (
            "a number, as the cursor is one"
            if of.kind in _NUMBERS
            else "a duration such as 1h, as the cursor is a time"
        )
        raise SpecError(
            "the lag is of another kind than the cursor", where=place, found=str(spec.lag), allowed=allowed
        )
    return spec.lag if isinstance(spec.lag, int) else duration_micros(spec.lag)


def cursor_numbers(values: pl.Series) -> pl.Series:
    """Return cursors as numbers: times in microseconds from 1970."""
    if values.dtype == pl.Date:
        return values.cast(pl.Datetime("us")).to_physical()
    return values.to_physical() if values.dtype.is_temporal() else values


def position_after(
    values: Iterable[pl.Series],
    of: ColumnType,
    *,
    clock: int,
    seen: OpenTransactions | None,
    before: SourceHistory | None,
) -> ReadPosition:
    """Return how far a source was read."""
    open_since = {} if seen is None else _open(seen, before)
    looked = 0 if seen is None else seen.at
    latest = clock + (0 if of.kind == "instant" else _ZONES)
    found = [_highest(some, latest if of.kind in TIMES else None) for some in values]
    top = [_plain(one) for one in (*found, before.highest if before else None) if one is not None]
    if not top or of.kind not in TIMES or seen is None:
        highest = _kept(max(top)) if top else None
        return ReadPosition(highest=highest, since=None, open=open_since, looked=looked)
    # The hour is that which clocks of people are put back by, once a year.
    lag = (
        clock - min([clock, *open_since.values()]) + _BEFORE_LISTED + (_HOUR if of.kind == "datetime" else 0)
    )
    return ReadPosition(
        highest=max(top), since=_whole(int(max(top)) - lag, of), open=open_since, looked=looked
    )


def highest_of(values: pl.Series) -> int | float | str | None:
    """Return the highest of some cursors, as it is kept; `None` if there is none that is finite."""
    found = _highest(values, None)
    return None if found is None else _kept(_plain(found))


def _highest(values: pl.Series, latest: int | None) -> object:
    found = cursor_numbers(values)
    # What is in the future, or infinite, says nothing about rows that are to come.
    if latest is not None:
        return found.filter(found <= latest).max()
    return (found.filter(found.is_finite()) if found.dtype.is_float() else found).max()


def first_cursor(before: SourceHistory, of: ColumnType, lag: int | None) -> int | float | None:
    """Return the cursor from which on rows are asked for; `None`: all of them."""
    if lag is None:
        return before.since
    return None if before.highest is None else _whole(_plain(before.highest) - lag, of)


def _whole(position: float, of: ColumnType) -> int | float:
    return int(position) // _DAY * _DAY if of.kind == "date" else position


def _plain(value: object) -> int | float:
    """Return a cursor as it came, or as it is kept, as a number."""
    if isinstance(value, int | float):
        return value
    text = str(value)
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def _kept(value: float) -> int | float | str:
    return str(value) if isinstance(value, int) and abs(value) > MOST_WHOLE else value


def _open(seen: OpenTransactions, before: SourceHistory | None) -> dict[str, int]:
    """Return since when each transaction has been open at the latest: of whom that is not said, since the look after which they were there."""
    known = before.open if before else {}
    looked = before.looked if before else 0
    oldest = min([looked, *known.values()])
    return {
        name: began if began is not None else known.get(name, oldest if name.startswith(PREPARED) else looked)
        for name, began in seen.since.items()
    }
