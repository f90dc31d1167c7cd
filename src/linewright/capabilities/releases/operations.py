"""The operations `promote`, `step` and `rollback`."""

from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from linewright.capabilities.proposals.operations import Waits, line_of
from linewright.errors import Conflict, Denied, GateRefused, RequestError
from linewright.line.factory import Factory
from linewright.line.proposals.promotion import propose_promotion
from linewright.line.proposals.rules import Rule, is_free, promotion_rule
from linewright.line.record.registry import Judged, declared_before, find_model, judged, registration_of
from linewright.line.release.excluded_columns import reads_barred
from linewright.line.release.excluded_text import barred_in_words
from linewright.line.release.rollout import begin_trial, is_tried_first, step_early
from linewright.model.evaluate.decision_changes import between
from linewright.model.facts import Package
from linewright.operations.declare import operation
from linewright.people.facts import PromotionChange
from linewright.release import promotion
from linewright.release.facts import TRIED, Deployed, Promoted, Rollout, Withdrawn
from linewright.release.promotion import canary_of
from linewright.store.protocols import Version


class Serves(msgspec.Struct, frozen=True, kw_only=True):
    """What serves now."""

    line: str
    champion: str
    digest: str
    before: str | None
    generation: int
    because: str
    canary: str | None = None
    """The candidate that was tried and is taken back, so that the champion serves alone again; `None` where none was."""
    tried: str | None = None
    """The candidate that begins to be tried beside the champion, or takes a step; `None` if the promotion was at once."""
    share: float | None = None
    """Share of the rows that it answers."""
    rollout: Rollout | None = None
    """How the candidate is tried, or was."""
    part: str | None = None
    """What part of the rows it answers, in words."""
    decides: str = ""
    """Where the threshold lies now and lay with the champion before; empty where answers have none."""
    barred: str = ""
    """After a rollback: which columns the model reads that the line bars by now; empty where it reads none."""


def _named(line: str, version: int | None) -> str | None:
    return None if version is None else f"{line}@{version}"


@operation(permission="release", effect="act")
def promote(factory: Factory, model: str, /, *, force: bool = False, because: str = "") -> Serves | Waits:
    """Make a model the champion of its line.

    If the line file wants approval, only the owner of the factory promotes at once; a member makes a proposal, also with --force, which
    overrules gates and not approval. An approved model begins to be tried if the line wants a rollout.

    Parameters
    ----------
    model
        Which model, as LINE@VERSION or LINE@challenger.
    force
        Promote without a passing certificate; needs ``because``, and the record says that it was forced.
    because
        Why, for the record.
    """
    version = find_model(factory, model)
    if force and not because.strip():
        raise RequestError("a forced promotion needs a reason", where="--because", hint='add --because "why"')
    factory.artifacts.get(version.digest)  # corrupt bytes are refused before anything moves
    found, certificate, condemned = _certified(factory, version, force=force)
    rule = promotion_rule(factory, version.line)
    if rule is not None and not is_free(factory):
        return _proposed(
            factory,
            version,
            found.digest if found else None,
            rule,
            because,
            forced=certificate is None or condemned is not None,
        )
    if found and certificate and not force and _waits_for_approval(factory, version):
        return _tried(factory, version, found, because or "approved")
    event = promotion.promote(
        factory.context,
        factory.serving,
        promotion.Candidate(
            line=version.line, model=version.version, package=version.digest, certificate=certificate
        ),
        because=because or "asked for, with a passing certificate",
        forced=certificate is None or condemned is not None,
        declared=declared_before(factory.metadata, version.line, version.digest),
    )
    return _promoted(factory, event)


class _Certified(NamedTuple):
    found: Judged | None
    """Its newest certificate."""
    certificate: str | None
    """Digest of that, if it says promote."""
    condemned: Withdrawn | None


def _certified(factory: Factory, version: Version, *, force: bool = False) -> _Certified:
    named = f"{version.line}@{version.version}"
    found = judged(factory, version.line).get(version.digest)
    certificate = found.digest if found and found.certificate.verdict == "promote" else None
    withdrawn = factory.metadata.events(Withdrawn, line=version.line, newest_first=True)
    newest = next((one for one in withdrawn if one.package == version.digest), None)
    condemned = newest if newest is not None and newest.is_condemned else None
    if condemned is not None and not force:
        raise GateRefused(
            f"{TRIED[condemned.rollout]} it was found out",
            where=named,
            found=condemned.because,
            hint='promote --force --because "why" overrules it, and the record says so',
        )
    if certificate is None and not force:
        raise GateRefused(
            "no passing certificate is for this model",
            where=named,
            found=f"its newest certificate says {found.verdict}" if found else "none",
            hint=f'see `linewright card {named}`, or use --force --because "why"',
        )
    return _Certified(found, certificate, condemned)


def require_promotable(factory: Factory, version: Version) -> None:
    """Require that a model is a champion, or one that a rollback returns to, or that who asks may promote it at once.

    Raises
    ------
    GateRefused
        If its gates or a trial have refused it.
    Denied
        If it wants approval first.
    """
    if version.version in promotion.champions(factory.metadata, version.line):
        return
    named = f"{version.line}@{version.version}"
    try:
        _certified(factory, version)
    except GateRefused as error:
        error.hint = (
            f'promote it first, which the record shows: linewright promote {named} --force --because "why"'
        )
        raise
    if promotion_rule(factory, version.line) is not None and not is_free(factory):
        raise Denied(
            "the line file wants approval before a model serves",
            where=named,
            allowed="a model that was promoted, or the owner of the factory",
            hint=f"ask for approval first: linewright promote {named}",
        )


def _promoted(factory: Factory, event: Promoted) -> Serves:
    return Serves(
        line=event.line,
        champion=f"{event.line}@{event.model}",
        digest=event.package,
        before=_named(event.line, event.before),
        generation=event.generation,
        because=event.because,
        decides=_decides(factory, event.line, event.model, event.before),
    )


def _proposed(
    factory: Factory, version: Version, certificate: str | None, rule: Rule, because: str, *, forced: bool
) -> Waits:
    if factory.metadata.pointer(version.line).champion == version.version:
        raise Conflict(
            "the model is the champion already", where=f"{version.line}@{version.version}"
        )  # which nobody needs to approve
    change = PromotionChange(
        line=version.line,
        model=version.version,
        package=version.digest,
        certificate=certificate,
        forced=forced,
    )
    asker = factory.identity.member
    made = propose_promotion(factory, change, rule, because=because or "asked for", asker=asker)
    return line_of(factory, made, Waits)


def _decides(factory: Factory, line: str, now: int, before: int | None) -> str:
    digests = {one.version: one.digest for one in factory.metadata.versions(line)}
    if before is None or before == now:
        return ""
    package, other = (factory.metadata.get(digests[one], Package) for one in (now, before))
    return between(package, other)


def _waits_for_approval(factory: Factory, version: Version) -> bool:
    """Whether a model that is approved begins to be tried, as it would have without the wait."""
    if factory.trouble_with(version.line) is not None:
        return False
    spec, canary = factory.line(version.line), canary_of(factory.metadata, version.line)
    is_running = canary is not None and canary.package == version.digest
    return bool(spec.release.approve) and is_tried_first(factory, spec) and not is_running


def _tried(factory: Factory, version: Version, found: Judged, because: str) -> Serves:
    run = registration_of(factory.metadata, version.line, version.digest).run
    spec = factory.line(version.line)
    return _begun(factory, begin_trial(factory, spec, found.certificate, found.digest, run, because=because))


def _begun(factory: Factory, event: Deployed) -> Serves:
    tried = f"{event.line}@{event.model}"
    return replace(_stays(factory, event), tried=tried, share=event.share, part=event.part)


def _stays(factory: Factory, moved: Deployed | Withdrawn) -> Serves:
    """Return what serves once a candidate came or went, and the champion stayed."""
    champion = find_model(factory, moved.line)
    return Serves(
        line=moved.line,
        champion=f"{moved.line}@{champion.version}",
        digest=champion.digest,
        before=None,
        generation=moved.generation,
        because=moved.because,
        rollout=moved.rollout,
    )


@operation(permission="release", effect="act")
def step(factory: Factory, line: str, /, *, because: str) -> Serves:
    """Let the candidate that is tried take its next step now, instead of when the present one has lasted long enough.

    It is refused as the step in time would be: while the endpoint has trouble with the candidate, its answers are significantly
    worse than the champion's, or it has given none. If the line file wants approval, only the owner of the factory steps before the time.

    Parameters
    ----------
    line
        Name of the line.
    because
        Why, for the record.
    """
    spec = factory.line(line)
    if not because.strip():
        raise RequestError(
            "a step before its time needs a reason", where="--because", hint='add --because "why"'
        )
    if promotion_rule(factory, line) is not None and not is_free(factory):
        raise Denied(
            "the line file wants approval, and what was approved is a trial of full length",
            where=line,
            allowed="the owner of the factory",
            hint=f"wait for its time, see `linewright status {line}`",
        )
    event = step_early(factory, spec, because=because.strip())
    return _promoted(factory, event) if isinstance(event, Promoted) else _begun(factory, event)


@operation(permission="release", effect="act")
def rollback(factory: Factory, line: str, /, *, canary: bool = False, because: str = "") -> Serves:
    """Let the previous champion of a line serve again, or take back the candidate that is tried.

    Parameters
    ----------
    line
        Name of the line.
    canary
        Only take back a candidate that is tried, as a canary or otherwise; where none is (any more), the champion stays.
    because
        Why, for the record.
    """
    factory.require(line)
    withdrawn = promotion.withdraw(
        factory.context, factory.serving, line, because or "asked for", trigger="person"
    )
    if withdrawn is not None:
        return replace(_stays(factory, withdrawn), canary=f"{line}@{withdrawn.model}")
    if canary:
        raise RequestError(
            "no canary runs, and no other candidate is tried",
            where=line,
            hint=f"`linewright status {line}` says how the last one ended; without --canary the champion goes back",
        )
    event = promotion.rollback(factory.context, factory.serving, line, because=because or "asked for")
    return Serves(
        line=line,
        champion=f"{line}@{event.model}",
        digest=event.package,
        before=_named(line, event.before),
        generation=event.generation,
        because=event.because,
        decides=_decides(factory, line, event.model, event.before),
        barred=barred_in_words(reads) if (reads := reads_barred(factory, line, event.package)) else "",
    )
