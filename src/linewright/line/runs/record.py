"""What the record keeps of a run: that it was accepted, and how it ended.

Whoever starts and follows runs needs this and nothing that computes.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from msgspec import convert

from linewright.data.facts import Breach, Finding
from linewright.engine.protocol import Json, NotEnded
from linewright.engine.usage import Usage
from linewright.errors import BackendError, LinewrightError
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, AttemptEnded, Declared, Finished, Outcome, Plan
from linewright.line.record.checkpoint import checkpoint
from linewright.line.record.monitoring.alerts import proposal_because
from linewright.line.runs.plan_text import plan_in_words
from linewright.line.spec import LineSpec
from linewright.store.values import digest_of
from linewright.watch.facts import RetrainProposal

_TRAINS_NOTHING = {
    "about",
    "goal",
    "owner",
    "tags",
    "gates",
    "release",
    "watch",
    "retrain",
    "predict",
    "value",
    "maintenance",
    "keep",
    "changes",
}
WORKFLOW = "run"
"""Name of the workflow that carries a run out."""


def declared(spec: LineSpec) -> Declared:
    """Return a line file as a result, so that a run can refer to exactly what was declared."""
    return Declared(spec=spec.model_dump(mode="json", exclude_defaults=True))


def last_declared(factory: Factory, line: str) -> LineSpec | None:
    """Return the line file as the latest run was accepted with it; `None` where none was."""
    accepted = factory.metadata.events(Accepted, line=line, newest_first=True, limit=1)
    if not accepted:
        return None
    return LineSpec.model_validate(factory.metadata.get(accepted[0].declared, Declared).spec)


def trains_anew(spec: LineSpec, before: LineSpec) -> bool:
    """Return whether two line files may ask for different trainings; what else they say, amounts and gates say, trains nothing."""
    exclude = dict.fromkeys(_TRAINS_NOTHING, True) | {"sources": {"__all__": {"when"}}}
    now, then = (one.model_dump(mode="json", exclude=exclude) for one in (spec, before))
    return now != then


def prepare(
    factory: Factory, spec: LineSpec, plan: Plan, *, proposal: str | None = None
) -> tuple[str, dict[str, Json]]:
    """Return the id of a new run of `plan`, and the request that makes an engine accept it.

    The run that answers a proposal has an id that follows from it, so that it is accepted once.
    """
    context = factory.context
    request: dict[str, Json] = {
        "run": context.new_id() if proposal is None else run_of(proposal),
        "proposal": proposal,
        "line": spec.line,
        "by": context.actor,
        "member": factory.identity.member,
        "declared": context.metadata.keep(declared(spec)),
        "plan": context.metadata.keep(plan),
    }
    return str(request["run"]), request


def run_of(proposal: str) -> str:
    """Return the id of the run that answers a proposal: a UUID made of the proposal's digest (RFC 9562, version 8).

    Examples
    --------
    >>> run_of("sha256:" + "0" * 64)
    '00000000-0000-8000-8000-000000000000'
    """
    bits = int(proposal.removeprefix("sha256:")[:32], 16)
    return str(UUID(int=bits & ~(0xF000 << 64) & ~(0xC000 << 48) | 8 << 76 | 2 << 62))


def accept(factory: Factory, plan: Plan, run: str, *, by: str, member: str, proposal: str | None) -> Json:
    """Record that a run is accepted, unless it is recorded."""
    context = factory.context
    if not any(one.run == run for one in context.metadata.events(Accepted, line=plan.line)):
        context.metadata.record(
            Accepted(
                at=context.now(),
                by=by,
                because=_asked(factory, proposal) or plan_in_words(plan),
                line=plan.line,
                run=run,
                plan=digest_of(plan),
                declared=plan.declared,
                as_of=plan.as_of,
                proposal=proposal,
                member=member,
            )
        )
    return True


def finish(
    factory: Factory,
    line: str,
    run: str,
    *,
    known: Mapping[str, str],
    error: dict[str, Any] | None = None,
    promoted: bool = False,
    breaches: Sequence[Json] = (),
    findings: Sequence[Json] = (),
    usage: Usage | None = None,
) -> Json:
    """Record the end of a run, unless it is recorded."""
    context = factory.context
    end = Finished(
        at=context.now(),
        by=context.actor,
        because=error["message"] if error else "every step is done",
        line=line,
        run=run,
        outcome=_outcome(error),
        error=error,
        ingested=known.get("ingest"),
        certificate=known.get("gate"),
        promoted=promoted,
        breaches=convert(breaches, tuple[Breach, ...]),
        findings=convert(findings, tuple[Finding, ...]),
        usage=usage_of_attempts(factory, line, run) if usage is None else usage,
    )
    try:
        if not any(one.run == run for one in context.metadata.events(Finished, line=line)):
            context.metadata.record(end)
    except BackendError as because:
        # Else the engine would know an end of the run that the record does not have, and never would have.
        raise NotEnded(because) from because
    with suppress(
        LinewrightError
    ):  # it is no end of the run; the worker makes it again, and tells what is wrong
        checkpoint(factory, line)
    return True


def _outcome(error: Mapping[str, Any] | None) -> Outcome:
    if error is None:
        return "done"
    return "cancelled" if error.get("details", {}).get("cancelled") else "failed"


def usage_of_attempts(factory: Factory, line: str, run: str) -> Usage:
    """Return what the attempts of a run took that ended before it was done, as far as the record says."""
    attempts = factory.metadata.events(AttemptEnded, line=line)
    return sum((one.usage for one in attempts if one.run == run and one.usage is not None), start=Usage())


def end_of(factory: Factory, line: str, run: str) -> Finished | None:
    """Return the end of a run; `None` where it has none yet."""
    return next((one for one in factory.metadata.events(Finished, line=line) if one.run == run), None)


def last_run(factory: Factory, line: str) -> str:
    """Return the id of the latest finished run of a line; empty if there is none."""
    finished = factory.metadata.events(Finished, line=line, newest_first=True, limit=1)
    return finished[0].run if finished else ""


def _asked(factory: Factory, proposal: str | None) -> str | None:
    """Return why monitoring or a schedule asked for the run, if it did."""
    if proposal is None:
        return None
    return proposal_because(factory.metadata, factory.metadata.get(proposal, RetrainProposal))
