"""From a model back to everything that was recorded about it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec

from linewright.data.facts import Dataset, Ingested, Split
from linewright.data.split_text import split_in_words
from linewright.errors import NotFound
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished
from linewright.line.record.monitoring.alerts import find_alert, proposal_because
from linewright.line.record.registry import find_model, is_made_elsewhere, judged, recorded, registration_of
from linewright.line.retention.dropped import dropped_at, forgotten_at
from linewright.model.explanation_text import NOT_EXPLAINED
from linewright.model.facts import (
    Certificate,
    Decision,
    Evaluation,
    Explanation,
    Package,
    Parity,
    Registered,
    Trained,
)
from linewright.model.gates.text import certificate_in_words
from linewright.model.reason_text import chosen_in_words, threshold_in_words
from linewright.people.facts import RowsAnnotated
from linewright.release.facts import TRIED, Deployed, Promoted, Withdrawn
from linewright.serve.log.ids import is_id
from linewright.store.clock import said
from linewright.store.protocols import Version
from linewright.store.values import Result, digest_of
from linewright.text.numbers import count
from linewright.watch.facts import Alerted, Reference, RetrainProposal, Watched, Window
from linewright.watch.monitors import shifts_of

R = TypeVar("R", bound=Result)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The results behind one model, each with its digest beside it."""

    version: Version
    registered: Registered
    package: Package
    trained: Trained
    dataset: Dataset
    split: Split
    ingested: Ingested
    parity: Parity
    decision: Decision
    certificate_digest: str | None
    certificate: Certificate | None
    """The newest one; `None` while a run is between its last two steps."""
    verdict: str
    """What it says, or that the model was held back in spite of it; empty where there is none."""
    promoted_on: str | None
    """Digest of the certificate that it was promoted on, where that is another one."""
    evaluation: Evaluation | None
    explanation: Explanation | None = None
    """`None` where there is no `evaluation`."""

    @property
    def digests(self) -> dict[str, str]:
        """The digests of the results, by name."""
        found = {
            "package": self.version.digest,
            "trained": self.package.trained,
            "dataset": self.trained.dataset,
            "split": self.trained.split,
            "ingested": self.registered.ingested,
            "parity": self.registered.parity,
            "decision": self.registered.decision,
            "certificate": self.certificate_digest,
            "promoted on": self.promoted_on,
            "evaluation": self.certificate.evaluation if self.certificate else None,
            "explanation": (self.evaluation.explanation or None) if self.evaluation else None,
            "quarantine": self.ingested.quarantine,
            "environment": self.registered.computed_in.get("train"),
        }
        return {name: digest for name, digest in found.items() if digest}


def evidence_of(factory: Factory, version: Version) -> Evidence:
    """Return everything that was recorded about a registered model, verified."""
    metadata = factory.metadata
    registered = registration_of(metadata, version.line, version.digest)
    package = metadata.get(version.digest, Package)
    trained = metadata.get(package.trained, Trained)
    found = judged(factory, version.line).get(version.digest)
    certificate = found.certificate if found else None
    evaluation = metadata.get(certificate.evaluation, Evaluation) if certificate else None
    return Evidence(
        version=version,
        registered=registered,
        package=package,
        trained=trained,
        dataset=metadata.get(trained.dataset, Dataset),
        split=metadata.get(trained.split, Split),
        ingested=metadata.get(registered.ingested, Ingested),
        parity=metadata.get(registered.parity, Parity),
        decision=metadata.get(registered.decision, Decision),
        certificate_digest=found.digest if found else None,
        certificate=certificate,
        verdict=found.verdict if found else "",
        promoted_on=found.promoted_on if found and found.promoted_on != found.digest else None,
        evaluation=evaluation,
        explanation=metadata.get(evaluation.explanation, Explanation)
        if evaluation and evaluation.explanation
        else None,
    )


def accepted_of(factory: Factory, line: str, run: str) -> Accepted:
    """Return the event that a run of a line was accepted by."""
    found = (one for one in factory.metadata.events(Accepted, line=line) if one.run == run)
    return recorded(found, f"acceptance of run {run}", line)


def find_result(factory: Factory, prefix: str, kind: type[R]) -> tuple[str, R]:
    """Return the one result of a kind whose digest starts with `prefix`."""
    word = kind.__struct_config__.tag
    found = [digest for digest, name in factory.metadata.find(prefix) if name == word]
    if len(found) != 1:
        raise NotFound(
            f"no {word} has that id" if not found else f"more than one {word} has that beginning",
            found=prefix,
            allowed=", ".join(found) or "the first digits of a digest",
        )
    return found[0], factory.metadata.get(found[0], kind)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A result, what it says in a sentence, and the results that it rests on."""

    digest: str
    kind: str
    says: str
    rests_on: tuple["Claim", ...]


def explain(factory: Factory, name: str) -> Claim:
    """Follow a model or an evidence id to everything that it rests on."""
    if "@" in name or name in factory.names():
        version = find_model(factory, name)
        evidence = evidence_of(factory, version)
        claim = _claim(factory, evidence.certificate_digest or version.digest, {})
        proposal = accepted_of(factory, version.line, evidence.registered.run).proposal
        if proposal:
            claim = replace(claim, rests_on=(*claim.rests_on, _claim(factory, proposal, {})))
        tried = _tried(factory, version)
        claim = replace(claim, rests_on=(*claim.rests_on, *_trials(factory, tried)))
        claim = _beside(factory, claim, evidence.promoted_on) if evidence.promoted_on else claim
        if stands := _stands(tried):
            claim = replace(claim, says=f"{claim.says.rstrip('.')}; {stands}")
        return claim
    found = factory.metadata.find(name)
    alert = None if found else find_alert(factory, name)
    if alert:
        below = _windows_of(factory, alert) or (_claim(factory, alert.evidence, {}),)
        return Claim(digest=alert.id, kind="alert", says=f"{alert.monitor}: {alert.because}", rests_on=below)
    if len(found) != 1:
        raise NotFound(
            "no evidence has that id" if not found else "more than one evidence id has that beginning",
            found=name,
            allowed=", ".join(digest for digest, _ in found)
            or "LINE, LINE@VERSION or the first digits of a digest",
            hint=_of_prediction(name) if not found and is_id(name) else "",
        )
    return _claim(factory, found[0][0], {})


def _of_prediction(name: str) -> str:
    """Say what answers why a model predicted what it did: evidence is about models."""
    return (
        f"this has the form of a prediction's id: `linewright replay --prediction {name} --explain` answers it again and says "
        f"what each column contributed; `linewright show {name}` shows what was asked and answered"
    )


def _tried(factory: Factory, version: Version) -> list[Deployed | Withdrawn | Promoted]:
    """Return what happened to a model while it was tried beside the champion, and its promotions, oldest first."""
    events: list[Deployed | Withdrawn | Promoted] = [
        *factory.metadata.events(Deployed, line=version.line),
        *factory.metadata.events(Withdrawn, line=version.line),
        *factory.metadata.events(Promoted, line=version.line),
    ]
    mine = (one for one in events if one.package == version.digest)
    return sorted(mine, key=lambda one: one.generation)


def _trials(factory: Factory, tried: Sequence[Deployed | Withdrawn | Promoted]) -> tuple[Claim, ...]:
    """Return what was seen of a model while it was tried, oldest first."""
    found = dict.fromkeys(one.evidence for one in tried if one.evidence is not None)
    return tuple(_shallow(factory, digest) for digest in found)


def _stands(tried: Sequence[Deployed | Withdrawn | Promoted]) -> str:
    """Say that a model is tried now, how its latest trial ended, and that it was promoted by force since; nothing of another."""
    before: Deployed | None = None
    says = forced = ""
    for one in tried:
        match one:
            case Deployed():
                says, before, forced = f"it {one.part} since {said(one.at)}", one, ""
            case Withdrawn():
                says, before = (
                    f"it was taken back {TRIED[one.rollout]} on {said(one.at)}: {one.because}",
                    None,
                )
            case Promoted() if before is not None:
                how = "was promoted by force" if one.forced else "was promoted"
                tried_as = TRIED[before.rollout]
                says, before = f"tried {tried_as}, it {how} on {said(one.at)}: {one.because}", None
            case Promoted():
                # By force is told until a promotion with a certificate follows.
                forced = f"it was promoted by force on {said(one.at)}: {one.because}" if one.forced else ""
    return "; ".join(filter(None, [says, forced]))


def _shallow(factory: Factory, digest: str) -> Claim:
    """Return a trial alone: what it rests on is the log, and that it names the models of both is no evidence."""
    body = msgspec.json.decode(factory.metadata.body(digest))
    return Claim(digest=digest, kind=body["kind"], says=_says(factory, body), rests_on=())


def _windows_of(factory: Factory, alert: Alerted) -> tuple[Claim, ...]:
    """Return the windows that showed an alert about data, each with its index; none for what is no shift of data."""
    watched = [
        one.window
        for one in factory.metadata.events(Watched, line=alert.line)
        if alert.since <= one.start and one.at <= alert.at and one.package == alert.package
    ]
    windows = [factory.metadata.get(one, Window) for one in watched]
    if not windows:
        return ()
    reference = factory.metadata.get(windows[-1].reference, Reference)
    about = repr(alert.column) if alert.column else "the predictions"
    made: list[Claim] = []
    for window, index in shifts_of(reference, windows, alert.monitor, alert.column):
        claim = _claim(factory, digest_of(window), {})
        made.append(
            replace(claim, says=f"{claim.says}: PSI {index:.2f} of {about}, {alert.bar:g} is worth naming")
        )
    return tuple(made)


def _beside(factory: Factory, newest: Claim, promoted_on: str) -> Claim:
    """Return the newest certificate with the one that promoted, which a changed gate set aside."""
    earlier = _claim(factory, promoted_on, {})
    earlier = replace(earlier, says=f"the certificate that it was promoted on: {earlier.says}")
    return replace(
        newest,
        says=f"{newest.says} (judged anew since it was promoted)",
        rests_on=(*newest.rests_on, earlier),
    )


def _claim(factory: Factory, digest: str, seen: dict[str, Claim]) -> Claim:
    if digest not in seen:
        body = msgspec.json.decode(factory.metadata.body(digest))
        below = [
            one
            for one in _digests_in(body)
            if one != digest and any(found == one for found, _ in factory.metadata.find(one))
        ]
        if body["kind"] == "dataset":
            below += _annotated(factory, digest)
        seen[digest] = Claim(
            digest=digest,
            kind=body["kind"],
            says=_says(factory, body) + _caveat(factory, body) + _dropped(factory, digest, body["kind"]),
            rests_on=tuple(_claim(factory, one, seen) for one in below),
        )
    return seen[digest]


def _annotated(factory: Factory, dataset: str) -> list[str]:
    """Return what people labelled of a dataset version, by the readings that gave it; a dataset itself names nothing that it was made of."""
    metadata, found = factory.metadata, dict[str, None]()
    for line in {one.line for one in metadata.events(RowsAnnotated)}:
        for run in metadata.events(Finished, line=line):
            read = metadata.get(run.ingested, Ingested) if run.ingested else None
            if read is not None and read.dataset == dataset and read.annotated is not None and read.labelled:
                found[read.annotated] = None
    return list(found)


def _digests_in(value: object) -> list[str]:
    if isinstance(value, dict):
        return list(dict.fromkeys(found for part in value.values() for found in _digests_in(part)))
    if isinstance(value, list):
        return list(dict.fromkeys(found for part in value for found in _digests_in(part)))
    return [value] if isinstance(value, str) and value.startswith("sha256:") else []


def _caveat(factory: Factory, body: dict[str, Any]) -> str:
    """Say of a certificate that compares with an imported model what nobody can know."""
    if body["kind"] != "certificate" or not is_made_elsewhere(factory, body["rival"]):
        return ""
    return " (which rows the champion that it was compared with has learned from is not known)"


def _dropped(factory: Factory, digest: str, kind: str) -> str:
    """Say of a dataset that its rows are kept no longer."""
    if kind != "dataset":
        return ""
    if (at := dropped_at(factory, digest)) is not None:
        return f" (dataset dropped by retention on {at[:10]})"
    at = forgotten_at(factory, digest)
    return "" if at is None else f" (rows of somebody who was forgotten on {at[:10]} are gone)"


def _says(factory: Factory, body: dict[str, Any]) -> str:
    if body["kind"] == "retrain_proposal":
        proposal = msgspec.convert(body, RetrainProposal)
        return f"a training was proposed: {proposal_because(factory.metadata, proposal)}"
    return _SAYS.get(body["kind"], lambda _: "a recorded result")(body)


def _split(body: dict[str, Any]) -> str:
    split = msgspec.convert(body, Split)
    return f"{split.train:,} training and {split.test:,} test rows, {split_in_words(split)}"


def _evaluation(body: dict[str, Any]) -> str:
    metric = body["metrics"][0]
    is_known = metric["low"] is not None
    ends = f"{metric['low']:.4g}, {metric['high']:.4g}" if is_known else "interval not known"
    return f"{metric['name']} {metric['value']:.4g} [{ends}] on {metric['n']:,} test rows"


def _trained(body: dict[str, Any]) -> str:
    trained = msgspec.convert(body, Trained)
    if trained.adopted:
        return f"an imported model: {chosen_in_words(trained)}"
    return f"{trained.chosen} on {trained.rows:,} training rows: {chosen_in_words(trained)}"


def _certificate(body: dict[str, Any]) -> str:
    return f"{body['verdict']}: {certificate_in_words(msgspec.convert(body, Certificate))}"


def _decision(body: dict[str, Any]) -> str:
    decision = msgspec.convert(body, Decision)
    if decision.threshold is None or decision.reason is None:
        return "no threshold: what is answered does not depend on one"
    return f"the positive class begins at {decision.threshold:.4g}: {threshold_in_words(decision.reason)}"


def _explanation(body: dict[str, Any]) -> str:
    if why := body.get("not_explained") if not body["rows"] else None:
        return f"nothing by column: {NOT_EXPLAINED[why]}"
    most = [one["columns"][0] for one in body["shuffled"] if one["low"] > 0][:3]
    needs = f"needs {', '.join(most)} most" if most else "surely needs no column alone"
    weak = f"; {count(len(body['slices']), 'weak slice')}" if body["slices"] else ""
    return f"on {count(body['rows'], 'test row')} the model {needs}{weak}"


def _performance(body: dict[str, Any]) -> str:
    value = "undefined" if body["value"] is None else f"{body['value']:.4g}"
    period = f"from {said(body['start'])} to {said(body['end'])}"
    if body.get("arrived"):
        came = f"{count(body['labelled'], 'label')} that came {period}"
        return f"{body['metric']} {value} on {came}; with no label.delay the share of labels that came is not known"
    predictions = count(body["predictions"], "prediction")
    return f"{body['metric']} {value} on {body['labelled']:,} labelled of {predictions} {period}"


def _trial(body: dict[str, Any]) -> str:
    mine, theirs = body["canary"], body["champion"]
    period = f"from {said(body['since'])} to {said(body['until'])}"
    if mine["loss"] is None or theirs["loss"] is None:
        return f"tried on {count(mine['rows'], 'row')} {period}, of which no label tells"
    return (
        f"tried on {count(mine['rows'], 'row')} {period}: {body['loss']} {mine['loss']:.4g} on {count(mine['labelled'], 'label')}, "
        f"the champion's {theirs['loss']:.4g} on {count(theirs['labelled'], 'label')}"
    )


_SAYS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "certificate": _certificate,
    "evaluation": _evaluation,
    "explanation": _explanation,
    "package": lambda body: (
        f"{body['task']} model of {body['label']!r}, {count(len(body['encoder']['encodings']), 'input')}"
    ),
    "trained": _trained,
    "split": _split,
    "environment": lambda body: f"{body['python']} on {body['platform']}",
    "decision": _decision,
    "dataset": lambda body: f"{count(body['rows'], 'row')}, {count(len(body['columns']), 'column')}",
    "parity": lambda body: (
        f"differs from the trained model by at most {body['largest']:.2g} on {body['rows']:,} rows"
    ),
    "declared": lambda body: f"the line file of {body['spec']['line']!r} as a run was accepted with it",
    "annotated-rows": lambda body: f"{count(body['labels'], 'row')} that people labelled",
    "quarantine": lambda body: f"{count(body['rows'], 'row')} kept out by the contract",
    "window": lambda body: (
        f"{count(body['n'], 'prediction')} from {said(body['start'])} to {said(body['end'])}"
    ),
    "performance": _performance,
    "confirmations": lambda body: (
        f"{sum(one['positives'] for one in body['windows']):,} positives confirmed, "
        f"{sum(one['expected'] for one in body['windows']):,.0f} expected, "
        f"from {said(body['windows'][0]['start'])} to {said(body['windows'][-1]['end'])}"
    ),
    "reference": lambda body: (
        f"how {len(body['columns'])} columns and the predictions were spread before serving"
    ),
    "trial": _trial,
}
"""What a result says in a sentence, by kind."""
