"""From events (a user took an item at a time) to the rows of a line that recommends: what a user had before a moment, and took at it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import polars as pl

from linewright.data.facts import Column
from linewright.data.spec import HISTORY, HISTORY_WEIGHT, UNTIL, DataSpec, RecommendSpec
from linewright.errors import SpecError
from linewright.text.durations import duration_micros
from linewright.text.lists import to_list_text

_PERIOD, _UNTIL = "\0period", "\0until"


class Moment(NamedTuple):
    """What one user took at one moment, in the order of the events."""

    user: object
    at: object
    until: object
    """Of the first and of the last event."""
    items: list[str]
    categories: list[str | None]
    """One an item; empty unless a rule needs them."""
    weights: list[float]
    """One an item; empty unless events have a weight."""


class _Row(NamedTuple):
    moment: Moment
    before: list[str]
    taken: list[str]
    weights_before: list[float]
    """One an item of `before`; empty unless events have a weight."""


def rows_of_events(
    frame: pl.DataFrame, columns: Sequence[Column], data: DataSpec
) -> tuple[pl.DataFrame, tuple[Column, ...]]:
    """Return one row for each moment at which a user took something."""
    spec, user, time, item = _parts(data)
    category = next(iter(spec.at_most), None)
    rows = list(_rows(_moments(frame, data), spec))
    own = {column.name: column for column in columns}
    made: dict[str, pl.Series] = {
        user: pl.Series(user, [one.moment.user for one in rows], dtype=frame[user].dtype),
        time: pl.Series(time, [one.moment.at for one in rows], dtype=frame[time].dtype),
        **(
            {UNTIL: pl.Series(UNTIL, [one.moment.until for one in rows], dtype=frame[time].dtype)}
            if spec.every
            else {}
        ),
        HISTORY: pl.Series(HISTORY, [to_list_text(one.before) for one in rows], dtype=pl.String),
        item: pl.Series(item, [to_list_text(one.taken) for one in rows], dtype=pl.String),
    }
    lists = [HISTORY, item]
    if category is not None:
        lists.append(category)
        texts = [to_list_text(_categories(one.moment, one.taken)) for one in rows]
        made[category] = pl.Series(category, texts, dtype=pl.String)
    if (weight := data.table.weight) is not None:
        lists += [weight, HISTORY_WEIGHT]
        then = [to_list_text(map(str, _strongest(one.moment, one.taken))) for one in rows]
        before = [to_list_text(map(str, one.weights_before)) for one in rows]
        made[weight] = pl.Series(weight, then, dtype=pl.String)
        made[HISTORY_WEIGHT] = pl.Series(HISTORY_WEIGHT, before, dtype=pl.String)
    described = {name: Column(name=name, type="list", nullable=False) for name in lists}
    if spec.every is not None:
        described[UNTIL] = Column(name=UNTIL, type=own[time].type, nullable=False, format=own[time].format)
    return pl.DataFrame(list(made.values())), tuple(described.get(name) or own[name] for name in made)


def _parts(data: DataSpec) -> tuple[RecommendSpec, str, str, str]:
    spec, user, time, item = data.recommend, data.table.group, data.table.time, data.label.column
    if spec is None or user is None or time is None:
        raise SpecError(
            "recommendations need to know who took what and when",
            where="table",
            allowed="table.group (the user), table.time and label.column (the item)",
        )
    made = (
        HISTORY,
        *((UNTIL,) if spec.every is not None else ()),
        *((HISTORY_WEIGHT,) if data.table.weight is not None else ()),
    )
    for name in made:
        if name in {user, time, item, data.table.weight, *spec.at_most}:
            raise SpecError(
                f"the column {name!r} is made of the events, so none of theirs may have its name",
                where="table",
                found=name,
                hint="rename it in table.sql",
            )
    return spec, user, time, item


def _moments(frame: pl.DataFrame, data: DataSpec) -> Iterator[Moment]:
    spec, user, time, item = _parts(data)
    category, weight = next(iter(spec.at_most), None), data.table.weight
    taken = [pl.col(item).cast(pl.String), *([pl.col(category).cast(pl.String)] if category else [])]
    if weight is not None:
        if not frame[weight].cast(pl.Float64).is_finite().all():
            raise SpecError(
                "the weight of an event is a number",
                where="table.weight",
                found="an infinite one",
                hint=f"add contract.columns.{weight}.max, with on_breach: quarantine",
            )
        taken.append(pl.col(weight).cast(pl.Float64))
    ordered = frame.select(user, time, *taken).sort(time, user, maintain_order=True)
    period = pl.col(time)
    if spec.every is not None:
        if not frame[time].dtype.is_temporal():
            raise SpecError(
                "a span of time needs a column of dates or times",
                where="recommend.every",
                found=spec.every,
                hint="leave it out, or make a time of it in table.sql, such as to_timestamp(seconds) AS at",
            )
        micros = pl.col(time).cast(pl.Datetime("us")) if frame[time].dtype == pl.Date else pl.col(time)
        period = micros.dt.epoch("us") // duration_micros(spec.every)
    grouped = ordered.group_by(user, period.alias(_PERIOD), maintain_order=True).agg(
        pl.col(time).first(),
        pl.col(time).last().alias(_UNTIL),
        *(pl.col(name) for name in (item, category, weight) if name),
    )
    for row in grouped.sort(time, user, maintain_order=True).iter_rows(named=True):
        yield Moment(
            row[user],
            row[time],
            row[_UNTIL],
            row[item],
            row[category] if category else [],
            row[weight] if weight else [],
        )


def _rows(moments: Iterator[Moment], spec: RecommendSpec) -> Iterator[_Row]:
    had: dict[object, dict[str, float]] = {}
    for one in moments:
        before = had.setdefault(one.user, {})
        taken = [item for item in dict.fromkeys(one.items) if spec.again or item not in before]
        if taken:
            newest = list(before)[-spec.history :]
            yield _Row(one, newest, taken, [before[item] for item in newest] if one.weights else [])
        for item, weight in zip(one.items, one.weights or [1.0] * len(one.items), strict=True):
            strongest = before.pop(item, 0.0)  # the newest is last
            before[item] = max(strongest, weight)


def _strongest(moment: Moment, taken: Sequence[str]) -> list[float]:
    found: dict[str, float] = {}
    for item, weight in zip(moment.items, moment.weights, strict=True):
        found[item] = max(found.get(item, 0.0), weight)
    return [found[item] for item in taken]


def _categories(moment: Moment, taken: Sequence[str]) -> list[str]:
    known = dict(zip(moment.items, moment.categories, strict=True))
    return [known[item] or "" for item in taken]
