"""What there is for a line whose plan is empty: what its runs gave."""

from msgspec.structs import replace

from linewright.errors import NotFound
from linewright.line.factory import Factory
from linewright.line.facts import AmountsInForce, Finished, Learned, RunResult
from linewright.line.record.registry import lists_valued
from linewright.line.release.candidate_status import (
    approving,
    require_champion,
    trial_with,
    version_of,
    waits_for_approval,
    withheld,
)
from linewright.line.release.endpoint import follow_file
from linewright.line.release.excluded_columns import in_spite, unequal
from linewright.line.release.next_steps import after_run
from linewright.line.run_context import Work
from linewright.line.runs.plan import begin, survey
from linewright.line.runs.record import last_run
from linewright.line.spec import LineSpec
from linewright.line.views.sources import SENT, VIEW, all_sources
from linewright.model.evaluate.per_class import found_by_class, hardly_in_words
from linewright.model.facts import Package
from linewright.model.gates.text import certificate_in_words, undecided_in_words
from linewright.model.reason_text import (
    chosen_in_words,
    pictures_in_words,
    sample_in_words,
    sentence_encoder_in_words,
    shared_in_words,
)
from linewright.release.facts import Promoted


def result_of(
    factory: Factory,
    spec: LineSpec,
    *,
    run: str,
    did: tuple[str, ...],
    did_before: tuple[str, ...] | None = None,
) -> RunResult:
    """Return what there is for a line whose plan is empty."""
    # What others have written to a source since the run read it is for the next run.
    read = factory.metadata.last_inputs(spec.line, "ingest")
    live = {
        name: read[place]
        for name, source in all_sources(factory, spec).items()
        if source.is_live and (place := name if name.startswith((VIEW, SENT)) else f"source:{name}") in read
    }
    standings, work = survey(begin(factory, spec, live=live))
    missing = [one.step.name for one in standings if one.settled is None]
    if missing and live:
        standings, work = survey(begin(factory, spec))
        missing = [one.step.name for one in standings if one.settled is None]
    if missing:
        raise NotFound("the line has no finished run", where=spec.line, found=f"{missing[0]} has not run")
    result = _result(work, run=run, did=did)
    return result if did_before is None else replace(result, resumed=True, did_before=did_before)


def found(
    factory: Factory,
    spec: LineSpec,
    *,
    run: str | None = None,
    did: tuple[str, ...] = (),
    did_before: tuple[str, ...] = (),
) -> RunResult:
    """Return what there is already, once its champion is found whole and its newest rows are found fresh."""
    require_champion(factory, spec.line)
    if spec.contract.fresh:
        from linewright.line.check.dataset_checks import require_fresh  # noqa: PLC0415 -- it reads rows, and polars takes a while to import

        require_fresh(factory, spec)
    follow_file(factory, spec)
    if run is None:
        return replace(result_of(factory, spec, run=last_run(factory, spec.line), did=()), moved=False)
    return result_of(factory, spec, run=run, did=did, did_before=did_before)


def _result(work: Work, *, run: str, did: tuple[str, ...]) -> RunResult:
    certificate = work.certificate
    version = version_of(work, certificate.package)
    champion = work.metadata.pointer(work.spec.line).champion
    promoted = version is not None and champion == version
    tried = trial_with(work, certificate.package)
    may_wait = not promoted and tried is None and certificate.verdict == "promote"
    hold = withheld(work, certificate) if may_wait else None
    candidate = f"{work.spec.line}@{version}"
    waits = hold is not None and waits_for_approval(work, certificate)
    serves = promoted or tried is not None
    unlike = None if serves else unequal(work.factory, work.spec.line, certificate, work.spec)
    only = work.evaluation.only_answer
    ended = _ended(work.factory, work.spec.line, run)
    valued = lists_valued(work.metadata, work.spec.line, run=run) if work.package.encoder.items else None
    return RunResult(
        line=work.spec.line,
        run=run,
        dataset=work.ingested.dataset,
        split=work.known["split"],
        candidate=candidate,
        digest=certificate.package,
        metrics=work.evaluation.metrics,
        verdict="hold" if hold else certificate.verdict,
        because=hold or certificate_in_words(certificate),
        certificate=work.known["gate"],
        promoted=promoted,
        share=tried.share if tried else None,
        part=tried.part if tried else None,
        did=did,
        model="" if work.trained.adopted else f"{work.trained.chosen}: {chosen_in_words(work.trained)}",
        sample=sample_in_words(work.trained.sample) if work.trained.sample else "",
        shared=shared_in_words(work.trained.shared) if work.trained.shared else "",
        sentence_encoder=sentence_encoder_in_words(work.trained.sentence_encoder)
        if work.trained.sentence_encoder
        else "",
        pictures=pictures_in_words(work.trained.pictures) if work.trained.pictures else "",
        trials=work.trained.trials,
        members=() if work.trained.executed is None else work.trained.executed.members,
        adopted=work.trained.adopted is not None,
        next=(
            *([in_spite(candidate)] if unlike else []),
            *after_run(
                work.factory,
                certificate,
                candidate,
                serves=serves,
                approving=approving(work, certificate.package) if waits else None,
            ),
        ),
        barred=unlike,
        amounts_in_force=None if serves or champion is None else _in_force(work, champion),
        row_sql=work.ingested.row_sql,
        breaches=ended.breaches if ended else (),
        findings=ended.findings if ended else (),
        moved=any(one.run == run for one in work.metadata.events(Promoted, line=work.spec.line)),
        only_answer=None if only is None else work.package.classes[only],
        currency=work.package.value.currency if work.package.value else "",
        threshold=work.package.threshold,
        hardly=hardly_in_words(found_by_class(work.evaluation.confusion), work.package.classes)
        if len(work.package.classes) > 2
        else "",
        unfound={work.package.classes[code]: rows for code, rows in work.evaluation.unfound.items()},
        reliability=work.evaluation.reliability,
        lists=None if valued is None else valued.found,
        few_tested=tuple(
            (work.package.classes[code], rows)
            for code, rows in work.evaluation.few
            if rows or not work.task.learns_good
        ),
        undecided=undecided_in_words(certificate),
        coverage=work.evaluation.coverage,
        beyond=work.evaluation.beyond,
        bias=work.evaluation.bias,
        redecided=certificate.redecided,
        positive=work.package.classes[-1] if work.package.classes and work.task.has_positive else None,
        learned=_learned(work, run, did),
    )


def _learned(work: Work, run: str, did: tuple[str, ...]) -> Learned | None:
    """Return what a retraining learned from for the first time; `None` where a run is none, or has read nothing."""
    if work.as_of is None or "ingest" not in did:
        return None
    from linewright.line.runs.new_rows import learned_since  # noqa: PLC0415 -- it reads rows, and polars takes a while to import

    return learned_since(work, run, trained="train" in did)


def _in_force(work: Work, champion: int) -> AmountsInForce | None:
    """Return by which amounts the champion goes on deciding; `None` where those of the candidate are the same."""
    found = next(one for one in work.metadata.versions(work.spec.line) if one.version == champion)
    amounts = work.metadata.get(found.digest, Package).value
    if amounts == work.package.value or not work.package.value:
        return None
    return AmountsInForce(model=f"{work.spec.line}@{champion}", amounts=amounts)


def _ended(factory: Factory, line: str, run: str) -> Finished | None:
    finished = factory.metadata.events(Finished, line=line, newest_first=True)
    return next((one for one in finished if one.run == run), None)
