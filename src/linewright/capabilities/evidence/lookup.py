"""What an id stands for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from linewright.capabilities.evidence.lineage import column_lineage, prediction_lineage
from linewright.capabilities.evidence.sentences import with_sentences
from linewright.errors import NotFound
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, AttemptEnded, Finished, Plan
from linewright.line.personal import hidden_anywhere, without_personal
from linewright.line.record.costs import declared_costs, durations_of
from linewright.line.record.evidence import accepted_of, evidence_of
from linewright.line.record.monitoring.alerts import find_alert
from linewright.line.record.registry import find_model, rebuilt_of
from linewright.model.facts import Certificate, Explanation
from linewright.release.facts import Deployed, Promoted, Refused, RolledBack, Withdrawn
from linewright.serve.facts import Prediction, Truth
from linewright.serve.log.ids import is_id
from linewright.serve.log.segments import read_log
from linewright.store.protocols import Version
from linewright.store.values import Event, to_builtins

_IN_SENTENCES: Mapping[str, type[Certificate | Explanation]] = {
    "certificate": Certificate,
    "explanation": Explanation,
}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Found:
    """Something that has an id."""

    id: str
    kind: str
    body: dict[str, Any]
    line: str | None
    """Whose it is; `None` for a result, which may be of several."""


def look_up(factory: Factory, name: str, *, line: str | None = None) -> Found | None:
    """Return what an id stands for: a model, a prediction, a run, a result or an alert by the beginning of its id, stored bytes, or a column of a source."""
    if "@" in name:
        return _model(factory, find_model(factory, name))
    # Ids of runs and predictions have one form, which no digest has. To look for a prediction takes longest: each line has its own.
    is_logged = line is not None and line in factory.metadata.lines() and factory.labels_of(line).has(name)
    return (
        (is_id(name) and ((not is_logged and _run(factory, name)) or _prediction(factory, name, line)))
        or _result(factory, name)
        or _alert(factory, name)
        or _artifact(factory, name)
        or _column(factory, name)
    )


def _model(factory: Factory, version: Version) -> Found:
    evidence = evidence_of(factory, version)
    run = evidence.registered.run
    accepted = accepted_of(factory, version.line, run)
    body = {
        "version": to_builtins(version),
        "evidence": evidence.digests,
        "rebuilt": to_builtins(rebuilt_of(factory.metadata, version)),
        "run": run,
        "proposal": accepted.proposal,
        "sources": factory.metadata.get(accepted.plan, Plan).sources,
        "happened": [to_builtins(one) for one in _happened(factory, version)],
    }
    return Found(f"{version.line}@{version.version}", "model", body, version.line)


def _happened(factory: Factory, version: Version) -> list[Event]:
    """Return what happened with a model, oldest first, and what took its place when it was champion."""
    kinds: tuple[type[Refused | Deployed | Withdrawn | Promoted | RolledBack], ...] = (
        Refused,
        Deployed,
        Withdrawn,
        Promoted,
        RolledBack,
    )
    events = [one for kind in kinds for one in factory.metadata.events(kind, line=version.line)]
    mine = (
        one
        for one in events
        if one.package == version.digest
        or (isinstance(one, Promoted | RolledBack) and one.before == version.version)
    )
    return sorted(mine, key=lambda one: one.at)


def find_prediction(
    factory: Factory, name: str, *, line: str | None = None
) -> tuple[Prediction, Truth | None] | None:
    """Return the prediction of any line that has this id, with its label; `None` if no prediction has."""
    lines = factory.metadata.lines()
    first = [line] if line in lines else []
    # Most predictions are in an index, and to look there takes a tenth of what it takes to bring an index up to date.
    indexed = next((each for each in lines if factory.labels_of(each).has(name)), None) if not first else None
    found = (factory.labels_of(each).find(name) for each in (*first, *([indexed] if indexed else []), *lines))
    return next((one for one in found if one is not None), None)


def _prediction(factory: Factory, name: str, line: str | None) -> Found | None:
    found = find_prediction(factory, name, line=line)
    if found is None:
        return None
    record, label = found
    body = {**to_builtins(record), "label": to_builtins(label)}
    if replaced := factory.labels_of(record.line).replaced(record.id):
        body["label_before"] = to_builtins(replaced)
    if beside := _beside(factory, record):
        body["beside"] = beside
    if lineage := prediction_lineage(factory, record):
        body["lineage"] = to_builtins(lineage)
    return Found(name, "prediction", body, record.line)


def _beside(factory: Factory, record: Prediction) -> list[dict[str, Any]]:
    """Return what other models answered to a row beside the path of its answer, while the trial runs that they are part of."""
    folders = factory.copies_of(record.line).glob("*")
    logged = (one.record for folder in folders for one in read_log(folder))
    return [
        {"model": one.model, "digest": one.digest, "arm": one.arm, "answer": one.answer}
        for one in logged
        if one.id == record.id
    ]


def _run(factory: Factory, name: str) -> Found | None:
    accepted = factory.metadata.newest_with(Accepted, "run", name)
    if accepted is None:
        return None
    line = accepted.line
    finished = next((one for one in factory.metadata.events(Finished, line=line) if one.run == name), None)
    ended = [one for one in factory.metadata.events(AttemptEnded, line=line) if one.run == name]
    durations = durations_of(accepted, finished, declared_costs(factory))
    body = {
        "durations": to_builtins(durations),
        "accepted": to_builtins(accepted),
        "attempts": [to_builtins(one) for one in ended],
        "finished": to_builtins(finished) if finished else None,
    }
    return Found(name, "run", body, line)


def _result(factory: Factory, name: str) -> Found | None:
    found = factory.metadata.find(name)
    if len(found) > 1:
        raise NotFound(
            "more than one result has that beginning",
            found=name,
            allowed=", ".join(digest for digest, _ in found),
        )
    if not found:
        return None
    digest, kind = found[0]
    body = msgspec.json.decode(factory.metadata.body(digest))
    if kind in _IN_SENTENCES:  # which quote values of columns; a result names no line, and may be of each
        fact = without_personal(factory.metadata.get(digest, _IN_SENTENCES[kind]), hidden_anywhere(factory))
        body = {"kind": kind, **to_builtins(fact)}
    body = with_sentences(factory.metadata, body)
    return Found(digest, kind, body, None)


def _alert(factory: Factory, name: str) -> Found | None:
    alert = find_alert(factory, name)
    return Found(alert.id, "alert", to_builtins(alert), alert.line) if alert else None


def _artifact(factory: Factory, name: str) -> Found | None:
    if not _DIGEST.fullmatch(name) or not factory.artifacts.has(name):
        return None
    return Found(name, "artifact", {"bytes": factory.artifacts.path(name).stat().st_size}, None)


def _column(factory: Factory, name: str) -> Found | None:
    lineage = column_lineage(factory, name) if "." in name else None
    return Found(name, "column", {"lineage": to_builtins(lineage)}, None) if lineage else None
