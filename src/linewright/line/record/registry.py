"""The models of a line: by name, number and alias, and what the gates said of each."""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from linewright.errors import Corrupt, NotFound, RequestError
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished, Plan, Rebuilt
from linewright.model.facts import Certificate, Evaluation, ListsValued, Metric, Package, Registered, Trained
from linewright.release.facts import Deployed, Promoted, Refused, Withdrawn
from linewright.release.promotion import canary_of
from linewright.store.files.names import LINE
from linewright.store.metadata.snapshot import MANY
from linewright.store.protocols import MetadataReader, Version
from linewright.store.values import Event
from linewright.text.numbers import listed

_MODEL = re.compile(rf"^(?P<line>{LINE})@(?P<version>[1-9][0-9]{{0,8}})$")
_MOST_NAMED = 5
ALIASES = ("champion", "challenger")
E = TypeVar("E", bound=Event)


def find_model(factory: Factory, model: str) -> Version:
    """Return the registered model named LINE@VERSION, LINE@champion or LINE@challenger; LINE alone is its champion."""
    line, _, alias = model.partition("@")
    if alias in {"", *ALIASES}:
        model = _aliased(factory, line, alias or "champion")
    match = _MODEL.match(model)
    if not match:
        raise RequestError("not a model", found=model, allowed="LINE@VERSION, e.g. claims@3")
    versions = factory.metadata.versions(match["line"])
    for version in versions:
        if version.version == int(match["version"]):
            return version
    known = ", ".join(f"{one.line}@{one.version}" for one in versions)
    raise NotFound("there is no such model", found=model, allowed=known or "(no model of that line yet)")


def champion_digest(factory: Factory, line: str) -> str:
    """Return the digest of the package of a line's champion; empty if it has none."""
    champion = factory.metadata.pointer(line).champion
    versions = factory.metadata.versions(line)
    return next((one.digest for one in versions if one.version == champion), "")


def _aliased(factory: Factory, line: str, alias: str) -> str:
    version = (
        challenger_of(factory, line) if alias == "challenger" else factory.metadata.pointer(line).champion
    )
    if version is None:
        factory.path_of(line)
        yet = " yet" if alias == "champion" else ""
        names = [f"{line}@{one.version}" for one in factory.metadata.versions(line)]
        hint = (
            f"name a version: {listed(names[::-1], _MOST_NAMED)}"
            if names
            else f"linewright run {shlex.quote(line)}"
        )
        raise NotFound(f"the line has no {alias}{yet}", where=line, hint=hint)
    return f"{line}@{version}"


def challenger_of(factory: Factory, line: str) -> int | None:
    """Return the number of the candidate that still challenges the champion of a line; `None` where none does.

    A run that ended since with the champion itself has settled it: what the line file asks for serves. A model older than the champion
    challenges it only while it is what the latest run made.
    """
    metadata = factory.metadata
    pointer = metadata.pointer(line)
    if pointer.challenger is None or pointer.champion is None:
        return pointer.challenger
    digests = {one.version: one.digest for one in metadata.versions(line)}
    mine, champion = digests.get(pointer.challenger), digests.get(pointer.champion)
    events: list[Finished | Refused | Deployed] = [
        *metadata.events(Refused, line=line),
        *metadata.events(Deployed, line=line),
        *metadata.events(Finished, line=line, newest_first=True, limit=MANY)[
            ::-1
        ],  # of this line alone: few have a challenger
    ]
    for event in sorted(events, key=lambda event: event.at, reverse=True):
        about = event.package if isinstance(event, Refused | Deployed) else _judged_package(metadata, event)
        if about == mine:
            return pointer.challenger
        if about == champion or (about is not None and pointer.challenger < pointer.champion):
            return None
    return pointer.challenger


def _judged_package(metadata: MetadataReader, ended: Finished) -> str | None:
    """Return the package that a run ended with; `None` where it failed before."""
    return metadata.get(ended.certificate, Certificate).package if ended.certificate else None


def served_versions(factory: Factory, line: str) -> list[Version]:
    """Return the champion of a line and the model that is tried, as far as there are any, the older first."""
    pointer, tried = factory.metadata.pointer(line), canary_of(factory.metadata, line)
    return [
        one
        for one in factory.metadata.versions(line)
        if one.version == pointer.champion or (tried is not None and one.digest == tried.package)
    ]


def registration_of(metadata: MetadataReader, line: str, package: str) -> Registered:
    """Return the event by which a package was registered; raise `Corrupt` where it is gone."""
    found = (one for one in metadata.events(Registered, line=line) if one.package == package)
    return recorded(found, f"registration of {package}", line)


def is_made_elsewhere(factory: Factory, package: str) -> bool:
    """Return whether a rival is an imported model: what it has seen is then not known."""
    if not package.startswith("sha256:"):
        return False
    trained = factory.metadata.get(factory.metadata.get(package, Package).trained, Trained)
    return trained.adopted is not None


def recorded(events: Iterable[E], what: str, line: str) -> E:
    """Return the first of some events of a line; raise `Corrupt` where there is none, though something rests on it."""
    for one in events:
        return one
    raise Corrupt(
        f"the {what} is gone from the record", where=f"line {line}", hint="restore it from a backup"
    )


def rebuilt_of(metadata: MetadataReader, version: Version) -> Rebuilt | None:
    """Return the newest rebuild of a model; `None` where it was never rebuilt."""
    events = metadata.events(Rebuilt, line=version.line, newest_first=True)
    return next((one for one in events if one.package == version.digest), None)


def declared_before(metadata: MetadataReader, line: str, package: str) -> str | None:
    """Return the digest of the line file as it was accepted by the run that trained a registered package."""
    runs = runs_behind(metadata, line, package)
    return runs[-1].declared if runs and _trains(metadata, runs[-1]) else None


def runs_behind(metadata: MetadataReader, line: str, package: str) -> list[Accepted]:
    """Return the runs that a registered package may have come of, newest first: the one that registered it, back to one that trained."""
    registered = registration_of(metadata, line, package)
    accepted = metadata.events(Accepted, line=line, newest_first=True)
    until = next((at for at, one in enumerate(accepted) if one.run == registered.run), len(accepted))
    # Where training had succeeded and a later step failed, an earlier run than the registering one did it.
    runs: list[Accepted] = []
    for one in accepted[until:]:
        runs.append(one)
        if _trains(metadata, one):
            break
    return runs


def _trains(metadata: MetadataReader, accepted: Accepted) -> bool:
    return any(change.step == "train" for change in metadata.get(accepted.plan, Plan).changes)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the gates said of one model; they may have been changed and asked again since it was promoted."""

    digest: str
    """Digest of the newest certificate."""
    certificate: Certificate
    verdict: str
    """What it says; *hold* where it says promote and the run held the model back, or it was tried and found out."""
    promoted_on: str | None
    """Digest of the certificate of its latest promotion; `None` where it was never promoted, or by force."""
    is_outdated: bool
    """Whether other gates were asked about another model since: then it says nothing of the gates as they are."""


def judged(factory: Factory, line: str) -> Mapping[str, Judged]:
    """Return what the gates said of each model of a line that they were asked about, by digest of its package, in the order in which they were asked last."""
    metadata = factory.metadata
    events: list[Promoted | Refused | Finished | Deployed | Withdrawn] = [
        *metadata.events(Promoted, line=line),
        *metadata.events(Deployed, line=line),
        *metadata.events(Withdrawn, line=line),
        *metadata.events(Refused, line=line),
        *metadata.events(Finished, line=line),
    ]
    digests = (one.certificate for one in events if not isinstance(one, Withdrawn | Deployed))
    certificates = metadata.get_all(filter(None, digests), Certificate)
    newest: dict[str, tuple[str, Certificate]] = {}
    promoted_on: dict[str, str | None] = {}
    held: set[str] = set()
    gates = ""
    for event in sorted(events, key=lambda event: event.at):
        if isinstance(event, Promoted):
            promoted_on[event.package] = event.certificate
        if isinstance(event, Withdrawn | Deployed):
            # They rest on a certificate that was told of before.
            if isinstance(event, Deployed):
                held.discard(event.certificate)
            elif event.is_condemned:
                held.add(event.certificate)
            continue
        if event.certificate is None:
            continue
        certificate = certificates[event.certificate]
        newest.pop(certificate.package, None)
        newest[certificate.package], gates = (event.certificate, certificate), certificate.gates
        if isinstance(event, Refused) and event.verdict == "hold" and certificate.verdict == "promote":
            held.add(event.certificate)
        elif isinstance(event, Promoted):
            held.discard(event.certificate)
    return {
        package: Judged(
            digest=digest,
            certificate=certificate,
            verdict="hold" if digest in held else certificate.verdict,
            promoted_on=promoted_on.get(package),
            is_outdated=certificate.gates != gates,
        )
        for package, (digest, certificate) in newest.items()
    }


def certified_metric(factory: Factory, found: Judged | None, name: str) -> Metric | None:
    """Return a metric of a model as its newest certificate has it; `None` where there is none."""
    if found is None:
        return None
    evaluation = factory.metadata.get(found.certificate.evaluation, Evaluation)
    return next((one for one in evaluation.metrics if one.name == name), None)


def lists_valued(
    metadata: MetadataReader, line: str, *, package: str | None = None, run: str | None = None
) -> ListsValued | None:
    """Return what was last found about the worth of the lists of a model, or of the candidate of a run; `None` if nothing was."""
    events = metadata.events(ListsValued, line=line, newest_first=True)
    return next((one for one in events if package in {None, one.package} and run in {None, one.run}), None)
