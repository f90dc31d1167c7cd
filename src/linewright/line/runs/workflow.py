"""A run: carries out the plan, one durable step of the engine for each step of the line.

It takes and returns digests only. It first looks for its result by key, so a step that is done twice
(a kill between the result and the engine's note of it) computes nothing twice.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

from msgspec import convert
from msgspec.json import decode, encode

from linewright.data.breach_text import joined
from linewright.data.checks.order import TimeOrder, YearMonth
from linewright.data.dataset.split import breaches_of, known_by_heart
from linewright.data.facts import Breach, Finding, Ingested
from linewright.data.history.read import read_current_rows
from linewright.data.history.versions import HistoryStore
from linewright.data.read.reader import read_live
from linewright.data.read.source import Source
from linewright.data.spec import SourceSpec, SqlSource
from linewright.engine.context import Progress
from linewright.engine.protocol import Json, Step, Workflow
from linewright.engine.usage import Begun, Meter, Usage
from linewright.errors import LinewrightError, Terminal, Transient
from linewright.line.check.dataset_checks import kept_promises
from linewright.line.factory import Factory
from linewright.line.facts import Declared, Finished, Plan
from linewright.line.file.view_file import read_views
from linewright.line.record.monitoring.deleted_rows import tend_deleted
from linewright.line.release.off_policy import value_candidate
from linewright.line.release.promote_or_hold import release
from linewright.line.run_context import LIVE, Work
from linewright.line.runs.plan import begin
from linewright.line.runs.record import WORKFLOW, accept, finish
from linewright.line.runs.usage import RunMeter
from linewright.line.spec import LineSpec
from linewright.line.steps.environment import note
from linewright.line.steps.table import STEPS, LineStep, settled
from linewright.line.views.sources import SENT, VIEW, all_sources, read_live_view, read_sent_to

_MOST_QUESTIONS = 5
_OF_TIME = frozenset({TimeOrder.id, YearMonth.id})
_MOST_CELLS = 5_000_000
"""Cells of a table that a run reads once more to see whether its rows repeat."""


def workflows(factory: Factory) -> Mapping[str, Workflow]:
    """Return the workflows that an engine needs to carry out the runs of a factory in its own process."""
    return {WORKFLOW: partial(run_line, factory)}


def run_line(factory: Factory, step: Step, asked: Json) -> Json:
    """Walk the steps of a run."""
    request = cast("dict[str, Any]", asked)
    begun = convert(request.get("begun"), Begun | None)
    meter = RunMeter(convert(request.get("usage", {}), Usage), Meter(begun=begun).read)
    run, factory = request["run"], factory.asked_by(request["by"])
    spec = LineSpec.model_validate(factory.metadata.get(request["declared"], Declared).spec)
    plan = factory.metadata.get(request["plan"], Plan)
    work = Work(factory=factory, spec=spec, sources=plan.sources, as_of=plan.as_of)
    who: dict[str, Any] = {name: request.get(name, "") for name in ("by", "member")}
    step("accept", lambda: accept(factory, plan, run, **who, proposal=request.get("proposal")))
    did: list[Json] = []
    breaches: list[Json] = []
    findings: list[Json] = []
    try:
        for each in STEPS:
            answer = meter.follow(step, each.name, lambda s=each, w=work: meter.noted(_carry_out(s, w)))
            done = cast("dict[str, Any]", answer)
            work = work.knowing(each.name, done["digest"])
            breaches += done["breaches"]
            findings += done["findings"]
            if done["computed"]:
                did.append(each.name)
        promoted = step("release", lambda: release(work, run))
        if spec.recommend is not None and spec.recommend.explore:
            step("lists", lambda: value_candidate(work, run))
    except LinewrightError as error:
        failure = error.to_json()
        step(
            "finish",
            lambda: finish(factory, spec.line, run, known=work.known, error=failure, usage=meter.total),
        )
        raise
    except Exception as error:
        # A bug ends the run as well: it is recorded here, and its traceback goes on to the engine.
        failure = Terminal(f"the run failed by a bug: {type(error).__name__}: {error}").to_json()
        step(
            "finish",
            lambda: finish(factory, spec.line, run, known=work.known, error=failure, usage=meter.total),
        )
        raise
    step(
        "finish",
        lambda: finish(
            factory,
            spec.line,
            run,
            known=work.known,
            promoted=promoted is True,
            breaches=breaches,
            findings=findings,
            usage=meter.total,
        ),
    )
    return {"line": spec.line, "run": run, "known": cast("Json", dict(work.known)), "did": did}


def _carry_out(step: LineStep, work: Work) -> dict[str, Any]:
    inputs = step.inputs(work)
    key = step.key(inputs)
    digest = settled(step, key, work)
    if digest is None and step.reads_sources and _live(work):
        work = _with_live_sources(work)
        inputs = step.inputs(work)
        key = step.key(inputs)
        digest = settled(step, key, work)
    computed = digest is None
    if digest is None:
        if step.reads_sources:
            _check_sources(work)
        work.factory.report(Progress(step=step.name, says=step.doing))
        result = step.do(work)
        if step.reads_sources:
            _check_sources(work)  # a source that was written while it was read
        digest = work.metadata.keep(result)
        if step.notes_environment:
            note(work.metadata, digest, fits=step.fits)
    work.metadata.settle(key, line=work.spec.line, step=step.name, inputs=inputs, digest=digest)
    if step.keeps_fits:
        work.factory.fits_of(work.spec.line).drop()
    known = work.knowing(step.name, digest)
    findings = _findings(known) if step.reads_sources else ()
    breaches = list(_breaches(step, known))
    return {
        "digest": digest,
        "computed": computed,
        "breaches": decode(encode(breaches)),
        "findings": decode(encode(list(findings))),
    }


def _breaches(step: LineStep, work: Work) -> Iterable[Breach]:
    if step.reads_sources:
        # What was read stays settled; what it promises is asked of each run, at its own instant.
        return (*kept_promises(work), *_of_whole_table(work))
    if step.name != "split":
        return ()
    is_small = work.dataset.rows * len(work.dataset.columns) <= _MOST_CELLS
    return (
        *breaches_of(work.split),
        *(known_by_heart(work.split, work.rows.frame, work.rows.parts, work.spec) if is_small else ()),
    )


def _of_whole_table(work: Work) -> Iterator[Breach]:
    """Give what reading found of a table as a whole; rows that were set aside are told by `datasets --quarantine`.

    A table may have hundreds of columns that nobody named: they are told at once.
    """
    breaches = work.ingested.breaches
    yield from (one for one in breaches if one.kind == "broken-off")
    new = [one for one in breaches if one.kind == "not-named" and one.action == "warn"]
    if len(new) < 2:
        yield from new
        return
    yield joined(new)


def _findings(work: Work) -> Iterator[Finding]:
    """Give the findings that a run prints: leaks each time, and questions until a model of this line is promoted."""
    asked = [one for one in work.ingested.findings if one.severity == "ask"]
    yield from (one for one in work.ingested.findings if one.severity != "ask")
    # Who says how the rows are split is not asked for a time; of one that is sorted in time it is asked each time.
    if work.spec.train.split.by == "auto":
        yield from (one for one in asked if one.check in _OF_TIME)
    told = _asked_before(work)
    questions = [one for one in asked if one.check not in _OF_TIME and (one.check, one.columns) not in told]
    yield from questions[:_MOST_QUESTIONS]


def _asked_before(work: Work) -> frozenset[tuple[str, tuple[str, ...]]]:
    """Return the questions of the run that promoted last, by check and columns: who let that model serve has answered."""
    runs = work.metadata.events(Finished, line=work.spec.line, newest_first=True)
    if (last := next((run for run in runs if run.promoted and run.ingested), None)) is None:
        return frozenset()
    findings = work.metadata.get(str(last.ingested), Ingested).findings
    return frozenset((one.check, one.columns) for one in findings if one.severity == "ask")


def _live(work: Work) -> list[str]:
    """Return the sources that others may write to, of feature views too."""
    return [name for name, one in all_sources(work.factory, work.spec).items() if one.is_live]


def _with_live_sources(work: Work) -> Work:
    """Read each source that others may write to, once: what it holds at this moment counts, whatever the plan has seen."""
    factory, sources = work.factory, work.spec.sources
    read = {name: _read(factory, name, one) for name, one in sorted(sources.items()) if one.is_live}
    for view in read_views(factory.root, work.spec.features):
        if view.source.is_live:
            read[VIEW + view.view] = read_live_view(view, factory)
        if view.sent is not None:
            read[SENT + view.view] = read_sent_to(view, view.sent, factory.root)
    after = replace(work, sources={**work.sources, **{name: seen for name, (_, seen) in read.items()}})
    after.once(LIVE, lambda: {name: source for name, (source, _) in read.items()})
    tend_deleted(factory, work.spec)
    return after


def _read(factory: Factory, name: str, source: SourceSpec) -> tuple[Source, str]:
    if not source.has_history:
        return read_live(name, source, factory.root)
    store = HistoryStore(factory.artifacts, factory.metadata)
    return read_current_rows(name, cast("SqlSource", source), factory.root, store, factory.now())


def _check_sources(work: Work) -> None:
    live = {name: work.sources[name] for name in _live(work)}
    now = begin(work.factory, work.spec, live=live).sources
    moved = [name for name, fingerprint in work.sources.items() if now.get(name) != fingerprint]
    if moved:
        raise Transient(
            "a source changed after the run was planned",
            where=", ".join(moved),
            hint=f"run again: linewright run {work.spec.line}",
        )
