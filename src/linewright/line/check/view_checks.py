"""Checks of the feature views of a line: views that know what came after a row, and views that know nothing of most rows."""

from collections.abc import Iterator, Sequence

import polars as pl

from linewright.data.checks.registry import ABOUT_KNOWLEDGE, check_features, seen_as_declared
from linewright.data.facts import Column, Finding
from linewright.features.facts import NO_TIME
from linewright.line.check.settings_checks import not_silenced, warning
from linewright.line.factory import Factory
from linewright.line.file.view_file import read_views
from linewright.line.record.view_status import changed_models, served_with
from linewright.line.spec import LineSpec
from linewright.line.views.point_in_time_join import columns_at, moments_of
from linewright.line.views.read_events import ViewEvents, spelled

_BEFORE = 86_400_000_000
"""Length of the window before a row, in microseconds, without whose events a suspected column is computed again."""
_MOST_ABSENT = 0.9


def check_views(
    spec: LineSpec,
    views: Sequence[ViewEvents],
    frame: pl.DataFrame,
    columns: Sequence[Column],
    found: Sequence[Finding],
) -> tuple[Finding, ...]:
    """Return what the checks find of the views of a line."""
    return not_silenced(
        spec,
        (
            *_without_known(views),
            *_absent(views, frame),
            *_knowing_the_future(spec, views, frame, columns, found=found),
        ),
    )


def _without_known(views: Sequence[ViewEvents]) -> Iterator[Finding]:
    """Say once of each view that nothing says when its rows were known."""
    for view in views:
        if view.facts.time == NO_TIME:
            yield warning("view-known", form="always", view=view.facts.view)
        elif view.facts.known is None:
            yield warning("view-known", view=view.facts.view, time=view.facts.time)


def _absent(views: Sequence[ViewEvents], frame: pl.DataFrame) -> Iterator[Finding]:
    for view in views:
        named = frame.select(spelled(frame[name]) for name in view.facts.entity)
        share = float((view.numbers_of(named) < 0).mean()) if frame.height else 0.0
        nothing = _rows_without(view, frame)
        if share >= _MOST_ABSENT:
            of_rows, of_view = (
                "/".join(map(str, one.row(0))) if one.height else "" for one in (named, view.entities)
            )
            yield warning(
                "view-absent",
                *view.facts.entity,
                view=view.facts.view,
                share=share,
                in_table=of_rows,
                in_view=of_view,
            )
        elif nothing:
            yield Finding(
                check="view-absent",
                severity="note",
                columns=view.facts.entity,
                evidence={"form": "some", "view": view.facts.view, "rows": nothing, "of": frame.height},
                remedy=(),
            )


def _rows_without(view: ViewEvents, frame: pl.DataFrame) -> int:
    """Return how many rows get nothing of a view: its source had no row about their entity by their time."""
    names = [column.name for column in view.facts.columns if column.name in frame.columns]
    if not names or not frame.height:
        return 0
    return int(frame.select(pl.all_horizontal(pl.col(names).is_null()).sum()).item())


def changed_views(factory: Factory, spec: LineSpec) -> tuple[Finding, ...]:
    """Name the views of which a model that serves has learned another form than their files have now."""
    found = [
        Finding(
            check="view-changed",
            severity="note",
            columns=(),
            evidence={"view": view.view, "model": one.about},
            remedy=(),
        )
        for view in read_views(factory.root, spec.features)
        for one in changed_models(view, {spec.line: tuple(served_with(factory, view.view, spec.line))})
    ]
    return not_silenced(spec, found)


def _knowing_the_future(
    spec: LineSpec,
    views: Sequence[ViewEvents],
    frame: pl.DataFrame,
    columns: Sequence[Column],
    *,
    found: Sequence[Finding],
) -> Iterator[Finding]:
    """Name the view of each column that predicts the label too well, and whether its newest events before the row are why."""
    suspects = {one.columns[0]: one for one in found if one.check in ABOUT_KNOWLEDGE and one.columns}
    for view in views:
        own = [column.name for column in view.facts.columns if column.name in suspects]
        if not own:
            continue
        earlier = columns_at(view, frame, moments_of(frame[str(spec.table.time)]) - _BEFORE)
        before = frame.with_columns(one for one in earlier if one.name in own)
        seen = seen_as_declared(before, columns, spec.label)
        still = {one.columns[0] for one in check_features(spec, seen) if one.check in ABOUT_KNOWLEDGE}
        for name in own:
            form = "" if view.facts.known is None else "known/"
            yield Finding(
                check="view-future",
                severity="ask",
                columns=(name,),
                evidence={
                    "form": f"{form}{'older' if name in still else 'newest'}",
                    "view": view.facts.view,
                    "time": view.facts.time,
                    "known": view.facts.known or "",
                },
                remedy=suspects[name].remedy,
            )
