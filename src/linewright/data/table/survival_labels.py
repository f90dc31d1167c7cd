"""One label column of two: a time, and whether it happened then or had not happened yet."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import polars as pl

from linewright.data.read.batches import Batch
from linewright.data.spec import LabelSpec
from linewright.errors import SpecError

CENSORED = "+"
"""What stands behind a time at which it had not happened yet; `model.tasks.censoring` reads it."""
_HAPPENED, _NOT_YET = ("true", "1", "1.0", "yes", "y", "t"), ("false", "0", "0.0", "no", "n", "f")


def timed(batches: Callable[[], Iterable[Batch]], label: LabelSpec) -> Callable[[], Iterator[Batch]]:
    """Return batches of rows whose label is one text, such as ``12.5`` or ``12.5+``, in place of two columns."""

    def read() -> Iterator[Batch]:
        for batch in batches():
            yield replace(batch, frame=with_one_label(batch.frame, label))

    return read


def with_one_label(frame: pl.DataFrame, label: LabelSpec) -> pl.DataFrame:
    """Return rows whose label is one text in place of two columns; without one of both a row has no label.

    Examples
    --------
    >>> rows = pl.DataFrame({"days": ["12.50", "30", None], "died": ["1", "0", "1"]})
    >>> with_one_label(rows, LabelSpec(column="days", event="died"))["days"].to_list()
    ['12.5', '30+', None]
    >>> rows = rows.with_columns(since=pl.Series([5, 0, 0]))
    >>> with_one_label(rows, LabelSpec(column="days", event="died", start="since"))["days"].to_list()
    ['(5,12.5]', '30+', None]
    """
    name, event = label.column, str(label.event)
    time, number = _times(frame, name, "label.column")
    said = frame[event].cast(pl.String).str.strip_chars().str.to_lowercase()
    is_unclear = said.is_not_null() & ~said.is_in(_HAPPENED + _NOT_YET)
    if is_unclear.any():
        raise SpecError(
            "label.event says whether it happened",
            where="label.event",
            found=said.filter(is_unclear)[0],
            allowed=f"{', '.join(_HAPPENED[:3])} if it happened, {', '.join(_NOT_YET[:3])} if it had not happened yet",
            hint=f"correct {event!r}, or make such a column in table.sql",
        )
    mark = pl.select(pl.when(said.is_in(_NOT_YET)).then(pl.lit(CENSORED)).otherwise(pl.lit(""))).to_series()
    both = pl.select(
        pl.when(time.is_not_null() & said.is_not_null()).then(_spelled(number) + mark)
    ).to_series()
    if label.start is None:
        return frame.with_columns(both.alias(name)).drop(event)
    _, start = _times(frame, label.start, "label.start")
    is_late = (start >= number).fill_null(value=False)
    if is_late.any():
        raise SpecError(
            "a row is seen from its start on, which is before the time of its label",
            where="label.start",
            found=f"{label.start} {start.filter(is_late)[0]:g}, {name} {number.filter(is_late)[0]:g}",
            allowed=f"{label.start!r} below {name!r}",
            hint="correct the row, or leave it out in table.sql: it was seen at no time",
        )
    span = pl.select(
        pl.when(start > 0)
        .then(pl.lit("(") + _spelled(start) + pl.lit(",") + both + pl.lit("]"))
        .when(start == 0)
        .then(both)
    ).to_series()
    return frame.with_columns(span.alias(name)).drop(event, label.start)


def _times(frame: pl.DataFrame, name: str, where: str) -> tuple[pl.Series, pl.Series]:
    """Return times as texts and as numbers, and refuse what is none."""
    time = frame[name].cast(pl.String).str.strip_chars()
    number = time.cast(pl.Float64, strict=False)
    is_wrong = time.is_not_null() & (number.is_null() | ~number.is_finite() | (number < 0)).fill_null(
        value=True
    )
    if is_wrong.any():
        raise SpecError(
            "the time of a label is a number of at least 0",
            where=where,
            found=time.filter(is_wrong)[0],
            allowed="a number of days, cycles or hours, say",
            hint=f"correct {name!r}; times between two dates are made in table.sql",
        )
    return time, number


def _spelled(number: pl.Series) -> pl.Series:
    whole = number.cast(pl.Int64, strict=False)
    return pl.select(
        pl.when(whole.cast(pl.Float64) == number)
        .then(whole.cast(pl.String))
        .otherwise(number.cast(pl.String))
    ).to_series()


def end_of(text: pl.Expr) -> pl.Expr:
    """Return the time to which a label says that a row was seen, as a number.

    Examples
    --------
    >>> pl.DataFrame({"a": ["12.5+", "(5,30]", "(5,7+]"]}).select(end_of(pl.col("a")))["a"].to_list()
    [12.5, 30.0, 7.0]
    """
    return text.cast(pl.String).str.extract(r"([^,(]*?)\+?\]?$").cast(pl.Float64, strict=False)
