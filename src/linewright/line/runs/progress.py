"""How far a run has come: each step with its state and times, what has come of it so far, and how it ended."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from linewright.data.breach_text import BreachInWords, breaches_in_words
from linewright.data.facts import Breach, Dataset, Finding, Ingested, Quarantine
from linewright.engine.run_notes import RunNotes, StepNote, notes_of
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished
from linewright.line.runs.record import end_of
from linewright.line.steps.table import STEPS
from linewright.model.facts import (
    Certificate,
    Decision,
    Evaluation,
    MemberOf,
    Metric,
    Package,
    Trained,
    Trial,
)
from linewright.model.gates.text import certificate_in_words, gate_in_words, outcome_in_words
from linewright.model.reason_text import chosen_in_words, threshold_in_words
from linewright.store.clock import text_of

RunState = Literal["waiting", "at-work", "done", "failed", "cancelled"]
"""``waiting`` is for its turn; ``at-work`` also while it is interrupted: it goes on by itself."""
StepState = Literal["computed", "found", "done", "now", "failed", "cancelled", "waiting", "not-reached"]
"""``found`` was computed by an earlier run; of ``done`` it is not noted which; ``waiting`` comes later; ``not-reached`` never came, since
the run ended before."""
_RELEASE = "release"
_RELEASING = "promoting the candidate, or holding it back"


class StepDone(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a run."""

    step: str
    says: str
    """What it does."""
    state: StepState
    begun: str | None = None
    ended: str | None = None
    """`None`, as `begun` and `seconds`, if it is not there yet, or was not noted."""
    seconds: float | None = None
    result: str | None = None
    """Digest of what it gave."""


class GateFound(msgspec.Struct, frozen=True, kw_only=True):
    """One gate, with what it found."""

    asks: str
    says: str
    status: Literal["pass", "fail", "undecided"]
    value: float | None
    low: float | None
    high: float | None
    bar: float
    n: int


class RunSteps(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run has come."""

    run: str
    line: str
    by: str
    at: str
    """When it was accepted."""
    because: str
    state: RunState
    steps: tuple[StepDone, ...]
    rows: int | None = None
    """Rows of the table that keep the contract."""
    quarantined: int = 0
    candidate: str | None = None
    """Digest of the package, once it is there."""
    threshold: float | None = None
    threshold_because: str = ""
    trials: tuple[Trial, ...] = ()
    """What was tried, best first."""
    members: tuple[MemberOf, ...] = ()
    """Which of them became the model."""
    chosen: str = ""
    """What the model is made of, and why."""
    metrics: tuple[Metric, ...] = ()
    gates: tuple[GateFound, ...] = ()
    verdict: str = ""
    verdict_because: str = ""
    certificate: str | None = None
    promoted: bool = False
    findings: tuple[Finding, ...] = ()
    breaches: tuple[BreachInWords, ...] = ()
    error: dict[str, Any] | None = None
    """What ended it, if it failed or was cancelled."""


@dataclass
class _Known:
    """What is known of the steps of a run."""

    digests: dict[str, str] = field(default_factory=dict[str, str])
    findings: list[Any] = field(default_factory=list[Any])
    breaches: list[Any] = field(default_factory=list[Any])


def steps_of(factory: Factory, accepted: Accepted) -> RunSteps:
    """Return how far a run has come, by what the engine noted of it and what the record has.

    If the engine has no notes of it (it ran in this process, or they were freed), what it gave is known from its end, and times are not.
    """
    ended, notes = end_of(factory, accepted.line, accepted.run), notes_of(factory.engine_url, accepted.run)
    known = _known(factory, ended, notes)
    return RunSteps(
        run=accepted.run,
        line=accepted.line,
        by=accepted.by,
        at=accepted.at,
        because=accepted.because,
        state=_state(ended, notes),
        steps=tuple(_steps(ended, notes, known.digests)),
        promoted=ended is not None and ended.promoted,
        findings=ended.findings if ended else msgspec.convert(known.findings, tuple[Finding, ...]),
        breaches=breaches_in_words(
            ended.breaches if ended else msgspec.convert(known.breaches, tuple[Breach, ...])
        ),
        error=ended.error if ended else None,
        **_results(factory, known.digests),
    )


def _state(ended: Finished | None, notes: RunNotes | None) -> RunState:
    if ended is not None:
        return ended.outcome
    return "waiting" if notes is not None and notes.waits else "at-work"


def _known(factory: Factory, ended: Finished | None, notes: RunNotes | None) -> _Known:
    known = _Known()
    for note in () if notes is None else notes.steps:
        found = note.outcome.get("returned")
        if isinstance(found, dict) and "digest" in found:
            known.digests[note.step] = found["digest"]
            known.findings += found["findings"]
            known.breaches += found["breaches"]
    if ended is not None:
        known.digests |= {"ingest": ended.ingested} if ended.ingested else {}
        known.digests |= _behind(factory, ended.certificate) if ended.certificate else {}
    return known


def _behind(factory: Factory, certificate: str) -> dict[str, str]:
    """Return what each step gave that a certificate rests on."""
    found = factory.metadata.get(certificate, Certificate)
    package = factory.metadata.get(found.package, Package)
    evaluation = factory.metadata.get(found.evaluation, Evaluation) if found.evaluation else None
    behind = {
        "split": found.split,
        "train": package.trained,
        "explain": evaluation.explanation if evaluation else "",
        "decide": found.decision,
        "evaluate": found.evaluation,
        "gate": certificate,
    }
    return {step: digest for step, digest in behind.items() if digest}


def _steps(ended: Finished | None, notes: RunNotes | None, known: Mapping[str, str]) -> Iterator[StepDone]:
    done = {note.step: note for note in notes.steps} if notes else {}
    begun, is_now = (notes.begun if notes else None), ended is None and not (notes and notes.waits)
    for name, says in (*((step.name, step.doing) for step in STEPS), (_RELEASE, _RELEASING)):
        note = done.get(name)
        if note is not None:
            yield _noted(note, says, known.get(name))
            begun = note.ended
        elif ended is not None and (ended.outcome == "done" or name in known):
            yield StepDone(step=name, says=says, state="done", result=known.get(name))
        elif is_now:
            yield StepDone(step=name, says=says, state="now", begun=_instant(begun))
            is_now = False
        else:
            yield StepDone(step=name, says=says, state="not-reached" if ended else "waiting")


def _noted(note: StepNote, says: str, result: str | None) -> StepDone:
    found = note.outcome.get("returned")
    raised = note.outcome.get("raised")
    state: StepState = "done" if raised is None else "failed"
    if raised is not None and raised.get("details", {}).get("cancelled"):
        state = "cancelled"
    if isinstance(found, dict) and "computed" in found:
        state = "computed" if found["computed"] else "found"
    times = (note.begun, note.ended)
    seconds = (times[1] - times[0]) / 1000 if times[0] is not None and times[1] is not None else None
    return StepDone(
        step=note.step,
        says=says,
        state=state,
        begun=_instant(note.begun),
        ended=_instant(note.ended),
        seconds=seconds,
        result=result,
    )


def _instant(millis: int | None) -> str | None:
    return (
        None if millis is None else text_of(datetime.fromtimestamp(millis / 1000, UTC).replace(tzinfo=None))
    )


def _results(factory: Factory, known: Mapping[str, str]) -> dict[str, Any]:
    """Return what the results say that are there so far."""
    metadata, details = factory.metadata, dict[str, Any]()
    if "ingest" in known:
        ingested = metadata.get(known["ingest"], Ingested)
        set_aside = metadata.get(ingested.quarantine, Quarantine).rows if ingested.quarantine else 0
        details |= {"rows": metadata.get(ingested.dataset, Dataset).rows, "quarantined": set_aside}
    if "train" in known:
        trained = metadata.get(known["train"], Trained)
        details |= {
            "trials": trained.trials,
            "members": trained.executed.members if trained.executed else (),
            "chosen": "" if trained.adopted else f"{trained.chosen}: {chosen_in_words(trained)}",
        }
    if "decide" in known:
        decision = metadata.get(known["decide"], Decision)
        details |= {
            "candidate": decision.package,
            "threshold": decision.threshold,
            "threshold_because": threshold_in_words(decision.reason) if decision.reason else "",
        }
    if "evaluate" in known:
        details["metrics"] = metadata.get(known["evaluate"], Evaluation).metrics
    if "gate" in known:
        certificate = metadata.get(known["gate"], Certificate)
        details |= {
            "certificate": known["gate"],
            "verdict": certificate.verdict,
            "verdict_because": certificate_in_words(certificate),
            "gates": tuple(
                GateFound(
                    asks=gate_in_words(one),
                    says=outcome_in_words(one),
                    status=one.status,
                    value=one.value,
                    low=one.low,
                    high=one.high,
                    bar=one.bar,
                    n=one.n,
                )
                for one in certificate.outcomes
            ),
        }
    return details
