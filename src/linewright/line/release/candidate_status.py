"""Where the candidate of a run stands: whether it may serve, serves, is tried or waits. Nothing is moved here."""

from typing import Any

from linewright.errors import Corrupt, NotFound
from linewright.line.factory import Factory
from linewright.line.facts import Finished, ReleaseDue
from linewright.line.proposals.record import promotion_of
from linewright.line.proposals.rules import promotion_rule
from linewright.line.record.registry import find_model
from linewright.line.release.rings import RingWait, ring_wait, ring_wait_in_words
from linewright.line.run_context import Work
from linewright.line.steps.rival import rival_of
from linewright.model.facts import Certificate
from linewright.model.gates.text import incomparable_in_words
from linewright.release.facts import TRIED, Deployed, Promoted, RolledBack, Withdrawn
from linewright.release.promotion import canary_of, require_bytes
from linewright.store.clock import said

WAITS = "the line file wants approval by {roles}: `linewright {command}`"


def version_of(work: Work, package: str) -> int | None:
    """Return the number of a package in its line; `None` where it has none yet."""
    found = [one.version for one in work.metadata.versions(work.spec.line) if one.digest == package]
    return found[0] if found else None


def withheld(work: Work, certificate: Certificate, *, proposal: str | None = None) -> str | None:
    """Say why a candidate with a passing certificate is not promoted by itself; `None` if it is."""
    if taken_back := _served_before(work, certificate.package):
        return taken_back
    if (ring := waits_for_ring(work, certificate)) is not None:
        return ring_wait_in_words(ring)
    if approvers := _approvers(work):
        return WAITS.format(
            roles=", ".join(approvers), command=approving(work, certificate.package, proposal)
        )
    incomparable = rival_of(work, certificate.package).incomparable
    if incomparable:
        model = f"{work.spec.line}@{version_of(work, certificate.package)}"
        return (
            f"{incomparable_in_words(incomparable)}; `linewright promote {model}` lets it serve all the same"
        )
    return _taken_back(work)


def waits_for_approval(work: Work, certificate: Certificate) -> bool:
    """Whether a person's approval is all that a candidate with a passing certificate lacks."""
    if not _approvers(work) or _served_before(work, certificate.package):
        return False
    return waits_for_ring(work, certificate) is None


def waits_for_ring(work: Work, certificate: Certificate) -> RingWait | None:
    """Return what a candidate with a passing certificate waits for in the rings before its own; `None` if nothing keeps it."""
    is_kept = _served_before(work, certificate.package) or _taken_back(work)
    if is_kept or rival_of(work, certificate.package).incomparable:
        return None  # a person decides
    return ring_wait(work.factory, work.spec, certificate.package)


def _approvers(work: Work) -> tuple[str, ...]:
    """Return who has to approve: by the file in force, also for a run that began before; else by that of the run."""
    rule = promotion_rule(work.factory, work.spec.line)
    return rule.approvers if rule else work.spec.release.approve


def approving(work: Work, package: str, proposal: str | None = None) -> str:
    """Return the command, without its first word, that lets a candidate serve which waits for approval."""
    found = promotion_of(work.factory, work.spec.line, package) if proposal is None else None
    proposal = found.proposed.id if found else proposal
    return (
        f"promote {work.spec.line}@{version_of(work, package)}" if proposal is None else f"approve {proposal}"
    )


def _served_before(work: Work, package: str) -> str | None:
    """Say that a model has served on its certificate and does no more: nobody's approval is missing; `None` where that is not so."""
    if not _used(work) or is_champion(work, package):
        return None
    line, version = work.spec.line, version_of(work, package)
    moves = work.metadata.events(RolledBack, line=line, newest_first=True)
    back = next((one for one in moves if one.before == version), None)
    how = (
        "another model has taken its place since"
        if back is None
        else f"was taken back on {said(back.at)}: {back.because.rstrip('.')}"
    )
    again = f"; `linewright promote {line}@{version}` lets it serve again"
    return f"this certificate has promoted it once, and {'' if back is None else 'it '}{how}{again}"


def _taken_back(work: Work) -> str | None:
    withdrawn = work.metadata.events(Withdrawn, line=work.spec.line, newest_first=True)
    last = next((one for one in withdrawn if one.certificate == work.known["gate"]), None)
    return last and f"it was taken back {TRIED[last.rollout]}: {last.because}"


def trial_with(work: Work, package: str) -> Deployed | None:
    """Return the newest step of the trial of a package; `None` where it is not tried now."""
    canary = canary_of(work.metadata, work.spec.line)
    return canary if canary is not None and canary.package == package else None


def release_due(work: Work) -> list[ReleaseDue]:
    """Return what the release step would do now; empty if nothing."""
    certificate = work.certificate
    due: list[ReleaseDue] = []
    if version_of(work, certificate.package) is None:
        due.append("no-number")
    if (
        certificate.verdict == "promote"
        and not is_champion(work, certificate.package)
        and trial_with(work, certificate.package) is None
        and withheld(work, certificate) is None
    ):
        due.append("passed")
    told = _told(work)
    if told is None:
        due.append("untold")
    elif told != work.known["gate"]:
        due.append("told-otherwise")
    return due


def _told(work: Work) -> str | None:
    """Return the certificate that the latest run told of."""
    finished = work.metadata.events(Finished, line=work.spec.line, newest_first=True)
    return next((one.certificate for one in finished if one.certificate), None)


def require_champion(factory: Factory, line: str) -> None:
    """Require that all bytes of the model that serves are what they were."""
    if factory.metadata.pointer(line).champion is None:
        return
    champion = find_model(factory, line)
    try:
        require_bytes(factory.context, champion.digest)
    except (Corrupt, NotFound) as error:
        named: dict[str, Any] = {
            "what": f"{line}@{champion.version}, which serves, cannot be loaded anew: {error.what}",
            "hint": f"restore the file from a backup, or let another model serve: linewright rollback {line}",
        }
        raise type(error)(**(error.to_parts() | named)) from error


def _used(work: Work) -> bool:
    certificate = work.known["gate"]
    return any(one.certificate == certificate for one in work.metadata.events(Promoted, line=work.spec.line))


def is_champion(work: Work, package: str) -> bool:
    """Return whether a package is that of the champion."""
    champion = work.metadata.pointer(work.spec.line).champion
    return champion is not None and champion == version_of(work, package)
