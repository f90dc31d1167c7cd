"""The plan: the difference between what a line declares and what there is, as a value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import msgspec

from linewright.data.read.reader import column_names, fingerprint
from linewright.data.spec import SourceSpec, SqlSource, table_sources
from linewright.errors import LinewrightError, SpecError
from linewright.line.check.contradictions import contradictions_of, refuse
from linewright.line.check.late_labels import late_labels
from linewright.line.factory import Factory
from linewright.line.facts import AfterStep, Change, InputsMoved, MovedInput, Plan, StepDue, VersionBefore
from linewright.line.file.read import unsupported
from linewright.line.file.view_file import read_view, read_views
from linewright.line.record.data.other_sites import peer_datasets
from linewright.line.record.data.readings import last_read
from linewright.line.record.monitoring.alerts import last_retraining
from linewright.line.record.view_status import is_form_of, views_read
from linewright.line.release.candidate_status import release_due
from linewright.line.run_context import (
    BACKBONE_FILE,
    CODE_FILE,
    MODEL_FILE,
    Work,
    read_backbone,
    read_code_file,
    read_model_file,
)
from linewright.line.runs.plan_text import FORM
from linewright.line.runs.record import declared, last_declared
from linewright.line.spec import LineSpec
from linewright.line.steps.table import STEPS, LineStep, settled
from linewright.line.views.sources import SENT, VIEW, all_sources, sent_fingerprint, view_fingerprint
from linewright.store.values import digest_of, digest_of_bytes


@dataclass(frozen=True)
class Standing:
    """Where one step stands."""

    step: LineStep
    inputs: Mapping[str, str] | None
    """`None` where a step before it has to run first."""
    key: str | None
    settled: str | None
    """Digest of its result; `None` where it has to run."""


def begin(
    factory: Factory, spec: LineSpec, *, as_of: str | None = None, live: Mapping[str, str] | None = None
) -> Work:
    """Look at the sources as they are now, and return the work that a run would do."""
    refuse(unsupported(spec, factory.path_of(spec.line)))
    sources = {
        name: (live or {}).get(name) or _fingerprint(factory, name, source)
        for name, source in sorted(spec.sources.items())
    }
    for view in read_views(factory.root, spec.features):
        name = VIEW + view.view
        sources[name] = (live or {}).get(name) or view_fingerprint(view, factory)
        if view.sent is not None:
            name = SENT + view.view
            sources[name] = (live or {}).get(name) or sent_fingerprint(view, view.sent, factory.root)
    work = Work(
        factory=factory,
        spec=spec,
        sources=sources,
        known={},
        as_of=as_of or last_retraining(factory, spec.line),
    )
    peers = peer_datasets(factory, spec)
    if spec.train.share != "alone" and work.as_of is not None:
        raise SpecError(
            "rows of other sites are not combined with labels that came through feedback",
            where="train.share",
            found=spec.train.share,
            allowed="alone, on a line that retrains",
        )
    files: dict[str, bytes] = {}
    if spec.train.python is not None:
        files[CODE_FILE] = read_code_file(factory.root, spec.train.python)
    if work.adopts is not None:
        files[MODEL_FILE] = read_model_file(factory, work.adopts)
    elif spec.train.pictures is not None and spec.train.pictures.backbone is not None:
        files[BACKBONE_FILE] = read_backbone(factory.root, spec.train.pictures.backbone)
    return replace(
        work, sources={**sources, **peers, **{name: digest_of_bytes(data) for name, data in files.items()}}
    )


def _fingerprint(factory: Factory, name: str, source: SourceSpec) -> str:
    if not source.has_history:
        return fingerprint(source, factory.root, f"sources.{name}")
    # It reads rows, and polars takes a while to import.
    from linewright.data.history.read import current_fingerprint  # noqa: PLC0415
    from linewright.data.history.versions import HistoryStore  # noqa: PLC0415

    store = HistoryStore(factory.artifacts, factory.metadata)
    return current_fingerprint(name, cast("SqlSource", source), factory.root, store, factory.now())


def survey(work: Work) -> tuple[list[Standing], Work]:
    """Walk the steps in order and find which results are there already."""
    standings: list[Standing] = []
    for step in STEPS:
        if len(work.known) < len(standings):
            standings.append(Standing(step, None, None, None))
            continue
        inputs = step.inputs(work)
        key = step.key(inputs)
        digest = settled(step, key, work)
        standings.append(Standing(step, inputs, key, digest))
        if digest is not None:
            work = work.knowing(step.name, digest)
    return standings, work


def make_plan(factory: Factory, spec: LineSpec, *, as_of: str | None = None) -> Plan:
    """Say what a run would do and why; nothing is run."""
    work = begin(factory, spec, as_of=as_of)
    standings, work = survey(work)
    if "ingest" in work.known:
        refuse([*contradictions_of(work), *late_labels(work)])
    changes: list[Change] = []
    for standing in standings:
        if standing.settled is None:
            change = _change(standing, work, after=changes[-1].step if changes else "")
            changes.append(change)
    if changes:
        changes.append(Change(step="release", reason=StepDue(why="gates-decide"), from_=None, to=None))
    else:
        changes.extend(
            Change(step="release", reason=StepDue(why=why), from_=None, to=work.known["gate"])
            for why in release_due(work)
        )
    return Plan(
        line=spec.line,
        declared=digest_of(declared(spec)),
        sources=dict(work.sources),
        changes=tuple(changes),
        as_of=work.as_of,
    )


def plan_run(factory: Factory, spec: LineSpec, *, as_of: str | None = None) -> Plan:
    """Return the plan of a run; if none of its steps reads the sources that have a history, they are read now.

    Their rows may be known as read by another definition, or rows may be gone, which no plan shows.
    """
    plan = make_plan(factory, spec, as_of=as_of)
    if all(one.step != "ingest" for one in plan.changes):
        for name, source in all_sources(factory, spec).items():
            if source.has_history:
                from linewright.line.runs.source_reads import read_source  # noqa: PLC0415 -- polars takes a while to import

                read_source(factory, spec.line, name)
    return plan


def _change(standing: Standing, work: Work, *, after: str) -> Change:
    name = standing.step.name
    before = work.metadata.last_inputs(work.spec.line, name)
    if not before and work.metadata.last_inputs(work.spec.line, STEPS[-1].name):
        reason = AfterStep(step=after) if after else StepDue(why="was-part")
        return Change(step=name, reason=reason, from_=None, to=standing.key)
    if not before:
        return Change(step=name, reason=StepDue(why="never-done"), from_=None, to=standing.key)
    if standing.inputs is None:
        return Change(step=name, reason=AfterStep(step=after), from_=None, to=None)
    moved = sorted(
        part for part in {*before, *standing.inputs} if before.get(part) != standing.inputs.get(part)
    )
    if not moved:
        is_lost = standing.key is not None and work.metadata.settled(standing.key) is not None
        why = "rows-lost" if is_lost else "older-form"
        return Change(step=name, reason=StepDue(why=why), from_=None, to=standing.key)
    return Change(
        step=name,
        reason=_nullable(moved, work, _columns(moved, work, _inputs(moved, before, work))),
        from_=before.get(moved[0]),
        to=standing.inputs.get(moved[0]),
    )


def _inputs(moved: Sequence[str], before: Mapping[str, str], work: Work) -> InputsMoved:
    return InputsMoved(
        inputs=tuple(
            MovedInput(name=part, options=tuple(_moved_options(part, before.get(part), work)))
            for part in moved
        )
    )


def _columns(moved: Sequence[str], work: Work, reason: InputsMoved) -> InputsMoved:
    """Return which columns of the version before a changed file has no more, and which are new, from its header alone."""
    from linewright.line.check.dataset_checks import before_of  # noqa: PLC0415 -- only a changed file asks, and polars takes a while to import

    spec, before = work.spec, before_of(work.factory, work.spec.line)
    name, source = next(iter(table_sources(spec).items()))
    makes_rows = spec.table.sql is not None or spec.recommend is not None or spec.forecast is not None
    if makes_rows or f"source:{name}" not in moved or before is None:
        return reason
    now = _column_names(name, source, work.factory)
    old = [column.name for column in before.columns if column.name not in before.of_views]
    gone = tuple(column for column in old if column not in now) if now else ()
    return msgspec.structs.replace(
        reason,
        before=VersionBefore(dataset=before.dataset, at=before.at) if gone else None,
        gone=gone,
        came=() if spec.contract.columns else tuple(column for column in now if column not in old),
    )


def _nullable(moved: Sequence[str], work: Work, reason: InputsMoved) -> InputsMoved:
    """Return which columns may lack values now, or may no more: that is part of a dataset, though no row of it differs."""
    last = last_declared(work.factory, work.spec.line) if "table and contract" in moved else None
    before, now = last.contract.columns if last else {}, work.spec.contract.columns
    turned = {
        name: rule.may_lack
        for name, rule in now.items()
        if name in before and rule.may_lack != before[name].may_lack
    }
    return msgspec.structs.replace(
        reason,
        may_lack=tuple(name for name, nullable in turned.items() if nullable),
        lack_none=tuple(name for name, nullable in turned.items() if not nullable),
    )


def _column_names(name: str, source: SourceSpec, factory: Factory) -> tuple[str, ...]:
    """Return the names of a source's columns; none where they cannot be told, which reading it will explain."""
    try:
        return column_names(name, source, factory.root)
    except LinewrightError:
        return ()


def _has_another_form(name: str, work: Work) -> bool:
    """Return whether a feature view computes something else than when the line read it last, whatever its rows are."""
    last, _ = last_read(work.factory, work.spec.line)
    read = (
        []
        if last is None
        else [one.facts for one in views_read(work.factory, last) if one.facts.view == name]
    )
    return bool(read) and not is_form_of(read_view(work.factory.root, name), read[0])


def _moved_options(part: str, before: str | None, work: Work) -> list[str]:
    """Return which options alone tell a source from what was read last; none if the source itself changed. Of a view `FORM` if it has another form."""
    if part.startswith(VIEW):
        return [FORM] if _has_another_form(part.removeprefix(VIEW), work) else []
    name = part.removeprefix("source:")
    now = work.spec.sources.get(name) if name != part else None
    last = last_declared(work.factory, work.spec.line)
    was = last.sources.get(name) if last else None
    if before is None or now is None or was is None or type(was) is not type(now):
        return []
    options = [option for option in type(now).model_fields if option not in now.places]
    moved = {
        option: getattr(was, option) for option in options if getattr(was, option) != getattr(now, option)
    }
    try:
        is_only_that = moved and fingerprint(now.model_copy(update=moved), work.factory.root) == before
    except LinewrightError:  # a query over a table that was renamed, or a variable that is not set any more
        return []
    return [*moved] if is_only_that else []
