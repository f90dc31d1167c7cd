"""How a line stands, from its record: what the gates say of its champion now, what waits, and what a person may do next."""

from linewright.line.factory import Factory
from linewright.line.proposals.record import promotions_of
from linewright.line.record.registry import Judged
from linewright.line.release.excluded_columns import going_back
from linewright.line.release.rings import ring_wait, ring_wait_in_words, spec_of_run
from linewright.model.facts import Certificate
from linewright.release.facts import Promoted, Refused
from linewright.release.promotion import champions
from linewright.serve.listener import endpoint
from linewright.store.metadata.snapshot import FEW
from linewright.watch.facts import Performance, Watched

_WINDOWS = 500
"""Closed windows in which a performance is looked for."""


def ways_out(factory: Factory, line: str) -> tuple[str, ...]:
    """Return the commands that keep the champion of a line from answering.

    Going back is none of them where that model reads columns which the line bars by now.
    """
    ways: list[str] = []
    if len(champions(factory.metadata, line)) > 1 and not going_back(factory, line):
        ways.append(f"linewright rollback {line}")
    if not factory.is_halted(line):
        ways.append(f"linewright halt {line}")
    return tuple(ways)


def after_run(
    factory: Factory, certificate: Certificate, candidate: str, *, serves: bool, approving: str | None
) -> tuple[str, ...]:
    """Return the commands of which one is fitting after a run."""
    line = candidate.partition("@")[0]
    if not serves:
        ways = (f"linewright {approving or f'card {candidate}'}",)
        is_undecided = certificate.verdict == "need-more-data" and not champions(factory.metadata, line)
        return (*ways, f'linewright promote {candidate} --force --because "WHY"') if is_undecided else ways
    if certificate.verdict != "promote":
        return (*ways_out(factory, line), f"linewright card {candidate}")
    if factory.is_halted(line):
        return (f"linewright halt {line} --off",)
    return (f"linewright status {line}" if endpoint(factory.state) else "linewright up",)


def waits_because(factory: Factory, line: str, found: Judged | None) -> str | None:
    """Say why a model that passed its gates does not serve; `None` where it did not pass, has served on that, or was turned down by a person."""
    if found is None or found.verdict != "hold" or found.certificate.verdict != "promote":
        return None
    if found.promoted_on == found.digest:
        return None
    proposed = promotions_of(factory, line).get(found.certificate.package)
    if proposed is not None and proposed.is_turned_down:
        return None
    refused = factory.metadata.events(Refused, line=line, newest_first=True)
    held = next((one for one in refused if one.certificate == found.digest), None)
    if held is not None and held.ring is not None:
        wait = ring_wait(factory, spec_of_run(factory, line, held.run), held.package)
        return (
            ring_wait_in_words(wait)
            if wait is not None
            else f"its ring begins: `linewright up`, or linewright run {line}"
        )
    return held and held.because


def is_forced(factory: Factory, line: str, package: str) -> bool:
    """Return whether the latest promotion of a model was forced."""
    promoted = factory.metadata.events(Promoted, line=line, newest_first=True)
    return next((one.forced for one in promoted if one.package == package), False)


def realised(factory: Factory, line: str, package: str) -> Performance | None:
    """Return how good the predictions of a package turned out to be by its newest window that could tell."""
    for limit in (FEW, _WINDOWS):
        windows = factory.metadata.events(Watched, line=line, newest_first=True, limit=limit)
        found = (one.performance for one in windows if one.package == package and one.performance)
        if (digest := next(found, None)) is not None:
            return factory.metadata.get(digest, Performance)
        if len(windows) < limit:
            break
    return None
