"""Checking a line: is the file right, and do the data keep the contract. Nothing is run, nothing is kept."""

from collections.abc import Collection, Mapping
from functools import partial
from importlib import import_module
from typing import NamedTuple

import polars as pl

from linewright.data.checks.registry import check_features, check_rows, seen_as_declared
from linewright.data.checks.rows import Rows
from linewright.data.column_roles import feature_columns, unnamed_entities
from linewright.data.contract.check import breach
from linewright.data.facts import Breach, Column, Dataset, Finding, RowSql
from linewright.data.finding_text import without_personal
from linewright.data.ingest import check_sources, folders_of, in_rows, labels_of
from linewright.data.kept_files import check_files
from linewright.data.profile.column import Seen
from linewright.data.profile.label import describe_label
from linewright.data.read.locate import Where, nowhere, place_of
from linewright.data.read.source import open_source
from linewright.errors import ContractBreach, LinewrightError, RequestError, SpecError
from linewright.features.learn import learn
from linewright.line.check.amounts import problems_of
from linewright.line.check.contradictions import contradictions, refuse
from linewright.line.check.dataset_checks import before_of, promises, recalled, stop_if_broken
from linewright.line.check.destinations import refuse_shared
from linewright.line.check.line_checks import check_file
from linewright.line.check.view_checks import changed_views, check_views
from linewright.line.engines import check_engine
from linewright.line.factory import Factory
from linewright.line.file.factory_file import FACTORY_FILE, read_factory_file
from linewright.line.file.read import placed, unsupported
from linewright.line.file.retention import kept_of, too_short
from linewright.line.file.view_file import read_views
from linewright.line.retention.forgotten_rows import are_forgotten, forgotten_in_view
from linewright.line.run_context import (
    BACKBONE_FILE,
    MODEL_FILE,
    read_backbone,
    read_model_file,
    resolve_task,
)
from linewright.line.spec import LineSpec
from linewright.line.split_rows import label_text
from linewright.line.views.point_in_time_join import ViewColumns
from linewright.line.views.read_events import read_events
from linewright.line.views.sources import open_view
from linewright.model.pictures import check_picture
from linewright.model.spec import AUTO, ModelSpec, PicturesSpec
from linewright.model.tasks import task as rules_of


class Sound(NamedTuple):
    """What was found out about a line that can run."""

    rows: int
    """Rows that keep the contract."""
    quarantined: int
    """Rows that would go to quarantine."""
    breaches: tuple[Breach, ...]
    """Rules that did not hold."""
    findings: tuple[Finding, ...]
    """What the checks of file and data found."""
    row_sql: RowSql | None = None
    """What requests get of `table.sql`; `None` where there is none."""


def check_line(factory: Factory, name: str) -> Sound:
    """Return what is found out about a line that can run."""
    path = factory.path_of(name)
    spec = factory.line(name)
    refuse(unsupported(spec, path))
    everywhere = read_factory_file(factory.root).keep
    found = too_short(spec, kept_of(spec, everywhere))
    if found is not None:
        raise SpecError(
            f"answers are kept for less time than line {spec.line!r} needs them: {found[1]}",
            where=f"{FACTORY_FILE}: keep.log",
            found=found[0],
            allowed=f"at least {found[1]} together",
            hint=f"keep them longer, or say so in lines/{spec.line.partition('.')[0]}.yaml; until then they are kept for as long as the line needs them",
        )
    try:
        refuse_shared(factory, spec)
        return _check_data(factory, spec)
    except LinewrightError as error:
        raise placed(error, path, name) from error


def _check_data(factory: Factory, spec: LineSpec) -> Sound:
    if spec.train.model is not None:
        _try_model(factory, spec, spec.train.model)
    pictures = spec.train.pictures
    if pictures is not None and pictures.backbone is not None:
        tried_backbone = import_module("linewright.model.imported.sandbox").tried_backbone
        data = read_backbone(factory.root, pictures.backbone)
        for size in pictures.sizes or (None,):
            tried_backbone(data, pictures, side=size, where=f"{BACKBONE_FILE}.backbone")
    check_engine(factory.root, spec.train)
    sources = [open_source(name, one, factory.root) for name, one in spec.sources.items()]
    views = [
        read_events(
            view,
            factory.root,
            source=open_view(view, factory),
            forgotten=forgotten_in_view(factory, view.view),
        )
        for view in read_views(factory.root, spec.features)
    ]
    added = ViewColumns(views, str(spec.table.time)) if views else None
    try:
        checked = check_sources(
            sources,
            spec,
            scratch=factory.scratch,
            forgotten=are_forgotten(factory, spec.line),
            added=added,
        )
    except (SpecError, ContractBreach) as error:
        raise recalled(error, before_of(factory, spec.line)) from error
    if checked.stop is not None:
        raise breach(checked, None)
    checked = in_rows(checked, spec)
    check_files(
        checked.frame, checked.columns, folders_of(spec, factory.root), factory.artifacts, check_picture
    )
    entities = () if added is None else added.entities
    refuse(_contradictions(spec, checked.frame, checked.columns, entities))
    dataset = Dataset(columns=checked.columns, rows=checked.frame.height, order=(), chunks=())
    promised = promises(factory, spec, checked.frame, dataset, sources)
    stop_if_broken(promised, checked.breaches)
    is_one = len(sources) == 1 and spec.table.sql is None
    where = partial(place_of, sources[0]) if is_one else nowhere
    unseen = unnamed_entities(spec, entities)
    looked_at = tuple(column for column in checked.columns if column.name not in unseen)
    # Of lists, the checks of tables have nothing to say.
    of_table = () if spec.recommend or spec.forecast else _check_table(spec, checked.frame, looked_at, where)
    return Sound(
        checked.frame.height,
        len(checked.quarantined),
        (*checked.breaches, *promised),
        (
            *check_file(factory, spec, checked.frame),
            *of_table,
            *check_views(spec, views, checked.frame, checked.columns, of_table),
            *changed_views(factory, spec),
        ),
        checked.row_sql,
    )


def _try_model(factory: Factory, spec: LineSpec, model: ModelSpec) -> None:
    # What reads files of models takes long to import, and few lines bring one.
    sandbox = import_module("linewright.model.imported.sandbox")
    data, where = read_model_file(factory, model), f"{MODEL_FILE}.file"
    if spec.reads_pictures:
        asked = PicturesSpec(
            backbone=model.file, scale=model.scale, outputs=(model.output,) if model.output else ()
        )
        sandbox.tried_backbone(data, asked, side=model.size, where=where)
    else:
        sandbox.tried(data, where=where)


def _check_table(
    spec: LineSpec, frame: pl.DataFrame, columns: tuple[Column, ...], where: Where
) -> tuple[Finding, ...]:
    seen = seen_as_declared(frame, columns, spec.label)
    found = (*check_features(spec, seen), *check_rows(rows_of(spec, seen, where)))
    return tuple(without_personal(one, spec.contract.personal) for one in found)


def rows_of(spec: LineSpec, seen: Mapping[str, Seen], where: Where) -> Rows:
    """Return what the checks of rows see of a line's table."""
    train, label = spec.train, seen[spec.label.column]
    return Rows(
        seen=seen,
        data=spec,
        split=train.split,
        folds=train.fold_count,
        is_cross_fitted=train.model is None,
        is_class=_is_class(spec, label),
        where=where,
    )


def _is_class(spec: LineSpec, label: Seen) -> bool:
    if spec.train.task != AUTO:
        return rules_of(spec.train.task).is_class
    try:
        return describe_label(label.values, label, None).form != "number"
    except RequestError:
        return True


def _contradictions(
    spec: LineSpec, frame: pl.DataFrame, columns: tuple[Column, ...], entities: Collection[str]
) -> list[LinewrightError]:
    """Return what the line asks for and the data do not have: what a run would stumble over later."""
    dataset = Dataset(columns=columns, rows=frame.height, order=(), chunks=())
    labelled = frame.drop_nulls(spec.label.column)
    if labelled.is_empty():
        return [SpecError("no row has a label", where="label.column", found=spec.label.column)]
    task = resolve_task(spec, dataset, labels_of(frame[spec.label.column]))
    found = contradictions(spec, dataset, task)
    found += problems_of(frame, spec, columns)
    try:
        rules, labels = rules_of(task), label_text(labelled, spec.label.column)
        rules.target(labels, rules.classes(labels, spec.label.positive))
        # Whether there are pictures is known already; what becomes of them takes longer than a check may.
        plain = [column for column in feature_columns(spec, dataset, entities) if column.type != "file"]
        if not (spec.recommend or spec.forecast) and (
            plain or not any(column.type == "file" for column in columns)
        ):
            learn(labelled, plain)
    except SpecError as error:
        found.append(error)
    return found
