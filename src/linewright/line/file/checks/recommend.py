"""Checks of a line file that recommends: what its events need, and what makes no sense of lists."""

from collections.abc import Iterator

from linewright.data.spec import HISTORY, referred_source
from linewright.line.file.checks.problem import Problem
from linewright.line.file.checks.task_section import (
    Refused,
    refused,
    section_and_task,
    split_by_time,
    unit_of_group,
)
from linewright.line.file.mistakes import did_you_mean
from linewright.line.spec import LineSpec
from linewright.model.spec import AUTO
from linewright.text.quoting import quoted
from linewright.watch.spec import LabelsTrigger

_TASK = "recommend"
_HEADLINES = ("ndcg@10", "recall@10")


def recommends(spec: LineSpec) -> Iterator[Problem]:
    """Give each contradiction of a line that recommends, or that has the section without the task."""
    yield from section_and_task(
        spec,
        _TASK,
        spec.recommend,
        says="a line that recommends says how its events become rows",
        example="recommend: {}",
    )
    if spec.train.task != _TASK or spec.recommend is None:
        return
    yield from _parts(spec)
    yield from _left_out(spec)


def _parts(spec: LineSpec) -> Iterator[Problem]:
    table = spec.table
    for name, column, what in (("group", table.group, "the user"), ("time", table.time, "when it happened")):
        if column is None:
            yield Problem(
                path=("table", name),
                what=f"an event needs {what}",
                allowed="a column of the table",
                hint=f"add table.{name}",
            )
    columns = spec.contract.columns
    for category in spec.recommend.at_most if spec.recommend else ():
        if columns and category not in columns:
            yield Problem(
                path=("recommend", "at_most"),
                what="the contract has no such column",
                found=category,
                allowed=", ".join(columns),
                hint=did_you_mean(category, columns)
                or f"if the events have it, add {quoted(category)}: {{type: category}} under contract.columns",
            )
    allowed = spec.recommend.allowed if spec.recommend else None
    if allowed is not None and referred_source(allowed, list(spec.sources)) is None:
        yield Problem(
            path=("recommend", "allowed"),
            what="no source has this name",
            found=allowed,
            allowed=", ".join(f"{name}.COLUMN" for name in spec.sources),
            hint="name a column of another source, e.g. stock.item",
        )
    starts = spec.retrain.when if spec.retrain else ()
    if spec.recommend and spec.recommend.explore and any(isinstance(one, LabelsTrigger) for one in starts):
        yield Problem(
            path=("retrain", "when"),
            what="a line that explores does not learn from what was taken of its lists, so labels bring no new rows",
            found="labels",
            allowed="drift, performance, {every: 7d}",
            hint="train by time: new purchases come from the source",
        )
    if HISTORY in {table.group, table.time, spec.label.column}:
        yield Problem(
            path=("table",),
            what="the column that is made of the events has this name",
            found=HISTORY,
            hint="rename it in table.sql",
        )


def _left_out(spec: LineSpec) -> Iterator[Problem]:
    """Give what is said of single rows, and has no meaning for events or for lists."""
    table, train = spec.table, spec.train
    said: tuple[Refused, ...] = (
        (("table", "key"), table.key, "rows are made of events, so no column of these names one"),
        (("table", "known"), table.known, "an event is known when it happens"),
        (("label", "known"), spec.label.known, "an item is known when it is taken"),
        (("label", "delay"), spec.label.delay, "an item is known when it is taken"),
        (("label", "columns"), spec.label.columns, "the label is one column, the item"),
        (("train", "model"), train.model, "a model of a file cannot be a recommender yet"),
        (("train", "python"), train.python, "a custom estimator cannot be a recommender yet"),
        (
            ("train", "engine"),
            train.engine if train.engine != "built-in" else None,
            "only the built-in engine makes recommenders",
        ),
        (
            ("train", "share"),
            train.share if train.share != "alone" else None,
            "each site learns from its own events",
        ),
        (("train", "also"), train.also or None, "popularity, item-kNN and EASE are tried"),
    )
    yield from refused(_TASK, said)
    if train.metric not in {AUTO, *_HEADLINES}:
        yield Problem(
            path=("train", "metric"),
            what="what users take is read first: lists can be varied that nobody wants",
            found=train.metric,
            allowed=", ".join(_HEADLINES),
        )
    yield from split_by_time(spec, shows="the future of other users")
    if table.subject not in {None, table.group}:
        yield Problem(
            path=("table", "subject"),
            what="of the columns of an event, rows keep the user alone, so that nobody else could be forgotten",
            found=table.subject,
            allowed=str(table.group),
        )
    if spec.label.event is not None:
        yield Problem(path=("label", "event"), what="an item does not take time", found=spec.label.event)
    for name, rule in spec.contract.columns.items():
        if rule.type == "file":
            yield Problem(
                path=("contract", "columns", name), what="events have no pictures yet", found="file"
            )
    yield from unit_of_group(spec, what="of the columns of an event, a request has the user alone")
