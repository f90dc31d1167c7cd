"""From sources to a kept dataset version."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from linewright.data.checks.registry import check_read
from linewright.data.column_roles import unnamed_entities
from linewright.data.contract.check import Checked, Forgotten, breach, check
from linewright.data.contract.references import referred_column
from linewright.data.dataset.version import write_dataset
from linewright.data.facts import MOST_LABELS, Column, Ingested, Quarantine, SeriesValues
from linewright.data.finding_text import without_personal
from linewright.data.kept_files import CheckFile, keep_files
from linewright.data.read.file.paths import fixed_folder
from linewright.data.read.source import Source, open_source, whole
from linewright.data.read.spill import scratch_of
from linewright.data.spec import ColumnRule, DataSpec, FilesSource, table_sources
from linewright.data.table.added_columns import AddedColumns
from linewright.data.table.build import build_table, read_served
from linewright.data.table.event_rows import rows_of_events
from linewright.data.table.good_labels import with_good
from linewright.data.table.series_rows import newest_values, rows_of_series
from linewright.data.types import cast
from linewright.engine.context import Context, Progress
from linewright.errors import SpecError

STEP = "ingest"


@dataclass(frozen=True, kw_only=True)
class GivenLabels:
    """Labels that people gave to rows of a table."""

    annotated: str
    """Digest of the `AnnotatedRows`."""
    rows: pl.DataFrame
    """The rows with their labels."""


def ingest(
    context: Context,
    data: DataSpec,
    root: Path,
    served: Sequence[Mapping[str, Any]] = (),
    scratch: Path | None = None,
    *,
    forgotten: Forgotten | None = None,
    labels: GivenLabels | None = None,
    check_file: CheckFile | None = None,
    opened: Mapping[str, Source] | None = None,
    added: AddedColumns | None = None,
) -> Ingested:
    """Read the sources, make the table, apply the contract and keep what passed as a dataset version.

    Rows are kept in the order (time, key), as far as the line declares them, else in the order of the source.
    """
    steps = len(data.sources) + 2
    ready = opened or {}
    sources = [ready.get(name) or open_source(name, source, root) for name, source in data.sources.items()]

    def heard(rows: int) -> None:
        says = f"read {rows:,} rows of {' and '.join(data.sources)}"
        context.report(Progress(step=STEP, says=says, done=len(sources), of=steps))

    checked = check_sources(
        sources,
        data,
        served if data.recommend is None and data.forecast is None else (),
        scratch=scratch,
        heard=heard,
        forgotten=forgotten,
        labelled=labels.rows if labels else None,
        added=added,
    )
    says = f"{checked.frame.height:,} of {checked.rows_read:,} rows keep the contract"
    context.report(Progress(step=STEP, says=says, done=steps - 1, of=steps))
    quarantine = _keep_quarantine(context, checked)
    if checked.stop is not None:
        raise breach(checked, quarantine)
    of_table, checked = checked, in_rows(checked, data, served)
    order = tuple(dict.fromkeys(name for name in (data.table.time, data.table.key) if name is not None))
    # Rows that were answered come after those of the sources, whatever these are sorted by.
    unseen = unnamed_entities(data, added.entities if added is not None else ())
    looked_at = [column for column in checked.columns if column.name not in unseen]
    found = check_read(checked.frame, looked_at, data, is_ordered=not served, release=of_table.release)
    findings = tuple(without_personal(one, data.contract.personal) for one in found)
    frame = keep_files(checked.frame, checked.columns, folders_of(data, root), context.artifacts, check_file)
    of_table.release()
    dataset = write_dataset(
        frame, checked.columns, order, context.artifacts, context.metadata, release=of_table.release
    )
    ingested = Ingested(
        dataset=context.metadata.keep(dataset),
        quarantine=quarantine,
        breaches=checked.breaches,
        findings=findings,
        rows_read=checked.rows_read,
        labels=labels_of(checked.frame[data.label.column]),
        row_sql=checked.row_sql,
        annotated=labels.annotated if labels else None,
        labelled=_labelled(checked.frame, labels.rows, data) if labels else 0,
        allowed=_allowed(sources, data),
        series=_keep_series(context, of_table, data),
    )
    context.metadata.keep(ingested)
    says = f"kept {dataset.rows:,} rows"
    context.report(Progress(step=STEP, says=says, done=steps, of=steps))
    return ingested


def folders_of(data: DataSpec, root: Path) -> list[Path]:
    """Return the folders that the files of the sources are in."""
    files = [file for source in data.sources.values() for file in source.local_files]
    folders = list(dict.fromkeys(fixed_folder(file, root) for file in files)) or [root]
    is_fetched = any(isinstance(source, FilesSource) and source.is_live for source in data.sources.values())
    return [*folders, *([scratch_of(root)] if is_fetched else [])]


def check_sources(
    sources: Sequence[Source],
    data: DataSpec,
    served: Sequence[Mapping[str, Any]] = (),
    *,
    scratch: Path | None = None,
    heard: Callable[[int], None] = lambda _: None,
    forgotten: Forgotten | None = None,
    labelled: pl.DataFrame | None = None,
    added: AddedColumns | None = None,
) -> Checked:
    """Make the table of the sources that it is made of, and apply the contract with all of them."""
    names = table_sources(data)
    table = build_table([one for one in sources if one.name in names], data, served, labelled, added=added)
    referred = [whole(one) for one in sources if one.name not in names]
    return check(table, data, referred, scratch=scratch, heard=heard, forgotten=forgotten)


def in_rows(checked: Checked, data: DataSpec, served: Sequence[Mapping[str, Any]] = ()) -> Checked:
    """Return events as rows, with rows of the log whose label is known; all else as it is."""
    if data.anomaly is not None:
        return good_or_faulty(checked, data)
    if data.recommend is None and data.forecast is None:
        return checked
    make = rows_of_events if data.forecast is None else rows_of_series
    frame, columns = make(checked.frame, checked.columns, data)
    if served:
        rules = {
            one.name: ColumnRule.model_validate({"type": one.type, "format": one.format}) for one in columns
        }
        group, several = str(data.table.group), len(data.table.groups) > 1
        if data.forecast is not None:  # a sum of series is none
            served = [row for row in served if data.table.group_of(row) is not None]
        rows = [{**row, group: data.table.group_of(row)} for row in served] if several else served
        more = read_served(rows, rules, data).select(frame.columns)
        if data.forecast is not None:  # of what the source tells by now, it is right
            same = [name for name in (data.table.group, data.table.time) if name is not None]
            more = more.join(frame, on=same, how="anti")
        frame = pl.concat([frame, more])
    # What SQL makes of one row of a source is not in a request, whose rows have another form.
    return replace(checked, frame=frame, columns=columns, row_sql=None)


def good_or_faulty(checked: Checked, data: DataSpec) -> Checked:
    """Return rows each of which is labelled: those without a label are taken for good."""
    frame = with_good(checked.frame, data.label)
    columns = tuple(
        Column(name=one.name, type="category", nullable=one.nullable)
        if one.name == data.label.column
        else one
        for one in checked.columns
    )
    return replace(checked, frame=frame, columns=columns)


def labels_of(values: pl.Series) -> tuple[str, ...]:
    """Return the different labels as spelled, sorted; none where there are too many to list."""
    different = values.drop_nulls().unique()
    return tuple(sorted(different.cast(pl.String).to_list())) if len(different) <= MOST_LABELS else ()


def _allowed(sources: Sequence[Source], data: DataSpec) -> tuple[str, ...] | None:
    """Return the items that may be listed, spelled as those of the events; `None` if all may."""
    if data.recommend is None or data.recommend.allowed is None:
        return None
    where = "recommend.allowed"
    values = referred_column(data.recommend.allowed, {one.name: one for one in sources}, where)
    rule = data.contract.columns.get(data.label.column) or ColumnRule(type="category")
    items = cast(values, rule.type, pattern=rule.format).drop_nulls().unique().cast(pl.String).to_list()
    if not items:
        raise SpecError(
            "no item may be listed, since this column is empty",
            where=where,
            found=data.recommend.allowed,
            hint="leave it out to allow all",
        )
    return tuple(sorted(items))


def _labelled(frame: pl.DataFrame, given: pl.DataFrame, data: DataSpec) -> int:
    """Count the rows that have the label which people gave to them."""
    names = [data.table.key] if data.table.key else frame.columns
    columns = list(dict.fromkeys([*names, data.label.column]))
    if not set(columns) <= set(given.columns):
        return 0
    rows = frame.filter(pl.col(data.label.column).is_not_null()).select(columns)
    those = given.select(pl.col(name).cast(kind, strict=False) for name, kind in rows.schema.items())
    return rows.join(those, on=columns, how="semi", nulls_equal=True).height


def _keep_series(context: Context, checked: Checked, data: DataSpec) -> str | None:
    found = None if data.forecast is None else newest_values(checked.frame, checked.columns, data)
    if found is None:
        return None
    blob = context.artifacts.put(found.to_bytes())
    return context.metadata.keep(SeriesValues(series=len(found.names), blob=blob))


def _keep_quarantine(context: Context, checked: Checked) -> str | None:
    if not checked.quarantined:
        return None
    blob = context.artifacts.put(checked.quarantined.to_bytes())
    return context.metadata.keep(Quarantine(rows=len(checked.quarantined), blob=blob))
