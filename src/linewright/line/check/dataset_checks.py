"""What a line's contract promises beyond the rows, asked at an instant and against the version before."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import polars as pl
from msgspec.structs import replace

from linewright.data.breach_text import as_details, breach_in_words, gone_in_words, hint_of, without_personal
from linewright.data.contract.freshness import Before, evolution, row_change, staleness
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Breach, Dataset, Ingested
from linewright.data.read.source import Source, open_source
from linewright.data.spec import table_sources
from linewright.errors import ContractBreach, LinewrightError, from_json
from linewright.line.factory import Factory
from linewright.line.facts import Finished
from linewright.line.record.data.quarantine import reading_of
from linewright.line.run_context import Work, views_of
from linewright.line.spec import LineSpec

E = TypeVar("E", bound=LinewrightError)


def before_of(factory: Factory, line: str) -> Before | None:
    """Return the dataset version of the newest run that kept one and found its promises kept."""
    for run in factory.metadata.events(Finished, line=line, newest_first=True):
        if read := reading_of(factory, run):
            ingested = factory.metadata.get(read, Ingested)
            dataset = factory.metadata.get(ingested.dataset, Dataset)
            return Before(
                dataset=ingested.dataset,
                at=run.at,
                rows=dataset.rows,
                columns=dataset.columns,
                of_views=frozenset(
                    column.name for view in views_of(ingested, factory.metadata) for column in view.columns
                ),
            )
    return None


def promises(
    factory: Factory, spec: LineSpec, frame: pl.DataFrame, dataset: Dataset, sources: Sequence[Source]
) -> list[Breach]:
    """Return what the rows that a check has read do not keep of the promises; see `data.contract.freshness`."""
    before = before_of(factory, spec.line)
    changed = evolution(dataset.columns, dataset.rows, frame.__getitem__, spec, before)
    whole = [staleness([frame], spec, factory.now()), row_change(dataset.rows, spec, before)]
    breaches = [*(one for one in whole if one), *(_with_line(one, spec, sources) for one in changed)]
    return [without_personal(one, spec.contract.personal) for one in breaches]


def kept_promises(work: Work) -> tuple[Breach, ...]:
    """Return what a run has to warn of, now that it knows its dataset version."""
    before = before_of(work.factory, work.spec.line)
    store = work.factory.artifacts, work.metadata
    changed = list(
        evolution(
            work.dataset.columns,
            work.dataset.rows,
            lambda name: read_dataset(work.dataset, *store, [name])[name],
            work.spec,
            before,
        )
    )
    if any(_is_retyped(one) for one in changed):
        sources = [
            open_source(name, one, work.factory.root) for name, one in table_sources(work.spec).items()
        ]
        changed = [_with_line(one, work.spec, sources) for one in changed]
    whole = [_stale(work), row_change(work.dataset.rows, work.spec, before)]
    found = [*(one for one in whole if one), *changed]
    breaches = [without_personal(one, work.spec.contract.personal) for one in found]
    stop_if_broken(breaches, work.ingested.breaches, work.ingested.quarantine)
    return tuple(breaches)


def require_fresh(factory: Factory, spec: LineSpec) -> None:
    """Raise `ContractBreach` where the rows of the version that there is are too old by now."""
    before = before_of(factory, spec.line) if spec.contract.fresh else None
    if before is None:
        return
    dataset = factory.metadata.get(before.dataset, Dataset)
    stale = staleness(_latest(dataset, factory, str(spec.table.time)), spec, factory.now())
    stop_if_broken([without_personal(stale, spec.contract.personal)] if stale else [])


def stop_if_broken(
    promised: Sequence[Breach], found: Sequence[Breach] = (), quarantine: str | None = None
) -> None:
    """Raise `ContractBreach` for the first promise whose breach stops a run; nothing where there is none."""
    stopping = next((one for one in promised if one.action == "stop"), None)
    if stopping is None:
        return
    details = {"findings": as_details([*promised, *found]), "quarantine": quarantine}
    raise ContractBreach(
        breach_in_words(stopping), where=_place(stopping), hint=hint_of(stopping), details=details
    )


def _place(breach: Breach) -> str:
    if breach.kind == "fresh":
        return "contract.fresh"
    return "on_new_column" if breach.column else "contract.rows.change"


def _stale(work: Work) -> Breach | None:
    if work.spec.contract.fresh is None:
        return None
    frames = _latest(work.dataset, work.factory, str(work.spec.table.time))
    return staleness(frames, work.spec, work.factory.now())


def _latest(dataset: Dataset, factory: Factory, time: str) -> Iterator[pl.DataFrame]:
    """Give the times of a dataset in its order, a chunk at a time."""
    for chunk in dataset.chunks:
        one = replace(dataset, chunks=(chunk,), rows=chunk.rows)
        yield read_dataset(one, factory.artifacts, factory.metadata, [time])


def _is_retyped(breach: Breach) -> bool:
    return breach.kind == "retyped" and bool(breach.first)


def _with_line(breach: Breach, spec: LineSpec, sources: Sequence[Source]) -> Breach:
    """Return a breach with the line of the file that has its first value, where the table is one file."""
    table = next(one for one in sources if one.name in table_sources(spec))
    if spec.table.sql is not None or not _is_retyped(breach):
        return breach
    row = _row_of(table, breach.column, breach.first)
    if row is None:
        return breach
    (line,), (file,) = table.lines([row]), table.files([row])
    return replace(breach, line=line, file=file or None)


def _row_of(source: Source, column: str, text: str) -> int | None:
    start = 0
    for batch in source.batches():
        same = batch.frame[column].cast(pl.String) == text
        if same.any():
            return start + int(same.arg_max() or 0)
        start += batch.frame.height
    return None


def recalled(error: E, before: Before | None) -> E:
    """Return an error about columns that the table lacks, which says of each in which version it was."""
    known = {column.name for column in before.columns} if before else set[str]()
    lacks = [one["column"] for one in error.details.get("findings", []) if one["kind"] == "lacking"]
    if "lacking" in error.details:
        lacks = [error.details["lacking"]]
    told = (
        [gone_in_words(name, dataset=before.dataset, at=before.at) for name in lacks if name in known]
        if before
        else []
    )
    parts = error.to_parts()
    if told:
        parts["what"] = "; ".join([error.what, *told])
        if not error.hint.startswith("did you mean"):
            parts["hint"] = "bring it back in the source, or take it out of the line file"
    if listed := error.details.get("errors"):
        each = [recalled(from_json(one), before).to_json() for one in listed]
        parts["details"] = {**error.details, "errors": each}
    return type(error)(**parts)
