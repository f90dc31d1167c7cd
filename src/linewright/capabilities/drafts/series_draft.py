"""The first line file of a line that forecasts, from a table of values: of which series, when, and how much."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from linewright.capabilities.drafts.draft import sources_without_comment
from linewright.data.profile.column import UNUSABLE, Seen
from linewright.data.profile.roles import GivenRoles, choose_roles
from linewright.data.spec import NUMBERS, RECENT, TIMES, UNTIL, SourceSpec
from linewright.data.table.series_rows import typical_of
from linewright.errors import RequestError
from linewright.text.quoting import quoted, quoted_sentence
from linewright.text.steps import season_of, step_of
from linewright.text.suggest import listed

_HORIZON = {"month": 12, "quarter": 8, "year": 5}
_MOST_SERIES = 0.5
"""Share of the rows that may be different series."""


@dataclass(frozen=True, kw_only=True)
class SeriesLine:
    """A line file of series."""

    text: str
    series: str | None
    time: str


@dataclass(frozen=True, kw_only=True)
class _Values:
    """The columns that matter, and how the values follow each other."""

    series: Seen | None
    series_because: str
    value: Seen
    time: Seen
    time_because: str
    every: str
    others: tuple[Seen, ...]
    """Columns of numbers that may be known ahead."""

    @property
    def season(self) -> int:
        return season_of(self.every)

    @property
    def horizon(self) -> int:
        found = _HORIZON.get(self.every) or max(min(2 * self.season, 48), 7)
        return max(1, min(found, self.shortest // 4))

    @property
    def shortest(self) -> int:
        """Values of a middling series."""
        if self.series is None:
            return len(self.value.values)
        counts = self.series.values.drop_nulls().value_counts()["count"]
        return int(np.median(counts.to_numpy()))


def draft_series(
    name: str, source: SourceSpec, seen: Mapping[str, Seen], given: GivenRoles, *, source_name: str
) -> SeriesLine:
    """Return the text of a line file for series, each choice with its reason."""
    values = _values(seen, given)
    lines = [
        *_head(name, values),
        *sources_without_comment(source, source_name),
        *_table(values),
        *_rest(values),
    ]
    return SeriesLine(
        text="\n".join(lines) + "\n",
        series=values.series.name if values.series else None,
        time=values.time.name,
    )


def _values(seen: Mapping[str, Seen], given: GivenRoles) -> _Values:
    for option, column in (("--label", given.label), ("--group", given.group), ("--time", given.time)):
        if column is not None and column not in seen:
            raise RequestError(
                "the data has no such column", where=option, found=column, allowed=listed(list(seen))
            )
    value = seen[given.label]
    if value.type not in NUMBERS:
        raise RequestError(
            "what is said ahead is a number",
            where="--label",
            found=f"{value.name}: {value.type}",
            allowed=listed([one.name for one in seen.values() if one.type in NUMBERS]),
        )
    others = {name: one for name, one in seen.items() if name != value.name and name not in given.exclude}
    time, because = _time(others, given)
    series, series_because = _series(others, given, time)
    for column in (value, time, series):
        if column is not None and column.name in {RECENT, UNTIL}:
            raise RequestError(
                "a column that is made of the values has this name",
                where="--data",
                found=column.name,
                hint="rename it",
            )
    taken = {time.name, *([series.name] if series else [])}
    return _Values(
        series=series,
        series_because=series_because,
        value=value,
        time=time,
        time_because=because,
        every=_every(time, series),
        others=tuple(
            one
            for one in others.values()
            if one.name not in taken and one.type in NUMBERS | {"boolean"} and not one.missing
        ),
    )


def _time(others: Mapping[str, Seen], given: GivenRoles) -> tuple[Seen, str]:
    if given.time is not None:
        return others[given.time], "you named it"
    alone = GivenRoles(label=given.label, exclude=given.exclude)
    roles = choose_roles({name: one for name, one in others.items() if name != given.group}, alone)
    if roles.time is not None:
        return others[roles.time], roles.time_because
    dated = [one for one in others.values() if one.type in TIMES]
    if len(dated) == 1:
        return dated[0], "the only column of dates or times"
    raise RequestError(
        "it is not known which column says when a value was",
        where="--time",
        allowed=listed([one.name for one in dated or others.values()]),
        hint="name it: --time COLUMN",
    )


def _series(others: Mapping[str, Seen], given: GivenRoles, time: Seen) -> tuple[Seen | None, str]:
    if given.group is not None:
        return others[given.group], "you named it"
    frame = pl.DataFrame({"time": time.values.alias("time")})
    if not frame["time"].drop_nulls().is_duplicated().any():
        return None, "each time comes once, so all values are one series"
    fitting: list[Seen] = []
    for one in others.values():
        if one.name == time.name or one.type in {UNUSABLE, "number", "text", "date", "datetime"}:
            continue
        both = frame.with_columns(series=one.values).drop_nulls()
        if both["series"].n_unique() <= _MOST_SERIES * len(both) and not both.is_duplicated().any():
            fitting.append(one)
    if len(fitting) == 1:
        return fitting[0], f"each time comes once for each of its {fitting[0].distinct:,} values"
    raise RequestError(
        "it is not known which column says of which series a value is",
        where="--group",
        found=", ".join(one.name for one in fitting) or None,
        allowed=listed([one.name for one in fitting or others.values() if one.name != time.name]),
        hint="name it: --group COLUMN; of several columns make one in table.sql",
    )


def _every(time: Seen, series: Seen | None) -> str:
    is_number = time.type not in TIMES
    values = time.values.cast(pl.Datetime("us")) if time.values.dtype == pl.Date else time.values
    frame = pl.DataFrame({"at": values.to_physical().cast(pl.Int64, strict=False)})
    frame = (
        frame.with_columns(series=series.values if series else pl.lit(0)).drop_nulls().sort("series", "at")
    )
    apart = frame.select(pl.col("at").diff().over("series"))["at"].drop_nulls()
    apart = apart.filter(apart > 0)
    if not len(apart):
        raise RequestError(
            "no series has two values at different times",
            where="--time",
            found=time.name,
            hint="name another column, or the series: --group COLUMN",
        )
    every = typical_of(apart.to_numpy())
    if is_number and every != 1:
        raise RequestError(
            "numbered times follow each other by 1",
            where="--time",
            found=f"{time.name}: mostly {every:g} apart",
            hint=f"divide them by {every:g} in the data",
        )
    return step_of(every, is_number=is_number)


def _head(name: str, values: _Values) -> Iterator[str]:
    many = values.series.distinct if values.series else 1
    yield (
        f"# Written by `linewright new` from {len(values.value.values):,} values of {many:,} series. Change what you know better."
    )
    yield f"# Next: linewright run {name}"
    yield f"line: {quoted(name)}"
    yield f"about: {quoted_sentence(f'Forecast {values.value.name}')}"


def _table(values: _Values) -> Iterator[str]:
    yield "table:"
    if values.series is not None:
        yield f"  group: {quoted(values.series.name)}  # the series: {values.series_because}"
    yield f"  time: {quoted(values.time.name)}  # {values.time_because}"
    if values.series is None:
        yield f"  # no group: {values.series_because}"
    yield f"label: {{column: {quoted(values.value.name)}}}"


def _rest(values: _Values) -> Iterator[str]:
    yield "contract:"
    yield "  columns:"
    for one in (values.series, values.time, values.value):
        if one is None:
            continue
        words = [f"type: {one.type}"]
        if one.format:
            words.append(f"format: {quoted_sentence(one.format)}")
        yield f"    {quoted(one.name)}: {{{', '.join(words)}}}"
    yield "on_new_column: ignore  # other columns are not read, but for those of known_ahead"
    yield "train:"
    yield "  task: forecast  # Theta and trees over all series are combined by what the latest training values say"
    yield "  metric: mase  # errors in units of those that last season's values would make"
    yield "  split: {by: time, test: 0.2}  # the latest fifth tests the model, as in real use"
    yield "forecast:"
    yield f"  horizon: {values.horizon}  # steps that an answer says; change it to what you plan by"
    yield f"  every: {values.every}  # the usual distance between two values"
    yield f"  season: {values.season}  # steps after which it is usual that a season comes again"
    if values.others:
        names = ", ".join(quoted(one.name) for one in values.others[:8])
        yield f"  # known_ahead: [{names}]  # those that are known before the values are, such as a price or a holiday"
    yield "gates:"
    yield "  - {beats: champion, confidence: 0.95}  # better than what serves; at first, than last season's values"
    yield "# watch: {every: 1d}  # under `up`, forecasts are compared with what came, once newer values have been read"
    yield "# retrain: {when: [{every: 7d}]}"
