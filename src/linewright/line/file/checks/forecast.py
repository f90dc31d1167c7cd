"""Checks of a line file that forecasts: what its values need, and what makes no sense of series."""

from collections.abc import Iterator

from linewright.data.spec import RECENT, UNTIL
from linewright.line.file.checks.problem import Problem
from linewright.line.file.checks.task_section import (
    Refused,
    refused,
    section_and_task,
    split_by_time,
    unit_of_group,
)
from linewright.line.spec import LineSpec

_TASK = "forecast"


def forecasts(spec: LineSpec) -> Iterator[Problem]:
    """Give each contradiction of a line that forecasts, or that has the section without the task."""
    yield from section_and_task(
        spec,
        _TASK,
        spec.forecast,
        says="a line that forecasts says how many steps ahead",
        example="forecast: {horizon: 14}",
    )
    if len(spec.table.groups) > 1 and spec.train.task != _TASK:
        yield Problem(
            path=("table", "group"),
            what="several columns name a series, and only of lines that forecast",
            found=", ".join(spec.table.groups),
            allowed="one column",
            hint="make one of them in table.sql",
        )
    if spec.train.task != _TASK or spec.forecast is None:
        return
    if spec.table.time is None:
        yield Problem(
            path=("table", "time"),
            what="a value of a series needs its time",
            allowed="a column of dates, times or whole numbers",
            hint="add table.time",
        )
    yield from _columns(spec)
    yield from _levels(spec)
    yield from _left_out(spec)


def _columns(spec: LineSpec) -> Iterator[Problem]:
    table, known = spec.table, spec.forecast.known_ahead if spec.forecast else ()
    names = [name for name in (*table.groups, table.time, spec.label.column) if name is not None]
    for name in known:
        if name in names or known.count(name) > 1:
            yield Problem(
                path=("forecast", "known_ahead"),
                what="a column that is known ahead is another than series, time and label, and named once",
                found=name,
                hint="remove it",
            )
    if made := {RECENT, UNTIL} & {*names, *known}:
        yield Problem(
            path=("table",),
            what="a column that is made of the values has this name",
            found=min(made),
            hint="rename it in table.sql",
        )
    if spec.forecast and spec.forecast.recent is not None and spec.forecast.season is not None:
        least = 2 * spec.forecast.season
        if spec.forecast.recent < least:
            yield Problem(
                path=("forecast", "recent"),
                what="a season is seen if it comes twice among the recent values",
                found=spec.forecast.recent,
                allowed=f"at least {least}",
            )


def _levels(spec: LineSpec) -> Iterator[Problem]:
    """Give what is wrong with the sums that are to be predicted."""
    forecast, groups = spec.forecast, spec.table.groups
    if forecast is None:
        return
    if (forecast.reconcile is None) != (not forecast.levels):
        yield Problem(
            path=("forecast", "levels" if forecast.reconcile else "reconcile"),
            what="sums need to know how they are made, and which they are",
            allowed="reconcile: bottom_up and levels, e.g. [[store], []]",
            hint="add the other word, or remove this one",
        )
    seen = set[frozenset[str]]()
    for number, level in enumerate(forecast.levels):
        if len({*level}) < len(level) or not {*level} < {*groups} or frozenset(level) in seen:
            yield Problem(
                path=("forecast", "levels", number),
                what="a level is named by some of the columns of table.group, not all, and stands once",
                found=", ".join(level) or "[]",
                allowed=", ".join(groups),
            )
        seen.add(frozenset(level))
    if forecast.levels and forecast.known_ahead:
        yield Problem(
            path=("forecast", "levels"),
            what="a request for a sum cannot bring what is known ahead of each of its series",
            found=", ".join(forecast.known_ahead),
            hint="remove known_ahead, or ask for the series and add up",
        )


def _left_out(spec: LineSpec) -> Iterator[Problem]:
    """Give what is said of single rows, and has no meaning for series."""
    table, train = spec.table, spec.train
    said: tuple[Refused, ...] = (
        (("table", "key"), table.key, "rows are made of the values, so no column of these names one"),
        (("table", "weight"), table.weight, "errors are scaled by series, and series count alike"),
        (("table", "known"), table.known, "a value is known at its time"),
        (("table", "subject"), table.subject, "a row is made of many values"),
        (("label", "known"), spec.label.known, "the values ahead are known when the last of them is"),
        (("label", "delay"), spec.label.delay, "the values ahead are known when the last of them is"),
        (("label", "positive"), spec.label.positive, "a value is a number"),
        (("label", "columns"), spec.label.columns, "the label is one column, the value"),
        (("train", "model"), train.model, "a model of a file cannot say several steps yet"),
        (("train", "python"), train.python, "a custom estimator cannot say several steps yet"),
        (
            ("train", "engine"),
            train.engine if train.engine != "built-in" else None,
            "only the built-in engine makes forecasts",
        ),
        (("train", "also"), train.also or None, "Theta and trees over all series are tried"),
        (("value",), spec.value, "a forecast decides nothing"),
    )
    yield from refused(_TASK, said)
    yield from split_by_time(spec, shows="the future")
    yield from unit_of_group(spec, what="of the columns of the table, a request has the series alone")
