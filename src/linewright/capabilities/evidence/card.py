"""The facts of a model card, gathered from the record."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linewright.data.dataset.version import read_dataset
from linewright.data.facts import MASK, Dataset
from linewright.line.factory import Factory
from linewright.line.facts import Declared
from linewright.line.personal import hidden_columns, without_personal
from linewright.line.record.evidence import Evidence, accepted_of, evidence_of
from linewright.line.record.monitoring.alerts import proposal_because
from linewright.line.record.registry import declared_before, is_made_elsewhere, lists_valued, rebuilt_of
from linewright.line.release.excluded_columns import in_spite, unequal
from linewright.line.release.excluded_text import unequal_in_words
from linewright.line.retention.dropped import dropped_at, forgotten_at
from linewright.line.spec import LineSpec
from linewright.model.card.parts import Example
from linewright.model.card.render import CardFacts
from linewright.model.facts import Certificate, Package, Registered
from linewright.model.package.model import read_golden
from linewright.release.facts import Halted, Promoted, Refused, RolledBack, Withdrawn
from linewright.store.files.names import file_of
from linewright.store.protocols import Version
from linewright.store.values import Event, digest_of
from linewright.text.times import from_epoch
from linewright.watch.facts import RetrainProposal


def card_facts(factory: Factory, version: Version) -> CardFacts:
    """Gather everything that the card of a registered model says."""
    evidence = evidence_of(factory, version)
    digests = evidence.digests
    accepted = accepted_of(factory, version.line, evidence.registered.run)
    spec = factory.metadata.get(accepted.declared, Declared).spec
    asked = factory.metadata.get(accepted.proposal, RetrainProposal) if accepted.proposal else None
    declared = declared_before(factory.metadata, version.line, version.digest)
    pointer = factory.metadata.pointer(version.line)
    dropped = dropped_at(factory, evidence.trained.dataset)
    unlike = (
        unequal(factory, version.line, evidence.certificate, LineSpec.model_validate(spec))
        if evidence.certificate
        else None
    )
    hidden = hidden_columns(factory, version.line)
    facts = CardFacts(
        line=version.line,
        version=version.version,
        about=spec.get("about", ""),
        owner=spec.get("owner"),
        digest=version.digest,
        package=evidence.package,
        trained=evidence.trained,
        dataset=evidence.dataset,
        split=evidence.split,
        ingested=evidence.ingested,
        ingested_digest=digests["ingested"],
        parity=evidence.parity,
        parity_digest=digests["parity"],
        decision=evidence.decision,
        decision_digest=digests.get("decision"),
        evaluation=evidence.evaluation,
        evaluation_digest=digests.get("evaluation"),
        misread=() if dropped else _names_of_misread(factory, version.line, evidence, spec),
        explanation=evidence.explanation,
        explanation_digest=digests.get("explanation"),
        certificate=evidence.certificate,
        certificate_digest=digests.get("certificate"),
        verdict=evidence.verdict,
        promoted_on=evidence.promoted_on,
        excluded=tuple(spec.get("table", {}).get("exclude", ())),
        file=file_of(Path("lines"), version.line).as_posix(),
        declared=declared,
        gates_changed=_gates_changed(factory, declared, evidence.certificate),
        rival_adopted=is_made_elsewhere(factory, evidence.certificate.rival)
        if evidence.certificate
        else False,
        unequal=unequal_in_words(unlike) if unlike else "",
        in_spite=in_spite(f"{version.line}@{version.version}"),
        as_of=accepted.as_of,
        asked=proposal_because(factory.metadata, asked) if asked else None,
        proposal=accepted.proposal,
        champion=pointer.champion,
        halted=factory.is_halted(version.line),
        events=_events(factory, version),
        time_range=None
        if dropped or spec.get("table", {}).get("time") in hidden
        else _time_range(factory, evidence.dataset, spec.get("table", {}).get("time")),
        lists=lists_valued(factory.metadata, version.line, package=version.digest)
        if evidence.package.encoder.items
        else None,
        example=_example(factory, evidence.package),
        dropped=dropped,
        forgotten=forgotten_at(factory, evidence.trained.dataset),
    )
    return without_personal(facts, hidden)


def _example(factory: Factory, package: Package) -> Example | None:
    if package.encoder.window is None or not factory.artifacts.has(package.golden):
        return None
    golden = read_golden(package, factory.artifacts.get)
    return Example(row=dict(golden.rows[0]), answer=dict(golden.predictions[0])) if golden.rows else None


def _names_of_misread(
    factory: Factory, line: str, evidence: Evidence, spec: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the keys of the pictures that were misread, or their digests; none for who may not see rows."""
    found = evidence.evaluation.misread if evidence.evaluation else ()
    if not found or not factory.may("view-rows", line):
        return ()
    key = spec.get("table", {}).get("key") or evidence.package.encoder.pictures[0].column
    if key in hidden_columns(factory, line):
        return (MASK,) * len(found)
    names = read_dataset(evidence.dataset, factory.artifacts, factory.metadata, [key])[key]
    return tuple(str(names[one.row]) for one in found)


def _events(factory: Factory, version: Version) -> tuple[Event, ...]:
    kinds: tuple[type[Event], ...] = (Registered, Refused, Promoted, Withdrawn, RolledBack, Halted)
    found = [event for kind in kinds for event in factory.metadata.events(kind, line=version.line)]
    rebuilt = rebuilt_of(factory.metadata, version)
    return tuple(sorted([*found, *([rebuilt] if rebuilt else [])], key=lambda event: event.at))


def _gates_changed(factory: Factory, declared: str | None, certificate: Certificate | None) -> bool:
    if declared is None or certificate is None:
        return False
    gates = LineSpec.model_validate(factory.metadata.get(declared, Declared).spec).gates
    return digest_of([gate.model_dump(mode="json") for gate in gates]) != certificate.gates


def _time_range(factory: Factory, dataset: Dataset, time: str | None) -> tuple[str, str] | None:
    if time is None:
        return None
    times = read_dataset(dataset, factory.artifacts, factory.metadata, columns=[time])[time]
    return _said(times.min()), _said(times.max())


def _said(time: object) -> str:
    """Return a time as text; a count since 1970 with its date."""
    instant = from_epoch(time) if isinstance(time, int | float) else None
    return str(time) if instant is None else f"{time} ({instant:%Y-%m-%d})"
