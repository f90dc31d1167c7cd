"""What runs of a line read: dataset versions with their sources, what of the contract did not hold, and what came of them."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from linewright.data.breach_text import BreachInWords, breaches_in_words
from linewright.data.facts import AnnotatedRows, Breach, Column, Dataset, Finding, Ingested, Quarantine
from linewright.data.finding_text import finding_in_words
from linewright.data.read.file.paths import files_of
from linewright.data.spec import SourceSpec
from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Declared, Dropped, Finished, Plan
from linewright.line.personal import hidden_columns, without_personal
from linewright.line.record.data.quarantine import reading_of
from linewright.line.retention.dropped import dropped_at
from linewright.line.views.sources import all_sources
from linewright.model.facts import Registered
from linewright.people.facts import RowsAnnotated
from linewright.store.clock import text_of

_MOST_FILES = 5


class DatasetLine(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset version in a list."""

    dataset: str
    rows: int
    columns: int
    quarantined: int
    models: tuple[str, ...]
    """Models that were trained on it."""
    at: str
    gone: str | None = None
    """When its rows were dropped by retention; `None` where they are kept."""
    made_by: Literal["run", "annotation"] = "run"
    """``annotation``: it has the rows that people labelled, and the next run gives their labels to rows that the sources have without one."""
    labelled: int = 0
    """Rows whose label is that of people."""


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a source, as it is now."""

    path: str
    """Relative to the factory if it is in it."""
    modified: str
    bytes: int


class SourceRead(msgspec.Struct, frozen=True, kw_only=True):
    """A source, as a run read it and as it is now."""

    name: str
    place: str
    """What is read, in a few words; empty if the line file does not name it now."""
    fingerprint: str
    """Digest of what it held and how it was read."""
    files: tuple[SourceFile, ...]
    """Of a source of files: the first of those that there are now."""
    is_newer: bool
    """Whether one of its files was written since that run read it."""


class GivenLabel(msgspec.Struct, frozen=True, kw_only=True):
    """Who gave the label of a row, and when."""

    question: str
    annotators: tuple[str, ...]
    """Those who gave it, by name."""
    decided: str
    """Who decided between them; empty where they agreed."""
    at: str
    """When it was settled."""


class Annotated(msgspec.Struct, frozen=True, kw_only=True):
    """What people labelled of a dataset version."""

    evidence: str
    """Digest of the `AnnotatedRows`: `why` follows it."""
    before: str
    """Digest of the dataset version that had the rows without a label."""
    dataset: str
    """Digest of the version of the labelled rows alone."""
    labelled: int
    """Rows whose label is that of people."""
    by: tuple[str, ...]
    """Who gave labels or decided, sorted."""
    first: str
    last: str
    """When the first and the last label was settled."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset version of a line, and the run that read it first."""

    dataset: str
    at: str
    run: str
    ingested: str
    """Digest of what reading gave; empty, as `run` is, of rows that people labelled, which no run has read so."""
    columns: tuple[Column, ...]
    rules: dict[str, dict[str, Any]]
    """What the contract asked of a column, by its name, as the line file had it."""
    order: tuple[str, ...]
    rows: int
    rows_read: int
    quarantined: int
    breaches: tuple[BreachInWords, ...]
    """What of the contract did not hold."""
    findings: tuple[str, ...]
    """What the checks found that a run says, as sentences."""
    sources: tuple[SourceRead, ...]
    models: tuple[str, ...]
    """Models that were trained on it."""
    gone: str | None
    """When its rows were dropped by retention; `None` where they are kept."""
    annotated: Annotated | None = None
    """What of it people labelled; `None` where they labelled nothing."""


def dataset_lines(factory: Factory, line: str) -> list[DatasetLine]:
    """Return the dataset versions of a line, oldest first."""
    models = factory.metadata.events(Registered, line=line)
    dropped = factory.metadata.events(Dropped)
    listed: list[DatasetLine] = []
    for digest, run in _runs(factory, line).items():
        ingested = factory.metadata.get(digest, Ingested)
        dataset = factory.metadata.get(ingested.dataset, Dataset)
        listed.append(
            DatasetLine(
                dataset=ingested.dataset,
                rows=dataset.rows,
                columns=len(dataset.columns),
                quarantined=_kept_out(factory, ingested),
                models=_models(models, digest),
                at=run.at,
                gone=dropped_at(factory, ingested.dataset, dropped) if dropped else None,
                labelled=ingested.labelled,
            )
        )
    return listed


def last_read(factory: Factory, line: str) -> tuple[Finished | None, Finished | None]:
    """Return the last run of a line that read its sources, and the last run of all if it failed before it had."""
    runs = factory.metadata.events(Finished, line=line, newest_first=True, limit=1)
    if runs and runs[0].ingested is None:
        runs = factory.metadata.events(Finished, line=line, newest_first=True)
    last = next((one for one in runs if one.ingested is not None), None)
    has_failed = bool(runs) and runs[0].outcome == "failed" and runs[0].ingested is None
    return last, runs[0] if has_failed else None


def annotated_lines(factory: Factory, line: str) -> list[DatasetLine]:
    """Return the dataset versions of the rows that people labelled, oldest first."""
    return [
        DatasetLine(
            dataset=one.dataset,
            rows=one.labels,
            columns=len(factory.metadata.get(one.dataset, Dataset).columns),
            quarantined=0,
            models=(),
            at=one.at,
            made_by="annotation",
            labelled=one.labels,
        )
        for one in factory.metadata.events(RowsAnnotated, line=line)
    ]


def readings(factory: Factory, line: str) -> Mapping[str, str]:
    """Return the digest of the latest reading of each dataset version of a line, by the version's digest, oldest first."""
    return {factory.metadata.get(digest, Ingested).dataset: digest for digest in _runs(factory, line)}


def reading(factory: Factory, line: str, ingested: str) -> Reading:
    """Return what a run read, by the digest of what reading gave."""
    run = _runs(factory, line)[ingested]
    found = factory.metadata.get(ingested, Ingested)
    dataset = factory.metadata.get(found.dataset, Dataset)
    accepted = next(one for one in factory.metadata.events(Accepted, line=line) if one.run == run.run)
    contract: Any = factory.metadata.get(accepted.declared, Declared).spec.get("contract") or {}
    # A run that read the rows itself has the same breaches as what it read.
    more = [one for one in run.breaches if one not in found.breaches]
    breaches: tuple[Breach, ...] = (*found.breaches, *more)
    details: tuple[Finding, ...] = (*found.findings, *run.findings)
    hidden = hidden_columns(factory, line)
    return Reading(
        dataset=found.dataset,
        at=run.at,
        run=run.run,
        ingested=ingested,
        columns=dataset.columns,
        rules={name: _rule(rule) for name, rule in (contract.get("columns") or {}).items()},
        order=dataset.order,
        rows=dataset.rows,
        rows_read=found.rows_read,
        quarantined=_kept_out(factory, found),
        breaches=breaches_in_words(breaches),
        findings=tuple(dict.fromkeys(finding_in_words(without_personal(one, hidden)) for one in details)),
        sources=tuple(_sources(factory, line, factory.metadata.get(accepted.plan, Plan), run.at)),
        models=_models(factory.metadata.events(Registered, line=line), ingested),
        gone=dropped_at(factory, found.dataset),
        annotated=_annotated(factory, found.annotated, found.labelled) if found.annotated else None,
    )


def labelled_rows(factory: Factory, line: str, dataset: str) -> Reading | None:
    """Return the version of the rows that people labelled, by its digest; `None` if it is none."""
    events = factory.metadata.events(RowsAnnotated, line=line)
    event = next((one for one in events if one.dataset == dataset), None)
    if event is None:
        return None
    kept = factory.metadata.get(dataset, Dataset)
    return Reading(
        dataset=dataset,
        at=event.at,
        run="",
        ingested="",
        columns=kept.columns,
        rules={},
        order=kept.order,
        rows=kept.rows,
        rows_read=kept.rows,
        quarantined=0,
        breaches=(),
        findings=(),
        sources=(),
        models=(),
        gone=None,
        annotated=_annotated(factory, event.annotated, event.labels),
    )


def given_labels(factory: Factory, annotated: AnnotatedRows) -> list[GivenLabel]:
    """Return who gave the label of each row and when, in the order of the rows."""
    lines = factory.artifacts.get(annotated.given).splitlines()
    return [msgspec.json.decode(line, type=GivenLabel) for line in lines]


def _annotated(factory: Factory, digest: str, labelled: int) -> Annotated:
    found = factory.metadata.get(digest, AnnotatedRows)
    given = given_labels(factory, found)
    times = sorted(one.at for one in given)
    return Annotated(
        evidence=digest,
        before=found.before,
        dataset=found.dataset,
        labelled=labelled,
        by=tuple(sorted({name for one in given for name in (*one.annotators, one.decided) if name})),
        first=times[0],
        last=times[-1],
    )


def _runs(factory: Factory, line: str) -> dict[str, Finished]:
    """Return the first run of each reading, by the reading's digest; that which was read last comes last."""
    read: dict[str, Finished] = {}
    for run in reversed(factory.metadata.events(Finished, line=line)):
        if digest := reading_of(factory, run):
            read[digest] = run
    return dict(reversed(read.items()))


def _kept_out(factory: Factory, ingested: Ingested) -> int:
    return factory.metadata.get(ingested.quarantine, Quarantine).rows if ingested.quarantine else 0


def _models(registered: list[Registered], ingested: str) -> tuple[str, ...]:
    return tuple(f"{event.line}@{event.model}" for event in registered if event.ingested == ingested)


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in rule.items()
        if value is not None and value is not False and name != "type"
    }


def _sources(factory: Factory, line: str, plan: Plan, read_at: str) -> Iterator[SourceRead]:
    specs: Mapping[str, SourceSpec] = {}
    with suppress(LinewrightError):  # of a file that is broken or gone
        specs = all_sources(factory, factory.line(line))
    for name, fingerprint in plan.sources.items():
        spec = specs.get(name)
        files = [] if spec is None else [one for each in spec.local_files for one in _files(factory, each)]
        yield SourceRead(
            name=name,
            place="" if spec is None else spec.describe(),
            fingerprint=fingerprint,
            files=tuple(files[:_MOST_FILES]),
            is_newer=any(one.modified > read_at for one in files),
        )


def _files(factory: Factory, written: str) -> Iterator[SourceFile]:
    with suppress(LinewrightError, OSError):  # what is gone is not shown; `doctor` and a run say it
        for path in files_of(written, factory.root, "sources"):
            stat = path.stat()
            yield SourceFile(
                path=_shown(path, factory.root),
                modified=text_of(datetime.fromtimestamp(stat.st_mtime, tz=UTC)),
                bytes=stat.st_size,
            )


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name
