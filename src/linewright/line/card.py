"""The facts of a model card, gathered from the record."""

from linewright.line.evidence import evidence_of
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Declared
from linewright.model.card import CardFacts
from linewright.store.seams import Version


def card_facts(factory: Factory, version: Version) -> CardFacts:
    """Gather everything that the card of a registered model says."""
    evidence = evidence_of(factory, version)
    digests = evidence.digests
    about, owner = _words(factory, version.line, evidence.registered.run)
    pointer = factory.metadata.pointer(version.line)
    history = factory.metadata.history(line=version.line, limit=200)
    return CardFacts(
        line=version.line,
        version=version.version,
        about=about,
        owner=owner,
        digest=version.digest,
        package=evidence.package,
        trained=evidence.trained,
        dataset=evidence.dataset,
        split=evidence.split,
        ingested=evidence.ingested,
        ingested_digest=digests["ingested"],
        parity=evidence.parity,
        parity_digest=digests["parity"],
        evaluation=evidence.evaluation,
        evaluation_digest=digests.get("evaluation"),
        certificate=evidence.certificate,
        certificate_digest=digests.get("certificate"),
        champion=pointer.champion,
        halted=pointer.halt,
        events=tuple(recorded.event for recorded in reversed(history)),
    )


def _words(factory: Factory, line: str, run: str) -> tuple[str, str | None]:
    """Return what the line file said about itself when the run was accepted."""
    accepted = next(one for one in factory.metadata.events(Accepted, line=line) if one.run == run)
    spec = factory.metadata.get(accepted.declared, Declared).spec
    return spec.get("about", ""), spec.get("owner")
