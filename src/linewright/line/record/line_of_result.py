"""Which line a result is of: a digest names none, and who may see one line may see what that one rests on."""

from collections.abc import Iterator
from typing import Any

import msgspec

from linewright.data.facts import Ingested
from linewright.errors import NotFound
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished
from linewright.model.facts import Certificate, Evaluation, Package, Registered, Trained
from linewright.people.facts import RowsAnnotated
from linewright.release.facts import Promoted, Refused


def is_of(factory: Factory, digest: str, line: str) -> bool:
    """Return whether a line has a result: it names the line, or a model, a run or a certificate of the line rests on it."""
    body = msgspec.json.decode(factory.metadata.body(digest))
    spec: Any = body.get("spec") if body["kind"] == "declared" else body
    if isinstance(spec, dict) and "line" in spec:
        return spec["line"] == line
    if body["kind"] == "reference":
        return any(one.package == body["package"] for one in factory.metadata.events(Registered, line=line))
    return any(digest == one for one in _behind(factory, line))


def _behind(factory: Factory, line: str) -> Iterator[str]:
    """Give the digests of the results that the models, runs and certificates of a line rest on; of some more than once."""
    metadata = factory.metadata
    for model in metadata.events(Registered, line=line):
        yield from (model.package, model.parity, model.decision, *model.computed_in.values())
        yield from _read(factory, model.ingested)
        trained = metadata.get(model.package, Package).trained
        found = metadata.get(trained, Trained)
        yield from (trained, found.dataset, found.split)
    certificates = dict.fromkeys(
        event.certificate
        for kind in (Promoted, Refused, Finished)
        for event in metadata.events(kind, line=line)
        if event.certificate
    )
    for digest in certificates:
        certificate = metadata.get(digest, Certificate)
        yield from (digest, certificate.decision, certificate.split, certificate.evaluation)
        if certificate.evaluation:
            yield metadata.get(certificate.evaluation, Evaluation).explanation
    for run in metadata.events(Finished, line=line):
        if run.ingested:
            yield from _read(factory, run.ingested)
    for labels in metadata.events(RowsAnnotated, line=line):
        yield from (labels.annotated, labels.dataset)
    for run in metadata.events(Accepted, line=line):
        yield from (run.plan, run.declared, run.proposal or "")


def _read(factory: Factory, ingested: str) -> Iterator[str]:
    yield ingested
    try:
        found = factory.metadata.get(ingested, Ingested)
    except NotFound:  # retention dropped it
        return
    yield from (found.dataset, found.quarantine or "")
